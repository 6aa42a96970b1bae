#pragma once
/// The float networks of MLPerf Tiny as equalize/ takes them: ResNet-8 (CIFAR-10), a depthwise
/// separable network of keywords, MobileNetV1 (is a person in the picture?).
///
/// `data` is a folder with mlperf_tiny/ and cifar10/. Read before: real_networks.hpp.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "real_networks.hpp"

namespace fewbit::examples {

namespace tiny_networks_detail {

/// A network of a graph of floats; a sample is an image.
inline real_network described(const std::string& path, const std::string& name) {
  const graph g = read_graph(path);
  layered_network net(input_image(g));
  describe_graph(g, net);
  real_network made;
  made.name = name;
  made.layers = layer_list(net.layers());
  made.forward = net.forward();
  made.unit = "top-1 %";
  return made;
}

/// Rows of an array of bytes: (byte - zero point) * scale.
template <class Byte>
std::function<matrix(index, index)> real_rows(const std::string& path, float scale,
                                              float zero_point) {
  const auto all = std::make_shared<tensor>(read_npy(path));
  return [=](index first, index count) -> matrix {
    const index size = all->size() / all->shape[0];
    const Eigen::Map<const row_matrix<Byte>> bytes(all->as<Byte>().data(), all->shape[0], size);
    const matrix real = bytes.middleRows(first, count).template cast<float>();
    return (real.array() - zero_point) * scale;
  };
}

}  // namespace tiny_networks_detail

/// ResNet-8. Its inputs are pixels, 0 .. 255.
inline real_network load_resnet8(const std::string& data) {
  namespace d = real_networks_detail;
  namespace t = tiny_networks_detail;
  real_network net =
      t::described(data + "/mlperf_tiny/resnet8_cifar10_float.graph.json", "ResNet-8");
  const auto seen = t::real_rows<std::uint8_t>(data + "/cifar10/calib_images.npy", 1.0F, 0.0F);
  const auto rows = t::real_rows<std::uint8_t>(data + "/cifar10/test_images.npy", 1.0F, 0.0F);
  const auto labels = d::labels_of<std::uint8_t>(data + "/cifar10/test_labels.npy");
  net.batches = [seen](index count, index at_a_time) {
    return d::batches_of(seen, count, at_a_time);
  };
  net.metric = [rows, labels, forward = net.forward](index count) {
    return d::top_1(forward, rows, labels, count, 50);
  };
  return net;
}

/// Twelve keywords. The last 120 of the 600 samples are for calibration, the first 480 for the
/// metric.
inline real_network load_keywords(const std::string& data) {
  namespace d = real_networks_detail;
  namespace t = tiny_networks_detail;
  const std::string folder = data + "/mlperf_tiny/";
  real_network net = t::described(folder + "kws_dscnn_float.graph.json", "keywords");
  const auto rows = t::real_rows<std::int8_t>(folder + "kws01_features_i8.npy", 0.58470291F, 83.0F);
  const auto labels = d::labels_of<std::uint8_t>(folder + "kws01_labels.npy");
  net.batches = [rows](index count, index at_a_time) {
    return d::batches_of([rows](index first, index n) { return rows(480 + first, n); }, count,
                         at_a_time);
  };
  net.metric = [rows, labels, forward = net.forward](index count) {
    return d::top_1(forward, rows, labels, count, 50);
  };
  return net;
}

/// Is a person in the picture? There are no labels: the metric is the percentage of decisions that
/// equal those of the network in float. There are 60 pictures, for calibration and for the metric.
inline real_network load_person(const std::string& data) {
  namespace d = real_networks_detail;
  namespace t = tiny_networks_detail;
  const std::string folder = data + "/mlperf_tiny/";
  real_network net = t::described(folder + "vww_mobilenetv1_025_float.graph.json", "person");
  net.unit = "decisions %";
  const auto rows = t::real_rows<std::uint8_t>(folder + "vww_images96_u8.npy", 1.0F / 255.0F, 0.0F);
  const tensor probabilities = read_npy(folder + "vww_float_probs.npy");
  const auto p = probabilities.as<float>();
  std::vector<int> decisions;
  for (std::size_t i = 0; i < p.size(); i += 2) decisions.push_back(p[i + 1] > p[i] ? 1 : 0);
  net.batches = [rows](index count, index at_a_time) {
    return d::batches_of(rows, count, at_a_time);
  };
  net.metric = [rows, decisions, forward = net.forward](index count) {
    return d::top_1(forward, rows, decisions, count, 10);
  };
  return net;
}

}  // namespace fewbit::examples
