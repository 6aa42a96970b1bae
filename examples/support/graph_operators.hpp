#pragma once
/// Operators of a graph as operators of fewbit: one function for each operator, prepared once.
///
/// Codes are int8. Rounding is that of TFLite's reference kernels. Read before: graph.hpp. Read
/// next: graph_runner.hpp.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/ops/add.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/depthwise_conv2d.hpp"
#include "fewbit/ops/linear/integer.hpp"
#include "fewbit/ops/mean2d.hpp"
#include "fewbit/ops/pad.hpp"
#include "fewbit/ops/pool2d.hpp"
#include "fewbit/ops/requantize.hpp"
#include "fewbit/ops/softmax.hpp"
#include "graph.hpp"

namespace fewbit::examples {

/// Codes of the inputs that are no constants, in the order of the operator, and where the output
/// goes.
struct operands {
  std::array<const std::int8_t*, 2> x{};
  std::int8_t* y = nullptr;
};

/// An operator that is ready to run.
using graph_function = std::function<void(const operands&)>;

namespace graph_detail {

using codes = std::int8_t;
using integers = integer_only<codes, codes, tflite_double>;
using weight_scheme = scheme<int8, per_row, symmetric_full>;

inline Eigen::Map<const row_matrix<codes>> row(const codes* x, index count) {
  return {x, 1, count};
}
inline Eigen::Map<row_matrix<codes>> row(codes* y, index count) { return {y, 1, count}; }

/// What the functions of the operators read.
struct source {
  const graph& g;
  const graph_op& op;
  layer_scratch& scratch;  ///< shared by all operators, grown by each

