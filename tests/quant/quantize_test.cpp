#include "fewbit/quant/quantize.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/quant/metrics.hpp"
#include "quant/oracle.hpp"
#include "quant/reference.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace quant_quantize_test {

using tests::draws;
using tests::for_each_type;
using tests::granularities;
using tests::group_of;
using tests::inputs;

/// One scheme for each path through the code. every_scheme_test.cpp has all schemes.
using some_schemes =
    tests::types<int8_per_row, int8_per_col, uint8_affine, int16_per_row, scheme<int4, grouped<20>>,
                 scheme<uint4, grouped<20>, affine, power_of_two>,
                 scheme<int2, sub_tensor<3>, symmetric_full, real_scale, half_away>,
                 scheme<int8, per_row, affine, real_scale, stochastic>,
                 scheme<int16, per_col, affine, real_scale, toward_zero>, uint4_grouped_minimum<20>,
                 scheme<uint8, per_row, real_minimum, real_scale, stochastic>>;

TEST(quantize, equals_the_reference) {
  const auto all = inputs();
  for_each_type(some_schemes{}, [&]<class S>() {
    SCOPED_TRACE(testing::Message() << S::storage::name << " " << S::granularity::name);
    for (const auto& w : all) tests::expect_equal_to_oracle<S>(w);
  });
}

/// Checks codes and scales against their definition: the sign, and the mean magnitude.
void expect_signs(const row_matrix<float>& w, const quantized_matrix<binary_per_row>& q) {
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) EXPECT_EQ(q.code(r, c), w(r, c) >= 0 ? 1 : -1);
    EXPECT_NEAR(q.scale(r, 0), w.row(r).cast<double>().cwiseAbs().mean(), 1e-6);
  }
}

TEST(binary_quantize, codes_are_signs_and_zero_is_positive) {
  row_matrix<float> w = tests::noise_matrix(3, 261, 5);
  w(1, 0) = 0.0F;
  w(1, 260) = -0.0F;
  expect_signs(w, quantize<binary_per_row>(w));
  const auto zeros = quantize<binary_per_row>(row_matrix<float>::Zero(1, 3));
  EXPECT_EQ(zeros.scale(0, 0), 0.0F);
  EXPECT_EQ(zeros.code(0, 2), 1);
}

/// The scale of the elements of a group that keep their sign, and their smallest magnitude.
struct kept_part {
  double scale = 1.0;
  double smallest = std::numeric_limits<double>::infinity();
};

/// The mean of the magnitudes >= `least`, and the smallest of them.
kept_part keep_from(const std::vector<double>& magnitudes, double least) {
  double sum = 0.0, count = 0.0, smallest = std::numeric_limits<double>::infinity();
  for (const double m : magnitudes) {
    if (m < least) continue;
    sum += m;
    count += 1.0;
    smallest = std::min(smallest, m);
  }
  return sum == 0.0 ? kept_part{} : kept_part{std::max(sum / count, double{FLT_MIN}), smallest};
}

kept_part expected_part(mean_magnitude, const std::vector<double>& magnitudes) {
  const double sum = std::accumulate(magnitudes.begin(), magnitudes.end(), 0.0);
  const double mean = sum / static_cast<double>(magnitudes.size());
  if (mean < double{FLT_MIN} / 2) return {0.0, 0.0};  // no scale is nearer than 0
  return keep_from(magnitudes, 0.0);
}

kept_part expected_part(ternary_twn, const std::vector<double>& magnitudes) {
  const double sum = std::accumulate(magnitudes.begin(), magnitudes.end(), 0.0);
  const double delta = 0.7 * (sum / static_cast<double>(magnitudes.size()));
  kept_part part =
      keep_from(magnitudes, std::nextafter(delta, std::numeric_limits<double>::infinity()));
  part.smallest = std::max(part.smallest, double{FLT_MIN} / 2);
  return part;
}

