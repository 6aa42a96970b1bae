#include "fewbit/diagnose/diagnose.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "diagnose/support.hpp"
#include "fewbit/calib/max_observer.hpp"
#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/diagnose/json.hpp"
#include "fewbit/diagnose/page.hpp"
#include "safetensors.hpp"
#include "support/data.hpp"
#include "support/reverse_executor.hpp"

namespace fewbit { namespace diagnose_diagnose_test {

using tests::decibels;
using tests::first_layer;
using tests::in_sequence;
using tests::linear_layer;
using tests::matrix;
using tests::mobile_block;
using tests::plain_layer;
using tests::random_reals;
using tests::report_of;
using tests::sound_inputs;
using tests::sound_layers;
#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;
#endif

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr double close = 1e-3;  // of floats in sums, in decibels

/// The figures of a network that computes float layers with other weights, in double.
struct plain_figures {
  std::vector<double> own, arriving, output;
};

plain_figures plain(const std::vector<network_layer>& exact,
                    const std::vector<network_layer>& changed, const matrix& inputs) {
  plain_figures figures;
  Eigen::MatrixXd x = inputs.cast<double>();
  Eigen::MatrixXd x_hat = x;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const Eigen::MatrixXd y = plain_layer(exact[i], x);
    figures.own.push_back(decibels(y, plain_layer(changed[i], x)));
    figures.arriving.push_back(decibels(x, x_hat));
    x_hat = plain_layer(changed[i], x_hat);
    figures.output.push_back(decibels(y, x_hat));
    x = y;
  }
  return figures;
}

TEST(diagnose_figures_test, equal_plain_loops_on_linear_layers_and_convolutions) {
  for (const auto& made : {sound_layers(), mobile_block(layer_activation::relu6)}) {
    std::vector<network_layer> changed = made;
    for (network_layer& l : changed) l.weights = fake_quantize<int4_per_row>(l.weights);
    const layer_list layers(made);
    simulation plan(layers);
    plan.quantize_weights<int4_per_row>();
    const matrix inputs = random_reals(6, layers[0].inputs(), 31);
    // Two batches: sums go on.
    const network_report report =
        diagnose(layers, in_sequence(layers.size()),
                 {matrix(inputs.topRows(2)), matrix(inputs.bottomRows(4))}, as_planned(plan));
    const plain_figures want = plain(made, changed, inputs);
    EXPECT_EQ(report.rows, 6U);
    for (std::size_t i = 0; i < made.size(); ++i) {
      SCOPED_TRACE(made[i].name);
      const layer_figures& f = report.layers[i];
      EXPECT_NEAR(f.own_db.value(), want.own[i], close);
      EXPECT_NEAR(f.output_db.value(), want.output[i], close);
      if (i == 0) {
        EXPECT_EQ(f.arriving_db.value(), std::numeric_limits<double>::infinity());
      } else {
        EXPECT_NEAR(f.arriving_db.value(), want.arriving[i], close);
      }
    }
  }
}

TEST(diagnose_figures_test, find_the_noisiest_channel_and_the_constant_part_of_its_error) {
  const auto made = sound_layers();
  const layer_list layers(made);
  const compute_function in_float = float_compute(layers);
  quantized_network network;
  // Output 7 of layer 1 is always 0.25 too large, before and after relu.
  network.compute = [&](index layer, const matrix& x, matrix& y) {
    in_float(layer, x, y);
    if (layer == 1) y.col(7).array() += 0.25F;
  };
  const network_report report =
      diagnose(layers, in_sequence(layers.size()), {sound_inputs()}, network);
  EXPECT_EQ(report.layers[1].noisiest_row, 7);
  EXPECT_NEAR(report.layers[1].constant_error.value(), 1.0, 1e-6);
  EXPECT_EQ(report.layers[0].noisiest_row, -1);
  EXPECT_EQ(report.layers[0].own_db.value(), std::numeric_limits<double>::infinity());
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings[0].kind, fault::lowest_sqnr);
  EXPECT_EQ(report.findings[0].row, 7);
  EXPECT_NE(report.findings[0].advice.find("bias correction"), std::string::npos);
}

