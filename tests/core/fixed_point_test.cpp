#include "fewbit/core/fixed_point.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/random.hpp"
#include "safetensors.hpp"
#include "support/data.hpp"
#include "support/sentence.hpp"
#include "support/wide.hpp"

namespace core_fixed_point_test {

using fewbit::fixed_multiplier;
using fewbit::index;
using i32 = std::int32_t;
constexpr i32 lowest = std::numeric_limits<i32>::min();
constexpr i32 highest = std::numeric_limits<i32>::max();

// The oracle: exact rational arithmetic in 128 bits. Its divisions, by positive numbers, round as
// their names say. It does not use the shifts and masks of the library.
namespace oracle {

using fewbit::tests::wide;

wide power_of_two(int n) { return n == 0 ? wide{1} : 2 * power_of_two(n - 1); }

wide floor_div(wide a, wide b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
wide half_up(wide a, wide b) { return floor_div(2 * a + b, 2 * b); }
wide half_away(wide a, wide b) { return a >= 0 ? half_up(a, b) : -half_up(-a, b); }

i32 wrap(wide x) {
  const wide modulus = power_of_two(32);
  wide r = x - floor_div(x, modulus) * modulus;
  if (r >= modulus / 2) r = r - modulus;
  return static_cast<i32>(r);
}
i32 saturate(wide x) { return x > highest ? highest : x < lowest ? lowest : static_cast<i32>(x); }

i32 high_mul(i32 a, i32 b) { return saturate(half_up(wide{a} * b, power_of_two(31))); }
i32 left(i32 x, int e) { return e > 0 ? wrap(wide{x} * power_of_two(e)) : x; }
wide right(int e) { return power_of_two(e < 0 ? -e : 0); }

i32 double_rounding(i32 x, i32 m, int e) {
  return static_cast<i32>(half_away(high_mul(left(x, e), m), right(e)));
}
i32 double_rounding_neon(i32 x, i32 m, int e) {
  return static_cast<i32>(half_up(high_mul(left(x, e), m), right(e)));
}
i32 cmsis(i32 x, i32 m, int e) {
  const i32 high = wrap(half_up(wide{left(x, e)} * m, power_of_two(31)));
  return static_cast<i32>(half_away(high, right(e)));
}
wide once(i32 x, i32 m, int e) { return half_up(wide{x} * m, power_of_two(31 - e)); }

}  // namespace oracle

struct sample {
  i32 acc;
  i32 mantissa;
  i32 exponent;
};

/// Random and extreme accumulators, mantissas and exponents.
std::vector<sample> samples() {
  std::vector<sample> result;
  const std::vector<i32> extremes = {lowest,      lowest + 1, -(1 << 30), -3,        -2, -1,
                                     0,           1,          2,          3,         5,  1 << 30,
                                     highest - 1, highest,    0x7FFF0000, 0x00FFFFFF};
  for (i32 a : extremes) {
    for (i32 m : {0, 1, 1 << 30, (1 << 30) + 1, 3 << 29, highest - 1, highest, 0x800000}) {
      for (i32 e = -31; e <= 30; ++e) result.push_back({a, m, e});
    }
  }
  for (index i = 0; i < 100000; ++i) {
    const auto bits = fewbit::random_bits(1, static_cast<std::uint64_t>(i));
    const auto acc = static_cast<i32>(bits[0]) >> (bits[2] % 32);
    const auto mantissa = static_cast<i32>(bits[1] >> 2) + (1 << 30);
    result.push_back({acc, mantissa, static_cast<i32>((bits[2] >> 8) % 62) - 31});
  }
  return result;
}

/// Mode::apply on all samples through vectors of N lanes; the last vector is padded.
template <class Mode, int N>
std::vector<i32> by_lanes(const std::vector<sample>& all) {
  using V = fewbit::arch::vec<i32, N>;
  std::vector<i32> result;
  for (std::size_t i = 0; i < all.size(); i += N) {
    V acc(0), mantissa(0), exponent(0);
    for (int lane = 0; lane < N && i + static_cast<std::size_t>(lane) < all.size(); ++lane) {
      const sample& s = all[i + static_cast<std::size_t>(lane)];
      acc.set(lane, s.acc);
      mantissa.set(lane, s.mantissa);
      exponent.set(lane, s.exponent);
    }
    const V y = Mode::apply(acc, mantissa, exponent);
    for (int lane = 0; lane < N; ++lane) result.push_back(y[lane]);
  }
  result.resize(all.size());
  return result;
}

template <class Mode>
std::vector<i32> one_by_one(const std::vector<sample>& all) {
  std::vector<i32> result;
  for (const sample& s : all) result.push_back(Mode::apply(s.acc, s.mantissa, s.exponent));
  return result;
}

template <class Mode, class Oracle>
void expect_oracle(Oracle expected) {
  for (const sample& s : samples()) {
    ASSERT_EQ(Mode::apply(s.acc, s.mantissa, s.exponent), expected(s.acc, s.mantissa, s.exponent))
        << "acc=" << s.acc << " mantissa=" << s.mantissa << " exponent=" << s.exponent;
  }
}

TEST(fixed_point, each_mode_equals_exact_arithmetic) {
  expect_oracle<fewbit::tflite_double>(oracle::double_rounding);
  expect_oracle<fewbit::tflite_double_neon>(oracle::double_rounding_neon);
  expect_oracle<fewbit::cmsis_default>(oracle::cmsis);
  expect_oracle<fewbit::tflite_single>(
      [](i32 x, i32 m, i32 e) { return oracle::wrap(oracle::once(x, m, e)); });
  expect_oracle<fewbit::xnn_rndnu>(
      [](i32 x, i32 m, i32 e) { return oracle::saturate(oracle::once(x, m, e)); });
}

/// apply_below_one as the apply of a mode, for exponents of 0 or less.
template <class Mode>
struct below_one {
  template <class V>
  static V apply(const V& acc, const V& mantissa, const V& exponent) noexcept {
    return Mode::apply_below_one(acc, mantissa, exponent);
  }
};

template <class Mode>
void expect_same_below_one() {
  std::vector<sample> below = samples();
  for (sample& s : below) s.exponent = s.exponent > 0 ? -s.exponent : s.exponent;
  const std::vector<i32> expected = one_by_one<Mode>(below);
  EXPECT_EQ(one_by_one<below_one<Mode>>(below), expected);
  EXPECT_EQ((by_lanes<below_one<Mode>, 5>(below)), expected);
  EXPECT_EQ((by_lanes<below_one<Mode>, 8>(below)), expected);
  EXPECT_EQ((by_lanes<below_one<Mode>, 16>(below)), expected);
}

TEST(fixed_point, factors_below_one_need_no_shift_to_the_left) {
  expect_same_below_one<fewbit::tflite_double>();
  expect_same_below_one<fewbit::tflite_double_neon>();
  expect_same_below_one<fewbit::cmsis_default>();
}

template <class Mode>
class fixed_point_mode_test : public testing::Test {};
using modes = testing::Types<fewbit::tflite_double, fewbit::tflite_double_neon,
                             fewbit::tflite_single, fewbit::cmsis_default, fewbit::xnn_rndnu>;
TYPED_TEST_SUITE(fixed_point_mode_test, modes);

TYPED_TEST(fixed_point_mode_test, lanes_equal_scalars) {
  static_assert(fewbit::FixedPointMode<TypeParam>);
  const std::vector<sample> all = samples();
  const std::vector<i32> expected = one_by_one<TypeParam>(all);
  EXPECT_EQ((by_lanes<TypeParam, 4>(all)), expected);
  EXPECT_EQ((by_lanes<TypeParam, 5>(all)), expected);
  EXPECT_EQ((by_lanes<TypeParam, 8>(all)), expected);
  EXPECT_EQ((by_lanes<TypeParam, 16>(all)), expected);
}

TYPED_TEST(fixed_point_mode_test, one_factor_for_all_lanes) {
  using V = fewbit::arch::vec<i32, 8>;
  const fixed_multiplier factor = TypeParam::multiplier(0.0123);
  const i32 expected = TypeParam::apply(203, factor.mantissa, factor.exponent);
  EXPECT_EQ(fewbit::apply_multiplier<TypeParam>(203, factor), expected);
  EXPECT_EQ(fewbit::apply_multiplier<TypeParam>(V(203), factor)[7], expected);
}

TEST(fixed_point, golden_value_below_one_half_that_two_roundings_round_up) {
  // 7984 * 1583594044 * 2^-40 = 11.499.
  const fixed_multiplier factor{1583594044, -9};
  EXPECT_EQ(fewbit::apply_multiplier<fewbit::tflite_double>(7984, factor), 12);
  EXPECT_EQ(fewbit::apply_multiplier<fewbit::cmsis_default>(7984, factor), 12);
  EXPECT_EQ(fewbit::apply_multiplier<fewbit::tflite_single>(7984, factor), 11);
}

TEST(fixed_point, cases_where_the_modes_differ) {
  const auto twice = [](i32 acc, double real) {
    return fewbit::apply_multiplier<fewbit::tflite_double>(acc, fewbit::quantize_multiplier(real));
  };
  const auto once = [](i32 acc, double real) {
    return fewbit::apply_multiplier<fewbit::tflite_single>(acc, fewbit::quantize_multiplier(real));
  };
  EXPECT_EQ(twice(1, 0.3), 1);
  EXPECT_EQ(once(1, 0.3), 0);
  EXPECT_EQ(twice(203, 0.0123), 3);
  EXPECT_EQ(once(203, 0.0123), 2);
  // A negative tie of the second rounding: -6 / 4 = -1.5.
  EXPECT_EQ(fewbit::tflite_double::apply(-12, 1 << 30, -2), -2);
  EXPECT_EQ(fewbit::tflite_double_neon::apply(-12, 1 << 30, -2), -1);
  EXPECT_EQ(fewbit::tflite_double_neon::apply(12, 1 << 30, -2), 2);
  // The one product where CMSIS-NN wraps and TFLite saturates.
  EXPECT_EQ(fewbit::tflite_double::apply(lowest, lowest, 0), highest);
  EXPECT_EQ(fewbit::cmsis_default::apply(lowest, lowest, 0), lowest);
}

TEST(fixed_point, errors_of_one_and_of_two_roundings) {
  // 200,000 accumulators, factors spread over 2^-16 to 2^-1.
  constexpr i32 range = 1 << 28;
  double worst_once = 0;
  double worst_twice = 0;
  int different = 0;
  constexpr int count = 200000;
  const fewbit::generator random{2};
  for (index i = 0; i < count; ++i) {
    const auto bits = fewbit::random_bits(3, static_cast<std::uint64_t>(i))[0];
    const auto acc = static_cast<i32>((bits * (2ULL * range + 1) >> 32)) - range;
    const double real = std::exp2(-16.0 + 15.0 * fewbit::uniform(random, i));
    const fixed_multiplier factor = fewbit::quantize_multiplier(real);
    const i32 once = fewbit::apply_multiplier<fewbit::tflite_single>(acc, factor);
    const i32 twice = fewbit::apply_multiplier<fewbit::tflite_double>(acc, factor);
    worst_once = std::max(worst_once, std::abs(once - acc * real));
    worst_twice = std::max(worst_twice, std::abs(twice - acc * real));
    different += once != twice;
  }
  // The relative error of the mantissa is up to 2^-32 and the factor is below 1/2, so the limit
  // exceeds one half.
  EXPECT_LE(worst_once, 0.5 + range * 0x1p-33);
  EXPECT_NEAR(worst_once, 0.525, 0.005);  // the maximum varies between samples
  EXPECT_NEAR(worst_twice, 0.772, 0.005);
  EXPECT_NEAR(100.0 * different / count, 3.4, 0.1);
}

TEST(fixed_point, multiplier_of_a_real) {
  using fewbit::quantize_multiplier;
  EXPECT_EQ(quantize_multiplier(0.0), (fixed_multiplier{0, 0}));
  EXPECT_EQ(quantize_multiplier(1.0), (fixed_multiplier{1 << 30, 1}));
  EXPECT_EQ(quantize_multiplier(0.5), (fixed_multiplier{1 << 30, 0}));
  EXPECT_EQ(quantize_multiplier(0.75), (fixed_multiplier{3 << 29, 0}));
  EXPECT_EQ(quantize_multiplier(0.3), (fixed_multiplier{1288490189, -1}));
  // The mantissa rounds to 2^31 and is halved.
  EXPECT_EQ(quantize_multiplier(1.0 - 0x1p-40), (fixed_multiplier{1 << 30, 1}));
  // A tie of the mantissa goes away from zero.
  EXPECT_EQ(quantize_multiplier(0.5 + 0x1p-32), (fixed_multiplier{(1 << 30) + 1, 0}));
  EXPECT_EQ(quantize_multiplier(0x1p-32), (fixed_multiplier{1 << 30, -31}));
  EXPECT_EQ(quantize_multiplier(0x1.ffffffffp-33), (fixed_multiplier{1 << 30, -31}));
  EXPECT_EQ(quantize_multiplier(0x1.ffp-33), (fixed_multiplier{0, 0}));
  EXPECT_EQ(quantize_multiplier(5e-324), (fixed_multiplier{0, 0}));
  EXPECT_EQ(quantize_multiplier(0x1p29), (fixed_multiplier{1 << 30, 30}));
  EXPECT_EQ(fewbit::quantize_multiplier_saturating(0.75), (fixed_multiplier{3 << 29, 0}));
  EXPECT_EQ(fewbit::quantize_multiplier_saturating(0x1p30), (fixed_multiplier{highest, 30}));
  EXPECT_EQ(fewbit::quantize_multiplier_saturating(1e300), (fixed_multiplier{highest, 30}));
}

TEST(fixed_point, multiplier_is_the_nearest) {
  const fewbit::generator random{4};
  for (index i = 0; i < 10000; ++i) {
    const double real = std::exp2(-31.0 + 60.0 * fewbit::uniform(random, i));
    const fixed_multiplier factor = fewbit::quantize_multiplier(real);
    ASSERT_GE(factor.mantissa, 1 << 30);
    const double back = std::ldexp(factor.mantissa, factor.exponent - 31);
    ASSERT_LE(std::abs(back - real), std::ldexp(0.5, factor.exponent - 31)) << real;
  }
}

TEST(fixed_point, xnn_uses_the_bits_of_a_float_factor) {
  EXPECT_EQ(fewbit::xnn_rndnu::multiplier(1.0), (fixed_multiplier{0x800000, 8}));
  EXPECT_EQ(fewbit::xnn_rndnu::multiplier(0x1p-32), (fixed_multiplier{0x800000, -24}));
  const fixed_multiplier largest = fewbit::xnn_rndnu::multiplier(255.99);
  EXPECT_EQ(std::ldexp(largest.mantissa, largest.exponent - 31), 255.99F);
  EXPECT_EQ(fewbit::xnn_fp32::multiplier(0.1), 0.1F);
  // 2^31 * 255.99 does not fit and saturates; so does its negative.
  EXPECT_EQ(fewbit::apply_multiplier<fewbit::xnn_rndnu>(highest, largest), highest);
  EXPECT_EQ(fewbit::apply_multiplier<fewbit::xnn_rndnu>(lowest, largest), lowest);
}

TEST(fixed_point, golden_tie_where_float_differs_from_integers) {
  const float factor = .05296124517917633F * .024093778803944588F / .11484327912330627F;
  const i32 zero_point = -126;
  EXPECT_EQ(fewbit::xnn_fp32::apply(585, factor, -128.0F - zero_point, 127.0F - zero_point), 6);
  const double real =
      .05296124517917633 * .024093778803944588 / static_cast<double>(.11484327912330627F);
  const fixed_multiplier fixed = fewbit::quantize_multiplier(real);
  EXPECT_EQ(fewbit::apply_multiplier<fewbit::tflite_double>(585, fixed), 7);
  EXPECT_EQ(fewbit::apply_multiplier<fewbit::tflite_single>(585, fixed), 7);
}

/// float(acc) * factor, clamped, then rounded to nearest even by the processor.
i32 fp32_oracle(i32 acc, float factor, float low, float high) {
  volatile float product = static_cast<float>(acc) * factor;
  float t = product;
  if (!(t > low)) t = low;
  if (!(t < high)) t = high;
  return static_cast<i32>(std::nearbyint(t));
}

TEST(fixed_point, xnn_fp32_rounds_half_to_even_inside_its_bounds) {
  for (i32 acc = -600; acc <= 600; ++acc) {
    for (float factor : {0.5F, 0.25F, 1.0F, 0x1p-32F, 0.1F, 255.99F}) {
      for (int zero_point : {-128, -3, 0, 7, 127}) {
        const auto low = static_cast<float>(-128 - zero_point);
        const auto high = static_cast<float>(127 - zero_point);
        ASSERT_EQ(fewbit::xnn_fp32::apply(acc, factor, low, high),
                  fp32_oracle(acc, factor, low, high))
            << acc << " * " << factor;
      }
    }
  }
  for (i32 acc : {lowest, lowest + 1, highest, highest - 1, (1 << 24) + 1}) {
    EXPECT_EQ(fewbit::xnn_fp32::apply(acc, 255.99F, -128.0F, 127.0F), acc < 0 ? -128 : 127);
    EXPECT_EQ(fewbit::xnn_fp32::apply(acc, 0x1p-24F, -128.0F, 127.0F),
              fp32_oracle(acc, 0x1p-24F, -128.0F, 127.0F));
  }
}

template <int N>
void expect_fp32_lanes_equal_scalars() {
  using V = fewbit::arch::vec<i32, N>;
  using F = fewbit::arch::vec<float, N>;
  const fewbit::generator random{5};
  for (index i = 0; i < 20000; ++i) {
    V acc(0);
    F factor(0.0F);
    for (int lane = 0; lane < N; ++lane) {
      const auto bits = fewbit::random_bits(6, static_cast<std::uint64_t>(i * N + lane));
      acc.set(lane, static_cast<i32>(bits[0]) >> (bits[1] % 31));
      factor.set(lane, std::exp2(-20.0F + 27.0F * fewbit::uniform(random, i * N + lane)));
    }
    const V y = fewbit::xnn_fp32::apply(acc, factor, F(-131.0F), F(124.0F));
    for (int lane = 0; lane < N; ++lane) {
      ASSERT_EQ(y[lane], fewbit::xnn_fp32::apply(acc[lane], factor[lane], -131.0F, 124.0F));
      ASSERT_EQ(y[lane], fp32_oracle(acc[lane], factor[lane], -131.0F, 124.0F));
    }
  }
}

TEST(fixed_point, xnn_fp32_lanes_equal_scalars) {
  expect_fp32_lanes_equal_scalars<4>();
  expect_fp32_lanes_equal_scalars<5>();
  expect_fp32_lanes_equal_scalars<8>();
  expect_fp32_lanes_equal_scalars<16>();
}

TEST(fixed_point, shifts_and_products_alone_equal_exact_arithmetic) {
  for (const sample& s : samples()) {
    const int k = s.exponent & 31;
    ASSERT_EQ(fewbit::rounding_divide_by_pot(s.acc, k),
              oracle::half_away(s.acc, oracle::power_of_two(k)));
    ASSERT_EQ(fewbit::rounding_shift_right(s.acc, k),
              oracle::half_up(s.acc, oracle::power_of_two(k)));
    ASSERT_EQ(fewbit::q7_pot::apply(s.acc, k), oracle::half_up(s.acc, oracle::power_of_two(k)));
    for (i32 b : {s.mantissa, -s.mantissa, lowest}) {
      ASSERT_EQ(fewbit::saturating_rounding_doubling_high_mul(s.acc, b),
                oracle::high_mul(s.acc, b));
    }
  }
}

TEST(fixed_point, golden_power_of_two_layer) {
  // x = (.5, -.25, 1) in Q2.5, w = (.75, -.5, .125) and b = .25 in Q0.7, output in Q2.5.
  const std::array<i32, 3> x = {16, -8, 32};
  const std::array<i32, 3> w = {96, -64, 16};
  const i32 bias = 32;
  const int bias_shift = 5;  // 5 + 7 - 7
  const int out_shift = 7;   // 5 + 7 - 5
  i32 acc = bias << bias_shift;
  for (std::size_t i = 0; i < 3; ++i) acc += x[i] * w[i];
  EXPECT_EQ(fewbit::q7_pot::apply(acc, out_shift), 28);
  EXPECT_EQ(fewbit::q7_pot::apply(5, 0), 5);
  EXPECT_EQ(fewbit::q7_pot::apply(-5, 1), -2);
  EXPECT_EQ(fewbit::q7_pot::apply(5, 1), 3);
}

TEST(fixed_point, wide_accumulators) {
  const auto expected = [](std::int64_t acc, const fixed_multiplier& f) {
    const oracle::wide cut =
        f.mantissa >= 0x7FFF0000 ? 0x7FFF : oracle::floor_div(f.mantissa + 32768, 65536);
    return oracle::wrap(oracle::half_up(acc * cut, oracle::power_of_two(15 - f.exponent)));
  };
  std::vector<std::int64_t> accs = {0, 1, -1, (1LL << 47) - 1, -(1LL << 47) + 1};
  for (index i = 0; i < 1000; ++i) {
    const auto bits = fewbit::random_bits(7, static_cast<std::uint64_t>(i));
    const auto wide = static_cast<std::int64_t>(std::uint64_t{bits[0]} << 32 | bits[1]);
    accs.push_back(wide >> (17 + bits[2] % 40));
  }
  for (std::int64_t acc : accs) {
    for (i32 mantissa :
         {0, 1 << 30, (1 << 30) + 0x7FFF, (1 << 30) + 0x8000, 0x7FFEFFFF, 0x7FFF0000, highest}) {
      for (int exponent = -31; exponent <= 7; ++exponent) {
        const fixed_multiplier factor{mantissa, exponent};
        ASSERT_EQ(fewbit::requantize_int64(acc, factor), expected(acc, factor))
            << acc << " * " << mantissa << " 2^" << exponent;
      }
    }
  }
  static_assert(fewbit::requantize_int64(1000000, {1 << 30, -1}) == 250000);
}

TEST(fixed_point, agrees_with_the_tables_of_gemmlowp) {
  FEWBIT_SKIP_WITHOUT_DATA("fixedpoint/gemmlowp_tables.safetensors");
  const auto path = fewbit::tests::data_dir() / "fixedpoint" / "gemmlowp_tables.safetensors";
  const auto tables = fewbit::examples::read_safetensors(path.string());
  const auto a = tables["mul_a"].as<i32>();
  const auto b = tables["mul_b"].as<i32>();
  const auto e = tables["mul_e"].as<i32>();
  const auto product = tables["srdhm_ab"].as<i32>();
  const auto shifted = tables["rdbpot_ae"].as<i32>();
  const auto twice = tables["requant_double_rounding"].as<i32>();
  const auto once = tables["requant_single_rounding"].as<i32>();
  ASSERT_EQ(a.size(), 8192U);
  int different = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "a=" << a[i] << " b=" << b[i] << " e=" << e[i]);
    ASSERT_EQ(fewbit::saturating_rounding_doubling_high_mul(a[i], b[i]), product[i]);
    ASSERT_EQ(fewbit::rounding_divide_by_pot(a[i], e[i]), shifted[i]);
    ASSERT_EQ(fewbit::tflite_double::apply(a[i], b[i], -e[i]), twice[i]);
    ASSERT_EQ(fewbit::tflite_single::apply(a[i], b[i], -e[i]), once[i]);
    different += twice[i] != once[i];
  }
  EXPECT_EQ(different, 258);
}

