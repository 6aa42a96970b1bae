#pragma once
/// An epilogue applied to exact sums one number at a time: what every product has to give.

#include <cstdint>
#include <vector>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/stages.hpp"

namespace fewbit::tests {

/// epilogue(sums(i, j)) for each element, each sum as an int32.
template <class Out, class E>
[[nodiscard]] row_matrix<Out> applied_to_each(const row_matrix<std::int64_t>& sums,
                                              const E& epilogue) {
  row_matrix<Out> c(sums.rows(), sums.cols());
  for (index i = 0; i < c.rows(); ++i) {
    for (index j = 0; j < c.cols(); ++j)
      c(i, j) = epilogue(static_cast<std::int32_t>(sums(i, j)), gemm::at{i, j, 1});
  }
  return c;
}

/// Column-dependent stages for n columns: int8 codes, and floats.
struct epilogue_cases {
  std::vector<std::int32_t> bias;
  std::vector<float> factors;

  explicit epilogue_cases(index n) {
    for (index j = 0; j < n; ++j) {
      bias.push_back(static_cast<std::int32_t>(j % 41) - 20);
      factors.push_back(0.3F + static_cast<float>(j % 7) * 0.1F);
    }
  }
  [[nodiscard]] auto to_codes() const {
    return gemm::add_bias(bias.data()) | gemm::requantize<xnn_fp32>(factors) | gemm::to_int8{-3};
  }
  [[nodiscard]] auto to_reals() const {
    return gemm::to_float{} | gemm::scale_columns(factors.data()) | gemm::relu{};
  }
};

}  // namespace fewbit::tests
