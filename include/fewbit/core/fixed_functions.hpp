#pragma once
/// Exponential, reciprocal, logistic function and hyperbolic tangent in fixed point, bit for bit as
/// gemmlowp computes them: TFLite and CMSIS-NN build softmax and LSTM cells on them.
///
/// A number in the format Q<K> is an integer times 2^(K + 1 - bits), -2^K to 2^K. Integers are
/// std::int16_t, std::int32_t, or arch::vec of one of them. Results are in Q0. The largest error of
/// the logistic function is 6 units of 2^-15 for 16 bits, and of tanh 12 units; neither is
/// monotone.
///
/// Source: google/gemmlowp, fixedpoint/fixedpoint.h. Read before: core/fixed_point.hpp. Read next:
/// ops/softmax.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <limits>
#include <type_traits>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/fixed_point.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The arithmetic of gemmlowp for integers V in Q<K>.
template <class V>
struct fixed_arithmetic {
  using lane = arch::lane<V>;
  static_assert(std::is_same_v<lane, std::int16_t> || std::is_same_v<lane, std::int32_t>,
                "fewbit: fixed-point numbers are std::int16_t or std::int32_t");
  static constexpr int bits = 8 * int{sizeof(lane)};
  static constexpr lane least = std::numeric_limits<lane>::min();
  static constexpr lane most = std::numeric_limits<lane>::max();

  /// A constant given for 32 bits, rounded to the bits of V.
  [[nodiscard]] static V constant(std::int32_t value) noexcept {
    return V(static_cast<lane>(rounding_divide_by_pot(value, 32 - bits)));
  }

  /// a * b / 2^(bits - 1), rounded half up and saturated.
  [[nodiscard]] static V multiply(const V& a, const V& b) noexcept {
    if constexpr (bits == 32) {
      return saturating_rounding_doubling_high_mul(a, b);
    } else {
      using wide = arch::rebind<V, std::int32_t>;
      const wide product = arch::convert<std::int32_t>(a) * arch::convert<std::int32_t>(b);
      const wide high = wide(product + wide(1 << 14)) >> wide(15);
      return arch::convert<lane>(arch::min(high, wide(most)));
    }
  }

  /// a + b; only 16 bits saturate.
  [[nodiscard]] static V add_saturating_16(const V& a, const V& b) noexcept {
    if constexpr (bits == 32) {
      return arch::add_wrapping(a, b);
    } else {
      using wide = arch::rebind<V, std::int32_t>;
      const wide sum = arch::convert<std::int32_t>(a) + arch::convert<std::int32_t>(b);
      return arch::convert<lane>(arch::clamp(sum, wide(least), wide(most)));
    }
  }

  /// (a + b) / 2 rounded half away from zero.
  [[nodiscard]] static V half_sum(const V& a, const V& b) noexcept {
    using wide = arch::rebind<V, std::int64_t>;
    const wide sum = arch::convert<std::int64_t>(a) + arch::convert<std::int64_t>(b);
    const wide up = arch::select(sum < wide(0), wide(0), wide(1));
    return arch::convert<lane>(wide(wide(sum + up) >> wide(1)));
  }

  /// x / 2^count rounded half away from zero.
  template <int Count>
  [[nodiscard]] static V divide(const V& x) noexcept {
    using wide = arch::rebind<V, std::int32_t>;
    return arch::convert<lane>(rounding_divide_by_pot(arch::convert<std::int32_t>(x), wide(Count)));
  }

  /// x * 2^Count, saturated.
  template <int Count>
  [[nodiscard]] static V scale_up(const V& x) noexcept {
    if constexpr (Count == 0) {
      return x;
    } else {
      constexpr auto threshold = static_cast<lane>((1 << (bits - 1 - Count)) - 1);
      using words = std::make_unsigned_t<lane>;
      const V shifted = arch::bits_as<lane>(
          arch::rebind<V, words>(arch::bits_as<words>(x) << arch::rebind<V, words>(words{Count})));
      const V kept = arch::select(x > V(threshold), V(most), shifted);
      return arch::select(x < V(static_cast<lane>(-threshold)), V(least), kept);
    }
  }
};

/// exp(x) of x in [-1/4, 0), in Q0: a Taylor series around -1/8.
template <class V>
[[nodiscard]] V fixed_exp_of_quarter(const V& x) noexcept {
  using math = fixed_arithmetic<V>;
  const V at_eighth = math::constant(1895147668);  // exp(-1/8)
  const V third = math::constant(715827883);
  const V d = arch::add_wrapping(x, V(static_cast<typename math::lane>(1 << (math::bits - 4))));
  const V d2 = math::multiply(d, d), d3 = math::multiply(d2, d), d4 = math::multiply(d2, d2);
  const V cubes = math::multiply(arch::add_wrapping(math::template divide<2>(d4), d3), third);
  const V rest = math::template divide<1>(arch::add_wrapping(cubes, d2));
  return math::add_saturating_16(at_eighth, math::multiply(at_eighth, arch::add_wrapping(d, rest)));
}