/// The cut with the least squared error. Tries every magnitude as the smallest one that is kept.
kept_part expected_part(ternary_optimum, const std::vector<double>& magnitudes) {
  kept_part best;
  double best_error = std::numeric_limits<double>::infinity();
  for (const double least : magnitudes) {
    if (least == 0.0) continue;
    double sum = 0.0, count = 0.0;
    for (const double m : magnitudes) {
      sum += m >= least ? m : 0.0;
      count += m >= least ? 1.0 : 0.0;
    }
    const double scale = std::max(sum / count, double{FLT_MIN});
    double error = 0.0, zeros = 0.0;
    for (const double m : magnitudes) {
      const double left = m >= least ? m - scale : m;
      error += left * left;
      zeros += m * m;
    }
    if (best_error > zeros) {
      best_error = zeros;
      best = {double{FLT_MIN}, double{FLT_MIN} / 2};
    }
    if (error < best_error) {
      best_error = error;
      best = {scale, least};
    }
  }
  return best;
}

/// Checks codes and scales of a rule against its definition, group by group.
template <class S, class Rule>
void expect_rule_per_group(const row_matrix<float>& w) {
  const quantized_matrix<S> q = quantize<S, Rule>(w);
  const auto group = [](index r, index c) { return group_of(typename S::granularity{}, r, c); };
  std::map<int, std::vector<double>> members;
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) members[group(r, c)].push_back(std::abs(w(r, c)));
  }
  std::map<int, kept_part> parts;
  for (const auto& [key, m] : members) parts[key] = expected_part(Rule{}, m);
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      const kept_part& part = parts[group(r, c)];
      const float x = w(r, c);
      const int sign = std::signbit(x) && x != 0 ? -1 : 1;
      ASSERT_NEAR(q.scale(r, c), part.scale, 1e-7 * part.scale);
      const bool kept = S::storage::bits == 1 || std::abs(x) >= part.smallest;
      ASSERT_EQ(q.code(r, c), kept ? sign : 0) << x;
    }
  }
}

TEST(magnitude_quantize, every_granularity_applies_its_rule_per_group) {
  for (const auto& w : inputs()) {
    for_each_type(granularities{}, [&]<class G>() {
      SCOPED_TRACE(G::name);
      expect_rule_per_group<scheme<ternary, G>, ternary_optimum>(w);
      expect_rule_per_group<scheme<ternary, G>, ternary_twn>(w);
      expect_rule_per_group<scheme<binary, G>, mean_magnitude>(w);
    });
  }
}

TEST(magnitude_quantize, gaussian_and_uniform_witnesses) {
  const row_matrix<float> gauss = tests::normal_sample(100000);
  const row_matrix<float> flat = tests::uniform_sample(100000);
  const double pi = 3.14159265358979323846;
  EXPECT_NEAR(tests::relative_error(gauss, dequantize(quantize<binary_per_row>(gauss))), 1 - 2 / pi,
              1e-4);
  const auto best = quantize<ternary_per_row>(gauss);
  EXPECT_NEAR(tests::relative_error(gauss, dequantize(best)), 0.19017, 1e-4);
  std::vector<float> m(gauss.data(), gauss.data() + gauss.size());
  for (float& x : m) x = std::abs(x);
  EXPECT_NEAR(ternary_optimum::choose(m).threshold, 0.612, 2e-3);
  const auto twn = quantize<ternary_per_row, ternary_twn>(gauss);
  EXPECT_NEAR(tests::relative_error(gauss, dequantize(twn)), 0.19162, 1e-4);
  EXPECT_NEAR(tests::relative_error(flat, dequantize(quantize<ternary_per_row>(flat))), 1.0 / 9,
              1e-5);
  const auto flat_twn = quantize<ternary_per_row, ternary_twn>(flat);
  EXPECT_NEAR(tests::relative_error(flat, dequantize(flat_twn)), 0.1115, 1e-4);
}

