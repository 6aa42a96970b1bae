#include "fewbit/ops/depthwise_conv2d.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/quant/quantize.hpp"
#include "support/archs.hpp"
#include "support/plain_conv.hpp"
#include "support/reverse_executor.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_depthwise_conv2d_test {

using tests::random_codes_of;
#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;
#endif

template <class Arch>
class depthwise_test : public testing::Test {};
TYPED_TEST_SUITE(depthwise_test, tests::archs, tests::arch_names);

/// A depthwise convolution with everything that its outputs depend on.
struct depthwise_case {
  image_extents image;
  window2d window;
  index multiplier = 1;
  bool has_weight_zeros = false;

  [[nodiscard]] index channels() const { return image.channels * multiplier; }
};

/// a / 2^shift rounded half away from zero.
std::int64_t half_away(std::int64_t a, int shift) {
  if (shift == 0) return a;
  const std::int64_t half = std::int64_t{1} << (shift - 1);
  return a >= 0 ? (a + half) >> shift : -((-a + half) >> shift);
}

/// TFLite's two roundings, in 64 bits.
std::int64_t scaled_twice(std::int64_t sum, const fixed_multiplier& f) {
  const std::int64_t raised = sum * (std::int64_t{1} << std::max(f.exponent, 0));
  const std::int64_t product = raised * f.mantissa + (std::int64_t{1} << 30);
  return half_away(product >> 31, std::max(-f.exponent, 0));
}

/// The sum of an output channel at one output pixel, by plain loops over taps.
template <class Code>
std::int64_t plain_sum(const depthwise_case& c, const depthwise_weights& w, const Code* x,
                       int x_zero, index oy, index ox, index channel) {
  std::int64_t sum = 0;
  const window2d& v = c.window;
  for (index ky = 0; ky < v.kernel.height; ++ky) {
    for (index kx = 0; kx < v.kernel.width; ++kx) {
      const index iy = oy * v.stride.height + ky * v.dilation.height - v.padding.top;
      const index ix = ox * v.stride.width + kx * v.dilation.width - v.padding.left;
      if (iy < 0 || iy >= c.image.height || ix < 0 || ix >= c.image.width) continue;
      const std::int64_t code =
          x[(iy * c.image.width + ix) * c.image.channels + channel / c.multiplier];
      const std::int64_t zero =
          w.zero_points.empty() ? 0 : w.zero_points[static_cast<std::size_t>(channel)];
      sum += (code - x_zero) * (w.codes(ky * v.kernel.width + kx, channel) - zero);
    }
  }
  return sum;
}

depthwise_weights random_weights(const depthwise_case& c, unsigned seed) {
  const auto codes = random_codes_of<std::int8_t>(
      static_cast<std::size_t>(c.window.taps() * c.channels()), seed, -128, 127);
  depthwise_weights w;
  w.codes = Eigen::Map<const row_matrix<std::int8_t>>(codes.data(), c.window.taps(), c.channels());
  if (c.has_weight_zeros) {
    for (const int zero : random_codes_of<std::int8_t>(static_cast<std::size_t>(c.channels()),
                                                       seed + 1, -128, 127)) {
      w.zero_points.push_back(zero);
    }
  }
  return w;
}

