#pragma once
/// What an observer is: it watches float data batch by batch and answers the range to quantize.
///
///     histogram_observer seen;
///     for (const auto& batch : batches) seen.observe(batch);
///     const range r = seen.range(by_entropy{});
///     const quant_params p = choose_params<int8_per_tensor>(r);
///
/// Which one: max_observer for weights and well-behaved activations; histogram_observer to try
/// several methods on one pass over the data; percentile_observer, entropy_observer and
/// mse_observer (threshold_observer.hpp) where a template wants a single type;
/// moving_average_observer during training; per_channel<O> for one range per column.
///
/// All but the moving average are mergeable: their state depends on the multiset of values seen,
/// not on order, batches or who saw them, and is equal to the last bit.

#include "fewbit/begin.hpp"

#include <Eigen/Core>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/range.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// What an observer does with NaN and infinity.
enum class nan_policy : std::uint8_t {
  fail,  ///< an error that names the first position; the observer keeps its former state
  skip,  ///< leave them out and count them in skipped()
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// `observe` takes one batch of any shape with at least one value (an expression or a column-major
/// matrix is evaluated once). `range` fails before the first value. `from_text` reads what
/// `to_text` wrote, exactly, and fails on anything else. A call that fails changes nothing.
template <class O>
concept Observer =
    std::copyable<O> &&
    requires(O& o, const O& c, const Eigen::Ref<const row_matrix<float>>& x, std::string_view t) {
      o.observe(x);
      { c.range() } -> std::same_as<fewbit::range>;
      { c.policy() } -> std::same_as<nan_policy>;
      { c.skipped() } -> std::same_as<std::uint64_t>;
      { c.to_text() } -> std::same_as<std::string>;
      { O::from_text(t) } -> std::same_as<O>;
    };

/// `a.merge(b)` leaves in `a` the state of having seen both, in either order, bit for bit. Both
/// must have been built with the same settings.
template <class O>
concept MergeableObserver = Observer<O> && requires(O& o, const O& c) { o.merge(c); };

}}  // namespace fewbit

#include "fewbit/end.hpp"
