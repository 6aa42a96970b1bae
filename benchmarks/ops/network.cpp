// Benchmarks of MobileNetV2 in int8, one image in a call: the whole graph in this library, and the
// layers of the graph one after the other in others.

#include <benchmark/benchmark.h>

#include <exception>
#include <string>

#include "fewbit/arch/all.hpp"
#include "support/network_layers.hpp"

#if __has_include(<nlohmann/json.hpp>)

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include "graph_input.hpp"
#include "graph_runner.hpp"
#include "npy.hpp"

namespace fewbit::benchmarks { namespace {

using examples::graph;
using examples::graph_op;
using examples::graph_runner;

std::string file_of_network(const char* name) {
  return std::string(FEWBIT_DATA_DIR) + "/mobilenetv2_int8/" + name;
}

graph read_network() {
  const std::string path = file_of_network("mobilenetv2_int8.graph.json");
  if (!std::filesystem::exists(path)) detail::fail("network", path, "missing", "a file");
  return examples::read_graph(path);
}

/// Whether the logits of the first images are those of the reference, code by code.
bool is_exact(graph_runner& runner, const examples::tensor& images) {
  constexpr index compared = 4;
  const auto logits = examples::read_npy(file_of_network("reference_logits_int8.npy"));
  for (index i = 0; i < compared; ++i) {
    runner.run(examples::codes_of(images, i, runner.input()));
    const auto y = runner.output();
    const auto expected = logits.matrix<std::int8_t>().row(i);
    if (!std::equal(y.begin(), y.end(), expected.begin(), expected.end())) return false;
  }
  return true;
}

void run_graph(benchmark::State& state) {
  const graph g = read_network();
  graph_runner runner(g);
  const auto images = examples::read_npy(file_of_network("images.npy"));
  state.counters["exact"] = is_exact(runner, images) ? 1 : 0;
  const auto image = examples::codes_of(images, 0, g.input());
  for (auto _ : state) {
    runner.run(image);
    benchmark::ClobberMemory();
  }
  state.counters["arena_bytes"] = static_cast<double>(runner.arena_bytes());
}

layer_kind kind_of(const graph_op& op) {
  if (op.kind == "CONV_2D" || op.kind == "FULLY_CONNECTED") return layer_kind::conv;
  if (op.kind == "DEPTHWISE_CONV_2D") return layer_kind::depthwise;
  if (op.kind == "ADD") return layer_kind::add;
  if (op.kind == "MEAN") return layer_kind::mean;
  if (op.kind == "TRANSPOSE") return layer_kind::transpose;
  detail::fail("network", "an operator", op.kind, "one of MobileNetV2");
}

/// The extents of an operator. Its input tensor contains the padding of a PAD, the image does not.
network_layer layer_of(const graph& g, const graph_runner::placed_op& placed) {
  const graph_op& op = g.ops[static_cast<std::size_t>(placed.op)];
  const image_extents out = g.at(op.outputs[0]).image();
  network_layer layer{kind_of(op), {"", g.at(op.inputs[0]).image(), out.channels, {}}};
  if (layer.kind == layer_kind::transpose) layer.conv.image = out;
  if (op.kind == "CONV_2D" || op.kind == "DEPTHWISE_CONV_2D") {
    const std::vector<index>& weights = g.at(op.inputs[1]).shape;
    const padding2d& p = placed.padding;
    layer.conv.window = {.kernel = {weights[1], weights[2]},
                         .stride = {op.number("stride_h", 1), op.number("stride_w", 1)},
                         .padding = p};
    layer.conv.image.height -= p.top + p.bottom;
    layer.conv.image.width -= p.left + p.right;
  }
  return layer;
}

/// All layers of the network that a library has, in the order and in the memory of the graph.
class layers_in_arena {
 public:
  layers_in_arena(const graph& g, const layer_maker& make) {
    const graph_runner runner(g);
    arena_ = aligned_buffer<std::uint8_t>(runner.arena_bytes() + bytes_read_behind);
    for (const graph_runner::placed_op& placed : runner.placed_ops()) {
      layer_memory at{arena_.data() + placed.inputs[0], nullptr, arena_.data() + placed.output};
      if (placed.inputs.size() == 2) at.b = arena_.data() + placed.inputs[1];
      timed_layer layer = make(layer_of(g, placed), at);
      if (layer.run) layers_.push_back(std::move(layer));
    }
  }

  void operator()() const {
    for (const timed_layer& layer : layers_) layer.run();
  }
  [[nodiscard]] bool is_exact() const {
    return std::all_of(layers_.begin(), layers_.end(), [](const auto& l) { return l.exact; });
  }
  [[nodiscard]] std::size_t count() const { return layers_.size(); }

 private:
  static constexpr index bytes_read_behind = 64;  // XNNPACK reads bytes behind its inputs

  aligned_buffer<std::uint8_t> arena_;
  std::vector<timed_layer> layers_;
};

void run_layers(benchmark::State& state, const layer_maker& make) {
  const layers_in_arena layers(read_network(), make);
  for (auto _ : state) {
    layers();
    benchmark::ClobberMemory();
  }
  state.counters["exact"] = layers.is_exact() ? 1 : 0;
  state.counters["layers"] = static_cast<double>(layers.count());
}

}  // namespace
}  // namespace fewbit::benchmarks

#else

namespace fewbit::benchmarks { namespace {

constexpr const char* no_json = "left out: nlohmann-json was not found when this was built";
void run_graph(benchmark::State& state) { state.SkipWithError(no_json); }
void run_layers(benchmark::State& state, const layer_maker&) { state.SkipWithError(no_json); }

}  // namespace
}  // namespace fewbit::benchmarks

#endif

namespace fewbit::benchmarks {

/// Registers a row. If `run` throws, the row prints the sentence and has no time.
template <class Run>
static void add_row(const std::string& implementation, const Run& run) {
  const auto guarded = [run](benchmark::State& state) {
    try {
      run(state);
    } catch (const std::exception& e) {
      state.SkipWithError(e.what());
    }
  };
  benchmark::RegisterBenchmark(("network/mobilenetv2_int8/" + implementation).c_str(), guarded)
      ->Unit(benchmark::kMillisecond);
}

void add_network_sum(const std::string& implementation, const layer_maker& make) {
  add_row(implementation, [make](benchmark::State& state) { run_layers(state, make); });
}

[[maybe_unused]] static const bool network_added = [] {
  add_row(std::string("fewbit_") + arch::native::name, run_graph);
  return true;
}();

}  // namespace fewbit::benchmarks
