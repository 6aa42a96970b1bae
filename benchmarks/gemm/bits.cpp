// Benchmarks of codes in bit planes (binary, ternary, 2 bits) on every arch that has its own unit.
// The rows fewbit_table_<arch>, s8_b1 and s8_t2 multiply int8 by bit planes of weights with tables
// of sums.

#include <benchmark/benchmark.h>

#include <string>
#include <type_traits>

#include "fewbit/fewbit.hpp"
#include "support/bit_cases.hpp"
#include "support/gemm_rows.hpp"

namespace fewbit::benchmarks { namespace {

/// Squares, long sums, and single rows with weights that fit into the second or the last cache.
constexpr shape binary_shapes[] = {
    {1024, 1024, 1024}, {512, 512, 4096}, {1, 2048, 4096}, {1, 4096, 4096}, {1, 65536, 4096}};

template <class Product>
void add_row(const std::string& who, const shape& s) {
  const std::string name = std::string("gemm/") + Product::operands::kind + "/" + who + dims(s);
  benchmark::RegisterBenchmark(name.c_str(),
                               [s](benchmark::State& state) { run_product<Product>(state, s); });
}

template <class Arch>
void add_arch() {
  using gemm::binary_bits, gemm::ternary_bits;
  constexpr shape square = {1024, 1024, 1024};
  const std::string who = std::string("fewbit_") + Arch::name;
  for (const shape& s : binary_shapes)
    add_row<bit_product<bits_case<binary_bits, binary_bits>, Arch>>(who, s);
  add_row<bit_product<bits_case<ternary_bits, ternary_bits>, Arch>>(who, square);
  add_row<bit_product<bits_case<gemm::unsigned_bits<2>, gemm::signed_bits<2>>, Arch>>(who, square);
}

/// Single rows of int8 by 1-bit and 2-bit weights, and of 2-bit by 2-bit codes.
template <class Arch>
void add_tables() {
  using gemm::binary_bits, gemm::ternary_bits, gemm::signed_bits, gemm::unsigned_bits;
  const std::string who = std::string("fewbit_table_") + Arch::name;
  for (const shape& s : {shape{1, 4096, 4096}, shape{1, 11008, 4096}, shape{1, 4096, 11008}}) {
    add_row<table_product<bits_case<signed_bits<8>, binary_bits>, Arch>>(who, s);
    add_row<table_product<bits_case<signed_bits<8>, ternary_bits>, Arch>>(who, s);
  }
  constexpr shape square = {1024, 1024, 1024};
  add_row<table_product<bits_case<unsigned_bits<2>, signed_bits<2>>, Arch>>(who, square);
  add_row<table_product<bits_case<signed_bits<8>, binary_bits>, Arch>>(who, square);
}

/// False for an arch that only inherits the kernel of its base, and for the scalar arch.
template <class Arch>
constexpr bool has_own_bit_unit() {
  if constexpr (std::is_same_v<Arch, arch::scalar>) {
    return false;
  } else {
    return !std::is_same_v<gemm::default_bit_unit<Arch>,
                           gemm::default_bit_unit<typename Arch::base>>;
  }
}

[[maybe_unused]] const bool added = [] {
  arch::compiled::for_each([]<class Arch>() {
    if constexpr (has_own_bit_unit<Arch>()) {
      add_arch<Arch>();
      add_tables<Arch>();
    }
  });
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
