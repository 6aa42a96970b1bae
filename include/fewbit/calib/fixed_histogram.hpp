#pragma once
/// A histogram with a range that is given in advance.
///
/// Use it to reproduce the bins of another tool or published reference values. Otherwise use
/// histogram_observer (histogram_observer.hpp): it needs no range in advance, and a wrong guess
/// cannot reduce its resolution.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "fewbit/calib/batch.hpp"
#include "fewbit/calib/histogram.hpp"
#include "fewbit/calib/mirrored_counts.hpp"
#include "fewbit/calib/observer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// `bins` bins of equal width on [0, max] and as many on [-max, 0].
///
/// Bin k counts the values with k * w <= |x| < (k + 1) * w, where w = max / bins in double. The
/// last bin on each side also counts |x| >= max. clipped() is the number of values with |x| > max.
/// The extremes are exact. All values are also counted by octave (octave_counts.hpp), for
/// percentiles.
///
/// range(method), range() and snapshot() work as in histogram_observer, but a snapshot contains all
/// bins. The state does not depend on the order of the values, on the batches or on merging.
class fixed_histogram : public detail::binned_values<fixed_histogram> {
 public:
  /// @param max   finite and above 0
  /// @param bins  number of bins on each side of 0, from 1 to 65536
  explicit fixed_histogram(float max, index bins = 2048, nan_policy policy = nan_policy::fail)
      : binned_values(checked("fixed_histogram", max, bins), policy), max_(max) {}

  /// @throws fewbit::error if x is empty, and on NaN or infinity unless the policy is to skip them
  void observe(const Eigen::Ref<const row_matrix<float>>& x) { observe({name, "observe"}, x); }

  void observe(const detail::caller& by, const Eigen::Ref<const row_matrix<float>>& x) {
    const auto batch = detail::summarize<false>(by, x, policy_).seen;
    detail::expect_room(by, seen_, batch);
    seen_.add(batch);
    detail::for_each_finite_run(x, batch.skipped == 0, [&](const float* p, index n) {
      for (index i = 0; i < n; ++i) {
        counts_.add(bin_of(p[i]), 1);
        clipped_ += std::abs(p[i]) > max_ ? 1 : 0;
        if (p[i] == 0.0F) continue;
        const int key =
            detail::octave_key(std::bit_cast<std::int32_t>(p[i]) & detail::without_sign);
        octaves_.add(p[i] < 0.0F ? ~key : key, 1);
      }
    });
  }

  /// @throws fewbit::error if max, bins or policy differ.
  void merge(const fixed_histogram& other) { merge({name, "merge"}, other); }

  void merge(const detail::caller& by, const fixed_histogram& other) {
    expect_same_settings(by, " of other", other);
    detail::expect_room(by, seen_, other.seen_);
    fixed_histogram both = *this;
    both.seen_.add(other.seen_);
    both.clipped_ += other.clipped_;
    both.counts_.add(other.counts_);
    both.octaves_.add(other.octaves_);
    *this = std::move(both);
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
    out.line("fewbit fixed_histogram 2");
    detail::write(out, policy_);
    out.bits("max", max_);
    out.field("bins", static_cast<std::uint64_t>(bins()));
    detail::write(out, seen_);
    out.field("clipped", clipped_);
    counts_.write(out);
    octaves_.write(out);
  }

  static fixed_histogram read(detail::text_reader& in) {
    in.line("fewbit fixed_histogram 2");
    nan_policy policy{};
    detail::read(in, policy);
    const float max = checked(in.function(), in.bits<float>("max"));
    const auto bins = static_cast<index>(in.field("bins", most_bins));
    in.claim_memory(detail::most_bytes_of_counts(bins));
    fixed_histogram made(max, checked(in.function(), bins), policy);
    detail::read(in, policy, made.seen_);
    made.clipped_ = in.field("clipped", made.seen_.count);
    made.read_counts(in, made.bin_of(made.seen_.lo), made.bin_of(made.seen_.hi),
                     detail::octaves * detail::octave_bins);
    made.expect_clipped_fits(in.function());
    return made;
  }

  void expect_same_settings(const detail::caller& by, const std::string& of,
                            const fixed_histogram& other) const {
    detail::expect_same(by, "max" + of, other.max_, max_);
    expect_same_bins(by, of, other);
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
  [[nodiscard]] index split_bins() const noexcept { return bins(); }

  /// The rounded quotient can be wrong by one bin. The comparison with the edges corrects it.
  [[nodiscard]] index bin_of(float x) const noexcept {
    const double w = width();
    const double magnitude = std::abs(double{x});
    index k = magnitude >= double{max_} ? bins() - 1 : static_cast<index>(magnitude / w);
    while (k > 0 && static_cast<double>(k) * w > magnitude) --k;
    while (k + 1 < bins() && static_cast<double>(k + 1) * w <= magnitude) ++k;
    return x < 0.0F ? ~k : k;
  }

  /// Fails if clipped_ contradicts the end bins, the extremes or the counts by octave.
  void expect_clipped_fits(const char* function) const {
    const bool right = seen_.hi > max_;
    const bool left = seen_.lo < -max_;
    std::uint64_t least = (right ? 1U : 0U) + (left ? 1U : 0U);
    const std::uint64_t in_end_bins =
        (right ? counts_[bins() - 1] : 0) + (left ? counts_[-bins()] : 0);
    std::uint64_t beyond = 0;
    std::uint64_t most = 0;
    octaves_.for_each([&](const detail::octave_bin& b) {
      const std::uint64_t n = b.positive + b.negative;
      if (detail::edge_of_key(b.key) > double{max_}) beyond += n;
      if (detail::edge_of_key(b.key + b.keys) > double{max_}) most += n;
    });
    least = std::max(least, beyond);
    most = std::min(most, in_end_bins);
    detail::expect(clipped_ >= least && clipped_ <= most, function, "clipped", clipped_,
                   "0 if nothing exceeds max, else at most the counts of the end bins");
  }

  float max_;
  std::uint64_t clipped_ = 0;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
