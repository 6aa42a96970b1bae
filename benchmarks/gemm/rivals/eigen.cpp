// Benchmarks of Eigen.

#include "support/eigen.hpp"

#include <cstdint>

#include "support/gemm_rows.hpp"

namespace fewbit::benchmarks { namespace {

[[maybe_unused]] const bool added = [] {
  add_rows<eigen_product<floats_case>>("eigen");
  add_small_rows<eigen_int_product<sums_case<std::uint8_t>>>("eigen_int");
  add_small_rows<eigen_int_product<sums_case<std::int8_t>>>("eigen_int");
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