/// Every output of some images against plain loops; in one part and in several.
template <class Code, class Arch>
void expect_outputs(const depthwise_case& c, index images, int x_zero, int y_zero, unsigned seed) {
  SCOPED_TRACE(testing::Message() << c.image.height << " x " << c.image.width << " x "
                                  << c.image.channels << ", kernel " << c.window.kernel.height
                                  << " x " << c.window.kernel.width << ", stride "
                                  << c.window.stride.height << ", " << c.window.stride.width
                                  << ", multiplier " << c.multiplier << ", zero points " << x_zero
                                  << ", " << y_zero);
  using limits = std::numeric_limits<Code>;
  const depthwise_weights w = random_weights(c, seed);
  std::mt19937 random(seed);
  std::vector<std::int32_t> bias;
  std::vector<fixed_multiplier> multipliers;
  for (index i = 0; i < c.channels(); ++i) {
    bias.push_back(static_cast<std::int32_t>(random() % 40000) - 20000);
    multipliers.push_back({static_cast<std::int32_t>((1U << 30) + random() % (1U << 30)),
                           static_cast<int>(random() % 12) - 10});
  }
  const code_bounds bounds{y_zero - 40, limits::max()};
  const depthwise_conv2d<integer_only<Code>, Arch> layer(
      w, c.image, c.window, bias, multipliers, x_zero, {{1.0F, y_zero}, bounds}, c.multiplier);
  const auto codes = random_codes_of<Code>(static_cast<std::size_t>(images * layer.inputs()),
                                           seed + 2, limits::min(), limits::max());
  const Eigen::Map<const row_matrix<Code>> x(codes.data(), images, layer.inputs());
  row_matrix<Code> y = row_matrix<Code>::Constant(images, layer.outputs(), 1);
  layer(x, y);
  row_matrix<Code> in_parts = row_matrix<Code>::Constant(images, layer.outputs(), 2);
  layer_scratch scratch = layer.make_scratch(3);
  layer(x, in_parts, scratch, tests::reverse_executor{});
  ASSERT_EQ(y, in_parts);

  const extent2d out = layer.window().output();
  index wrong = 0;
  for (index i = 0; i < images; ++i) {
    for (index p = 0; p < out.height * out.width; ++p) {
      for (index channel = 0; channel < c.channels(); ++channel) {
        const auto at = static_cast<std::size_t>(channel);
        const std::int64_t sum = plain_sum(c, w, codes.data() + i * layer.inputs(), x_zero,
                                           p / out.width, p % out.width, channel) +
                                 bias[at];
        const std::int64_t code = std::clamp(scaled_twice(sum, multipliers[at]) + y_zero,
                                             std::max<std::int64_t>(bounds.lowest, limits::min()),
                                             std::int64_t{bounds.highest});
        wrong += code != y(i, p * c.channels() + channel) ? 1 : 0;
      }
    }
  }
  EXPECT_EQ(wrong, 0);
}

std::vector<depthwise_case> cases() {
  const auto same = [](image_extents image, extent2d kernel, extent2d stride, index multiplier = 1,
                       bool has_weight_zeros = false) {
    window2d w{.kernel = kernel, .stride = stride};
    w.padding = same_padding(image, w);
    return depthwise_case{image, w, multiplier, has_weight_zeros};
  };
  return {
      {{1, 1, 1}, {}, 1, false},
      same({1, 1, 64}, {3, 3}, {1, 1}),
      same({40, 40, 17}, {3, 3}, {1, 1}),
      same({13, 7, 64}, {3, 3}, {1, 1}),
      same({9, 6, 144}, {3, 3}, {2, 2}),
      same({7, 7, 33}, {5, 5}, {1, 1}),
      same({11, 10, 40}, {5, 5}, {2, 2}),
      same({6, 5, 80}, {3, 3}, {1, 1}, 1, true),                            // wide weights
      same({5, 5, 3}, {3, 3}, {1, 1}),                                      // fewer than a unit
      same({6, 7, 3}, {3, 3}, {1, 1}, 2),                                   // multipliers
      same({5, 4, 17}, {5, 3}, {2, 1}, 3, true),                            //
      same({4, 9, 8}, {2, 7}, {1, 2}, 8),                                   //
      {{2, 2, 16}, {.kernel = {5, 5}, .padding = {3, 3, 3, 3}}, 1, false},  // larger than images
      {{9, 7, 20}, {.kernel = {2, 2}, .stride = {4, 3}}, 1, false},         // stride above kernel
      {{9, 9, 18}, {.kernel = {3, 3}, .dilation = {3, 2}, .padding = {2, 1, 0, 3}}, 1, false},
      {{4, 30, 16}, {.kernel = {9, 9}, .padding = {5, 5, 4, 4}}, 1, false},  // many rows and steps
      {{3, 4, 64}, {.kernel = {3, 3}, .padding = {9, 0, 7, 11}}, 1, false},  // windows of padding
      {{20, 3, 65}, {.kernel = {20, 3}, .padding = {0, 0, 1, 1}}, 1, false},
  };
}

