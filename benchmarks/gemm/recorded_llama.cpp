// Records the products of stories260K while it reads a text that it wrote.

#include "support/recorded_products.hpp"

#if __has_include(<nlohmann/json.hpp>)

#include <algorithm>
#include <memory>

#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/scheme.hpp"
#include "llama_files.hpp"

namespace fewbit::benchmarks::recording {

namespace {

/// A linear layer that keeps its inputs.
struct recording_linear {
  const row_matrix<float>* weights;
  std::shared_ptr<row_matrix<float>> seen;

  [[nodiscard]] index inputs() const { return weights->cols(); }
  void operator()(const examples::row& x, examples::row& y) const {
    y.noalias() = x * weights->transpose();
    seen->conservativeResize(seen->rows() + 1, x.size());
    seen->bottomRows(1) = x;
  }
};

}  // namespace

std::vector<recorded_product> llama(const std::string& folder) {
  constexpr std::size_t read = 128;
  const auto model = examples::load_model(folder + "/stories260k.safetensors");
  const auto text = examples::load_sequences(folder + "/tokens_sampled.npy", model)[0];
  std::vector<recording_linear> layers;
  examples::llama<recording_linear> network(
      model.shape, model.weights.with_layers([&](const examples::float_linear& layer) {
        layers.push_back({&layer.weights, std::make_shared<row_matrix<float>>(0, layer.inputs())});
        return layers.back();
      }));
  for (std::size_t i = 0; i < std::min(read, text.size()); ++i) network(text[i]);
  std::vector<recorded_product> products;
  for (const recording_linear& layer : layers) {
    const range seen{layer.seen->minCoeff(), layer.seen->maxCoeff()};
    products.push_back(
        {codes_of(*layer.seen, seen), quantize<int8_per_row>(*layer.weights).codes()});
  }
  return products;
}

}  // namespace fewbit::benchmarks::recording

#endif
