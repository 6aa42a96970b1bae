// Benchmarks of OpenBLAS.

#include "support/openblas.hpp"

#include "support/gemm_rows.hpp"

namespace fewbit::benchmarks { namespace {

[[maybe_unused]] const bool added = [] {
  add_rows<openblas_product<floats_case>>("openblas");
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