TYPED_TEST(depthwise_test, agrees_with_plain_loops) {
  unsigned seed = 1;
  for (const depthwise_case& c : cases()) {
    expect_outputs<std::int8_t, TypeParam>(c, 2, -14, 3, seed);
    expect_outputs<std::uint8_t, TypeParam>(c, 1, 131, 120, seed + 5);
    ++seed;
  }
}

TYPED_TEST(depthwise_test, is_exact_at_the_ends_of_codes) {
  const image_extents image{5, 6, 64};
  const window2d window{.kernel = {3, 3}, .padding = {1, 1, 1, 1}};
  for (const bool has_weight_zeros : {false, true}) {
    const depthwise_case c{image, window, 1, has_weight_zeros};
    for (const int zero : {-128, 127}) expect_outputs<std::int8_t, TypeParam>(c, 1, zero, zero, 7);
    for (const int zero : {0, 255}) expect_outputs<std::uint8_t, TypeParam>(c, 1, zero, zero, 8);
  }
}

/// All products of the largest magnitude and of one sign.
TYPED_TEST(depthwise_test, does_not_saturate) {
  const image_extents image{4, 4, 64};
  const window2d window{.kernel = {3, 3}};
  depthwise_weights w;
  w.codes = row_matrix<std::int8_t>::Constant(9, 64, -128);
  w.zero_points = {127};
  const std::vector<fixed_multiplier> multipliers(64, fixed_multiplier{1 << 30, -14});
  const depthwise_conv2d<integer_only<std::uint8_t>, TypeParam> layer(
      w, image, window, {}, multipliers, 0, {{1.0F, 255}, {}});
  const row_matrix<std::uint8_t> x = row_matrix<std::uint8_t>::Constant(1, layer.inputs(), 255);
  row_matrix<std::uint8_t> y(1, layer.outputs());
  layer(x, y);
  const int expected = 255 - 18;  // 9 * 255 * -255 / 2^15 = -17.9
  EXPECT_EQ(y, (row_matrix<std::uint8_t>::Constant(1, layer.outputs(), expected)));
}

TYPED_TEST(depthwise_test, takes_no_images) {
  const depthwise_case c{{5, 4, 16}, {.kernel = {3, 3}}, 1, false};
  expect_outputs<std::int8_t, TypeParam>(c, 0, 0, 0, 1);
}

/// Codes of one sum with a rounding mode.
template <class Mode, class Out>
void expect_mode(double factor) {
  const image_extents image{6, 6, 20};
  const window2d window{.kernel = {3, 3}, .padding = {1, 1, 1, 1}};
  const depthwise_case c{image, window, 1, false};
  depthwise_weights w = random_weights(c, 3);
  w.scales = {static_cast<float>(factor)};
  const depthwise_conv2d<integer_only<std::int8_t, Out, Mode>> layer(
      w, image, window, {}, quant_params{1.0F, -3}, {{1.0F, 9}, {}});
  const auto x =
      random_codes_of<std::int8_t>(static_cast<std::size_t>(layer.inputs()), 4, -128, 127);
  row_matrix<Out> y(1, layer.outputs());
  layer(Eigen::Map<const row_matrix<std::int8_t>>(x.data(), 1, layer.inputs()), y);
  for (index p = 0; p < 36; ++p) {
    for (index channel = 0; channel < 20; ++channel) {
      const std::int64_t sum = plain_sum(c, w, x.data(), -3, p / 6, p % 6, channel);
      const double exact = static_cast<double>(sum) * factor + 9.0;
      const double kept = std::clamp(exact, double{std::numeric_limits<Out>::min()},
                                     double{std::numeric_limits<Out>::max()});
      EXPECT_LE(std::abs(kept - static_cast<double>(y(0, p * 20 + channel))), 1.0);
    }
  }
}

