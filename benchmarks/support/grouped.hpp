#pragma once
/// Products of float activations with weights of a few bits and one scale per group.

#include <cmath>
#include <cstdint>
#include <vector>

#include "fewbit/fewbit.hpp"
#include "support/gemm_cases.hpp"

namespace fewbit::benchmarks {

/// Weights of a symmetric scheme (a scale per group or per row), and rows of float inputs.
template <class SchemeT>
struct grouped_case {
  using scheme = SchemeT;
  static constexpr index depth = fewbit::detail::scale_depth<typename scheme::granularity>;

  row_matrix<float> a;
  quantized_matrix<scheme> w;
  index group;  // number of elements of a row that share a scale
  row_matrix<float> c;

  explicit grouped_case(const shape& s)
      : a(random_codes<std::int8_t>(s.m, s.k, 1).template cast<float>() * 0.01F),
        w(weights(s)),
        group(depth == 0 ? s.k : depth),
        c(s.m, s.n) {}

  /// Checks samples of the result against sums of integers. All scales of weights are powers of
  /// two, so sums over groups are exact in double, and the result must be the nearest float.
  [[nodiscard]] bool is_exact() const {
    const index row_step = c.rows() / 10 + 1, col_step = c.cols() / 40 + 1;
    for (index i = c.rows() - 1; i >= 0; i -= row_step) {
      const float scale = a.row(i).cwiseAbs().maxCoeff() / 127.0F;
      for (index j = c.cols() - 1; j >= 0; j -= col_step) {
        double total = 0.0;
        for (index k = 0; k < a.cols(); ++k) {
          const float code = std::nearbyint(a(i, k) * (1.0F / scale));
          total += double{code} * w.code(j, k) * double{w.scale(j, k)};
        }
        if (c(i, j) != static_cast<float>(total) * scale) return false;
      }
    }
    return true;
  }

  /// The same check for float inputs, with float sums in the order that the layer documents.
  [[nodiscard]] bool is_exact_in_floats() const {
    const index row_step = c.rows() / 10 + 1, col_step = c.cols() / 40 + 1;
    for (index i = c.rows() - 1; i >= 0; i -= row_step) {
      for (index j = c.cols() - 1; j >= 0; j -= col_step) {
        float total = 0.0F;
        for (index first = 0; first < a.cols(); first += group) {
          float sum = 0.0F;
          for (index k = first; k < first + group; ++k)
            sum += arch::rounded(a(i, k) * static_cast<float>(w.code(j, k)));
          total += arch::rounded(sum * w.scale(j, first));
        }
        if (c(i, j) != total) return false;
      }
    }
    return true;
  }

 private:
  static quantized_matrix<scheme> weights(const shape& s) {
    const row_matrix<std::int8_t>& codes =
        random_codes<std::int8_t>(s.n, s.k, 2, scheme::storage::bits);
    std::vector<float> scales;
    for (index i = 0; i < s.n * (depth == 0 ? 1 : s.k / depth); ++i)
      scales.push_back(i % 3 == 0 ? 0x1p-7F : 0x1p-8F);
    return {codes.cwiseMax(static_cast<std::int8_t>(scheme::code_min)), scales};
  }
};

}  // namespace fewbit::benchmarks
