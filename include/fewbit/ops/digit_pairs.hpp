#pragma once
/// Functions of two 8-bit codes that are rounded sums, by three products of bytes.
///
///     y = clamp((A * a + B * b + c) >> (F + 7 + s)),  A = (A_0 * 2^7 + A_1) * 2^s + A_2
///
/// The digits A_0, A_1, A_2 of A, and those of B, are bytes, so one vpmaddubsw gives the sums
/// L_i = A_i * a + B_i * b of a register of pairs in int16. The last digit counts first:
///
///     t = (L_2 + c_2) >> s,  u = (L_1 + t) >> 7,  y = clamp((L_0 + c_0 + u) >> F)
///
/// That is the formula exactly, as long as no sum in int16 overflows; `fit` chooses digits for
/// which none does. Only L_0 + c_0 + u may saturate, which happens far beyond all codes.
///
/// The factors have 21 bits after the point, or 20. Results for all 65,536 pairs are checked, as in
/// ops/linear_pairs.hpp, which has 30 bits and needs twice as many instructions. Where a library
/// rounds ties away from zero, negative sums are one unit of L_0 lower.
/// Read next: ops/add.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "fewbit/arch/code_pairs.hpp"
#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/products.hpp"
#include "fewbit/ops/code_blocks.hpp"
#include "fewbit/ops/linear_pairs.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// @tparam Subtracts  the factor of b is negative
template <ByteCode T, bool Subtracts>
class digit_pairs {
 public:
  /// Searches for a formula with A close to a_factor * 2^(F + 7 + s), B close to that of b.
  ///
  /// @param a_factor, b_factor  absolute values
  /// @param results  of all pairs of codes from the lowest, those of one a beside one another
  /// @return whether there is one; operator() needs it
  [[nodiscard]] bool fit(double a_factor, double b_factor, std::int32_t a_zero, std::int32_t b_zero,
                         std::int32_t y_zero, const code_bounds& bounds,
                         const T* results) noexcept {
    // The loop reads a - offset, and b - offset or its complement.
    zeros_[0] = a_zero - offset;
    zeros_[1] = Subtracts ? -1 - (b_zero - offset) : b_zero - offset;
    int places = 7;  // with more, a saturated sum could mean a code
    const double offset_of_sum = a_factor * zeros_[0] + b_factor * zeros_[1] - y_zero;
    while (places > least_places &&
           (std::ldexp(a_factor + b_factor, places) > largest_digits ||
            std::ldexp(std::abs(offset_of_sum), places) > largest_offset)) {
      --places;
    }
    return fit_digits(a_factor, b_factor, places, 7, bounds, results) ||
           fit_digits(a_factor, b_factor, places, 6, bounds, results) ||
           fit_neighbours(a_factor, b_factor, places, bounds, results);
  }

  /// y[i] for `count` pairs.
  void operator()(index count, const code_bounds& bounds, const T* a, const T* b,
                  T* y) const noexcept {
    using limits = std::numeric_limits<T>;
    if (has_signs_) {
      run<true, true>(count, bounds, a, b, y);
    } else if (bounds.lowest == limits::min() && bounds.highest == limits::max()) {
      run<false, false>(count, bounds, a, b, y);
    } else {
      run<false, true>(count, bounds, a, b, y);
    }
  }

 private:
  static constexpr int offset = std::is_signed_v<T> ? 0 : 128;
  static constexpr int middle_bits = 7;
  static constexpr int least_places = 3;
  /// Two digits that add up to it give sums of -128 * 254 to 127 * 254, and the carry fits as well.
  static constexpr int largest_digits = 254;

  /// c_0 fits int16, and half a code is added to it.
  static constexpr double largest_offset = 32000.0;

  static constexpr int lanes = codes_at_once;
  using bytes = arch::vec<std::int8_t, lanes>;
  using digits = arch::vec<std::uint8_t, lanes>;
  using sums = arch::vec<std::int16_t, lanes / 2>;

  bool fit_digits(double a_factor, double b_factor, int places, int last, const code_bounds& bounds,
                  const T* results) noexcept {
    places_ = places;
    last_bits_ = last;
    return fit_steps(step_of(a_factor), step_of(b_factor), bounds, results);
  }