TEST(depthwise, takes_every_rounding_mode) {
  expect_mode<tflite_double, std::int8_t>(0.013);
  expect_mode<tflite_single, std::uint8_t>(0.013);
  expect_mode<cmsis_default, std::int8_t>(0.013);
  expect_mode<xnn_rndnu, std::int8_t>(0.013);
  expect_mode<xnn_fp32, std::uint8_t>(0.013);
  expect_mode<q7_pot, std::int8_t>(1.0 / 64);
}

TEST(depthwise, of_16_bits_agrees_with_plain_loops) {
  for (const auto& [channels, multiplier] : {std::pair<index, index>{17, 1}, {3, 2}}) {
    const depthwise_case c{{7, 6, channels},
                           {.kernel = {3, 4}, .stride = {2, 1}, .padding = {1, 1, 2, 1}},
                           multiplier,
                           false};
    const depthwise_weights w = random_weights(c, 5);
    std::vector<std::int64_t> bias;
    for (index i = 0; i < c.channels(); ++i) bias.push_back((i - 2) * (std::int64_t{1} << 33));
    const std::vector<fixed_multiplier> multipliers(static_cast<std::size_t>(c.channels()),
                                                    fixed_multiplier{0x5A000000, -18});
    const depthwise_conv2d<integer_only<std::int16_t>> layer(
        w, c.image, c.window, bias, multipliers, 0, {{1.0F, 0}, {-30000, 32000}}, multiplier);
    const auto x = random_codes_of<std::int16_t>(static_cast<std::size_t>(2 * layer.inputs()), 6,
                                                 -32768, 32767);
    row_matrix<std::int16_t> y(2, layer.outputs());
    layer_scratch scratch = layer.make_scratch(2);
    layer(Eigen::Map<const row_matrix<std::int16_t>>(x.data(), 2, layer.inputs()), y, scratch);
    const extent2d out = layer.window().output();
    for (index i = 0; i < 2; ++i) {
      for (index p = 0; p < out.height * out.width; ++p) {
        for (index channel = 0; channel < c.channels(); ++channel) {
          const std::int64_t sum = plain_sum(c, w, x.data() + i * layer.inputs(), 0, p / out.width,
                                             p % out.width, channel) +
                                   bias[static_cast<std::size_t>(channel)];
          // mantissa 0x5A00 of 15 bits, 2^-33 in all
          const auto scaled =
              static_cast<std::int32_t>((sum * 0x5A00 + (std::int64_t{1} << 32)) >> 33);
          ASSERT_EQ(y(i, p * c.channels() + channel), std::clamp(scaled, -30000, 32000));
        }
      }
    }
  }
}

TEST(depthwise, converts_weights_of_others) {
  row_matrix<std::int8_t> chw(2, 6);
  chw << 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12;
  row_matrix<std::int8_t> hwc(6, 2);
  hwc << 1, 7, 2, 8, 3, 9, 4, 10, 5, 11, 6, 12;
  EXPECT_EQ(hwc_from_chw(chw), hwc);

  const std::vector<std::uint8_t> bytes{0x21, 0xF8, 0x07};
  row_matrix<std::int8_t> codes(5, 1);
  codes << 1, 2, -8, -1, 7;
  EXPECT_EQ(depthwise_codes_from_int4(bytes, 5, 1), codes);

  row_matrix<float> real(2, 3);
  real << 1.0F, -0.5F, 0.25F, 0.0F, 4.0F, 2.0F;
  const depthwise_weights signed_weights = depthwise_weights_of(quantize<int8_per_row>(real));
  const depthwise_weights affine = depthwise_weights_of(quantize<uint8_affine>(real));
  for (index c = 0; c < 2; ++c) {
    for (index tap = 0; tap < 3; ++tap) {
      EXPECT_NEAR(static_cast<float>(signed_weights.codes(tap, c)) *
                      signed_weights.scales[static_cast<std::size_t>(c)],
                  real(c, tap), 0.02F);
      EXPECT_NEAR(static_cast<float>(affine.codes(tap, c) -
                                     affine.zero_points[static_cast<std::size_t>(c)]) *
                      affine.scales[static_cast<std::size_t>(c)],
                  real(c, tap), 0.02F);
    }
  }
}