/// result * factor where the bit of the remainder of x that stands for 2^Exponent is set.
template <int K, int Exponent, class V>
void multiply_where_set(V& result, const V& remainder, std::int32_t factor) noexcept {
  using math = fixed_arithmetic<V>;
  using lane = typename math::lane;
  if constexpr (K > Exponent) {
    const V bit(static_cast<lane>(lane{1} << (math::bits - 1 - K + Exponent)));
    result = arch::select(V(remainder & bit) == V(lane{0}), result,
                          math::multiply(result, math::constant(factor)));
  }
}

/// 4 / (2 + 2 x), in Q2, of half the denominator (1 + x) / 2 in Q0, by three steps of Newton's
/// method.
template <class V>
[[nodiscard]] V fixed_reciprocal(const V& half_denominator) noexcept {
  using math = fixed_arithmetic<V>;
  const V one = math::constant(1 << 29);
  V x = arch::add_wrapping(math::constant(1515870810),  // 48 / 17
                           math::multiply(half_denominator, math::constant(-1010580540)));
  for (int i = 0; i < 3; ++i) {
    const V error = arch::subtract_wrapping(one, math::multiply(half_denominator, x));
    x = arch::add_wrapping(x, math::template scale_up<2>(math::multiply(x, error)));
  }
  return x;
}

}  // namespace detail

/// exp(x) of x <= 0 in Q<K>, in Q0. exp(0) is the largest number of Q0.
template <int K, class V>
[[nodiscard]] V fixed_exp_of_negative(const V& x) noexcept {
  using math = detail::fixed_arithmetic<V>;
  using lane = typename math::lane;
  static_assert(K >= 0 && K <= 6);
  constexpr auto quarter = static_cast<lane>(lane{1} << (math::bits - 3 - K));
  const V part = arch::subtract_wrapping(V(x & V(static_cast<lane>(quarter - 1))), V(quarter));
  const V remainder = arch::subtract_wrapping(part, x);
  V result = detail::fixed_exp_of_quarter(math::template scale_up<K>(part));
  detail::multiply_where_set<K, -2>(result, remainder, 1672461947);
  detail::multiply_where_set<K, -1>(result, remainder, 1302514674);
  detail::multiply_where_set<K, 0>(result, remainder, 790015084);
  detail::multiply_where_set<K, 1>(result, remainder, 290630308);
  detail::multiply_where_set<K, 2>(result, remainder, 39332535);
  detail::multiply_where_set<K, 3>(result, remainder, 720401);
  detail::multiply_where_set<K, 4>(result, remainder, 242);
  if constexpr (K > 5) {
    result = arch::select(x < math::constant(-(1 << (36 - K))), V(lane{0}), result);  // x < -32
  }
  return arch::select(x == V(lane{0}), V(math::most), result);
}

/// 1 / (1 + x) of x in [0, 1), in Q0.
template <class V>
[[nodiscard]] V fixed_one_over_one_plus(const V& x) noexcept {
  using math = detail::fixed_arithmetic<V>;
  return math::template scale_up<1>(detail::fixed_reciprocal(math::half_sum(x, V(math::most))));
}

/// 1 / (1 + exp(-x)) of x in Q<K>, in Q0.
template <int K, class V>
[[nodiscard]] V fixed_logistic(const V& x) noexcept {
  using math = detail::fixed_arithmetic<V>;
  const V zero(typename math::lane{0});
  const V negative = arch::select(x > zero, arch::subtract_wrapping(zero, x), x);
  const V of_positive = fixed_one_over_one_plus(fixed_exp_of_negative<K>(negative));
  const V of_negative = arch::subtract_wrapping(V(math::most), of_positive);
  return arch::select(x == zero, math::constant(1 << 30),
                      arch::select(x > zero, of_positive, of_negative));
}

/// tanh(x) of x in Q<K>, in Q0.
template <int K, class V>
[[nodiscard]] V fixed_tanh(const V& x) noexcept {
  using math = detail::fixed_arithmetic<V>;
  const V zero(typename math::lane{0});
  const V negative = arch::select(x < zero, x, arch::subtract_wrapping(zero, x));
  const V exp = fixed_exp_of_negative<K + 1>(negative);  // of 2 x
  const V reciprocal = detail::fixed_reciprocal(math::half_sum(exp, V(math::most)));
  const V result =
      math::template scale_up<2>(arch::subtract_wrapping(reciprocal, math::constant(1 << 29)));
  return arch::select(x == zero, zero,
                      arch::select(x < zero, arch::subtract_wrapping(zero, result), result));
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
