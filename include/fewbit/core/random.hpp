#pragma once
/// Random numbers by position: element i of a stream depends only on seed and counter + i.
///
/// There is no hidden state, so the numbers are the same on every platform, for every number of
/// threads and in every order of calls. Use it for stochastic rounding, initial centroids and test
/// data. After drawing n elements, add n to the counter.

#include "fewbit/begin.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// A stream, `seed`, and the position of its first element, `counter`.
struct generator {
  std::uint64_t seed = 0;
  std::uint64_t counter = 0;

  friend bool operator==(const generator&, const generator&) = default;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// High and low halves of the 64-bit products of lanes with a constant.
template <class V>
struct wide_product {
  V high;
  V low;
};

template <class V>
FEWBIT_ALWAYS_INLINE wide_product<V> multiply_wide(std::uint32_t a, const V& b) noexcept {
  using wide = arch::rebind<V, std::uint64_t>;
  const wide product = arch::convert<std::uint64_t>(b) * wide(a);
  return {arch::convert<std::uint32_t>(wide(product >> wide(32))),
          arch::convert<std::uint32_t>(product)};
}

/// Philox4x32-10: ten rounds over a counter of four words with a key of two.
template <class V>
FEWBIT_ALWAYS_INLINE std::array<V, 4> philox(const std::array<V, 4>& first,
                                             std::array<std::uint32_t, 2> key) noexcept {
  std::array<V, 4> counter = first;
  for (int round = 0; round < 10; ++round) {
    const wide_product<V> even = multiply_wide(0xD2511F53U, counter[0]);
    const wide_product<V> odd = multiply_wide(0xCD9E8D57U, counter[2]);
    counter = {V(V(odd.high ^ counter[1]) ^ V(key[0])), odd.low,
               V(V(even.high ^ counter[3]) ^ V(key[1])), even.low};
    key = {key[0] + 0x9E3779B9U, key[1] + 0xBB67AE85U};
  }
  return counter;
}

/// One block per lane, at the position whose low and high words are in that lane.
template <class V>
FEWBIT_ALWAYS_INLINE std::array<V, 4> random_blocks(std::uint64_t seed, const V& low,
                                                    const V& high) noexcept {
  return philox<V>({low, high, V(0), V(0)},
                   {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
}

/// c[0] + c[1] x + c[2] x^2 + ..., each product rounded, so that it is never fused with the sum.
/// V is double or a vector of doubles.
template <std::size_t N, class V>
FEWBIT_ALWAYS_INLINE V polynomial(const double (&c)[N], const V& x) noexcept {
  V sum(c[N - 1]);
  for (std::size_t i = N - 1; i-- > 0;) sum = arch::rounded(V(sum * x)) + V(c[i]);
  return sum;
}

/// Natural logarithm of a normal x > 0, relative error below 1e-15. std::log of different libraries
/// differs in the last bit. This function uses only operations whose results IEEE 754 defines. With
/// x = m * 2^e and m near 1: log m = 2 atanh(s), s = (m - 1) / (m + 1), as a series in s^2. In a
/// vector of doubles, each lane has the bits that one double has.
template <class V>
FEWBIT_ALWAYS_INLINE V portable_log(const V& x) noexcept {
  using integers = arch::rebind<V, std::int64_t>;
  static constexpr double series[] = {1.0,      1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9, 1.0 / 11,
                                      1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21};
  constexpr double log_2 = 0.693147180559945309417;
  constexpr std::int64_t mantissa = 0xFFFFFFFFFFFFFLL, one = 0x3FF0000000000000LL;
  const integers bits = arch::bits_as<std::int64_t>(x);
  const V m = arch::bits_as<double>(integers(integers(bits & integers(mantissa)) | integers(one)));
  const auto is_large = m > V(1.4142135623730951);
  const V near_1 = arch::select(is_large, V(m * V(0.5)), m);
  const integers exponent =
      integers(bits >> integers(52)) - arch::select(is_large, integers(1022), integers(1023));
  const V s = (near_1 - V(1.0)) / (near_1 + V(1.0));
  const V log_m = V(2.0) * s * polynomial(series, arch::rounded(V(s * s)));
  return arch::rounded(V(arch::convert<double>(exponent) * V(log_2))) + arch::rounded(log_m);
}

}  // namespace detail

/// The 128 random bits at a position of the stream `seed`.
/// Source: Philox4x32-10, Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; the
/// position is the low half of the counter, and the seed is the key.
[[nodiscard]] inline std::array<std::uint32_t, 4> random_bits(std::uint64_t seed,
                                                              std::uint64_t position) noexcept {
  return detail::random_blocks(seed, static_cast<std::uint32_t>(position),
                               static_cast<std::uint32_t>(position >> 32));
}

/// Element i of the stream as a float in [0, 1): a multiple of 2^-24; all multiples are equally
/// likely.
[[nodiscard]] inline float uniform(const generator& g, index i) noexcept {
  const std::uint32_t bits = random_bits(g.seed, g.counter + static_cast<std::uint64_t>(i))[0];
  return static_cast<float>(bits >> 8) * 0x1p-24F;
}

/// Elements first .. first + N - 1, equal to N calls of `uniform`.
template <int N>
[[nodiscard]] FEWBIT_ALWAYS_INLINE arch::vec<float, N> uniform_lanes(const generator& g,
                                                                     index first) noexcept {
  using wide = arch::vec<std::uint64_t, N>;
  wide position(g.counter + static_cast<std::uint64_t>(first));
  for (int i = 0; i < N; ++i) position.set(i, position[i] + static_cast<std::uint64_t>(i));
  const auto low = arch::convert<std::uint32_t>(position);
  const auto high = arch::convert<std::uint32_t>(wide(position >> wide(32)));
  const auto bits = detail::random_blocks(g.seed, low, high)[0] >> arch::vec<std::uint32_t, N>(8);
  return arch::convert<float>(arch::bits_as<std::int32_t>(bits)) * arch::vec<float, N>(0x1p-24F);
}

/// The x at which the standard normal distribution function equals p, for 0 < p < 1. The relative
/// error is about 1e-7. The bits are the same on every platform.
/// Source: Wichura 1988, algorithm AS 241 (PPND7), Applied Statistics 37.
[[nodiscard]] inline double inverse_normal_cdf(double p) noexcept {
  static constexpr double center_above[] = {3.3871327179, 5.0434271938e1, 1.5929113202e2,
                                            5.9109374720e1};
  static constexpr double center_below[] = {1.0, 1.7895169469e1, 7.8757757664e1, 6.7187563600e1};
  static constexpr double side_above[] = {1.4234372777, 2.7568153900, 1.3067284816,
                                          1.7023821103e-1};
  static constexpr double side_below[] = {1.0, 7.3700164250e-1, 1.2021132975e-1};
  static constexpr double tail_above[] = {6.6579051150, 3.0812263860, 4.2868294337e-1,
                                          1.7337203997e-2};
  static constexpr double tail_below[] = {1.0, 2.4197894225e-1, 1.2258202635e-2};
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    const double r = 0.180625 - arch::rounded(q * q);
    return q * detail::polynomial(center_above, r) / detail::polynomial(center_below, r);
  }
  const double r = std::sqrt(-detail::portable_log(q < 0 ? p : 1.0 - p));
  const double x =
      r <= 5.0 ? detail::polynomial(side_above, r - 1.6) / detail::polynomial(side_below, r - 1.6)
               : detail::polynomial(tail_above, r - 5.0) / detail::polynomial(tail_below, r - 5.0);
  return q < 0 ? -x : x;
}

/// Element i of the stream as a sample of the normal distribution with mean 0 and variance 1. It
/// lies between -8.3 and 8.3.
[[nodiscard]] inline float normal(const generator& g, index i) noexcept {
  const auto bits = random_bits(g.seed, g.counter + static_cast<std::uint64_t>(i));
  const std::uint64_t high = (std::uint64_t{bits[0]} << 20) | (bits[1] >> 12);  // 52 bits
  return static_cast<float>(inverse_normal_cdf((static_cast<double>(high) + 0.5) * 0x1p-52));
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
