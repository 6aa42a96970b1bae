#pragma once
/// Layers of every kind, to save and to load them.

#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/fewbit.hpp"
#include "fewbit/ops/conv1d.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/depthwise_conv2d.hpp"
#include "fewbit/ops/integer16.hpp"
#include "fewbit/ops/linear/integer.hpp"
#include "fewbit/ops/linear/pq.hpp"
#include "fewbit/ops/transpose_conv2d.hpp"

namespace fewbit::tests {

/// Floats of -1 to 1 that look random, the same on every machine.
inline row_matrix<float> packed_floats(index rows, index cols, unsigned seed = 1) {
  row_matrix<float> m(rows, cols);
  for (index i = 0; i < m.size(); ++i) {
    seed = seed * 1664525U + 1013904223U;
    m.data()[i] = static_cast<float>(static_cast<int>(seed >> 8 & 0xFFFF) - 32768) / 32768.0F;
  }
  return m;
}

/// Inputs of a layer: floats or codes.
template <class Layer>
auto packed_inputs(index rows, index cols) {
  using inputs = typename Layer::inputs_type;
  const row_matrix<float> x = packed_floats(rows, cols, 99);
  if constexpr (!detail::are_integer_only<inputs>) {
    return x;
  } else {
    using code = typename inputs::code;
    constexpr float most = sizeof(code) == 2 ? 20000.0F : 120.0F;
    constexpr float zero = std::is_signed_v<code> ? 0.0F : 128.0F;
    return row_matrix<code>((x * most)
                                .array()
                                .round()
                                .matrix()
                                .template cast<int>()
                                .unaryExpr([](int v) { return v + static_cast<int>(zero); })
                                .template cast<code>());
  }
}

/// The outputs of a layer, in the stack of one call.
template <class Layer>
auto packed_outputs(const Layer& layer) {
  using inputs = typename Layer::inputs_type;
  constexpr bool is_sequence = requires { layer.output_frames(index{1}); };
  index rows = 3, cols = 0, frames = 3;
  if constexpr (is_sequence) {
    rows = 11;
    cols = layer.channels();
    frames = layer.output_frames(rows);
  } else {
    cols = layer.inputs();
  }
  const auto x = packed_inputs<Layer>(rows, cols);
  if constexpr (detail::are_integer_only<inputs>) {
    row_matrix<typename inputs::out> y(frames, layer.outputs());
    layer(x, y);
    return y;
  } else {
    row_matrix<float> y(frames, layer.outputs());
    layer(x, y);
    return y;
  }
}

inline constexpr quant_params packed_in{0.02F, 3};
inline constexpr layer_options packed_options{true, {0.01F, -3}};
inline const integer_options packed_integer{{0.05F, -4}, {-100, 90}};

/// Calls f("name", layer) for linear layers of an instruction set.
template <class Arch, class F>
void for_each_packed_linear(const F& f) {
  const row_matrix<float> w = packed_floats(37, 100);
  const Eigen::VectorXf b = packed_floats(37, 1, 7);
  f("int8", linear<int8_per_row, dynamic_int8, Arch>(w, b, packed_options));
  f("uint8", linear<uint8_affine, dynamic_int8, Arch>(w, b));
  f("int4", linear<int4_per_row, dynamic_int8, Arch>(w, b));
  f("static", linear<int4_grouped<32>, static_uint8, Arch>(w, b, {0.01F, 128}));
  f("grouped", linear<int4_grouped<32>, dynamic_int8, Arch>(w, b));
  f("bits", linear<binary_per_row, binary_inputs, Arch>(w, b));
  f("two bits", linear<int2_per_row, unsigned_inputs<2>, Arch>(w, b));
  f("ttq", linear<ttq, dynamic_int8, Arch>(w, b));
  f("pq", linear<pq<4, 4>, dynamic_int8, Arch>(w, b));
  f("integer", linear<int8_per_row, integer_only<std::int8_t>, Arch>(quantize<int8_per_row>(w), b,
                                                                     packed_in, packed_integer));
  f("xnn", linear<int4_per_row, integer_only<std::uint8_t, std::int8_t, xnn_fp32>, Arch>(
               quantize<int4_per_row>(w), b, packed_in, packed_integer));
}

/// The same for further kinds, on the instruction set of the program.
template <class F>
void for_each_packed_native(const F& f) {
  using words = integer_only<std::int16_t>;
  const row_matrix<float> w = packed_floats(37, 100);
  const Eigen::VectorXf b = packed_floats(37, 1, 7);
  f("float", linear<int4_grouped<32>, float_inputs>(w, b, packed_options));
  f("float minimum", linear<uint4_grouped_minimum<32>, float_inputs>(w, b));
  f("float ternary", linear<ternary_grouped<64>, float_inputs>(w, b));
  f("groups", linear<int4_grouped<32>, dynamic_int8_groups>(w, b));
  f("zeros", linear<uint4_grouped<64>>(w, b));
  f("minimum", linear<uint4_grouped_minimum<32>>(w, b));
  f("tensor", linear<int8_per_tensor>(w, b));
  f("binary", linear<binary_per_row>(w, b));
  f("ternary", linear<ternary_per_row, ternary_inputs>(w, b));
  f("pq 8", linear<pq<4, 8>, float_inputs>(w, b));
  std::vector<float> levels(8);
  for (std::size_t i = 0; i < levels.size(); ++i) levels[i] = static_cast<float>(i) / 3.5F - 1.0F;
  const auto learned = quantize<codebook_per_row<3>>(w, levels);
  f("codebook", linear<codebook_per_row<3>>(learned, b));
  f("float codebook", linear<codebook_per_row<3>, float_inputs>(learned, b));
  f("16 bits",
    linear<int8_per_row, words>(quantize<int8_per_row>(w), std::span<const std::int64_t>(),
                                {1e-4F, 0}, {{1e-3F, 0}, {}}));
}

/// The same for layers of images and sequences.
template <class Arch, class F>
void for_each_packed_window(const F& f) {
  using bytes = integer_only<std::int8_t>;
  using words = integer_only<std::int16_t>;
  const image_extents image{9, 8, 10};
  window2d window{.kernel = {3, 3}, .stride = {2, 1}};
  window.padding = same_padding(image, window);
  const std::span<const std::int32_t> none;
  const quant_params in16{1e-4F, 0};
  const integer_options out16{{1e-3F, 0}, {}};
  const row_matrix<float> w = packed_floats(12, 45);
  const auto q = quantize<int8_per_row>(w);
  const Eigen::VectorXf b = packed_floats(12, 1, 7);
  f("conv2d", conv2d<int8_per_row, dynamic_int8, Arch>(w, image, window, b, packed_options, 2));
  f("conv2d static",
    conv2d<uint8_affine, static_int8, Arch>(w, image, window, b, packed_in, {}, 2));
  f("conv2d integer",
    conv2d<int8_per_row, bytes, Arch>(q, image, window, b, packed_in, packed_integer, 2));
  f("conv1d",
    conv1d<uint8_affine, bytes, Arch>(quantize<uint8_affine>(w), window1d{.kernel = 5, .before = 4},
                                      none, packed_in, packed_integer));
  f("conv2d 16", conv2d<int8_per_row, words, Arch>(
                     q, image, window, std::span<const std::int64_t>(), in16, out16, 2));
  const auto depthwise = depthwise_weights_of(quantize<int8_per_row>(packed_floats(20, 9)));
  f("depthwise",
    depthwise_conv2d<bytes, Arch>(depthwise, image, window, none, packed_in, packed_integer, 2));
  f("depthwise 16", depthwise_conv2d<words, Arch>(depthwise, image, window,
                                                  std::span<const std::int64_t>(), in16, out16, 2));
  const window2d wide{.kernel = {3, 3}, .stride = {2, 4}};
  f("transposed", transpose_conv2d<int8_per_row, bytes, Arch>(
                      quantize<int8_per_row>(packed_floats(6, 90)), image, wide,
                      transposed_extents(image, wide), none, packed_in, packed_integer));
  const image_extents square{16, 16, 16};
  window2d three{.kernel = {3, 3}};
  three.padding = same_padding(square, three);
  f("winograd",
    conv2d<int8_per_row, bytes, Arch>(quantize<int8_per_row>(packed_floats(24, 144)), square, three,
                                      Eigen::VectorXf(), packed_in, packed_integer));
}

}  // namespace fewbit::tests
