#pragma once
/// The weights of a Llama network in a file: safetensors or GGUF, floats or quantized.
///
///     const llama_weight_file file("model.gguf");
///     const auto floats = file.floats();                    // every layer decoded
///     const auto codes = file.codes<int4_grouped<32>>();    // layers with the codes of the file
///
/// | tensor           | name                                | name in files of llama.cpp      |
/// |------------------|-------------------------------------|---------------------------------|
/// | embeddings, head | tok_embeddings                      | token_embd                      |
/// | last norm        | norm                                | output_norm                     |
/// | norms of a block | layers.L.{attention_norm, ffn_norm} | blk.L.{attn_norm, ffn_norm}     |
/// | attention        | layers.L.attention.{wq, wk, wv, wo} | blk.L.attn_{q, k, v, output}    |
/// | feed-forward     | layers.L.feed_forward.{w1, w2, w3}  | blk.L.ffn_{gate, down, up}      |
///
/// Each name ends in .weight. Matrices are [out, in]. The metadata have dim, hidden_dim, n_layers,
/// n_heads, n_kv_heads, vocab_size and seq_len, or the keys of llama.cpp. The file is untrusted:
/// all functions check it and throw fewbit::error if it is malformed.

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "fewbit/io/gguf.hpp"
#include "fewbit/io/gguf_quantized.hpp"
#include "fewbit/io/quantized.hpp"
#include "fewbit/io/safetensors.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "fewbit/quant/quantize.hpp"
#include "llama.hpp"

namespace fewbit::examples {

/// The schemes of the layers that are read: of quantize_checkpoint, Q8_0 and Q4_0.
using llama_schemes =
    scheme_list<int8_per_row, int4_grouped<32>, int8_grouped<32>, uint4_grouped<32>>;

namespace llama_detail {

struct two_names {
  std::string_view own;
  std::string_view ggml;
};

inline constexpr std::array<two_names, 7> numbers = {
    {{"dim", "llama.embedding_length"},
     {"hidden_dim", "llama.feed_forward_length"},
     {"n_layers", "llama.block_count"},
     {"n_heads", "llama.attention.head_count"},
     {"n_kv_heads", "llama.attention.head_count_kv"},
     {"seq_len", "llama.context_length"},
     {"vocab_size", "llama.vocab_size"}}};

inline constexpr std::array<two_names, 11> tensors = {{{"tok_embeddings", "token_embd"},
                                                       {"norm", "output_norm"},
                                                       {"attention_norm", "attn_norm"},
                                                       {"ffn_norm", "ffn_norm"},
                                                       {"attention.wq", "attn_q"},
                                                       {"attention.wk", "attn_k"},
                                                       {"attention.wv", "attn_v"},
                                                       {"attention.wo", "attn_output"},
                                                       {"feed_forward.w1", "ffn_gate"},
                                                       {"feed_forward.w2", "ffn_down"},
                                                       {"feed_forward.w3", "ffn_up"}}};

template <std::size_t N>
std::string_view ggml_name(const std::array<two_names, N>& names, std::string_view own) {
  return std::ranges::find(names, own, &two_names::own)->ggml;
}

/// Joins matrices from top to bottom.
inline row_matrix<float> stacked(const std::vector<row_matrix<float>>& parts) {
  row_matrix<float> all(0, parts.front().cols());
  for (const row_matrix<float>& part : parts) {
    all.conservativeResize(all.rows() + part.rows(), Eigen::NoChange);
    all.bottomRows(part.rows()) = part;
  }
  return all;
}

/// The same for codes. Each row has scales of its own, so every value is kept.
template <Scheme S>
quantized_matrix<S> stacked(const std::vector<quantized_matrix<S>>& parts) {
  using code = typename S::code;
  row_matrix<code> codes(0, parts.front().cols());
  std::vector<float> scales;
  std::vector<code> zero_points;
  for (const quantized_matrix<S>& part : parts) {
    codes.conservativeResize(codes.rows() + part.rows(), Eigen::NoChange);
    codes.bottomRows(part.rows()) = part.codes();
    scales.insert(scales.end(), part.scales().begin(), part.scales().end());
    zero_points.insert(zero_points.end(), part.zero_points().begin(), part.zero_points().end());
  }
  return {codes, scales, std::span<const code>(zero_points)};
}

}  // namespace llama_detail

class llama_weight_file {
 public:
  explicit llama_weight_file(const std::string& path) {
    char magic[4] = {};
    if (std::ifstream(path, std::ios::binary).read(magic, 4) &&
        std::string_view(magic, 4) == "GGUF") {
      file_.emplace<gguf_file>(path);
    } else {
      file_.emplace<safetensors_file>(path);
    }
    has_ggml_names_ = contains("token_embd.weight");
    shape_ = {number("dim"), number("n_heads"), number("n_kv_heads"), number("seq_len")};
    if (shape_.width % (2 * shape_.heads) != 0 || shape_.heads % shape_.kv_heads != 0) {
      detail::fail("load_model", "n_heads", shape_.heads,
                   "a multiple of n_kv_heads whose double divides dim");
    }
  }

