#pragma once
/// A streaming histogram that needs no range in advance. The order of the values does not matter.
///
/// Use it to compare several methods: pass the data once, then call `range(method)` for each of
/// them. Read next: threshold.hpp for the methods, threshold_observer.hpp for an observer with a
/// fixed method, fixed_histogram.hpp to reproduce the bins of another tool.

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

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// floor(log2 x) for finite x > 0. Subnormal floats are allowed, because they are normal doubles.
inline int floor_log2(float x) noexcept {
  return static_cast<int>(std::bit_cast<std::uint64_t>(double{x}) >> 52U & 0x7FFU) - 1023;
}

/// Counts values in bins of width 2^exponent. Requires |x| < bins * 2^exponent. Values with
/// |x| < 64 widths (small values) are also counted by octave. Each bin of an octave lies inside one
/// bin of that width.
///
/// The quotient |x| / width is computed as |x| * 2^-exponent, with two factors, because 2^149 is
/// larger than the largest float. Rounding cannot change trunc(|x| / width): a product is exact
/// unless it is below 2^-126, and then the index is 0 in any case.
class bin_counter {
 public:
  bin_counter(index bins, int exponent)
      : bins_(static_cast<std::int32_t>(bins)),
        exponent_(exponent),
        first_factor_(static_cast<float>(two_to_the(std::min(-exponent, 126)))),
        second_factor_(static_cast<float>(two_to_the(std::max(-exponent - 126, 0)))),
        end_of_small_(exponent + octave_bits > 127 ? infinity_bits
                                                   : bits_of(two_to_the(exponent + octave_bits))) {}

  /// The bin, from -bins to bins - 1, for a float or a vector of floats. The sign is tested in
  /// integer bits, because flags such as -ffast-math allow the compiler to replace -0 by +0.
  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, std::int32_t> bin_of(const V& value) const noexcept {
    const auto bits = arch::bits_as<std::int32_t>(value);
    const auto magnitude = magnitude_of(bits);
    const V quotient = arch::bits_as<float>(magnitude) * V(first_factor_) * V(second_factor_);
    return arch::convert<std::int32_t>(quotient) ^ below_zero(bits, magnitude);
  }

  /// Counts n values without temporary tables. For short runs.
  void count(const float* p, index n, mirrored_counts& counts, octave_counts& by_octave) const {
    using floats = arch::vec<float, arch::native_lanes<float>>;
    constexpr index piece = 16 * floats::lanes;
    std::array<std::int32_t, piece> bins;
    std::array<std::int32_t, piece> keys;
    for (; n > 0; p += piece, n -= piece) {
      const index length = std::min(n, piece);
      std::size_t small = 0;
      index i = 0;
      for (; i + floats::lanes <= length; i += floats::lanes) {
        small = sort<floats>(p + i, bins.data() + i, keys.data(), small);
      }
      for (; i < length; ++i) small = sort<float>(p + i, bins.data() + i, keys.data(), small);
      for (index j = 0; j < length; ++j) counts.add_one(bins[static_cast<std::size_t>(j)]);
      by_octave.add_ones(keys.data(), small);
    }
  }

  /// Counts n values with temporary tables. For long runs.
  ///
  /// A small value is first counted by octave alone. add_octave() then adds the octave's counts to
  /// the linear bins. The other values use four tables in turn. With one table, the increments of
  /// equal neighbours, such as zeros after a ReLU, would depend on each other. The tables have
  /// 32-bit counts, so that they fit into the L1 cache.
  ///
  /// @param least_bits  a lower bound of the bits of the smallest |x| > 0
  void count_long(const float* p, index n, std::int32_t least_bits, mirrored_counts& counts,
                  octave_counts& by_octave) const {
    constexpr index most = index{1} << 30;
    for (; n > most; p += most, n -= most) count_long(p, most, least_bits, counts, by_octave);
    const std::int32_t size = 2 * bins_;
    const int end = std::min(exponent_ - exponent_of_octave_0 + octave_bits, octaves);
    const int first = least_bits < end_of_small_ ? octave_key(least_bits) / octave_bins : end;
    const std::int32_t keys = (end - first) * octave_bins;
    std::vector<std::uint32_t> tables(static_cast<std::size_t>(4 * size + 2 * keys), 0);
    const index counted = fill(p, n, first * octave_bins - 4 * size, keys, tables.data());
    add_tables(tables.data(), counts);
    const std::uint32_t* right = tables.data() + 4 * size;
    for (int octave = first; octave < end; ++octave, right += octave_bins) {
      add_octave(octave, right, right + keys, counts, by_octave);
    }
    count(p + counted, n - counted, counts, by_octave);
  }

