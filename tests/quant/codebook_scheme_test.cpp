// Codebooks through quantize, dequantize, quantized_matrix and metrics, with given levels.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/quant/metrics.hpp"
#include "fewbit/quant/quantize.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace quant_codebook_scheme_test {

/// 2^bits levels with irregular distances; two of them are equal.
std::vector<float> uneven_levels(int bits) {
  std::vector<float> levels = {-0.97F};
  const int count = 1 << bits;
  for (int i = 1; i < count; ++i) {
    const float step = 1.9F * static_cast<float>(1 + i % 3) / static_cast<float>(2 * count);
    levels.push_back(i == count / 2 ? levels.back() : levels.back() + step);
  }
  return levels;
}

/// Checks every group with plain loops: its scale, and that no other level is nearer.
template <class S>
void expect_nearest(const row_matrix<float>& w) {
  const std::vector<float> levels = uneven_levels(S::storage::bits);
  const quantized_matrix<S> q = quantize<S>(w, levels);
  ASSERT_EQ(std::vector<float>(q.levels().begin(), q.levels().end()), levels);
  const row_matrix<float> back = dequantize(q);
  std::vector<float> largest(q.scales().size(), 0.0F);
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      float& m = largest[static_cast<std::size_t>(S::granularity::scale_of(r, c, w.cols()))];
      m = std::fmax(m, std::fabs(w(r, c)));
    }
  }
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      const auto group = static_cast<std::size_t>(S::granularity::scale_of(r, c, w.cols()));
      ASSERT_EQ(q.scale(r, c), largest[group]);
      const float x = w(r, c) / q.scale(r, c);
      const float chosen = levels[static_cast<std::size_t>(q.code(r, c))];
      for (const float level : levels) {
        const double here = std::abs(double{x} - double{chosen});
        const double there = std::abs(double{x} - double{level});
        ASSERT_TRUE(here < there || (here == there && chosen <= level)) << x << " " << level;
      }
      ASSERT_EQ(back(r, c), chosen * q.scale(r, c));
    }
  }
}

template <class Storage>
void expect_nearest_everywhere() {
  for (const index cols : {1, 7, 255, 256, 257, 515}) {
    const row_matrix<float> w = tests::random_reals(5, cols, 3);
    expect_nearest<scheme<Storage, per_tensor>>(w);
    expect_nearest<scheme<Storage, per_row>>(w);
    expect_nearest<scheme<Storage, per_col>>(w);
    expect_nearest<scheme<Storage, grouped<32>>>(w);
    expect_nearest<scheme<Storage, sub_tensor<2>>>(w);
  }
}

TEST(codebook, chooses_the_nearest_level_in_every_granularity) {
  expect_nearest_everywhere<codebook<1>>();
  expect_nearest_everywhere<codebook<2>>();
  expect_nearest_everywhere<codebook<3>>();
  expect_nearest_everywhere<codebook<4>>();
  expect_nearest_everywhere<codebook<5>>();
  expect_nearest_everywhere<codebook<6>>();
  expect_nearest_everywhere<codebook<7>>();
  expect_nearest_everywhere<codebook<8>>();
}

TEST(codebook, chooses_the_lower_level_on_a_midpoint) {
  row_matrix<float> w(1, 6);
  w << 0.25F, std::nextafter(0.25F, 1.0F), -0.25F, std::nextafter(-0.25F, 0.0F), 0.75F, 1.0F;
  const std::vector<float> levels = {-0.5F, 0.0F, 0.5F, 1.0F};
  const auto q = quantize<codebook_per_row<2>>(w, levels);
  const std::vector<int> codes = {1, 2, 0, 1, 2, 3};
  for (index c = 0; c < 6; ++c) EXPECT_EQ(q.code(0, c), codes[static_cast<std::size_t>(c)]) << c;
}

TEST(codebook, does_not_depend_on_the_executor) {
  const row_matrix<float> w = tests::random_reals(33, 70, 5);
  const std::vector<float> levels = uneven_levels(4);
  EXPECT_EQ((quantize<codebook_grouped<4, 32>>(w, levels, thread_executor{3})),
            (quantize<codebook_grouped<4, 32>>(w, levels)));
}

/// Zeros come back exactly. Equal subnormals come back with an error of at most their magnitude.
TEST(codebook, of_zeros_and_subnormals_has_no_larger_error_than_zero) {
  constexpr float least = std::numeric_limits<float>::min();
  const std::vector<std::vector<float>> lists = {{-1.0F, -0.25F, 0.25F, 1.0F},
                                                 {-1.0F, 0.0F, 0.5F, 1.0F},
                                                 {0.5F, 0.6F, 0.7F, 1.0F},
                                                 {-1.0F, -0.9F, -0.8F, -0.7F},
                                                 uneven_levels(2)};
  for (const auto& levels : lists) {
    const bool has_zero = std::find(levels.begin(), levels.end(), 0.0F) != levels.end();
    for (const float x : {0.0F, -0.0F, 1e-45F, 1e-42F, -1e-42F, least / 2, -least * 0.75F}) {
      row_matrix<float> w = row_matrix<float>::Constant(3, 5, x);
      w.row(1).setOnes();
      const auto q = quantize<codebook_per_row<2>>(w, levels);
      if (x == 0.0F) {
        EXPECT_EQ(q.scale(0, 0), has_zero ? 1.0F : 0.0F);
      }
      for (const index r : {0, 2}) {
        EXPECT_LE((dequantize(q).row(r).array() - x).abs().maxCoeff(), std::fabs(x)) << x;
      }
      const quantized_matrix<codebook_per_row<2>> again(q.codes(), q.scales(), q.levels());
      EXPECT_EQ(again, q);
      EXPECT_EQ(dequantize(quantize<codebook_grouped<2, 2>>(w, levels)).row(0),
                dequantize(q).row(0));
    }
  }
  EXPECT_EQ(
      (quantize<codebook_per_row<4>, normal_quantiles>(row_matrix<float>::Zero(1, 3)).scale(0, 0)),
      1.0F);
}

