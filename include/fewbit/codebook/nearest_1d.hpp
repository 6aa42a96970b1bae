#pragma once
/// The nearest of some numbers, by a binary search among the midpoints of neighbours.
///
/// Read next: codebook/nearest.hpp (any dimension; it calls this one), codebook/kmeans_1d.hpp.

#include "fewbit/begin.hpp"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// A number and its position in one word. Words are ordered by number, where -0 equals +0, then by
/// position.
inline std::uint64_t sortable_word(float x, index position) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(without_minus_zero(x));
  const std::uint32_t key = bits ^ ((bits >> 31) != 0 ? 0xFFFFFFFFU : 0x80000000U);
  return (std::uint64_t{key} << 32) | static_cast<std::uint64_t>(position);
}
inline float value_of(std::uint64_t word) noexcept {
  const auto key = static_cast<std::uint32_t>(word >> 32);
  return std::bit_cast<float>(key ^ ((key >> 31) != 0 ? 0x80000000U : 0xFFFFFFFFU));
}
inline std::size_t position_of(std::uint64_t word) noexcept { return word & 0xFFFFFFFFU; }

/// Radix sort by the upper 32 bits, 11 bits at a time. Equal numbers keep their order.
inline void sort_by_value(std::vector<std::uint64_t>& words) {
  constexpr int digit_bits = 11;
  constexpr std::size_t digits = std::size_t{1} << digit_bits;
  std::vector<std::uint64_t> other(words.size());
  for (int shift = 32; shift < 64; shift += digit_bits) {
    std::vector<std::size_t> place(digits + 1, 0);
    for (const std::uint64_t w : words) ++place[((w >> shift) & (digits - 1)) + 1];
    for (std::size_t i = 1; i < digits; ++i) place[i] += place[i - 1];
    for (const std::uint64_t w : words) other[place[(w >> shift) & (digits - 1)]++] = w;
    words.swap(other);
  }
}

}  // namespace detail

/// Numbers in ascending order with their original positions. Only the first of
/// equal numbers is kept.
class sorted_centroids {
 public:
  /// @param centroids  at least one, all finite
  explicit sorted_centroids(const std::vector<float>& centroids) {
    std::vector<std::uint64_t> words;
    words.reserve(centroids.size());
    for (const float c : centroids) {
      words.push_back(detail::sortable_word(c, static_cast<index>(words.size())));
    }
    detail::sort_by_value(words);
    float last = 0.0F;
    for (const std::uint64_t word : words) {
      const float value = detail::value_of(word);
      if (!number_.empty() && value == last) continue;
      const auto number = static_cast<std::int32_t>(detail::position_of(word));
      if (!number_.empty()) {
        // A number on the midpoint goes to the lower number of the two: no float lies between a
        // float and the double below it.
        const double middle = midpoint(last, value);
        const bool to_upper = number < number_.back();
        middle_.push_back(
            to_upper ? std::nextafter(middle, -std::numeric_limits<double>::infinity()) : middle);
      }
      number_.push_back(number);
      last = value;
    }
  }

  /// (a + b) / 2 in double: exact unless one number is 2^28 times the other.
  [[nodiscard]] static double midpoint(float a, float b) noexcept {
    return (double{a} + double{b}) / 2;
  }

  /// The number of the nearest centroid. A midpoint belongs to the centroid of the lower number.
  [[nodiscard]] std::int32_t nearest(float x) const noexcept {
    const double* below = middle_.data();
    for (std::size_t n = middle_.size(); n > 0;) {
      const std::size_t half = (n + 1) / 2;
      below = below[half - 1] < double{x} ? below + half : below;
      n -= half;
    }
    return number_[static_cast<std::size_t>(below - middle_.data())];
  }

  /// The place, in ascending order, of the centroid nearest to x. It must be `place` or later.
  [[nodiscard]] std::size_t advance_to_nearest(std::size_t place, float x) const noexcept {
    while (place < middle_.size() && middle_[place] < double{x}) ++place;
    return place;
  }
  /// The original position of the centroid at a place.
  [[nodiscard]] std::int32_t number(std::size_t place) const noexcept { return number_[place]; }

 private:
  std::vector<std::int32_t> number_;
  std::vector<double> middle_;  // between neighbours
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
