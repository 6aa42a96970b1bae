#pragma once
/// All methods that compute a range from a histogram: by_max, by_percentile, by_entropy, by_mse.
///
/// A method is a function object `range operator()(const histogram&) const`. A program can use its
/// own methods in the same places. Read next: percentile.hpp, entropy.hpp, mse.hpp.

#include "fewbit/begin.hpp"

#include <concepts>

#include "fewbit/calib/entropy.hpp"
#include "fewbit/calib/histogram.hpp"
#include "fewbit/calib/mse.hpp"
#include "fewbit/calib/percentile.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A copyable function object that computes a range from a histogram.
template <class M>
concept ThresholdMethod = std::copyable<M> && requires(const M& method, const histogram& h) {
  { method(h) } -> std::same_as<fewbit::range>;
};

/// Clips nothing: [-amax, amax], or the exact extremes if affine.
struct by_max {
  [[nodiscard]] fewbit::range operator()(const histogram& h) const {
    detail::expect_searchable("by_max", h);
    return h.ends == clip::symmetric ? detail::symmetric_range(0.0, h) : h.extremes;
  }

  friend bool operator==(const by_max&, const by_max&) = default;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
