#pragma once
/// A small float network in Eigen (linear layers with relu between them), and the training of float
/// networks. Read next: small_cnn.hpp.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fewbit/core/random.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::examples {

struct float_layer {
  row_matrix<float> weights;  ///< outputs x inputs
  Eigen::VectorXf bias;
};

/// He's initialization: weights are normal with variance 2 / inputs, the bias is 0.
inline float_layer random_layer(index outputs, index inputs, std::uint64_t seed) {
  const float deviation = std::sqrt(2.0F / static_cast<float>(inputs));
  const auto element = [&](index r, index c) {
    return deviation * normal(generator{seed}, r * inputs + c);
  };
  return {row_matrix<float>::NullaryExpr(outputs, inputs, element), Eigen::VectorXf::Zero(outputs)};
}

/// Linear layers of the given widths. There is a relu after each layer except the last.
class mlp {
 public:
  mlp(const std::vector<index>& widths, std::uint64_t seed) {
    for (std::size_t i = 0; i + 1 < widths.size(); ++i)
      layers_.push_back(random_layer(widths[i + 1], widths[i], seed + i));
    values_.resize(layers_.size());
  }

  [[nodiscard]] const std::vector<float_layer>& layers() const { return layers_; }
  [[nodiscard]] std::vector<float_layer>& layers() { return layers_; }

  /// Computes the outputs of the last layer, one input per row. `inputs` must live until
  /// gradients().
  void operator()(const row_matrix<float>& inputs, row_matrix<float>& logits) {
    inputs_ = &inputs;
    const row_matrix<float>* x = &inputs;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const bool last = i + 1 == layers_.size();
      row_matrix<float>& y = last ? logits : values_[i];
      y.noalias() = *x * layers_[i].weights.transpose();
      y.rowwise() += layers_[i].bias.transpose();
      if (!last) y = y.cwiseMax(0.0F);
      x = &y;
    }
  }

  /// The input of layer i + 1 in the last call: the outputs of layer i after relu.
  [[nodiscard]] const row_matrix<float>& hidden(std::size_t i) const { return values_[i]; }

  /// The gradients of all layers, for the gradient of the logits of the last call.
  [[nodiscard]] std::vector<float_layer> gradients(row_matrix<float> error) const {
    std::vector<float_layer> result(layers_.size());
    for (std::size_t i = layers_.size(); i-- > 0;) {
      const row_matrix<float>& x = i == 0 ? *inputs_ : hidden(i - 1);
      result[i] = {error.transpose() * x, error.colwise().sum()};
      if (i > 0) {
        const auto active = (x.array() > 0.0F).cast<float>();
        error = ((error * layers_[i].weights).array() * active).matrix().eval();
      }
    }
    return result;
  }

 private:
  std::vector<float_layer> layers_;
  std::vector<row_matrix<float>> values_;
  const row_matrix<float>* inputs_ = nullptr;
};

/// Adam (Kingma and Ba 2015, arXiv:1412.6980) on the cross entropy of softmax(logits).
template <class Model>
class trainer {
 public:
  trainer(Model& model, float rate) : model_(model), rate_(rate) {
    for (const float_layer& layer : model.layers()) {
      mean_.push_back(zeros_like(layer));
      square_.push_back(zeros_like(layer));
    }
  }

  /// Trains on one batch. Returns the loss before the step.
  float step(const row_matrix<float>& inputs, const std::vector<int>& labels) {
    ++steps_;
    model_(inputs, logits_);
    const float loss = softmax_error(labels);
    const std::vector<float_layer> gradients = model_.gradients(logits_);
    for (std::size_t i = 0; i < gradients.size(); ++i) move(i, gradients[i]);
    return loss;
  }

 private:
  static float_layer zeros_like(const float_layer& layer) {
    return {row_matrix<float>::Zero(layer.weights.rows(), layer.weights.cols()),
            Eigen::VectorXf::Zero(layer.bias.size())};
  }

  /// Replaces logits_ by the gradient of the mean loss: (softmax - one-hot) / rows.
  float softmax_error(const std::vector<int>& labels) {
    float loss = 0.0F;
    const auto rows = static_cast<float>(logits_.rows());
    for (index r = 0; r < logits_.rows(); ++r) {
      auto row = logits_.row(r);
      row = (row.array() - row.maxCoeff()).exp().matrix().eval();
      row /= row.sum();
      const index label = labels[static_cast<std::size_t>(r)];
      loss -= std::log(row(label)) / rows;
      row(label) -= 1.0F;
      row /= rows;
    }
    return loss;
  }

  void move(std::size_t i, const float_layer& gradient) {
    move(model_.layers()[i].weights, gradient.weights, mean_[i].weights, square_[i].weights);
    move(model_.layers()[i].bias, gradient.bias, mean_[i].bias, square_[i].bias);
  }

  template <class M>
  void move(M& value, const M& gradient, M& mean, M& square) const {
    constexpr float keep_mean = 0.9F;
    constexpr float keep_square = 0.999F;
    mean = keep_mean * mean + (1.0F - keep_mean) * gradient;
    square = keep_square * square + (1.0F - keep_square) * gradient.cwiseAbs2();
    const auto t = static_cast<float>(steps_);
    const float mean_share = 1.0F - std::pow(keep_mean, t);
    const float square_share = 1.0F - std::pow(keep_square, t);
    value.array() -=
        rate_ * (mean.array() / mean_share) / ((square.array() / square_share).sqrt() + 1e-8F);
  }

  Model& model_;
  float rate_;
  int steps_ = 0;
  row_matrix<float> logits_;
  std::vector<float_layer> mean_;
  std::vector<float_layer> square_;
};

}  // namespace fewbit::examples