 private:
  static std::int32_t bits_of(double x) noexcept {
    return std::bit_cast<std::int32_t>(static_cast<float>(x));
  }

  template <class I>
  FEWBIT_ALWAYS_INLINE static I magnitude_of(const I& bits) noexcept {
    return bits & I(without_sign);
  }

  /// -1 if the value is below 0, else 0. -0 is not below 0.
  template <class I>
  FEWBIT_ALWAYS_INLINE static I below_zero(const I& bits, const I& magnitude) noexcept {
    return (bits & (I(0) - magnitude)) >> I(31);
  }

  template <class V>
  struct sorted {
    arch::rebind<V, std::int32_t> bin;
    arch::rebind<V, std::int32_t> key;       // valid only if small
    arch::rebind<V, std::int32_t> is_small;  // -1 or 0
    arch::rebind<V, std::int32_t> is_below_zero;
  };

  template <class V>
  FEWBIT_ALWAYS_INLINE sorted<V> sort(const V& value) const noexcept {
    using ints = arch::rebind<V, std::int32_t>;
    const ints bits = arch::bits_as<std::int32_t>(value);
    const ints magnitude = magnitude_of(bits);
    const ints above_zero = ints(0) - magnitude;
    const ints below_end = magnitude - ints(end_of_small_);
    return {bin_of(value), octave_key(magnitude), (above_zero & below_end) >> ints(31),
            below_zero(bits, magnitude)};
  }

  /// Writes the bins of one V of values to `bins`, and the signed keys of the small values to
  /// `keys` from position `small` on.
  /// @return the new number of keys
  template <class V>
  FEWBIT_ALWAYS_INLINE std::size_t sort(const float* p, std::int32_t* bins, std::int32_t* keys,
                                        std::size_t small) const noexcept {
    using ints = arch::rebind<V, std::int32_t>;
    constexpr std::size_t lanes = sizeof(V) / sizeof(std::int32_t);
    std::array<std::int32_t, lanes> key;
    std::array<std::int32_t, lanes> is_small;
    const sorted<V> s = sort(arch::load<V>(p));
    arch::store(bins, s.bin);
    arch::store(key.data(), ints(s.key ^ s.is_below_zero));
    arch::store(is_small.data(), s.is_small);
    for (std::size_t l = 0; l < lanes; ++l) {
      keys[small] = key[l];
      small += is_small[l] != 0 ? 1 : 0;
    }
    return small;
  }

  /// Fills four tables of linear bins, then two tables of `keys` keys: above 0 and below 0.
  /// @param shift  the position of a key above 0 is key - shift
  /// @return the number of counted values, a multiple of the vector length
  index fill(const float* p, index n, std::int32_t shift, std::int32_t keys,
             std::uint32_t* tables) const noexcept {
    using floats = arch::vec<float, arch::native_lanes<float>>;
    using ints = arch::rebind<floats, std::int32_t>;
    ints base;
    for (int l = 0; l < floats::lanes; ++l) base.set(l, l % 4 * 2 * bins_ + bins_);
    index i = 0;
    for (; i + floats::lanes <= n; i += floats::lanes) {
      const sorted<floats> s = sort(floats::load(p + i));
      const ints at_key = s.key - ints(shift) + (s.is_below_zero & ints(keys));
      std::array<std::int32_t, floats::lanes> at;
      arch::select(s.is_small, at_key, s.bin + base).store(at.data());
      for (const std::int32_t a : at) ++tables[a];
    }
    return i;
  }

  /// Adds the four tables to `counts`. A sum is at most 2^30.
  void add_tables(std::uint32_t* tables, mirrored_counts& counts) const {
    using words = arch::vec<std::uint32_t, 8>;  // there are 32 bins or more
    const std::int32_t size = 2 * bins_;
    for (std::int32_t i = 0; i < size; i += words::lanes) {
      words sum = words::load(tables + i);
      for (std::int32_t t = 1; t < 4; ++t) sum += words::load(tables + t * size + i);
      sum.store(tables + i);
    }
    counts.add_each(tables);
  }

