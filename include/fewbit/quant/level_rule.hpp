#pragma once
/// Where the levels of a codebook stand, whatever the data: quantiles, powers of two, sums of them.
///
///     quantize<codebook_per_row<4>, normal_quantiles>(w)    // NF4
///     quantize<codebook_per_row<4>>(w)                      // learned: codebook/lloyd_max.hpp
///
/// A rule is a type that answers 2^Bits levels of -1 to 1 in ascending order. Of those here half
/// are positive, one is 0 and the rest are negative, so that a weight of 0 stays one.
/// Read next: quantize.hpp.

#include "fewbit/begin.hpp"

#include <array>
#include <cmath>
#include <cstddef>

#include "fewbit/config.hpp"
#include "fewbit/quant/storage.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The x below which the standard normal distribution has the share p of .5 to 1 - 2^-10: Newton's
/// method on a convex function, from the left.
[[nodiscard]] inline double normal_quantile(double p) noexcept {
  double x = 0.0;
  for (int step = 0; step < 64; ++step) {
    const double above = std::erfc(x / std::sqrt(2.0)) / 2;
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * 3.14159265358979323846);
    x += (above - (1.0 - p)) / density;
  }
  return x;
}

/// Levels of `positive(i)`, i = 1 .. 2^(Bits - 1), `-negative(i)` for one fewer, and 0; both
/// functions ascend.
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
/// by the largest: at 4 bits NF4. Dettmers et al. 2023, arXiv:2305.14314 (QLoRA).
struct normal_quantiles {
  template <Storage St>
  static constexpr bool fits = CodebookStorage<St> && St::bits >= 2;

  /// The levels of codes of `Bits` bits.
  template <int Bits>
  [[nodiscard]] static std::array<float, std::size_t{1} << Bits> levels() {
    constexpr int count = 1 << Bits;
    constexpr int half = count / 2;
    // Between the middles of the outermost of `count` and of `count - 1` equal shares.
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

/// 1, 1/2, 1/4 ...: a product is a shift. Miyashita et al. 2016, arXiv:1603.01025.
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

/// Sums of one of 0, 1/2, 1/4, 1/16 and one of 0, 1/8, divided by the largest: the magnitudes 0,
/// .1, .2, .3, .4, .6, .8 and 1. The last of the 16 levels is 1 again. A product is two shifts.
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
