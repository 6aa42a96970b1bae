// A language model that writes a story, token by token: float32, then int8, int4 and int2 weights.
//
// The network is stories260K of karpathy/tinyllamas (Llama 2 with 5 blocks of width 64). All linear
// weights are quantized, and so are the token embeddings in their use as output head. Inputs of
// these layers become int8 with a scale for each token. The lookup of embeddings, norms, attention
// and SiLU stay in float. Every story starts from an empty prompt, and each token is the most
// likely one. Read main() and compare() first, then support/llama.hpp.
//
// --weights names another file with the weights, also of quantize_checkpoint or llama.cpp. If its
// layers are quantized, the program runs their codes, and floats are quantized like them.
//
// The data are not part of this project. --data names a folder with a subfolder stories260k/. It
// contains the files that support/llama_files.hpp reads, and these:
//   tokens_greedy.npy               the most likely text of the reference
//   greedy_logits_pos_0_64_255.npy  logits of the reference on that text, float32
//   tokens_calibration_sampled.npy  text for fitting scales
//   tokens_sampled.npy, english_{0,1,2}_tokens.npy    text for measuring perplexity

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fewbit/fewbit.hpp>
#include <filesystem>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/llama.hpp"
#include "support/llama_files.hpp"
#include "support/llama_weights.hpp"
#include "support/npy.hpp"
#include "support/options.hpp"
#include "support/stopwatch.hpp"
#include "support/table.hpp"

namespace fewbit::examples {

// ---- kinds of quantized layers

/// A linear layer in float that sums the square of each input.
struct watched_linear {
  float_linear layer;
  row sum_of_squares = row::Zero(layer.inputs());

  [[nodiscard]] index inputs() const { return layer.inputs(); }

  void operator()(const row& x, row& y) {
    sum_of_squares += x.cwiseAbs2();
    layer(x, y);
  }

  /// The weight of each input in the quantization error: its sum of squares.
  [[nodiscard]] std::span<const float> importance() const {
    return {sum_of_squares.data(), static_cast<std::size_t>(inputs())};
  }
};

/// Runs the float network on texts. Returns its layers with the sums of squares of their inputs.
llama_weights<watched_linear> watch(const float_model& model, const std::vector<tokens>& texts) {
  const auto watched = [](const float_linear& layer) { return watched_linear{layer}; };
  llama<watched_linear> network(model.shape, model.weights.with_layers(watched));
  for (const tokens& text : texts) {
    network.restart();
    for (const index token : text) network(token);
  }
  return network.weights();
}

template <class S>
quantized_matrix<S> plain(const watched_linear& layer) {
  return quantize<S>(layer.layer.weights);
}
template <class S>
quantized_matrix<S> by_importance(const watched_linear& layer) {
  return weighted_quantize<S>(layer.layer.weights, layer.importance());
}

/// Size of the weights in a file, in bytes.
index bytes_of_layers(const llama_weights<float_linear>& weights) {
  return weights.sum_of_layers(
      [](const float_linear& layer) { return layer.weights.size() * index{sizeof(float)}; });
}
template <class S>
index bytes_of_layers(const llama_weights<quantized_matrix<S>>& weights) {
  return weights.sum_of_layers([](const quantized_matrix<S>& q) { return q.storage_bytes(); });
}

template <class S>
llama_weights<linear<S>> packed_layers(const llama_weights<quantized_matrix<S>>& codes) {
  return codes.with_layers([](const quantized_matrix<S>& q) {
    linear<S> layer(q);
    layer.reserve(1);  // one row per call
    return layer;
  });
}

// ---- measurements of a network

index likeliest(const row& logits) {
  index best = 0;
  logits.maxCoeff(&best);
  return best;
}

/// Generates `count` tokens, each the most likely one. Calls write(token) after each.
template <class Linear, class Write>
void generate(llama<Linear>& network, index count, const Write& write) {
  network.restart();
  index token = begin_of_text;
  for (index i = 0; i < count; ++i) {
    token = likeliest(network(token));
    write(token);
  }
}

/// Perplexity: exp of the mean of -log p(token i + 1 | tokens 0 to i) over all sequences.
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

constexpr std::array<index, 3> reference_positions{0, 64, 255};

/// Data for the measurements, the same for all networks.
struct evaluation {
  std::vector<std::string> vocabulary;
  std::vector<tokens> sampled;      ///< sampled from the float network
  std::vector<tokens> english;      ///< written by people
  tokens greedy;                    ///< the most likely text of the reference
  row_matrix<float> greedy_logits;  ///< logits of the reference at reference_positions
  index length;                     ///< of the stories, in tokens
};

evaluation load_evaluation(const std::string& folder, const float_model& model, index length) {
  const auto load = [&](const std::string& name) {
    return load_sequences(folder + name + ".npy", model);
  };
  const tensor logits = read_npy(folder + "greedy_logits_pos_0_64_255.npy");
  evaluation with{load_vocabulary(folder + "tokenizer512.safetensors", model),
                  load("tokens_sampled"),
                  {},
                  load("tokens_greedy").at(0),
                  logits.matrix<float>(),
                  length};
  for (const char* name : {"english_0_tokens", "english_1_tokens", "english_2_tokens"}) {
    with.english.push_back(load(name).at(0));
  }
  if (logits.shape != std::vector<index>{3, model.weights.embeddings.rows()} ||
      std::ssize(with.greedy) <= reference_positions.back()) {
    detail::fail("load_evaluation", logits.name, "of another size than the text or vocabulary",
                 "logits at 0, 64 and 255");
  }
  return with;
}

/// Generates a story with each network, measures the network and adds a row to the table.
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
  /// Prints the story token by token. Returns how many tokens at its start equal the reference.
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