  /// Tries factors beside the nearest ones, which miss one or two pairs of codes in some cases.
  bool fit_neighbours(double a_factor, double b_factor, int places, const code_bounds& bounds,
                      const T* results) noexcept {
    places_ = places;
    last_bits_ = 7;
    for (const int i : {0, -1, 1}) {
      for (const int j : {0, -1, 1}) {
        if ((i != 0 || j != 0) &&
            fit_steps(step_of(a_factor) + i, step_of(b_factor) + j, bounds, results)) {
          return true;
        }
      }
    }
    return false;
  }

  [[nodiscard]] std::int64_t step_of(double factor) const noexcept {
    return std::llrint(std::ldexp(factor, places_ + middle_bits + last_bits_));
  }

  /// Searches for c with these A and B.
  bool fit_steps(std::int64_t a, std::int64_t b, const code_bounds& bounds,
                 const T* results) noexcept {
    if (a < 0 || b < 0) return false;
    split(a, 0);
    split(b, 1);
    if (digits_[0][0] + digits_[0][1] > largest_digits) return false;
    const auto a_step = static_cast<std::int32_t>(a), b_step = static_cast<std::int32_t>(b);
    const std::int32_t unit = 1 << (middle_bits + last_bits_);
    offset_interval positive, negative;
    find_offsets(a_step, b_step, bounds, results, positive, negative);
    if (positive.is_empty() || negative.is_empty()) return false;
    offset_interval both = positive;
    both.keep(negative);
    has_signs_ = both.is_empty();
    if (has_signs_) {
      both = positive;
      both.keep({negative.least + unit, negative.most + unit});
    }
    return !both.is_empty() && split_offset(both, unit);
  }

  void split(std::int64_t x, int side) noexcept {
    const int low_bits = middle_bits + last_bits_;
    digits_[0][side] = static_cast<int>(x >> low_bits);
    digits_[1][side] = static_cast<int>(x >> last_bits_ & ((1 << middle_bits) - 1));
    digits_[2][side] = static_cast<int>(x & ((1 << last_bits_) - 1));
  }

  /// The offsets c with which all sums, and all negative ones, give their results. All numbers are
  /// below 2^31: |A * a + B * b| < 2^30, and a result is at most 2^28.
  void find_offsets(std::int32_t a_step, std::int32_t b_step, const code_bounds& bounds,
                    const T* results, offset_interval& positive,
                    offset_interval& negative) const noexcept {
    constexpr std::int32_t least = -(std::int32_t{1} << 30), most = std::int32_t{1} << 30;
    const std::int32_t one = 1 << (places_ + middle_bits + last_bits_);
    // In the units of sums, without their zero points.
    const std::int64_t zero = std::int64_t{a_step} * zeros_[0] + std::int64_t{b_step} * zeros_[1];
    const auto negative_below = static_cast<std::int32_t>(
        std::clamp<std::int64_t>(zero, 2 * std::int64_t{least} + 1, most));
    const int lowest = bounds.lowest - offset, highest = bounds.highest - offset;
    std::int32_t of_least[2] = {least, least}, of_most[2] = {most, most};
    for (int i = 0; i < 256; ++i) {
      std::int32_t positive_least = least, positive_most = most;
      std::int32_t negative_least = least, negative_most = most;
      for (int j = 0; j < 256; ++j) {
        const std::int32_t sum = a_step * (i - 128) + b_step * (Subtracts ? 127 - j : j - 128);
        const std::int32_t code = results[256 * i + j] - offset;
        const std::int32_t from = code > lowest ? code * one - sum : least;
        const std::int32_t to = code < highest ? (code + 1) * one - 1 - sum : most;
        const bool is_negative = sum < negative_below;
        positive_least = std::max(positive_least, is_negative ? least : from);
        positive_most = std::min(positive_most, is_negative ? most : to);
        negative_least = std::max(negative_least, is_negative ? from : least);
        negative_most = std::min(negative_most, is_negative ? to : most);
      }
      of_least[0] = std::max(of_least[0], positive_least);
      of_most[0] = std::min(of_most[0], positive_most);
      of_least[1] = std::max(of_least[1], negative_least);
      of_most[1] = std::min(of_most[1], negative_most);
      if (of_least[0] > of_most[0] || of_least[1] > of_most[1]) break;
    }
    positive = {of_least[0], of_most[0]};
    negative = {of_least[1], of_most[1]};
  }

