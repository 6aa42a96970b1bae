#pragma once
/// Exponential moving average of each batch's smallest and largest value.
///
/// Use it during training: the weight of old batches decreases with each new batch. The result
/// depends on the order of the batches. There is no merge, because the averages of two parts do not
/// determine the average of the whole. If the order must not matter, use max_observer
/// (max_observer.hpp) or histogram_observer (histogram_observer.hpp).
/// Source: Jacob et al. 2018, arXiv:1712.05877, section 3.1.

#include "fewbit/begin.hpp"

#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "fewbit/calib/batch.hpp"
#include "fewbit/calib/observer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The first batch sets lo = min(batch) and hi = max(batch). Each later batch updates them in
/// double:
///
///     lo = momentum * lo + (1 - momentum) * min(batch)
///     hi = momentum * hi + (1 - momentum) * max(batch)
///
/// range() rounds both to float.
class moving_average_observer {
 public:
  /// @param momentum  in [0, 1). 0 uses only the last batch. 0.99 averages about 100 batches.
  explicit moving_average_observer(double momentum = 0.99, nan_policy policy = nan_policy::fail)
      : momentum_(detail::without_minus_zero(momentum)), policy_(policy) {
    expect_momentum("moving_average_observer", momentum);
  }

  /// A batch whose values are all skipped does not change lo and hi.
  /// @throws fewbit::error if x is empty, and on NaN or infinity unless the policy is to skip them
  void observe(const Eigen::Ref<const row_matrix<float>>& x) {
    observe({"moving_average_observer", "observe"}, x);
  }

  /// The overloads with `by` are for an observer that contains this one. Errors name `by`.
  void observe(const detail::caller& by, const Eigen::Ref<const row_matrix<float>>& x) {
    const auto batch = detail::summarize<false>(by, x, policy_).seen;
    detail::expect_countable(by, "count of batches", batches_ + 1);
    detail::expect_countable(by, "count of skipped values", skipped_ + batch.skipped);
    skipped_ += batch.skipped;
    if (batch.count == 0) return;
    lo_ = batches_ == 0 ? double{batch.lo} : moved(lo_, batch.lo);
    hi_ = batches_ == 0 ? double{batch.hi} : moved(hi_, batch.hi);
    ++batches_;
  }

  /// @throws fewbit::error before the first value.
  [[nodiscard]] fewbit::range range() const { return range({"moving_average_observer", "range"}); }

  [[nodiscard]] fewbit::range range(const detail::caller& by) const {
    detail::expect_data(by, batches_);
    return {detail::without_minus_zero(static_cast<float>(lo_)),
            detail::without_minus_zero(static_cast<float>(hi_))};
  }

  [[nodiscard]] double momentum() const noexcept { return momentum_; }
  [[nodiscard]] std::uint64_t batches() const noexcept { return batches_; }
  [[nodiscard]] std::uint64_t skipped() const noexcept { return skipped_; }
  [[nodiscard]] nan_policy policy() const noexcept { return policy_; }

  [[nodiscard]] std::string to_text() const { return detail::text_of(*this); }

  /// @throws fewbit::error on a text that to_text() cannot have written.
  [[nodiscard]] static moving_average_observer from_text(std::string_view text) {
    return detail::parse_text<moving_average_observer>(text, "moving_average_observer::from_text");
  }

  friend bool operator==(const moving_average_observer&, const moving_average_observer&) = default;

 private:
  friend detail::text_form;

  void write(detail::text_writer& out) const {
    out.line("fewbit moving_average_observer 1");
    detail::write(out, policy_);
    out.bits("momentum", momentum_);
    out.field("batches", batches_);
    out.field("skipped", skipped_);
    out.bits("lo", lo_);
    out.bits("hi", hi_);
  }

  static moving_average_observer read(detail::text_reader& in) {
    moving_average_observer made;
    in.line("fewbit moving_average_observer 1");
    detail::read(in, made.policy_);
    made.momentum_ = in.bits<double>("momentum");
    expect_momentum(in.function(), made.momentum_);
    expect_no_minus_zero(in, "momentum", made.momentum_);
    made.batches_ = in.field("batches", detail::text_reader::largest_count);
    made.skipped_ = in.field("skipped", detail::most_skipped(made.policy_, 0));
    made.lo_ = made.read_average(in, "lo");
    made.hi_ = made.read_average(in, "hi");
    detail::expect(made.lo_ <= made.hi_, in, "lo", made.lo_, "at most hi");
    const bool named = made.batches_ != 0 || (made.lo_ == 0.0 && made.hi_ == 0.0);
    detail::expect(named, in, "batches", made.batches_, "at least 1");
    return made;
  }

  /// All channels of a per_channel get the same batches. With nan_policy::fail every batch counts,
  /// so batches_ is equal in all channels. With nan_policy::skip it can differ, so the result is 0.
  [[nodiscard]] std::uint64_t rows_seen() const noexcept {
    return policy_ == nan_policy::fail ? batches_ : 0;
  }

  void expect_same_settings(const detail::caller& by, const std::string& of,
                            const moving_average_observer& other) const {
    detail::expect_same(by, "momentum" + of, other.momentum_, momentum_);
    detail::expect_same_policy(by, of, policy_, other.policy_);
  }

  [[nodiscard]] double moved(double average, float latest) const noexcept {
    return arch::rounded(momentum_ * average) + arch::rounded((1.0 - momentum_) * double{latest});
  }

  /// A NaN also fails, because every comparison with NaN is false.
  static void expect_momentum(const char* function, double momentum) {
    detail::expect(momentum >= 0.0 && momentum < 1.0, function, "momentum", momentum,
                   "at least 0 and below 1");
  }

  static void expect_no_minus_zero(const detail::text_reader& in, const char* name, double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    detail::expect(bits != std::uint64_t{1} << 63U, in, name, value, "not -0");
  }

  /// After the first batch, or if momentum is 0, the value must be a float.
  [[nodiscard]] double read_average(detail::text_reader& in, const char* bound) const {
    const auto value = in.bits<double>(bound);
    // Rounding in double can make the average slightly larger than the largest float. range()
    // rounds it back to the largest float.
    constexpr double largest = std::numeric_limits<float>::max() * (1.0 + 1e-9);
    detail::expect(value >= -largest && value <= largest, in, bound, value,
                   "a number in the range of float");
    expect_no_minus_zero(in, bound, value);
    const bool exact = batches_ > 1 && momentum_ != 0.0;
    const bool is_float = exact || double{static_cast<float>(value)} == value;
    detail::expect(is_float, in, bound, value, "a float after one batch or with momentum 0");
    return value;
  }

  double momentum_;
  double lo_ = 0.0;
  double hi_ = 0.0;
  std::uint64_t batches_ = 0;
  std::uint64_t skipped_ = 0;
  nan_policy policy_ = nan_policy::fail;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
