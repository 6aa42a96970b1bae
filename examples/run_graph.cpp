// Runs a network that others quantized: a graph of int8 operators in one block of memory.
//
// support/graph.hpp describes the files, support/graph_operators.hpp prepares operators of fewbit,
// support/graph_runner.hpp places the activations and runs. Read run() first.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fewbit/fewbit.hpp>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/graph_input.hpp"
#include "support/graph_runner.hpp"
#include "support/npy.hpp"
#include "support/options.hpp"
#include "support/progress.hpp"
#include "support/table.hpp"

namespace fewbit::examples {

/// Images of the file, or one image of zeros.
tensor images_of(const std::string& path, const graph_tensor& input) {
  if (!path.empty()) {
    tensor images = read_npy(path);
    if (images.shape.empty() || images.shape[0] < 1 ||
        images.size() != images.shape[0] * input.size()) {
      detail::fail("run_graph", "the size of " + path, images.size(),
                   "a multiple of " + std::to_string(input.size()));
    }
    return images;
  }
  tensor zeros{"zeros", element::i8, {1, input.size()}, {}};
  zeros.bytes.resize(static_cast<std::size_t>(input.size()));
  return zeros;
}

/// Seconds of the processor for all operators of one kind, for each image.
struct cost {
  std::vector<double> seconds;
  index operators = 0;  // of one image
};

double median(std::vector<double> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return numbers[numbers.size() / 2];
}

/// Runs the first `count` images. Returns the costs by kind of operator, and those of all as "all".
std::map<std::string, cost> measure(const graph& g, graph_runner& runner, const tensor& images,
                                    index count, std::vector<index>& classes) {
  std::map<std::string, cost> costs;
  for (const graph_op& op : g.ops) {
    ++costs[op.kind].operators;
    ++costs["all"].operators;
  }
  progress shown("images", count);
  for (index i = 0; i < count; ++i) {
    const std::vector<std::int8_t> codes = codes_of(images, i, g.input());
    for (auto& [kind, c] : costs) c.seconds.push_back(0.0);
    runner.run(codes, [&](index op, std::span<const std::int8_t>, double seconds) {
      costs[g.ops[static_cast<std::size_t>(op)].kind].seconds.back() += seconds;
      costs["all"].seconds.back() += seconds;
    });
    const auto y = runner.output();
    classes.push_back(std::max_element(y.begin(), y.end()) - y.begin());
    shown.update(i + 1);
  }
  return costs;
}

int run(const options& given) {
  const std::string path = given.text("--graph");
  if (path.empty()) given.wrong("--graph is missing");
  if (!std::filesystem::exists(path)) {
    std::fprintf(stderr, "no data: %s is missing\n", path.c_str());
    return 1;
  }
  const graph g = read_graph(path);
  graph_runner runner(g);
  const tensor images = images_of(given.text("--images"), g.input());
  const index count = given.number("--count", images.shape[0], 1, images.shape[0]);

  std::vector<index> classes;
  const std::map<std::string, cost> costs = measure(g, runner, images, count, classes);

  std::vector<std::pair<double, std::string>> by_time;
  for (const auto& [kind, c] : costs) by_time.emplace_back(median(c.seconds), kind);
  std::sort(by_time.rbegin(), by_time.rend());
  table results("run_graph", "operator",
                {{"operators", "operators", 0}, {"ms per image", "ms_per_image", 3}});
  for (const auto& [seconds, kind] : by_time)
    results.add(kind, {static_cast<double>(costs.at(kind).operators), 1e3 * seconds});
  results.print();
  std::printf("\nmedians of %td images; activations: %td bytes; scratch: %td bytes; %s\n", count,
              runner.arena_bytes(), runner.scratch_bytes(), machine_name().c_str());
  std::printf("class of the first images:");
  for (index i = 0; i < std::min(count, index{10}); ++i)
    std::printf(" %td", classes[static_cast<std::size_t>(i)]);
  std::printf("\n");
  if (const std::string json = given.text("--json"); !json.empty()) results.write_json(json);
  return 0;
}

}  // namespace fewbit::examples

int main(int argc, char** argv) {
  // The first arguments may stand without their names: run_graph <graph> [images] ...
  std::vector<const char*> arguments{argv[0]};
  int next = 1;
  for (const char* name : {"--graph", "--images"}) {
    if (next == argc || argv[next][0] == '-') break;
    arguments.push_back(name);
    arguments.push_back(argv[next++]);
  }
  for (; next < argc; ++next) arguments.push_back(argv[next]);
  const fewbit::examples::options given(
      static_cast<int>(arguments.size()), arguments.data(),
      "run_graph <graph> [images]: a network of int8 operators that others quantized.",
      {{"--graph", "PATH", "<name>.graph.json with <name>.safetensors beside it"},
       {"--images", "PATH", ".npy with one image in each row: int8, uint8 or float32"},
       {"--count", "N", "how many images, all by default"},
       {"--json", "PATH", "writes the table as JSON, too"}});
  return fewbit::examples::run(given);
}