  /// Adds the counts of one octave to `by_octave`, and to the linear bins that contain its keys.
  void add_octave(int octave, const std::uint32_t* right, const std::uint32_t* left,
                  mirrored_counts& counts, octave_counts& by_octave) const {
    std::uint64_t n_right = 0;
    std::uint64_t n_left = 0;
    for (int i = 0; i < octave_bins; ++i) {
      n_right += right[i];
      n_left += left[i];
    }
    if ((n_right | n_left) == 0) return;
    by_octave.add_octave(octave, right, left);
    const int widths_exponent = octave + exponent_of_octave_0 - exponent_;
    if (widths_exponent <= 0) {
      const index k = widths_exponent == 0 ? 1 : 0;
      counts.add(k, n_right);
      counts.add(~k, n_left);
      return;
    }
    for (int i = 0; i < octave_bins; ++i) {
      const index k = (octave_bins + i) >> (octave_bits - widths_exponent);
      counts.add(k, right[i]);
      counts.add(~k, left[i]);
    }
  }

  std::int32_t bins_;
  int exponent_;
  float first_factor_;
  float second_factor_;
  std::int32_t end_of_small_;
};

}  // namespace detail

/// `bins` bins of width w on each side of 0. w is a power of two. When a value with |x| >= bins * w
/// arrives, pairs of neighbouring bins are merged and w doubles, until the value fits.
///
/// The state depends only on the multiset of values:
/// - Width: w is the smallest power of two, at least 2^-149, with max|x| < bins * w. So w depends
///   only on max|x|.
/// - Counts: bin k counts the values with trunc(|x| / w) = k. Since
///   trunc(trunc(|x| / w) / 2) = trunc(|x| / 2w), merging two bins gives the same count as a
///   histogram that had width 2w from the start.
/// - Counts by octave: when w doubles, an octave can fall below 64 widths. It then has 64 or more
///   linear bins, and its counts are copied from them.
///
/// So any order, any split into batches and any merge of observers give the same bits.
///
/// Small values, with |x| < 64 w, are also counted by octave (octave_counts.hpp). So a single
/// outlier does not reduce the resolution of the percentiles of the other values.
///
/// range() and range(method) return a range. snapshot(ends) returns the bins in use as plain data.
///
/// At least half of the bins are in use, unless max|x| is subnormal. So w is at most
/// 2 max|x| / bins. Memory:
///
/// | part                                       | bytes         |
/// |--------------------------------------------|---------------|
/// | each of the `bins`                         | 8             |
/// | each bin that reaches 2^32 values          | 8 more        |
/// | counts by octave                           | at most 19 kB |
/// | total with 2048 bins, counts below 2^32    | at most 36 kB |
class histogram_observer : public detail::binned_values<histogram_observer> {
 public:
  static constexpr index default_bins = 2048;

  /// @param bins  number of bins on each side of 0, a power of two from 16 to 65536
  explicit histogram_observer(index bins = default_bins, nan_policy policy = nan_policy::fail)
      : histogram_observer(detail::caller{name}, bins, policy) {}

  /// The same, for an observer that contains this one. Errors name `by`.
  histogram_observer(const detail::caller& by, index bins, nan_policy policy)
      : binned_values(checked(by.name().c_str(), bins), policy) {}

  /// @throws fewbit::error if x is empty, and on NaN or infinity unless the policy is to skip them
  void observe(const Eigen::Ref<const row_matrix<float>>& x) { observe({name, "observe"}, x); }

  void observe(const detail::caller& by, const Eigen::Ref<const row_matrix<float>>& x) {
    const auto batch = detail::summarize<true>(by, x, policy_);
    detail::expect_room(by, seen_, batch.seen);
    extend(batch.seen);
    const detail::bin_counter counter(bins(), exponent());
    detail::for_each_finite_run(x, batch.seen.skipped == 0, [&](const float* p, index n) {
      if (n < 2 * bins()) {
        counter.count(p, n, counts_, octaves_);
      } else {
        counter.count_long(p, n, batch.least_bits, counts_, octaves_);
      }
    });
  }

  /// @throws fewbit::error if bins or policy differ.
  void merge(const histogram_observer& other) { merge({name, "merge"}, other); }

