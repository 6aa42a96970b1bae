#pragma once
/// Layers of convolutional networks, their operands, and the rows of an implementation.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "fewbit/core/types.hpp"
#include "fewbit/ops/window2d.hpp"
#include "support/counters.hpp"

namespace fewbit::benchmarks {

/// A convolution, or a depthwise convolution where channels is that of the image.
struct conv_layer {
  const char* name;
  image_extents image;
  index channels;
  window2d window;
};

/// Layers of ResNet and MobileNet. add_conv_rows sets the padding.
inline const std::vector<conv_layer>& conv_layers() {
  static const std::vector<conv_layer> layers{
      {"3x3_56x56x64", {56, 56, 64}, 64, {.kernel = {3, 3}}},
      {"3x3_28x28x128", {28, 28, 128}, 128, {.kernel = {3, 3}}},
      {"3x3_14x14x256", {14, 14, 256}, 256, {.kernel = {3, 3}}},
      {"3x3_7x7x512", {7, 7, 512}, 512, {.kernel = {3, 3}}},
      {"3x3s2_56x56x128", {56, 56, 128}, 128, {.kernel = {3, 3}, .stride = {2, 2}}},
      {"3x3s2_28x28x256", {28, 28, 256}, 256, {.kernel = {3, 3}, .stride = {2, 2}}},
      {"7x7s2_224x224x3_64", {224, 224, 3}, 64, {.kernel = {7, 7}, .stride = {2, 2}}},
      {"3x3s2_224x224x3_32", {224, 224, 3}, 32, {.kernel = {3, 3}, .stride = {2, 2}}},
      {"1x1_56x56x64_256", {56, 56, 64}, 256, {.kernel = {1, 1}}},
      {"1x1_28x28x192_32", {28, 28, 192}, 32, {.kernel = {1, 1}}},
      {"1x1_14x14x96_576", {14, 14, 96}, 576, {.kernel = {1, 1}}},
      {"1x1_7x7x960_160", {7, 7, 960}, 160, {.kernel = {1, 1}}},
  };
  return layers;
}

/// Layers of MobileNetV2 and EfficientNet. add_conv_rows sets the padding.
inline const std::vector<conv_layer>& depthwise_layers() {
  static const std::vector<conv_layer> layers{
      {"3x3_112x112x32", {112, 112, 32}, 32, {.kernel = {3, 3}}},
      {"3x3s2_112x112x96", {112, 112, 96}, 96, {.kernel = {3, 3}, .stride = {2, 2}}},
      {"3x3_56x56x144", {56, 56, 144}, 144, {.kernel = {3, 3}}},
      {"3x3_28x28x192", {28, 28, 192}, 192, {.kernel = {3, 3}}},
      {"3x3s2_28x28x192", {28, 28, 192}, 192, {.kernel = {3, 3}, .stride = {2, 2}}},
      {"3x3_14x14x576", {14, 14, 576}, 576, {.kernel = {3, 3}}},
      {"3x3_7x7x960", {7, 7, 960}, 960, {.kernel = {3, 3}}},
      {"5x5_14x14x240", {14, 14, 240}, 240, {.kernel = {5, 5}}},
  };
  return layers;
}

/// One image and the weights of a layer, each channel with a factor of its own. All codes occur.
template <class Code>
struct conv_operands {
  static constexpr std::int32_t input_zero = std::numeric_limits<Code>::min() + 120;
  static constexpr std::int32_t output_zero = std::numeric_limits<Code>::min() + 125;

  conv_layer layer;
  bool is_depthwise;
  index out_height;
  index out_width;
  row_matrix<Code> x;
  row_matrix<std::int8_t> w;  // [out][kernel row][kernel column][channel]
  std::vector<std::int32_t> bias;
  std::vector<float> factors;
  row_matrix<Code> y;

  conv_operands(const conv_layer& l, bool depthwise) : layer(l), is_depthwise(depthwise) {
    const extent2d out = placed_window("conv_operands", l.image, l.window).output();
    out_height = out.height;
    out_width = out.width;
    std::mt19937 random(7);
    x.resize(1, l.image.size());
    w.resize(l.channels, depth());
    y.resize(1, out_height * out_width * l.channels);
    for (index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<Code>(random() >> 7);
    for (index i = 0; i < w.size(); ++i)
      w.data()[i] = static_cast<std::int8_t>(static_cast<int>((random() >> 7) % 255) - 127);
    for (index c = 0; c < l.channels; ++c) {
      bias.push_back(static_cast<std::int32_t>(random() % 2000) - 1000);
      factors.push_back(static_cast<float>(1 + c % 7) * 0.0006F);
    }
  }

  [[nodiscard]] index depth() const {
    return layer.window.taps() * (is_depthwise ? 1 : layer.image.channels);
  }
  /// Operations of a call: two for each product.
  [[nodiscard]] double operations() const {
    return 2.0 * static_cast<double>(y.size()) * static_cast<double>(depth());
  }

  /// Whether some outputs are those of sums in int64, each channel at all corners and in the
  /// middle.
  [[nodiscard]] bool is_exact() const {
    for (const index oy : {index{0}, out_height / 2, out_height - 1}) {
      for (const index ox : {index{0}, out_width / 2, out_width - 1}) {
        for (index c = 0; c < layer.channels; ++c) {
          if (y(0, (oy * out_width + ox) * layer.channels + c) != expected(oy, ox, c)) return false;
        }
      }
    }
    return true;
  }

 private:
  [[nodiscard]] Code expected(index oy, index ox, index c) const {
    std::int64_t sum = bias[static_cast<std::size_t>(c)];
    const window2d& window = layer.window;
    const image_extents& image = layer.image;
    const index channels = is_depthwise ? 1 : image.channels;
    for (index ky = 0; ky < window.kernel.height; ++ky) {
      for (index kx = 0; kx < window.kernel.width; ++kx) {
        const index iy = oy * window.stride.height + ky - window.padding.top;
        const index ix = ox * window.stride.width + kx - window.padding.left;
        if (iy < 0 || iy >= image.height || ix < 0 || ix >= image.width) continue;
        for (index i = 0; i < channels; ++i) {
          const index at = (iy * image.width + ix) * image.channels + (is_depthwise ? c : i);
          sum += (std::int64_t{x(0, at)} - input_zero) *
                 w(c, (ky * window.kernel.width + kx) * channels + i);
        }
      }
    }
    const float scaled = static_cast<float>(sum) * factors[static_cast<std::size_t>(c)];
    using limits = std::numeric_limits<Code>;
    const float code = std::nearbyint(scaled) + static_cast<float>(output_zero);
    return static_cast<Code>(std::clamp(code, float{limits::min()}, float{limits::max()}));
  }
};

/// Registers <kind>/<layer>/<implementation> for all layers. Layer is made from conv_operands and
/// called without arguments.
template <class Layer>
void add_conv_rows(const std::string& kind, const std::string& implementation) {
  const bool depthwise = kind == "depthwise";
  for (conv_layer layer : depthwise ? depthwise_layers() : conv_layers()) {
    layer.window.padding = same_padding(layer.image, layer.window);
    const std::string name = kind + "/" + layer.name + "/" + implementation;
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      typename Layer::operands data(layer, depthwise);
      Layer run(data);
      run();
      if constexpr (!requires { Layer::has_other_inputs; }) {
        state.counters["exact"] = data.is_exact() ? 1 : 0;
      }
      for (auto _ : state) {
        run();
        benchmark::ClobberMemory();
      }
      state.counters["GOPS"] = per_second(data.operations() * 1e-9);
    });
  }
}

}  // namespace fewbit::benchmarks
