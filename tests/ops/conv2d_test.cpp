#include "fewbit/ops/conv2d.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "support/archs.hpp"
#include "support/plain_conv.hpp"
#include "support/reverse_executor.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_conv2d_test {

using tests::conv_case;
using tests::plain_sums;
using tests::random_codes_of;
#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;
#endif

template <class T>
Eigen::Map<const row_matrix<T>> rows_of_images(const std::vector<T>& codes, index images) {
  return {codes.data(), images, static_cast<index>(codes.size()) / images};
}

template <class T>
row_matrix<T> matrix_of(const std::vector<T>& codes, index rows) {
  return rows_of_images(codes, rows);
}

/// The code of a sum times 2^-shift, rounded half up.
std::int64_t scaled(std::int64_t sum, int shift, std::int64_t zero, std::int64_t lo,
                    std::int64_t hi) {
  const double value = std::floor(std::ldexp(static_cast<double>(sum), -shift) + 0.5);
  return std::min(std::max(static_cast<std::int64_t>(value) + zero, lo), hi);
}

constexpr int shift_of_factor = 9;

template <class Code, class Arch>
void expect_integer_conv(const conv_case& c, int x_zero, unsigned seed) {
  using limits = std::numeric_limits<Code>;
  const index images = 2;
  const auto x = random_codes_of<Code>(static_cast<std::size_t>(images * c.image.size()), seed,
                                       limits::min(), limits::max());
  const auto w =
      matrix_of(random_codes_of<std::int8_t>(static_cast<std::size_t>(c.channels * c.depth()),
                                             seed + 1, -128, 127),
                c.channels);
  std::vector<std::int32_t> bias;
  for (index i = 0; i < c.channels; ++i) bias.push_back(static_cast<std::int32_t>(i * 37 - 1000));
  const std::vector<float> scales(static_cast<std::size_t>(c.channels), 1.0F);
  const quantized_matrix<scheme<int8, per_row, symmetric_full>> weights(w, scales);
  const integer_options options{
      {std::ldexp(0.5F, shift_of_factor), static_cast<std::int32_t>(limits::min()) + 100},
      {limits::min() + 3, limits::max() - 4}};
  using layer_type =
      conv2d<scheme<int8, per_row, symmetric_full>, integer_only<Code, Code, tflite_single>, Arch>;
  layer_type layer(weights, c.image, c.window, bias, quant_params{0.5F, x_zero}, options, c.groups);
  ASSERT_EQ(layer.inputs(), c.image.size());
  ASSERT_EQ(layer.outputs(), c.outputs());

  row_matrix<Code> expected(images, c.outputs());
  for (index r = 0; r < images; ++r) {
    auto sums = plain_sums(c, x.data() + r * c.image.size(), w, x_zero);
    for (index i = 0; i < c.outputs(); ++i) {
      const std::int64_t sum =
          sums[static_cast<std::size_t>(i)] + bias[static_cast<std::size_t>(i % c.channels)];
      expected(r, i) =
          static_cast<Code>(scaled(sum, shift_of_factor, options.output_params.zero_point,
                                   limits::min() + 3, limits::max() - 4));
    }
  }
  row_matrix<Code> y(images, c.outputs());
  layer(rows_of_images(x, images), y);
  EXPECT_TRUE(y == expected) << "on the stack";
  y.setZero();
  layer.reserve(images);
  layer(rows_of_images(x, images), y);
  EXPECT_TRUE(y == expected) << "reserved";
  y.setZero();
  layer_scratch scratch = layer.make_scratch(3, 1);
  layer(rows_of_images(x, images), y, scratch, tests::reverse_executor{});
  EXPECT_TRUE(y == expected) << "three workers";
}

template <class Arch>
class conv2d_test : public testing::Test {};
TYPED_TEST_SUITE(conv2d_test, tests::archs, tests::arch_names);

