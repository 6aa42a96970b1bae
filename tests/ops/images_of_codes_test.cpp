// Operators that move pixels: pad2d, concatenate_channels, mean2d, resize_nearest, resize_bilinear.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

#include "fewbit/ops/concatenate.hpp"
#include "fewbit/ops/mean2d.hpp"
#include "fewbit/ops/pad.hpp"
#include "fewbit/ops/resize.hpp"
#include "support/code_ops.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_images_of_codes_test {

using tests::plain_clamp;
using tests::random_codes;

template <class T>
class ops_images : public testing::Test {};
using codes = testing::Types<std::int8_t, std::uint8_t, std::int16_t>;
TYPED_TEST_SUITE(ops_images, codes);

TYPED_TEST(ops_images, are_padded) {
  using T = TypeParam;
  const image_extents image{3, 5, 7};
  for (const padding_of_channels channels : {padding_of_channels{}, padding_of_channels{2, 3}}) {
    const padding2d p{1, 2, 3, 4};
    const pad2d<T> op(image, p, 42, channels);
    const image_extents out = op.output();
    EXPECT_EQ(out, (image_extents{6, 12, 7 + channels.before + channels.after}));
    const row_matrix<T> x = random_codes<T>(2, image.size(), 1);
    row_matrix<T> y(2, out.size()), again(2, out.size());
    op(x, y);
    op(x, again, tests::reverse_executor{});
    EXPECT_EQ(y, again);
    for (index n = 0; n < 2; ++n) {
      for (index i = 0; i < out.size(); ++i) {
        const index c = i % out.channels - channels.before, pixel = i / out.channels;
        const index col = pixel % out.width - p.left, row = pixel / out.width - p.top;
        const bool inside = c >= 0 && c < 7 && col >= 0 && col < 5 && row >= 0 && row < 3;
        ASSERT_EQ(y(n, i), inside ? x(n, (row * 5 + col) * 7 + c) : T{42}) << i;
      }
    }
  }
}

TYPED_TEST(ops_images, are_joined_along_channels) {
  using T = TypeParam;
  const int zero = sizeof(T) == 2 ? 0 : 10;
  const quant_params out{0.05F, zero}, other{0.08F, zero * 2};
  const concatenate_channels<T> op(6, {{70, out}, {3, other}, {5, out}}, out);
  EXPECT_EQ(op.channels(), 78);
  const row_matrix<T> a = random_codes<T>(2, 6 * 70, 1), b = random_codes<T>(2, 6 * 3, 2),
                      c = random_codes<T>(2, 6 * 5, 3);
  const codes_view<T> inputs[] = {view_of(a), view_of(b), view_of(c)};
  row_matrix<T> y(2, 6 * 78), again(2, 6 * 78);
  op(inputs, y);
  op(inputs, again, tests::reverse_executor{});
  EXPECT_EQ(y, again);
  const fixed_multiplier m = quantize_multiplier(double{0.08F} / double{0.05F});
  for (index n = 0; n < 2; ++n) {
    for (index p = 0; p < 6; ++p) {
      EXPECT_EQ(y.row(n).segment(p * 78, 70), a.row(n).segment(p * 70, 70));
      EXPECT_EQ(y.row(n).segment(p * 78 + 73, 5), c.row(n).segment(p * 5, 5));
      for (index j = 0; j < 3; ++j) {
        const std::int64_t code = tests::plain_multiply(b(n, p * 3 + j) - zero * 2, m) + zero;
        EXPECT_EQ(y(n, p * 78 + 70 + j), plain_clamp<T>(code));
      }
    }
  }
}

TYPED_TEST(ops_images, have_means) {
  using T = TypeParam;
  for (const image_extents image : {image_extents{7, 7, 70}, {3, 5, 17}, {13, 12, 33}, {1, 1, 3}}) {
    for (const mean_axes axes : {mean_axes{true, true}, {true, false}, {false, true}}) {
      const int zero = sizeof(T) == 2 ? 0 : 21;
      const quant_params in{0.11F, zero}, out{0.037F, zero / 2};
      const mean2d<T> op(image, in, out, axes);
      const row_matrix<T> x = random_codes<T>(2, image.size(), 1);
      row_matrix<T> y(2, op.outputs()), again(2, op.outputs());
      op(x, y);
      op(x, again, tests::reverse_executor{});
      EXPECT_EQ(y, again);
      const index height = axes.height ? image.height : 1, width = axes.width ? image.width : 1;
      const index taps = height * width;
      fixed_multiplier m = quantize_multiplier(double{in.scale} / double{out.scale});
      int shift = 0;
      while ((index{2} << shift) <= taps) ++shift;
      m.mantissa = static_cast<std::int32_t>((std::int64_t{m.mantissa} << shift) / taps);
      m.exponent -= shift;
      const index out_width = axes.width ? 1 : image.width;
      for (index n = 0; n < 2; ++n) {
        for (index i = 0; i < op.outputs(); ++i) {
          const index c = i % image.channels, pixel = i / image.channels;
          const index top = pixel / out_width, left = pixel % out_width;
          std::int32_t sum = 0;
          for (index r = 0; r < height; ++r) {
            for (index s = 0; s < width; ++s)
              sum += x(n, ((top + r) * image.width + left + s) * image.channels + c) - zero;
          }
          ASSERT_EQ(y(n, i), plain_clamp<T>(tests::plain_multiply(sum, m) + zero / 2));
        }
      }
    }
  }
}