#if FEWBIT_HAS_EXCEPTIONS
using fewbit::tests::sentence_of;

TEST(fixed_point, refuses_invalid_factors) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string finite = ", expected a finite number that is not negative";
  for (auto* make : {&fewbit::quantize_multiplier, &fewbit::quantize_multiplier_saturating}) {
    const bool saturates = make == &fewbit::quantize_multiplier_saturating;
    const std::string start = std::string("fewbit: quantize_multiplier") +
                              (saturates ? "_saturating" : "") + ": real is ";
    EXPECT_EQ(sentence_of(make, -0.5), start + "-0.5" + finite);
    EXPECT_EQ(sentence_of(make, nan), start + "nan" + finite);
    EXPECT_EQ(sentence_of(make, infinity), start + "inf" + finite);
  }
  EXPECT_EQ(sentence_of(&fewbit::quantize_multiplier, 0x1p30),
            "fewbit: quantize_multiplier: real is 1.07374182e+09, expected less than 2^30");
  const std::string range = ", expected at least 2^-32 and less than 256";
  for (double real : {0.0, 0x1p-33, 256.0, nan, infinity, -1.0}) {
    EXPECT_EQ(sentence_of(&fewbit::xnn_rndnu::multiplier, real),
              "fewbit: xnn_rndnu::multiplier: real is " + fewbit::detail::text(real) + range);
    EXPECT_EQ(sentence_of(&fewbit::xnn_fp32::multiplier, real),
              "fewbit: xnn_fp32::multiplier: real is " + fewbit::detail::text(real) + range);
  }
}
#endif

}  // namespace core_fixed_point_test
