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

/// A W^T in 64 bits.
template <class A>
row_matrix<std::int64_t> wide_product(const A& a, const row_matrix<std::int8_t>& w) {
  row_matrix<std::int64_t> c = row_matrix<std::int64_t>::Zero(a.rows(), w.rows());
  for (index i = 0; i < a.rows(); ++i) {
    for (index j = 0; j < w.rows(); ++j) {
      for (index k = 0; k < w.cols(); ++k) c(i, j) += std::int64_t{a(i, k)} * w(j, k);
    }
  }
  return c;
}

}  // namespace fewbit::tests
