// Rows of products of bit planes: binary, ternary and 2-bit codes, on every arch that has its own
// unit. The rows fewbit_table_<arch> compute products with tables of sums; s8_b1 and s8_t2 multiply
// int8 codes by weights in bit planes.

#include <benchmark/benchmark.h>

#include <string>
#include <type_traits>

#include "fewbit/fewbit.hpp"
#include "support/bit_cases.hpp"
#include "support/gemm_rows.hpp"

namespace fewbit::benchmarks { namespace {

/// Squares, long sums, and one row by weights in L2 and in the last-level cache.
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

/// One row of int8 by weights of one and two bits, and two bits by two.
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

/// Skips an arch that inherits its unit, because it runs the kernel of its base. Skips scalar.
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
