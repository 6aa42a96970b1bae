#include "llama.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/io/gguf_writer.hpp"
#include "fewbit/io/safetensors_writer.hpp"
#include "llama_files.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit::examples { namespace support_llama_test {

using matrices = std::map<std::string, row_matrix<float>>;
using metadata = std::map<std::string, std::string>;
using column = Eigen::VectorXd;

const metadata good_metadata = {{"dim", "8"},        {"hidden_dim", "6"}, {"n_layers", "2"},
                                {"n_heads", "2"},    {"n_kv_heads", "1"}, {"seq_len", "7"},
                                {"vocab_size", "11"}};

/// Two heads of size 4 that share keys and values.
matrices random_weights() {
  matrices all;
  std::uint32_t seed = 0;
  const auto add = [&](const std::string& name, index rows, index cols) {
    all[name + ".weight"] = tests::random_reals(rows, cols, ++seed) / 3.0F;
  };
  add("tok_embeddings", 11, 8);
  add("norm", 8, 1);
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    add(layer + "attention_norm", 8, 1);
    add(layer + "attention.wq", 8, 8);
    add(layer + "attention.wk", 4, 8);
    add(layer + "attention.wv", 4, 8);
    add(layer + "attention.wo", 8, 8);
    add(layer + "ffn_norm", 8, 1);
    add(layer + "feed_forward.w1", 6, 8);
    add(layer + "feed_forward.w2", 8, 6);
    add(layer + "feed_forward.w3", 6, 8);
  }
  return all;
}

/// A file that exists as long as this object. Only one may exist at a time.
class temporary_file {
 public:
  explicit temporary_file(const std::string& bytes)
      : path_((std::filesystem::temp_directory_path() / "fewbit_llama_test").string()) {
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  ~temporary_file() { std::filesystem::remove(path_); }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xFF);
  return text;
}

template <class T>
std::string bytes_of_values(const T* values, index count) {
  std::string text(reinterpret_cast<const char*>(values),
                   static_cast<std::size_t>(count) * sizeof(T));
  if constexpr (std::endian::native != std::endian::little) {
    for (auto at = text.begin(); at != text.end(); at += sizeof(T)) {
      std::reverse(at, at + sizeof(T));
    }
  }
  return text;
}

std::string safetensors_file(nlohmann::json header, const std::vector<std::string>& data) {
  std::size_t at = 0;
  std::size_t next = 0;
  std::string all;
  for (auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    entry["data_offsets"] = {at, at + data[next].size()};
    at += data[next].size();
    all += data[next++];
  }
  const std::string text = header.dump();
  return little_endian(text.size(), 8) + text + all;
}

std::string model_file(const matrices& weights, const metadata& numbers) {
  nlohmann::json header;
  std::vector<std::string> data;
  header["__metadata__"] = numbers;
  for (const auto& [name, m] : weights) {
    header[name] = {{"dtype", "F32"}, {"shape", {m.rows(), m.cols()}}};
    data.push_back(bytes_of_values(m.data(), m.size()));
  }
  return safetensors_file(header, data);
}

float_model load(const matrices& weights, const metadata& numbers) {
  return load_model(temporary_file(model_file(weights, numbers)).path());
}

// ---- the oracle: the whole text at once, in double, without a cache

class whole_text {
 public:
  explicit whole_text(const matrices& weights) : weights_(weights) {}

  /// Logits after the last token.
  [[nodiscard]] column logits(const tokens& text) const {
    std::vector<column> x;
    for (const index token : text) x.push_back(get("tok_embeddings").row(token).transpose());
    for (const std::string layer : {"layers.0.", "layers.1."}) {
      const std::vector<column> attended = attend(layer, x);
      for (std::size_t p = 0; p < x.size(); ++p) {
        x[p] += get(layer + "attention.wo") * attended[p];
        const column h = normed(x[p], layer + "ffn_norm");
        column gated = get(layer + "feed_forward.w1") * h;
        const column up = get(layer + "feed_forward.w3") * h;
        for (index i = 0; i < 6; ++i) gated(i) *= up(i) / (1.0 + std::exp(-gated(i)));
        x[p] += get(layer + "feed_forward.w2") * gated;
      }
    }
    return get("tok_embeddings") * normed(x.back(), "norm");
  }

 private:
  [[nodiscard]] Eigen::MatrixXd get(const std::string& name) const {
    return weights_.at(name + ".weight").cast<double>();
  }

  [[nodiscard]] column normed(const column& x, const std::string& gain) const {
    return x.cwiseProduct(get(gain)) / std::sqrt(x.squaredNorm() / 8.0 + 1e-5);
  }

