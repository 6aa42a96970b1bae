#pragma once
/// Shared by the tests of quant/: data with known quantiles, noise, and a relative error.

#include <vector>

#include "fewbit/core/types.hpp"
#include "support/samples.hpp"

namespace fewbit::tests {

/// Phi^-1((i + .5) / n): a Gaussian sample that is not random.
inline row_matrix<float> normal_sample(index n) {
  const std::vector<float> values = normal_quantiles(static_cast<int>(n));
  return Eigen::Map<const row_matrix<float>>(values.data(), 1, n);
}

/// The midpoints of n equal parts of [-1, 1].
inline row_matrix<float> uniform_sample(index n) {
  row_matrix<float> x(1, n);
  for (index i = 0; i < n; ++i) {
    x(0, i) = static_cast<float>((2.0 * static_cast<double>(i) + 1.0) / static_cast<double>(n) - 1);
  }
  return x;
}

/// Numbers in [-1, 1) from a small generator that belongs to the tests.
class noise {
 public:
  explicit noise(unsigned seed) : state_(seed * 2654435761U + 12345U) {}
  double next() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<double>(state_ >> 11) * 0x1p-52 - 1.0;
  }

 private:
  unsigned long long state_;
};

inline row_matrix<float> noise_matrix(index rows, index cols, unsigned seed, double size = 1.0) {
  noise source(seed);
  row_matrix<float> x(rows, cols);
  for (index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(size * source.next());
  return x;
}

/// sum (w - w_hat)^2 / sum w^2.
inline double relative_error(const row_matrix<float>& w, const row_matrix<float>& w_hat) {
  return (w - w_hat).cast<double>().squaredNorm() / w.cast<double>().squaredNorm();
}

}  // namespace fewbit::tests
