#pragma once
/// A streaming histogram that needs no range in advance and does not depend on order.
///
/// The observer to hold when several methods are to be compared: one pass over the data, then
/// `range(method)` as often as wanted. Read next: threshold.hpp for the methods,
/// threshold_observer.hpp for an observer that is bound to one, fixed_histogram.hpp where bins must
/// equal those of another tool.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/calib/batch.hpp"
#include "fewbit/calib/histogram.hpp"
#include "fewbit/calib/mirrored_counts.hpp"
#include "fewbit/calib/observer.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// floor(log2 x) for finite x > 0, subnormal ones included: every float is a normal double.
inline int floor_log2(float x) noexcept {
  return static_cast<int>(std::bit_cast<std::uint64_t>(double{x}) >> 52U & 0x7FFU) - 1023;
}

/// 2^e, for e of a normal double.
inline double two_to_the(int e) noexcept {
  return std::bit_cast<double>(static_cast<std::uint64_t>(e + 1023) << 52U);
}

/// Counts values into bins of width 2^exponent; |x| < bins * 2^exponent must hold.
///
/// The quotient |x| / width is a product with a power of two in two steps, because 2^149 is no
/// float. Neither step can change trunc(|x| / width): results are exact unless they fall below
/// 2^-126, where the index is 0 with or without rounding.
class bin_counter {
 public:
  bin_counter(index bins, int exponent)
      : bins_(static_cast<std::int32_t>(bins)),
        first_factor_(static_cast<float>(two_to_the(std::min(-exponent, 126)))),
        second_factor_(static_cast<float>(two_to_the(std::max(-exponent - 126, 0)))) {}

  /// Position among counts of bins -bins to bins - 1; of floats or vectors of them.
  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, std::int32_t> position(const V& value) const noexcept {
    using ints = arch::rebind<V, std::int32_t>;
    const ints bits = arch::bits_as<std::int32_t>(value + V(0.0F));  // -0 becomes +0
    const V magnitude = arch::bits_as<float>(bits & ints(0x7FFFFFFF));
    const ints k = arch::convert<std::int32_t>(magnitude * V(first_factor_) * V(second_factor_));
    return (k ^ (bits >> ints(31))) + ints(bins_);  // ~k if negative
  }

  /// One by one, for short stretches.
  void count(const float* p, index n, std::vector<std::uint64_t>& counts) const noexcept {
    for (index i = 0; i < n; ++i) ++counts[static_cast<std::size_t>(position(p[i]))];
  }

  /// Four tables in turn: equal neighbours, such as the zeros behind a relu, would otherwise wait
  /// for each other's increment. 32 bits keep the tables in the first-level cache.
  void count_long(const float* p, index n, std::vector<std::uint64_t>& counts) const {
    constexpr index most = index{1} << 30;
    for (; n > most; p += most, n -= most) count_long(p, most, counts);
    const std::size_t size = counts.size();
    std::vector<std::uint32_t> tables(4 * size, 0);
    index i = 0;
    using floats = arch::vec<float, arch::native_lanes<float>>;
    for (; i + floats::lanes <= n; i += floats::lanes) {
      std::array<std::int32_t, floats::lanes> at;
      position(floats::load(p + i)).store(at.data());
      for (std::size_t l = 0; l < floats::lanes; ++l) {
        ++tables[(l % 4) * size + static_cast<std::size_t>(at[l])];
      }
    }
    for (std::size_t k = 0; k < size; ++k) {
      for (std::size_t t = 0; t < 4; ++t) counts[k] += tables[t * size + k];
    }
    count(p + i, n - i, counts);
  }

 private:
  std::int32_t bins_;
  float first_factor_;
  float second_factor_;
};

}  // namespace detail

/// Bins of a power-of-two width w, as many on each side of 0; whenever |x| reaches bins * w,
/// neighbours are merged two by two and w doubles.
///
/// The state is a function of the multiset of values alone. Width: w is the smallest power of two,
/// at least 2^-149, with max|x| < bins * w, and so depends on max|x| alone. Counts: bin k of width
/// w counts k = trunc(|x| / w), and trunc(trunc(|x| / w) / 2) = trunc(|x| / 2w), so a bin that was
/// merged holds what it would hold had the width been 2w from the start. Hence any order, any split
/// into batches and any merge of observers give the same bits.
///
/// range(method) and range() answer a range, snapshot(ends) gives the bins in use as plain data.
///
/// Memory: 16 bytes for each bin. At least half of the bins are in use unless max|x| is subnormal,
/// so w is at most 2 max|x| / bins.
class histogram_observer : public detail::binned_values<histogram_observer> {
 public:
  static constexpr index default_bins = 2048;