  /// Rotates each pair of neighbours, as a complex number, by the angle position * 10000^(-pair /
  /// 2).
  static column turned(column head, std::size_t position) {
    for (index pair = 0; pair < 2; ++pair) {
      const double angle = static_cast<double>(position) * (pair == 0 ? 1.0 : 0.01);
      const auto z = std::complex(head(2 * pair), head(2 * pair + 1)) * std::polar(1.0, angle);
      head(2 * pair) = z.real();
      head(2 * pair + 1) = z.imag();
    }
    return head;
  }

  [[nodiscard]] std::vector<column> attend(const std::string& layer,
                                           const std::vector<column>& x) const {
    std::vector<column> keys, values, attended;
    for (std::size_t p = 0; p < x.size(); ++p) {
      const column h = normed(x[p], layer + "attention_norm");
      const column query = get(layer + "attention.wq") * h;
      keys.push_back(turned(get(layer + "attention.wk") * h, p));
      values.push_back(get(layer + "attention.wv") * h);
      column both(8);
      for (index head = 0; head < 2; ++head) {
        const column q = turned(query.segment(4 * head, 4), p);
        column sum = column::Zero(4);
        double total = 0.0;
        for (std::size_t s = 0; s <= p; ++s) {
          const double weight = std::exp(q.dot(keys[s]) / 2.0);
          sum += weight * values[s];
          total += weight;
        }
        both.segment(4 * head, 4) = sum / total;
      }
      attended.push_back(both);
    }
    return attended;
  }

  const matrices& weights_;
};

const tokens text = {1, 10, 0, 7, 7, 3, 2};  // as many tokens as positions

TEST(llama, token_by_token_equals_the_whole_text) {
  const matrices weights = random_weights();
  const float_model model = load(weights, good_metadata);
  llama network(model.shape, model.weights);
  EXPECT_EQ(network.positions(), 7);
  for (int again = 0; again < 2; ++again, network.restart()) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      const tokens so_far(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      const column wanted = whole_text(weights).logits(so_far);
      const column got = network(text[i]).transpose().cast<double>();
      EXPECT_LT((got - wanted).cwiseAbs().maxCoeff(), 1e-5) << "position " << i;
    }
  }
}

struct other_linear {
  float_linear layer;
  [[nodiscard]] index inputs() const { return layer.inputs(); }
  void operator()(const row& x, row& y) const { layer(x, y); }
};

TEST(llama, accepts_other_layers) {
  const float_model model = load(random_weights(), good_metadata);
  llama network(model.shape, model.weights);
  llama other(model.shape, model.weights.with_layers(
                               [](const float_linear& layer) { return other_linear{layer}; }));
  for (const index token : text) EXPECT_EQ(network(token), other(token));
  const index size =
      model.weights.sum_of_layers([](const float_linear& l) { return l.weights.size(); });
  EXPECT_EQ(size, 11 * 8 + 2 * (16 * 8 + 8 * 8 + 12 * 8 + 8 * 6));
}

TEST(llama_files, refuses_other_shapes) {
  const auto sentence = [](const char* key, const char* value) {
    metadata numbers = good_metadata;
    numbers[key] = value;
    return tests::sentence_of(load, random_weights(), numbers);
  };
  EXPECT_EQ(sentence("dim", "16"),
            "fewbit: load_model: tok_embeddings is 11 x 8, expected 11 x 16");
  EXPECT_EQ(sentence("hidden_dim", "5"),
            "fewbit: load_model: layers.0.feed_forward.w1 is 6 x 8, expected 5 x 8");
  EXPECT_EQ(sentence("n_layers", "3"),
            "fewbit: safetensors_file::at: 'layers.2.attention_norm.weight' of '" +
                (std::filesystem::temp_directory_path() / "fewbit_llama_test").string() +
                "' is missing, expected one of its 20 tensors");
  EXPECT_EQ(sentence("n_heads", "8"),
            "fewbit: load_model: n_heads is 8, expected a multiple of n_kv_heads whose double "
            "divides dim");
  EXPECT_EQ(sentence("n_kv_heads", "3"),
            "fewbit: load_model: n_heads is 2, expected a multiple of n_kv_heads whose double "
            "divides dim");
  for (const char* value : {"", "0", "-2", "2x", "65537", "99999999999999999999"}) {
    EXPECT_EQ(sentence("seq_len", value), "fewbit: load_model: metadata 'seq_len' is " +
                                              std::string(value) +
                                              ", expected a number from 1 to 65536");
  }
  EXPECT_EQ(tests::sentence_of(load, random_weights(), metadata{}),
            "fewbit: load_model: metadata 'dim' is missing, expected a number from 1 to 65536");
}

