#include "fewbit/equalize/outlier_split_pass.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "equalize/three_kinds.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace equalize_outlier_split_pass_test {

using tests::matrix;
using tests::random_reals;

using per_matrix = scheme<int4, per_tensor>;

/// A convolution, a depthwise one and a head. The first channel of the first, and channel 7 of the
/// last have large weights.
layer_list with_outliers() {
  const image_extents image{4, 3, 4}, wide{4, 3, 6};
  window2d window{.kernel = {3, 3}};
  window.padding = same_padding(image, window);
  matrix conv = random_reals(6, 36, 1), head = random_reals(5, 72, 4);
  for (index tap = 0; tap < 9; ++tap) conv.col(tap * 4) *= 6.0F;
  head.col(7) *= 5.0F;
  network_layer last = tests::linear_layer("head", head);
  last.input_factors = random_reals(72, 1, 5).cwiseAbs().array() + 0.1F;
  return layer_list({tests::image_layer("conv", layer_kind::conv2d, conv, image, window),
                     tests::image_layer("depthwise", layer_kind::depthwise_conv2d,
                                        random_reals(6, 9, 2), wide, window),
                     std::move(last)});
}

TEST(outlier_split_pass, repeats_channels_with_large_weights) {
  const layer_list layers = with_outliers();
  simulation plan(layers);
  const auto done = outlier_split_pass<per_matrix>(plan, 0.25);
  ASSERT_EQ(done.layers.size(), 2U);
  EXPECT_FALSE(done.cancelled);
  EXPECT_EQ(done.not_split, (std::vector<index>{1}));
  EXPECT_EQ(plan.weights(1), layers[1].weights);
  EXPECT_EQ(done.layers[0].sources, (std::vector<index>{0, 1, 2, 3, 0}));
  EXPECT_EQ(done.layers[0].wide.image.channels, 5);
  EXPECT_EQ(done.layers[1].wide.weights.cols(), 72 + 18);
  const auto& sources = done.layers[1].sources;
  EXPECT_GE(std::count(sources.begin(), sources.end(), 7), 4);
  for (const auto& l : done.layers) {
    SCOPED_TRACE(l.wide.name);
    const network_layer& real = layers[l.layer];
    EXPECT_LT(l.squared_error, 0.5 * l.plain_error);
    EXPECT_NEAR(l.squared_error,
                (real.weights - plan.weights(l.layer)).cast<double>().squaredNorm(),
                1e-6 * l.plain_error);
    EXPECT_NEAR(
        l.plain_error,
        (real.weights - fake_quantize<per_matrix>(real.weights)).cast<double>().squaredNorm(),
        1e-6 * l.plain_error);
    // The wide layer computes what the layer does, in float and with codes.
    const matrix x = random_reals(3, real.inputs(), 7), repeated = repeat_channels(x, l);
    EXPECT_LT(tests::largest_difference(tests::plain_layer(real, x.cast<double>()),
                                        tests::plain_layer(l.wide, repeated.cast<double>())),
              1e-6);
    network_layer coded = l.wide, joined = real;
    coded.weights = dequantize(l.codes);
    joined.weights = plan.weights(l.layer);
    EXPECT_LT(tests::largest_difference(tests::plain_layer(joined, x.cast<double>()),
                                        tests::plain_layer(coded, repeated.cast<double>())),
              1e-6);
  }
}

TEST(outlier_split_pass, leaves_layers_without_gain) {
  const layer_list layers({tests::linear_layer("zeros", matrix::Zero(3, 8))});
  simulation plan(layers);
  const auto done = outlier_split_pass<per_matrix>(plan, 0.25);
  EXPECT_TRUE(done.layers.empty());
  EXPECT_EQ(done.not_split, (std::vector<index>{0}));
  EXPECT_EQ(plan.weights(0), layers[0].weights);
  const layer_list groups = tests::three_kinds();
  simulation other(groups);
  EXPECT_EQ(outlier_split_pass<per_matrix>(other, 0.25).not_split, (std::vector<index>{0, 1}));
}

TEST(outlier_split_pass, can_be_cancelled) {
  const layer_list layers = with_outliers();
  for (const index last : {0, 1, 2}) {
    simulation plan(layers);
    const auto done = outlier_split_pass<per_matrix>(plan, 0.25, [&](const pass_step& s) {
      EXPECT_EQ(s.total, 3);
      return s.done < last;
    });
    EXPECT_TRUE(done.cancelled);
    EXPECT_TRUE(done.layers.empty());
    for (index i = 0; i < 3; ++i) EXPECT_EQ(plan.weights(i), layers[i].weights);
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(outlier_split_pass, refuses_other_shares) {
  const layer_list layers = with_outliers();
  simulation plan(layers);
  EXPECT_EQ(tests::sentence_of([&] { return outlier_split_pass<per_matrix>(plan, 1.5); }),
            "fewbit: outlier_split_pass: share is 1.5, expected 0 to 1");
  const auto done = outlier_split_pass<per_matrix>(plan, 0.25);
  EXPECT_EQ(
      tests::sentence_of([&] { return repeat_channels(matrix::Ones(2, 47), done.layers[0]); }),
      "fewbit: repeat_channels: number of columns of x is 47, expected a multiple of 12, the "
      "number of pixels");
}
#endif

}}  // namespace fewbit::equalize_outlier_split_pass_test
