#pragma once
/// Trained networks as equalize/ takes them, their data, and how well they do.
///
///     const real_network net = load_resnet(data, 3);     // ResNet-20
///     const double percent = net.metric(256)(float_compute(net.layers));
///
/// The data are not part of this project. `data` is a folder with resnet/, cifar10/,
/// mobilenetv2_int8/, silero_vad/ and stories260k/. Read before: layered_network.hpp.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/equalize/batch_norm.hpp"
#include "fewbit/equalize/channels.hpp"
#include "fewbit/equalize/network.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "graph_network.hpp"
#include "layered_network.hpp"
#include "llama_files.hpp"
#include "npy.hpp"
#include "pixels.hpp"
#include "safetensors.hpp"

namespace fewbit::examples {

/// A network, calibration inputs, and its quality.
struct real_network {
  std::string name;
  layer_list layers;
  forward_function forward;
  std::vector<channel_link> links;  ///< channels that equalization may scale
  std::string unit;                 ///< of the metric: "top-1 %", "decisions %", "perplexity"
  bool larger_is_better = true;
  /// batches(count, at_a_time): `count` calibration samples.
  std::function<input_batches(index count, index at_a_time)> batches;
  /// metric(count): the quality on the first `count` test samples.
  std::function<metric_function(index count)> metric;
};

namespace real_networks_detail {

/// Some rows of 8-bit pixels as normalized floats.
inline matrix normalized_rows(const tensor& pixels, index first, index count) {
  const index size = pixels.size() / pixels.shape[0];
  const Eigen::Map<const row_matrix<std::uint8_t>> all(pixels.as<std::uint8_t>().data(),
                                                       pixels.shape[0], size);
  return normalized(all.middleRows(first, count));
}

inline input_batches batches_of(std::function<matrix(index first, index count)> rows, index count,
                                index at_a_time) {
  return {(count + at_a_time - 1) / at_a_time,
          [=](index i) { return rows(i * at_a_time, std::min(at_a_time, count - i * at_a_time)); }};
}

/// The share of rows whose largest output is at the label, in percent.
template <class Label>
metric_function top_1(forward_function forward, std::function<matrix(index, index)> rows,
                      std::vector<Label> labels, index count, index at_a_time) {
  return [=](const compute_function& compute) {
    index right = 0;
    for (index first = 0; first < count; first += at_a_time) {
      const matrix logits = forward(rows(first, std::min(at_a_time, count - first)), compute);
      for (index r = 0; r < logits.rows(); ++r) {
        index best = 0;
        logits.row(r).maxCoeff(&best);
        right += best == static_cast<index>(labels[static_cast<std::size_t>(first + r)]) ? 1 : 0;
      }
    }
    return 100.0 * static_cast<double>(right) / static_cast<double>(count);
  };
}

template <class Label>
std::vector<Label> labels_of(const std::string& path) {
  const tensor t = read_npy(path);
  const auto all = t.as<Label>();
  return {all.begin(), all.end()};
}

}  // namespace real_networks_detail

/// The residual network of He et al. 2015 (arXiv:1512.03385) without folded batch norms.
struct unfolded_resnet {
  std::vector<network_layer> layers;  ///< without activation
  std::vector<norm_of_layer> norms;
  forward_function forward;
};

/// @param blocks  of each stage: 3 for ResNet-20, 5 for ResNet-32
inline unfolded_resnet load_unfolded_resnet(const std::string& data, index blocks) {
  const std::string depth = std::to_string(6 * blocks + 2);
  const safetensors file =
      read_safetensors(data + "/resnet/resnet" + depth + "_cifar10.safetensors");
  unfolded_resnet made;
  layered_network net({32, 32, 3});
  const auto conv = [&](const std::string& name, const std::string& norm, index x, index stride,
                        layer_activation after) {
    const matrix w = ohwi_from_oihw(file[name + ".weight"].matrix<float>(), {3, 3});
    const auto vector = [&](const std::string& key) -> Eigen::VectorXf {
      return file[norm + key].matrix<float>();
    };
    made.norms.push_back({name,
                          {vector(".weight"), vector(".bias"), vector(".running_mean"),
                           vector(".running_var"), 1e-5},
                          after});
    return net.named(name).conv2d(x, w, {}, {{3, 3}, {stride, stride}, {}, {1, 1, 1, 1}},
                                  activation::none);
  };
  index x = conv("conv1", "bn1", 0, 1, layer_activation::relu);
  for (index stage = 1; stage <= 3; ++stage) {
    for (index block = 0; block < blocks; ++block) {
      const std::string prefix =
          "layer" + std::to_string(stage) + "." + std::to_string(block) + ".";
      const index stride = stage > 1 && block == 0 ? 2 : 1;
      index y = conv(prefix + "conv1", prefix + "bn1", x, stride, layer_activation::relu);
      y = conv(prefix + "conv2", prefix + "bn2", y, 1, layer_activation::none);
      const index added = net.extents(y).channels - net.extents(x).channels;
      if (stride == 2) x = net.halve(x, {added / 2, added / 2});
      x = net.add(x, y, activation::relu);
    }
  }
  net.named("linear").linear(net.mean2d(x), file["linear.weight"].matrix<float>(),
                             file["linear.bias"].matrix<float>());
  made.layers = net.layers();
  made.forward = net.forward();
  return made;
}

/// The same with folded batch norms, images and labels of CIFAR-10. Its links are the two
/// convolutions of each block.
inline real_network load_resnet(const std::string& data, index blocks) {
  namespace d = real_networks_detail;
  unfolded_resnet unfolded = load_unfolded_resnet(data, blocks);
  real_network net;
  net.name = "ResNet-" + std::to_string(6 * blocks + 2);
  net.layers = layer_list(std::move(unfolded.layers));
  fold_batch_norms(net.layers, unfolded.norms);
  net.forward = unfolded.forward;
  net.unit = "top-1 %";
  for (const network_layer& l : net.layers) {
    const std::size_t end = l.name.find(".conv1");
    if (end != std::string::npos)
      net.links.push_back({l.name, "", {l.name.substr(0, end) + ".conv2"}});
  }
  const auto calibration = std::make_shared<tensor>(read_npy(data + "/cifar10/calib_images.npy"));
  const auto test = std::make_shared<tensor>(read_npy(data + "/cifar10/test_images.npy"));
  net.batches = [calibration](index count, index at_a_time) {
    return d::batches_of(
        [calibration](index first, index n) { return d::normalized_rows(*calibration, first, n); },
        count, at_a_time);
  };
  const auto labels = d::labels_of<std::uint8_t>(data + "/cifar10/test_labels.npy");
  net.metric = [test, labels, forward = net.forward](index count) {
    return d::top_1(
        forward, [test](index first, index n) { return d::normalized_rows(*test, first, n); },
        labels, count, 50);
  };
  return net;
}

/// MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381): the dequantized weights of an int8 graph.
/// Its links are the expanding, depthwise and projecting convolutions of each block.
inline real_network load_mobilenet(const std::string& data) {
  namespace d = real_networks_detail;
  const std::string folder = data + "/mobilenetv2_int8/";
  const graph g = read_graph(folder + "mobilenetv2_int8.graph.json");
  layered_network described(input_image(g));
  describe_graph(g, described);
  real_network net;
  net.name = "MobileNetV2";
  net.layers = layer_list(described.layers());
  net.forward = described.forward();
  net.unit = "top-1 %";
  for (index i = 0; i + 2 < net.layers.size(); ++i) {
    if (net.layers[i + 1].kind == layer_kind::depthwise_conv2d)
      net.links.push_back({net.layers[i].name, net.layers[i + 1].name, {net.layers[i + 2].name}});
  }
  const auto images = std::make_shared<tensor>(read_npy(folder + "images.npy"));
  const auto rows = [images](index first, index n) {
    return d::normalized_rows(*images, first, n);
  };
  net.batches = [rows](index count, index at_a_time) {
    return d::batches_of(rows, count, at_a_time);
  };
  const auto labels = d::labels_of<std::int16_t>(folder + "labels.npy");
  net.metric = [rows, labels, forward = net.forward](index count) {
    return d::top_1(forward, rows, labels, count, 10);
  };
  return net;
}

}  // namespace fewbit::examples
