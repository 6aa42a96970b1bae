// The graph, its arena and its runner in examples/support.

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "arena.hpp"
#include "fewbit/core/random.hpp"
#include "graph.hpp"
#include "graph_runner.hpp"
#include "support/plain_conv.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace support_graph_test {

using examples::arena_plan;
using examples::buffer_life;
using examples::element;
using examples::graph;
using examples::graph_runner;
using examples::plan_arena;
using nlohmann::json;
using tests::sentence_of;

TEST(arena_test, shares_bytes_of_buffers_that_are_never_used_together) {
  const std::vector<buffer_life> lives{{100, 0, 1}, {64, 1, 2}, {128, 2, 3}, {0, 0, 9}, {9, 3, 2}};
  const arena_plan plan = plan_arena(lives);
  EXPECT_EQ(plan.offsets, (std::vector<index>{0, 128, 0, 0, 0}));
  EXPECT_EQ(plan.bytes, 192);
}

TEST(arena_test, fills_gaps) {
  const std::vector<buffer_life> lives{{256, 0, 0}, {192, 0, 2}, {64, 1, 1}, {128, 1, 2}};
  const arena_plan plan = plan_arena(lives);
  EXPECT_EQ(plan.bytes, 448);  // 256 + 192; the last two lie in the place of the first
}

TEST(arena_test, keeps_buffers_apart) {
  std::uint32_t state = 1;
  const auto next = [&](std::uint32_t below) {
    state = state * 1664525 + 1013904223;
    return static_cast<index>((state >> 8) % below);
  };
  std::vector<buffer_life> lives;
  for (int i = 0; i < 60; ++i) {
    const index first = next(30);
    lives.push_back({next(1000) + 1, first, first + next(6)});
  }
  const arena_plan plan = plan_arena(lives);
  for (std::size_t a = 0; a < lives.size(); ++a) {
    EXPECT_EQ(plan.offsets[a] % 64, 0);
    EXPECT_LE(plan.offsets[a] + lives[a].bytes, plan.bytes);
    for (std::size_t b = 0; b < a; ++b) {
      if (!lives[a].meets(lives[b])) continue;
      EXPECT_TRUE(plan.offsets[a] + lives[a].bytes <= plan.offsets[b] ||
                  plan.offsets[b] + lives[b].bytes <= plan.offsets[a])
          << a << " and " << b;
    }
  }
}

template <class T>
examples::tensor constant(const std::string& name, element type, const std::vector<T>& values) {
  examples::tensor t{name, type, {static_cast<index>(values.size())}, {}};
  const auto bytes = std::as_bytes(std::span(values));
  t.bytes.assign(bytes.begin(), bytes.end());
  return t;
}

json activation(const std::vector<index>& shape, float scale, int zero) {
  return {{"dtype", "INT8"}, {"shape", shape}, {"scale", scale}, {"zero_point", zero}};
}

/// PAD, CONV_2D without padding, ADD of its output to itself, RESHAPE. Images are 4 x 5 x 2.
struct small_graph {
  json description;
  examples::safetensors constants;
  std::vector<std::int8_t> w = tests::random_codes_of<std::int8_t>(3 * 3 * 3 * 2, 1, -127, 127);

  small_graph() {
    description["tensors"] = {
        activation({1, 4, 5, 2}, 0.5F, 3),
        {{"dtype", "INT32"}, {"shape", {4, 2}}, {"data", "t1"}},
        activation({1, 6, 7, 2}, 0.5F, 3),
        {{"dtype", "INT8"}, {"shape", {3, 3, 3, 2}}, {"scale", "t3.scale"}, {"data", "t3"}},
        {{"dtype", "INT32"}, {"shape", {3}}, {"data", "t4"}},
        activation({1, 4, 5, 3}, 1.0F, -5),
        activation({1, 4, 5, 3}, 2.0F, -5),
        activation({1, 60}, 2.0F, -5)};
    description["ops"] = {{{"op", "PAD"}, {"inputs", {0, 1}}, {"outputs", {2}}},
                          {{"op", "CONV_2D"},
                           {"inputs", {2, 3, 4}},
                           {"outputs", {5}},
                           {"options", {{"padding", "VALID"}, {"stride_w", 1}, {"stride_h", 1}}},
                           {"multiplier", "m"},
                           {"shift", "s"},
                           {"activation_min", -128},
                           {"activation_max", 127}},
                          {{"op", "ADD"},
                           {"inputs", {5, 5}},
                           {"outputs", {6}},
                           {"options", {{"fused_activation_function", "RELU"}}}},
                          {{"op", "RESHAPE"}, {"inputs", {6}}, {"outputs", {7}}}};
    description["inputs"] = {0};
    description["outputs"] = {7};
    const auto add = [&](const examples::tensor& t) { constants.tensors[t.name] = t; };
    add(constant<std::int32_t>("t1", element::i32, {0, 0, 1, 1, 1, 1, 0, 0}));
    add(constant<std::int8_t>("t3", element::i8, w));
    add(constant<float>("t3.scale", element::f32, {1.0F, 1.0F, 1.0F}));
    add(constant<std::int32_t>("t4", element::i32, {10, -20, 30}));
    add(constant<std::int32_t>("m", element::i32, std::vector<std::int32_t>(3, 1 << 30)));
    add(constant<std::int32_t>("s", element::i32, {-6, -7, -8}));
  }

