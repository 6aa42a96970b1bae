#pragma once
/// Runs a graph of int8 operators in one arena.
///
///     const graph g = read_graph(path);
///     graph_runner runner(g);
///     runner.run(codes);                  // runner.input().size() codes of one image
///     use(runner.output());
///
/// The constructor prepares the operators and places all activations in one block of memory, whose
/// size is arena_bytes(). A call allocates nothing. Read before: graph.hpp.

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "arena.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "graph.hpp"
#include "graph_operators.hpp"

namespace fewbit::examples {

struct graph_runner_options {
  /// A PAD before a convolution becomes its padding and does not run.
  bool folds_padding = true;
};

class graph_runner {
 public:
  using code = std::int8_t;

  /// @param g  lives as long as the runner
  /// @throws fewbit::error if an operator or a type of activations is not known
  explicit graph_runner(const graph& g, const graph_runner_options& options = {})
      : graph_(g), storage_(g.tensors.size(), -1) {
    for (std::size_t t = 0; t < storage_.size(); ++t) storage_[t] = static_cast<index>(t);
    for (std::size_t i = 0; i < g.ops.size(); ++i) prepare(i, options);
    place();
  }

  [[nodiscard]] const graph_tensor& input() const { return graph_.input(); }
  /// The output of the last run.
  [[nodiscard]] std::span<const code> output() const { return codes_of(graph_.outputs[0]); }
  /// Bytes of the block that holds the activations.
  [[nodiscard]] index arena_bytes() const { return plan_.bytes; }
  /// Bytes of the memory that operators share as scratch.
  [[nodiscard]] index scratch_bytes() const {
    return scratch_.rows.bytes_per_slot() * scratch_.rows.slots() +
           scratch_.workers.bytes_per_slot() * scratch_.workers.slots();
  }

  /// An operator that runs, and the first bytes of its codes in the arena.
  struct placed_op {
    index op;
    std::vector<index> inputs;  // without constants
    index output;
    padding2d padding;  // of a PAD that became padding of the operator
  };
  /// The operators that run, in order.
  [[nodiscard]] std::vector<placed_op> placed_ops() const {
    std::vector<placed_op> all;
    for (const step& s : steps_) {
      placed_op placed{s.op, {}, offset_of(s.output), s.padding};
      for (const index t : s.inputs) placed.inputs.push_back(offset_of(t));
      all.push_back(std::move(placed));
    }
    return all;
  }

  /// Runs all operators on one image.
  ///
  /// @param x      input().size() codes
  /// @param watch  called as watch(op, output codes, seconds) after each operator that ran; seconds
  ///               are those of the processor
  template <class Watch>
  void run(std::span<const code> x, const Watch& watch) {
    take(x);
    for (const step& s : steps_) {
      const operands o = operands_of(s);
      const std::clock_t before = std::clock();
      s.function(o);
      const std::clock_t ticks = std::clock() - before;
      watch(s.op, codes_of(s.output), static_cast<double>(ticks) / CLOCKS_PER_SEC);
    }
  }
  /// The same without reading the clock.
  void run(std::span<const code> x) {
    take(x);
    for (const step& s : steps_) s.function(operands_of(s));
  }

 private:
  struct step {
    index op;
    std::vector<index> inputs;  // tensors that are no constants
    index output;
    padding2d padding;
    graph_function function;
  };

  void take(std::span<const code> x) {
    if (static_cast<index>(x.size()) != input().size()) {
      graph_detail::bad("the number of codes", std::to_string(x.size()),
                        std::to_string(input().size()));
    }
    std::copy(x.begin(), x.end(), at(graph_.inputs[0]));
  }

  [[nodiscard]] operands operands_of(const step& s) {
    operands o{{}, at(s.output)};
    for (std::size_t i = 0; i < s.inputs.size(); ++i) o.x[i] = at(s.inputs[i]);
    return o;
  }

  void prepare(std::size_t i, const graph_runner_options& options) {
    const graph_op& op = graph_.ops[i];
    const index out = op.outputs[0];
    expect_codes(out);
    std::vector<index> inputs;
    for (const index t : op.inputs) {
      if (t < 0 || graph_.at(t).constant != nullptr) continue;
      expect_codes(t);
      inputs.push_back(t);
    }
    if (inputs.empty() || inputs.size() > 2)
      graph_detail::bad("the inputs of " + op.kind, std::to_string(inputs.size()), "1 or 2");
    if (op.kind == "RESHAPE") {
      storage_[static_cast<std::size_t>(out)] = storage_[static_cast<std::size_t>(inputs[0])];
      return;
    }
    const graph_detail::source s{graph_, op, scratch_};
    if (options.folds_padding && op.kind == "PAD" && feeds_one_convolution(out)) {
      folded_.push_back({out, inputs[0], graph_detail::pads_of(s)});
      return;
    }
    padding2d extra;
    for (const folded_pad& f : folded_) {
      if (inputs[0] != f.output) continue;
      inputs[0] = f.input;
      extra = f.pads;
    }
    steps_.push_back({static_cast<index>(i), inputs, out, extra,
                      graph_detail::function_of(s, extra, graph_.at(inputs[0]).image())});
  }

  void expect_codes(index t) const {
    if (graph_.at(t).type != "INT8")
      graph_detail::bad("the type of '" + graph_.at(t).name + "'", graph_.at(t).type, "INT8");
  }

  /// Whether the one use of a tensor is a convolution without padding.
  [[nodiscard]] bool feeds_one_convolution(index t) const {
    index uses = 0;
    for (const graph_op& op : graph_.ops) {
      for (const index input : op.inputs) {
        if (input != t) continue;
        ++uses;
        const bool is_conv = op.kind == "CONV_2D" || op.kind == "DEPTHWISE_CONV_2D";
        if (!is_conv || op.word("padding") != "VALID") return false;
      }
    }
    return uses == 1 && t != graph_.outputs[0];
  }

  /// Lives of the buffers: from the step that writes to the last step that reads.
  void place() {
    std::vector<buffer_life> lives(storage_.size());
    const auto use = [&](index t, index when, bool writes) {
      buffer_life& life = lives[static_cast<std::size_t>(storage_[static_cast<std::size_t>(t)])];
      if (life.bytes == 0) life = {graph_.at(t).size(), when, when};
      if (writes) life.first = std::min(life.first, when);
      life.last = std::max(life.last, when);
    };
    use(graph_.inputs[0], 0, true);
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      for (const index t : steps_[i].inputs) use(t, static_cast<index>(i), false);
      use(steps_[i].output, static_cast<index>(i), true);
    }
    use(graph_.outputs[0], static_cast<index>(steps_.size()), false);
    plan_ = plan_arena(lives);
    arena_ = aligned_buffer<code>(plan_.bytes);
  }

  [[nodiscard]] index offset_of(index t) const {
    return plan_.offsets[static_cast<std::size_t>(storage_[static_cast<std::size_t>(t)])];
  }
  [[nodiscard]] code* at(index t) { return arena_.data() + offset_of(t); }
  [[nodiscard]] std::span<const code> codes_of(index t) const {
    return {arena_.data() + offset_of(t), static_cast<std::size_t>(graph_.at(t).size())};
  }

  struct folded_pad {
    index output;
    index input;
    padding2d pads;
  };

  const graph& graph_;
  std::vector<index> storage_;  // the tensor whose buffer a tensor uses: RESHAPE moves nothing
  std::vector<folded_pad> folded_;
  std::vector<step> steps_;
  layer_scratch scratch_;
  arena_plan plan_;
  aligned_buffer<code> arena_;
};

}  // namespace fewbit::examples
