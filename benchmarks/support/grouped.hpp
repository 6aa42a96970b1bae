#pragma once
/// Products of float activations with weights of a few bits and a scale for each group.

#include <cmath>
#include <cstdint>
#include <vector>

#include "fewbit/fewbit.hpp"
#include "support/gemm_cases.hpp"

namespace fewbit::benchmarks {

/// Weights under a symmetric grouped scheme, and rows of floats.
template <class SchemeT>
struct grouped_case {
  using scheme = SchemeT;
  static constexpr index group = scheme::granularity::size;

  row_matrix<float> a;
  quantized_matrix<scheme> w;
  row_matrix<float> c;

  explicit grouped_case(const shape& s)
      : a(random_codes<std::int8_t>(s.m, s.k, 1).template cast<float>() * 0.01F),
        w(weights(s)),
        c(s.m, s.n) {}

  /// Elements spread over the result against sums of integers; scales are powers of two, so that
  /// totals of groups are exact and a sum in double must be as close as float can say.
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

 private:
  static quantized_matrix<scheme> weights(const shape& s) {
    const row_matrix<std::int8_t>& codes =
        random_codes<std::int8_t>(s.n, s.k, 2, scheme::storage::bits);
    std::vector<float> scales;
    for (index i = 0; i < s.n * (s.k / group); ++i)
      scales.push_back(i % 3 == 0 ? 0x1p-7F : 0x1p-8F);
    return {codes.cwiseMax(static_cast<std::int8_t>(scheme::code_min)), scales};
  }
};

/// Floats by codes of `Bits` bits in groups of 32, as grouped_linear multiplies those of 4 and 8:
/// for widths that it does not take.
template <int Bits>
struct grouped_codes_case {
  static constexpr index group = 32;
  static constexpr int zero_point = 1 << (Bits - 1);

  row_matrix<float> a;
  row_matrix<std::uint8_t> codes;
  std::vector<float> scales;
  row_matrix<float> c;

  explicit grouped_codes_case(const shape& s)
      : a(random_codes<std::int8_t>(s.m, s.k, 1).template cast<float>() * 0.01F),
        codes((random_codes<std::int8_t>(s.n, s.k, 2, Bits).array() +
               static_cast<std::int8_t>(zero_point))
                  .template cast<std::uint8_t>()),
        c(s.m, s.n) {
    for (index i = 0; i < s.n * (s.k / group); ++i)
      scales.push_back(i % 3 == 0 ? 0x1p-7F : 0x1p-8F);
  }

  /// As grouped_case::is_exact.
  [[nodiscard]] bool is_exact() const {
    const index row_step = c.rows() / 10 + 1, col_step = c.cols() / 40 + 1;
    for (index i = c.rows() - 1; i >= 0; i -= row_step) {
      const float scale = a.row(i).cwiseAbs().maxCoeff() / 127.0F;
      for (index j = c.cols() - 1; j >= 0; j -= col_step) {
        double total = 0.0;
        for (index k = 0; k < a.cols(); ++k) {
          const float code = std::nearbyint(a(i, k) * (1.0F / scale));
          const auto at = static_cast<std::size_t>((j * a.cols() + k) / group);
          total += double{code} * (codes(j, k) - zero_point) * double{scales[at]};
        }
        if (c(i, j) != static_cast<float>(total) * scale) return false;
      }
    }
    return true;
  }
};

/// The product of a grouped_codes_case, rows quantized inside.
template <int Bits, class Arch>
class grouped_codes_layer {
  using weights_type = gemm::grouped_weights<Bits, Arch>;
  using lhs = gemm::grouped_lhs<weights_type>;

 public:
  explicit grouped_codes_layer(const grouped_codes_case<Bits>& data)
      : weights_(data.codes, data.group, data.scales, data.zero_point) {}

  [[nodiscard]] const weights_type& weights() const { return weights_; }
  [[nodiscard]] workspace make_scratch() const {
    return workspace(most_rows * index{sizeof(float)} + lhs::bytes(weights_, most_rows));
  }

  void operator()(const row_matrix<float>& a, row_matrix<float>& c, workspace& scratch) const {
    auto* scales = reinterpret_cast<float*>(scratch.slot(0));
    lhs rows(weights_, a.rows(), scratch.slot(0) + most_rows * index{sizeof(float)});
    for (index r = 0; r < rows.padded_rows(); ++r) {
      const float* x = r < a.rows() ? a.data() + r * a.cols() : nullptr;
      const float scale =
          detail::dynamic_scale(r < a.rows() ? detail::finite_amax(x, a.cols()) : 0.0F);
      const detail::row_quantizer<std::int8_t> quantizer({scale, 0}, -127, 127);
      rows.fill_row(r, detail::encoded_row{x, quantizer});
      if (r < a.rows()) scales[r] = scale;
    }
    gemm::multiply_grouped(rows, weights_, c, gemm::scale_rows(scales));
  }

 private:
  static constexpr index most_rows = 128;

  weights_type weights_;
};

}  // namespace fewbit::benchmarks
