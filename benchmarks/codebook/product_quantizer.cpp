// Rows of the library's own product quantizer for every compiled instruction set.

#include "fewbit/codebook/product_quantizer.hpp"

#include <memory>
#include <string>
#include <vector>

#include "fewbit/codebook/find_nearest.hpp"
#include "support/pq_rows.hpp"

namespace fewbit::benchmarks { namespace {

template <class Arch>
void run_sums(benchmark::State& state, const coded_case& c, index queries) {
  const packed_codes<Arch> packed(c.pq, c.codes);
  std::vector<distance_tables> tables(static_cast<std::size_t>(queries), distance_tables(c.pq));
  std::vector<const std::uint8_t*> bytes;
  for (index q = 0; q < queries; ++q) {
    tables[static_cast<std::size_t>(q)].set_squared_distances(c.queries.data() +
                                                              q * coded_dimension);
    bytes.push_back(tables[static_cast<std::size_t>(q)].byte_tables());
  }
  const index blocks = packed.blocks_at_a_time();
  const index stride = packed.sums_stride();
  std::vector<std::uint16_t> sums(static_cast<std::size_t>(queries * stride));
  for (auto _ : state) {
    for (index b = 0; b < packed.blocks(); b += blocks) {
      packed.sum_lookups(bytes.data(), static_cast<int>(queries), b, blocks, sums.data(), stride);
    }
    benchmark::ClobberMemory();
  }
  const index first = coded_points - blocks * packed.points_per_block();
  for (index i = 0; i < blocks * packed.points_per_block(); ++i) {
    int want = 0;
    for (index p = 0; p < c.pq.parts(); ++p) {
      want += bytes[0][p * c.pq.code_count() + c.codes(first + i, p)];
    }
    if (sums[static_cast<std::size_t>(i)] != want) state.SkipWithError("wrong sums");
  }
  const index lookups = c.points.rows() * c.pq.parts() * queries;
  constexpr auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["Gps"] = {1e-9 * static_cast<double>(lookups), rate};
}

template <class Arch>
void run_own_search(benchmark::State& state, const coded_case& c, index queries) {
  const packed_codes<Arch> packed(c.pq, c.codes);
  run_search(state, c, queries, [&](const row_matrix<float>& batch) {
    return find_nearest(c.pq, packed, batch, found_points).numbers;
  });
}

template <class Arch>
void add_all(const std::string& implementation) {
  benchmark::RegisterBenchmark(("pq_encode/" + implementation).c_str(),
                               [](benchmark::State& state) {
                                 const coded_case& c = coded_case::of(16, 8);
                                 run_encoding(state, c, [&](const row_matrix<float>& points) {
                                   return c.pq.encode<Arch>(points);
                                 });
                               })
      ->Unit(benchmark::kMillisecond);
  for (const int bits : {8, 4}) {
    const std::string what = "adc" + std::to_string(bits);
    const index parts = 128 / bits;
    for (const index queries : {1, 8}) {
      benchmark::RegisterBenchmark(search_name(what, implementation, queries).c_str(),
                                   [=](benchmark::State& state) {
                                     run_own_search<Arch>(state, coded_case::of(parts, bits),
                                                          queries);
                                   })
          ->Unit(benchmark::kMillisecond);
      benchmark::RegisterBenchmark(search_name(what + "_sums", implementation, queries).c_str(),
                                   [=](benchmark::State& state) {
                                     run_sums<Arch>(state, coded_case::of(parts, bits), queries);
                                   })
          ->Unit(benchmark::kMillisecond);
    }
  }
}

[[maybe_unused]] const bool added = [] {
  add_all<arch::native>("fewbit");
  arch::compiled::for_each(
      []<class Arch>() { add_all<Arch>(std::string("fewbit_") + Arch::name); });
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
