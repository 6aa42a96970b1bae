#pragma once
/// A network of images in integers: codes in, codes out, no float between them. It takes the same
/// calls as float_network, which says how networks are described.
///
///     integer_network net(extents, params);      // params: scale and zero point of each tensor
///     describe(net);                              // quantizes and packs the weights
///     const auto codes = net.run(images);         // one image in each row
///
/// Weights are int8, symmetric, with a scale for each output channel. Activations are uint8,
/// affine. The activations share one block of memory (arena.hpp). Read before: float_network.hpp.

#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "arena.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/ops/add.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/depthwise_conv2d.hpp"
#include "fewbit/ops/linear/integer.hpp"
#include "fewbit/ops/mean2d.hpp"
#include "fewbit/ops/pad.hpp"
#include "fewbit/ops/pool2d.hpp"
#include "fewbit/quant/quantize.hpp"
#include "network_step.hpp"

namespace fewbit::examples {

/// The codes that an activation leaves.
inline code_bounds bounds_of(activation after, const quant_params& params) {
  code_bounds bounds;
  if (after != activation::none) bounds.lowest = params.zero_point;
  if (after == activation::relu6) {
    bounds.highest =
        params.zero_point + static_cast<std::int32_t>(std::lround(6.0F / params.scale));
  }
  return bounds;
}

using matrix = row_matrix<float>;

/// A template, so that only the operators that a program uses are compiled.
template <class Code = std::uint8_t>
class integer_network {
  using integers = integer_only<Code>;

 public:
  using codes = row_matrix<Code>;

  /// @param params  of the input and the output of each step. Pools and padding keep the parameters
  ///                of their inputs.
  integer_network(const image_extents& input, std::vector<quant_params> params)
      : extents_{input}, params_(std::move(params)), lives_{{input.size(), 0, 0}} {}

  index conv2d(index x, const matrix& weights, const Eigen::VectorXf& bias, const window2d& window,
               activation after) {
    fewbit::conv2d<int8_per_row, integers> layer(quantize<int8_per_row>(weights), extents(x),
                                                 window, bias, params(x), options(after));
    const placed_window windows("integer_network", extents(x), window);
    return add_layer(x, output_extents(windows, weights.rows()), std::move(layer));
  }

  index depthwise_conv2d(index x, const matrix& weights, const Eigen::VectorXf& bias,
                         const window2d& window, activation after) {
    const auto w = depthwise_weights_of(quantize<int8_per_row>(weights));
    std::vector<std::int32_t> sums;  // the bias in units of sums
    for (index c = 0; c < bias.size(); ++c) {
      const double unit = double{params(x).scale} * double{w.scales[static_cast<std::size_t>(c)]};
      sums.push_back(static_cast<std::int32_t>(std::lround(double{bias[c]} / unit)));
    }
    fewbit::depthwise_conv2d<integers> layer(w, extents(x), window, sums, params(x),
                                             options(after));
    const image_extents output = output_extents(layer.window(), weights.rows());
    return add_layer(x, output, std::move(layer));
  }

  index linear(index x, const matrix& weights, const Eigen::VectorXf& bias,
               activation after = activation::none) {
    fewbit::linear<int8_per_row, integers> layer(quantize<int8_per_row>(weights), bias, params(x),
                                                 options(after));
    return add_layer(x, {1, 1, weights.rows()}, std::move(layer));
  }

  index add(index a, index b, activation after) {
    const elementwise_add<Code> sum(params(a), params(b), next(), bounds_of(after, next()));
    const index size = extents(a).size();
    return add_step({a, b}, extents(a), [=](const operands& at) {
      sum(at.rows(at.a, size), at.rows(at.b, size), at.rows(at.y, size));
    });
  }

  index max_pool2d(index x, const window2d& window) {
    next() = params(x);
    const placed_window windows("integer_network", extents(x), window);
    return add_operator(x, output_extents(windows, extents(x).channels),
                        fewbit::max_pool2d<Code>(windows));
  }

  index mean2d(index x) {
    return add_operator(x, {1, 1, extents(x).channels},
                        fewbit::mean2d<Code>(extents(x), params(x), next()));
  }