TEST(codebook, includes_levels_in_storage_bytes) {
  const row_matrix<float> w = tests::random_reals(3, 70, 5);
  EXPECT_EQ((quantize<codebook_per_row<4>, normal_quantiles>(w).storage_bytes()),
            3 * 35 + 3 * 4 + 16 * 4);
  EXPECT_EQ(quantize<codebook_per_row<3>>(w, uneven_levels(3)).storage_bytes(),
            3 * 27 + 3 * 4 + 8 * 4);
  EXPECT_EQ(quantize<codebook_per_row<5>>(w, uneven_levels(5)).storage_bytes(),
            3 * 44 + 3 * 4 + 32 * 4);
}

TEST(codebook, is_rebuilt_from_its_parts) {
  const row_matrix<float> w = tests::random_reals(4, 9, 5);
  const std::vector<float> levels = uneven_levels(3);
  const auto q = quantize<codebook_grouped<3, 4>>(w, levels);
  const quantized_matrix<codebook_grouped<3, 4>> again(q.codes(), q.scales(), q.levels());
  EXPECT_EQ(again, q);
  std::vector<float> moved = levels;
  moved[3] -= 0.001F;
  EXPECT_FALSE((quantized_matrix<codebook_grouped<3, 4>>(q.codes(), q.scales(), moved) == q));
}

TEST(codebook, works_with_all_metrics) {
  row_matrix<float> w(1, 5);
  w << -1.0F, -0.7F, 0.5F, 0.7F, 1.0F;
  const std::vector<float> levels = {-0.5F, 0.0F, 0.25F, 0.5F};
  const error_report e = measure_error(w, quantize<codebook_per_row<2>>(w, levels));
  EXPECT_NEAR(e.mse, (0.25 + 0.04 + 0.0 + 0.04 + 0.25) / 5, 1e-7);
  EXPECT_NEAR(e.max_error, 0.5, 1e-7);
  EXPECT_EQ(e.clipped_share, 0.6);  // below -.75 or above .625
}

/// Every rule with fixed levels gives the outermost level to the largest weight of a row.
TEST(codebook, quantizes_by_each_rule) {
  const row_matrix<float> w = tests::random_reals(3, 64, 9);
  const auto worst = [&](const auto& q) { return measure_error(w, q).clipped_share; };
  EXPECT_EQ((worst(quantize<codebook_per_row<4>, normal_quantiles>(w))), 0.0);
  EXPECT_EQ((worst(quantize<codebook_per_row<4>, powers_of_two>(w))), 0.0);
  EXPECT_EQ((worst(quantize<codebook_per_row<4>, additive_powers_of_two>(w))), 0.0);
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(codebook, names_bad_levels) {
  const row_matrix<float> w = tests::random_reals(2, 3, 5);
  const auto quantized = [&](std::vector<float> levels) {
    return tests::sentence_of([&] { return quantize<codebook_per_row<2>>(w, levels); });
  };
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(quantized({-1.0F, 0.0F, 1.0F}), "fewbit: quantize: number of levels is 3, expected 4");
  EXPECT_EQ(quantized({-1.0F, 0.5F, 0.0F, 1.0F}),
            "fewbit: quantize: levels[2] is 0, expected 0.5 to 1");
  EXPECT_EQ(quantized({-1.5F, 0.0F, 0.5F, 1.0F}),
            "fewbit: quantize: levels[0] is -1.5, expected -1 to 1");
  EXPECT_EQ(quantized({-1.0F, 0.0F, 0.5F, 1.5F}),
            "fewbit: quantize: levels[3] is 1.5, expected 0.5 to 1");
  EXPECT_EQ(quantized({-1.0F, nan, 0.5F, 1.0F}),
            "fewbit: quantize: levels[1] is nan, expected -1 to 1");
}

TEST(codebook, names_bad_arguments) {
  using matrix = quantized_matrix<codebook_per_row<2>>;
  const row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Constant(1, 2, 3);
  const std::vector<float> one = {1.0F}, levels = {-1.0F, 0.0F, 0.5F, 1.0F};
  EXPECT_EQ(tests::sentence_of([&] { return matrix(codes, one, levels); }), "no error");
  EXPECT_EQ(tests::sentence_of([&] { return matrix(codes, one, one); }),
            "fewbit: quantized_matrix: number of levels is 1, expected 4");
  EXPECT_EQ(tests::sentence_of([&] { return matrix(codes, levels, levels); }),
            "fewbit: quantized_matrix: number of scales is 4, expected 1");
  const row_matrix<std::uint8_t> wrong = row_matrix<std::uint8_t>::Constant(1, 2, 4);
  EXPECT_EQ(tests::sentence_of([&] { return matrix(wrong, one, levels); }),
            "fewbit: quantized_matrix: codes(0, 0) is 4, expected 0 to 3");
}

TEST(codebook, names_bad_weights) {
  row_matrix<float> w = tests::random_reals(2, 3, 5);
  w(1, 2) = std::numeric_limits<float>::infinity();
  const std::string sentence = "fewbit: quantize: w(1, 2) is inf, expected a finite number";
  EXPECT_EQ(tests::sentence_of([&] { return quantize<codebook_per_row<2>>(w, uneven_levels(2)); }),
            sentence);
  EXPECT_EQ(tests::sentence_of([&] { return quantize<codebook_per_row<4>, normal_quantiles>(w); }),
            sentence);
}

#endif

}  // namespace quant_codebook_scheme_test
}  // namespace fewbit