  [[nodiscard]] const graph_tensor& input(std::size_t i) const {
    if (i >= op.inputs.size() || op.inputs[i] < 0)
      bad("input " + std::to_string(i) + " of " + op.kind, "missing", "a tensor");
    return g.at(op.inputs[i]);
  }
  [[nodiscard]] const graph_tensor& output() const { return g.at(op.outputs[0]); }
  [[nodiscard]] const tensor& constant(std::size_t i) const {
    if (input(i).constant == nullptr)
      bad("input " + std::to_string(i) + " of " + op.kind, "no constant", "a constant");
    return *input(i).constant;
  }
  [[nodiscard]] std::vector<std::int32_t> bias() const {
    if (op.inputs.size() < 3 || op.inputs[2] < 0) return {};
    const auto all = constant(2).as<std::int32_t>();
    return {all.begin(), all.end()};
  }
  /// A multiplier for each channel.
  [[nodiscard]] std::vector<fixed_multiplier> multipliers(index channels) const {
    const auto& m = op.multipliers;
    return m.size() == 1 ? std::vector(static_cast<std::size_t>(channels), m[0]) : m;
  }
  /// Weights as they are stored: `rows` rows of codes.
  [[nodiscard]] row_matrix<codes> weights(index rows) const {
    const tensor& w = constant(1);
    return Eigen::Map<const row_matrix<codes>>(w.as<codes>().data(), rows, w.size() / rows);
  }
  /// Kernel, stride, dilation and padding. `extra` is the padding of a PAD before.
  [[nodiscard]] window2d window(extent2d kernel, const padding2d& extra) const {
    window2d w{.kernel = kernel,
               .stride = {op.number("stride_h", 1), op.number("stride_w", 1)},
               .dilation = {op.number("dilation_h_factor", 1), op.number("dilation_w_factor", 1)},
               .padding = extra};
    if (op.word("padding", "VALID") == "SAME") w.padding = same_padding(input(0).image(), w);
    return w;
  }
};

/// Fails unless an operator makes as many codes as its output tensor holds.
inline void expect_outputs(const source& s, index outputs) {
  if (outputs != s.output().size()) {
    bad("the output of " + s.op.kind, std::to_string(s.output().size()) + " codes",
        std::to_string(outputs));
  }
}

/// A layer with scratch memory.
template <class Layer>
graph_function layer_function(const source& s, Layer&& made) {
  auto layer = std::make_shared<const std::decay_t<Layer>>(std::forward<Layer>(made));
  expect_outputs(s, layer->outputs());
  layer->reserve(s.scratch, 1);
  layer_scratch* scratch = &s.scratch;
  return [layer, scratch](const operands& at) {
    (*layer)(row(at.x[0], layer->inputs()), row(at.y, layer->outputs()), *scratch);
  };
}

inline quantized_matrix<weight_scheme> unscaled(const row_matrix<codes>& w) {
  return {w, std::vector<float>(static_cast<std::size_t>(w.rows()), 1.0F)};
}

/// @param extra  padding of a PAD before, which then does not run
inline graph_function conv(const source& s, const padding2d& extra, const image_extents& image) {
  const std::vector<index>& shape = s.input(1).shape;  // [out, height, width, in]
  if (shape.size() != 4 || shape[3] < 1 || image.channels % shape[3] != 0)
    bad("the weights of CONV_2D", "another shape", "[out, height, width, in]");
  const auto m = s.multipliers(shape[0]);
  return layer_function(
      s, conv2d<weight_scheme, integers>(
             unscaled(s.weights(shape[0])), image, s.window({shape[1], shape[2]}, extra), s.bias(),
             m, s.input(0).params.zero_point,
             integer_options{{1.0F, s.output().params.zero_point}, s.op.bounds},
             image.channels / shape[3]));
}

inline graph_function depthwise(const source& s, const padding2d& extra,
                                const image_extents& image) {
  const std::vector<index>& shape = s.input(1).shape;  // [1, height, width, out]
  if (shape.size() != 4 || shape[3] % image.channels != 0)
    bad("the weights of DEPTHWISE_CONV_2D", "another shape", "[1, height, width, out]");
  const auto m = s.multipliers(shape[3]);
  return layer_function(
      s, depthwise_conv2d<integers>(
             {s.weights(shape[1] * shape[2]), {1.0F}, {}}, image,
             s.window({shape[1], shape[2]}, extra), s.bias(), m, s.input(0).params.zero_point,
             integer_options{{1.0F, s.output().params.zero_point}, s.op.bounds},
             shape[3] / image.channels));
}

inline graph_function fully_connected(const source& s) {
  const std::vector<index>& shape = s.input(1).shape;  // [out, in]
  if (shape.size() != 2 || shape[1] != s.input(0).size())
    bad("the weights of FULLY_CONNECTED", "another shape", "[out, in]");
  const auto m = s.multipliers(shape[0]);
  return layer_function(
      s, linear<weight_scheme, integers>(
             unscaled(s.weights(shape[0])), s.bias(), m, s.input(0).params.zero_point,
             integer_options{{1.0F, s.output().params.zero_point}, s.op.bounds}));
}

inline graph_function add(const source& s) {
  const index size = s.output().size();
  if (s.input(0).size() != size || s.input(1).size() != size)
    bad("the inputs of ADD", "of two shapes", "of one shape");
  const elementwise_add<codes> sum(s.input(0).params, s.input(1).params, s.output().params,
                                   s.op.bounds);
  return [sum, size](const operands& at) {
    sum(row(at.x[0], size), row(at.x[1], size), row(at.y, size));
  };
}

template <class Pool>
graph_function pool(const source& s, const char* name) {
  const window2d w =
      s.window({s.op.number("filter_height", 1), s.op.number("filter_width", 1)}, {});
  const placed_window placed(name, s.input(0).image(), w);
  const auto made = [&] {
    if constexpr (std::is_same_v<Pool, max_pool2d<codes>>) {
      return Pool(placed, s.op.bounds);
    } else {
      return Pool(placed, {.bounds = s.op.bounds});
    }
  }();
  const index in = s.input(0).size(), out = s.output().size();
  expect_outputs(s, placed.output_pixels() * placed.image().channels);
  return [made, in, out](const operands& at) { made(row(at.x[0], in), row(at.y, out)); };
}

/// Pads of [before, after] for each of four dimensions.
inline padding2d pads_of(const source& s) {
  const auto p = s.constant(1).as<std::int32_t>();
  if (p.size() != 8 || p[0] != 0 || p[1] != 0 || p[6] != 0 || p[7] != 0)
    bad("the pads of PAD", "others", "0 for images and channels, any for rows and columns");
  return {.top = p[2], .bottom = p[3], .left = p[4], .right = p[5]};
}

inline graph_function pad(const source& s) {
  const pad2d<codes> made(s.input(0).image(), pads_of(s), s.input(0).params.zero_point);
  expect_outputs(s, made.output().size());
  return [made](const operands& at) {
    made(row(at.x[0], made.image().size()), row(at.y, made.output().size()));
  };
}

/// Means over rows and columns of images.
inline graph_function mean(const source& s) {
  mean_axes axes{false, false};
  for (const std::int32_t axis : s.constant(1).as<std::int32_t>()) {
    if (axis != 1 && axis != 2) bad("an axis of MEAN", std::to_string(axis), "1 or 2");
    (axis == 1 ? axes.height : axes.width) = true;
  }
  const mean2d<codes> made(s.input(0).image(), s.input(0).params, s.output().params, axes);
  expect_outputs(s, made.outputs());
  return [made](const operands& at) {
    made(row(at.x[0], made.windows().image().size()), row(at.y, made.outputs()));
  };
}

inline graph_function requantize(const source& s) {
  const index size = s.output().size();
  expect_outputs(s, s.input(0).size());
  const code_requantizer<codes> made(s.input(0).params, s.output().params);
  return [made, size](const operands& at) { made(row(at.x[0], size), row(at.y, size)); };
}

inline graph_function transpose(const source& s) {
  const auto order = s.constant(1).as<std::int32_t>();
  const std::vector<index>& from = s.input(0).shape;
  if (from.size() != 4 || order.size() != 4)
    bad("TRANSPOSE", "of " + std::to_string(from.size()) + " dimensions", "4");
  std::array<index, 4> strides{from[1] * from[2] * from[3], from[2] * from[3], from[3], 1};
  std::array<index, 4> extents{}, steps{};
  for (std::size_t d = 0; d < 4; ++d) {
    if (order[d] < 0 || order[d] > 3) bad("TRANSPOSE", std::to_string(order[d]), "0 to 3");
    extents[d] = from[static_cast<std::size_t>(order[d])];
    steps[d] = strides[static_cast<std::size_t>(order[d])];
  }
  expect_outputs(s, s.input(0).size());
  return [extents, steps](const operands& at) {
    codes* y = at.y;
    for (index a = 0; a < extents[0]; ++a) {
      for (index b = 0; b < extents[1]; ++b) {
        for (index c = 0; c < extents[2]; ++c) {
          const codes* x = at.x[0] + a * steps[0] + b * steps[1] + c * steps[2];
          for (index d = 0; d < extents[3]; ++d) *y++ = x[d * steps[3]];
        }
      }
    }
  };
}

inline graph_function softmax_of_row(const source& s) {
  const index size = s.output().size();
  if (s.output().params != quant_params{0x1p-8F, -128})
    bad("scale and zero point of the output of SOFTMAX", "others", "1 / 256 and -128");
  const float beta = s.op.options.value("beta", 1.0F);
  const softmax<codes> made(size, s.input(0).params.scale, double{beta});
  return [made, size](const operands& at) { made(row(at.x[0], size), row(at.y, size)); };
}

/// The function of one operator.
inline graph_function function_of(const source& s, const padding2d& extra,
                                  const image_extents& image) {
  const std::string& kind = s.op.kind;
  if (kind == "CONV_2D") return conv(s, extra, image);
  if (kind == "DEPTHWISE_CONV_2D") return depthwise(s, extra, image);
  if (kind == "FULLY_CONNECTED") return fully_connected(s);
  if (kind == "ADD") return add(s);
  if (kind == "AVERAGE_POOL_2D") return pool<average_pool2d<codes>>(s, "AVERAGE_POOL_2D");
  if (kind == "MAX_POOL_2D") return pool<max_pool2d<codes>>(s, "MAX_POOL_2D");
  if (kind == "MEAN") return mean(s);
  if (kind == "SOFTMAX") return softmax_of_row(s);
  if (kind == "QUANTIZE") return requantize(s);
  if (kind == "PAD") return pad(s);
  if (kind == "TRANSPOSE") return transpose(s);
  bad("an operator", kind,
      "CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, "
      "SOFTMAX, PAD, RESHAPE, TRANSPOSE or QUANTIZE");
}

}  // namespace graph_detail

}  // namespace fewbit::examples
