#include "fewbit/quant/scale.hpp"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

namespace fewbit { namespace quant_scale_test {

static_assert(Scale<real_scale> && Scale<power_of_two> && !Scale<int>);
static_assert(min_scale == 0x1p-126F);

TEST(scale, real_scale_is_the_nearest_float) {
  EXPECT_EQ(real_scale::round_step(0.1), 0.1F);
  EXPECT_EQ(real_scale::round_step(1.0 / 127), static_cast<float>(1.0 / 127));
  EXPECT_EQ(real_scale::round_step(FLT_MAX), FLT_MAX);
}

TEST(scale, never_falls_below_the_smallest_normal_float) {
  for (const double step : {0x1p-127, 0x1p-149, 1e-300, 0x1p-126}) {
    EXPECT_EQ(real_scale::round_step(step), FLT_MIN);
    EXPECT_EQ(power_of_two::round_step(step), FLT_MIN);
  }
  EXPECT_FALSE(std::isinf(1.0F / FLT_MIN));
}

TEST(scale, power_of_two_is_the_smallest_that_is_large_enough) {
  for (int e = -126; e <= 127; ++e) {
    const double power = std::ldexp(1.0, e);
    EXPECT_EQ(power_of_two::round_step(power), static_cast<float>(power));
    EXPECT_EQ(power_of_two::round_step(power * 0.75), std::ldexp(1.0F, e < -125 ? -126 : e));
    EXPECT_EQ(power_of_two::round_step(std::nextafter(power, 0.0)), std::ldexp(1.0F, e));
    EXPECT_EQ(power_of_two::round_step(std::nextafter(power, 1e300)),
              std::ldexp(1.0F, e == 127 ? 127 : e + 1));
  }
}

}  // namespace quant_scale_test
}  // namespace fewbit
