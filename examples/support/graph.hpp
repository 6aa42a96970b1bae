#pragma once
/// A network that others quantized: tensors and operators in execution order, read from
/// `<name>.graph.json` and the constants in `<name>.safetensors` beside it.
///
///     const graph g = read_graph("kws_dscnn_int8.graph.json");
///     graph_runner runner(g);                                     // graph_runner.hpp
///
/// The files are those of a TFLite model: activations NHWC, weights of CONV_2D and FULLY_CONNECTED
/// [out, height, width, in] and [out, in], of DEPTHWISE_CONV_2D [1, height, width, out]. Operators
/// with weights carry int32 `multiplier` and `shift` and the bounds of their outputs.

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/core/error.hpp"
#include "fewbit/core/fixed_point.hpp"
#include "fewbit/ops/integer_output.hpp"
#include "fewbit/ops/window2d.hpp"
#include "fewbit/quant/params.hpp"
#include "safetensors.hpp"

namespace fewbit::examples {

struct graph_tensor {
  std::string name;
  std::string type;  ///< "INT8", "INT32", "FLOAT32"
  std::vector<index> shape;
  quant_params params{1.0F, 0};  ///< the first scale and zero point; weights may have more
  std::vector<float> scales;     ///< one, one for each channel, or none
  const tensor* constant = nullptr;

  [[nodiscard]] index size() const {
    index all = 1;
    for (const index extent : shape) all *= extent;
    return all;
  }
  /// Height, width and channels of [1, height, width, channels]; shorter shapes are one pixel.
  [[nodiscard]] image_extents image() const {
    if (shape.size() == 4) return {shape[1], shape[2], shape[3]};
    return {1, 1, size() / std::max(shape.empty() ? 1 : shape[0], index{1})};
  }
};

struct graph_op {
  std::string kind;
  std::vector<index> inputs;  ///< indices of tensors; -1: left out
  std::vector<index> outputs;
  nlohmann::json options;
  std::vector<fixed_multiplier> multipliers;  ///< of operators with weights
  code_bounds bounds;                         ///< the fused activation

  [[nodiscard]] index number(const char* key, index otherwise) const {
    return options.contains(key) ? options[key].get<index>() : otherwise;
  }
  [[nodiscard]] std::string word(const char* key, const std::string& otherwise = "") const {
    return options.contains(key) ? options[key].get<std::string>() : otherwise;
  }
};

/// Moves only, because tensors point at constants.
struct graph {
  graph() = default;
  graph(graph&&) = default;
  graph& operator=(graph&&) = default;

  std::vector<graph_tensor> tensors;
  std::vector<graph_op> ops;
  std::vector<index> inputs;
  std::vector<index> outputs;
  safetensors constants;

