// Benchmarks of Eigen.

#include "support/eigen.hpp"

#include "support/gemm_rows.hpp"

namespace fewbit::benchmarks { namespace {

[[maybe_unused]] const bool added = [] {
  add_rows<eigen_product<floats_case>>("eigen");
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
