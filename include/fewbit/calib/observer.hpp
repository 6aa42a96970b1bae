#pragma once
/// The concepts Observer and MergeableObserver. An observer takes float data batch by batch and
/// computes the range to quantize.
///
///     histogram_observer seen;
///     for (const auto& batch : batches) seen.observe(batch);
///     const range r = seen.range(by_entropy{});
///     const quant_params p = choose_params<int8_per_tensor>(r);
///
/// | observer                                            | use it                                       |
/// |-----------------------------------------------------|----------------------------------------------|
/// | max_observer                                        | for weights, activations without outliers    |
/// | histogram_observer                                  | to compare several methods in one pass       |
/// | fixed_histogram                                     | to reproduce the bins of another tool        |
/// | percentile_observer, entropy_observer, mse_observer | for one fixed method; threshold_observer.hpp |
/// | moving_average_observer                             | during training                              |
/// | per_channel<O>                                      | for one range per column                     |
///
/// All of them except moving_average_observer can be merged; per_channel<O> can be merged if O can.
/// The state of these depends only on the multiset of observed values. Order, batches and merging
/// do not change a single bit of it.

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
  fail,  ///< throw an error that names the first position, and leave the state unchanged
  skip,  ///< ignore them and count them in skipped()
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// `observe` takes one batch of any shape with at least one value. An expression or a column-major
/// matrix is evaluated once into a temporary. `range` fails before the first value. `from_text`
/// restores exactly the state that `to_text` wrote, and fails on any other text. A call that fails
/// does not change the observer.
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

/// After `a.merge(b)`, `a` has the same state, to the last bit, as an observer of all values of `a`
/// and `b`. Both must have the same settings.
template <class O>
concept MergeableObserver = Observer<O> && requires(O& o, const O& c) { o.merge(c); };

}}  // namespace fewbit

#include "fewbit/end.hpp"
