#pragma once
/// What the tests of quant/ share: data with known quantiles, and error sentences.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::tests {

/// x with Phi(x) = p, by bisection on erfc.
inline double normal_quantile(double p) {
  double lo = -40;
  double hi = 40;
  for (int i = 0; i < 200 && lo < hi; ++i) {
    const double middle = (lo + hi) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? lo : hi) = middle;
  }
  return (lo + hi) / 2;
}

/// Phi^-1((i + .5) / n): a Gaussian sample without chance.
inline row_matrix<float> normal_sample(index n) {
  row_matrix<float> x(1, n);
  for (index i = 0; i < n; ++i) {
    x(0, i) = static_cast<float>(
        normal_quantile((static_cast<double>(i) + 0.5) / static_cast<double>(n)));
  }
  return x;
}

/// The midpoints of n equal parts of [-1, 1].
inline row_matrix<float> uniform_sample(index n) {
  row_matrix<float> x(1, n);
  for (index i = 0; i < n; ++i) {
    x(0, i) = static_cast<float>((2.0 * static_cast<double>(i) + 1.0) / static_cast<double>(n) - 1);
  }
  return x;
}

/// Numbers in [-1, 1) from a small generator of the tests' own.
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

#if FEWBIT_HAS_EXCEPTIONS
/// The words of the error that f() fails with.
template <class F>
std::string sentence_of(F f) {
  try {
    f();
  } catch (const error& e) {
    return e.what();
  }
  return "no error";
}
#endif

}  // namespace fewbit::tests
