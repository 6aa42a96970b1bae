#pragma once
/// A histogram whose range is given in advance.
///
/// For matching the bins of another tool and for published reference values. Where nothing must be
/// matched, histogram_observer needs no range and loses no resolution to a wrong guess.

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "fewbit/calib/batch.hpp"
#include "fewbit/calib/histogram.hpp"
#include "fewbit/calib/mirrored_counts.hpp"
#include "fewbit/calib/observer.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

/// `bins` equal bins over [0, max] and as many over [-max, 0]: bin k holds
/// k * w <= |x| < (k + 1) * w with w = max / bins in double, and the last one |x| = max too.
///
/// range(method), range() and snapshot() are those of histogram_observer; a snapshot has all bins.
/// Larger magnitudes are counted in the last bin and in clipped(); the exact extremes are kept. As
/// with every observer but the moving average, order, batches and merging do not matter.
class fixed_histogram : public detail::binned_values<fixed_histogram> {
 public:
  /// @param max   finite and above 0
  /// @param bins  bins on each side of 0, from 1 to 65536
  explicit fixed_histogram(float max, index bins = 2048, nan_policy policy = nan_policy::fail)
      : binned_values(checked("fixed_histogram", max, bins), policy), max_(max) {}

  /// @throws fewbit::error on NaN or infinity, unless the policy is to skip them.
  void observe(const Eigen::Ref<const row_matrix<float>>& x) {
    const auto batch = detail::summarize("fixed_histogram::observe", x, policy_);
    seen_.add(batch);
    detail::for_each_finite_run(x, batch.skipped == 0, [&](const float* p, index n) {
      for (index i = 0; i < n; ++i) {
        ++counts_[bin_of(p[i])];
        clipped_ += std::abs(p[i]) > max_ ? 1 : 0;
      }
    });
  }

  /// @throws fewbit::error if max, bins or policy differ.
  void merge(const fixed_histogram& other) {
    constexpr const char* function = "fixed_histogram::merge";
    detail::expect_equal(function, "max of other", other.max_, max_);
    detail::expect_equal(function, "bins of other", other.bins(), bins());
    detail::expect_same_policy(function, policy_, other.policy_);
    seen_.add(detail::data_summary(other.seen_));
    clipped_ += other.clipped_;
    counts_.add(other.counts_);
  }

  [[nodiscard]] float max() const noexcept { return max_; }
  [[nodiscard]] double width() const noexcept { return double{max_} / static_cast<double>(bins()); }
  [[nodiscard]] std::uint64_t clipped() const noexcept { return clipped_; }

  [[nodiscard]] std::string to_text() const { return detail::text_of(*this); }

  /// @throws fewbit::error on a text that to_text() cannot have written.
  [[nodiscard]] static fixed_histogram from_text(std::string_view text) {
    return detail::parse_text<fixed_histogram>(text, "fixed_histogram::from_text");
  }

  friend bool operator==(const fixed_histogram&, const fixed_histogram&) = default;

 private:
  friend detail::text_form;
  friend binned_values;
  static constexpr const char* name = "fixed_histogram";

  void write(detail::text_writer& out) const {
    out.line("fewbit fixed_histogram 1");
    detail::write(out, policy_);
    out.bits("max", max_);
    out.field("bins", static_cast<std::uint64_t>(bins()));
    detail::write(out, seen_);
    out.field("clipped", clipped_);
    counts_.write(out);
  }

  static fixed_histogram read(detail::text_reader& in) {
    in.line("fewbit fixed_histogram 1");
    nan_policy policy{};
    detail::read(in, policy);
    const float max = checked(in.function(), in.bits<float>("max"));
    const auto bins = static_cast<index>(in.field("bins", most_bins));
    fixed_histogram made(max, checked(in.function(), bins), policy);
    detail::read(in, made.seen_);
    made.clipped_ = in.field("clipped", made.seen_.count);
    made.counts_.read(in, made.seen_, made.bin_of(made.seen_.lo), made.bin_of(made.seen_.hi));
    made.expect_clipped_fits(in.function());
    return made;
  }

  static constexpr index most_bins = 65536;

  static float checked(const char* function, float max) {
    const bool good = max > 0.0F && detail::is_finite(max);
    detail::expect(good, function, "max", max, "a finite number above 0");
    return max;
  }

  static index checked(const char* function, index bins) {
    detail::expect(bins >= 1 && bins <= most_bins, function, "bins", bins, "from 1 to 65536");
    return bins;
  }

  static index checked(const char* function, float max, index bins) {
    checked(function, max);
    return checked(function, bins);
  }

  [[nodiscard]] std::pair<index, index> used_bins() const noexcept { return {-bins(), bins()}; }

  /// The quotient is a first guess that may be off by a rounding; the edges decide.
  [[nodiscard]] index bin_of(float x) const noexcept {
    const double w = width();
    const double magnitude = std::abs(double{x});
    index k = magnitude >= double{max_} ? bins() - 1 : static_cast<index>(magnitude / w);
    while (k > 0 && static_cast<double>(k) * w > magnitude) --k;
    while (k + 1 < bins() && static_cast<double>(k + 1) * w <= magnitude) ++k;
    return x < 0.0F ? ~k : k;
  }

  void expect_clipped_fits(const char* function) const {
    const std::uint64_t ends = counts_[bins() - 1] + counts_[-bins()];
    const bool some = seen_.amax() > max_;
    detail::expect(some ? clipped_ >= 1 && clipped_ <= ends : clipped_ == 0, function, "clipped",
                   clipped_, "0 if nothing exceeds max, else at most the counts of the end bins");
  }

  float max_;
  std::uint64_t clipped_ = 0;
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE

#include "fewbit/end.hpp"
