#include "fewbit/quant/level_rule.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstddef>

#include "fewbit/quant/quantize.hpp"

namespace fewbit { namespace quant_level_rule_test {

/// Checks that levels ascend from -1 to 1 and hold 0.
template <class Levels>
void expect_order(const Levels& levels) {
  EXPECT_EQ(levels.front(), -1.0F);
  EXPECT_EQ(levels.back(), 1.0F);
  EXPECT_EQ(levels[levels.size() / 2 - 1], 0.0F);
  for (std::size_t i = 1; i < levels.size(); ++i) EXPECT_LE(levels[i - 1], levels[i]);
}

/// Dettmers et al. 2023, appendix E.
TEST(normal_quantiles, of_four_bits_are_nf4) {
  const std::array<double, 16> nf4 = {-1.0,
                                      -0.6961928009986877,
                                      -0.5250730514526367,
                                      -0.39491748809814453,
                                      -0.28444138169288635,
                                      -0.18477343022823334,
                                      -0.09105003625154495,
                                      0.0,
                                      0.07958029955625534,
                                      0.16093020141124725,
                                      0.24611230194568634,
                                      0.33791524171829224,
                                      0.44070982933044434,
                                      0.5626170039176941,
                                      0.7229568362236023,
                                      1.0};
  const auto levels = normal_quantiles::levels<4>();
  for (std::size_t i = 0; i < levels.size(); ++i) EXPECT_NEAR(levels[i], nf4[i], 2e-6) << i;
}

TEST(normal_quantiles, ascend_at_all_widths) {
  expect_order(normal_quantiles::levels<2>());
  expect_order(normal_quantiles::levels<3>());
  expect_order(normal_quantiles::levels<4>());
  expect_order(normal_quantiles::levels<8>());
}

TEST(powers_of_two, are_powers_of_two) {
  EXPECT_EQ(powers_of_two::levels<2>(), (std::array<float, 4>{-1.0F, 0.0F, 0.5F, 1.0F}));
  EXPECT_EQ(powers_of_two::levels<3>(),
            (std::array<float, 8>{-1.0F, -0.5F, -0.25F, 0.0F, 0.125F, 0.25F, 0.5F, 1.0F}));
  const auto levels = powers_of_two::levels<4>();
  expect_order(levels);
  for (const float level : levels) {
    int exponent = 0;
    EXPECT_TRUE(level == 0.0F || std::abs(std::frexp(level, &exponent)) == 0.5F) << level;
  }
}

/// Computes every sum of the two lists with loops of its own.
TEST(additive_powers_of_two, are_the_sums_of_two_powers) {
  const auto levels = additive_powers_of_two::levels<4>();
  expect_order(levels);
  int found = 0;
  for (const double a : {0.0, 0.5, 0.25, 0.0625}) {
    for (const double b : {0.0, 0.125}) {
      const auto sum = static_cast<float>((a + b) / 0.625);
      for (const float level : levels) found += level == sum || (sum > 0.0F && level == -sum);
    }
  }
  EXPECT_EQ(found, 16);
}

TEST(level_rules, fit_codebooks_of_their_widths) {
  static_assert(RuleFor<normal_quantiles, codebook_per_row<8>>);
  static_assert(!RuleFor<normal_quantiles, codebook_per_row<1>>);
  static_assert(!RuleFor<normal_quantiles, int4_per_row>);
  static_assert(!RuleFor<powers_of_two, codebook_per_row<8>>);
  static_assert(!RuleFor<additive_powers_of_two, codebook_per_row<3>>);
  static_assert(!RuleFor<mean_magnitude, codebook_per_row<1>>);
  static_assert(!RuleFor<ternary_optimum, codebook_per_row<2>>);
}

}  // namespace quant_level_rule_test
}  // namespace fewbit