TYPED_TEST(ops_images, are_resized) {
  using T = TypeParam;
  const std::pair<image_extents, extent2d> cases[] = {
      {{4, 5, 33}, {8, 10}}, {{7, 9, 3}, {3, 4}}, {{5, 1, 16}, {1, 7}}, {{6, 6, 2}, {17, 13}}};
  for (const auto& sizes : cases) {
    const auto& image = sizes.first;
    const auto& out = sizes.second;
    for (const resize_options o : {resize_options{}, {true, false}, {false, true}}) {
      const row_matrix<T> x = random_codes<T>(2, image.size(), 1);
      const resize_nearest<T> nearest(image, out, o);
      const resize_bilinear<T> bilinear(image, out, o);
      const index size = bilinear.output().size();
      row_matrix<T> y(2, size), z(2, size), again(2, size);
      nearest(x, y);
      bilinear(x, z);
      nearest(x, again, tests::reverse_executor{});
      EXPECT_EQ(y, again);
      bilinear(x, again, tests::reverse_executor{});
      EXPECT_EQ(z, again);
      const auto close = [&](index at, index in, index to) {
        const bool aligned = o.align_corners && to > 1;
        const double scale = aligned ? static_cast<double>(in - 1) / static_cast<double>(to - 1)
                                     : static_cast<double>(in) / static_cast<double>(to);
        const double position = static_cast<double>(static_cast<float>(
            (static_cast<double>(at) + (o.half_pixel_centers ? 0.5 : 0.0)) * scale));
        const double whole = o.align_corners ? std::floor(position + 0.5) : std::floor(position);
        return std::min(static_cast<index>(whole), in - 1);
      };
      struct tap {
        index first, second;
        std::int64_t part;
      };
      const auto around = [&](index at, index in, index to) {
        std::int64_t scale = (1024 * in + to / 2) / to;
        if (o.align_corners && to > 1) scale = (1024 * (in - 1) + (to - 1) / 2) / (to - 1);
        const std::int64_t p = at * scale + (o.half_pixel_centers ? scale / 2 - 512 : 0);
        const index first = std::max<index>(p / 1024, 0);
        return tap{first, std::min<index>((p + 1023) / 1024, in - 1), p - 1024 * first};
      };
      for (index n = 0; n < 2; ++n) {
        for (index i = 0; i < size; ++i) {
          const index c = i % image.channels, pixel = i / image.channels;
          const index row = pixel / out.width, col = pixel % out.width;
          const auto code = [&](index r, index s) {
            return std::int64_t{x(n, (r * image.width + s) * image.channels + c)};
          };
          ASSERT_EQ(y(n, i),
                    code(close(row, image.height, out.height), close(col, image.width, out.width)));
          const tap v = around(row, image.height, out.height),
                    h = around(col, image.width, out.width);
          const std::int64_t sum = code(v.first, h.first) * (1024 - v.part) * (1024 - h.part) +
                                   code(v.second, h.first) * v.part * (1024 - h.part) +
                                   code(v.first, h.second) * (1024 - v.part) * h.part +
                                   code(v.second, h.second) * v.part * h.part;
          ASSERT_EQ(z(n, i), (sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
        }
      }
    }
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(ops_images_errors, name_the_argument) {
  using tests::sentence_of;
  const quant_params p{1.0F, 0};
  EXPECT_EQ(sentence_of([] {
              return pad2d<std::int8_t>({1, 1, 1}, {-1, 0, 0, 0});
            }),
            "fewbit: pad2d: padding.top is -1, expected 0 to 2147483647");
  EXPECT_EQ(sentence_of([] {
              return pad2d<std::int8_t>({1, 1, 1}, {}, 128);
            }),
            "fewbit: pad2d: value is 128, expected -128 to 127");
  EXPECT_EQ(sentence_of([&] { return concatenate_channels<std::int8_t>(3, {}, p); }),
            "fewbit: concatenate_channels: number of inputs is 0, expected at least 1");
  EXPECT_EQ(sentence_of([&] {
              return concatenate_channels<std::int8_t>(3, {{1, p}, {0, p}}, p);
            }),
            "fewbit: concatenate_channels: inputs[1].channels is 0, expected 1 to 2147483647");
  EXPECT_EQ(sentence_of([&] {
              return mean2d<std::int8_t>({1, 1, 1}, {4096.0F, 0}, p);
            }),
            "fewbit: mean2d: x_params.scale / y_params.scale is 4096, expected less than 1024");
  EXPECT_EQ(sentence_of([&] {
              return mean2d<std::int16_t>({256, 256, 1}, p, p);
            }),
            "fewbit: mean2d: number of pixels of a mean is 65536, expected at most 32768");
  EXPECT_EQ(sentence_of([] {
              return resize_nearest<std::int8_t>({1, 1, 1}, {0, 1});
            }),
            "fewbit: resize_nearest: output.height is 0, expected 1 to 2147483647");
  EXPECT_EQ(sentence_of([] {
              return resize_bilinear<std::int8_t>({1, 1, 1}, {1, 1}, {true, true});
            }),
            "fewbit: resize_bilinear: options is align_corners and half_pixel_centers, expected at "
            "most one of them");
}
#endif

TEST(ops_images_calls, stop_on_other_shapes) {
  const row_matrix<std::int8_t> x(1, 5);
  row_matrix<std::int8_t> y(1, 2);
  EXPECT_DEATH(mean2d<std::int8_t>({2, 2, 1}, {1.0F, 0}, {1.0F, 0})(x, y),
               "fewbit: mean2d: x.cols\\(\\) is 5, expected 4");
  const codes_view<std::int8_t> inputs[] = {view_of(x)};
  const concatenate_channels<std::int8_t> join(1, {{1, {}}, {1, {}}}, {});
  EXPECT_DEATH(join(inputs, y),
               "fewbit: concatenate_channels: number of inputs in x is 1, expected 2");
}

}}  // namespace fewbit::ops_images_of_codes_test