TEST(magnitude_quantize, equal_magnitudes_get_equal_codes) {
  row_matrix<float> w(1, 6);
  w << 0.5F, -0.5F, 0.5F, 1.0F, -1.0F, 0.1F;
  const auto q = quantize<ternary_per_row>(w);
  EXPECT_EQ(q.code(0, 0), -q.code(0, 1));
  EXPECT_EQ(q.code(0, 0), q.code(0, 2));
  EXPECT_EQ(q.code(0, 3), 1);
  EXPECT_EQ(q.code(0, 4), -1);
  EXPECT_EQ(q.code(0, 5), 0);
}

TEST(quantize, group_as_wide_as_the_row_is_per_row_bit_for_bit) {
  const row_matrix<float> w = tests::noise_matrix(9, 64, 6);
  const auto by_group = quantize<int4_grouped<64>>(w);
  const auto by_row = quantize<int4_per_row>(w);
  EXPECT_EQ(by_group.codes(), by_row.codes());
  EXPECT_TRUE(std::ranges::equal(by_group.scales(), by_row.scales()));
  EXPECT_EQ(quantize<int4_grouped<100>>(w).codes(), by_row.codes());
}

TEST(quantize, error_of_an_element_is_half_the_step_of_its_block) {
  const row_matrix<float> w = tests::noise_matrix(9, 100, 7, 3);
  const auto q = quantize<int4_grouped<32>>(w);
  const row_matrix<float> w_hat = dequantize(q);
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      EXPECT_LE(std::abs(w(r, c) - w_hat(r, c)), 0.5F * q.scale(r, c) * (1 + 1e-6F));
    }
  }
}

/// Channel c has amax 2^-c.
row_matrix<float> fading_channels() {
  row_matrix<float> w = tests::noise_matrix(12, 400, 8);
  for (index c = 0; c < 12; ++c) {
    w.row(c) *= 1 / w.row(c).cwiseAbs().maxCoeff();
    w(c, 0) = 1.0F;
    w.row(c) *= std::ldexp(1.0F, -static_cast<int>(c));
  }
  return w;
}

template <class S>
double worst_channel_sqnr(const row_matrix<float>& w) {
  const row_matrix<float> w_hat = dequantize(quantize<S>(w));
  double worst = 1e9;
  for (index c = 0; c < w.rows(); ++c) {
    worst = std::min(worst, sqnr_db(w.row(c), row_matrix<float>(w_hat.row(c))));
  }
  return worst;
}

TEST(quantize, small_channels_need_a_scale_per_channel) {
  const row_matrix<float> w = fading_channels();
  const auto q = quantize<int8_per_tensor>(w);
  const int expected[12] = {127, 64, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0};
  for (index c = 0; c < 12; ++c) EXPECT_EQ(q.code(c, 0), expected[c]) << c;
  const row_matrix<float> w_hat = dequantize(q);
  for (index c = 8; c < 12; ++c) {
    EXPECT_EQ(sqnr_db(w.row(c), row_matrix<float>(w_hat.row(c))), 0.0) << c;
  }
  EXPECT_GE(worst_channel_sqnr<int8_per_row>(w), 40.0);
  EXPECT_GE((worst_channel_sqnr<scheme<int8, sub_tensor<1>, affine>>(w)), 40.0);
}

TEST(quantize, smaller_blocks_never_increase_the_largest_error) {
  const row_matrix<float> w = fading_channels();
  const double steps[] = {worst_channel_sqnr<scheme<int8, sub_tensor<12>>>(w),
                          worst_channel_sqnr<scheme<int8, sub_tensor<6>>>(w),
                          worst_channel_sqnr<scheme<int8, sub_tensor<3>>>(w),
                          worst_channel_sqnr<scheme<int8, sub_tensor<1>>>(w)};
  for (int i = 1; i < 4; ++i) EXPECT_GE(steps[i], steps[i - 1]);
}