  [[nodiscard]] const llama_shape& shape() const noexcept { return shape_; }

  /// The scheme of the first quantized layer as scheme_text(), or empty if all are floats.
  [[nodiscard]] std::string scheme() const {
    for (const auto& part : llama_detail::tensors) {
      const std::string own(part.own);
      const bool is_of_block = own != "tok_embeddings" && own != "norm";
      const std::string text = scheme_of(name(is_of_block ? "layers.0." + own : own));
      if (!text.empty()) return text;
    }
    return {};
  }

  /// All weights as floats.
  [[nodiscard]] llama_weights<float_linear> floats() const {
    return read<float_linear>([&](const auto& names, const auto& rows, index cols) {
      std::vector<row_matrix<float>> parts;
      for (std::size_t i = 0; i < names.size(); ++i) {
        parts.push_back(matrix(names[i], rows[i], cols));
      }
      return float_linear{llama_detail::stacked(parts)};
    });
  }

  /// The layers as codes of S. Layers of floats are quantized; others must have S.
  template <Scheme S>
  [[nodiscard]] llama_weights<quantized_matrix<S>> codes() const {
    return read<quantized_matrix<S>>([&](const auto& names, const auto& rows, index cols) {
      std::vector<quantized_matrix<S>> parts;
      for (std::size_t i = 0; i < names.size(); ++i) {
        parts.push_back(codes<S>(names[i], rows[i], cols));
      }
      return llama_detail::stacked(parts);
    });
  }

 private:
  /// Reads all weights. make(names, rows of each, columns) returns a layer.
  template <class Layer, class Make>
  [[nodiscard]] llama_weights<Layer> read(const Make& make) const {
    using strings = std::vector<std::string>;
    using extents = std::vector<index>;
    const index width = shape_.width, kv = shape_.kv_width(), hidden = number("hidden_dim");
    const index words = number("vocab_size");
    llama_weights<Layer> weights{matrix("tok_embeddings", words, width),
                                 {},
                                 vector("norm"),
                                 make(strings{"tok_embeddings"}, extents{words}, width)};
    for (index i = 0; i < number("n_layers"); ++i) {
      const std::string block = "layers." + std::to_string(i) + ".";
      const std::string attention = block + "attention.w", forward = block + "feed_forward.w";
      weights.blocks.push_back(
          {vector(block + "attention_norm"),
           make(strings{attention + "q", attention + "k", attention + "v"}, extents{width, kv, kv},
                width),
           make(strings{attention + "o"}, extents{width}, width), vector(block + "ffn_norm"),
           make(strings{forward + "1", forward + "3"}, extents{hidden, hidden}, width),
           make(strings{forward + "2"}, extents{width}, hidden)});
    }
    return weights;
  }

  /// A number of the metadata, from 1 to 65536.
  [[nodiscard]] index number(const std::string& key) const {
    const std::string text = text_of_number(key);
    index value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size() || value < 1 || value > 65536) {
      detail::fail("load_model", "metadata '" + key + "'", text, "a number from 1 to 65536");
    }
    return value;
  }

