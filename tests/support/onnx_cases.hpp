#pragma once
/// Node tests of ONNX (onnx_node/) and outputs of ONNX Runtime (onnxruntime_vectors/), as test
/// cases.

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "safetensors.hpp"
#include "support/data.hpp"

namespace fewbit::tests {

/// index.json of a directory.
inline nlohmann::json cases_of(const std::string& directory) {
  std::ifstream file(data_dir() / directory / "index.json");
  return nlohmann::json::parse(file);
}

struct node {
  std::string name;
  nlohmann::json description;
  examples::safetensors tensors;

  /// "input.x" of the i-th input, or an empty name.
  [[nodiscard]] std::string input(std::size_t i) const {
    const nlohmann::json& order = description["input_order"];
    return i < order.size() ? "input." + order[i].get<std::string>() : "";
  }
  [[nodiscard]] std::string type_of(const std::string& tensor) const {
    const nlohmann::json& entry = description["tensors"][tensor];
    return entry.is_array() ? entry[0] : entry["logical_dtype"];
  }
  [[nodiscard]] index attribute(const char* key, index otherwise) const {
    const nlohmann::json& attributes = description["attributes"];
    return attributes.contains(key) ? attributes[key].get<index>() : otherwise;
  }
  /// The output. The two collections give it different names.
  [[nodiscard]] const examples::tensor& output(const std::string& one,
                                               const std::string& other) const {
    return tensors[tensors.tensors.contains("output." + one) ? "output." + one : "output." + other];
  }
};

/// The cases of one operator in both directories.
inline std::vector<node> nodes_of(const std::string& op) {
  std::vector<node> nodes;
  for (const std::string directory : {"onnx_node", "onnxruntime_vectors"}) {
    const nlohmann::json cases = cases_of(directory);
    for (const auto& [name, description] : cases.items()) {
      if (description["op"] != op) continue;
      const auto path = data_dir() / directory / description["file"].get<std::string>();
      nodes.push_back({name, description, examples::read_safetensors(path.string())});
    }
  }
  return nodes;
}

inline std::int64_t integer_at(const examples::tensor& t, index i) {
  const auto at = static_cast<std::size_t>(i);
  using examples::element;
  switch (t.type) {
    case element::i8:
      return t.as<std::int8_t>()[at];
    case element::u8:
      return t.as<std::uint8_t>()[at];
    case element::i16:
      return t.as<std::int16_t>()[at];
    case element::u16:
      return t.as<std::uint16_t>()[at];
    case element::i32:
      return t.as<std::int32_t>()[at];
    default:
      ADD_FAILURE() << "unexpected type of " << t.name;
      return 0;
  }
}

}  // namespace fewbit::tests
