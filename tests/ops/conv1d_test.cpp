#include "fewbit/ops/conv1d.hpp"

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

namespace fewbit { namespace ops_conv1d_test {

using tests::random_codes_of;
#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;
#endif

template <class Arch>
class conv1d_test : public testing::Test {};
TYPED_TEST_SUITE(conv1d_test, tests::archs, tests::arch_names);

template <class S>
quantized_matrix<S> random_weights(index outputs, index depth, unsigned seed) {
  using weight = typename S::code;
  const auto codes = random_codes_of<weight>(static_cast<std::size_t>(outputs * depth), seed,
                                             S::code_min, S::code_max);
  const auto scales = static_cast<std::size_t>(S::granularity::count(outputs, depth));
  const Eigen::Map<const row_matrix<weight>> matrix(codes.data(), outputs, depth);
  if constexpr (S::is_affine) {
    const auto zeros = random_codes_of<weight>(scales, seed + 1, S::code_min, S::code_max);
    return quantized_matrix<S>(matrix, std::vector<float>(scales, 1.0F), zeros);
  } else {
    return quantized_matrix<S>(matrix, std::vector<float>(scales, 1.0F));
  }
}

constexpr int shift = 10;

/// Every output code against plain loops in int64: at once, in parts, and as a stream.
template <class S, class Code, class Arch>
void expect_codes(index time, index channels, index outputs, const window1d& window, int x_zero) {
  SCOPED_TRACE(testing::Message() << time << " frames of " << channels << " -> " << outputs
                                  << ", kernel " << window.kernel << ", stride " << window.stride
                                  << ", dilation " << window.dilation);
  using limits = std::numeric_limits<Code>;
  const auto w = random_weights<S>(outputs, window.kernel * channels, 3);
  std::vector<std::int32_t> bias;
  for (index c = 0; c < outputs; ++c) bias.push_back(static_cast<std::int32_t>(c * 997 - 5000));
  const std::vector<fixed_multiplier> multipliers(static_cast<std::size_t>(outputs),
                                                  fixed_multiplier{1 << 30, 1 - shift});
  const int y_zero = limits::min() + 100;
  const conv1d<S, integer_only<Code, Code, tflite_single>, Arch> layer(
      w, window, bias, multipliers, x_zero, {{1.0F, y_zero}, {limits::min() + 3, limits::max()}});
  const auto codes = random_codes_of<Code>(static_cast<std::size_t>(time * channels), 5,
                                           limits::min(), limits::max());
  const Eigen::Map<const row_matrix<Code>> x(codes.data(), time, channels);
  const index frames = layer.output_frames(time);
  row_matrix<Code> expected(frames, outputs);
  for (index t = 0; t < frames; ++t) {
    for (index c = 0; c < outputs; ++c) {
      std::int64_t sum = bias[static_cast<std::size_t>(c)];
      for (index j = 0; j < window.kernel; ++j) {
        const index frame = t * window.stride - window.before + j * window.dilation;
        if (frame < 0 || frame >= time) continue;
        for (index i = 0; i < channels; ++i) {
          sum += (std::int64_t{x(frame, i)} - x_zero) *
                 (w.code(c, j * channels + i) - w.zero_point(c, j * channels + i));
        }
      }
      const std::int64_t code = ((sum + (1 << (shift - 1))) >> shift) + y_zero;
      expected(t, c) =
          static_cast<Code>(std::clamp<std::int64_t>(code, limits::min() + 3, limits::max()));
    }
  }
  row_matrix<Code> y = row_matrix<Code>::Constant(frames, outputs, 1);
  layer(x, y);
  EXPECT_EQ(y, expected);
  row_matrix<Code> in_parts = row_matrix<Code>::Constant(frames, outputs, 2);
  layer_scratch scratch = layer.make_scratch(3);
  layer(x, in_parts, scratch, tests::reverse_executor{});
  EXPECT_EQ(in_parts, expected);
  if (window.before != window.reach() - 1 || window.after != 0) return;
  auto state = layer.make_state();
  for (int again = 0; again < 2; ++again) {
    row_matrix<Code> streamed = row_matrix<Code>::Constant(frames, outputs, 3);
    index done = 0;
    for (index t = 0, some = 1; t < time; t += some, some = some % 3 + 1) {
      some = std::min(some, time - t);
      const index next = layer.output_frames(state, some);
      ASSERT_LE(done + next, frames);
      layer.stream(x.middleRows(t, some), streamed.middleRows(done, next), state);
      done += next;
    }
    EXPECT_EQ(done, frames);
    EXPECT_EQ(streamed, expected);
    state.reset();
  }
}

constexpr window1d causal(index kernel, index stride, index dilation) {
  return {kernel, stride, dilation, causal_frames(kernel, dilation), 0};
}

TYPED_TEST(conv1d_test, agrees_with_plain_loops) {
  for (const index channels : {1, 3, 16, 17, 64}) {
    for (const index outputs : {1, 16, 40}) {
      expect_codes<int8_per_row, std::int8_t, TypeParam>(9, channels, outputs, causal(3, 1, 2), -5);
    }
  }
  expect_codes<int8_per_row, std::uint8_t, TypeParam>(20, 17, 65, causal(5, 2, 3), 130);
  expect_codes<int8_per_row, std::uint8_t, TypeParam>(31, 8, 24, causal(1, 3, 1), 255);
  expect_codes<int8_per_row, std::int8_t, TypeParam>(40, 12, 24, causal(4, 3, 2), -77);
  expect_codes<int8_per_row, std::int8_t, TypeParam>(9, 4, 3, causal(2, 1, 9), 5);
  expect_codes<int8_per_row, std::int8_t, TypeParam>(12, 16, 64, {3, 1, 1, 1, 1}, -128);
  expect_codes<int8_per_row, std::int8_t, TypeParam>(2, 5, 7, {7, 2, 1, 9, 4}, 127);  // long kernel
  expect_codes<int8_per_row, std::int8_t, TypeParam>(30, 5, 7, {2, 5, 1, 0, 0}, 0);   // long stride
  expect_codes<int8_per_row, std::int8_t, TypeParam>(0, 5, 7, causal(3, 1, 1), 0);
  expect_codes<int8_per_row, std::int8_t, TypeParam>(3, 700, 1100, causal(2, 1, 1), 7);  // deep
}

TYPED_TEST(conv1d_test, takes_few_bits_and_zero_points) {
  expect_codes<int4_per_row, std::int8_t, TypeParam>(11, 17, 20, causal(3, 1, 2), -5);
  expect_codes<uint8_affine, std::int8_t, TypeParam>(11, 17, 20, causal(3, 2, 1), 9);
  expect_codes<uint8_affine, std::uint8_t, TypeParam>(11, 16, 33, {3, 1, 1, 1, 1}, 200);
}

TEST(conv1d, has_the_same_codes_from_scales) {
  const auto w = random_weights<int8_per_row>(3, 8, 1);
  const conv1d<int8_per_row, integer_only<std::int8_t, std::int8_t, q7_pot>> of_scales(
      w, causal(2, 1, 1), {}, quant_params{0.5F, 4}, {{256.0F, 1}, {}});
  const conv1d<int8_per_row, integer_only<std::int8_t, std::int8_t, tflite_single>> other(
      w, causal(2, 1, 1), {}, std::vector<fixed_multiplier>(3, fixed_multiplier{1 << 30, -8}), 4,
      {{1.0F, 1}, {}});
  const auto codes = random_codes_of<std::int8_t>(20, 2, -128, 127);
  const Eigen::Map<const row_matrix<std::int8_t>> x(codes.data(), 5, 4);
  row_matrix<std::int8_t> y(5, 3), z(5, 3);
  of_scales(x, y);
  other(x, z);
  EXPECT_EQ(y, z);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(conv1d, names_what_is_wrong) {
  using layer = conv1d<int8_per_row, integer_only<std::int8_t>>;
  const auto weights = random_weights<int8_per_row>(2, 6, 1);
  const std::vector<fixed_multiplier> two(2, fixed_multiplier{1 << 30, -3});
  const auto sentence = [&](const window1d& window, const std::vector<std::int32_t>& bias = {},
                            int zero = 0) {
    return sentence_of([&] { return layer(weights, window, bias, two, zero, {{1.0F, 0}, {}}); });
  };
  EXPECT_EQ(sentence({3, 1, 1, 2, 0}), "no error");
  EXPECT_EQ(sentence({0, 1, 1, 0, 0}),
            "fewbit: conv1d: window.kernel is 0, expected 1 to 2147483647");
  EXPECT_EQ(sentence({3, 0, 1, 0, 0}),
            "fewbit: conv1d: window.stride is 0, expected 1 to 2147483647");
  EXPECT_EQ(sentence({3, 1, 0, 0, 0}),
            "fewbit: conv1d: window.dilation is 0, expected 1 to 2147483647");
  EXPECT_EQ(sentence({3, 1, 1, -1, 0}),
            "fewbit: conv1d: window.before is -1, expected 0 to 2147483647");
  EXPECT_EQ(sentence({4, 1, 1, 0, 0}),
            "fewbit: conv1d: number of columns of weights is 6, expected a multiple of the kernel, "
            "4");
  EXPECT_EQ(sentence({3, 1, 1, 2, 0}, {1}), "fewbit: conv1d: length of bias is 1, expected 2");
  EXPECT_EQ(sentence({3, 1, 1, 2, 0}, {}, 128),
            "fewbit: conv1d: input_params.zero_point is 128, expected -128 to 127");
  EXPECT_EQ(sentence_of([&] {
              return layer(weights, {3, 1, 1, 2, 0}, {}, std::vector<fixed_multiplier>(3), 0,
                           {{1.0F, 0}, {}});
            }),
            "fewbit: conv1d: number of factors is 3, expected 2");
  EXPECT_EQ(
      sentence_of([&] {
        return layer(weights, {3, 1, 1, 2, 0}, {}, quant_params{0x1p-33F, 0}, {{1.0F, 0}, {}});
      }),
      "fewbit: conv1d: factor of channel[0] is 1.16415322e-10, expected 0, or at least 2^-32 "
      "and less than 2^30: scale of inputs * scale of weights / scale of outputs");
  using xnnpack = conv1d<int8_per_row, integer_only<std::int8_t, std::int8_t, xnn_fp32>>;
  EXPECT_EQ(
      sentence_of([&] {
        return xnnpack(weights, {3, 1, 1, 2, 0}, {}, quant_params{256.0F, 0}, {{1.0F, 0}, {}});
      }),
      "fewbit: conv1d: factor of channel[0] is 256, expected at least 2^-32 and less than "
      "2^8: scale of inputs * scale of weights / scale of outputs");
}
#endif

TEST(conv1d, terminates_if_shapes_do_not_fit) {
  const conv1d<int8_per_row, integer_only<std::int8_t>> layer(
      random_weights<int8_per_row>(2, 6, 1), causal(3, 1, 1), {}, quant_params{1.0F, 0},
      {{1.0F, 0}, {}});
  row_matrix<std::int8_t> x(4, 2), y(3, 2), z(4, 2);
  EXPECT_DEATH(layer(x, y), "conv1d: y.rows.. is 3, expected 4");
  layer_scratch none;
  EXPECT_DEATH(layer(x, z, none), "conv1d: scratch.workers.slots.. is 0");
  const auto state_of = [](const window1d& window, index channels, index code_bytes,
                           index scratch_bytes) {
    return conv1d_state<std::int8_t>(window, channels, code_bytes, 0, scratch_bytes);
  };
  auto state = layer.make_state();
  const index bytes = state.code_bytes(), room = state.scratch_bytes();
  state = state_of(causal(2, 1, 1), 2, bytes, room);
  EXPECT_DEATH(layer.stream(x, z, state), "conv1d: state.frames.. is 1, expected 2");
  state = state_of(causal(2, 1, 2), 2, bytes, room);
  EXPECT_DEATH(layer.stream(x, z, state), "conv1d: state.dilation.. is 2, expected 1");
  state = state_of(causal(3, 1, 1), 3, bytes, room);
  EXPECT_DEATH(layer.stream(x, z, state), "conv1d: state.channels.. is 3, expected 2");
  state = state_of(causal(3, 1, 1), 2, 3 - bytes, room);
  EXPECT_DEATH(layer.stream(x, z, state), "conv1d: state.code_bytes.. is");
  state = state_of(causal(3, 1, 1), 2, bytes, room + 64);
  EXPECT_DEATH(layer.stream(x, z, state), "conv1d: state.scratch_bytes.. is");
}

}}  // namespace fewbit::ops_conv1d_test
