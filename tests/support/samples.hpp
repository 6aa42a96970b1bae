#pragma once
/// Deterministic samples of distributions.

#include <cmath>
#include <cstddef>
#include <vector>

namespace fewbit::tests {

/// Quantiles of the standard normal distribution at (i + 0.5) / n: Newton's method on erfc,
/// starting at the previous quantile; the upper half by symmetry.
inline std::vector<float> normal_quantiles(int n) {
  std::vector<float> values(static_cast<std::size_t>(n));
  double x = -6.0;
  for (int i = 0; i < (n + 1) / 2; ++i) {
    const double p = (i + 0.5) / n;
    for (int step = 0; step < 100; ++step) {
      const double distance = std::erfc(-x / std::sqrt(2.0)) / 2 - p;
      const double density = std::exp(-x * x / 2) / std::sqrt(2 * 3.14159265358979323846);
      const double move = distance / density;
      x -= std::fmin(std::fmax(move, -0.5), 0.5);
      if (std::abs(move) < 1e-12) break;
    }
    values[static_cast<std::size_t>(i)] = static_cast<float>(x);
    values[static_cast<std::size_t>(n - 1 - i)] = -static_cast<float>(x);
  }
  return values;
}

}  // namespace fewbit::tests
