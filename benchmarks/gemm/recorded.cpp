// Products of real networks with real activations: records them, and registers the rows of this
// library.

#include <benchmark/benchmark.h>

#include <map>
#include <string>
#include <vector>

#include "fewbit/arch/all.hpp"
#include "support/fewbit.hpp"
#include "support/recorded_rows.hpp"

#if __has_include(<nlohmann/json.hpp>)

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "graph_input.hpp"
#include "graph_runner.hpp"
#include "npy.hpp"
#include "resnet.hpp"

namespace fewbit::benchmarks {

namespace recording {

row_matrix<std::uint8_t> codes_of(const row_matrix<float>& x, const range& r) {
  row_matrix<std::uint8_t> codes(x.rows(), x.cols());
  quantize_with<onnx, std::uint8_t>(x, codes, choose_params<uint8_affine>(r));
  return codes;
}

namespace {

// ---- ResNet for CIFAR-10

index side_of(const row_matrix<float>& pixels, index images) {
  return static_cast<index>(std::lround(std::sqrt(static_cast<double>(pixels.rows() / images))));
}

/// Ranges come from 64 images, activations from two others.
std::vector<recorded_product> resnet(const std::string& folder, const char* file, index blocks) {
  constexpr index images = 2, calibrated = 64;
  const auto layers = examples::load_weights(folder + "/resnet/" + file, blocks);
  const examples::image_set calibration{examples::read_npy(folder + "/cifar10/calib_images.npy")};
  const examples::image_set test{examples::read_npy(folder + "/cifar10/test_images.npy")};
  auto network = examples::in_float(layers);
  std::vector<range> ranges(layers.size());
  for (index first = 0; first < calibrated; first += examples::images_at_a_time) {
    network(calibration.normalized(first, examples::images_at_a_time),
            [&](std::size_t i, const row_matrix<float>& x) {
              ranges[i] = hull(ranges[i], {x.minCoeff(), x.maxCoeff()});
            });
  }
  std::vector<recorded_product> products;
  network(test.normalized(0, images), [&](std::size_t i, const row_matrix<float>& x) {
    const row_matrix<float>& w = layers[i].weights;
    row_matrix<float> inputs = x;
    if (w.cols() != x.cols()) {  // a convolution, of stride 2 where a block has more channels
      const index stride = i > 0 && w.rows() != x.cols() ? 2 : 1;
      examples::extract_patches(examples::feature_maps<float>{images, side_of(x, images), x},
                                stride, inputs);
    }
    products.push_back({codes_of(inputs, ranges[i]), quantize<int8_per_row>(w).codes()});
  });
  return products;
}

// ---- int8 graphs

/// The patches of one image (NHWC), row (y, x), columns (dy, dx, channel).
row_matrix<std::uint8_t> patches_of(std::span<const std::int8_t> x, const image_extents& in,
                                    const window2d& w, const image_extents& out, int zero) {
  row_matrix<std::uint8_t> patches(out.height * out.width,
                                   w.kernel.height * w.kernel.width * in.channels);
  std::uint8_t* to = patches.data();
  for (index at = 0; at < patches.rows() * w.kernel.height * w.kernel.width; ++at) {
    const index pixel = at / (w.kernel.height * w.kernel.width);
    const index tap = at % (w.kernel.height * w.kernel.width);
    const index y = pixel / out.width * w.stride.height + tap / w.kernel.width - w.padding.top;
    const index col = pixel % out.width * w.stride.width + tap % w.kernel.width - w.padding.left;
    const bool is_inside = y >= 0 && y < in.height && col >= 0 && col < in.width;
    for (index c = 0; c < in.channels; ++c) {
      const int code =
          is_inside ? x[static_cast<std::size_t>((y * in.width + col) * in.channels + c)] : zero;
      *to++ = static_cast<std::uint8_t>(code + 128);
    }
  }
  return patches;
}

std::vector<recorded_product> graph_of(const std::string& path, const std::string& inputs,
                                       index count) {
  const examples::graph g = examples::read_graph(path);
  examples::graph_runner runner(g, {.folds_padding = false});
  const auto images = examples::read_npy(inputs);
  std::vector<recorded_product> products;
  for (index image = 0; image < count; ++image) {
    const auto codes = examples::codes_of(images, image, runner.input());
    std::map<index, std::vector<std::int8_t>> seen{{g.inputs[0], codes}};
    runner.run(codes, [&](index op, std::span<const std::int8_t> y, double) {
      seen[g.ops[static_cast<std::size_t>(op)].outputs[0]].assign(y.begin(), y.end());
    });
    for (const examples::graph_op& op : g.ops) {
      if (op.kind == "RESHAPE") seen[op.outputs[0]] = seen[op.inputs[0]];
      if (op.kind != "CONV_2D" && op.kind != "FULLY_CONNECTED") continue;
      layer_scratch none;
      const examples::graph_detail::source s{g, op, none};
      const auto& x = g.at(op.inputs[0]);
      const auto& weights = *g.at(op.inputs[1]).constant;
      window2d w{.kernel = {1, 1}};
      if (op.kind == "CONV_2D") w = s.window({weights.shape[1], weights.shape[2]}, {});
      products.push_back({patches_of(seen[op.inputs[0]], x.image(), w, g.at(op.outputs[0]).image(),
                                     x.params.zero_point),
                          weights.matrix<std::int8_t>()});
    }
  }
  return products;
}

std::vector<recorded_product> record(const std::string& network) {
  const std::string data = FEWBIT_DATA_DIR;
  if (network == "resnet20") return resnet(data, "resnet20_cifar10_folded.safetensors", 3);
  if (network == "resnet32") return resnet(data, "resnet32_cifar10_folded.safetensors", 5);
  if (network == "mobilenetv2") {
    const std::string folder = data + "/mobilenetv2_int8";
    return graph_of(folder + "/mobilenetv2_int8.graph.json", folder + "/images.npy", 1);
  }
  if (network == "kws") {
    const std::string folder = data + "/mlperf_tiny";
    return graph_of(folder + "/kws_dscnn_int8.graph.json", folder + "/kws01_features_i8.npy", 16);
  }
  return llama(data + "/stories260k");
}

}  // namespace
}  // namespace recording

const std::vector<recorded_product>& recorded_products(const std::string& network) {
  static std::map<std::string, std::vector<recorded_product>> made;
  const auto [at, is_new] = made.try_emplace(network);
  if (is_new) at->second = recording::record(network);
  return at->second;
}

}  // namespace fewbit::benchmarks

#else

const std::vector<fewbit::benchmarks::recorded_product>& fewbit::benchmarks::recorded_products(
    const std::string&) {
  static const std::vector<recorded_product> none;
  return none;
}

#endif

namespace fewbit::benchmarks { namespace {

[[maybe_unused]] const bool added = [] {
  add_recorded_rows<fewbit_product<recorded_case, arch::native>>(std::string("fewbit_") +
                                                                 arch::native::name);
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
