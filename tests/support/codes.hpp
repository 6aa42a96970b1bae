#pragma once
/// Matrices of codes, and a simple slow product to compare kernels with.

#include <cstdint>
#include <limits>
#include <random>

#include "fewbit/core/types.hpp"

namespace fewbit::tests {

/// Uniform over all codes of T, from a generator whose sequence the C++ standard defines.
template <class T>
row_matrix<T> random_codes(index rows, index cols, std::uint32_t seed) {
  std::mt19937 random(seed);
  row_matrix<T> m(rows, cols);
  for (index i = 0; i < m.size(); ++i) m.data()[i] = static_cast<T>(random() >> 13);
  return m;
}

/// A W^T in 64 bits. Reads pointers, because elements of matrices are slow without optimization.
template <class A>
row_matrix<std::int64_t> wide_product(const A& a, const row_matrix<std::int8_t>& w) {
  const row_matrix<typename A::Scalar> rows = a;
  row_matrix<std::int64_t> c(a.rows(), w.rows());
  for (index i = 0; i < a.rows(); ++i) {
    for (index j = 0; j < w.rows(); ++j) {
      const typename A::Scalar* x = rows.data() + i * w.cols();
      const std::int8_t* y = w.data() + j * w.cols();
      std::int64_t sum = 0;
      for (index k = 0; k < w.cols(); ++k) sum += std::int64_t{x[k]} * y[k];
      c(i, j) = sum;
    }
  }
  return c;
}

}  // namespace fewbit::tests
