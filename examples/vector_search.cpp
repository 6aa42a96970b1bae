// Search among real vectors by codes of a few bytes: how many of the nearest vectors it finds, and
// how fast.
//
// The vectors are the inputs of the last layer of ResNet-20, 64 averages of channels, for images of
// CIFAR-10. --data names the folder of the files that support/resnet.hpp lists. The last test
// images are the queries, and all other images are searched. "Nearest" means the least squared
// Euclidean distance. Read main() and run() first.
//
// If codes have few bytes, a rotation finds more. If codes have many bytes, the byte tables of the
// search limit the result, not the codes. The rows "ranked again" show this: float tables rank the
// vectors that were found.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fewbit/codebook/find_nearest.hpp>
#include <fewbit/codebook/residual_quantizer.hpp>
#include <fewbit/codebook/rotated_quantizer.hpp>
#include <fewbit/fewbit.hpp>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "support/line_chart_svg.hpp"
#include "support/npy.hpp"
#include "support/options.hpp"
#include "support/progress.hpp"
#include "support/resnet.hpp"
#include "support/stopwatch.hpp"
#include "support/table.hpp"

namespace fewbit::examples {

constexpr index found_vectors = 10;
constexpr std::array<index, 4> sizes{4, 8, 16, 32};  // bytes of the codes of a vector

using numbers = row_matrix<index>;  // the vectors found, a row per query

/// The inputs of the last layer for each image.
matrix features_of(const std::vector<float_weights>& layers, const image_set& images,
                   const std::string& label) {
  auto network = in_float(layers);
  matrix features(images.count(), layers.back().weights.cols());
  progress bar(label, images.count());
  for (index first = 0; first < images.count(); first += images_at_a_time) {
    const index count = std::min(images_at_a_time, images.count() - first);
    network(images.normalized(first, count), [&](std::size_t layer, const matrix& x) {
      if (layer + 1 == layers.size()) features.middleRows(first, count) = x;
    });
    bar.update(first + count);
  }
  return features;
}

/// The nearest by float distances to all vectors: a product of matrices, then a selection.
numbers exact_search(const matrix& vectors, const Eigen::RowVectorXf& squares,
                     const matrix& queries) {
  constexpr index queries_at_a_time = 64;
  numbers found(queries.rows(), found_vectors);
  std::vector<std::pair<float, index>> all(static_cast<std::size_t>(vectors.rows()));
  matrix distances;
  for (index first = 0; first < queries.rows(); first += queries_at_a_time) {
    const index count = std::min(queries_at_a_time, queries.rows() - first);
    distances.noalias() = -2.0F * queries.middleRows(first, count) * vectors.transpose();
    distances.rowwise() += squares;
    for (index q = 0; q < count; ++q) {
      for (index i = 0; i < vectors.rows(); ++i) {
        all[static_cast<std::size_t>(i)] = {distances(q, i), i};
      }
      std::partial_sort(all.begin(), all.begin() + found_vectors, all.end());
      for (index j = 0; j < found_vectors; ++j) {
        found(first + q, j) = all[static_cast<std::size_t>(j)].second;
      }
    }
  }
  return found;
}

/// The nearest by codes. Sums of bytes select more vectors than needed; float tables rank them.
numbers search_and_rank(const product_quantizer& pq, const packed_codes<>& packed,
                        const matrix& queries) {
  constexpr index candidates = 4 * found_vectors;
  const find_nearest_result near = find_nearest(pq, packed, queries, candidates);
  distance_tables tables(pq);
  numbers found(queries.rows(), found_vectors);
  std::array<std::pair<float, index>, candidates> some;
  for (index q = 0; q < queries.rows(); ++q) {
    tables.set_squared_distances(queries.row(q).data());
    for (index c = 0; c < candidates; ++c) {
      const index i = near.numbers(q, c);
      float sum = 0.0F;
      for (index p = 0; p < pq.parts(); ++p) sum += tables(p, packed.code(i, p));
      some[static_cast<std::size_t>(c)] = {sum, i};
    }
    std::partial_sort(some.begin(), some.begin() + found_vectors, some.end());
    for (index j = 0; j < found_vectors; ++j) {
      found(q, j) = some[static_cast<std::size_t>(j)].second;
    }
  }
  return found;
}

/// The percentage of the exact nearest vectors that were found.
double percent_recalled(const numbers& found, const numbers& exact) {
  index hits = 0;
  for (index q = 0; q < exact.rows(); ++q) {
    for (const index i : exact.row(q)) hits += (found.row(q).array() == i).any() ? 1 : 0;
  }
  return 100.0 * static_cast<double>(hits) / static_cast<double>(exact.size());
}

/// Measures each way to search: a row of the table and a point of the chart.
class recall_table {
 public:
  recall_table(matrix vectors, matrix queries)
      : vectors_(std::move(vectors)),
        squares_(vectors_.rowwise().squaredNorm()),
        queries_(std::move(queries)),
        exact_(exact_search(vectors_, squares_, queries_)) {
    const auto search_all = [&] { return exact_search(vectors_, squares_, queries_); };
    exact_rate_ = rate_of(search_all);
    add_row("float32, exact", static_cast<double>(vectors_.cols()) * sizeof(float), 100.0,
            exact_rate_);
  }

