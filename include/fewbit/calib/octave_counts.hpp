#pragma once
/// Counts of values by sign, exponent and leading mantissa bits: bins as fine for small values as
/// for large ones. Private to the histogram observers, whose percentiles need them.

#include "fewbit/begin.hpp"

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

/// 2^e, for e of a normal double.
inline double two_to_the(int e) noexcept {
  return std::bit_cast<double>(static_cast<std::uint64_t>(e + 1023) << 52U);
}

/// Octave o holds 2^(o - 149) <= |x| < 2^(o - 148): all floats but 0 are in octaves 0 to 276.
inline constexpr int octaves = 277;
inline constexpr int exponent_of_octave_0 = -149;
inline constexpr int octave_bits = 6;
inline constexpr int octave_bins = 1 << octave_bits;

/// The key of |x|: octave * 64 plus the six leading bits of the mantissa. Keys ascend with |x|.
/// Takes the bits of a finite |x| > 0, one or a vector of them.
template <class I>
FEWBIT_ALWAYS_INLINE I octave_key(const I& magnitude_bits) noexcept {
  constexpr int dropped = 23 - octave_bits;
  constexpr std::int32_t smallest_normal = 0x00800000;
  constexpr int bias = 127;
  // The bits of a subnormal number count units of 2^-149; as a float they have an exponent.
  const I subnormal = arch::bits_as<std::int32_t>(arch::convert<float>(magnitude_bits));
  const I key = (magnitude_bits >> I(dropped)) + I((-bias - exponent_of_octave_0) * octave_bins);
  return arch::select(magnitude_bits < I(smallest_normal),
                      (subnormal >> I(dropped)) - I(bias * octave_bins), key);
}

/// The smallest |x| of a key.
inline double edge_of_key(int key) noexcept {
  const int octave = key / octave_bins;
  return (octave_bins + key % octave_bins) *
         two_to_the(octave + exponent_of_octave_0 - octave_bits);
}

/// A bin of the table: |x| from the edge of `key` to that of `key + keys`.
struct octave_bin {
  int key;
  int keys;
  std::uint64_t negative;  ///< how many are below 0
  std::uint64_t positive;
};

/// The 20 highest octaves that hold a value have 64 bins on each side of 0. Such a bin is at most
/// 1/64 of its edge wide. The others have 4 bins, at most 1/4 wide. Zeros are not counted.
///
/// The state is a function of the multiset of values alone: an octave can only fall in rank while
/// values are added, and four bins hold what 64 would hold merged.
///
/// Memory: 512 bytes for each of the 20, 32 for each other: at most 18.5 kB below 2^32 values.
class octave_counts {
 public:
  octave_counts() { begin_.fill(none); }

  /// `key` stands for a value above 0, `~key` for its negative.
  void add(int key, std::uint64_t n) {
    find_room(octave_of(key));
    counts_.add(position(key), n);
  }

  FEWBIT_ALWAYS_INLINE void add_one(int key) {
    find_room(octave_of(key));
    counts_.add_one(position(key));
  }

  /// 64 counts on each side of 0, of the keys of one octave.
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

  /// Calls f(octave_bin) for each bin that holds a value, by ascending magnitude.
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

  /// "key count" for each bin with its lowest key, in the order of values.
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

  /// Fills an empty one. Accepts ascending keys below `end` that floats can have, those of whole
  /// bins alone, and counts that add up to at most `most`.
  void read(text_reader& in, int end, std::uint64_t most) {
    const std::uint64_t filled = in.field("octave_bins", 2U * octaves * octave_bins);
    std::vector<text_reader::key_and_value> entries;
    chosen more{};
    std::int64_t previous = -std::int64_t{octaves} * octave_bins - 1;
    for (std::uint64_t i = 0; i < filled; ++i) {
      const auto e = in.entry();
      const std::int64_t key = e.key < 0 ? ~e.key : e.key;
      expect(e.key > previous && key < end && is_key(key), in.function(), "octave bin", e.key,
             "the key of a float, above the key before and below the linear bins");
      expect(e.value != 0 && e.value <= most, in.function(), "count of an octave bin", e.value,
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
      expect(is_fine(octave_of(key)) || magnitude % keys_of_coarse == 0, in.function(),
             "octave bin", key, "the lowest key of a bin");
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

  /// Whether a float has that key: a subnormal number has fewer bits.
  static constexpr bool is_key(std::int64_t key) noexcept {
    const std::int64_t octave = key / octave_bins;
    return octave >= octave_bits || key % (octave_bins >> octave) == 0;
  }

  [[nodiscard]] FEWBIT_ALWAYS_INLINE std::size_t position(int key) const noexcept {
    const int sign = key >> 31;  // no branch: signs are hard to predict
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

  /// Gives each of the octaves a place, which moves the lower ones down in rank.
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

  std::array<std::int16_t, octaves> begin_;  // of the bins of each octave that holds a value
  compact_counts counts_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