TYPED_TEST(conv2d_test, equals_plain_sums_of_signed_codes) {
  unsigned seed = 1;
  for (const conv_case& c : tests::conv_cases()) {
    SCOPED_TRACE(testing::Message() << "case " << seed);
    expect_integer_conv<std::int8_t, TypeParam>(c, seed % 2 == 0 ? -128 : 5, seed);
    ++seed;
  }
}

TYPED_TEST(conv2d_test, equals_plain_sums_of_unsigned_codes) {
  unsigned seed = 1;
  for (const conv_case& c : tests::conv_cases()) {
    SCOPED_TRACE(testing::Message() << "case " << seed);
    expect_integer_conv<std::uint8_t, TypeParam>(c, seed % 2 == 0 ? 255 : 117, seed);
    ++seed;
  }
}

/// Weights of four bits stay packed.
TYPED_TEST(conv2d_test, multiplies_weights_of_four_bits) {
  using S = scheme<int4, per_row, symmetric_full>;
  const conv_case c{{7, 6, 20}, 18, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}, 1};
  const auto x =
      random_codes_of<std::int8_t>(static_cast<std::size_t>(c.image.size()), 3, -128, 127);
  const auto w = matrix_of(
      random_codes_of<std::int8_t>(static_cast<std::size_t>(c.channels * c.depth()), 4, -8, 7),
      c.channels);
  const quantized_matrix<S> weights(w, std::vector<float>(18, 1.0F));
  const std::vector<std::int32_t> bias;
  conv2d<S, integer_only<std::int8_t, std::int8_t, tflite_single>, TypeParam> layer(
      weights, c.image, c.window, bias, quant_params{1.0F, -3},
      integer_options{{std::ldexp(1.0F, 6), 2}});
  EXPECT_LT(layer.bytes(), c.channels * c.depth() + 2000);
  const auto sums = plain_sums(c, x.data(), w, -3);
  row_matrix<std::int8_t> y(1, c.outputs()), again(1, c.outputs());
  layer(rows_of_images(x, 1), y);
  layer.reserve(1);
  layer(rows_of_images(x, 1), again);
  for (index i = 0; i < c.outputs(); ++i)
    ASSERT_EQ(int{y(0, i)}, scaled(sums[static_cast<std::size_t>(i)], 6, 2, -128, 127)) << i;
  EXPECT_TRUE(y == again);
}

/// Zero points on both sides.
TYPED_TEST(conv2d_test, subtracts_zero_points_of_weights) {
  using S = scheme<uint8, per_row, affine>;
  const conv_case c{{6, 5, 7}, 4, {.kernel = {3, 2}, .padding = {1, 0, 1, 1}}, 1};
  const auto x = random_codes_of<std::uint8_t>(static_cast<std::size_t>(c.image.size()), 5, 0, 255);
  const auto codes = matrix_of(
      random_codes_of<std::uint8_t>(static_cast<std::size_t>(c.channels * c.depth()), 6, 0, 255),
      c.channels);
  const std::vector<std::uint8_t> zeros{0, 255, 128, 7};
  const quantized_matrix<S> weights(codes, std::vector<float>(4, 1.0F), zeros);
  conv2d<S, integer_only<std::uint8_t, std::uint8_t, tflite_single>, TypeParam> layer(
      weights, c.image, c.window, std::vector<std::int32_t>{1, 2, 3, 4}, quant_params{1.0F, 200},
      integer_options{{std::ldexp(1.0F, 10), 9}});
  const auto sums = plain_sums(c, x.data(), codes, 200, {0, 255, 128, 7});
  row_matrix<std::uint8_t> y(1, c.outputs()), again(1, c.outputs());
  layer(rows_of_images(x, 1), y);
  layer.reserve(1);
  layer(rows_of_images(x, 1), again);
  for (index i = 0; i < c.outputs(); ++i) {
    ASSERT_EQ(int{y(0, i)}, scaled(sums[static_cast<std::size_t>(i)] + i % 4 + 1, 10, 9, 0, 255))
        << i;
  }
  EXPECT_TRUE(y == again);
}