void expect_equal(const llama_weights<float_linear>& a, const llama_weights<float_linear>& b) {
  EXPECT_EQ(a.embeddings, b.embeddings);
  EXPECT_EQ(a.norm, b.norm);
  EXPECT_EQ(a.head.weights, b.head.weights);
  ASSERT_EQ(a.blocks.size(), b.blocks.size());
  for (std::size_t i = 0; i < a.blocks.size(); ++i) {
    EXPECT_EQ(a.blocks[i].attention_norm, b.blocks[i].attention_norm);
    EXPECT_EQ(a.blocks[i].query_key_value.weights, b.blocks[i].query_key_value.weights);
    EXPECT_EQ(a.blocks[i].attention_out.weights, b.blocks[i].attention_out.weights);
    EXPECT_EQ(a.blocks[i].feed_forward_norm, b.blocks[i].feed_forward_norm);
    EXPECT_EQ(a.blocks[i].gate_up.weights, b.blocks[i].gate_up.weights);
    EXPECT_EQ(a.blocks[i].down.weights, b.blocks[i].down.weights);
  }
}

TEST(llama_files, reads_gguf_files_with_the_names_of_llama_cpp) {
  const std::string path = temporary_file("").path();
  gguf_writer out(path);
  const std::map<std::string, std::uint32_t> numbers = {{"llama.embedding_length", 8},
                                                        {"llama.feed_forward_length", 6},
                                                        {"llama.block_count", 2},
                                                        {"llama.attention.head_count", 2},
                                                        {"llama.attention.head_count_kv", 1},
                                                        {"llama.context_length", 7}};
  for (const auto& [key, value] : numbers) out.set(key, value);
  const std::map<std::string, std::string> names = {
      {"attention.wq", "attn_q"},      {"attention.wk", "attn_k"},
      {"attention.wv", "attn_v"},      {"attention.wo", "attn_output"},
      {"attention_norm", "attn_norm"}, {"ffn_norm", "ffn_norm"},
      {"feed_forward.w1", "ffn_gate"}, {"feed_forward.w2", "ffn_down"},
      {"feed_forward.w3", "ffn_up"}};
  for (const auto& [own, m] : random_weights()) {
    std::string name = own == "norm.weight" ? "output_norm.weight" : "token_embd.weight";
    if (own.starts_with("layers.")) {
      const std::string part = own.substr(9, own.size() - 9 - std::string(".weight").size());
      name = "blk." + own.substr(7, 2) + names.at(part) + ".weight";
    }
    if (m.cols() == 1) {
      out.write(name, m.transpose().row(0).eval());
    } else {
      out.write(name, m);
    }
  }
  out.close();
  const float_model model = load_model(path);
  std::filesystem::remove(path);
  EXPECT_EQ(model.shape.positions, 7);
  expect_equal(model.weights, load(random_weights(), good_metadata).weights);
}

TEST(llama_files, reads_codes_and_quantizes_other_layers_like_them) {
  using S = int8_per_row;
  const std::string path = temporary_file("").path();
  safetensors_writer out(path);
  for (const auto& [key, value] : good_metadata) out.set_metadata(key, value);
  for (const auto& [name, m] : random_weights()) {
    if (m.cols() == 1 || name == "tok_embeddings.weight" ||
        name == "layers.1.attention.wk.weight") {
      out.write(name, m);
    } else {
      save(out, name, quantize<S>(m));
    }
  }
  out.close();
  const llama_weight_file file(path);
  EXPECT_EQ(file.scheme(), scheme_text<S>());
  const auto codes = file.codes<S>();
  const auto floats = file.floats();
  std::filesystem::remove(path);
  const float_model model = load(random_weights(), good_metadata);
  EXPECT_EQ(codes.head, quantize<S>(model.weights.embeddings));
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& from = model.weights.blocks[i];
    EXPECT_EQ(codes.blocks[i].query_key_value, quantize<S>(from.query_key_value.weights));
    EXPECT_EQ(codes.blocks[i].gate_up, quantize<S>(from.gate_up.weights));
    EXPECT_EQ(codes.blocks[i].down, quantize<S>(from.down.weights));
    EXPECT_EQ(floats.blocks[i].down.weights, dequantize(codes.blocks[i].down));
  }
  EXPECT_EQ(floats.embeddings, model.weights.embeddings);
}

