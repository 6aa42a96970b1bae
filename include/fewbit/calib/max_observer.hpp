#pragma once
/// Smallest and largest value: the range that clips nothing.
///
/// For weights, and for activations without outliers. Read next: histogram_observer.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include "fewbit/calib/batch.hpp"
#include "fewbit/calib/observer.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

/// range() is [min, max] of all values seen; its amax() serves symmetric schemes.
class max_observer {
 public:
  max_observer() = default;
  explicit max_observer(nan_policy policy) : policy_(policy) {}

  /// @throws fewbit::error on NaN or infinity, unless the policy is to skip them.
  void observe(const Eigen::Ref<const row_matrix<float>>& x) {
    seen_.add(detail::summarize("max_observer::observe", x, policy_));
  }

  void merge(const max_observer& other) {
    detail::expect_same_policy("max_observer::merge", policy_, other.policy_);
    seen_.add(detail::data_summary(other.seen_));
  }

  /// @throws fewbit::error before the first value.
  [[nodiscard]] fewbit::range range() const {
    detail::expect_data("max_observer::range", seen_.count);
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
    detail::read(in, made.seen_);
    return made;
  }

  detail::data_summary seen_;
  nan_policy policy_ = nan_policy::fail;
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE

#include "fewbit/end.hpp"
