#include "fewbit/codebook/lloyd_max.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/quant/metrics.hpp"
#include "support/reals.hpp"
#include "support/samples.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace codebook_lloyd_max_test {

row_matrix<float> gaussian(index rows, index cols) {
  const auto values = tests::normal_quantiles(static_cast<int>(rows * cols));
  return Eigen::Map<const row_matrix<float>>(values.data(), rows, cols);
}

template <int Bits>
double gaussian_error() {
  const row_matrix<float> w = gaussian(64, 1024);
  return measure_error(w, quantize<scheme<codebook<Bits>, per_tensor>>(w)).mse;
}

/// The levels for the normal distribution in the tables of Lloyd and Max.
TEST(lloyd_max, has_the_known_error_of_a_gaussian) {
  EXPECT_NEAR(gaussian_error<1>(), 0.363380, 0.02 * 0.363380);
  EXPECT_NEAR(gaussian_error<2>(), 0.117482, 0.02 * 0.117482);
  EXPECT_NEAR(gaussian_error<3>(), 0.0345478, 0.02 * 0.0345478);
  EXPECT_NEAR(gaussian_error<4>(), 0.0095010, 0.02 * 0.0095010);
}

/// sum of importance * (w - scale * nearest level)^2, by plain loops.
double weighted_error(const row_matrix<float>& w, const std::vector<float>& levels,
                      const std::vector<float>& importance) {
  double sum = 0.0;
  for (index r = 0; r < w.rows(); ++r) {
    const double scale = w.row(r).cwiseAbs().maxCoeff();
    for (index c = 0; c < w.cols(); ++c) {
      double least = std::numeric_limits<double>::infinity();
      for (const float level : levels)
        least = std::fmin(least, std::pow(double{w(r, c)} - scale * double{level}, 2));
      sum += double{importance[static_cast<std::size_t>(c)]} * least;
    }
  }
  return sum;
}

row_matrix<float> rows_of_many_sizes() {
  row_matrix<float> w = tests::random_reals(12, 50, 7);
  for (index r = 0; r < w.rows(); ++r) {
    w.row(r) = w.row(r).array().cube() * std::ldexp(1.0F, static_cast<int>(r % 5));
  }
  return w;
}

std::vector<float> some_importance() {
  std::vector<float> importance;
  for (int c = 0; c < 50; ++c)
    importance.push_back(c % 7 == 0 ? 0.0F : std::exp2(static_cast<float>(c % 9 - 4)));
  return importance;
}

TEST(lloyd_max, cannot_be_improved_by_moving_a_level) {
  const row_matrix<float> w = rows_of_many_sizes();
  const std::vector<float> importance = some_importance();
  const std::vector<float> same(50, 1.0F);
  const auto expect_best = [&](const std::vector<float>& levels, const std::vector<float>& counts) {
    const double least = weighted_error(w, levels, counts);
    for (std::size_t i = 0; i < levels.size(); ++i) {
      for (const float by : {-0.004F, 0.004F}) {
        std::vector<float> moved = levels;
        moved[i] += by;
        EXPECT_GT(weighted_error(w, moved, counts), least) << i;
      }
    }
  };
  expect_best(lloyd_max_levels<codebook_per_row<3>>(w), same);
  expect_best(lloyd_max_levels<codebook_per_row<3>>(w, importance), importance);
  EXPECT_LT(weighted_error(w, lloyd_max_levels<codebook_per_row<3>>(w, importance), importance),
            0.95 * weighted_error(w, lloyd_max_levels<codebook_per_row<3>>(w), importance));
}

TEST(lloyd_max, is_the_default_of_quantize) {
  const row_matrix<float> w = rows_of_many_sizes();
  const auto levels = lloyd_max_levels<codebook_per_row<4>>(w);
  EXPECT_EQ(quantize<codebook_per_row<4>>(w), quantize<codebook_per_row<4>>(w, levels));
  EXPECT_EQ((quantize<codebook_per_row<4>, lloyd_max>(w)), quantize<codebook_per_row<4>>(w));
  EXPECT_EQ(quantize<codebook_per_row<4>>(w, thread_executor{3}), quantize<codebook_per_row<4>>(w));
}

TEST(lloyd_max, equal_few_different_numbers) {
  row_matrix<float> w(2, 4);
  w << 1.0F, -0.5F, 0.0F, 0.5F, 2.0F, -1.0F, 1.0F, 1.0F;
  EXPECT_EQ(dequantize(quantize<codebook_per_row<2>>(w)), w);
  EXPECT_EQ(lloyd_max_levels<codebook_per_row<3>>(w),
            (std::vector<float>{-0.5F, 0.0F, 0.5F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F}));
  const row_matrix<float> zeros = row_matrix<float>::Zero(3, 4);
  EXPECT_EQ(dequantize(quantize<codebook_per_row<4>>(zeros)), zeros);
}

TEST(lloyd_max, importance_of_only_zeros_is_ignored) {
  const row_matrix<float> w = rows_of_many_sizes();
  EXPECT_EQ(lloyd_max_levels<codebook_per_row<3>>(w, std::vector<float>(50, 0.0F)),
            lloyd_max_levels<codebook_per_row<3>>(w));
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(lloyd_max, names_bad_arguments) {
  row_matrix<float> w = tests::random_reals(2, 3, 5);
  const auto learn = [&](std::vector<float> importance) {
    return tests::sentence_of(
        [&] { return lloyd_max_levels<codebook_per_row<2>>(w, importance).size(); });
  };
  EXPECT_EQ(learn({1.0F, 0.0F, 1.0F}), "no error");
  EXPECT_EQ(learn({1.0F}), "fewbit: lloyd_max_levels: length of importance is 1, expected 3");
  EXPECT_EQ(learn({1.0F, -1.0F, 1.0F}),
            "fewbit: lloyd_max_levels: importance[1] is -1, expected a finite number, at least 0");
  EXPECT_EQ(tests::sentence_of([&] { return lloyd_max_levels<codebook_per_row<3>>(w).size(); }),
            "fewbit: lloyd_max_levels: w.size() is 6, expected at least 8, the number of levels");
  EXPECT_EQ(tests::sentence_of([&] { return quantize<codebook_per_row<3>>(w).rows(); }),
            "no error");
  w(0, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(learn({}), "fewbit: lloyd_max_levels: w(0, 1) is nan, expected a finite number");
}

#endif

}  // namespace codebook_lloyd_max_test
}  // namespace fewbit