/// The vocabulary that load_vocabulary() reads from a file.
std::vector<std::string> vocabulary(const std::string& bytes, std::vector<std::int32_t> offsets,
                                    std::vector<std::int32_t> lengths) {
  const auto shape = [](std::size_t n) { return nlohmann::json::array({n}); };
  const nlohmann::json header = {{"bytes", {{"dtype", "U8"}, {"shape", shape(bytes.size())}}},
                                 {"lengths", {{"dtype", "I32"}, {"shape", shape(lengths.size())}}},
                                 {"offsets", {{"dtype", "I32"}, {"shape", shape(offsets.size())}}}};
  const std::string file =
      safetensors_file(header, {bytes, bytes_of_values(lengths.data(), std::ssize(lengths)),
                                bytes_of_values(offsets.data(), std::ssize(offsets))});
  const float_model model = load(random_weights(), good_metadata);
  return load_vocabulary(temporary_file(file).path(), model);
}

TEST(llama_files, reads_pieces_and_bytes) {
  std::vector<std::int32_t> offsets(11, 1);
  std::vector<std::int32_t> lengths(11, 2);
  lengths[3] = 6;
  lengths[4] = 0;
  offsets[5] = 7;
  const auto pieces = vocabulary("-<0x0A>yz", offsets, lengths);
  ASSERT_EQ(pieces.size(), 11U);
  EXPECT_EQ(pieces[0], "<0");
  EXPECT_EQ(pieces[3], "\n");
  EXPECT_EQ(pieces[4], "");
  EXPECT_EQ(pieces[5], "yz");
}

TEST(llama_files, refuses_pieces_outside) {
  const auto sentence = [](std::int32_t offset, std::int32_t length) {
    std::vector<std::int32_t> offsets(11, 0);
    std::vector<std::int32_t> lengths(11, 1);
    offsets[7] = offset;
    lengths[7] = length;
    return tests::sentence_of(vocabulary, "abc", offsets, lengths);
  };
  EXPECT_EQ(sentence(2, 1), "no error");
  const std::string refused = "fewbit: load_vocabulary: piece 7 is outside, expected in the file";
  EXPECT_EQ(sentence(2, 2), refused);
  EXPECT_EQ(sentence(-1, 1), refused);
  EXPECT_EQ(sentence(1, -1), refused);
  EXPECT_EQ(sentence(0x7FFFFFFF, 0x7FFFFFFF), refused);
  EXPECT_EQ(tests::sentence_of(vocabulary, "abc", std::vector<std::int32_t>(10),
                               std::vector<std::int32_t>(11)),
            "fewbit: load_vocabulary: number of offsets is 10, expected 11");
  EXPECT_EQ(tests::sentence_of(vocabulary, "abc", std::vector<std::int32_t>(11),
                               std::vector<std::int32_t>(12)),
            "fewbit: load_vocabulary: number of lengths is 12, expected 11");
}

std::vector<tokens> sequences(const std::string& shape, const std::vector<std::int16_t>& values) {
  const float_model model = load(random_weights(), good_metadata);
  const std::string header = "{'descr': '<i2', 'fortran_order': False, 'shape': " + shape + "}\n";
  const temporary_file file(std::string("\x93NUMPY\x01\x00", 8) + little_endian(header.size(), 2) +
                            header + bytes_of_values(values.data(), std::ssize(values)));
  return load_sequences(file.path(), model);
}

TEST(llama_files, reads_rows_of_tokens) {
  EXPECT_EQ(sequences("(3,)", {1, 0, 10}), (std::vector<tokens>{{1, 0, 10}}));
  EXPECT_EQ(sequences("(2, 3)", {1, 0, 10, 1, 2, 3}), (std::vector<tokens>{{1, 0, 10}, {1, 2, 3}}));
}

TEST(llama_files, refuses_tokens_and_lengths_of_another_model) {
  const auto sentence = [](const std::string& shape, const std::vector<std::int16_t>& values) {
    const std::string words = tests::sentence_of(sequences, shape, values);
    return words.substr(words.rfind(" is ") + 1);
  };
  EXPECT_EQ(sentence("(2,)", {1, 11}), "is 11, expected 0 to 10");
  EXPECT_EQ(sentence("(2,)", {1, -1}), "is -1, expected 0 to 10");
  EXPECT_EQ(sentence("(1,)", {1}), "is 1, expected 2 to 7");
  EXPECT_EQ(sentence("()", {1}), "is 0, expected 2 to 7");
  EXPECT_EQ(sentence("(1, 8)", std::vector<std::int16_t>(8)), "is 8, expected 2 to 7");
}

}  // namespace support_llama_test
}  // namespace fewbit::examples
