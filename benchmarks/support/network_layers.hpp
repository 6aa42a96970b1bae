#pragma once
/// The layers of a network, for libraries that run layers and not graphs.
///
/// ops/network.cpp reads the network. A library makes one function for each layer. The functions
/// run in the order of the network, in one arena: a layer reads what the layer before it wrote.
/// Weights are random, because only the extents matter to the time.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "support/conv_rows.hpp"

namespace fewbit::benchmarks {

/// The fully connected layer is a 1x1 convolution of one pixel.
enum class layer_kind { transpose, conv, depthwise, add, mean };

struct network_layer {
  layer_kind kind;
  conv_layer conv;  // only the image counts where the layer is no convolution
};

/// Codes of one layer in the arena, NHWC. Only a sum has the second input b.
struct layer_memory {
  std::uint8_t* a = nullptr;
  std::uint8_t* b = nullptr;
  std::uint8_t* y = nullptr;
};

/// Runs a layer. An empty `run` means that the library has no such operator.
struct timed_layer {
  std::function<void()> run;
  bool exact = true;  // whether the outputs equal plain sums; true where nothing is compared
};

using layer_maker = std::function<timed_layer(const network_layer&, const layer_memory&)>;

/// Registers network/mobilenetv2_int8/<implementation>: the time of all layers of the network.
void add_network_sum(const std::string& implementation, const layer_maker& make);

template <class Op, class... Arguments>
timed_layer timed(const Arguments&... arguments) {
  auto op = std::make_shared<Op>(arguments...);
  return {[op] { (*op)(); }};
}

/// A convolution from x to y. Its outputs are first compared in memory of its own.
template <class Conv, class Input, class Output>
timed_layer timed_conv(const network_layer& layer, Input* x, Output* y) {
  using operands = typename Conv::operands;
  auto data = std::make_shared<operands>(layer.conv, layer.kind == layer_kind::depthwise);
  Conv compared(*data);
  compared();
  auto conv = std::make_shared<Conv>(*data, x, y);
  return {[data, conv] { (*conv)(); }, data->is_exact()};
}

}  // namespace fewbit::benchmarks