TEST(quantize, accepts_all_eigen_expressions) {
  const row_matrix<float> w = tests::noise_matrix(6, 40, 9);
  const Eigen::MatrixXf by_column = w;
  const auto expected = quantize<int8_per_row>(w);
  EXPECT_EQ(quantize<int8_per_row>(by_column), expected);
  EXPECT_EQ(quantize<int8_per_row>(2.0F * w - w), expected);
  row_matrix<float> wide(6, 50);
  wide.setConstant(99);
  wide.middleCols(5, 40) = w;
  EXPECT_EQ(quantize<int8_per_row>(wide.middleCols(5, 40)), expected);
  EXPECT_EQ(quantize<int8_per_row>(Eigen::Map<const row_matrix<float>>(w.data(), 6, 40)), expected);
}

TEST(quantize, result_does_not_depend_on_the_executor) {
  using random_int4 = scheme<int4, grouped<20>, symmetric, real_scale, stochastic>;
  const row_matrix<float> w = tests::noise_matrix(37, 70, 10);
  for (const int threads : {1, 2, 5}) {
    const thread_executor e{threads};
    EXPECT_EQ(quantize<uint8_affine>(w, e), quantize<uint8_affine>(w));
    EXPECT_EQ(quantize<ternary_per_row>(w, e), quantize<ternary_per_row>(w));
    EXPECT_EQ(quantize<binary_per_row>(w, e), quantize<binary_per_row>(w));
    EXPECT_EQ(quantize<random_int4>(w, draws, e), quantize<random_int4>(w, draws));
    EXPECT_EQ(dequantize(quantize<int8_per_col>(w), e), dequantize(quantize<int8_per_col>(w)));
  }
}

TEST(quantize, stochastic_codes_depend_on_the_generator_and_are_unbiased) {
  using s = scheme<int8, per_tensor, symmetric, real_scale, stochastic>;
  const row_matrix<float> w = row_matrix<float>::Constant(200, 200, 0.3F);
  const std::vector<quant_params> unit = {{1.0F, 0}};
  const auto q = quantize<s>(w, unit, draws);
  EXPECT_EQ(q, quantize<s>(w, unit, draws));
  EXPECT_FALSE(q == quantize<s>(w, unit, generator{draws.seed + 1, draws.counter}));
  EXPECT_NEAR(dequantize(q).mean(), 0.3, 4 * std::sqrt(0.21 / 40000));
}

TEST(quantize, given_parameters_are_used_unchanged) {
  row_matrix<float> w(2, 3);
  w << -1, 0, 3, 1, 100, -100;
  const std::vector<quant_params> params = {{static_cast<float>(4.0 / 255), -64}};
  const auto q = quantize<int8_affine>(w, params);
  row_matrix<std::int8_t> expected(2, 3);
  expected << -128, -64, 127, 0, 127, -128;
  EXPECT_EQ(q.codes(), expected);
  EXPECT_EQ(dequantize(q)(0, 1), 0.0F);
  const std::vector<quant_params> rows = {{1.0F, 0}, {10.0F, 0}};
  EXPECT_EQ(quantize<int8_per_row>(w, rows).code(1, 1), 10);
  EXPECT_EQ(fake_quantize<int8_per_row>(w, rows)(1, 1), 100.0F);
}

TEST(quantize, huge_quotients_clamp) {
  row_matrix<float> w(1, 20);
  w.setConstant(FLT_MAX);
  w(0, 1) = -FLT_MAX;
  w(0, 19) = -FLT_MAX;
  const std::vector<quant_params> tiny = {{FLT_MIN, 5}};
  const auto q = quantize<int8_affine>(w, tiny);
  EXPECT_EQ(q.code(0, 0), 127);
  EXPECT_EQ(q.code(0, 1), -128);
  EXPECT_EQ(q.code(0, 18), 127);
  EXPECT_EQ(q.code(0, 19), -128);
}

TEST(quantize, subnormals_round_on_the_smallest_scale) {
  row_matrix<float> w(1, 3);
  w << FLT_MIN / 2, FLT_MIN * 0.75F, std::numeric_limits<float>::denorm_min();
  const auto q = quantize<int8_per_row>(w);
  EXPECT_EQ(q.scale(0, 0), FLT_MIN);
  EXPECT_EQ(q.code(0, 0), 0);
  EXPECT_EQ(q.code(0, 1), 1);
  EXPECT_EQ(q.code(0, 2), 0);
}