  void add_plain(int bits) {
    chart_line line{std::to_string(bits) + "-bit codes", {}};
    progress bar(line.label, steps);
    for (const index bytes : sizes) {
      const product_quantizer pq = train_product_quantizer(vectors_, options_of(bits, bytes));
      const packed_codes packed(pq, pq.encode(vectors_));
      add_search(line, bytes,
                 [&] { return find_nearest(pq, packed, queries_, found_vectors).numbers; });
      bar.update(static_cast<index>(line.points.size()));
    }
    chart_.add(std::move(line));
  }

  /// Adds the vectors that find_nearest returns and, if `ranked`, the same ranked again by floats.
  void add_rotated(int bits, bool ranked) {
    chart_line line{std::to_string(bits) + "-bit codes, rotated", {}};
    chart_line again{line.label + ", ranked again", {}};
    progress bar(line.label, steps);
    std::vector<rotated_quantizer> trained;
    for (const index bytes : sizes) {
      trained.push_back(train_rotated_quantizer(vectors_, {.pq = options_of(bits, bytes)}));
      const rotated_quantizer& rq = trained.back();
      const packed_codes packed(rq.quantizer(), rq.encode(vectors_));
      add_search(line, bytes, [&] {
        return find_nearest(rq.quantizer(), packed, rq.rotate(queries_), found_vectors).numbers;
      });
      bar.update(static_cast<index>(line.points.size()));
    }
    chart_.add(std::move(line));
    if (!ranked) return;
    for (std::size_t i = 0; i < trained.size(); ++i) {
      const product_quantizer& pq = trained[i].quantizer();
      const packed_codes packed(pq, trained[i].encode(vectors_));
      add_search(again, sizes[i],
                 [&] { return search_and_rank(pq, packed, trained[i].rotate(queries_)); });
    }
    chart_.add(std::move(again));
  }

  /// One byte for the nearest of 256 centroids, then codes of the residual. The library has no
  /// search by such codes, so the decoded vectors are searched exactly and no speed is shown.
  void add_residual() {
    chart_line line{"8-bit codes of residuals", {}};
    progress bar(line.label, steps - 1);
    for (const index bytes : {4, 8, 16}) {
      const residual_quantizer rq =
          train_residual_quantizer(vectors_, {.parts = 1}, options_of(8, bytes));
      const matrix near = rq.decode(rq.encode(vectors_));
      const double recall =
          percent_recalled(exact_search(near, near.rowwise().squaredNorm(), queries_), exact_);
      add_point(line, bytes + 1, recall, std::numeric_limits<double>::quiet_NaN());
      bar.update(static_cast<index>(line.points.size()));
    }
    chart_.add(std::move(line));
  }

