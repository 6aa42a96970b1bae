#pragma once
/// Product quantization rows of the codebook benchmark. Every implementation uses the same
/// centroids, points and queries.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/core/random.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::benchmarks {

inline constexpr index coded_points = 65536;
inline constexpr index coded_dimension = 128;
inline constexpr index coded_queries = 8;
inline constexpr index found_points = 10;

using code_matrix = row_matrix<std::uint8_t>;
using number_matrix = row_matrix<index>;  // indices of the points found, one row per query

inline row_matrix<float> normal_points(index rows, std::uint64_t seed) {
  row_matrix<float> points(rows, coded_dimension);
  for (index i = 0; i < points.size(); ++i) points.data()[i] = normal({seed}, i);
  return points;
}

/// Points, queries, a quantizer with `bits` bits for each of `parts` parts, and the codes of the
/// points.
struct coded_case {
  coded_case(index parts, int bits)
      : points(normal_points(coded_points, 1)),
        queries(normal_points(coded_queries, 2)),
        pq(train_product_quantizer(
            points.topRows(8192), {.parts = parts, .bits = bits, .clustering = {.iterations = 4}})),
        codes(pq.encode(points)) {}

  static const coded_case& of(index parts, int bits) {
    static std::vector<std::pair<index, std::unique_ptr<coded_case>>> made;
    const index key = parts * 16 + bits;
    for (const auto& [known, value] : made) {
      if (known == key) return *value;
    }
    made.emplace_back(key, std::make_unique<coded_case>(parts, bits));
    return *made.back().second;
  }

  row_matrix<float> points;
  row_matrix<float> queries;
  product_quantizer pq;
  code_matrix codes;
};

/// The fraction of the true nearest decoded points (by plain loops) that `found` contains.
inline double share_found(const coded_case& c, const number_matrix& found) {
  const row_matrix<float> near = c.pq.decode(c.codes);
  index hits = 0;
  for (index q = 0; q < found.rows(); ++q) {
    std::vector<std::pair<float, index>> all;
    for (index i = 0; i < near.rows(); ++i) {
      all.emplace_back((near.row(i) - c.queries.row(q)).squaredNorm(), i);
    }
    std::partial_sort(all.begin(), all.begin() + found.cols(), all.end());
    for (index j = 0; j < found.cols(); ++j) {
      for (index i = 0; i < found.cols(); ++i) {
        hits += found(q, j) == all[static_cast<std::size_t>(i)].second ? 1 : 0;
      }
    }
  }
  return static_cast<double>(hits) / static_cast<double>(found.size());
}

/// Adds an encoding row. `encode` is a callable points -> codes.
template <class Encode>
void run_encoding(benchmark::State& state, const coded_case& c, Encode encode) {
  code_matrix codes = encode(c.points);
  const double misses = (c.pq.decode(codes) - c.points).squaredNorm();
  if (!(misses <= 1.00001 * (c.pq.decode(c.codes) - c.points).squaredNorm())) {
    state.SkipWithError("not the nearest centroids");
    return;
  }
  for (auto _ : state) {
    codes = encode(c.points);
    benchmark::ClobberMemory();
  }
  const index distances = c.points.rows() * c.pq.parts() * c.pq.code_count();
  constexpr auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["Gps"] = {1e-9 * static_cast<double>(distances), rate};
}

/// Adds a search row. `search` is a callable queries -> indices of the nearest points.
template <class Search>
void run_search(benchmark::State& state, const coded_case& c, index queries, Search search) {
  const row_matrix<float> batch = c.queries.topRows(queries);
  number_matrix found = search(batch);
  const double share = share_found(c, found);
  if (share < 0.8) {
    state.SkipWithError("not the nearest points");
    return;
  }
  for (auto _ : state) {
    found = search(batch);
    benchmark::ClobberMemory();
  }
  const index lookups = c.points.rows() * c.pq.parts() * queries;
  constexpr auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["Gps"] = {1e-9 * static_cast<double>(lookups), rate};
  state.counters["found"] = share;
}

inline std::string search_name(const std::string& what, const std::string& implementation,
                               index queries) {
  return what + "/" + implementation + "/queries:" + std::to_string(queries);
}

}  // namespace fewbit::benchmarks
