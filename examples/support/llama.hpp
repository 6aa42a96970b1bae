#pragma once
/// A decoder of the Llama 2 family (Touvron et al. 2023, arXiv:2307.09288), one token at a time.
///
/// The type of the linear layers is a template parameter: `layer(x, y)` multiplies a row. All other
/// parts (norms, rotary positions, attention, SiLU) are plain Eigen in float.
///
///     llama<float_linear> network(shape, weights);
///     const row& logits = network(token);       // for the next token; no allocation
///     network.restart();                        // starts a new text

#include <cassert>
#include <cmath>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/core/types.hpp"

namespace fewbit::examples {

using row = Eigen::RowVectorXf;

struct llama_shape {
  index width;      ///< number of values that pass from block to block
  index heads;      ///< number of query heads; each heads / kv_heads of them share keys and values
  index kv_heads;   ///< number of key and value heads
  index positions;  ///< maximum number of tokens in a text

  [[nodiscard]] index head_size() const { return width / heads; }
  [[nodiscard]] index kv_width() const { return kv_heads * head_size(); }
};

/// Matrices with the same input are joined into one, with their outputs one after the other.
template <class Linear>
struct llama_block {
  row attention_norm;
  Linear query_key_value;
  Linear attention_out;
  row feed_forward_norm;
  Linear gate_up;  ///< w1 and w3 of the paper's code
  Linear down;     ///< w2
};

template <class Linear>
struct llama_weights {
  row_matrix<float> embeddings;  ///< one row per token
  std::vector<llama_block<Linear>> blocks;
  row norm;
  Linear head;

  /// The same network with each linear layer replaced by make(layer).
  template <class Make>
  [[nodiscard]] auto with_layers(const Make& make) const {
    llama_weights<std::invoke_result_t<Make, const Linear&>> made{embeddings, {}, norm, make(head)};
    for (const llama_block<Linear>& b : blocks) {
      made.blocks.push_back({b.attention_norm, make(b.query_key_value), make(b.attention_out),
                             b.feed_forward_norm, make(b.gate_up), make(b.down)});
    }
    return made;
  }

  /// Sum of f(layer) over the linear layers.
  template <class F>
  [[nodiscard]] index sum_of_layers(const F& f) const {
    index sum = f(head);
    for (const llama_block<Linear>& b : blocks) {
      sum += f(b.query_key_value) + f(b.attention_out) + f(b.gate_up) + f(b.down);
    }
    return sum;
  }
};

struct float_linear {
  row_matrix<float> weights;

  [[nodiscard]] index inputs() const { return weights.cols(); }

  void operator()(const row& x, row& y) const { y.noalias() = x * weights.transpose(); }
};

template <class Linear>
class llama {
 public:
  llama(const llama_shape& shape, llama_weights<Linear> weights)
      : shape_(shape), weights_(std::move(weights)) {
    const index hidden = hidden_width();
    const row_matrix<float> none = row_matrix<float>::Zero(shape.kv_width(), shape.positions);
    caches_.assign(weights_.blocks.size(), {none, none});
    make_rotations();
    x_.resize(shape.width);
    normed_.resize(shape.width);
    query_key_value_.resize(shape.width + 2 * shape.kv_width());
    scores_.resize(shape.positions);
    attended_.resize(shape.width);
    added_.resize(shape.width);
    gate_up_.resize(2 * hidden);
    gated_.resize(hidden);
    logits_.resize(weights_.embeddings.rows());
  }

  [[nodiscard]] const llama_weights<Linear>& weights() const { return weights_; }
  [[nodiscard]] index positions() const { return shape_.positions; }

  void restart() { position_ = 0; }

  /// Reads a token and returns the logits of the next token. May be called `positions` times
  /// between restarts.
  const row& operator()(index token) {
    assert(position_ < shape_.positions);
    x_ = weights_.embeddings.row(token);
    for (std::size_t i = 0; i < caches_.size(); ++i) {
      attend(weights_.blocks[i], caches_[i]);
      feed_forward(weights_.blocks[i]);
    }
    normalize(weights_.norm);
    weights_.head(normed_, logits_);
    ++position_;
    return logits_;
  }