TEST(diagnose_figures_test, find_the_noisiest_channel_of_images) {
  const layer_list layers(mobile_block(layer_activation::relu));
  const compute_function in_float = float_compute(layers);
  quantized_network network;
  network.compute = [&](index layer, const matrix& x, matrix& y) {
    in_float(layer, x, y);
    if (layer != 1) return;
    for (index c = 5; c < y.cols(); c += 8) y.col(c).array() += 0.25F;  // channel 5 of 8
  };
  const matrix inputs = random_reals(3, layers[0].inputs(), 7);
  const network_report report = diagnose(layers, in_sequence(layers.size()), {inputs}, network);
  EXPECT_EQ(report.layers[1].noisiest_row, 5);
  EXPECT_NEAR(report.layers[1].constant_error.value(), 1.0, 1e-6);
}

TEST(diagnose_figures_test, count_clipped_and_saturated_inputs) {
  const layer_list layers({linear_layer("only", random_reals(3, 4, 1))});
  quantized_network network;
  network.compute = float_compute(layers);
  network.inputs = {codes_of<int8_per_tensor>({-1.0F, 1.0F})};
  matrix inputs = matrix::Constant(5, 4, 0.5F);
  inputs(2, 1) = 1.0F;               // the outermost code
  inputs(3, 3) = 1.0F + 0.4F / 127;  // rounds to it
  inputs(4, 0) = 1.2F;               // outside
  inputs(4, 1) = -3.0F;              // outside
  const network_report report = diagnose(layers, in_sequence(1), {inputs}, network);
  EXPECT_EQ(report.layers[0].saturated.value(), 2U);
  EXPECT_DOUBLE_EQ(report.layers[0].inputs_clipped.value(), 0.1);
  matrix codes = inputs;
  network.inputs[0].apply(codes);
  EXPECT_NEAR(report.layers[0].inputs_db.value(),
              decibels(inputs.cast<double>(), codes.cast<double>()), 1e-9);
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings[0].kind, fault::clipped_inputs);
  const auto& histogram = report.layers[0].inputs;
  std::uint64_t total = 0;
  for (const std::uint64_t n : histogram.counts) total += n;
  EXPECT_EQ(total, 20U);
  EXPECT_LE(histogram.lo, -3.0);
  EXPECT_GE(histogram.hi, 1.2);
  ASSERT_EQ(histogram.marks.size(), 6U);
  EXPECT_FLOAT_EQ(static_cast<float>(histogram.marks[0].value), 3.0F);
  EXPECT_EQ(histogram.marks[5].label, "in use");
  EXPECT_NEAR(histogram.marks[5].value, 1.0, 1e-6);
}

TEST(diagnose_figures_test, are_the_same_for_each_executor) {
  const layer_list layers(mobile_block(layer_activation::relu));
  simulation plan(layers);
  plan.quantize_weights<int8_per_row>();
  const matrix inputs = random_reals(9, layers[0].inputs(), 5);
  const auto forward = in_sequence(layers.size());
  const auto text = [&](const auto& executor) {
    const network_report r = diagnose(layers, forward, {inputs}, as_planned(plan), {}, executor);
    return report_html(r) + report_json(r);
  };
  const std::string one = text(inline_executor{});
  EXPECT_EQ(text(tests::reverse_executor{}), one);
  EXPECT_EQ(text(thread_executor{8}), one);
}

TEST(diagnose_figures_test, hold_times_only_of_layers_that_are_timed) {
  const layer_list layers(sound_layers());
  quantized_network network;
  network.compute = float_compute(layers);
  const auto forward = in_sequence(layers.size());
  EXPECT_FALSE(diagnose(layers, forward, {sound_inputs()}, network).layers[0].float_seconds);
  network.timed = float_compute(layers);
  const network_report report = diagnose(layers, forward, {sound_inputs()}, network);
  for (const layer_figures& f : report.layers) {
    EXPECT_GT(f.float_seconds.value(), 0.0);
    EXPECT_GT(f.quantized_seconds.value(), 0.0);
  }
}

TEST(diagnose_figures_test, stop_when_cancelled) {
  const layer_list layers(sound_layers());
  quantized_network network;
  network.compute = float_compute(layers);
  const network_report report =
      diagnose(layers, in_sequence(layers.size()), {sound_inputs(), sound_inputs()}, network,
               [](const pass_step& step) { return step.done < 1; });
  EXPECT_TRUE(report.cancelled);
  EXPECT_EQ(report.rows, 48U);
}

// ---- planted faults: each is the first finding, and its layer is the first of the report

