#pragma once
/// A decoder of the Llama 2 family as equalize/ takes it. It computes all tokens of a text at once.
///
/// Inputs are token numbers as floats: one text in each row. Outputs are the logits of the next
/// token, one row for each token of each text. Read before: llama.hpp, llama_files.hpp.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "llama_files.hpp"
#include "real_networks.hpp"

namespace fewbit::examples {

namespace llama_network_detail {

/// What a forward needs besides the layers.
struct decoder {
  llama_shape shape;
  matrix embeddings;
  std::vector<Eigen::RowVectorXf> attention_norms;
  std::vector<Eigen::RowVectorXf> feed_forward_norms;
  Eigen::RowVectorXf norm;

  [[nodiscard]] static matrix normalized(const matrix& x, const Eigen::RowVectorXf& gain) {
    const Eigen::VectorXf mean_squares = x.rowwise().squaredNorm() / static_cast<float>(x.cols());
    const Eigen::VectorXf inverse = (mean_squares.array() + 1e-5F).rsqrt();
    return (x.array().colwise() * inverse.array()).rowwise() * gain.array();
  }

  /// Turns the pairs of each head of queries or keys by position * 10000^(-pair / pairs).
  void rotate(Eigen::Ref<matrix> x) const {
    const index size = shape.head_size();
    for (index t = 0; t < x.rows(); ++t) {
      for (index i = 0; i < x.cols(); i += 2) {
        const double power = -static_cast<double>(i % size) / static_cast<double>(size);
        const double angle = static_cast<double>(t) * std::pow(10000.0, power);
        const auto c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
        const float a = x(t, i), b = x(t, i + 1);
        x(t, i) = a * c - b * s;
        x(t, i + 1) = a * s + b * c;
      }
    }
  }

  /// softmax(q k^T / sqrt(head size)) v of each head, over the tokens so far.
  [[nodiscard]] matrix attended(const matrix& qkv) const {
    const index size = shape.head_size(), kv = shape.kv_width(), rows = qkv.rows();
    matrix out(rows, shape.width);
    for (index head = 0; head < shape.heads; ++head) {
      const index shared = head / (shape.heads / shape.kv_heads) * size;
      matrix scores = qkv.middleCols(head * size, size) *
                      qkv.middleCols(shape.width + shared, size).transpose() /
                      std::sqrt(static_cast<float>(size));
      for (index t = 0; t < rows; ++t) {
        auto seen = scores.row(t).head(t + 1);
        seen = (seen.array() - seen.maxCoeff()).exp();
        seen /= seen.sum();
        scores.row(t).tail(rows - t - 1).setZero();
      }
      out.middleCols(head * size, size) = scores * qkv.middleCols(shape.width + kv + shared, size);
    }
    return out;
  }

  /// The logits of one text.
  [[nodiscard]] matrix operator()(const Eigen::Ref<const Eigen::RowVectorXf>& tokens,
                                  const compute_function& compute) const {
    matrix x(tokens.size(), shape.width), qkv, y;
    for (index t = 0; t < tokens.size(); ++t)
      x.row(t) = embeddings.row(static_cast<index>(tokens[t]));
    index layer = 0;
    for (std::size_t b = 0; b < attention_norms.size(); ++b) {
      compute(layer++, normalized(x, attention_norms[b]), qkv);
      rotate(qkv.leftCols(shape.width + shape.kv_width()));
      compute(layer++, attended(qkv), y);
      x += y;
      compute(layer++, normalized(x, feed_forward_norms[b]), y);
      const index hidden = y.cols() / 2;
      const auto gate = y.leftCols(hidden).array();
      const matrix gated = gate / (1.0F + (-gate).exp()) * y.rightCols(hidden).array();
      compute(layer++, gated, y);
      x += y;
    }
    compute(layer, normalized(x, norm), y);
    return y;
  }
};

inline network_layer layer_of(std::string name, const matrix& weights) {
  network_layer l;
  l.name = std::move(name);
  l.weights = weights;
  return l;
}

/// Texts of a file, one in each row.
inline matrix texts(const std::string& path) {
  const tensor t = read_npy(path);
  const auto all = t.as<std::int16_t>();
  const index rows = t.shape.size() == 2 ? t.shape[0] : 1;
  return Eigen::Map<const row_matrix<std::int16_t>>(all.data(), rows, t.size() / rows)
      .cast<float>();
}

}  // namespace llama_network_detail

/// stories260K. The metric is the perplexity of texts that the network in float has written; a
/// sample is a text.
inline real_network load_stories(const std::string& data) {
  namespace d = llama_network_detail;
  const std::string folder = data + "/stories260k/";
  const float_model model = load_model(folder + "stories260k.safetensors");
  d::decoder decoder{model.shape, model.weights.embeddings, {}, {}, model.weights.norm};
  std::vector<network_layer> layers;
  for (const auto& block : model.weights.blocks) {
    const std::string prefix = "layers." + std::to_string(decoder.attention_norms.size()) + ".";
    decoder.attention_norms.push_back(block.attention_norm);
    decoder.feed_forward_norms.push_back(block.feed_forward_norm);
    layers.push_back(d::layer_of(prefix + "query_key_value", block.query_key_value.weights));
    layers.push_back(d::layer_of(prefix + "attention_out", block.attention_out.weights));
    layers.push_back(d::layer_of(prefix + "gate_up", block.gate_up.weights));
    layers.push_back(d::layer_of(prefix + "down", block.down.weights));
  }
  layers.push_back(d::layer_of("head", model.weights.head.weights));
  real_network net;
  net.name = "stories260K";
  net.layers = layer_list(std::move(layers));
  net.unit = "perplexity";
  net.larger_is_better = false;
  net.forward = [decoder](const matrix& inputs, const compute_function& compute) {
    matrix all(inputs.size(), decoder.embeddings.rows());
    for (index i = 0; i < inputs.rows(); ++i)
      all.middleRows(i * inputs.cols(), inputs.cols()) = decoder(inputs.row(i), compute);
    return all;
  };
  const matrix calibration = d::texts(folder + "tokens_calibration_sampled.npy");
  const matrix test = d::texts(folder + "tokens_sampled.npy");
  net.batches = [calibration](index count, index at_a_time) {
    return real_networks_detail::batches_of(
        [calibration](index first, index n) { return matrix(calibration.middleRows(first, n)); },
        count, at_a_time);
  };
  net.metric = [test, forward = net.forward](index count) {
    return [=](const compute_function& compute) {
      double loss = 0.0;
      for (index i = 0; i < count; ++i) {
        const matrix logits = forward(test.row(i), compute);
        for (index t = 0; t + 1 < test.cols(); ++t) {
          const Eigen::RowVectorXd values = logits.row(t).cast<double>();
          const double most = values.maxCoeff();
          loss += most + std::log((values.array() - most).exp().sum()) -
                  values[static_cast<index>(test(i, t + 1))];
        }
      }
      return std::exp(loss / static_cast<double>(count * (test.cols() - 1)));
    };
  };
  return net;
}

}  // namespace fewbit::examples