  void merge(const detail::caller& by, const histogram_observer& other) {
    expect_same_settings(by, " of other", other);
    detail::expect_room(by, seen_, other.seen_);
    histogram_observer aligned = other;
    histogram_observer both = *this;
    aligned.widen(exponent() - other.exponent());
    both.extend(other.seen_);
    both.counts_.add(aligned.counts_);
    both.octaves_.add(aligned.octaves_);
    *this = std::move(both);
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
    out.line("fewbit histogram_observer 2");
    detail::write(out, policy_);
    out.field("bins", static_cast<std::uint64_t>(bins()));
    detail::write(out, seen_);
    counts_.write(out);
    octaves_.write(out);
  }

  static histogram_observer read(detail::text_reader& in) {
    in.line("fewbit histogram_observer 2");
    nan_policy policy{};
    detail::read(in, policy);
    const auto bins = static_cast<index>(in.field("bins", most_bins));
    in.claim_memory(detail::most_bytes_of_counts(bins));
    histogram_observer made(checked(in.function(), bins), policy);
    detail::read(in, policy, made.seen_);
    const int key_end = (made.exponent() + detail::octave_bits - detail::exponent_of_octave_0) *
                        detail::octave_bins;
    made.read_counts(in, made.bin_of(made.seen_.lo), made.bin_of(made.seen_.hi),
                     std::min(key_end, detail::octaves * detail::octave_bins));
    return made;
  }

  void expect_same_settings(const detail::caller& by, const std::string& of,
                            const histogram_observer& other) const {
    expect_same_bins(by, of, other);
  }

  static constexpr index most_bins = 65536;

  static index checked(const char* function, index bins) {
    const bool good = bins >= 16 && bins <= most_bins && (bins & (bins - 1)) == 0;
    detail::expect(good, function, "bins", bins, "a power of two from 16 to 65536");
    return bins;
  }

  /// log2 of the width.
  [[nodiscard]] int exponent() const noexcept { return exponent_for(seen_.amax()); }

  [[nodiscard]] int exponent_for(float amax) const noexcept {
    constexpr int finest = -149;  // the smallest float: no smaller width is useful
    if (amax == 0.0F) return finest;
    return std::max(finest, detail::floor_log2(amax) + 1 - std::countr_zero(unsigned_bins()));
  }

  [[nodiscard]] std::uint64_t unsigned_bins() const noexcept {
    return static_cast<std::uint64_t>(bins());
  }

  /// The bins in use as {first, last + 1}: from the bin of min(lo, 0) to the bin of max(hi, 0).
  [[nodiscard]] std::pair<index, index> used_bins() const noexcept {
    return {std::min(bin_of(seen_.lo), index{0}), std::max(bin_of(seen_.hi) + 1, index{0})};
  }

  /// The number of bins below 64 widths, on each side of 0.
  [[nodiscard]] index split_bins() const noexcept {
    return std::min(bins(), index{detail::octave_bins});
  }

  [[nodiscard]] index bin_of(float x) const noexcept {
    return detail::bin_counter(bins(), exponent()).bin_of(x);
  }

  /// Adds the summary of new values and widens the bins so that these values fit.
  void extend(const detail::data_summary& more) {
    widen(exponent_for(more.amax()) - exponent());
    seen_.add(detail::data_summary(more));
  }

  /// Merges each 2^doublings neighbouring bins into one. Bins that fall below 64 widths are also
  /// counted by octave.
  void widen(int doublings) {
    if (doublings <= 0) return;
    auto by_octave = octaves_;
    const index small_end = doublings < 16 ? index{detail::octave_bins} << doublings : bins();
    for (index k = detail::octave_bins; k < std::min(small_end, bins()); ++k) {
      const std::uint64_t right = counts_[k];
      const std::uint64_t left = counts_[~k];
      if ((right | left) == 0) continue;
      const int octave = detail::floor_log2(static_cast<float>(k));
      const auto bin = static_cast<int>(k >> (octave - detail::octave_bits)) - detail::octave_bins;
      const int key =
          (exponent() + octave - detail::exponent_of_octave_0) * detail::octave_bins + bin;
      if (right != 0) by_octave.add(key, right);
      if (left != 0) by_octave.add(~key, left);
    }
    counts_ = counts_.coarsened(doublings);
    octaves_ = std::move(by_octave);
  }
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
