#pragma once
/// Fixed levels for codebooks: quantiles of the normal distribution, powers of two, sums of powers
/// of two.
///
///     quantize<codebook_per_row<4>, normal_quantiles>(w)    // NF4
///     quantize<codebook_per_row<4>>(w)                      // learned: codebook/lloyd_max.hpp
///
/// A rule is a type that returns 2^Bits levels in [-1, 1] in ascending order. In the rules here
/// half of the levels are positive, one is 0 and the rest are negative, so a weight of 0 stays 0.
/// Read next: quantize.hpp.

#include "fewbit/begin.hpp"

#include <array>
#include <cmath>
#include <cstddef>

#include "fewbit/config.hpp"
#include "fewbit/quant/storage.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The quantile of the standard normal distribution for a probability p in [.5, 1 - 2^-10].
/// Newton's method on a convex function, started left of the solution.
[[nodiscard]] inline double normal_quantile(double p) noexcept {
  double x = 0.0;
  for (int step = 0; step < 64; ++step) {
    const double above = std::erfc(x / std::sqrt(2.0)) / 2;
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * 3.14159265358979323846);
    x += (above - (1.0 - p)) / density;
  }
  return x;
}

/// With half = 2^(Bits - 1): the levels `positive(i)` for i = 1 .. half, `-negative(i)` for
/// i = 1 .. half - 1, and 0. Both functions ascend.
template <int Bits, class Positive, class Negative>
[[nodiscard]] std::array<float, std::size_t{1} << Bits> levels_around_zero(
    const Positive& positive, const Negative& negative) {
  constexpr int half = 1 << (Bits - 1);
  std::array<float, std::size_t{1} << Bits> levels{};
  for (int i = 1; i <= half; ++i) {
    levels[static_cast<std::size_t>(half - 1 + i)] = static_cast<float>(positive(i));
    if (i < half) levels[static_cast<std::size_t>(half - 1 - i)] = static_cast<float>(-negative(i));
  }
  return levels;
}

}  // namespace detail

/// Quantiles of the normal distribution, evenly spaced in probability on each side of 0 and divided
/// by the largest. With 4 bits this is NF4. Dettmers et al. 2023, arXiv:2305.14314 (QLoRA).
struct normal_quantiles {
  template <Storage St>
  static constexpr bool fits = CodebookStorage<St> && St::bits >= 2;

  /// The levels of codes of `Bits` bits.
  template <int Bits>
  [[nodiscard]] static std::array<float, std::size_t{1} << Bits> levels() {
    constexpr int count = 1 << Bits;
    constexpr int half = count / 2;
    // The mean of two probabilities: the middle of the last of `count` equal intervals, and the
    // middle of the last of `count - 1`.
    const double outermost = 1.0 - (0.5 / count + 0.5 / (count - 1)) / 2;
    const double largest = detail::normal_quantile(outermost);
    const auto side = [&](int steps) {
      return [=](int i) {
        return detail::normal_quantile(0.5 + (outermost - 0.5) * i / steps) / largest;
      };
    };
    return detail::levels_around_zero<Bits>(side(half), side(half - 1));
  }
};

/// 1, 1/2, 1/4 ... A product with such a level is a shift. Miyashita et al. 2016, arXiv:1603.01025.
struct powers_of_two {
  template <Storage St>
  static constexpr bool fits = CodebookStorage<St> && St::bits >= 2 && St::bits <= 4;

  /// The levels of codes of `Bits` bits.
  template <int Bits>
  [[nodiscard]] static std::array<float, std::size_t{1} << Bits> levels() {
    constexpr int half = 1 << (Bits - 1);
    return detail::levels_around_zero<Bits>([](int i) { return std::ldexp(1.0, i - half); },
                                            [](int i) { return std::ldexp(1.0, i - half + 1); });
  }
};

/// a + b with a one of 0, 1/2, 1/4, 1/16 and b one of 0, 1/8, divided by the largest sum. The
/// magnitudes are 0, .1, .2, .3, .4, .6, .8 and 1; the last two of the 16 levels are both 1. A
/// product with such a level is two shifts.
/// Li et al. 2020, arXiv:1909.13144 (APoT).
struct additive_powers_of_two {
  template <Storage St>
  static constexpr bool fits = CodebookStorage<St> && St::bits == 4;

  /// The levels of codes of `Bits` bits.
  template <int Bits>
  [[nodiscard]] static std::array<float, std::size_t{1} << Bits> levels() {
    static constexpr std::array<int, 9> tenths = {0, 1, 2, 3, 4, 6, 8, 10, 10};
    const auto magnitude = [](int i) { return tenths[static_cast<std::size_t>(i)] / 10.0; };
    return detail::levels_around_zero<Bits>(magnitude, magnitude);
  }
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