  [[nodiscard]] const graph_tensor& at(index i) const {
    return tensors[static_cast<std::size_t>(i)];
  }
  [[nodiscard]] const graph_tensor& input() const { return at(inputs.at(0)); }
  [[nodiscard]] const graph_tensor& output() const { return at(outputs.at(0)); }
};

namespace graph_detail {

using json = nlohmann::json;

[[noreturn]] inline void bad(const std::string& what, const std::string& got,
                             const std::string& want) {
  detail::fail("read_graph", what, got, want);
}

/// A number, or the elements of the constant that a string names.
template <class T>
std::vector<T> all_of(const json& value, const safetensors& constants) {
  if (!value.is_string()) return {value.get<T>()};
  const auto all = constants[value.get<std::string>()].template as<T>();
  if (all.empty()) bad("'" + value.get<std::string>() + "'", "empty", "numbers");
  return {all.begin(), all.end()};
}

inline graph_tensor read_tensor(const json& entry, const safetensors& constants) {
  graph_tensor t;
  t.name = entry.value("name", "");
  t.type = entry.at("dtype").get<std::string>();
  t.shape = entry.at("shape").get<std::vector<index>>();
  if (entry.contains("scale")) {
    t.scales = all_of<float>(entry["scale"], constants);
    t.params.scale = t.scales[0];
  }
  if (entry.contains("zero_point"))
    t.params.zero_point = all_of<std::int32_t>(entry["zero_point"], constants)[0];
  if (entry.contains("data")) t.constant = &constants[entry["data"].get<std::string>()];
  const bool is_positive =
      std::all_of(t.shape.begin(), t.shape.end(), [](index extent) { return extent >= 1; });
  if (!is_positive || bytes_of(element::i8, t.shape) < 0)
    bad("an extent of '" + t.name + "'", "0, negative or too large", "1 or more");
  if (t.constant != nullptr && t.constant->size() != t.size()) {
    bad("the size of '" + t.constant->name + "'", std::to_string(t.constant->size()),
        std::to_string(t.size()));
  }
  return t;
}

/// The codes that a fused activation leaves.
inline code_bounds bounds_of(const json& entry, const json& options, const quant_params& out) {
  if (entry.contains("activation_min"))
    return {entry["activation_min"].get<std::int32_t>(),
            entry["activation_max"].get<std::int32_t>()};
  const std::string name = options.contains("fused_activation_function")
                               ? options["fused_activation_function"].get<std::string>()
                               : "NONE";
  const auto code = [&](float real) {
    return out.zero_point + static_cast<std::int32_t>(detail::round_half_away(real / out.scale));
  };
  code_bounds bounds;
  if (name == "NONE") return bounds;
  if (name == "RELU" || name == "RELU6") bounds.lowest = out.zero_point;
  if (name == "RELU6") bounds.highest = code(6.0F);
  if (name == "RELU_N1_TO_1") bounds = {code(-1.0F), code(1.0F)};
  if (bounds == code_bounds{})
    bad("fused_activation_function", name, "NONE, RELU, RELU6, RELU_N1_TO_1");
  bounds.lowest = std::max(bounds.lowest, -128);
  bounds.highest = std::min(bounds.highest, 127);
  return bounds;
}

inline graph_op read_op(const json& entry, const graph& g) {
  graph_op op;
  op.kind = entry.at("op").get<std::string>();
  op.inputs = entry.at("inputs").get<std::vector<index>>();
  op.outputs = entry.at("outputs").get<std::vector<index>>();
  op.options = entry.value("options", json::object());
  const auto count = static_cast<index>(g.tensors.size());
  for (const auto* list : {&op.inputs, &op.outputs}) {
    for (const index i : *list) {
      if (i < -1 || i >= count)
        bad("a tensor of " + op.kind, std::to_string(i), "-1 to " + std::to_string(count - 1));
    }
  }
  if (op.outputs.empty() || op.outputs[0] < 0) bad("outputs of " + op.kind, "none", "a tensor");
  if (entry.contains("multiplier")) {
    const auto m = g.constants[entry["multiplier"].get<std::string>()].as<std::int32_t>();
    const auto s = g.constants[entry.at("shift").get<std::string>()].as<std::int32_t>();
    if (m.size() != s.size())
      bad("length of shift of " + op.kind, std::to_string(s.size()), std::to_string(m.size()));
    for (std::size_t c = 0; c < m.size(); ++c) op.multipliers.push_back({m[c], s[c]});
  }
  op.bounds = bounds_of(entry, op.options, g.at(op.outputs[0]).params);
  return op;
}

inline graph parse_graph(const json& description, safetensors constants) {
  graph g;
  g.constants = std::move(constants);
  for (const json& entry : description.at("tensors"))
    g.tensors.push_back(read_tensor(entry, g.constants));
  for (const json& entry : description.at("ops")) g.ops.push_back(read_op(entry, g));
  g.inputs = description.at("inputs").get<std::vector<index>>();
  g.outputs = description.at("outputs").get<std::vector<index>>();
  for (const auto* list : {&g.inputs, &g.outputs}) {
    if (list->size() != 1 || list->front() < 0 ||
        list->front() >= static_cast<index>(g.tensors.size())) {
      bad("inputs or outputs", std::to_string(list->size()), "one tensor each");
    }
  }
  return g;
}

}  // namespace graph_detail

/// Reads a graph and its constants.
///
/// @param path  "<name>.graph.json"; the constants are in "<name>.safetensors"
/// @throws fewbit::error if a file cannot be read or is malformed
inline graph read_graph(const std::string& path) {
  const std::string suffix = ".graph.json";
  if (!path.ends_with(suffix)) graph_detail::bad("path", path, "a name that ends with " + suffix);
  const std::vector<std::byte> text = read_file("read_graph", path);
  const auto* begin = reinterpret_cast<const char*>(text.data());
  safetensors constants =
      read_safetensors(path.substr(0, path.size() - suffix.size()) + ".safetensors");
  try {
    return graph_detail::parse_graph(nlohmann::json::parse(begin, begin + text.size()),
                                     std::move(constants));
  } catch (const nlohmann::json::exception& e) {
    graph_detail::bad(path, std::string("malformed: ") + e.what(), "a graph");
  }
}

}  // namespace fewbit::examples