  [[nodiscard]] graph make() const {
    return examples::graph_detail::parse_graph(description, constants);
  }
};

TEST(graph_runner_test, gives_the_codes_of_its_operators) {
  const small_graph small;
  const graph g = small.make();
  const auto x = tests::random_codes_of<std::int8_t>(40, 2, -128, 127);
  const tests::conv_case c{{4, 5, 2}, 3, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}, 1};
  const auto sums = tests::plain_sums(
      c, x.data(),
      row_matrix<std::int8_t>(Eigen::Map<const row_matrix<std::int8_t>>(small.w.data(), 3, 18)), 3);
  for (const bool folds : {false, true}) {
    graph_runner runner(g, {.folds_padding = folds});
    std::vector<index> ran;
    std::vector<std::int8_t> conv;
    runner.run(x, [&](index op, std::span<const std::int8_t> y, double) {
      ran.push_back(op);
      if (op == 1) conv.assign(y.begin(), y.end());
    });
    EXPECT_EQ(ran, folds ? (std::vector<index>{1, 2}) : (std::vector<index>{0, 1, 2}));
    ASSERT_EQ(conv.size(), 60U);
    ASSERT_EQ(runner.output().size(), 60U);
    for (std::size_t i = 0; i < 60; ++i) {
      const std::int32_t bias[] = {10, -20, 30};
      const std::int64_t sum = sums[i] + bias[i % 3];
      const std::int32_t scaled = tflite_double::apply(static_cast<std::int32_t>(sum), 1 << 30,
                                                       -6 - static_cast<int>(i % 3));
      const int want = std::min(std::max(scaled - 5, -128), 127);
      ASSERT_EQ(int{conv[i]}, want) << i;
      // Twice a number in twice its step is its code; negative numbers become 0.
      ASSERT_EQ(int{runner.output()[i]}, std::max(want, -5)) << i;
    }
    EXPECT_EQ(runner.arena_bytes(), folds ? 128 : 192);
  }
}

TEST(graph_test, names_what_cannot_be) {
  const auto sentence = [](const auto& change) {
    small_graph small;
    change(small);
    return sentence_of([&] {
      const graph g = small.make();
      const graph_runner runner(g);
    });
  };
  EXPECT_EQ(sentence([](small_graph& s) { s.description["ops"][2]["op"] = "SQRT"; }).substr(0, 44),
            "fewbit: read_graph: an operator is SQRT, exp");
  EXPECT_EQ(sentence([](small_graph& s) {
              s.description["ops"][2]["inputs"] = {5, 8};
            }),
            "fewbit: read_graph: a tensor of ADD is 8, expected -1 to 7");
  EXPECT_EQ(sentence([](small_graph& s) { s.description["tensors"][6]["dtype"] = "FLOAT32"; }),
            "fewbit: read_graph: the type of '' is FLOAT32, expected INT8");
  EXPECT_EQ(sentence([](small_graph& s) { s.constants.tensors.erase("t4"); }),
            "fewbit: safetensors: 't4' is missing, expected a tensor");
  EXPECT_EQ(sentence([](small_graph& s) {
              s.description["tensors"][5]["shape"] = {1, 4, 5, 4};
            }),
            "fewbit: read_graph: the output of CONV_2D is 80 codes, expected 60");
  EXPECT_EQ(sentence([](small_graph& s) {
              s.description["inputs"] = {0, 1};
            }),
            "fewbit: read_graph: inputs or outputs is 2, expected one tensor each");
}

TEST(graph_test, names_files_that_cannot_be_read) {
  EXPECT_EQ(sentence_of([] { static_cast<void>(examples::read_graph("net.json")); }),
            "fewbit: read_graph: path is net.json, expected a name that ends with .graph.json");
}

}}  // namespace fewbit::support_graph_test
