#include "fewbit/equalize/sub_tensor.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "equalize/support.hpp"
#include "fewbit/equalize/outlier_split.hpp"
#include "fewbit/quant/metrics.hpp"

namespace fewbit { namespace equalize_sub_tensor_test {

using tests::linear_layer;
using tests::matrix;
using tests::random_reals;

/// Twelve channels whose largest weight is 2^-c.
matrix halving_channels(index cols = 9) {
  matrix w = random_reals(12, cols, 5);
  for (index c = 0; c < 12; ++c) {
    w.row(c) *= 0.9F / w.row(c).cwiseAbs().maxCoeff();
    w(c, c % cols) = 1.0F;
    w.row(c) *= std::ldexp(1.0F, static_cast<int>(-c));
  }
  return w;
}

TEST(equalize_sub_tensor, one_scale_gives_narrow_channels_no_codes) {
  const matrix w = halving_channels();
  const auto q = quantize<int8_per_tensor>(w);
  const std::vector<int> want{127, 64, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0};
  for (index c = 0; c < 12; ++c) {
    EXPECT_EQ(q.code(c, c % 9), want[static_cast<std::size_t>(c)]) << c;
  }
  EXPECT_NEAR(worst_row_db<int8>(w, 12), 0.0, 1e-9);
  EXPECT_GE(worst_row_db<int8>(w, 1), 40.0);
}

TEST(equalize_sub_tensor, the_worst_row_gets_no_worse_when_groups_are_split) {
  const std::vector<index> shuffled{7, 2, 11, 0, 9, 4, 1, 10, 3, 8, 5, 6};
  const matrix w = rows_in_order(halving_channels(), shuffled);
  const std::vector<index> order = choose_shared_scales<int8>(w, 0.0).order;
  EXPECT_EQ(rows_in_order(w, order), halving_channels());
  double last = -1.0;
  for (const index rows : {16, 8, 4, 2, 1}) {
    const double worst = worst_row_db<int8>(rows_in_order(w, order), rows);
    EXPECT_GE(worst, last) << rows;
    last = worst;
  }
  EXPECT_EQ(choose_shared_scales<int8>(w, 1000.0).rows_per_scale, 1);
  EXPECT_EQ(choose_shared_scales<int8>(w, -1000.0).scales, 1);
  const shared_scales some = choose_shared_scales<int8>(w, 25.0);
  EXPECT_EQ(some.rows_per_scale, 4);
  EXPECT_EQ(some.scales, 3);
  EXPECT_EQ(some.worst_db, worst_row_db<int8>(rows_in_order(w, order), 4));
  EXPECT_LT(worst_row_db<int8>(rows_in_order(w, order), 8), 25.0);
}

TEST(equalize_sub_tensor, measures_what_the_granularity_quantizes) {
  const matrix w = random_reals(10, 7, 3);
  const matrix coded = fake_quantize<scheme<int4, sub_tensor<4>, affine>>(w);
  double worst = 1e9;
  for (index r = 0; r < 10; ++r) {
    worst = std::min(worst, tests::decibels(w.row(r).cast<double>(), coded.row(r).cast<double>()));
  }
  EXPECT_NEAR((worst_row_db<int4, affine>(w, 4)), worst, 1e-6);
  EXPECT_TRUE(std::isinf(worst_row_db<int8>(matrix::Zero(3, 2), 1)));
}

TEST(equalize_sub_tensor, permutes_a_network_and_keeps_its_outputs) {
  auto block = tests::mobile_block(layer_activation::relu6);
  block[1].weights = rows_in_order(halving_channels().topRows(8), {3, 0, 7, 5, 1, 6, 2, 4});
  block[0].caps = Eigen::VectorXf::LinSpaced(8, 1.0F, 5.0F);
  block[3].input_factors = Eigen::VectorXf::LinSpaced(36, 1.0F, 2.0F);
  const layer_list before(block);
  layer_list layers = before;
  const auto report = share_layer_scales<int8>(
      layers, {{"expand", "depthwise", {"project"}}, {"project", "", {"head"}}}, 30.0);
  ASSERT_EQ(report.size(), 2U);
  EXPECT_EQ(report[0].depthwise.order, (std::vector<index>{1, 4, 6, 0, 7, 3, 5, 2}));
  EXPECT_EQ(report[0].producer.order, report[0].depthwise.order);
  EXPECT_GT(report[0].depthwise.scales, 1);
  EXPECT_LT(report[0].depthwise.scales, 8);
  EXPECT_EQ(report[1].depthwise.scales, 0);
  EXPECT_EQ(report[0].depthwise.worst_db,
            worst_row_db<int8>(layers[1].weights, report[0].depthwise.rows_per_scale));
  EXPECT_EQ(report[0].producer.worst_db,
            worst_row_db<int8>(layers[0].weights, report[0].producer.rows_per_scale));
  const matrix x = random_reals(4, 90, 9);
  EXPECT_LE(
      tests::largest_difference(tests::plain_sequence(before, x), tests::plain_sequence(layers, x)),
      1e-12);
}

TEST(equalize_outlier_split, reproduces_the_acceptance_values) {
  matrix w(2, 4);
  w << 0.3F, -0.2F, 0.1F, 4.0F, -0.4F, 0.25F, 0.05F, -3.6F;
  using per_matrix = scheme<int4, per_tensor>;
  const auto plain = quantize<per_matrix>(w);
  EXPECT_NEAR(plain.scale(0, 0), 0.571429, 1e-6);
  EXPECT_NEAR(mse(w, plain), 0.030931, 1e-6);

  const split_weights split = split_outliers(w, 0.25, 4);
  EXPECT_NEAR(split.scale, 0.285714, 1e-6);
  EXPECT_EQ(split.sources, (std::vector<index>{0, 1, 2, 3, 3}));
  const quant_params params{split.scale, 0};
  const matrix coded = fake_quantize<per_matrix>(split.weights, params);
  const auto joined = [](const matrix& parts) {
    matrix sum = parts.leftCols(4);
    sum.col(3) += parts.col(4);
    return sum;
  };
  EXPECT_NEAR(mse(w, joined(coded)), 0.005931, 1e-6);
  matrix naive(2, 5);
  naive << w, w.col(3);
  naive.rightCols(2) /= 2.0F;
  EXPECT_NEAR(mse(w, joined(fake_quantize<per_matrix>(naive, params))), 0.007972, 1e-6);
  EXPECT_LE((joined(split.weights) - w).cwiseAbs().maxCoeff(), 1e-6F);
  matrix x = random_reals(6, 4, 1);
  EXPECT_LE((repeat_columns(x, split.sources) * split.weights.transpose() - x * w.transpose())
                .cwiseAbs()
                .maxCoeff(),
            1e-5F);
}

TEST(equalize_outlier_split, codes_of_parts_add_up_to_the_code_rounded_half_up) {
  const auto half_up = [](double a) { return std::floor(a + 0.5); };
  for (index parts = 1; parts <= 5; ++parts) {
    matrix w(1, 6 * 41);
    w.setZero();
    for (index i = 0; i < w.cols() - 1; ++i) w(0, i) = static_cast<float>(i - 120) / 64.0F;
    w(0, w.cols() - 1) = 100.0F;
    // Only the last column is wide, so it is split into `parts`.
    const double share = static_cast<double>(parts - 1) / static_cast<double>(w.cols());
    const split_weights split = split_outliers(w, share, 8);
    ASSERT_EQ(split.weights.cols(), w.cols() + parts - 1);
    double sum = 0.0;
    for (std::size_t j = 0; j < split.sources.size(); ++j) {
      const double a = double{split.weights(0, static_cast<index>(j))} / double{split.scale};
      if (split.sources[j] == w.cols() - 1) sum += half_up(a);
    }
    EXPECT_EQ(sum, half_up(100.0 / double{split.scale})) << parts;
    EXPECT_NEAR(split.scale, 100.0 / static_cast<double>(parts) / 127.0, 1e-6) << parts;
  }
  const split_weights zeros = split_outliers(matrix::Zero(2, 3), 0.5, 4);
  EXPECT_EQ(zeros.scale, 1.0F);
  EXPECT_EQ(zeros.weights.cols(), 5);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(equalize_sub_tensor, refuses_what_does_not_fit) {
  using tests::sentence_of;
  const matrix w = matrix::Ones(3, 2);
  EXPECT_EQ(sentence_of([&] {
              return rows_in_order(w, {0, 1});
            }),
            "fewbit: rows_in_order: length of order is 2, expected 3");
  EXPECT_EQ(sentence_of([&] {
              return rows_in_order(w, {0, 1, 1});
            }),
            "fewbit: rows_in_order: order[2] is 1, expected each row once");
  EXPECT_EQ(sentence_of([&] {
              return rows_in_order(w, {0, 1, 3});
            }),
            "fewbit: rows_in_order: order[2] is 3, expected each row once");
  EXPECT_EQ(sentence_of([&] { return worst_row_db<int8>(w, 0); }),
            "fewbit: worst_row_db: rows_per_scale is 0, expected at least 1");
  EXPECT_EQ(sentence_of([&] { return choose_shared_scales<int8>(w, std::nan("")); }),
            "fewbit: choose_shared_scales: target_db is nan, expected a finite number");
  layer_list layers(tests::mobile_block(layer_activation::relu));
  const matrix before = layers[2].weights;
  EXPECT_EQ(sentence_of([&] {
              return share_layer_scales<int8>(
                  layers, {{"project", "", {"head"}}, {"expand", "", {"depthwise"}}}, 30.0);
            }),
            "fewbit: share_layer_scales: kind of layer 'depthwise' is depthwise_conv2d, expected "
            "conv2d or linear; name it as the depthwise layer of a link");
  EXPECT_EQ(sentence_of([&] {
              return share_layer_scales<int8>(
                  layers, {{"expand", "depthwise", {"project"}}, {"expand", "", {"depthwise"}}},
                  30.0);
            }),
            "fewbit: share_layer_scales: number of links of layer 'expand' is 2, expected 1 in "
            "which it is the producer or the depthwise layer: name all consumers in one link");
  EXPECT_EQ(layers[2].weights, before);
}

TEST(equalize_outlier_split, refuses_what_does_not_fit) {
  using tests::sentence_of;
  const matrix w = matrix::Ones(3, 2);
  EXPECT_EQ(sentence_of([&] { return split_outliers(w, 1.5, 4); }),
            "fewbit: split_outliers: share is 1.5, expected 0 to 1");
  EXPECT_EQ(sentence_of([&] { return split_outliers(w, 0.5, 1); }),
            "fewbit: split_outliers: bits is 1, expected 2 to 16");
  EXPECT_EQ(sentence_of([&] {
              return repeat_columns(w, {0, 2});
            }),
            "fewbit: repeat_columns: sources[1] is 2, expected 0 to 1");
}
#endif

}}  // namespace fewbit::equalize_sub_tensor_test