/// Floats in and out: an image is multiplied as linear<> multiplies a row.
TYPED_TEST(conv2d_test, gives_floats_of_dynamic_and_static_inputs) {
  const conv_case c{{6, 5, 7}, 9, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}, 1};
  row_matrix<float> x(3, c.image.size());
  row_matrix<float> w(c.channels, c.depth());
  for (index i = 0; i < x.size(); ++i) x.data()[i] = std::sin(static_cast<float>(i) * 0.7F) * 3.0F;
  for (index i = 0; i < w.size(); ++i) w.data()[i] = std::cos(static_cast<float>(i) * 0.3F);
  Eigen::VectorXf bias = Eigen::VectorXf::LinSpaced(c.channels, -1.0F, 1.0F);
  x.row(1) *= 100.0F;
  const auto q = quantize<int8_per_row>(w);
  conv2d<int8_per_row, dynamic_int8, TypeParam> layer(w, c.image, c.window, bias);
  row_matrix<float> y(3, c.outputs()), again(3, c.outputs());
  layer(x, y);
  layer.reserve(3);
  layer(x, again);
  EXPECT_TRUE(y == again);
  for (index r = 0; r < 3; ++r) {
    const float scale = x.row(r).cwiseAbs().maxCoeff() / 127.0F;
    std::vector<std::int8_t> codes;
    for (index i = 0; i < x.cols(); ++i)
      codes.push_back(static_cast<std::int8_t>(std::nearbyint(x(r, i) * (1.0F / scale))));
    row_matrix<std::int8_t> wc(c.channels, c.depth());
    for (index j = 0; j < c.channels; ++j) {
      for (index k = 0; k < c.depth(); ++k) wc(j, k) = static_cast<std::int8_t>(q.code(j, k));
    }
    const auto sums = plain_sums(c, codes.data(), wc, 0);
    for (index i = 0; i < c.outputs(); ++i) {
      const double want = static_cast<double>(sums[static_cast<std::size_t>(i)]) *
                              double{q.scale(i % c.channels, 0)} * double{scale} +
                          double{bias[i % c.channels]};
      ASSERT_NEAR(y(r, i), want, 1e-5 * (1.0 + std::abs(want)));
    }
  }
  // Codes out, of static inputs.
  const layer_options options{true, {0.25F, 4}};
  conv2d<int8_per_row, static_int8, TypeParam> fixed(q, c.image, c.window, bias, {0.03F, 1},
                                                     options);
  row_matrix<float> floats(3, c.outputs());
  row_matrix<std::int8_t> out(3, c.outputs()), out_again(3, c.outputs());
  fixed(x, floats);
  fixed(x, out);
  fixed.reserve(2);
  fixed(x, out_again);
  EXPECT_TRUE(out == out_again);
  for (index i = 0; i < floats.size(); ++i) {
    const double code = std::nearbyint(double{floats.data()[i]} * 4.0) + 4.0;
    ASSERT_GE(floats.data()[i], 0.0F);
    ASSERT_EQ(int{out.data()[i]}, std::fmin(code, 127.0));
  }
}

