#include "fewbit/quant/params.hpp"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <limits>

#include "support/sentence.hpp"

namespace fewbit { namespace quant_params_test {

/// round(x / S) + z in double.
int code(double x, const quant_params& p) {
  return static_cast<int>(std::nearbyint(x / p.scale)) + p.zero_point;
}

TEST(params, affine_reference_values) {
  const quant_params wide = choose_params<int8_affine>({-1.0F, 3.0F});
  EXPECT_NEAR(wide.scale, 0.0156862745, 1e-9);
  EXPECT_EQ(wide.zero_point, -64);
  EXPECT_EQ(code(-1, wide), -128);
  EXPECT_EQ(code(0, wide), -64);
  EXPECT_EQ(code(3, wide), 127);
  EXPECT_EQ(code(1, wide), 0);

  const quant_params relu6 = choose_params<int8_affine>({0.0F, 6.0F});
  EXPECT_NEAR(relu6.scale, 0.0235294, 1e-7);
  EXPECT_EQ(relu6.zero_point, -128);
  EXPECT_EQ(code(6, relu6), 127);
}

TEST(params, symmetric_takes_the_larger_end) {
  EXPECT_EQ(choose_params<int8_per_row>({-1.0F, 0.5F}),
            (quant_params{static_cast<float>(1.0 / 127), 0}));
  EXPECT_EQ(choose_params<int4_per_row>({-1.0F, 14.0F}), (quant_params{2.0F, 0}));
  EXPECT_EQ((choose_params<int8, symmetric_full, real_scale>({-255.0F, 3.0F})),
            (quant_params{2.0F, 0}));
  EXPECT_EQ(choose_params<int2_per_row>({2.0F, 3.0F}), (quant_params{3.0F, 0}));
}

TEST(params, power_of_two_scale_comes_before_the_zero_point) {
  using s = scheme<uint8, per_tensor, affine, power_of_two>;
  const quant_params p = choose_params<s>({-1.0F, 3.0F});
  EXPECT_EQ(p, (quant_params{0x1p-5F, 32}));
  EXPECT_EQ(choose_params<int8_power_of_two>({-1.0F, 1.0F}).scale, 0x1p-6F);
  EXPECT_EQ(choose_params<int8_power_of_two>({-127.0F, 1.0F}).scale, 1.0F);
  EXPECT_EQ(choose_params<int8_power_of_two>({-127.01F, 1.0F}).scale, 2.0F);
}

TEST(params, cost_of_powers_of_two_in_decibels) {
  const auto cost = [](float amax) {
    const double real = choose_params<int8_per_tensor>({-amax, amax}).scale;
    const double power = choose_params<int8_power_of_two>({-amax, amax}).scale;
    return 20 * std::log10(power / real);
  };
  EXPECT_NEAR(cost(1.0F), 5.95, 0.005);
  EXPECT_NEAR(cost(0.75F), 2.43, 0.005);
  EXPECT_NEAR(cost(0.51F), 5.78, 0.005);
}

TEST(params, affine_range_is_widened_to_include_zero) {
  EXPECT_EQ(choose_params<uint8_affine>({1.0F, 255.0F}), (quant_params{1.0F, 0}));
  EXPECT_EQ(choose_params<uint8_affine>({-255.0F, -1.0F}), (quant_params{1.0F, 255}));
  EXPECT_EQ(choose_params<int8_affine>({5.0F, 5.0F}),
            (quant_params{static_cast<float>(5.0 / 255), -128}));
}

TEST(params, zero_range_has_scale_one_and_zero_at_zero) {
  EXPECT_EQ(choose_params<int8_per_row>({0.0F, 0.0F}), (quant_params{1.0F, 0}));
  EXPECT_EQ(choose_params<int8_affine>({0.0F, 0.0F}), (quant_params{1.0F, 0}));
  EXPECT_EQ(choose_params<uint8_affine>({-0.0F, 0.0F}), (quant_params{1.0F, 0}));
}

TEST(params, tiny_and_huge_ranges_keep_a_normal_scale) {
  const float tiny = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(choose_params<int8_per_row>({-tiny, tiny}).scale, FLT_MIN);
  EXPECT_EQ(choose_params<uint8_affine>({-tiny, tiny}).scale, FLT_MIN);
  EXPECT_EQ(choose_params<int8_power_of_two>({-tiny, tiny}).scale, FLT_MIN);
  EXPECT_EQ(choose_params<int8_affine>({-FLT_MAX, FLT_MAX}).zero_point, 0);  // rne(-0.5)
  EXPECT_TRUE(std::isfinite(choose_params<int8_affine>({-FLT_MAX, FLT_MAX}).scale));
  EXPECT_EQ(choose_params<int2_per_row>({-FLT_MAX, FLT_MAX}).scale, FLT_MAX);
  EXPECT_EQ((choose_params<int8, affine, real_scale>({-FLT_MAX, FLT_MAX}).scale), FLT_MAX / 128);
  EXPECT_EQ(choose_params<int8_power_of_two>({-FLT_MAX, 0.0F}).scale, 0x1p121F);
  EXPECT_EQ((choose_params<int2, symmetric, power_of_two>({0.0F, FLT_MAX}).scale), 0x1p127F);
}

template <class St, class Zp, class Sc>
void expect_finite_codes(bool however_wide) {
  for (const float lo : {0.0F, -1.0F, -1e30F, -FLT_MAX / 3, -FLT_MAX * 0.99F, -FLT_MAX}) {
    for (const float hi : {0.0F, 1e-40F, 1.0F, FLT_MAX / 1000, FLT_MAX / 2, FLT_MAX}) {
      const quant_params p = choose_params<St, Zp, Sc>({lo, hi});
      const auto first = static_cast<float>(Zp::template code_min<St> - p.zero_point);
      const auto last = static_cast<float>(Zp::template code_max<St> - p.zero_point);
      ASSERT_TRUE(std::isfinite(p.scale) && p.scale >= FLT_MIN);
      if (however_wide) {
        ASSERT_TRUE(std::isfinite(first * p.scale) && std::isfinite(last * p.scale))
            << St::name << " " << Zp::name << " " << Sc::name << " " << lo << " " << hi;
      }
      // Both ends of the range are at most one step from the values of codes.
      const bool is_affine = Zp::is_affine;
      const double lowest = double{first} * double{p.scale},
                   highest = double{last} * double{p.scale};
      const double below = is_affine ? lo : std::fmin(double{lo}, -double{hi});
      const double above = is_affine ? hi : -below;
      ASSERT_GE(below, lowest - double{p.scale} * 1.001);
      ASSERT_LE(above, highest + double{p.scale} * 1.001);
    }
  }
}

template <class St>
void expect_finite_codes_of_all() {
  if constexpr (St::is_signed) {
    expect_finite_codes<St, symmetric, real_scale>(true);
    expect_finite_codes<St, symmetric, power_of_two>(true);
    expect_finite_codes<St, symmetric_full, real_scale>(true);
    expect_finite_codes<St, symmetric_full, power_of_two>(false);
  }
  expect_finite_codes<St, affine, real_scale>(true);
  expect_finite_codes<St, affine, power_of_two>(false);
}

TEST(params, the_largest_floats_have_finite_codes) {
  expect_finite_codes_of_all<int8>();
  expect_finite_codes_of_all<uint8>();
  expect_finite_codes_of_all<int16>();
  expect_finite_codes_of_all<int4>();
  expect_finite_codes_of_all<uint4>();
  expect_finite_codes_of_all<int3>();
  expect_finite_codes_of_all<int2>();
}

TEST(params, zero_point_is_always_a_code) {
  for (int lo = -40; lo <= 0; ++lo) {
    for (int hi = 0; hi <= 40; ++hi) {
      const range r{static_cast<float>(lo) / 3, static_cast<float>(hi) / 7};
      for (const int zero : {choose_params<int8_affine>(r).zero_point + 128,
                             choose_params<uint8_affine>(r).zero_point,
                             choose_params<uint4_grouped<8>>(r).zero_point}) {
        EXPECT_GE(zero, 0);
        EXPECT_LE(zero, 255);
      }
      EXPECT_LE(choose_params<uint4_grouped<8>>(r).zero_point, 15);
    }
  }
}

TEST(params, code_zero_is_the_minimum_and_the_last_code_the_maximum) {
  using S = uint4_grouped_minimum<32>;
  EXPECT_EQ(choose_params<S>({-1.0F, 14.0F}), (minimum_params{1.0F, -1.0F}));
  EXPECT_EQ(choose_params<S>({100.0F, 130.0F}), (minimum_params{2.0F, 100.0F}));
  EXPECT_EQ(choose_params<S>({-3.0F, -3.0F}), (minimum_params{0.0F, -3.0F}));
  EXPECT_EQ(choose_params<S>({0.0F, 0.0F}), (minimum_params{0.0F, 0.0F}));
  EXPECT_FALSE(std::signbit(choose_params<S>({-0.0F, 1.0F}).minimum));
  EXPECT_EQ((choose_params<uint2, real_minimum, power_of_two>({-1.0F, 3.0F})),
            (minimum_params{2.0F, -1.0F}));
  EXPECT_EQ((choose_params<uint8, real_minimum, real_scale>({-FLT_MAX, FLT_MAX}).scale),
            static_cast<float>(2 * (double{FLT_MAX} / 255)));
  const float tiny = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(choose_params<S>({-tiny, tiny}), (minimum_params{FLT_MIN, -tiny}));
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(params, bad_ranges_fail) {
  EXPECT_EQ(tests::sentence_of([] {
              return choose_params<int8_per_row>({1.0F, -1.0F});
            }),
            "fewbit: choose_params: range.lo is 1, expected at most range.hi, -1");
  EXPECT_THROW((void)choose_params<int8_affine>({NAN, 1.0F}), error);
  EXPECT_THROW((void)choose_params<int8_affine>({0.0F, INFINITY}), error);
  EXPECT_THROW((void)choose_params<uint4_grouped_minimum<8>>({0.0F, INFINITY}), error);
}
#endif

}  // namespace quant_params_test
}  // namespace fewbit
