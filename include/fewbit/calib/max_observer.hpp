#pragma once
/// Observes the smallest and the largest value. Their range clips nothing.
///
/// Use it for weights, and for activations without outliers. Read next: histogram_observer.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include "fewbit/calib/batch.hpp"
#include "fewbit/calib/observer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// range() is [min, max] of all observed values. Symmetric schemes use range().amax() = max|x|.
class max_observer {
 public:
  max_observer() = default;
  explicit max_observer(nan_policy policy) : policy_(policy) {}

  /// @throws fewbit::error if x is empty, and on NaN or infinity unless the policy is to skip them
  void observe(const Eigen::Ref<const row_matrix<float>>& x) {
    observe({"max_observer", "observe"}, x);
  }

  /// The overloads with `by` are for an observer that contains this one. Errors name `by`.
  void observe(const detail::caller& by, const Eigen::Ref<const row_matrix<float>>& x) {
    const auto batch = detail::summarize<false>(by, x, policy_).seen;
    detail::expect_room(by, seen_, batch);
    seen_.add(batch);
  }

  /// @throws fewbit::error if the policy differs.
  void merge(const max_observer& other) { merge({"max_observer", "merge"}, other); }

  void merge(const detail::caller& by, const max_observer& other) {
    expect_same_settings(by, " of other", other);
    detail::expect_room(by, seen_, other.seen_);
    seen_.add(detail::data_summary(other.seen_));
  }

  /// @throws fewbit::error before the first value.
  [[nodiscard]] fewbit::range range() const { return range({"max_observer", "range"}); }

  [[nodiscard]] fewbit::range range(const detail::caller& by) const {
    detail::expect_data(by, seen_.count);
    return {seen_.lo, seen_.hi};
  }

  [[nodiscard]] std::uint64_t count() const noexcept { return seen_.count; }
  [[nodiscard]] std::uint64_t skipped() const noexcept { return seen_.skipped; }
  [[nodiscard]] nan_policy policy() const noexcept { return policy_; }

  [[nodiscard]] std::string to_text() const { return detail::text_of(*this); }

  /// @throws fewbit::error on a text that to_text() cannot have written.
  [[nodiscard]] static max_observer from_text(std::string_view text) {
    return detail::parse_text<max_observer>(text, "max_observer::from_text");
  }

  friend bool operator==(const max_observer&, const max_observer&) = default;

 private:
  friend detail::text_form;

  void write(detail::text_writer& out) const {
    out.line("fewbit max_observer 1");
    detail::write(out, policy_);
    detail::write(out, seen_);
  }

  static max_observer read(detail::text_reader& in) {
    max_observer made;
    in.line("fewbit max_observer 1");
    detail::read(in, made.policy_);
    detail::read(in, made.policy_, made.seen_);
    return made;
  }

  [[nodiscard]] std::uint64_t rows_seen() const noexcept { return seen_.count + seen_.skipped; }

  void expect_same_settings(const detail::caller& by, const std::string& of,
                            const max_observer& other) const {
    detail::expect_same_policy(by, of, policy_, other.policy_);
  }

  detail::data_summary seen_;
  nan_policy policy_ = nan_policy::fail;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