/// The largest difference, in double. Not by vectors of Eigen's, which on a 32-bit Arm take
/// subnormal numbers for zeros.
double farthest_apart(const row_matrix<float>& a, const row_matrix<float>& b) {
  double farthest = 0.0;
  for (index i = 0; i < a.size(); ++i)
    farthest = std::max(farthest, std::abs(double{a.data()[i]} - double{b.data()[i]}));
  return farthest;
}

/// No value of a group of equal elements comes back farther from it than 0 is.
template <class S>
void expect_small_groups_come_back() {
  for (const float size : {0.0F, 1e-45F, 1e-42F, FLT_MIN / 4, FLT_MIN / 2, FLT_MIN * 0.75F, FLT_MIN,
                           1e-37F, 1e-30F, 1.0F}) {
    for (const float sign : {1.0F, -1.0F}) {
      row_matrix<float> w = row_matrix<float>::Constant(4, 40, size * sign);
      const row_matrix<float> alone = dequantize(quantize<S>(w));
      EXPECT_LE(farthest_apart(alone, w), double{size}) << S::storage::name << " " << size;
      if (size == 0.0F) {
        EXPECT_TRUE(alone.isZero(0.0F));
      }
      w.row(1).setConstant(3.0F);  // beside other groups, if there are groups
      const quantized_matrix<S> q = quantize<S>(w);
      for (const float scale : q.scales()) {
        EXPECT_TRUE(scale >= FLT_MIN || (detail::may_lack_zero<typename S::storage> && scale == 0));
      }
      if (q.scale(0, 0) == q.scale(1, 0)) continue;
      EXPECT_LE(farthest_apart(dequantize(q).row(0), w.row(0)), double{size});
    }
  }
}

TEST(quantize, zeros_and_subnormals_have_no_larger_error_than_zero) {
  tests::for_each_type(tests::granularities{}, []<class G>() {
    SCOPED_TRACE(G::name);
    expect_small_groups_come_back<scheme<binary, G>>();
    expect_small_groups_come_back<scheme<ternary, G>>();
    expect_small_groups_come_back<scheme<int8, G>>();
    expect_small_groups_come_back<scheme<int2, G, symmetric_full>>();
    expect_small_groups_come_back<scheme<uint4, G, affine>>();
    expect_small_groups_come_back<scheme<int8, G, symmetric, power_of_two>>();
  });
}

TEST(quantize, a_group_of_zeros_has_scale_zero_where_no_code_is_zero) {
  row_matrix<float> w = tests::noise_matrix(3, 8, 5);
  w.row(1).setZero();
  w.block(2, 4, 1, 4).setConstant(-0.0F);
  const auto rows = quantize<binary_per_row>(w);
  EXPECT_EQ(rows.scale(1, 0), 0.0F);
  EXPECT_GT(rows.scale(2, 0), 0.0F);
  EXPECT_EQ(rows.code(1, 3), 1);
  const auto groups = quantize<binary_grouped<4>>(w);
  EXPECT_EQ(groups.scale(2, 4), 0.0F);
  EXPECT_GT(groups.scale(2, 0), 0.0F);
  EXPECT_TRUE(dequantize(groups).row(2).tail(4).isZero(0.0F));
  EXPECT_EQ(quantize<ternary_per_row>(w).scale(1, 0), 1.0F);
  EXPECT_EQ((quantize<ternary_per_row, ternary_twn>(w).scale(1, 0)), 1.0F);
  EXPECT_EQ(quantize<int4_per_row>(w).scale(1, 0), 1.0F);
}

