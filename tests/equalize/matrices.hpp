#pragma once
/// Numbers and plain formulas for tests of equalize/.

#include <cstdint>

#include "fewbit/core/types.hpp"

namespace fewbit::tests {

/// rows x cols numbers of [-1, 1) by a linear congruential generator, row after row.
inline row_matrix<double> lcg_doubles(index rows, index cols, std::uint64_t seed) {
  row_matrix<double> m(rows, cols);
  for (index i = 0; i < m.size(); ++i) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    m.data()[i] = static_cast<double>(seed >> 11) * 0x1p-52 - 1.0;
  }
  return m;
}

inline row_matrix<float> lcg_floats(index rows, index cols, std::uint64_t seed) {
  return lcg_doubles(rows, cols, seed).cast<float>();
}

/// |X (W - Q)^T|^2 by Eigen.
inline double output_error(const row_matrix<float>& x, const row_matrix<float>& w,
                           const row_matrix<float>& q) {
  const row_matrix<double> d = w.cast<double>() - q.cast<double>();
  return (x.cast<double>() * d.transpose()).squaredNorm();
}

/// A 4 x 8 matrix of weights whose quotients by 1 keep clear of ties.
inline row_matrix<float> small_weights() {
  row_matrix<float> w(4, 8);
  for (index r = 0; r < 4; ++r) {
    for (index c = 0; c < 8; ++c) {
      w(r, c) = static_cast<float>((21 * r + 37 * c + 11 * r * c) % 89 - 44) / 16.0F;
    }
  }
  return w;
}

/// Its inputs, 16 x 8.
inline row_matrix<float> small_inputs() {
  row_matrix<float> x(16, 8);
  for (index i = 0; i < 16; ++i) {
    for (index c = 0; c < 8; ++c) {
      x(i, c) = static_cast<float>((4 * i + c + 5 * i * c) % 11 - 5 + 2 * ((i + c / 3) % 3));
    }
  }
  return x;
}

}  // namespace fewbit::tests