void expect_first(const network_report& report, fault kind, const std::string& layer, index row,
                  index channel = -1) {
  ASSERT_FALSE(report.findings.empty());
  const finding& f = report.findings[0];
  EXPECT_EQ(f.kind, kind) << f.statement;
  EXPECT_EQ(first_layer(report), layer);
  EXPECT_EQ(f.row, row);
  EXPECT_EQ(f.channel, channel);
  EXPECT_EQ(report.order.at(0), f.layer);
  // The first row of the table is of that layer.
  const std::string page = report_html(report);
  const std::string first = page.substr(page.find("<tbody id="), 300);
  EXPECT_NE(first.find("id=\"layer-" + std::to_string(f.layer + 1) + "\""), std::string::npos);
}

TEST(diagnose_planted_test, nothing_is_found_in_a_sound_network) {
  const network_report report = report_of(sound_layers());
  for (const finding& f : report.findings) {
    EXPECT_GE(f.kind, fault::lowest_sqnr) << f.statement;
  }
}

TEST(diagnose_planted_test, one_row_times_a_thousand) {
  auto made = sound_layers();
  made[1].weights.row(37) *= 1000.0F;
  const network_report report = report_of(made);
  expect_first(report, fault::wide_row, "second", 37);
  EXPECT_GT(report.findings[0].measure, 900.0);
  EXPECT_EQ(report.findings[0].statement.substr(0, 11), "channel 37 ");
  EXPECT_NE(report.findings[0].statement.find("times wider than the median"), std::string::npos);
  made[0].bias[50] = -1e4F;  // a dead input, as sound networks have, does not hide it
  expect_first(report_of(made), fault::wide_row, "second", 37);
  made[1].weights.row(37) /= 20.0F;  // 50 times wider: so are rows of trained networks
  expect_first(report_of(made), fault::dead_input, "second", -1, 50);
}

TEST(diagnose_planted_test, a_dead_input_of_the_network_and_of_a_hidden_layer) {
  matrix inputs = sound_inputs();
  inputs.col(3).setZero();
  expect_first(report_of(sound_layers(), inputs, sound_inputs()), fault::dead_input, "first", -1,
               3);
  auto made = sound_layers();
  made[0].bias[50] = -1e4F;  // relu: output 50 is always 0
  expect_first(report_of(made), fault::dead_input, "second", -1, 50);
  // An input that was dead in training, too, has small weights and is no fault.
  made[1].weights.col(50) *= 0.02F;
  EXPECT_GE(report_of(made).findings[0].kind, fault::lowest_sqnr);
}

TEST(diagnose_planted_test, a_dead_channel_of_an_image) {
  auto made = mobile_block(layer_activation::relu);
  for (network_layer& l : made) l.bias.setConstant(0.5F);
  made[0].bias[5] = -1e4F;  // output channel 5 of the first layer, input 5 of the depthwise one
  const layer_list layers(made);
  quantized_network network;
  network.compute = float_compute(layers);
  const matrix inputs = random_reals(8, layers[0].inputs(), 3);
  expect_first(diagnose(layers, in_sequence(layers.size()), {inputs}, network), fault::dead_input,
               "depthwise", -1, 5);
  // In a few images, a channel can be 0 by chance.
  const matrix few = inputs.topRows(7);
  for (const finding& f : diagnose(layers, in_sequence(layers.size()), {few}, network).findings)
    EXPECT_NE(f.kind, fault::dead_input);
}

TEST(diagnose_planted_test, a_nan_in_weights) {
  for (const float bad : {nan, std::numeric_limits<float>::infinity()}) {
    auto made = sound_layers();
    made[2].weights(17, 9) = bad;
    made[2].weights(20, 1) = bad;
    made[0].weights.row(1) *= 1000.0F;  // a lesser fault
    const network_report report = inspect(made);
    expect_first(report, fault::weights_not_finite, "third", 17, 9);
    EXPECT_NE(report.findings[0].statement.find("row 17, column 9"), std::string::npos);
    EXPECT_NE(report.findings[0].statement.find("the first of 2"), std::string::npos);
  }
}

TEST(diagnose_planted_test, a_nan_in_inputs) {
  matrix bad = sound_inputs();
  bad(20, 4) = nan;
  const auto made = sound_layers();
  const layer_list layers(made);
  simulation plan(layers);
  plan.quantize_weights<int8_per_row>();
  const network_report report = diagnose(layers, in_sequence(layers.size()),
                                         {sound_inputs(), bad, sound_inputs()}, as_planned(plan));
  expect_first(report, fault::inputs_not_finite, "first", 48 + 20, 4);
  // The batch is left out of the figures, the others are not.
  EXPECT_EQ(report.layers[1].own_db, diagnose(layers, in_sequence(layers.size()),
                                              {sound_inputs(), sound_inputs()}, as_planned(plan))
                                         .layers[1]
                                         .own_db);
}

