#include "fewbit/ops/transpose_conv2d.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "support/archs.hpp"
#include "support/plain_conv.hpp"
#include "support/reverse_executor.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_transpose_conv2d_test {

using scheme8 = scheme<int8, per_row, symmetric_full>;
using tests::random_codes_of;
#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;
#endif

template <class Arch>
class transpose_conv_test : public testing::Test {};
TYPED_TEST_SUITE(transpose_conv_test, tests::archs, tests::arch_names);

quantized_matrix<scheme8> random_weights(index outputs, index depth) {
  const auto codes =
      random_codes_of<std::int8_t>(static_cast<std::size_t>(outputs * depth), 3, -128, 127);
  return {Eigen::Map<const row_matrix<std::int8_t>>(codes.data(), outputs, depth),
          std::vector<float>(static_cast<std::size_t>(outputs), 1.0F)};
}

constexpr int shift = 11;

/// Every output code against sums that each pixel is scattered to.
template <class Code, class Arch>
void expect_codes(const image_extents& image, index channels, const window2d& window,
                  const extent2d& out, index images, int x_zero) {
  SCOPED_TRACE(testing::Message() << image.height << " x " << image.width << " x " << image.channels
                                  << " -> " << out.height << " x " << out.width << ", kernel "
                                  << window.kernel.height << " x " << window.kernel.width
                                  << ", stride " << window.stride.height);
  using limits = std::numeric_limits<Code>;
  const auto w = random_weights(channels, window.taps() * image.channels);
  std::vector<std::int32_t> bias;
  for (index c = 0; c < channels; ++c) bias.push_back(static_cast<std::int32_t>(c * 997 - 5000));
  const std::vector<fixed_multiplier> multipliers(static_cast<std::size_t>(channels),
                                                  fixed_multiplier{1 << 30, 1 - shift});
  const int y_zero = limits::min() + 100;
  const transpose_conv2d<scheme8, integer_only<Code, Code, tflite_single>, Arch> layer(
      w, image, window, out, bias, multipliers, x_zero, {{1.0F, y_zero}, {}});
  const auto codes = random_codes_of<Code>(static_cast<std::size_t>(images * image.size()), 5,
                                           limits::min(), limits::max());
  const Eigen::Map<const row_matrix<Code>> x(codes.data(), images, image.size());
  row_matrix<Code> expected(images, layer.outputs());
  for (index m = 0; m < images; ++m) {
    std::vector<std::int64_t> sums(static_cast<std::size_t>(layer.outputs()), 0);
    for (index p = 0; p < image.pixels(); ++p) {
      for (index ky = 0; ky < window.kernel.height; ++ky) {
        for (index kx = 0; kx < window.kernel.width; ++kx) {
          const index oy = p / image.width * window.stride.height + ky - window.padding.top;
          const index ox = p % image.width * window.stride.width + kx - window.padding.left;
          if (oy < 0 || oy >= out.height || ox < 0 || ox >= out.width) continue;
          for (index c = 0; c < channels; ++c) {
            for (index i = 0; i < image.channels; ++i) {
              const index k = (ky * window.kernel.width + kx) * image.channels + i;
              sums[static_cast<std::size_t>((oy * out.width + ox) * channels + c)] +=
                  (std::int64_t{x(m, p * image.channels + i)} - x_zero) * w.code(c, k);
            }
          }
        }
      }
    }
    for (index o = 0; o < layer.outputs(); ++o) {
      const std::int64_t sum =
          sums[static_cast<std::size_t>(o)] + bias[static_cast<std::size_t>(o % channels)];
      const std::int64_t code = ((sum + (1 << (shift - 1))) >> shift) + y_zero;
      expected(m, o) =
          static_cast<Code>(std::clamp<std::int64_t>(code, limits::min(), limits::max()));
    }
  }
  row_matrix<Code> y = row_matrix<Code>::Constant(images, layer.outputs(), 1);
  layer(x, y);
  EXPECT_EQ(y, expected);
  row_matrix<Code> in_parts = row_matrix<Code>::Constant(images, layer.outputs(), 2);
  layer_scratch scratch = layer.make_scratch(3);
  layer(x, in_parts, scratch, tests::reverse_executor{});
  EXPECT_EQ(in_parts, expected);
}