  index pad_channels(index x, const padding_of_channels& added) {
    next() = params(x);
    const pad2d<Code> pad(extents(x), {}, params(x).zero_point, added);
    return add_operator(x, pad.output(), pad);
  }

  [[nodiscard]] const image_extents& extents(index tensor) const {
    return extents_[static_cast<std::size_t>(tensor)];
  }
  [[nodiscard]] const quant_params& params(index tensor) const {
    return params_[static_cast<std::size_t>(tensor)];
  }
  /// Scale and zero point of the output.
  [[nodiscard]] const quant_params& output_params() const {
    return params(static_cast<index>(steps_.size()));
  }
  /// Bytes of the block that holds the activations. 0 before the first run.
  [[nodiscard]] index arena_bytes() const { return plan_.bytes; }

  /// Runs all steps. The result is valid until the next run.
  ///
  /// @param x  codes with params(0), one image in each row
  Eigen::Map<const codes> run(const Eigen::Ref<const codes>& x) {
    if (x.rows() > images_) place(x.rows());
    Eigen::Map<codes>(at(0), x.rows(), x.cols()) = x;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const step& s = steps_[i];
      s.run({at(s.inputs[0]), at(s.inputs[1]), at(static_cast<index>(i) + 1), x.rows()});
    }
    return {at(static_cast<index>(steps_.size())), x.rows(), extents_.back().size()};
  }

 private:
  /// The codes of a step: some images.
  struct operands {
    const Code* a;
    const Code* b;
    Code* y;
    index images;

    [[nodiscard]] Eigen::Map<const codes> rows(const Code* first, index size) const {
      return {first, images, size};
    }
    [[nodiscard]] Eigen::Map<codes> rows(Code* first, index size) const {
      return {first, images, size};
    }
  };
  struct step {
    std::array<index, 2> inputs;
    std::function<void(const operands&)> run;
  };

  /// The parameters of the output of the next step.
  [[nodiscard]] quant_params& next() { return params_[steps_.size() + 1]; }
  [[nodiscard]] integer_options options(activation after) {
    return {next(), bounds_of(after, next())};
  }

  index add_step(const std::array<index, 2>& inputs, const image_extents& output,
                 std::function<void(const operands&)> run) {
    const auto now = static_cast<index>(steps_.size());
    for (const index i : inputs) lives_[static_cast<std::size_t>(i)].last = now;
    lives_.push_back({output.size(), now, now + 1});
    extents_.push_back(output);
    steps_.push_back({inputs, std::move(run)});
    return now + 1;
  }

  /// An operator without scratch memory.
  template <class Operator>
  index add_operator(index x, const image_extents& output, const Operator& made) {
    const index in = extents(x).size(), out = output.size();
    return add_step({x, x}, output,
                    [=](const operands& at) { made(at.rows(at.a, in), at.rows(at.y, out)); });
  }

  /// A layer. All layers share their scratch memory.
  template <class Layer>
  index add_layer(index x, const image_extents& output, Layer&& made) {
    auto layer = std::make_shared<const Layer>(std::move(made));
    layer->reserve(*scratch_);
    return add_step({x, x}, output, [layer, scratch = scratch_.get()](const operands& at) {
      (*layer)(at.rows(at.a, layer->inputs()), at.rows(at.y, layer->outputs()), *scratch);
    });
  }

  /// Makes room for `images` images at a time.
  void place(index images) {
    std::vector<buffer_life> lives = lives_;
    for (buffer_life& life : lives) life.bytes *= images * index{sizeof(Code)};
    plan_ = plan_arena(lives);
    arena_ = aligned_buffer<Code>(plan_.bytes / index{sizeof(Code)});
    images_ = images;
  }

  [[nodiscard]] Code* at(index tensor) {
    return arena_.data() + plan_.offsets[static_cast<std::size_t>(tensor)] / index{sizeof(Code)};
  }

  std::vector<image_extents> extents_;
  std::vector<quant_params> params_;
  std::vector<buffer_life> lives_;
  std::vector<step> steps_;
  std::unique_ptr<layer_scratch> scratch_ = std::make_unique<layer_scratch>();
  arena_plan plan_;
  aligned_buffer<Code> arena_;
  index images_ = 0;
};

}  // namespace fewbit::examples