TEST(quantize, the_largest_floats_stay_finite) {
  row_matrix<float> w = tests::noise_matrix(6, 40, 7, 1e38);
  w(1, 3) = -FLT_MAX;
  w(2, 4) = FLT_MAX;
  w.row(3).setConstant(-FLT_MAX);
  w.row(4).setConstant(FLT_MAX);
  w.row(5).setConstant(0x1p127F);
  for (const int power : {0, -1, -7}) {
    const row_matrix<float> x = w * std::ldexp(1.0F, power);
    tests::for_each_type(tests::granularities{}, [&]<class G>() {
      const auto is_finite = [&]<class S>() { return dequantize(quantize<S>(x)).allFinite(); };
      EXPECT_TRUE((is_finite.template operator()<scheme<int8, G>>()));
      EXPECT_TRUE((is_finite.template operator()<scheme<int16, G>>()));
      EXPECT_TRUE((is_finite.template operator()<scheme<int3, G, symmetric_full>>()));
      EXPECT_TRUE((is_finite.template operator()<scheme<int2, G, affine, power_of_two>>()));
      EXPECT_TRUE((is_finite.template operator()<scheme<ternary, G>>()));
      EXPECT_TRUE((is_finite.template operator()<scheme<binary, G>>()));
    });
  }
  const std::vector<quant_params> given = {{FLT_MAX, 3}};
  EXPECT_EQ(dequantize(quantize<int8_affine>(w, given)).maxCoeff(), FLT_MAX);
  EXPECT_EQ(dequantize(quantize<int8_affine>(w, given)).minCoeff(), -FLT_MAX);
}

using minimum_schemes =
    tests::types<scheme<uint8, per_row, real_minimum>, uint4_grouped_minimum<20>,
                 scheme<uint3, grouped<20>, real_minimum, real_scale, half_away>,
                 scheme<uint2, per_row, real_minimum, power_of_two>,
                 scheme<uint4, grouped<20>, real_minimum, real_scale, toward_zero>>;

TEST(quantize_by_minima, equal_values_are_restored_exactly) {
  for_each_type(minimum_schemes{}, []<class S>() {
    for (const float value : {0.0F, 1.0F, -0.1F, 3.3333F, 1e-45F, -1e-38F, FLT_MAX, -FLT_MAX}) {
      const row_matrix<float> w = row_matrix<float>::Constant(2, 41, value);
      const quantized_matrix<S> q = quantize<S>(w);
      EXPECT_EQ(dequantize(q), w) << S::storage::name << " " << value;
      EXPECT_EQ(q.scale(1, 40), 0.0F);
      EXPECT_EQ(q.minimum(1, 40), value);
      EXPECT_EQ(q.code(1, 40), 0);
    }
  });
}

TEST(quantize_by_minima, the_largest_floats_are_restored_within_half_a_step) {
  row_matrix<float> w = tests::noise_matrix(6, 40, 10, FLT_MAX / 10);
  w(0, 0) = FLT_MAX;
  w(0, 1) = -FLT_MAX;
  w.row(1).setConstant(-FLT_MAX);
  w(1, 20) = FLT_MAX;
  w(2, 3) = FLT_MAX;
  w(2, 4) = -1e-45F;
  w.row(3) = w.row(3).cwiseAbs();
  w(4, 5) = -FLT_MAX;
  for_each_type(minimum_schemes{}, [&]<class S>() { tests::expect_equal_to_oracle<S>(w); });
  const row_matrix<float> back = dequantize(quantize<scheme<uint8, per_row, real_minimum>>(w));
  EXPECT_TRUE(back.allFinite());
  EXPECT_EQ(back(1, 0), -FLT_MAX);
}

TEST(quantize_by_minima, a_group_far_from_zero_costs_no_precision) {
  const row_matrix<float> near = (tests::noise_matrix(4, 64, 21).array() * 0x1p-8F).matrix();
  const row_matrix<float> far = (near.array() + 64.0F).matrix();
  const auto error = [](const row_matrix<float>& w, const row_matrix<float>& w_hat) {
    return (w - w_hat).cwiseAbs().maxCoeff();
  };
  const float by_minima = error(far, fake_quantize<uint4_grouped_minimum<32>>(far));
  EXPECT_LT(by_minima, 1.01F * error(near, fake_quantize<uint4_grouped_minimum<32>>(near)));
  EXPECT_LT(5.0F * by_minima, error(far, fake_quantize<uint4_grouped<32>>(far)));
}

