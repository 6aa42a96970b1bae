// A language model that writes a story, token by token: float32, then int8, int4 and int2 weights.
//
// The network is stories260K of karpathy/tinyllamas (Llama 2 with 5 blocks of width 64). Quantized
// are all its linear weights, and the token embeddings where they serve as output head; inputs of
// these layers become int8, a scale for each token. The lookup of embeddings, norms, attention and
// SiLU stay in float. Every story is the likeliest continuation of nothing: no prompt, no chance.
// Read main() and run() first, then support/llama.hpp.
//
// The data are not part of this project. --data names a folder that holds, in stories260k/,
//   stories260k.safetensors         float32, [out, in]: tok_embeddings, norm, layers.{l}.attention.
//                                   {wq,wk,wv,wo}, layers.{l}.feed_forward.{w1,w2,w3},
//                                   layers.{l}.{attention_norm,ffn_norm}, each .weight; n_heads,
//                                   n_kv_heads, seq_len among its metadata
//   tokenizer512.safetensors        piece i is bytes[offsets[i]] to bytes[offsets[i] + lengths[i]]
//   tokens_greedy.npy, greedy_logits_pos_0_64_255.npy    the reference: the likeliest text and some
//                                   of its logits, float32
//   tokens_calibration_sampled.npy  sequences that weights may be fitted to
//   tokens_sampled.npy, english_{0,1,2}_tokens.npy       sequences to be predicted

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fewbit/fewbit.hpp>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/llama.hpp"
#include "support/npy.hpp"
#include "support/options.hpp"
#include "support/safetensors.hpp"
#include "support/stopwatch.hpp"
#include "support/table.hpp"

namespace fewbit::examples {

using matrix = row_matrix<float>;
using tokens = std::vector<index>;

constexpr index begin_of_text = 1;

// ---- linear layers in float

struct float_linear {
  matrix weights;

  [[nodiscard]] index inputs() const { return weights.cols(); }

  void operator()(const row& x, row& y) const { y.noalias() = x * weights.transpose(); }
};

/// The same, and remembers how large each input has been.
struct watched_linear {
  float_linear layer;
  row sum_of_squares = row::Zero(layer.inputs());

  [[nodiscard]] index inputs() const { return layer.inputs(); }

  void operator()(const row& x, row& y) {
    sum_of_squares += x.cwiseAbs2();
    layer(x, y);
  }

  /// How much an error of the weights of each input costs.
  [[nodiscard]] std::span<const float> importance() const {
    return {sum_of_squares.data(), static_cast<std::size_t>(inputs())};
  }
};

// ---- the files

index metadata_number(const safetensors& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  const std::string text = found == file.metadata.end() ? "missing" : found->second;
  index value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size() || value < 1 || value > 65536) {
    detail::fail("load_model", "metadata '" + key + "'", text, "a number from 1 to 65536");
  }
  return value;
}

/// One below the other.
matrix stacked(std::initializer_list<matrix> parts) {
  matrix all(0, parts.begin()->cols());
  for (const matrix& part : parts) {
    all.conservativeResize(all.rows() + part.rows(), Eigen::NoChange);
    all.bottomRows(part.rows()) = part;
  }
  return all;
}

struct float_model {
  llama_shape shape;
  llama_weights<float_linear> weights;
};

float_model load_model(const std::string& path) {
  const safetensors file = read_safetensors(path);
  const auto load = [&](const std::string& name, index rows, index cols) -> matrix {
    const matrix values = file[name + ".weight"].matrix<float>();
    const auto shape = [](index r, index c) {
      return std::to_string(r) + " x " + std::to_string(c);
    };
    if (values.rows() != rows || values.cols() != cols) {
      detail::fail("load_model", name, shape(values.rows(), values.cols()), shape(rows, cols));
    }
    return values;
  };
  const index width = metadata_number(file, "dim");
  const index hidden = metadata_number(file, "hidden_dim");
  const auto load_row = [&](const std::string& name) -> row {
    return load(name, width, 1).transpose();
  };
  const llama_shape shape{width, metadata_number(file, "n_heads"),
                          metadata_number(file, "n_kv_heads"), metadata_number(file, "seq_len")};
  const index kv = shape.kv_width();
  const matrix embeddings = load("tok_embeddings", metadata_number(file, "vocab_size"), width);
  llama_weights<float_linear> weights{embeddings, {}, load_row("norm"), {embeddings}};
  for (index i = 0; i < metadata_number(file, "n_layers"); ++i) {
    const std::string layer = "layers." + std::to_string(i) + ".";
    const std::string attention = layer + "attention.";
    const std::string feed_forward = layer + "feed_forward.";
    weights.blocks.push_back(
        {load_row(layer + "attention_norm"),
         {stacked({load(attention + "wq", width, width), load(attention + "wk", kv, width),
                   load(attention + "wv", kv, width)})},
         {load(attention + "wo", width, width)},
         load_row(layer + "ffn_norm"),
         {stacked(
             {load(feed_forward + "w1", hidden, width), load(feed_forward + "w3", hidden, width)})},
         {load(feed_forward + "w2", width, hidden)}});
  }
  return {shape, weights};
}

