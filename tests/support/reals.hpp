#pragma once
/// Matrices of random reals.

#include <cstdint>
#include <random>

#include "fewbit/core/types.hpp"

namespace fewbit::tests {

/// rows x cols reals from -10/3 to 10/3. Equal seeds give equal numbers.
inline row_matrix<float> random_reals(index rows, index cols, std::uint32_t seed) {
  std::mt19937 random(seed);
  row_matrix<float> m(rows, cols);
  for (index i = 0; i < m.size(); ++i) {
    m.data()[i] = static_cast<float>(static_cast<int>(random() % 20001) - 10000) / 3000.0F;
  }
  return m;
}

}  // namespace fewbit::tests