TEST(diagnose_planted_test, a_nan_that_the_code_between_layers_makes) {
  const layer_list layers(sound_layers());
  const forward_function forward = [&](const matrix& inputs, const compute_function& compute) {
    matrix x, y;
    compute(0, inputs, x);
    compute(1, x, y);
    y(5, 8) = nan;
    compute(2, y, x);
    compute(3, x, y);
    return y;
  };
  quantized_network network;
  network.compute = float_compute(layers);
  expect_first(diagnose(layers, forward, {sound_inputs()}, network), fault::inputs_not_finite,
               "third", 5, 8);
  // Only in the quantized network.
  network.compute = [compute = float_compute(layers)](index layer, const matrix& x, matrix& y) {
    compute(layer, x, y);
    if (layer == 1) y(2, 6) = nan;
  };
  const network_report report =
      diagnose(layers, in_sequence(layers.size()), {sound_inputs()}, network);
  expect_first(report, fault::outputs_not_finite, "second", 2, 6);
  EXPECT_NE(report.findings[0].statement.find("quantized"), std::string::npos);
}

TEST(diagnose_planted_test, a_nan_in_quantized_weights) {
  const layer_list layers(sound_layers());
  for (const index bad : {1, 3}) {  // 3: no layer reads its outputs
    simulation plan(layers);
    plan.quantize_weights<int8_per_row>();
    plan[bad].weights(9, 17) = nan;
    const network_report report = diagnose(layers, in_sequence(layers.size()),
                                           {sound_inputs(), sound_inputs()}, as_planned(plan));
    expect_first(report, fault::outputs_not_finite, layers[bad].name, 0, 9);
    EXPECT_FALSE(report.layers[static_cast<std::size_t>(bad)].own_db);
    EXPECT_TRUE(report.layers[2].own_db);
  }
}

TEST(diagnose_planted_test, sums_that_overflow_in_float) {
  auto made = sound_layers();
  made[1].weights.row(5).setConstant(3e38F);
  made[0].bias.setConstant(9.0F);
  const layer_list layers(made);
  quantized_network network;
  network.compute = float_compute(layers);
  const network_report report =
      diagnose(layers, in_sequence(layers.size()), {sound_inputs()}, network);
  expect_first(report, fault::outputs_not_finite, "second", 0, 5);
  EXPECT_EQ(report.findings[0].statement,
            "its output is inf in row 0, channel 5, and its inputs are finite");
}

TEST(diagnose_planted_test, a_few_rows_do_not_tell_that_an_input_is_dead) {
  const auto made = sound_layers();
  const matrix inputs = sound_inputs();
  const layer_list layers(made);
  quantized_network network;
  network.compute = float_compute(layers);
  const auto first_fault = [&](index rows) {
    matrix some = inputs.topRows(rows);
    some.col(3).setZero();
    return diagnose(layers, in_sequence(layers.size()), {some}, network).findings;
  };
  EXPECT_TRUE(first_fault(1).empty());
  EXPECT_TRUE(first_fault(31).empty());
  ASSERT_FALSE(first_fault(32).empty());
  EXPECT_EQ(first_fault(32)[0].kind, fault::dead_input);
}

/// Codes of `q`, with those of one row, or all, `by` larger where the codes allow it.
template <class S>
quantized_matrix<S> shifted(const quantized_matrix<S>& q, index row, index first, index last,
                            int by) {
  auto codes = q.codes();
  for (index r = 0; r < q.rows(); ++r) {
    for (index c = first; c < std::min(last, q.cols()); ++c) {
      if (row >= 0 && r != row) continue;
      const int code = std::clamp(codes(r, c) + by, S::code_min, S::code_max);
      codes(r, c) = static_cast<typename S::code>(code);
    }
  }
  std::vector<float> scales(q.scales().begin(), q.scales().end());
  return quantized_matrix<S>(codes, scales);
}

template <class S>
network_report with_shifted_codes(index row, index first, index last, int by) {
  const layer_list layers(sound_layers());
  quantized_network network;
  network.compute = float_compute(layers);
  network.weights = measure_weights<S>(layers);
  const auto q = shifted(quantize<S>(layers[1].weights), row, first, last, by);
  network.weights[1] = measure_weights(layers[1].weights, q);
  return diagnose(layers, in_sequence(layers.size()), {sound_inputs()}, network);
}

