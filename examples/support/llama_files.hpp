#pragma once
/// Reads the files of a Llama network: weights, vocabulary, token sequences.
///
///     weights   .safetensors, float32, [out, in]: tok_embeddings, norm,
///               layers.{l}.attention.{wq,wk,wv,wo}, layers.{l}.feed_forward.{w1,w2,w3} and
///               layers.{l}.{attention_norm,ffn_norm}, each with .weight; the metadata have dim,
///               hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size and seq_len
///     pieces    .safetensors: token i is lengths[i] bytes, starting at offsets[i]
///     tokens    .npy, int16, one sequence per row
///
/// The files are untrusted: all functions check them and throw fewbit::error if they are malformed.

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <system_error>
#include <vector>

#include "llama.hpp"
#include "npy.hpp"
#include "safetensors.hpp"

namespace fewbit::examples {

using tokens = std::vector<index>;

constexpr index begin_of_text = 1;

struct float_model {
  llama_shape shape;
  llama_weights<float_linear> weights;
};

namespace llama_detail {

inline index metadata_number(const safetensors& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  const std::string text = found == file.metadata.end() ? "missing" : found->second;
  index value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size() || value < 1 || value > 65536) {
    detail::fail("load_model", "metadata '" + key + "'", text, "a number from 1 to 65536");
  }
  return value;
}

/// Joins matrices from top to bottom.
inline row_matrix<float> stacked(std::initializer_list<row_matrix<float>> parts) {
  row_matrix<float> all(0, parts.begin()->cols());
  for (const row_matrix<float>& part : parts) {
    all.conservativeResize(all.rows() + part.rows(), Eigen::NoChange);
    all.bottomRows(part.rows()) = part;
  }
  return all;
}

/// Reads the shape from the metadata.
inline llama_shape shape_of(const safetensors& file) {
  const llama_shape shape{metadata_number(file, "dim"), metadata_number(file, "n_heads"),
                          metadata_number(file, "n_kv_heads"), metadata_number(file, "seq_len")};
  if (shape.width % (2 * shape.heads) != 0 || shape.heads % shape.kv_heads != 0) {
    detail::fail("load_model", "n_heads", shape.heads,
                 "a multiple of n_kv_heads whose double divides dim");
  }
  return shape;
}

/// Reads a matrix and checks its size.
inline row_matrix<float> load(const safetensors& file, const std::string& name, index rows,
                              index cols) {
  const row_matrix<float> values = file[name + ".weight"].matrix<float>();
  const auto text = [](index r, index c) { return std::to_string(r) + " x " + std::to_string(c); };
  if (values.rows() != rows || values.cols() != cols) {
    detail::fail("load_model", name, text(values.rows(), values.cols()), text(rows, cols));
  }
  return values;
}

inline llama_block<float_linear> load_block(const safetensors& file, const llama_shape& shape,
                                            index number) {
  const index width = shape.width;
  const index kv = shape.kv_width();
  const index hidden = metadata_number(file, "hidden_dim");
  const auto get = [&](const std::string& name, index rows, index cols) {
    return load(file, "layers." + std::to_string(number) + "." + name, rows, cols);
  };
  return {get("attention_norm", width, 1).transpose(),
          {stacked({get("attention.wq", width, width), get("attention.wk", kv, width),
                    get("attention.wv", kv, width)})},
          {get("attention.wo", width, width)},
          get("ffn_norm", width, 1).transpose(),
          {stacked({get("feed_forward.w1", hidden, width), get("feed_forward.w3", hidden, width)})},
          {get("feed_forward.w2", width, hidden)}};
}

}  // namespace llama_detail

inline float_model load_model(const std::string& path) {
  using namespace llama_detail;
  const safetensors file = read_safetensors(path);
  const llama_shape shape = shape_of(file);
  const row_matrix<float> embeddings =
      load(file, "tok_embeddings", metadata_number(file, "vocab_size"), shape.width);
  llama_weights<float_linear> weights{
      embeddings, {}, load(file, "norm", shape.width, 1).transpose(), {embeddings}};
  for (index i = 0; i < metadata_number(file, "n_layers"); ++i) {
    weights.blocks.push_back(load_block(file, shape, i));
  }
  return {shape, weights};
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
