#pragma once
/// Counts values by sign, exponent and leading mantissa bits. So bins of small values are narrower
/// than bins of large values. Private to the histogram observers, which need it for percentiles.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/calib/compact_counts.hpp"
#include "fewbit/calib/text.hpp"
#include "fewbit/core/error.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// 2^e, for -1022 <= e <= 1023.
inline double two_to_the(int e) noexcept {
  return std::bit_cast<double>(static_cast<std::uint64_t>(e + 1023) << 52U);
}

/// Octave o contains 2^(o - 149) <= |x| < 2^(o - 148). All finite floats except 0 are in octaves 0
/// to 276.
inline constexpr int octaves = 277;
inline constexpr int exponent_of_octave_0 = -149;
inline constexpr int octave_bits = 6;
inline constexpr int octave_bins = 1 << octave_bits;

/// The key of |x|: octave * 64 + the six leading bits of the mantissa. A larger |x| never has a
/// smaller key.
/// @param magnitude_bits  the bits of a finite |x| > 0, or a vector of them
template <class I>
FEWBIT_ALWAYS_INLINE I octave_key(const I& magnitude_bits) noexcept {
  constexpr int dropped = 23 - octave_bits;
  constexpr std::int32_t smallest_normal = 0x00800000;
  constexpr int bias = 127;
  // A subnormal |x| is bits * 2^-149. Converting the integer `bits` to float gives its exponent.
  const I subnormal = arch::bits_as<std::int32_t>(arch::convert<float>(magnitude_bits));
  const I key = (magnitude_bits >> I(dropped)) + I((-bias - exponent_of_octave_0) * octave_bins);
  return arch::select(magnitude_bits < I(smallest_normal),
                      (subnormal >> I(dropped)) - I(bias * octave_bins), key);
}

/// The smallest |x| with this key.
inline double edge_of_key(int key) noexcept {
  const int octave = key / octave_bins;
  return (octave_bins + key % octave_bins) *
         two_to_the(octave + exponent_of_octave_0 - octave_bits);
}

/// A bin: edge_of_key(key) <= |x| < edge_of_key(key + keys).
struct octave_bin {
  int key;
  int keys;
  std::uint64_t negative;  ///< number of values below 0
  std::uint64_t positive;  ///< number of values above 0
};

/// Counts values in the bins of their octave. An octave without a value takes no memory for bins.
/// Zeros are not counted.
///
/// | octaves that contain a value | bins on each side of 0 | width / lower edge of a bin | bytes |
/// |------------------------------|------------------------|-----------------------------|-------|
/// | the 20 highest               | 64                     | at most 1/64                | 512   |
/// | the others                   | 4                      | at most 1/4                 | 32    |
///
/// All octaves together take at most 18.5 kB, if all counts are below 2^32.
///
/// The state depends only on the multiset of values. Adding values can move an octave out of the 20
/// highest, but never back. Its 64 bins are then merged into 4, with the same counts as if it had
/// had 4 bins from the start.
class octave_counts {
 public:
  octave_counts() { begin_.fill(none); }

  /// Counts n values. `key` means values above 0, `~key` the same magnitudes below 0.
  void add(int key, std::uint64_t n) {
    find_room(octave_of(key));
    counts_.add(position(key), n);
  }

  /// Counts one value for each of n keys. Room for new octaves is made once.
  void add_ones(const std::int32_t* keys, std::size_t n) {
    const auto is_new = [&](std::int32_t key) {
      return begin_[static_cast<std::size_t>(octave_of(key))] == none;
    };
    if (std::any_of(keys, keys + n, is_new)) {
      chosen more{};
      for (std::size_t i = 0; i < n; ++i) more[static_cast<std::size_t>(octave_of(keys[i]))] = true;
      make_room(more);
    }
    for (std::size_t i = 0; i < n; ++i) counts_.add_one(position(keys[i]));
  }

  /// Adds the counts of one octave: 64 keys above 0 (`right`) and 64 keys below 0 (`left`).
  void add_octave(int octave, const std::uint32_t* right, const std::uint32_t* left) {
    find_room(octave);
    const auto begin = static_cast<std::size_t>(begin_[static_cast<std::size_t>(octave)]);
    if (is_fine(octave)) {
      counts_.add_each(begin, right, octave_bins);
      counts_.add_each(begin + octave_bins, left, octave_bins);
      return;
    }
    for (std::size_t i = 0; i < octave_bins; ++i) {
      counts_.add(begin + i / keys_of_coarse, right[i]);
      counts_.add(begin + coarse_bins + i / keys_of_coarse, left[i]);
    }
  }

  void add(const octave_counts& other) {
    chosen more{};
    for (std::size_t o = 0; o < more.size(); ++o) more[o] = other.begin_[o] != none;
    make_room(more);
    other.for_each([&](const octave_bin& b) { put(b); });
  }

  /// Calls f(octave_bin) for each bin that is not empty, in the order of ascending magnitude.
  template <class F>
  void for_each(F&& f) const {
    for (int octave = 0; octave < octaves; ++octave) {
      if (begin_[static_cast<std::size_t>(octave)] == none) continue;
      const int keys = is_fine(octave) ? 1 : keys_of_coarse;
      for (int k = octave * octave_bins; k < (octave + 1) * octave_bins; k += keys) {
        const octave_bin b{k, keys, counts_[position(~k)], counts_[position(k)]};
        if ((b.negative | b.positive) != 0) f(b);
      }
    }
  }