TEST(diagnose_planted_test, codes_off_by_one) {
  expect_first(with_shifted_codes<int8_per_row>(22, 0, 64, 1), fault::shifted_codes, "second", 22,
               0);
  expect_first(with_shifted_codes<int8_per_row>(22, 0, 64, -1), fault::shifted_codes, "second", 22,
               0);
  const network_report all = with_shifted_codes<int4_per_row>(-1, 0, 64, 1);
  EXPECT_EQ(all.findings.at(0).kind, fault::shifted_codes);
  EXPECT_EQ(first_layer(all), "second");
  // One group of a row.
  expect_first(with_shifted_codes<int4_grouped<8>>(13, 24, 32, 1), fault::shifted_codes, "second",
               13, 24);
}

TEST(diagnose_planted_test, codes_off_by_one_inside_of_a_product) {
  const layer_list layers(sound_layers());
  simulation plan(layers);
  plan.quantize_weights<int8_per_row>();
  quantized_network network = as_planned(plan);
  // The product of layer 2 reads codes of row 9 of its weights that are one step too large.
  network.compute = [&, compute = plan.compute()](index layer, const matrix& x, matrix& y) {
    compute(layer, x, y);
    const float step = layers[2].weights.row(9).cwiseAbs().maxCoeff() / 127.0F;
    if (layer == 2) y.col(9) += step * x.rowwise().sum();
  };
  expect_first(diagnose(layers, in_sequence(layers.size()), {sound_inputs()}, network),
               fault::lowest_sqnr, "third", 9);
}

TEST(diagnose_planted_test, a_group_that_does_not_divide_a_row) {
  auto made = sound_layers();
  made[0].bias[50] = -1e4F;       // a dead input of the second layer is less sure
  const layer_list layers(made);  // only the third layer has 40 columns
  simulation plan(layers);
  plan.quantize_weights<int4_grouped<32>>();
  quantized_network network = as_planned(plan);
  network.weights = measure_weights<int4_grouped<32>>(layers);
  const network_report report =
      diagnose(layers, in_sequence(layers.size()), {sound_inputs()}, network);
  expect_first(report, fault::uneven_groups, "third", 0, 32);
  EXPECT_NE(report.findings[0].statement.find("rows 0 to 31 end with a group of 8"),
            std::string::npos);
  EXPECT_NE(report.findings[0].advice.find("Groups of 20 or 40 divide"), std::string::npos);
}

TEST(diagnose_planted_test, a_layer_that_calibration_never_excited) {
  const layer_list layers(sound_layers());
  const forward_function whole = in_sequence(layers.size());
  const forward_function without_third = [](const matrix& inputs, const compute_function& compute) {
    matrix x, y;
    compute(0, inputs, x);
    compute(1, x, y);
    x = y.leftCols(32);
    compute(3, x, y);
    return y;
  };
  const forward_function zeros_to_third = [](const matrix& inputs,
                                             const compute_function& compute) {
    matrix x, y;
    compute(0, inputs, x);
    compute(1, x, y);
    y.setZero();
    compute(2, y, x);
    compute(3, x, y);
    return y;
  };
  for (const auto& calibration : {without_third, zeros_to_third}) {
    const auto seen = observe_inputs<max_observer>(layers, calibration, {sound_inputs()});
    simulation plan(layers);
    plan.quantize_weights<int8_per_row>();
    quantized_network network = as_planned(plan);
    network.calibrated = calibrated_inputs(seen);
    const network_report report = diagnose(layers, whole, {sound_inputs()}, network);
    expect_first(report, fault::not_excited, "third", -1);
  }
  // Without calibration: a layer that no input reaches.
  quantized_network network;
  network.compute = float_compute(layers);
  expect_first(diagnose(layers, without_third, {sound_inputs()}, network), fault::not_excited,
               "third", -1);
}

TEST(diagnose_planted_test, a_wide_row_of_a_real_network) {
  FEWBIT_SKIP_WITHOUT_DATA("resnet/resnet20_cifar10_folded.safetensors");
  const auto file = examples::read_safetensors(
      (tests::data_dir() / "resnet/resnet20_cifar10_folded.safetensors").string());
  std::vector<network_layer> made;
  for (const char* name :
       {"conv1", "layer1.0.conv1", "layer2.0.conv1", "layer3.2.conv2", "linear"}) {
    made.push_back(linear_layer(name, file[std::string(name) + ".weight"].matrix<float>()));
  }
  EXPECT_TRUE(inspect(made).findings.empty());
  made[3].weights.row(41) *= 1000.0F;
  expect_first(inspect(made), fault::wide_row, "layer3.2.conv2", 41);
}