  /// A GGUF file has numbers, or the texts of a safetensors file that became one.
  [[nodiscard]] std::string text_of_number(const std::string& key) const {
    if (const auto* const file = std::get_if<safetensors_file>(&file_)) {
      return std::string(file->metadata(key).value_or("missing"));
    }
    const auto& file = std::get<gguf_file>(file_);
    if (const auto value = file.find_value(key)) {
      if (value->is<std::string_view>()) return std::string(value->get<std::string_view>());
    }
    const auto value = file.find_value(llama_detail::ggml_name(llama_detail::numbers, key));
    if (value) return std::to_string(value->integer());
    if (key == "vocab_size") return std::to_string(file.at("token_embd.weight").rows());
    return "missing";
  }

  /// The name of a tensor in this file.
  [[nodiscard]] std::string name(const std::string& own) const {
    if (!has_ggml_names_) return own + ".weight";
    constexpr std::string_view blocks = "layers.";
    std::string block, part = own;
    if (own.starts_with(blocks)) {
      const std::size_t point = own.find('.', blocks.size());
      block = "blk." + own.substr(blocks.size(), point + 1 - blocks.size());
      part = own.substr(point + 1);
    }
    return block + std::string(llama_detail::ggml_name(llama_detail::tensors, part)) + ".weight";
  }

  [[nodiscard]] bool contains(std::string_view tensor) const {
    if (const auto* const gguf = std::get_if<gguf_file>(&file_)) return gguf->contains(tensor);
    return std::get<safetensors_file>(file_).contains(tensor);
  }

  /// The scheme of a tensor by its name in the file; empty for floats and for blocks without one.
  [[nodiscard]] std::string scheme_of(const std::string& tensor) const {
    if (const auto* const file = std::get_if<safetensors_file>(&file_)) {
      const auto stored = find_stored(*file, tensor);
      return stored ? std::string(stored->scheme) : std::string();
    }
    std::string text;
    const gguf_tensor t = std::get<gguf_file>(file_).at(tensor);
    detail::visit_block(detail::gguf_blocks(), t.type, [&](auto block) {
      text = scheme_text<fewbit::scheme_of<typename decltype(block)::type>>();
    });
    return text;
  }

  /// The values of a matrix, whatever stores them.
  [[nodiscard]] row_matrix<float> matrix(const std::string& own, index rows, index cols) const {
    const std::string tensor = name(own);
    row_matrix<float> values;
    if (const auto* const gguf = std::get_if<gguf_file>(&file_)) {
      values = gguf->at(tensor).to_floats();
    } else {
      const auto& file = std::get<safetensors_file>(file_);
      values = find_stored(file, tensor)
                   ? fewbit::visit<llama_schemes>(file, tensor,
                                                  [](const auto& q) { return dequantize(q); })
                   : file.at(tensor).to_floats();
    }
    expect_shape(own, values, rows, cols);
    return values;
  }

  /// One number for each of the values that pass from block to block.
  [[nodiscard]] row vector(const std::string& own) const {
    const bool is_row = std::holds_alternative<gguf_file>(file_);
    const index width = shape_.width;
    const row_matrix<float> values = is_row ? matrix(own, 1, width) : matrix(own, width, 1);
    return Eigen::Map<const row>(values.data(), width);
  }

  template <Scheme S>
  [[nodiscard]] quantized_matrix<S> codes(const std::string& own, index rows, index cols) const {
    const std::string tensor = name(own);
    if (scheme_of(tensor).empty()) return quantize<S>(matrix(own, rows, cols));
    const auto q = [&] {
      if (const auto* const gguf = std::get_if<gguf_file>(&file_)) return load<S>(*gguf, tensor);
      return load<S>(std::get<safetensors_file>(file_), tensor);
    }();
    expect_shape(own, q, rows, cols);
    return q;
  }

  template <class M>
  static void expect_shape(const std::string& own, const M& m, index rows, index cols) {
    if (m.rows() == rows && m.cols() == cols) return;
    detail::fail("load_model", own, detail::shape_text(m.rows(), m.cols()),
                 detail::shape_text(rows, cols));
  }

  std::variant<std::monostate, safetensors_file, gguf_file> file_;
  bool has_ggml_names_ = false;
  llama_shape shape_{};
};

}  // namespace fewbit::examples