/// What each token stands for, as bytes.
std::vector<std::string> load_vocabulary(const std::string& path) {
  const safetensors file = read_safetensors(path);
  const auto bytes = file["bytes"].as<std::uint8_t>();
  const auto offsets = file["offsets"].as<std::int32_t>();
  const auto lengths = file["lengths"].as<std::int32_t>();
  std::vector<std::string> pieces;
  for (std::size_t i = 0; i < std::min(offsets.size(), lengths.size()); ++i) {
    if (offsets[i] < 0 || lengths[i] < 0 ||
        static_cast<std::size_t>(offsets[i]) + static_cast<std::size_t>(lengths[i]) >
            bytes.size()) {
      detail::fail("load_vocabulary", "piece " + std::to_string(i), "outside", "in the file");
    }
    const auto first = bytes.begin() + offsets[i];
    const std::string piece(first, first + lengths[i]);
    unsigned byte = 0;
    const bool is_byte = std::sscanf(piece.c_str(), "<0x%2X>", &byte) == 1 && piece.size() == 6;
    pieces.push_back(is_byte ? std::string(1, static_cast<char>(byte)) : piece);
  }
  return pieces;
}

/// Token sequences, one per row of a .npy file of int16.
std::vector<tokens> load_sequences(const std::string& path, const float_model& model) {
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

// ---- the ways to quantize it

/// Bytes of weights as a file would hold them.
index bytes_of_layers(const llama_weights<float_linear>& weights) {
  return weights.sum_of_layers(
      [](const float_linear& layer) { return layer.weights.size() * index{sizeof(float)}; });
}
template <class S>
index bytes_of_layers(const llama_weights<quantized_matrix<S>>& weights) {
  return weights.sum_of_layers([](const quantized_matrix<S>& q) { return q.storage_bytes(); });
}

/// The network of float layers that know their inputs: what weights can be fitted to.
llama_weights<watched_linear> watch(const float_model& model, const std::vector<tokens>& texts) {
  const auto watched = [](const float_linear& layer) { return watched_linear{layer}; };
  llama<watched_linear> network(model.shape, model.weights.with_layers(watched));
  for (const tokens& text : texts) {
    network.restart();
    for (const index token : text) network(token);
  }
  return network.weights();
}

// ---- what a network is asked

index likeliest(const row& logits) {
  index best = 0;
  logits.maxCoeff(&best);
  return best;
}

/// Writes `count` tokens, each the likeliest; write(token) is called as soon as it is known.
template <class Linear, class Write>
void generate(llama<Linear>& network, index count, const Write& write) {
  network.restart();
  index token = begin_of_text;
  for (index i = 0; i < count; ++i) {
    token = likeliest(network(token));
    write(token);
  }
}

/// exp of the mean surprise: -log p(token i + 1 | tokens 0 to i), over all sequences.
template <class Linear>
double perplexity(llama<Linear>& network, const std::vector<tokens>& sequences) {
  double surprise = 0.0;
  index predicted = 0;
  for (const tokens& text : sequences) {
    network.restart();
    for (std::size_t i = 0; i + 1 < text.size(); ++i, ++predicted) {
      const Eigen::RowVectorXd logits = network(text[i]).template cast<double>();
      const double most = logits.maxCoeff();
      surprise += most + std::log((logits.array() - most).exp().sum()) - logits(text[i + 1]);
    }
  }
  return std::exp(surprise / static_cast<double>(predicted));
}

// ---- the table

/// What all networks are measured with.
struct evaluation {
  std::vector<std::string> vocabulary;
  std::vector<tokens> sampled;  ///< drawn from the float network
  std::vector<tokens> english;  ///< written by people
  tokens greedy;                ///< the reference's likeliest text
  matrix greedy_logits;         ///< its logits at reference_positions
  index length;                 ///< of the stories
};

constexpr std::array<index, 3> reference_positions{0, 64, 255};

/// Has networks write, measures them and collects a row for each.
class comparison {
 public:
  explicit comparison(const evaluation& with) : with_(with) {}

  template <class Linear>
  void add(const std::string& name, index weight_bytes, llama<Linear> network) {
    std::printf("---- %s\n", name.c_str());
    const index same = write_story(network);
    const double time = median_microseconds([&] { generate(network, with_.length, [](index) {}); });
    results_.add(name,
                 {static_cast<double>(weight_bytes), 1e6 * static_cast<double>(with_.length) / time,
                  perplexity(network, with_.sampled), perplexity(network, with_.english),
                  static_cast<double>(same), logit_error(network)});
  }

  [[nodiscard]] const table& results() const { return results_; }

 private:
  /// Prints it as it comes; answers how many tokens from the first are the reference's.
  template <class Linear>
  index write_story(llama<Linear>& network) const {
    tokens story{begin_of_text};
    generate(network, with_.length, [&](index token) {
      story.push_back(token);
      std::fputs(with_.vocabulary[static_cast<std::size_t>(token)].c_str(), stdout);
      std::fflush(stdout);
    });
    std::printf("\n\n");
    const auto ends =
        std::mismatch(story.begin(), story.end(), with_.greedy.begin(), with_.greedy.end());
    return ends.first - story.begin();
  }

  /// Largest difference to the reference's logits, on the reference's text.
  template <class Linear>
  double logit_error(llama<Linear>& network) const {
    network.restart();
    float most = 0.0F;
    std::size_t next = 0;
    for (index position = 0; next < reference_positions.size(); ++position) {
      const row& logits = network(with_.greedy[static_cast<std::size_t>(position)]);
      if (position != reference_positions[next]) continue;
      const row reference = with_.greedy_logits.row(static_cast<index>(next++));
      most = std::max(most, (logits - reference).cwiseAbs().maxCoeff());
    }
    return most;
  }

  const evaluation& with_;
  table results_{"tiny_llama",
                 "scheme",
                 {{"weight bytes", "weight_bytes", 0},
                  {"tokens/s", "tokens_per_second", 0},
                  {"sampled ppl", "perplexity_sampled", 4},
                  {"English ppl", "perplexity_english", 4},
                  {"same start", "greedy_tokens_as_reference", 0},
                  {"logit error", "logit_error", 5}}};
};

table compare(const float_model& model, const std::vector<tokens>& calibration, comparison all) {
  const llama_weights<watched_linear> watched = watch(model, calibration);
  const auto add = [&](const std::string& name, const auto& quantizer) {
    const auto codes = watched.with_layers(quantizer);
    const auto packed =
        codes.with_layers([]<class S>(const quantized_matrix<S>& q) { return linear<S>(q); });
    all.add(name, bytes_of_layers(codes), llama(model.shape, packed));
  };
  const auto plain = []<class S>(S) {
    return [](const watched_linear& l) { return quantize<S>(l.layer.weights); };
  };
  const auto by_importance = []<class S>(S) {
    return [](const watched_linear& l) {
      return weighted_quantize<S>(l.layer.weights, l.importance());
    };
  };
  using four_codes_in_groups_of_16 = scheme<int2, grouped<16>, symmetric_full>;
  all.add("float32", bytes_of_layers(model.weights), llama(model.shape, model.weights));
  add("int8", plain(int8_per_row{}));
  add("int4, groups of 32", plain(int4_grouped<32>{}));
  add("int4, groups of 32, by importance", by_importance(int4_grouped<32>{}));
  add("int2, groups of 16, by importance", by_importance(four_codes_in_groups_of_16{}));
  return all.results();
}

int run(const options& given) {
  const std::string folder = given.text("--data", FEWBIT_DATA_DIR) + "/stories260k/";
  if (const std::string path = folder + "stories260k.safetensors"; !std::filesystem::exists(path)) {
    std::fprintf(stderr, "no data: %s is missing; --data names the folder\n", path.c_str());
    return 1;
  }
  const float_model model = load_model(folder + "stories260k.safetensors");
  const auto load = [&](const std::string& name) {
    return load_sequences(folder + name + ".npy", model);
  };
  const tensor logits = read_npy(folder + "greedy_logits_pos_0_64_255.npy");
  evaluation with{load_vocabulary(folder + "tokenizer512.safetensors"),
                  load("tokens_sampled"),
                  {},
                  load("tokens_greedy").front(),
                  logits.matrix<float>(),
                  given.number("--tokens", 256, 1, model.shape.positions)};
  for (const char* name : {"english_0_tokens", "english_1_tokens", "english_2_tokens"}) {
    with.english.push_back(load(name).front());
  }
  const table results = compare(model, load("tokens_calibration_sampled"), comparison(with));
  results.print();
  std::printf(
      "\nppl: perplexity. same start: tokens of the story, the first included, until it departs\n");
  std::printf(
      "from the reference; logit error: the largest on the reference. Tokens per second:\n");
  std::printf("median of stories of %td tokens, one thread: %s\n", with.length,
              machine_name().c_str());
  if (const std::string path = given.text("--json"); !path.empty()) results.write_json(path);
  return 0;
}

}  // namespace fewbit::examples

int main(int argc, char** argv) {
  const fewbit::examples::options given(
      argc, argv, "tiny_llama: a language model in float32, int8, int4 and int2 weights.",
      {{"--data", "DIR", "folder with stories260k/"},
       {"--tokens", "N", "length of the stories, 256 by default"},
       {"--json", "PATH", "writes the table as JSON, too"}});
  return fewbit::examples::run(given);
}