TEST(quantize_by_minima, given_parameters_are_used_unchanged) {
  using S = uint4_grouped_minimum<4>;
  row_matrix<float> w(1, 8);
  w << -2, -1.25F, 5.6F, 100, 7, -FLT_MAX, FLT_MAX, 3;
  const std::vector<minimum_params> params = {{0.5F, -1.5F}, {0.0F, 2.0F}};
  const quantized_matrix<S> q = quantize<S>(w, params);
  row_matrix<std::uint8_t> codes(1, 8);
  codes << 0, 0, 14, 15, 0, 0, 0, 0;
  EXPECT_EQ(q.codes(), codes);
  row_matrix<float> w_hat(1, 8);
  w_hat << -1.5F, -1.5F, 5.5F, 6, 2, 2, 2, 2;
  EXPECT_EQ(dequantize(q), w_hat);
  EXPECT_EQ(dequantize(quantize<S>(w, params, thread_executor{2})), w_hat);
  const std::vector<minimum_params> wide = {{1e38F, -3e38F}, {FLT_MAX, FLT_MAX}};
  w << -3e38F, 0, 3e38F, 1e38F, 0, FLT_MAX, -FLT_MAX, 1;
  codes << 0, 3, 6, 4, 0, 0, 0, 0;
  EXPECT_EQ((quantize<S>(w, wide).codes()), codes);
  EXPECT_TRUE(dequantize(quantize<S>(w, wide)).allFinite());
}

TEST(quantize, fake_quantize_equals_quantize_then_dequantize) {
  const row_matrix<float> w = tests::noise_matrix(4, 33, 11);
  EXPECT_EQ(fake_quantize<uint4_grouped<20>>(w), dequantize(quantize<uint4_grouped<20>>(w)));
  EXPECT_EQ(fake_quantize<int8_per_row>(w, thread_executor{2}),
            dequantize(quantize<int8_per_row>(w)));
  const row_matrix<float> once = fake_quantize<int8_power_of_two>(w);
  EXPECT_EQ(fake_quantize<int8_power_of_two>(once), once);
}

#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;

TEST(quantize, non_finite_values_are_named_with_their_position) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float inf = std::numeric_limits<float>::infinity();
  for (const index c : {0, 3, 36}) {
    row_matrix<float> w = tests::noise_matrix(4, 37, 12);
    w(2, c) = nan;
    w(3, 0) = inf;
    const std::string place = "w(2, " + std::to_string(c) + ")";
    const std::string expected = "fewbit: quantize: " + place + " is nan, expected a finite number";
    EXPECT_EQ(sentence_of([&] { (void)quantize<int8_per_row>(w); }), expected);
    EXPECT_EQ(sentence_of([&] { (void)quantize<ternary_per_row>(w); }), expected);
    EXPECT_EQ(sentence_of([&] { (void)quantize<binary_per_row>(w); }), expected);
    w(2, c) = -inf;
    EXPECT_EQ(sentence_of([&] { (void)quantize<uint8_affine>(w); }),
              "fewbit: quantize: " + place + " is -inf, expected a finite number");
    const std::vector<quant_params> p(1);
    EXPECT_EQ(sentence_of([&] { (void)quantize<uint8_affine>(w, p); }),
              "fewbit: quantize: " + place + " is -inf, expected a finite number");
  }
}

TEST(quantize, no_elements_is_an_error) {
  EXPECT_EQ(sentence_of([&] { (void)quantize<int8_per_row>(row_matrix<float>(0, 3)); }),
            "fewbit: quantize: w is 0 x 3, expected at least one row and one column");
  EXPECT_EQ(sentence_of([&] { (void)quantize<binary_per_row>(row_matrix<float>(2, 0)); }),
            "fewbit: quantize: w is 2 x 0, expected at least one row and one column");
}