#if FEWBIT_HAS_EXCEPTIONS

using int8_layer = depthwise_conv2d<integer_only<std::int8_t>>;

struct arguments {
  depthwise_weights weights{row_matrix<std::int8_t>::Constant(9, 4, 1), {1.0F}, {}};
  image_extents image{5, 5, 4};
  window2d window{.kernel = {3, 3}};
  std::vector<std::int32_t> bias;
  quant_params input{1.0F, 0};
  integer_options options{{1.0F, 0}, {}};
  index multiplier = 1;
  std::vector<fixed_multiplier> multipliers =
      std::vector<fixed_multiplier>(4, fixed_multiplier{1 << 30, 0});

  [[nodiscard]] std::string sentence() const {
    return sentence_of(
        [this] { return int8_layer(weights, image, window, bias, input, options, multiplier); });
  }
  [[nodiscard]] std::string sentence_with_multipliers() const {
    return sentence_of([this] {
      return int8_layer(weights, image, window, bias, multipliers, input.zero_point, options,
                        multiplier);
    });
  }
};

TEST(depthwise, names_what_is_wrong) {
  EXPECT_EQ(arguments{}.sentence(), "no error");
  EXPECT_EQ(arguments{}.sentence_with_multipliers(), "no error");
  arguments a;
  a.window.kernel.height = 6;
  EXPECT_EQ(a.sentence(),
            "fewbit: depthwise_conv2d: kernel.height is 6, expected at most 5, because the image "
            "with its padding has 5 pixels and the dilation is 1");
  a = {};
  a.multiplier = 0;
  EXPECT_EQ(a.sentence(), "fewbit: depthwise_conv2d: multiplier is 0, expected at least 1");
  a = {};
  a.multiplier = 2;
  EXPECT_EQ(a.sentence(),
            "fewbit: depthwise_conv2d: weights.codes is 9 x 4, expected 9 x 8: kernel height * "
            "kernel width x output channels");
  a = {};
  a.bias = {1, 2};
  EXPECT_EQ(a.sentence(), "fewbit: depthwise_conv2d: length of bias is 2, expected 4");
  a = {};
  a.weights.scales = {1.0F, 2.0F};
  EXPECT_EQ(a.sentence(),
            "fewbit: depthwise_conv2d: number of scales of weights is 2, expected 1 or 4");
  a.weights.scales = {1.0F, 2.0F, 0.0F, 1.0F};
  EXPECT_EQ(a.sentence(),
            "fewbit: depthwise_conv2d: weights.scales[2] is 0, expected a finite positive number");
  a = {};
  a.weights.zero_points = {1, 2};
  EXPECT_EQ(a.sentence(),
            "fewbit: depthwise_conv2d: number of zero points of weights is 2, expected 0, 1 or 4");
  a.weights.zero_points = {128};
  EXPECT_EQ(a.sentence(),
            "fewbit: depthwise_conv2d: weights.zero_points[0] is 128, expected -128 to 127");
  a = {};
  a.input.scale = -1.0F;
  EXPECT_EQ(
      a.sentence(),
      "fewbit: depthwise_conv2d: input_params.scale is -1, expected a finite positive number");
  a = {};
  a.input.zero_point = 128;
  EXPECT_EQ(a.sentence(),
            "fewbit: depthwise_conv2d: input_params.zero_point is 128, expected -128 to 127");
  a = {};
  a.options.output_params.zero_point = -129;
  EXPECT_EQ(a.sentence(),
            "fewbit: depthwise_conv2d: output_params.zero_point is -129, expected -128 to 127");
  a = {};
  a.options.bounds = {5, 4};
  EXPECT_EQ(a.sentence(),
            "fewbit: depthwise_conv2d: bounds.lowest is 5, expected at most bounds.highest, 4, and "
            "both around codes -128 to 127");
  a = {};
  a.weights.scales = {1e20F};
  EXPECT_EQ(
      a.sentence(),
      "fewbit: depthwise_conv2d: factor of channel[0] is 1.00000002e+20, expected 0, or at "
      "least 2^-32 and less than 2^30: scale of inputs * scale of weights / scale of outputs");
  a.weights.scales = {1e-20F};
  EXPECT_EQ(
      a.sentence(),
      "fewbit: depthwise_conv2d: factor of channel[0] is 9.99999968e-21, expected 0, or at "
      "least 2^-32 and less than 2^30: scale of inputs * scale of weights / scale of outputs");
  a = {};
  a.bias = {0, 0, 2147483647, 0};
  EXPECT_EQ(a.sentence(),
            "fewbit: depthwise_conv2d: largest sum of channel[2] is 2147484799, expected at most "
            "2147483647, the largest int32");
  a = {};
  a.multipliers.pop_back();
  EXPECT_EQ(a.sentence_with_multipliers(),
            "fewbit: depthwise_conv2d: number of multipliers is 3, expected 4");
  a = {};
  a.multipliers[3].mantissa = -1;
  EXPECT_EQ(a.sentence_with_multipliers(),
            "fewbit: depthwise_conv2d: mantissa of channel[3] is -1, expected 0 or more");
  const int8_layer good(arguments{}.weights, arguments{}.image, arguments{}.window, {},
                        arguments{}.input, arguments{}.options);
  EXPECT_EQ(sentence_of([&] { return good.make_scratch(0); }),
            "fewbit: depthwise_conv2d: workers is 0, expected at least 1");
  EXPECT_EQ(sentence_of([] { return depthwise_codes_from_int4({}, 3, 1); }),
            "fewbit: depthwise_codes_from_int4: number of bytes is 0, expected 2");
}