  /// @param bins  bins on each side of 0: a power of two from 16 to 65536.
  explicit histogram_observer(index bins = default_bins, nan_policy policy = nan_policy::fail)
      : binned_values(checked("histogram_observer", bins), policy) {}

  /// @throws fewbit::error on NaN or infinity, unless the policy is to skip them.
  void observe(const Eigen::Ref<const row_matrix<float>>& x) {
    const auto batch = detail::summarize("histogram_observer::observe", x, policy_);
    extend(batch);
    const detail::bin_counter counter(bins(), exponent());
    detail::for_each_finite_run(x, batch.skipped == 0, [&](const float* p, index n) {
      if (n < 8 * bins()) {
        counter.count(p, n, counts_.all());
      } else {
        counter.count_long(p, n, counts_.all());
      }
    });
  }

  /// @throws fewbit::error if bins or policy differ.
  void merge(const histogram_observer& other) {
    detail::expect_equal("histogram_observer::merge", "bins of other", other.bins(), bins());
    detail::expect_same_policy("histogram_observer::merge", policy_, other.policy_);
    histogram_observer aligned = other;
    aligned.counts_.coarsen(exponent() - other.exponent());
    extend(other.seen_);
    counts_.add(aligned.counts_);
  }

  [[nodiscard]] double width() const noexcept { return detail::two_to_the(exponent()); }

  [[nodiscard]] std::string to_text() const { return detail::text_of(*this); }

  /// @throws fewbit::error on a text that to_text() cannot have written.
  [[nodiscard]] static histogram_observer from_text(std::string_view text) {
    return detail::parse_text<histogram_observer>(text, "histogram_observer::from_text");
  }

  friend bool operator==(const histogram_observer&, const histogram_observer&) = default;

 private:
  friend detail::text_form;
  friend binned_values;
  static constexpr const char* name = "histogram_observer";

  void write(detail::text_writer& out) const {
    out.line("fewbit histogram_observer 1");
    detail::write(out, policy_);
    out.field("bins", static_cast<std::uint64_t>(bins()));
    detail::write(out, seen_);
    counts_.write(out);
  }

  static histogram_observer read(detail::text_reader& in) {
    in.line("fewbit histogram_observer 1");
    nan_policy policy{};
    detail::read(in, policy);
    const auto bins = static_cast<index>(in.field("bins", most_bins));
    histogram_observer made(checked(in.function(), bins), policy);
    detail::read(in, made.seen_);
    made.counts_.read(in, made.seen_, made.bin_of(made.seen_.lo), made.bin_of(made.seen_.hi));
    return made;
  }

  static constexpr index most_bins = 65536;

  static index checked(const char* function, index bins) {
    const bool good = bins >= 16 && bins <= most_bins && (bins & (bins - 1)) == 0;
    detail::expect(good, function, "bins", bins, "a power of two from 16 to 65536");
    return bins;
  }

  /// log2 of the width.
  [[nodiscard]] int exponent() const noexcept {
    constexpr int finest = -149;  // the smallest float: finer bins would not tell values apart
    const float amax = seen_.amax();
    if (amax == 0.0F) return finest;
    return std::max(finest, detail::floor_log2(amax) + 1 - std::countr_zero(unsigned_bins()));
  }

  [[nodiscard]] std::uint64_t unsigned_bins() const noexcept {
    return static_cast<std::uint64_t>(bins());
  }

  /// The bins in use: from that of the smallest value or 0 to that of the largest or 0.
  [[nodiscard]] std::pair<index, index> used_bins() const noexcept {
    return {std::min(bin_of(seen_.lo), index{0}), std::max(bin_of(seen_.hi) + 1, index{0})};
  }

  [[nodiscard]] index bin_of(float x) const noexcept {
    return detail::bin_counter(bins(), exponent()).position(x) - bins();
  }

  /// Takes in extremes and counts of new values and widens the bins to hold them.
  void extend(const detail::data_summary& more) {
    const int before = exponent();
    detail::data_summary both = seen_;
    both.add(more);
    std::swap(seen_, both);
    counts_.coarsen(exponent() - before);
  }
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE

#include "fewbit/end.hpp"