  /// The largest difference from the logits of the reference, on the text of the reference.
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
    all.add(name, bytes_of_layers(codes), llama(model.shape, packed_layers(codes)));
  };
  all.add("float32", bytes_of_layers(model.weights), llama(model.shape, model.weights));
  add("int8", plain<int8_per_row>);
  add("int4, groups of 32", plain<int4_grouped<32>>);
  add("int4, groups of 32, by importance", by_importance<int4_grouped<32>>);
  add("int2, groups of 16, by importance",
      by_importance<scheme<int2, grouped<16>, symmetric_full>>);
  return all.results();
}

/// Runs the network with the codes of a file.
template <class... S>
table run_codes(scheme_list<S...> /*schemes*/, const llama_weight_file& file, comparison all) {
  const auto try_scheme = [&]<class Q>(std::type_identity<Q> /*scheme*/) {
    if (file.scheme() != scheme_text<Q>()) return false;
    const auto codes = file.codes<Q>();
    all.add("file, " + file.scheme(), bytes_of_layers(codes),
            llama(file.shape(), packed_layers(codes)));
    return true;
  };
  if (!(try_scheme(std::type_identity<S>()) || ...)) {
    detail::fail("tiny_llama", "scheme of --weights", file.scheme(), "one of llama_schemes");
  }
  return all.results();
}

int run(const options& given) {
  const std::string folder = given.text("--data", FEWBIT_DATA_DIR) + "/stories260k/";
  if (const std::string path = folder + "stories260k.safetensors"; !std::filesystem::exists(path)) {
    std::fprintf(stderr, "no data: %s is missing; --data names the folder\n", path.c_str());
    return 1;
  }
  const llama_weight_file file(given.text("--weights", folder + "stories260k.safetensors"));
  const float_model model{file.shape(), file.floats()};
  const index length = given.number("--tokens", 256, 1, model.shape.positions);
  const evaluation with = load_evaluation(folder, model, length);
  const table results =
      file.scheme().empty()
          ? compare(model, load_sequences(folder + "tokens_calibration_sampled.npy", model),
                    comparison(with))
          : run_codes(llama_schemes(), file, comparison(with));
  results.print();
  std::printf(
      "\nppl: perplexity. same start: tokens of the story, the first included, until it departs\n");
  std::printf(
      "from the reference; logit error: the largest on the reference. Tokens per second:\n");
  std::printf("median of stories of %td tokens, one thread: %s\n", length, machine_name().c_str());
  if (const std::string path = given.text("--json"); !path.empty()) results.write_json(path);
  return 0;
}

}  // namespace fewbit::examples

int main(int argc, char** argv) {
  const fewbit::examples::options given(
      argc, argv, "tiny_llama: a language model in float32, int8, int4 and int2 weights.",
      {{"--data", "DIR", "folder with stories260k/"},
       {"--weights", "FILE", "safetensors or GGUF; quantized layers: their codes alone"},
       {"--tokens", "N", "length of the stories, 256 by default"},
       {"--json", "PATH", "writes the table as JSON, too"}});
  return fewbit::examples::run(given);
}
