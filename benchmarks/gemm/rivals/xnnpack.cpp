// Benchmarks of XNNPACK.

#include "support/xnnpack.hpp"

#include "support/gemm_rows.hpp"

namespace fewbit::benchmarks { namespace {

[[maybe_unused]] const bool added = [] {
  add_rows<xnnpack_product<codes_case<std::int8_t>>>("xnnpack");
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
