// The error of schemes on the weights of a trained ResNet-20 with folded batch norm.

#include <gtest/gtest.h>

#include <vector>

#include "fewbit/quant/metrics.hpp"
#include "fewbit/quant/quantize.hpp"
#include "quant/reference.hpp"
#include "safetensors.hpp"
#include "support/data.hpp"

namespace fewbit { namespace quant_real_weights_test {

/// The convolutions as matrices with one row for each output channel.
std::vector<row_matrix<float>> convolutions(const char* name) {
  const std::string file = (tests::data_dir() / "resnet" / name).string();
  std::vector<row_matrix<float>> all;
  for (const auto& [key, t] : examples::read_safetensors(file).tensors) {
    if (t.shape.size() == 4) all.push_back(t.matrix<float>());
  }
  return all;
}

template <class S>
std::vector<double> sqnr(const std::vector<row_matrix<float>>& layers) {
  std::vector<double> values;
  for (const auto& w : layers) values.push_back(sqnr_db(w, quantize<S>(w)));
  return values;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

TEST(real_weights, per_channel_beats_per_tensor_in_every_layer) {
  FEWBIT_SKIP_WITHOUT_DATA("resnet");
  const auto layers = convolutions("resnet20_cifar10_folded.safetensors");
  ASSERT_EQ(layers.size(), 19U);
  const auto by_channel = sqnr<int8_per_row>(layers);
  const auto by_tensor = sqnr<int8_per_tensor>(layers);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    EXPECT_GE(by_channel[i], by_tensor[i] + 2.55 - 0.01) << i;
  }
  EXPECT_NEAR(mean(by_channel), 41.81, 0.02);
  EXPECT_NEAR(mean(by_tensor), 36.98, 0.02);
  EXPECT_NEAR(mean(sqnr<int4_per_row>(layers)), 16.78, 0.02);
  EXPECT_NEAR(mean(sqnr<scheme<int4, per_tensor>>(layers)), 11.99, 0.02);
}

/// The mean over layers of the relative error of a layer, with one scale for each filter.
template <class S, class Rule>
double mean_relative_error(const std::vector<row_matrix<float>>& layers) {
  std::vector<double> errors;
  for (const auto& w : layers) {
    errors.push_back(tests::relative_error(w, dequantize(quantize<S, Rule>(w))));
  }
  return mean(errors);
}

TEST(real_weights, binary_and_ternary_errors) {
  FEWBIT_SKIP_WITHOUT_DATA("resnet");
  const auto layers = convolutions("resnet20_cifar10.safetensors");
  ASSERT_EQ(layers.size(), 19U);
  EXPECT_NEAR((mean_relative_error<binary_per_row, mean_magnitude>(layers)), 0.4263, 2e-4);
  EXPECT_NEAR((mean_relative_error<ternary_per_row, ternary_twn>(layers)), 0.2268, 2e-4);
  EXPECT_NEAR((mean_relative_error<ternary_per_row, ternary_optimum>(layers)), 0.2172, 2e-4);
}

}  // namespace quant_real_weights_test
}  // namespace fewbit