  [[nodiscard]] const table& results() const { return results_; }
  [[nodiscard]] const line_chart_svg& chart() const { return chart_; }

 private:
  static constexpr auto steps = static_cast<index>(sizes.size());

  static pq_options options_of(int bits, index bytes) {
    return {.parts = bytes * 8 / bits, .bits = bits};
  }

  template <class Search>
  [[nodiscard]] double rate_of(const Search& search_all) const {
    return 1e6 * static_cast<double>(queries_.rows()) / median_microseconds(search_all, 5);
  }

  template <class Search>
  void add_search(chart_line& line, index bytes, const Search& search_all) {
    add_point(line, bytes, percent_recalled(search_all(), exact_), rate_of(search_all));
  }

  void add_point(chart_line& line, index bytes, double recall, double rate) {
    line.points.push_back({static_cast<double>(bytes), recall});
    add_row(line.label + ", " + std::to_string(bytes) + " bytes", static_cast<double>(bytes),
            recall, rate);
  }

  void add_row(const std::string& name, double bytes, double recall, double rate) {
    results_.add(name, {bytes, recall, rate, rate / exact_rate_});
  }

  matrix vectors_;
  Eigen::RowVectorXf squares_;
  matrix queries_;
  numbers exact_;
  double exact_rate_ = 0.0;
  table results_{"vector_search",
                 "scheme",
                 {{"bytes", "bytes_per_vector", 0},
                  {"recall@10 %", "recall_percent", 2},
                  {"queries/s", "queries_per_second", 0},
                  {"x exact", "times_exact_speed", 1}}};
  line_chart_svg chart_{2, 5, "The 10 nearest of ResNet-20's features, found by codes",
                        "bytes per vector", "recall@10, percent"};
};

int run(const options& given, const std::filesystem::path& program) {
  const std::string folder = given.text("--data", FEWBIT_DATA_DIR);
  const std::string weights = folder + "/resnet/resnet20_cifar10_folded.safetensors";
  const std::string images = folder + "/cifar10/";
  for (const std::string& path : {weights, images + "test_images.npy"}) {
    if (std::filesystem::exists(path)) continue;
    std::fprintf(stderr, "no data: %s is missing; --data names the folder\n", path.c_str());
    return 1;
  }

  const auto layers = load_weights(weights, 3);
  const matrix train = features_of(layers, {read_npy(images + "calib_images.npy")}, "features");
  const matrix test = features_of(layers, {read_npy(images + "test_images.npy")}, "features, test");
  const index queries = given.number("--queries", 1000, 1, test.rows() - 1);
  matrix vectors(train.rows() + test.rows() - queries, test.cols());
  vectors << train, test.topRows(test.rows() - queries);

  recall_table all(vectors, test.bottomRows(queries));
  for (const int bits : {8, 4}) {
    all.add_plain(bits);
    all.add_rotated(bits, bits == 8);
  }
  all.add_residual();
  all.results().print();
  std::printf("\n%td vectors of %td numbers, %td queries: %s\n", vectors.rows(), vectors.cols(),
              queries, machine_name().c_str());
  const std::string picture = (program.parent_path() / "vector_search.svg").string();
  all.chart().write(picture);
  std::printf("recall beside bytes: %s\n", picture.c_str());
  if (const std::string path = given.text("--json"); !path.empty()) all.results().write_json(path);
  return 0;
}

}  // namespace fewbit::examples

int main(int argc, char** argv) {
  const fewbit::examples::options given(
      argc, argv, "vector_search: recall and speed of search by codes, on features of CIFAR-10.",
      {{"--data", "DIR", "folder with resnet/ and cifar10/"},
       {"--queries", "N", "how many test images are queries, 1000 by default"},
       {"--json", "PATH", "writes the table as JSON, too"}});
  return fewbit::examples::run(given, argv[0]);
}
