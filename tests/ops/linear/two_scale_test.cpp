#include "fewbit/ops/linear/two_scale.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include <array>
#include <cmath>
#include <cstdint>

#include "support/kept_scale.hpp"
#include "support/layer_calls.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_linear_two_scale_test {

using tests::random_reals;

/// The documented formula, one operation at a time.
row_matrix<float> expected(const row_matrix<float>& x, const two_scale_ternary& w,
                           const Eigen::VectorXf& bias) {
  row_matrix<float> y(x.rows(), w.rows());
  for (index i = 0; i < y.rows(); ++i) {
    const float scale = x.row(i).cwiseAbs().maxCoeff() / 127.0F;
    for (index j = 0; j < y.cols(); ++j) {
      std::int64_t ones = 0, minus_ones = 0;
      for (index k = 0; k < x.cols(); ++k) {
        volatile float quotient = x(i, k) * (1.0F / scale);
        const auto code = static_cast<std::int64_t>(std::nearbyint(double{quotient}));
        if (w.code(j, k) == 1) ones += code;
        if (w.code(j, k) == -1) minus_ones += code;
      }
      volatile float first =
          static_cast<float>(2 * ones) * tests::with_12_bits(w.positive_scale(j) / 2);
      volatile float second =
          static_cast<float>(-2 * minus_ones) * tests::with_12_bits(w.negative_scale(j) / 2);
      volatile float total = first + second;
      volatile float scaled = total * scale;
      y(i, j) = static_cast<float>(double{scaled} + double{bias[j]});
    }
  }
  return y;
}

TEST(ttq_linear, equals_its_formula_to_the_bit_on_every_arch) {
  for (const auto& [m, n, k] : {std::array<index, 3>{1, 1, 1}, {3, 37, 77}, {20, 18, 160}}) {
    const auto w = quantize_ttq(random_reals(n, k, 1), 0.2);
    const Eigen::VectorXf bias = random_reals(1, n, 2).row(0).transpose();
    const row_matrix<float> x = random_reals(m, k, 3), right = expected(x, w, bias);
    arch::compiled::for_each([&]<class Arch>() {
      row_matrix<float> y = row_matrix<float>::Constant(m, n, 99.0F);
      linear<ttq, dynamic_int8, Arch> layer(w, bias);
      layer(x, y);
      EXPECT_EQ(y, right) << Arch::name << " m=" << m << " n=" << n << " k=" << k;
      tests::expect_same_in_reserved_memory(layer, x, y);
      EXPECT_EQ(layer.inputs(), k);
      EXPECT_EQ(layer.outputs(), n);
    });
  }
}

/// Two bits for a weight, two scales and zero points and a bias for a row.
TEST(ttq_linear, takes_two_bits_for_each_weight) {
  const linear<ttq> layer(quantize_ttq(random_reals(64, 256, 1)));
  EXPECT_EQ(layer.bytes(), 64 * (256 * 2 / 8 + 2 * 3 + 4));
}

TEST(ttq_linear, accepts_vectors_and_terminates_on_wrong_shapes) {
  linear<ttq> layer(quantize_ttq(random_reals(20, 64, 1)));
  tests::expect_vectors_are_rows(layer);
  tests::expect_misfits_end(layer, "linear");
}

/// Positive and negative scales that 16 bits of each cannot hold.
TEST(ttq_linear, is_accurate_for_very_different_scales) {
  const row_matrix<std::int8_t> codes = row_matrix<std::int8_t>::NullaryExpr(
      4, 64, [](index r, index c) { return static_cast<std::int8_t>((r + c) % 3 - 1); });
  const std::vector<float> positive = {1.0F, 1e-20F, 1e10F, 1e-37F}, negative(4, 3.0F);
  const row_matrix<float> x = random_reals(2, 64, 3);
  for (const bool swapped : {false, true}) {
    const two_scale_ternary w(codes, swapped ? negative : positive, swapped ? positive : negative);
    linear<ttq> layer(w);
    row_matrix<float> y(2, 4);
    layer(x, y);
    for (index i = 0; i < 2; ++i) {
      for (index j = 0; j < 4; ++j) {
        double sum = 0.0, size = 0.0;
        for (index k = 0; k < 64; ++k) {
          const double scale = double{codes(j, k) > 0 ? w.positive_scale(j) : w.negative_scale(j)};
          sum += double{x(i, k)} * codes(j, k) * scale;
          size += std::abs(codes(j, k)) * scale;
        }
        EXPECT_NEAR(y(i, j), sum, size * 0x1p-7) << i << " " << j;
      }
    }
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(ttq_linear, names_bad_arguments) {
  const auto w = quantize_ttq(random_reals(3, 4, 1));
  EXPECT_EQ(tests::sentence_of([&] { linear<ttq>(w, Eigen::VectorXf::Zero(2)); }),
            "fewbit: linear: length of bias is 2, expected 3");
  EXPECT_EQ(tests::sentence_of([&] { linear<ttq>(two_scale_ternary(), Eigen::VectorXf::Zero(2)); }),
            "fewbit: linear: weights is 0 x 0, expected at least one row and one column");
  EXPECT_EQ(tests::sentence_of([&] {
              linear<ttq>(quantize_ttq(row_matrix<float>::Constant(3, 64, 1e36F)));
            }).substr(0, 66),
            "fewbit: linear: largest sum of row 0 of weights by codes of inputs");
}
#endif

}  // namespace ops_linear_two_scale_test
}  // namespace fewbit
