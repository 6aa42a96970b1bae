#pragma once
/// Functions of two 8-bit codes that are rounded sums, in a few instructions.
///
///     y = clamp((A * (a - a_zero) + B * (b - b_zero) + c) >> F)
///
/// The rounding of other libraries (two roundings, intermediate shifts) is no such formula, but a
/// pair of codes has only 65,536 values. `fit` is given the results that a library defines for all
/// of them and searches numbers for which the formula gives the same results, all 65,536 of them.
/// Operators whose results no formula gives compute them as the library does.
///
/// A and B have 15 high and 15 low bits, so two vpmaddwd multiply a register of pairs. In most
/// cases one c suffices. Where a library rounds ties away from zero, negative sums have another c.
/// The sign of the high part stands for the sign of the sum: where they differ, the sum is so small
/// that it rounds to 0 with either c.
/// Read next: ops/add.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "fewbit/arch/code_pairs.hpp"
#include "fewbit/arch/products.hpp"
#include "fewbit/ops/code_blocks.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The numbers c with c + v in the interval of results, for some pairs.
struct offset_interval {
  std::int64_t least;
  std::int64_t most;

  [[nodiscard]] bool is_empty() const noexcept { return least > most; }
  [[nodiscard]] std::int64_t middle() const noexcept { return least + (most - least) / 2; }
  void keep(const offset_interval& other) noexcept {
    least = std::max(least, other.least);
    most = std::min(most, other.most);
  }
};

template <ByteCode T>
class linear_pairs {
  static constexpr int low_bits = 15;

 public:
  /// Searches for a formula with A close to a_factor * 2^F, B close to b_factor * 2^F.
  ///
  /// @param results  of all pairs of codes from the lowest, those of one a beside one another
  /// @return whether there is one; operator() needs it
  [[nodiscard]] bool fit(double a_factor, double b_factor, std::int32_t a_zero, std::int32_t b_zero,
                         const code_bounds& bounds, const T* results) noexcept {
    const double largest = std::max(std::abs(a_factor), std::abs(b_factor));
    int exponent = 0;
    static_cast<void>(std::frexp(largest, &exponent));  // largest < 2^exponent
    places_ = std::min(low_bits - exponent, 22);
    if (!(largest > 0.0) || places_ < 1) return false;
    const int fraction = places_ + low_bits;
    const std::int64_t a_step = std::llrint(std::ldexp(a_factor, fraction));
    const std::int64_t b_step = std::llrint(std::ldexp(b_factor, fraction));
    if (std::max(std::abs(a_step), std::abs(b_step)) >= std::int64_t{1} << (2 * low_bits))
      return false;  // the largest was rounded up to a power of two
    split(a_step, a_high_, a_low_);
    split(b_step, b_high_, b_low_);
    const std::int64_t zeros =
        -a_step * (a_zero + arch::pair_offset<T>)-b_step * (b_zero + arch::pair_offset<T>);
    split(zeros, sum_high_, sum_low_);
    using limits = std::numeric_limits<T>;
    const std::int64_t one = std::int64_t{1} << fraction;
    const offset_interval all{limits::min() * one, (limits::max() + 1) * one};  // of zero points
    offset_interval of_sign[2] = {all, all};  // where the high part is >= 0, where it is negative
    for (int a = 0; a < 256; ++a) {
      for (int b = 0; b < 256; ++b) {
        const std::int64_t sum = a_step * a + b_step * b + zeros;
        const std::int64_t code = results[256 * a + b];
        offset_interval& interval = of_sign[a_high_ * a + b_high_ * b + sum_high_ < 0 ? 1 : 0];
        if (code > bounds.lowest) interval.least = std::max(interval.least, code * one - sum);
        if (code < bounds.highest) {
          interval.most = std::min(interval.most, (code + 1) * one - 1 - sum);
        }
      }
    }
    return choose(of_sign[0], of_sign[1]);
  }

  /// y[i] for `count` pairs.
  void operator()(index count, const code_bounds& bounds, const T* a, const T* b,
                  T* y) const noexcept {
    if (negative_ == 0) {
      run<false>(count, bounds, a, b, y);
    } else {
      run<true>(count, bounds, a, b, y);
    }
  }

 private:
  static constexpr int lanes = codes_at_once;
  using pairs = arch::vec<std::int16_t, lanes / 2>;
  using sums = arch::vec<std::int32_t, lanes / 4>;

  /// Splits a number into its low 15 bits and the rest.
  static void split(std::int64_t x, std::int32_t& high, std::int32_t& low) noexcept {
    high = static_cast<std::int32_t>(x >> low_bits);
    low = static_cast<std::int32_t>(x & ((1 << low_bits) - 1));
  }

  /// Adds an offset of the interval of both signs, or of each sign its own.
  [[nodiscard]] bool choose(const offset_interval& positive,
                            const offset_interval& negative) noexcept {
    if (positive.is_empty() || negative.is_empty()) return false;
    offset_interval both = positive;
    both.keep(negative);
    const std::int64_t offset = both.is_empty() ? positive.middle() : both.middle();
    const std::int64_t other = both.is_empty() ? negative.middle() - offset : 0;
    if (std::abs(other) >= std::int64_t{1} << 30) return false;
    negative_ = static_cast<std::int32_t>(other);
    std::int32_t low = 0;
    split(offset, sign_, low);
    sum_high_ += sign_;
    sum_low_ += low;
    return true;
  }

  /// One number as the pair (first, second) in all lanes.
  [[nodiscard]] static pairs both(std::int32_t first, std::int32_t second) noexcept {
    pairs v;
    for (int i = 0; i < lanes / 2; ++i)
      v.set(i, static_cast<std::int16_t>(i % 2 == 0 ? first : second));
    return v;
  }

  template <bool HasSigns>
  void run(index count, const code_bounds& bounds, const T* a, const T* b, T* y) const noexcept {
    using codes = arch::vec<T, lanes>;
    const pairs high_steps = both(a_high_, b_high_), low_steps = both(a_low_, b_low_);
    const sums high_start(sum_high_), low_start(sum_low_), places(places_);
    const sums sign(sign_), of_negative(negative_);
    const codes lowest(static_cast<T>(bounds.lowest)), highest(static_cast<T>(bounds.highest));
    for_each_step<lanes>(
        count,
        [&](T* to, const T* from_a, const T* from_b) {
          const codes found =
              arch::map_pairs(codes::load(from_a), codes::load(from_b), [&](const pairs& p) {
                const sums high = arch::add_pair_products(high_start, p, high_steps);
                sums low = arch::add_pair_products(low_start, p, low_steps);
                if constexpr (HasSigns) low = low + ((high < sign) & of_negative);
                return sums(sums(high + (low >> sums(low_bits))) >> places);
              });
          arch::clamp(found, lowest, highest).store(to);
        },
        y, a, b);
  }

  std::int32_t a_high_ = 0, a_low_ = 0, b_high_ = 0, b_low_ = 0;
  std::int32_t sum_high_ = 0, sum_low_ = 0;
  std::int32_t sign_ = 0;      // the high parts of negative sums are below it
  std::int32_t negative_ = 0;  // added to the low parts of negative sums
  int places_ = 0;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