 private:
  /// Keys and values of one block, one column per position, so that products with them are
  /// contiguous along positions.
  struct cache {
    row_matrix<float> keys;
    row_matrix<float> values;
  };

  /// normed_ = x_ / rms(x_) * gain
  void normalize(const row& gain) {
    const float mean_square = x_.squaredNorm() / static_cast<float>(x_.size());
    normed_ = (x_ / std::sqrt(mean_square + 1e-5F)).cwiseProduct(gain);
  }

  /// x_ += W_out attention(query, keys, values). Adds the new key and value to the cache.
  void attend(llama_block<Linear>& block, cache& seen) {
    normalize(block.attention_norm);
    block.query_key_value(normed_, query_key_value_);
    const index kv = shape_.kv_width();
    rotate(query_key_value_.head(shape_.width + kv));
    seen.keys.col(position_) = query_key_value_.segment(shape_.width, kv).transpose();
    seen.values.col(position_) = query_key_value_.tail(kv).transpose();
    for (index head = 0; head < shape_.heads; ++head) attend_with(head, seen);
    block.attention_out(attended_, added_);
    x_ += added_;
  }

  /// softmax(q k^T / sqrt(head size)) v of one head, over the positions so far.
  void attend_with(index head, const cache& seen) {
    const index size = shape_.head_size();
    const index column = head / (shape_.heads / shape_.kv_heads) * size;
    const auto keys = seen.keys.block(column, 0, size, position_ + 1);
    const auto values = seen.values.block(column, 0, size, position_ + 1);
    const auto query = query_key_value_.segment(head * size, size);
    auto weights = scores_.head(position_ + 1);
    weights.noalias() = query * keys;
    weights /= std::sqrt(static_cast<float>(size));
    weights = (weights.array() - weights.maxCoeff()).exp().matrix();
    weights /= weights.sum();
    attended_.segment(head * size, size).noalias() = weights * values.transpose();
  }

  /// x_ += W_down (silu(gate) * up)
  void feed_forward(llama_block<Linear>& block) {
    normalize(block.feed_forward_norm);
    block.gate_up(normed_, gate_up_);
    const auto gate = gate_up_.head(gated_.size()).array();
    const auto up = gate_up_.tail(gated_.size()).array();
    gated_ = (gate / (1.0F + (-gate).exp()) * up).matrix();
    block.down(gated_, added_);
    x_ += added_;
  }

  /// Rotary positions (Su et al. 2021, arXiv:2104.09864): rotates each pair of adjacent values of a
  /// head by an angle proportional to the position.
  template <class Heads>
  void rotate(Heads heads) {
    const auto cosines = cosines_.row(position_);
    const auto sines = sines_.row(position_);
    for (index i = 0; i < heads.size(); i += 2) {
      const index pair = i % shape_.head_size() / 2;
      const float a = heads(i);
      const float b = heads(i + 1);
      heads(i) = a * cosines(pair) - b * sines(pair);
      heads(i + 1) = a * sines(pair) + b * cosines(pair);
    }
  }

  void make_rotations() {
    const index size = shape_.head_size();
    cosines_.resize(shape_.positions, size / 2);
    sines_.resize(shape_.positions, size / 2);
    for (index pair = 0; pair < size / 2; ++pair) {
      const double step =
          std::pow(10000.0, -2.0 * static_cast<double>(pair) / static_cast<double>(size));
      for (index p = 0; p < shape_.positions; ++p) {
        cosines_(p, pair) = static_cast<float>(std::cos(static_cast<double>(p) * step));
        sines_(p, pair) = static_cast<float>(std::sin(static_cast<double>(p) * step));
      }
    }
  }

  [[nodiscard]] index hidden_width() const {
    return weights_.blocks.empty() ? 0 : weights_.blocks[0].down.inputs();
  }

  llama_shape shape_;
  llama_weights<Linear> weights_;
  std::vector<cache> caches_;
  row_matrix<float> cosines_;  ///< one row per position, one column per pair
  row_matrix<float> sines_;
  index position_ = 0;
  row x_;
  row normed_;
  row query_key_value_;
  row scores_;
  row attended_;
  row added_;
  row gate_up_;
  row gated_;
  row logits_;
};

}  // namespace fewbit::examples