// ---- bad input

#if FEWBIT_HAS_EXCEPTIONS

TEST(diagnose_bad_input_test, names_the_argument) {
  const layer_list layers(sound_layers());
  const auto forward = in_sequence(layers.size());
  quantized_network network;
  const auto sentence = [&](const forward_function& f, const input_batches& batches) {
    return sentence_of([&] { return diagnose(layers, f, batches, network); });
  };
  EXPECT_EQ(sentence(forward, {sound_inputs()}),
            "fewbit: diagnose: network.compute is empty, expected a callable");
  network.compute = float_compute(layers);
  EXPECT_EQ(sentence({}, {sound_inputs()}),
            "fewbit: diagnose: forward is empty, expected a callable");
  EXPECT_EQ(sentence(forward, input_batches()),
            "fewbit: diagnose: number of batches is 0, expected at least 1");
  EXPECT_EQ(sentence(forward, {matrix(0, 32)}),
            "fewbit: diagnose: batch 0 is 0 x 32, expected at least one row and one column");
  network.inputs.resize(3);
  EXPECT_EQ(
      sentence(forward, {sound_inputs()}),
      "fewbit: diagnose: number of network.inputs is 3, expected 4, one for each layer, or 0");
  network.inputs.clear();
  network.weights.resize(5);
  EXPECT_EQ(
      sentence(forward, {sound_inputs()}),
      "fewbit: diagnose: number of network.weights is 5, expected 4, one for each layer, or 0");
  network.weights.clear();
  network.calibrated.resize(1);
  EXPECT_EQ(
      sentence(forward, {sound_inputs()}),
      "fewbit: diagnose: number of network.calibrated is 1, expected 4, one for each layer, or 0");
  std::vector<weight_figures> one(1);
  EXPECT_EQ(sentence_of([&] { return inspect(sound_layers(), one); }),
            "fewbit: inspect: number of weights is 1, expected 4, one for each layer, or 0");
  auto empty = sound_layers();
  empty[1].weights.resize(0, 3);
  EXPECT_EQ(
      sentence_of([&] { return inspect(empty); }),
      "fewbit: inspect: weights of layer 'second' is 0 x 3, expected at least one row and one "
      "column");
}

TEST(diagnose_bad_input_test, names_the_layer_where_the_quantized_network_differs) {
  const layer_list layers(sound_layers());
  quantized_network network;
  network.compute = float_compute(layers);
  int calls = 0;  // the second pass over a batch, of the quantized network, calls other layers
  const auto unsteady = [&](index in_place_of_2, index count) -> forward_function {
    return [&, in_place_of_2, count](const matrix& inputs, const compute_function& compute) {
      const bool is_second = calls++ % 2 == 1;
      matrix x, y;
      compute(0, inputs, x);
      compute(1, x, y);
      if (is_second && in_place_of_2 != 2) y = y.leftCols(32).eval();
      compute(is_second ? in_place_of_2 : 2, y, x);
      if (!is_second || count == 4) compute(3, matrix(x.leftCols(32)), y);
      return y;
    };
  };
  const auto sentence = [&](const forward_function& f) {
    calls = 0;
    return sentence_of([&] { return diagnose(layers, f, {sound_inputs()}, network); });
  };
  EXPECT_EQ(
      sentence(unsteady(3, 4)),
      "fewbit: diagnose: call 2 of the quantized network is of layer 'last', expected of layer "
      "'third', as in float");
  EXPECT_EQ(sentence(unsteady(2, 3)),
            "fewbit: diagnose: number of calls of the quantized network is 3, expected 4");
  network.compute = [compute = float_compute(layers)](index layer, const matrix& x, matrix& y) {
    compute(layer, x, y);
    if (layer == 2) y.conservativeResize(y.rows(), 31);
  };
  EXPECT_EQ(
      sentence(in_sequence(4)),
      "fewbit: diagnose: outputs of the quantized network of layer 'third' is 48 x 31, expected "
      "48 x 32");
}

TEST(diagnose_bad_input_test, rank_checks_positions) {
  network_report report = inspect(sound_layers());
  report.findings.push_back({fault::wide_row, 4, 0, -1, 0, "", ""});
  EXPECT_EQ(sentence_of([&] { rank(report); }),
            "fewbit: rank: findings[0].layer is 4, expected a position of 4 layers");
}

#endif

}}  // namespace fewbit::diagnose_diagnose_test
