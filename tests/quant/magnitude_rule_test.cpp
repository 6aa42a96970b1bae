#include "fewbit/quant/magnitude_rule.hpp"

#include <gtest/gtest.h>

#include <cfloat>
#include <limits>
#include <vector>

#include "quant/reference.hpp"

namespace fewbit { namespace quant_magnitude_rule_test {

constexpr float inf = std::numeric_limits<float>::infinity();

/// The least sum (m - alpha [m >= t])^2 over all thresholds t, with the best alpha for each.
double least_ternary_error(const std::vector<float>& m) {
  double best = 0;
  for (const float x : m) best += double{x} * x;
  for (const float t : m) {
    if (t == 0.0F) continue;
    double sum = 0;
    double kept = 0;
    for (const float x : m) {
      sum += x >= t ? x : 0.0;
      kept += x >= t ? 1 : 0;
    }
    double error = 0;
    for (const float x : m) error += x >= t ? (x - sum / kept) * (x - sum / kept) : double{x} * x;
    best = error < best ? error : best;
  }
  return best;
}

double ternary_error(const std::vector<float>& m, const magnitude_choice& choice) {
  double error = 0;
  for (const float x : m) {
    const double left = x >= choice.threshold ? double{x} - double{choice.scale} : double{x};
    error += left * left;
  }
  return error;
}

TEST(ternary_optimum, is_no_worse_than_any_cut) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    const row_matrix<float> data = tests::noise_matrix(1, 1 + seed % 23, seed).cwiseAbs();
    std::vector<float> m(data.data(), data.data() + data.size());
    if (seed % 3 == 0) {
      for (float& x : m) x = std::round(x * 4) / 4;  // many equal magnitudes, some zeros
    }
    const double best = least_ternary_error(m);
    std::vector<float> copy = m;
    const magnitude_choice choice = ternary_optimum::choose(copy);
    EXPECT_NEAR(ternary_error(m, choice), best, 1e-6 * (1 + best)) << seed;
  }
}

TEST(ternary_optimum, small_cases) {
  std::vector<float> m = {0.0F, 4.0F, 1.0F, 4.0F};
  EXPECT_EQ(ternary_optimum::choose(m).scale, 4.0F);
  EXPECT_EQ(ternary_optimum::choose(m).threshold, 4.0F);
  m = {3.0F};
  EXPECT_EQ(ternary_optimum::choose(m).scale, 3.0F);
  m = {2.0F, 2.0F, 2.0F};
  EXPECT_EQ(ternary_optimum::choose(m).threshold, 2.0F);
}

TEST(ternary_twn, keeps_what_exceeds_its_delta) {
  std::vector<float> m = {0.0F, 1.0F, 2.0F, 5.0F};  // mean 2, delta 1.4
  EXPECT_EQ(ternary_twn::choose(m).scale, 3.5F);
  EXPECT_EQ(ternary_twn::choose(m).threshold, 2.0F);
  m = {0.0F, 1.35F, 1.45F, 5.2F};  // the same delta, close on both sides
  EXPECT_EQ(ternary_twn::choose(m).threshold, 1.45F);
  m = {3.0F, 3.0F};
  EXPECT_EQ(ternary_twn::choose(m).scale, 3.0F);
}

TEST(mean_magnitude, is_the_mean) {
  std::vector<float> m = {0.0F, 1.0F, 2.0F, 5.0F};
  EXPECT_EQ(mean_magnitude::choose(m).scale, 2.0F);
}

TEST(magnitude_rules, zeros_have_scale_one_and_only_zero_codes) {
  std::vector<float> zeros(5, 0.0F);
  for (const magnitude_choice& c : {ternary_optimum::choose(zeros), ternary_twn::choose(zeros)}) {
    EXPECT_EQ(c.scale, 1.0F);
    EXPECT_EQ(c.threshold, inf);
  }
  EXPECT_EQ(mean_magnitude::choose(zeros).scale, 0.0F);  // no binary code stands for 0
}

TEST(magnitude_rules, subnormal_and_huge_groups_have_normal_scales) {
  std::vector<float> tiny(3, std::numeric_limits<float>::denorm_min());
  std::vector<float> huge(3, FLT_MAX);
  for (auto choose :
       {&ternary_optimum::choose, +[](std::span<float> m) { return ternary_twn::choose(m); }}) {
    EXPECT_EQ(choose(tiny).scale, FLT_MIN);
    EXPECT_EQ(choose(huge).scale, FLT_MAX);
  }
  EXPECT_EQ(mean_magnitude::choose(tiny).scale, 0.0F);
  std::vector<float> half(3, FLT_MIN / 2);
  EXPECT_EQ(mean_magnitude::choose(half).scale, FLT_MIN);
  EXPECT_EQ(mean_magnitude::choose(huge).scale, FLT_MAX);
}

/// Sum of (m - scale [m >= threshold])^2 of magnitudes in units of 2^-149.
double subnormal_error(const std::vector<float>& m, const magnitude_choice& choice) {
  double sum = 0.0;
  for (const float v : m) {
    const double e = std::ldexp(double{v}, 149) -
                     (v >= choice.threshold ? std::ldexp(double{choice.scale}, 149) : 0.0);
    sum += e * e;
  }
  return sum;
}

TEST(magnitude_rules, of_subnormals_are_never_worse_than_zeros) {
  constexpr float tiny = 1e-42F, less = FLT_MIN / 2 * 0.99F, more = FLT_MIN / 2 * 1.01F;
  for (const std::vector<float>& m :
       std::vector<std::vector<float>>{{tiny, tiny, tiny},
                                       {less},
                                       {more},
                                       {less, more, tiny},
                                       {FLT_MIN, tiny, more, more},
                                       {2 * FLT_MIN, less, less, less},
                                       {0.0F, tiny},
                                       {3 * FLT_MIN, more, more}}) {
    const double zeros = subnormal_error(m, {1.0F, inf});
    double best = zeros;  // of the cuts at each magnitude and all scales from 2^-126 on
    for (const float threshold : m) {
      double kept = 0.0, count = 0.0;
      for (const float v : m) kept += v >= threshold ? double{v} : 0.0, count += v >= threshold;
      const auto scale = static_cast<float>(std::fmax(kept / count, double{FLT_MIN}));
      best = std::fmin(best, subnormal_error(m, {scale, threshold}));
    }
    std::vector<float> copy = m;
    const magnitude_choice optimum = ternary_optimum::choose(copy);
    EXPECT_LE(subnormal_error(m, optimum), best * (1 + 1e-6));
    copy = m;
    const magnitude_choice twn = ternary_twn::choose(copy);
    EXPECT_LE(subnormal_error(m, twn), zeros * (1 + 1e-6));
    for (const auto& c : {optimum, twn}) EXPECT_GE(c.scale, FLT_MIN);
    copy = m;
    const float binary_scale = mean_magnitude::choose(copy).scale;
    EXPECT_TRUE(binary_scale == 0.0F || binary_scale >= FLT_MIN);
    EXPECT_LE(subnormal_error(m, {binary_scale, 0.0F}), zeros * (1 + 1e-6));
  }
}

}  // namespace quant_magnitude_rule_test
}  // namespace fewbit