TEST(quantize, bad_parameters_are_named) {
  const row_matrix<float> w = row_matrix<float>::Ones(2, 3);
  const auto failure = [&]<class S>(const std::vector<quant_params>& p) {
    return sentence_of([&] { (void)quantize<S>(w, p); });
  };
  EXPECT_EQ(failure.operator()<int8_per_row>({{1.0F, 0}}),
            "fewbit: quantize: number of params is 1, expected 2");
  EXPECT_EQ(failure.operator()<int8_per_row>({{1.0F, 0}, {NAN, 0}}),
            "fewbit: quantize: params[1].scale is nan, expected a finite positive number");
  EXPECT_EQ(failure.operator()<int8_per_row>({{0.0F, 0}, {1.0F, 0}}),
            "fewbit: quantize: params[0].scale is 0, expected a finite positive number");
  EXPECT_EQ(failure.operator()<int8_per_row>({{1.0F, 0}, {0x1p-127F, 0}}),
            "fewbit: quantize: params[1].scale is 5.87747175e-39, expected at least 2^-126");
  EXPECT_EQ(failure.operator()<int8_per_row>({{1.0F, 0}, {1.0F, 1}}),
            "fewbit: quantize: params[1].zero_point is 1, expected 0");
  EXPECT_EQ(failure.operator()<uint8_affine>({{1.0F, 256}}),
            "fewbit: quantize: params[0].zero_point is 256, expected 0 to 255");
  EXPECT_EQ(failure.operator()<int8_power_of_two>({{0.3F, 0}}),
            "fewbit: quantize: params[0].scale is 0.3, expected a power of two from 2^-126 to "
            "2^127");
}

TEST(quantize_by_minima, bad_parameters_are_named) {
  const row_matrix<float> w = row_matrix<float>::Ones(2, 3);
  const auto failure = [&]<class S>(const std::vector<minimum_params>& p) {
    return sentence_of([&] { (void)quantize<S>(w, p); });
  };
  using S = scheme<uint4, per_row, real_minimum>;
  EXPECT_EQ(failure.operator()<S>({{1.0F, 0.0F}, {0.0F, -1.0F}}), "no error");
  EXPECT_EQ(failure.operator()<S>({{1.0F, 0.0F}}),
            "fewbit: quantize: number of params is 1, expected 2");
  EXPECT_EQ(failure.operator()<S>({{1.0F, 0.0F}, {-1.0F, 0.0F}}),
            "fewbit: quantize: params[1].scale is -1, expected a finite positive number");
  EXPECT_EQ(failure.operator()<S>({{0x1p-127F, 0.0F}, {1.0F, 0.0F}}),
            "fewbit: quantize: params[0].scale is 5.87747175e-39, expected at least 2^-126");
  EXPECT_EQ(failure.operator()<S>({{1.0F, 0.0F}, {1.0F, NAN}}),
            "fewbit: quantize: params[1].minimum is nan, expected a finite number");
  EXPECT_EQ(failure.operator()<S>({{1.0F, -INFINITY}, {1.0F, 0.0F}}),
            "fewbit: quantize: params[0].minimum is -inf, expected a finite number");
  using power = scheme<uint4, per_row, real_minimum, power_of_two>;
  EXPECT_EQ(failure.operator()<power>({{0.3F, 0.0F}, {1.0F, 0.0F}}),
            "fewbit: quantize: params[0].scale is 0.3, expected a power of two from 2^-126 to "
            "2^127");
  row_matrix<float> bad = w;
  bad(1, 2) = INFINITY;
  EXPECT_EQ(sentence_of([&] { (void)quantize<S>(bad); }),
            "fewbit: quantize: w(1, 2) is inf, expected a finite number");
}
#endif

}  // namespace quant_quantize_test
}  // namespace fewbit
