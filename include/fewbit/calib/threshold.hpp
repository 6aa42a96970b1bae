#pragma once
/// All methods that compute a range from a histogram: by_max, by_percentile, by_entropy, by_mse.
///
/// A method is a function object with `range operator()(const histogram&) const`. A program can
/// write its own method and use it in the same places. Read next: percentile.hpp, entropy.hpp,
/// mse.hpp.

#include "fewbit/begin.hpp"

#include <concepts>

#include "fewbit/calib/entropy.hpp"
#include "fewbit/calib/histogram.hpp"
#include "fewbit/calib/mse.hpp"
#include "fewbit/calib/percentile.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

template <class M>
concept ThresholdMethod = std::copyable<M> && requires(const M& method, const histogram& h) {
  { method(h) } -> std::same_as<fewbit::range>;
};

/// Clips nothing. symmetric: [-max|x|, max|x|]. affine: the exact extremes.
struct by_max {
  [[nodiscard]] fewbit::range operator()(const histogram& h) const {
    detail::expect_searchable("by_max", h);
    return h.ends == clip::symmetric ? detail::symmetric_range(0.0, h) : h.extremes;
  }

  friend bool operator==(const by_max&, const by_max&) = default;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