TYPED_TEST(transpose_conv_test, agrees_with_plain_loops) {
  const auto whole = [](const image_extents& image, index channels, const window2d& window,
                        index images = 1) {
    const extent2d out = transposed_extents(image, window);
    expect_codes<std::int8_t, TypeParam>(image, channels, window, out, images, -9);
    expect_codes<std::uint8_t, TypeParam>(image, channels, window, out, images, 140);
  };
  whole({1, 1, 1}, 1, {});
  whole({4, 5, 17}, 3, {.kernel = {3, 3}}, 2);
  whole({5, 4, 3}, 16, {.kernel = {4, 4}, .stride = {2, 2}, .padding = {1, 1, 1, 1}});
  whole({3, 3, 64}, 40, {.kernel = {2, 2}, .stride = {2, 2}});
  whole({3, 2, 8}, 5, {.kernel = {2, 1}, .stride = {4, 3}});  // outputs without a tap
  whole({2, 2, 4}, 6, {.kernel = {5, 7}, .stride = {1, 3}, .padding = {2, 1, 3, 0}});
  whole({2, 3, 4}, 6, {.kernel = {3, 3}}, 0);
  whole({2, 2, 600}, 2, {.kernel = {2, 2}});  // deep
  // Extents of TFLite's SAME padding: rows and columns that no window covers.
  expect_codes<std::int8_t, TypeParam>({3, 3, 2}, 4, {.kernel = {2, 2}, .stride = {3, 3}}, {9, 9},
                                       1, 127);
  expect_codes<std::uint8_t, TypeParam>({3, 3, 2}, 4, {.kernel = {5, 5}, .stride = {2, 2}}, {1, 3},
                                        1, 0);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(transpose_conv2d, names_what_is_wrong) {
  using layer = transpose_conv2d<scheme8, integer_only<std::int8_t>>;
  const auto weights = random_weights(2, 12);
  const auto sentence = [&](const window2d& window, const extent2d& out = {4, 4},
                            const std::vector<std::int32_t>& bias = {}, int zero = 0) {
    return sentence_of([&] {
      return layer(weights, {3, 3, 3}, window, out, bias, quant_params{1.0F, zero},
                   {{100.0F, 0}, {}});
    });
  };
  EXPECT_EQ(sentence({.kernel = {2, 2}}), "no error");
  EXPECT_EQ(sentence({.kernel = {2, 3}}),
            "fewbit: transpose_conv2d: number of columns of weights is 12, expected 18: kernel "
            "height * kernel width * channels");
  EXPECT_EQ(sentence({.kernel = {2, 2}, .stride = {0, 1}}),
            "fewbit: transpose_conv2d: stride.height is 0, expected 1 to 2147483647");
  EXPECT_EQ(sentence({.kernel = {2, 2}, .dilation = {1, 2}}),
            "fewbit: transpose_conv2d: dilation.width is 2, expected 1");
  EXPECT_EQ(sentence({.kernel = {2, 2}}, {0, 4}),
            "fewbit: transpose_conv2d: output.height is 0, expected 1 to 2147483647");
  EXPECT_EQ(sentence({.kernel = {2, 2}}, {4, 4}, {1}),
            "fewbit: transpose_conv2d: length of bias is 1, expected 2");
  EXPECT_EQ(sentence({.kernel = {2, 2}}, {4, 4}, {}, -129),
            "fewbit: transpose_conv2d: input_params.zero_point is -129, expected -128 to 127");
  EXPECT_EQ(
      sentence_of([&] {
        return layer(weights, {3, 3, 3}, {.kernel = {2, 2}}, {4, 4}, {}, quant_params{0x1p-33F, 0},
                     {{1.0F, 0}, {}});
      }),
      "fewbit: transpose_conv2d: factor of channel[0] is 1.16415322e-10, expected 0, or at "
      "least 2^-32 and less than 2^30: scale of inputs * scale of weights / scale of outputs");
  EXPECT_EQ(sentence_of([] {
              return transposed_extents({1, 1, 1}, {.kernel = {2, 2}, .padding = {1, 1, 0, 0}});
            }),
            "fewbit: transposed_extents: height of the output is 0, expected at least 1");
}
#endif

TEST(transpose_conv2d, terminates_if_shapes_do_not_fit) {
  const transpose_conv2d<scheme8, integer_only<std::int8_t>> layer(
      random_weights(2, 12), {3, 3, 3}, {.kernel = {2, 2}}, {4, 4}, {}, quant_params{1.0F, 0},
      {{1.0F, 0}, {}});
  row_matrix<std::int8_t> x(1, 27), y(1, 31), z(1, 32);
  EXPECT_DEATH(layer(x, y), "transpose_conv2d: y.cols.. is 31, expected 32");
  layer_scratch none;
  EXPECT_DEATH(layer(x, z, none), "transpose_conv2d: scratch.workers.slots.. is 0");
}

}}  // namespace fewbit::ops_transpose_conv2d_test