TYPED_TEST(conv2d_test, takes_no_images) {
  conv2d<int8_per_row, dynamic_int8, TypeParam> layer(row_matrix<float>::Ones(2, 9), {5, 5, 1},
                                                      {.kernel = {3, 3}});
  row_matrix<float> x(0, 25), y(0, 18);
  layer(x, y);
  layer.reserve(1);
  layer(x, y);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(conv2d_errors_test, names_what_cannot_be) {
  using layer_type = conv2d<int8_per_row>;
  const row_matrix<float> w = row_matrix<float>::Ones(4, 9);
  const auto sentence = [&](const image_extents& image, const window2d& window,
                            const row_matrix<float>& weights, index groups = 1) {
    return sentence_of([&] { layer_type(weights, image, window, Eigen::VectorXf(), {}, groups); });
  };
  EXPECT_EQ(sentence({2, 5, 1}, {.kernel = {3, 3}}, w),
            "fewbit: conv2d: kernel.height is 3, expected at most 2, because the image with its "
            "padding has 2 pixels and the dilation is 1");
  EXPECT_EQ(sentence({5, 5, 1}, {.kernel = {3, 3}, .stride = {0, 1}}, w),
            "fewbit: conv2d: stride.height is 0, expected 1 to 2147483647");
  EXPECT_EQ(sentence({5, 5, 1}, {.kernel = {3, 3}, .padding = {0, 0, -1, 0}}, w),
            "fewbit: conv2d: padding.left is -1, expected 0 to 2147483647");
  EXPECT_EQ(sentence({5, 5, 3}, {.kernel = {3, 3}}, w, 2),
            "fewbit: conv2d: groups is 2, expected a divisor of the number of channels of the "
            "image, 3");
  EXPECT_EQ(sentence({5, 5, 2}, {.kernel = {3, 3}}, w),
            "fewbit: conv2d: number of columns of weights is 9, expected 18: kernel height * "
            "kernel width * channels of a group");
  EXPECT_EQ(sentence({5, 5, 3}, {.kernel = {3, 3}}, w, 3),
            "fewbit: conv2d: number of rows of weights is 4, expected a multiple of the number of "
            "groups, 3");
  EXPECT_EQ(sentence({0, 5, 1}, {.kernel = {3, 3}}, w),
            "fewbit: conv2d: image.height is 0, expected 1 to 2147483647");
}

TEST(conv2d_errors_test, names_factors_and_sums_that_cannot_be) {
  using S = int8_per_row;
  using layer_type = conv2d<S, integer_only<std::int8_t>>;
  const quantized_matrix<S> w(row_matrix<std::int8_t>::Constant(2, 9, 100),
                              std::vector<float>{1, 1});
  const auto make = [&](const quant_params& in, const integer_options& options,
                        const std::vector<std::int32_t>& bias = {}) {
    return sentence_of([&] { layer_type(w, {3, 3, 1}, {.kernel = {3, 3}}, bias, in, options); });
  };
  EXPECT_EQ(make({0x1p40F, 0}, {{0x1p-20F, 0}}),
            "fewbit: conv2d: factor of channel[0] is 1.1529215e+18, expected 0, or at least 2^-32 "
            "and less than 2^30: scale of inputs * scale of weights / scale of outputs");
  EXPECT_EQ(make({0x1p-20F, 0}, {{0x1p13F, 0}}),
            "fewbit: conv2d: factor of channel[0] is 1.16415322e-10, expected 0, or at least 2^-32 "
            "and less than 2^30: scale of inputs * scale of weights / scale of outputs");
  EXPECT_EQ(make({0x1p-20F, 0}, {{0x1p12F, 0}}), "no error");
  EXPECT_EQ(make({1.0F, 0}, {{1.0F, 300}}),
            "fewbit: conv2d: output_params.zero_point is 300, expected -128 to 127");
  EXPECT_EQ(make({1.0F, 0}, {{1.0F, 0}, {5, 4}}),
            "fewbit: conv2d: bounds.lowest is 5, expected at most bounds.highest, 4, and both "
            "around codes -128 to 127");
  EXPECT_EQ(make({1.0F, 0}, {{1.0F, 0}}, {0, 2147483647}),
            "fewbit: conv2d: largest sum of channel[1] is 2147598847, expected at most 2147483647, "
            "the largest int32");
  EXPECT_EQ(make({1.0F, 0}, {{1.0F, 0}}, {0}), "fewbit: conv2d: length of bias is 1, expected 2");
}

TEST(conv2d_errors_test, names_scales_that_leave_the_floats) {
  using S = int8_per_row;
  const auto sentence = [](float weight_scale, const quant_params& in, float bias = 0.0F,
                           std::int8_t code = 100) {
    row_matrix<std::int8_t> codes = row_matrix<std::int8_t>::Constant(2, 9, 1);
    codes.row(1).setConstant(code);
    const quantized_matrix<S> w(codes, std::vector<float>{1e-3F, weight_scale});
    const Eigen::VectorXf biases = Eigen::Vector2f(0.0F, bias);
    return sentence_of([&] {
      conv2d<S, static_int8>(w, {3, 3, 1}, {.kernel = {3, 3}}, biases, in);
    });
  };
  EXPECT_EQ(sentence(1.0F, {1.0F, 0}), "no error");
  EXPECT_EQ(sentence(0x1p100F, {0x1p28F, 0}),
            "fewbit: conv2d: scale of weights times scale of inputs, channel[1] is inf, expected a "
            "finite number of at least 2^-138");
  EXPECT_EQ(sentence(0x1p-60F, {0x1p-79F, 0}),
            "fewbit: conv2d: scale of weights times scale of inputs, channel[1] is 1.43493e-42, "
            "expected a finite number of at least 2^-138");
  EXPECT_EQ(sentence(0x1p-60F, {0x1p-120F, 0}).substr(0, 75),
            "fewbit: conv2d: scale of weights times scale of inputs, channel[1] is 0, ex");
  // The largest sum is 9 * 100 * 128 with zero point 0: 115200 * 2^111 is a float.
  EXPECT_EQ(sentence(0x1p110F, {2.0F, 0}), "no error");
  for (const std::string& refused : {sentence(0x1p111F, {2.0F, 0}), sentence(0x1p110F, {2.0F, 28}),
                                     sentence(0x1p110F, {2.0F, 0}, -3.3e38F)}) {
    EXPECT_EQ(refused.substr(0, 47), "fewbit: conv2d: largest total of channel[1] is ");
  }
  EXPECT_EQ(sentence(0x1p100F, {0x1p100F, 0}, 0.0F, 0), "no error");  // weights of 0
  const quantized_matrix<S> w(row_matrix<std::int8_t>::Constant(1, 9, 100),
                              std::vector<float>{0x1p112F});
  EXPECT_EQ(sentence_of([&] {
              conv2d<S>(w, {3, 3, 1}, {.kernel = {3, 3}});
            }).substr(0, 47),
            "fewbit: conv2d: largest total of channel[0] is ");
}

TEST(conv2d_errors_test, weights_of_zero_give_the_bias) {
  const quantized_matrix<int8_per_row> w(row_matrix<std::int8_t>::Zero(1, 9),
                                         std::vector<float>{0x1p100F});
  const conv2d<int8_per_row, static_int8> layer(w, {3, 3, 1}, {.kernel = {3, 3}},
                                                Eigen::VectorXf::Constant(1, 7.0F),
                                                quant_params{0x1p100F, 5});
  row_matrix<float> x = row_matrix<float>::Ones(1, 9), y(1, 1);
  layer(x, y);
  EXPECT_EQ(y(0, 0), 7.0F);
}

TEST(ohwi_from_oihw_test, moves_channels_last) {
  row_matrix<float> w(1, 8);
  w << 1, 2, 3, 4, 5, 6, 7, 8;  // two channels of 2 x 2
  row_matrix<float> expected(1, 8);
  expected << 1, 5, 2, 6, 3, 7, 4, 8;
  EXPECT_EQ(ohwi_from_oihw(w, {2, 2}), expected);
  EXPECT_EQ(sentence_of([&] {
              static_cast<void>(ohwi_from_oihw(w, {3, 1}));
            }),
            "fewbit: ohwi_from_oihw: number of columns of w is 8, expected a multiple of kernel "
            "height * kernel width, 3");
}
#endif

}}  // namespace fewbit::ops_conv2d_test
