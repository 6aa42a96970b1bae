#pragma once
/// The concept Observer: an object that reads float data batch by batch and returns the range to
/// quantize.
///
///     histogram_observer seen;
///     for (const auto& batch : batches) seen.observe(batch);
///     const range r = seen.range(by_entropy{});
///     const quant_params p = choose_params<int8_per_tensor>(r);
///
/// | observer                                            | use it for                               |
/// |-----------------------------------------------------|------------------------------------------|
/// | max_observer                                        | weights, activations without outliers    |
/// | histogram_observer                                  | several methods after one pass over data |
/// | fixed_histogram                                     | the same bins as another tool            |
/// | percentile_observer, entropy_observer, mse_observer | templates that need one type             |
/// | moving_average_observer                             | training                                 |
/// | per_channel<O>                                      | one range for each column                |
///
/// All except the moving average are mergeable: the state depends only on the multiset of values.
/// The order of values, the division into batches and the merging of observers do not change any
/// bit.

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
  fail,  ///< throws an error with the first position; the observer keeps its state
  skip,  ///< ignores them and counts them in skipped()
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// `observe` reads one batch of any shape with at least one value. An expression or a column-major
/// matrix is evaluated once. `range` fails before the first value. `from_text` restores the exact
/// state that `to_text` wrote, and fails on any other text. A call that fails changes nothing.
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

/// After `a.merge(b)`, `a` has the state of an observer that read the data of both, in any order,
/// bit for bit. Both must have the same settings.
template <class O>
concept MergeableObserver = Observer<O> && requires(O& o, const O& c) { o.merge(c); };

}}  // namespace fewbit

#include "fewbit/end.hpp"