  [[nodiscard]] std::uint64_t total() const noexcept {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) sum += counts_[i];
    return sum;
  }

  [[nodiscard]] std::size_t bytes() const noexcept { return counts_.bytes(); }

  /// Writes a line "key count" for each bin that is not empty, in the order of ascending values.
  /// The key is the lowest key of the bin.
  void write(text_writer& out) const {
    std::vector<text_reader::key_and_value> right;
    std::vector<text_reader::key_and_value> left;
    for_each([&](const octave_bin& b) {
      if (b.positive != 0) right.push_back({b.key, b.positive});
      if (b.negative != 0) left.push_back({~b.key, b.negative});
    });
    out.field("octave_bins", left.size() + right.size());
    for (std::size_t i = left.size(); i-- != 0;) out.entry(left[i].key, left[i].value);
    for (const auto& e : right) out.entry(e.key, e.value);
  }

  /// Fills an empty object. The keys must ascend, be below `end`, be keys of floats and be the
  /// lowest keys of bins. The sum of the counts must be at most `most`.
  void read(text_reader& in, int end, std::uint64_t most) {
    const std::uint64_t filled = in.field("octave_bins", 2U * octaves * octave_bins);
    std::vector<text_reader::key_and_value> entries;
    chosen more{};
    std::int64_t previous = -std::int64_t{octaves} * octave_bins - 1;
    for (std::uint64_t i = 0; i < filled; ++i) {
      const auto e = in.entry();
      const std::int64_t key = e.key < 0 ? ~e.key : e.key;
      expect(e.key > previous && key < end && is_key(key), in, "octave bin", e.key,
             "the key of a float, above the key before and below the linear bins");
      expect(e.value != 0 && e.value <= most, in, "count of an octave bin", e.value,
             "at least 1, and in sum at most the count of the linear bins");
      previous = e.key;
      most -= e.value;
      more[static_cast<std::size_t>(key / octave_bins)] = true;
      entries.push_back(e);
    }
    make_room(more);
    for (const auto& e : entries) {
      const auto key = static_cast<int>(e.key);
      const int magnitude = key < 0 ? ~key : key;
      expect(is_fine(octave_of(key)) || magnitude % keys_of_coarse == 0, in, "octave bin", key,
             "the lowest key of a bin");
      counts_.add(position(key), e.value);
    }
  }

  friend bool operator==(const octave_counts&, const octave_counts&) = default;

 private:
  using chosen = std::array<bool, octaves>;
  static constexpr int none = -1;
  static constexpr int fine_octaves = 20;
  static constexpr int coarse_bits = 2;
  static constexpr int coarse_bins = 1 << coarse_bits;

  static constexpr int keys_of_coarse = octave_bins / coarse_bins;
  static constexpr int begin_of_coarse = 2 * fine_octaves * octave_bins;

  FEWBIT_ALWAYS_INLINE static int octave_of(int key) noexcept {
    return (key ^ (key >> 31)) >> octave_bits;
  }

  [[nodiscard]] FEWBIT_ALWAYS_INLINE bool is_fine(int octave) const noexcept {
    return begin_[static_cast<std::size_t>(octave)] < begin_of_coarse;
  }

  /// Whether a float with this key exists. Subnormal numbers have fewer mantissa bits than normal
  /// ones, so some keys of the six lowest octaves do not exist.
  static constexpr bool is_key(std::int64_t key) noexcept {
    const std::int64_t octave = key / octave_bins;
    return octave >= octave_bits || key % (octave_bins >> octave) == 0;
  }

  [[nodiscard]] FEWBIT_ALWAYS_INLINE std::size_t position(int key) const noexcept {
    const int sign = key >> 31;  // no branch, because signs are hard to predict
    const int magnitude = key ^ sign;
    const int begin = begin_[static_cast<std::size_t>(magnitude >> octave_bits)];
    const bool fine = begin < begin_of_coarse;
    const int left = sign & (fine ? octave_bins : coarse_bins);
    const int at = (magnitude & (octave_bins - 1)) >> (fine ? 0 : octave_bits - coarse_bits);
    const int place = begin + left + at;
    return static_cast<std::size_t>(place);
  }

  void put(const octave_bin& b) {
    if (b.negative != 0) counts_.add(position(~b.key), b.negative);
    if (b.positive != 0) counts_.add(position(b.key), b.positive);
  }

  FEWBIT_ALWAYS_INLINE void find_room(int octave) {
    if (begin_[static_cast<std::size_t>(octave)] != none) return;
    chosen more{};
    more[static_cast<std::size_t>(octave)] = true;
    make_room(more);
  }

  /// Gives each octave of `more` its bins. Lower octaves may then no longer be among the 20
  /// highest.
  void make_room(const chosen& more) {
    octave_counts next;
    bool changed = false;
    int begin = 0;
    for (std::size_t o = octaves; o-- != 0;) {
      if (!more[o] && begin_[o] == none) continue;
      changed = changed || begin_[o] == none;
      next.begin_[o] = static_cast<std::int16_t>(begin);
      begin += 2 * (begin < begin_of_coarse ? octave_bins : coarse_bins);
    }
    if (!changed) return;
    next.counts_ = compact_counts(static_cast<std::size_t>(begin));
    for_each([&](const octave_bin& b) { next.put(b); });
    *this = std::move(next);
  }

  std::array<std::int16_t, octaves> begin_;  // position of each octave's first bin, or none
  compact_counts counts_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
