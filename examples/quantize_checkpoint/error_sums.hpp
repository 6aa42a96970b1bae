#pragma once
/// Signal and noise of an approximation, summed in an order that nothing else influences.

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "fewbit/core/types.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit::examples::checkpoint {

/// sum w^2 and sum (w - w_hat)^2, and the largest |w - w_hat|.
struct error_sums {
  double signal = 0.0;
  double noise = 0.0;
  double largest = 0.0;

  void add(const error_sums& other) {
    signal += other.signal;
    noise += other.noise;
    largest = std::fmax(largest, other.largest);
  }

  /// 10 log10(signal / noise); +inf without noise.
  [[nodiscard]] double sqnr_db() const {
    if (noise == 0.0) return std::numeric_limits<double>::infinity();
    return 10.0 * std::log10(signal / noise);
  }

  friend bool operator==(const error_sums&, const error_sums&) = default;
};

/// The sums of n elements. 16 partial sums take every 16th element each, so that a compiler can use
/// vectors of any length.
[[gnu::noinline]] inline error_sums sums_of(const float* w, const float* w_hat, index n) {
  constexpr int lanes = 16;
  double signal[lanes] = {}, noise[lanes] = {}, largest[lanes] = {};
  const auto add = [&](index i, int lane) {
    const double x = w[i + lane];
    const double e = x - double{w_hat[i + lane]};
    signal[lane] += x * x;
    noise[lane] += e * e;
    const double size = e < 0 ? -e : e;
    largest[lane] = size > largest[lane] ? size : largest[lane];
  };
  index i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int lane = 0; lane < lanes; ++lane) add(i, lane);
  }
  for (int lane = 0; i + lane < n; ++lane) add(i, lane);
  error_sums sums;
  for (int lane = 0; lane < lanes; ++lane) {
    sums.add({signal[lane], noise[lane], largest[lane]});
  }
  return sums;
}

/// The sums of two matrices of the same shape, row by row.
template <class W, class Approximation>
[[nodiscard]] error_sums sums_of(const W& w, const Approximation& w_hat) {
  error_sums sums;
  for (index r = 0; r < w.rows(); ++r) {
    sums.add(sums_of(w.row(r).data(), w_hat.row(r).data(), w.cols()));
  }
  return sums;
}

/// The sums of a matrix and its codes. Equals sums_of(w, dequantize(q)).
template <Scheme S, class W>
[[nodiscard]] error_sums sums_of_codes(const W& w, const quantized_matrix<S>& q) {
  error_sums sums;
  std::vector<float> w_hat(static_cast<std::size_t>(w.cols()));
  for (index r = 0; r < w.rows(); ++r) {
    detail::decode_row(q, r, w_hat.data());
    sums.add(sums_of(w.row(r).data(), w_hat.data(), w.cols()));
  }
  return sums;
}

}  // namespace fewbit::examples::checkpoint
