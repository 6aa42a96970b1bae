#pragma once
/// Reads the files of a Llama network: weights, vocabulary, token sequences.
///
///     weights   .safetensors or .gguf, as llama_weights.hpp says
///     pieces    .safetensors: token i is lengths[i] bytes, starting at offsets[i]
///     tokens    .npy, int16, one sequence per row
///
/// The files are untrusted: all functions check them and throw fewbit::error if they are malformed.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "llama.hpp"
#include "llama_weights.hpp"
#include "npy.hpp"
#include "safetensors.hpp"

namespace fewbit::examples {

using tokens = std::vector<index>;

constexpr index begin_of_text = 1;

struct float_model {
  llama_shape shape;
  llama_weights<float_linear> weights;
};

/// Reads the weights, decoded if they are quantized.
inline float_model load_model(const std::string& path) {
  const llama_weight_file file(path);
  return {file.shape(), file.floats()};
}

/// Reads the bytes of the text of each token.
inline std::vector<std::string> load_vocabulary(const std::string& path, const float_model& model) {
  const safetensors file = read_safetensors(path);
  const auto bytes = file["bytes"].as<std::uint8_t>();
  const auto offsets = file["offsets"].as<std::int32_t>();
  const auto lengths = file["lengths"].as<std::int32_t>();
  const auto count = static_cast<std::size_t>(model.weights.embeddings.rows());
  detail::expect_equal("load_vocabulary", "number of offsets", offsets.size(), count);
  detail::expect_equal("load_vocabulary", "number of lengths", lengths.size(), count);
  std::vector<std::string> pieces;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t end = std::int64_t{offsets[i]} + lengths[i];
    if (offsets[i] < 0 || lengths[i] < 0 || end > static_cast<std::int64_t>(bytes.size())) {
      detail::fail("load_vocabulary", "piece " + std::to_string(i), "outside", "in the file");
    }
    const std::string piece(bytes.begin() + offsets[i], bytes.begin() + end);
    unsigned byte = 0;  // the file writes it as <0x0A>
    const bool is_byte = piece.size() == 6 && std::sscanf(piece.c_str(), "<0x%2X>", &byte) == 1;
    pieces.push_back(is_byte ? std::string(1, static_cast<char>(byte)) : piece);
  }
  return pieces;
}

/// Reads token sequences, one per row, from a .npy file of int16.
inline std::vector<tokens> load_sequences(const std::string& path, const float_model& model) {
  const tensor file = read_npy(path);
  const auto all = file.as<std::int16_t>();
  const index vocabulary = model.weights.embeddings.rows();
  for (const index token : all) {
    if (token < 0 || token >= vocabulary) {
      detail::fail("load_sequences", "a token of " + path, token,
                   "0 to " + std::to_string(vocabulary - 1));
    }
  }
  const index length = file.shape.empty() ? 0 : file.shape.back();
  if (length < 2 || length > model.shape.positions) {
    detail::fail("load_sequences", "length of a sequence of " + path, length,
                 "2 to " + std::to_string(model.shape.positions));
  }
  std::vector<tokens> sequences;
  for (auto first = all.begin(); first != all.end(); first += length) {
    sequences.emplace_back(first, first + length);
  }
  return sequences;
}

}  // namespace fewbit::examples
