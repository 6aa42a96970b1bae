// Benchmarks of gemmlowp.

#include "support/gemmlowp.hpp"

#include "support/gemm_rows.hpp"

namespace fewbit::benchmarks { namespace {

[[maybe_unused]] const bool added = [] {
  add_rows<gemmlowp_product<sums_case<std::uint8_t>>>("gemmlowp");
  add_rows<gemmlowp_product<sums_case<std::int8_t>>>("gemmlowp");
  add_cold_row<gemmlowp_product<sums_case<std::uint8_t>>>("gemmlowp");
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
