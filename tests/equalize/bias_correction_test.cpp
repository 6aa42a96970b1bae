#include "fewbit/equalize/bias_correction.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "equalize/support.hpp"
#include "fewbit/calib/max_observer.hpp"
#include "fewbit/equalize/bias_from_data.hpp"
#include "fewbit/equalize/data_free_range.hpp"
#include "support/reverse_executor.hpp"

namespace fewbit { namespace equalize_bias_correction_test {

using tests::in_sequence;
using tests::linear_layer;
using tests::matrix;
using tests::random_reals;

constexpr double infinity = std::numeric_limits<double>::infinity();

TEST(equalize_bias_correction, knows_the_means_of_clamped_normals) {
  const auto relu = [](double mean, double deviation) {
    return mean_of_clamped_normal(mean, deviation, 0.0, infinity);
  };
  EXPECT_NEAR(relu(0.0, 1.0), 0.398942, 1e-6);
  EXPECT_NEAR(relu(0.0, -1.0), 0.398942, 1e-6);  // |gamma|
  EXPECT_NEAR(relu(1.0, 2.0), 1.395593, 1e-6);
  EXPECT_NEAR(relu(-1.0, 0.5), 0.004245, 1e-6);
  const auto relu6 = [](double mean, double deviation) {
    return mean_of_clamped_normal(mean, deviation, 0.0, 6.0);
  };
  EXPECT_NEAR(relu6(1.0, 2.0), 1.391585, 1e-6);
  EXPECT_NEAR(relu6(3.0, 2.0), 3.0, 1e-12);
  EXPECT_NEAR(relu6(5.0, 3.0), 4.296771, 1e-6);
  EXPECT_EQ(relu6(7.0, 0.0), 6.0);
  EXPECT_EQ(relu6(-1.0, 0.0), 0.0);
  EXPECT_EQ(relu6(2.0, 0.0), 2.0);
  EXPECT_NEAR(mean_of_clamped_normal(-3.0, 2.0, -infinity, infinity), -3.0, 1e-12);
  for (const double mean : {-2.0, 0.3, 5.0}) {  // the same by quadrature
    double sum = 0.0;
    for (int i = 0; i < 20000; ++i) {
      const double z = -10.0 + 20.0 * (i + 0.5) / 20000.0;
      const double x = std::fmin(std::fmax(mean + 1.5 * z, 0.25), 4.0);
      sum += x * std::exp(-z * z / 2.0) / std::sqrt(2.0 * 3.14159265358979) * 20.0 / 20000.0;
    }
    EXPECT_NEAR(mean_of_clamped_normal(mean, 1.5, 0.25, 4.0), sum, 1e-6);
  }
}

/// The layer of the acceptance values: beta (0, 1, 3), gamma (1, 2, 2), relu6.
network_layer producer_with_statistics() {
  network_layer l = linear_layer("producer", random_reals(3, 2, 1), {}, layer_activation::relu6);
  l.output_means = Eigen::Vector3f(0.0F, 1.0F, 3.0F);
  l.output_deviations = Eigen::Vector3f(1.0F, 2.0F, 2.0F);
  return l;
}

matrix read_weights() {
  matrix w(2, 3);
  w << 0.52F, -0.31F, 0.12F, 0.9F, 0.05F, -0.44F;
  return w;
}

TEST(equalize_bias_correction, corrects_by_statistics) {
  const matrix w = read_weights();
  const quant_params params{0.9F / 7.0F, 0};
  const matrix coded = fake_quantize<scheme<int4, per_tensor>>(w, params);
  const Eigen::VectorXf means = expected_outputs(producer_with_statistics());
  EXPECT_NEAR(means[0], 0.398941, 1e-5);
  EXPECT_NEAR(means[1], 1.391585, 1e-5);
  EXPECT_NEAR(means[2], 3.0, 1e-6);
  const Eigen::VectorXf shift = bias_shift(w, coded, means);
  EXPECT_NEAR(-shift[0], -0.096990, 2e-6);
  EXPECT_NEAR(-shift[1], -0.093278, 2e-6);

  const layer_list layers({producer_with_statistics(), linear_layer("reader", w)});
  simulation plan(layers);
  plan[1].weights = coded;
  correct_biases_by_statistics(plan, {{"producer", "", {"reader"}}});
  EXPECT_FALSE(plan[0].has_bias);
  ASSERT_TRUE(plan[1].has_bias);
  EXPECT_NEAR(plan.bias(1)[0], -0.096990, 2e-6);
  EXPECT_NEAR(plan.bias(1)[1], -0.093278, 2e-6);
}

TEST(equalize_bias_correction, corrects_depthwise_layers_and_their_readers) {
  auto block = tests::mobile_block(layer_activation::relu);
  for (const std::size_t i : {0U, 1U}) {
    block[i].output_means = random_reals(8, 1, 6);
    block[i].output_deviations = random_reals(8, 1, 7).cwiseAbs();
  }
  const layer_list layers(block);
  simulation plan(layers);
  plan.quantize_weights<int4_per_row>();
  correct_biases_by_statistics(plan, {{"expand", "depthwise", {"project"}}});
  EXPECT_FALSE(plan[0].has_bias);
  for (const index i : {1, 2}) {
    const Eigen::VectorXf means = expected_outputs(layers[i - 1]);
    for (index r = 0; r < layers[i].channels(); ++r) {
      double shift = 0.0;
      for (index c = 0; c < layers[i].depth(); ++c) {
        shift += (double{plan.weights(i)(r, c)} - double{layers[i].weights(r, c)}) *
                 double{means[i == 1 ? r : c]};
      }
      EXPECT_NEAR(plan.bias(i)[r], layers[i].bias[r] - shift, 1e-5);
    }
  }
}

/// The mean of each channel before the activation of layer `target`, by plain loops in double.
Eigen::VectorXd plain_means(const simulation& plan, const matrix& inputs, index target) {
  Eigen::MatrixXd x = inputs.cast<double>();
  for (index i = 0; i <= target; ++i) {
    network_layer l = plan.layers()[i];
    l.weights = plan.weights(i);
    l.bias = plan.bias(i);
    if (i == target) l.activation = layer_activation::none;
    x = tests::plain_layer(l, x);
  }
  const index channels = plan.layers()[target].channels();
  Eigen::VectorXd means = Eigen::VectorXd::Zero(channels);
  for (index j = 0; j < x.cols(); ++j) means[j % channels] += x.col(j).mean();
  return means / static_cast<double>(x.cols() / channels);
}

TEST(equalize_bias_correction, gives_all_layers_their_means_by_data) {
  const layer_list layers(tests::mobile_block(layer_activation::relu6));
  const matrix all = random_reals(24, 90, 21);
  const input_batches one = {all};
  const input_batches parts = {all.topRows(9), all.middleRows(9, 8), all.bottomRows(7)};
  simulation real(layers), plan(layers), again(layers);
  plan.quantize_weights<int2_per_row>();
  again.quantize_weights<int2_per_row>();
  const simulation before = plan;
  const bias_report report = correct_biases_by_data(plan, in_sequence(4), one);
  EXPECT_EQ(report.runs, 2);
  for (index i = 0; i < 4; ++i) {
    const Eigen::VectorXd want = plain_means(real, all, i);
    EXPECT_LE((plain_means(plan, all, i) - want).cwiseAbs().maxCoeff(), 1e-4) << i;
    EXPECT_GT((plain_means(before, all, i) - want).cwiseAbs().maxCoeff(), 1e-2) << i;
    const Eigen::VectorXf& shift = report.shifts[static_cast<std::size_t>(i)];
    EXPECT_EQ(plan.bias(i), layers[i].bias - shift) << i;
  }
  const bias_report by_layer =
      correct_biases_by_data(again, in_sequence(4), parts, {}, tests::reverse_executor{});
  EXPECT_EQ(by_layer.runs, 5);
  for (index i = 0; i < 4; ++i) {
    EXPECT_LE((again.bias(i) - plan.bias(i)).cwiseAbs().maxCoeff(), 1e-4) << i;
  }
}

TEST(equalize_bias_correction, corrects_layers_that_are_called_twice) {
  const layer_list layers({linear_layer("twice", random_reals(5, 5, 1), random_reals(5, 1, 2)),
                           linear_layer("never", random_reals(2, 2, 3))});
  const forward_function forward = [](const matrix& x, const compute_function& compute) {
    matrix y, z;
    compute(0, x, y);
    compute(0, y, z);
    return z;
  };
  simulation plan(layers);
  plan.quantize_weights<int2_per_row>();
  const bias_report report = correct_biases_by_data(plan, forward, {random_reals(30, 5, 4)});
  EXPECT_EQ(report.runs, 2);
  EXPECT_TRUE(plan[0].has_bias);
  EXPECT_FALSE(plan[1].has_bias);
  EXPECT_EQ(report.shifts[1].size(), 0);
}

TEST(equalize_bias_correction, can_be_cancelled_at_each_step) {
  const layer_list layers(tests::mobile_block(layer_activation::relu));
  simulation plan(layers);
  plan.quantize_weights<int4_per_row>();
  const input_batches batches = {random_reals(2, 90, 1), random_reals(2, 90, 2)};
  for (index most = 0; most < 10; ++most) {
    index steps = 0;
    const bias_report report = correct_biases_by_data(
        plan, in_sequence(4), batches, [&](const pass_step&) { return steps++ < most; });
    EXPECT_TRUE(report.cancelled) << most;
    EXPECT_FALSE(plan[0].has_bias) << most;
  }
  std::vector<index> done;
  const bias_report report =
      correct_biases_by_data(plan, in_sequence(4), batches, [&](const pass_step& s) {
        done.push_back(s.done);
        EXPECT_EQ(s.total, s.done < 2 ? 0 : 10);
        return true;
      });
  EXPECT_FALSE(report.cancelled);
  EXPECT_EQ(done, (std::vector<index>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(equalize_bias_correction, ranges_come_from_statistics) {
  const Eigen::Vector3f means(0.0F, 1.0F, -3.0F), deviations(1.0F, 0.5F, -0.25F);
  EXPECT_EQ(data_free_range(means, deviations), (range{-6.0F, 6.0F}));
  EXPECT_EQ(data_free_range(means, deviations, layer_activation::relu), (range{0.0F, 6.0F}));
  EXPECT_EQ(data_free_range(Eigen::Vector2f(-3.0F, 2.0F), Eigen::Vector2f(0.25F, 0.25F)),
            (range{-4.5F, 3.5F}));
  EXPECT_EQ(data_free_range(Eigen::Vector2f(4.0F, 9.0F), Eigen::Vector2f(0.5F, 0.5F),
                            layer_activation::relu6, Eigen::Vector2f(6.0F, 8.0F)),
            (range{1.0F, 8.0F}));
  EXPECT_EQ(data_free_range(means, deviations, layer_activation::none, {}, 2.0F),
            (range{-3.5F, 2.0F}));
  EXPECT_EQ(data_free_range(producer_with_statistics()), (range{0.0F, 6.0F}));
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(equalize_bias_correction, refuses_what_does_not_fit) {
  const matrix w = read_weights();
  matrix bad = w;
  bad(1, 2) = std::numeric_limits<float>::quiet_NaN();
  using tests::sentence_of;
  const Eigen::VectorXf ones = Eigen::Vector3f::Ones();
  EXPECT_EQ(sentence_of([&] { return bias_shift(w, bad, ones); }),
            "fewbit: bias_shift: quantized(1, 2) is nan, expected a finite number");
  EXPECT_EQ(sentence_of([&] { return bias_shift(w, matrix(w.leftCols(2)), ones); }),
            "fewbit: bias_shift: quantized is 2 x 2, expected 2 x 3");
  EXPECT_EQ(sentence_of([&] { return bias_shift(w, w, Eigen::Vector2f::Ones()); }),
            "fewbit: bias_shift: number of columns of weights is 3, expected a multiple of the "
            "length of means, 2");
  const layer_list layers({linear_layer("a", matrix::Ones(3, 2)), linear_layer("b", w)});
  simulation plan(layers);
  EXPECT_EQ(sentence_of([&] {
              correct_biases_by_statistics(plan, {{"a", "", {"b"}}});
              return 0;
            }),
            "fewbit: expected_outputs: output_means of layer 'a' is empty, expected those of a "
            "folded batch norm");
  EXPECT_EQ(sentence_of([&] { return data_free_range(layers[0]); }),
            "fewbit: data_free_range: output_means of layer 'a' is empty, expected those of a "
            "folded batch norm");
  EXPECT_EQ(sentence_of([&] { return data_free_range(ones, Eigen::Vector2f::Ones()); }),
            "fewbit: data_free_range: length of deviations is 2, expected 3");
  EXPECT_EQ(
      sentence_of([&] { return data_free_range(ones, ones, layer_activation::none, {}, -1.0F); }),
      "fewbit: data_free_range: width is -1, expected a finite number, at least 0");
  const auto by_data = [&](const input_batches& batches) {
    return sentence_of([&] { return correct_biases_by_data(plan, in_sequence(2), batches); });
  };
  EXPECT_EQ(by_data({}),
            "fewbit: correct_biases_by_data: number of calibration batches is 0, expected at least "
            "1");
  EXPECT_EQ(by_data({matrix::Ones(2, 2), matrix::Constant(1, 2, 3e38F)}),
            "fewbit: correct_biases_by_data: y(0, 0) of layer 'a' is inf, expected a finite "
            "number");
  EXPECT_EQ(by_data({bad}),
            "fewbit: correct_biases_by_data: calibration batch 0(1, 2) is nan, expected a finite "
            "number");
  EXPECT_EQ(by_data({matrix::Ones(2, 3)}),
            "fewbit: correct_biases_by_data: number of columns of x of layer 'a' is 3, expected 2");
  plan[1].weights = w;
  plan[1].weights(1, 2) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(
      by_data({matrix::Ones(2, 2)}),
      "fewbit: correct_biases_by_data: y(0, 1) of layer 'b' is nan, expected a finite number");
  plan[1].weights = matrix::Ones(2, 2);
  EXPECT_EQ(by_data({matrix::Ones(2, 2)}),
            "fewbit: correct_biases_by_data: weights of layer 'b' is 2 x 2, expected 2 x 3");
  EXPECT_FALSE(plan[0].has_bias);
  EXPECT_EQ(sentence_of([&] {
              correct_biases_by_statistics(plan, {{"a", "", {"b"}}, {"a", "", {"b"}}});
              return 0;
            }),
            "fewbit: correct_biases_by_statistics: number of links of layer 'b' is 2, expected 1 "
            "in which it is a consumer or the depthwise layer");
}
#endif

}}  // namespace fewbit::equalize_bias_correction_test