TEST(depthwise, of_16_bits_names_what_is_wrong) {
  const depthwise_weights weights{row_matrix<std::int8_t>::Constant(9, 1, 1), {1.0F}, {}};
  const auto sentence = [&](std::int64_t bias, int exponent) {
    return sentence_of([&] {
      const std::vector<std::int64_t> one{bias};
      const std::vector<fixed_multiplier> factor{{1 << 30, exponent}};
      return depthwise_conv2d<integer_only<std::int16_t>>(weights, {5, 5, 1}, {.kernel = {3, 3}},
                                                          one, factor, 0, {{1.0F, 0}, {}});
    });
  };
  EXPECT_EQ(sentence(0, 7), "no error");
  EXPECT_EQ(sentence(0, 8),
            "fewbit: depthwise_conv2d: exponent of channel[0] is 8, expected -31 to 7 for sums of "
            "64 bits");
  EXPECT_EQ(sentence(std::int64_t{1} << 47, 0),
            "fewbit: depthwise_conv2d: bias[0] is 140737488355328, expected a number for which "
            "sums are less than 2^47");
}

#endif

TEST(depthwise, terminates_if_shapes_do_not_fit) {
  const depthwise_weights weights{row_matrix<std::int8_t>::Constant(9, 4, 1), {1.0F}, {}};
  const depthwise_conv2d<integer_only<std::int8_t>> layer(
      weights, {5, 5, 4}, {.kernel = {3, 3}}, {}, quant_params{1.0F, 0}, {{1.0F, 0}, {}});
  row_matrix<std::int8_t> x(1, 99), y(1, 36);
  EXPECT_DEATH(layer(x, y), "depthwise_conv2d: x.cols.. is 99, expected 100");
  row_matrix<std::int8_t> fits(1, 100);
  layer_scratch none;
  EXPECT_DEATH(layer(fits, y, none), "depthwise_conv2d: scratch.workers.slots.. is 0");
}

TEST(depthwise, without_weights_has_no_outputs) {
  const depthwise_conv2d<integer_only<std::int8_t>> layer;
  EXPECT_EQ(layer.inputs(), 0);
  EXPECT_EQ(layer.outputs(), 0);
  EXPECT_EQ(layer.channels(), 0);
  EXPECT_EQ(layer.bytes(), 0);
}

}}  // namespace fewbit::ops_depthwise_conv2d_test