  /// Splits an offset of the interval into c_0 and c_2, so that L_2 + c_2 and c_0 fit int16.
  bool split_offset(const offset_interval& offsets, std::int64_t unit) noexcept {
    using limits = std::numeric_limits<std::int16_t>;
    const int last = digits_[2][0] + digits_[2][1];
    const std::int64_t least = limits::min() + 128 * last, most = limits::max() - 127 * last;
    const std::int64_t middle = offsets.middle();
    std::int64_t high = (middle - least) >> (middle_bits + last_bits_);
    std::int64_t low = middle - high * unit;  // least to least + unit - 1
    if (low > most) {
      low = most;
      if (high * unit + low < offsets.least) {
        ++high;
        low = least;
        if (high * unit + low > offsets.most) return false;
      }
    }
    if (high < limits::min() || high > limits::max()) return false;
    first_offset_ = static_cast<std::int16_t>(high);
    last_offset_ = static_cast<std::int16_t>(low);
    // A sum of 0 with its offset, in units of L_0. It is half a code above the least sum of its
    // result, so pairs whose sums round to the other side of it have the same result.
    const std::int64_t zero = offsets.middle() + sum_of_zeros();
    const std::int64_t units = zero >> (middle_bits + last_bits_);
    if (has_signs_ && (units < limits::min() || units > limits::max())) return false;
    zero_ =
        static_cast<std::int16_t>(std::clamp<std::int64_t>(units, limits::min(), limits::max()));
    return true;
  }

  /// A * a + B * b of the zero points.
  [[nodiscard]] std::int64_t sum_of_zeros() const noexcept {
    std::int64_t sum = 0;
    for (int side = 0; side < 2; ++side) {
      const std::int64_t high = (digits_[0][side] << middle_bits) + digits_[1][side];
      sum += ((high << last_bits_) + digits_[2][side]) * zeros_[side];
    }
    return sum;
  }

  /// The digits of A and B in all lanes.
  [[nodiscard]] digits pair_of(const int (&both)[2]) const noexcept {
    digits v;
    for (int i = 0; i < lanes; ++i) v.set(i, static_cast<std::uint8_t>(both[i % 2]));
    return v;
  }

  /// Right shifts are high halves of products with 2^(16 - count), because AVX2 shifts int16 only
  /// by immediate numbers, or in two instructions.
  /// @tparam Clamps  the bounds are narrower than the saturation of T
  template <bool HasSigns, bool Clamps>
  void run(index count, const code_bounds& bounds, const T* a, const T* b, T* y) const noexcept {
    using codes = arch::vec<T, lanes>;
    const digits first = pair_of(digits_[0]), middle = pair_of(digits_[1]);
    const digits last = pair_of(digits_[2]);
    const sums first_offset(first_offset_), last_offset(last_offset_), zero(zero_);
    const sums shift_first(static_cast<std::int16_t>(1 << (16 - places_)));
    const sums shift_last(static_cast<std::int16_t>(1 << (16 - last_bits_)));
    const codes lowest(static_cast<T>(bounds.lowest)), highest(static_cast<T>(bounds.highest));
    const bytes a_flip(static_cast<std::int8_t>(-offset));
    const bytes b_flip(static_cast<std::int8_t>(Subtracts ? offset - 1 : -offset));
    for_each_step<lanes>(
        count,
        [&](T* to, const T* from_a, const T* from_b) {
          const auto p = arch::bits_as<std::int8_t>(codes::load(from_a)) ^ a_flip;
          const auto q = arch::bits_as<std::int8_t>(codes::load(from_b)) ^ b_flip;
          const bytes found = arch::map_byte_pairs(p, q, [&](const bytes& pairs) {
            const sums low = arch::high_half_product(
                sums(arch::pair_sums(last, pairs) + last_offset), shift_last);
            const sums carry = sums(arch::pair_sums(middle, pairs) + low) >> sums(middle_bits);
            const sums high = arch::add_saturating(arch::pair_sums(first, pairs), first_offset);
            sums sum = arch::add_saturating(high, carry);
            if constexpr (HasSigns) sum = arch::add_saturating(sum, sums(sum < zero));
            return arch::high_half_product(sum, shift_first);
          });
          codes kept = arch::bits_as<T>(bytes(found ^ bytes(static_cast<std::int8_t>(-offset))));
          if constexpr (Clamps) kept = arch::clamp(kept, lowest, highest);
          kept.store(to);
        },
        y, a, b);
  }

  int digits_[3][2] = {};  // of A and B, the highest first
  std::int32_t zeros_[2] = {};
  std::int16_t first_offset_ = 0;
  std::int16_t last_offset_ = 0;
  std::int16_t zero_ = 0;
  int places_ = 0;
  int last_bits_ = 0;
  bool has_signs_ = false;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
