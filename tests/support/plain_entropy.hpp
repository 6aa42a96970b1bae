#pragma once
/// The search by entropy as it is published, without shared sums: an oracle for calib/entropy.hpp
/// and the plain row of the benchmark.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace fewbit::tests {

/// Computes the divergence of each threshold from the counts.
/// @return  the best threshold in bins
inline std::size_t plain_entropy_search(std::vector<std::uint64_t> h, int levels,
                                        std::size_t first_bin) {
  if (h.size() < first_bin) return 0;
  h[0] = h[1];
  double least = std::numeric_limits<double>::infinity();
  std::size_t best = 0;
  std::vector<double> sum, filled, p, q;
  std::vector<std::size_t> level(h.size());
  for (std::size_t i = first_bin; i <= h.size(); ++i) {
    sum.assign(static_cast<std::size_t>(levels), 0.0);
    filled = sum;
    for (std::size_t j = 0; j < i; ++j) {
      level[j] = j * static_cast<std::size_t>(levels) / i;
      sum[level[j]] += static_cast<double>(h[j]);
      filled[level[j]] += h[j] != 0 ? 1 : 0;
    }
    p.assign(h.begin(), h.begin() + static_cast<std::ptrdiff_t>(i));
    q.assign(i, 0.0);
    for (std::size_t j = 0; j < i; ++j) {
      if (h[j] != 0) q[j] = sum[level[j]] / filled[level[j]];
    }
    for (std::size_t j = i; j < h.size(); ++j) p[i - 1] += static_cast<double>(h[j]);
    double p_sum = 0;
    double q_sum = 0;
    for (std::size_t j = 0; j < i; ++j) {
      p_sum += p[j];
      q_sum += q[j];
    }
    double kl = 0;
    for (std::size_t j = 0; j < i; ++j) {
      if (p[j] != 0) kl += p[j] / p_sum * std::log(p[j] / p_sum / (q[j] / q_sum));
    }
    if (kl <= least + 1e-12 && kl < std::numeric_limits<double>::infinity()) {
      best = i;
      least = std::min(kl, least);
    }
  }
  return best;
}

}  // namespace fewbit::tests
