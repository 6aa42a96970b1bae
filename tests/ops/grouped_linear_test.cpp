#include "fewbit/ops/grouped_linear.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/ops/linear.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit {
namespace {

using tests::random_reals;

/// Weights whose scales lose nothing when they are packed.
template <class S>
quantized_matrix<S> with_short_scales(const quantized_matrix<S>& q) {
  std::vector<float> scales(q.scales().begin(), q.scales().end());
  for (float& s : scales) s = std::bit_cast<float>(std::bit_cast<std::uint32_t>(s) & 0xFFFFF000U);
  return quantized_matrix<S>(q.codes(), scales, q.zero_points());
}

template <class S>
class grouped_linear_test : public testing::Test {};
using schemes = testing::Types<int4_grouped<32>, int4_grouped<128>, uint4_grouped<64>, int4_per_row,
                               int8_grouped<32>, uint8_affine_per_row>;
TYPED_TEST_SUITE(grouped_linear_test, schemes);

/// linear<S> expands codes and computes with other kernels; its own test holds it to the formula.
TYPED_TEST(grouped_linear_test, equals_linear_to_the_bit_where_scales_are_short) {
  for (const auto& [m, n, k] : {std::array<index, 3>{1, 1, 1}, {3, 37, 77}, {130, 18, 160}}) {
    const auto w = with_short_scales(quantize<TypeParam>(random_reals(n, k, 1)));
    const Eigen::VectorXf bias = random_reals(1, n, 2).row(0).transpose();
    const row_matrix<float> x = random_reals(m, k, 3);
    row_matrix<float> y = row_matrix<float>::Constant(m, n, 99.0F), expected(m, n);
    linear<TypeParam> reference(w, bias);
    reference(x, expected);
    grouped_linear<TypeParam> layer(w, bias);
    layer(x, y);
    EXPECT_EQ(y, expected) << "m=" << m << " n=" << n << " k=" << k;
    EXPECT_EQ(layer.inputs(), k);
    EXPECT_EQ(layer.outputs(), n);
  }
}

/// Codes of the inputs against dequantized weights, in double.
TYPED_TEST(grouped_linear_test, is_close_to_the_product_of_dequantized_weights) {
  const row_matrix<float> x = random_reals(5, 200, 1);
  const auto w = quantize<TypeParam>(random_reals(20, 200, 2));
  grouped_linear<TypeParam> layer(w);
  row_matrix<float> y(5, 20);
  layer(x, y);
  for (index i = 0; i < 5; ++i) {
    const double scale = x.row(i).cwiseAbs().maxCoeff() / 127.0F;
    for (index j = 0; j < 20; ++j) {
      double sum = 0.0, size = 0.0;
      for (index k = 0; k < 200; ++k) {
        const double weight = (w.code(j, k) - w.zero_point(j, k)) * double{w.scale(j, k)};
        const double product = scale * std::nearbyint(x(i, k) / scale) * weight;
        sum += product;
        size += std::fabs(product);
      }
      EXPECT_NEAR(y(i, j), sum, size * 0x1p-11) << i << " " << j;
    }
  }
}

TEST(grouped_linear, has_the_same_bits_on_every_arch) {
  const row_matrix<float> x = random_reals(11, 105, 1);
  const auto check = [&]<class S>() {
    const auto w = quantize<S>(random_reals(35, 105, 2));
    row_matrix<float> expected(11, 35);
    grouped_linear<S, arch::scalar> plain(w);
    plain(x, expected);
    arch::compiled::for_each([&]<class Arch>() {
      row_matrix<float> y(11, 35);
      grouped_linear<S, Arch> layer(w);
      layer(x, y);
      EXPECT_EQ(y, expected) << Arch::name;
    });
  };
  check.template operator()<int4_grouped<32>>();
  check.template operator()<uint4_grouped<32>>();
  check.template operator()<int8_grouped<32>>();
}

TEST(grouped_linear, depends_neither_on_threads_nor_on_blocks_of_rows) {
  const row_matrix<float> x = random_reals(300, 96, 1);
  const grouped_linear<int4_grouped<32>> layer(random_reals(150, 96, 2));
  row_matrix<float> expected(300, 150), y(300, 150);
  auto scratch = layer.make_scratch();
  for (index i = 0; i < 300; ++i) layer(x.middleRows(i, 1), expected.middleRows(i, 1), scratch);
  layer(x, y, scratch);
  EXPECT_EQ(y, expected);
  y.setConstant(99.0F);
  layer(x, y, scratch, thread_executor{3});
  EXPECT_EQ(y, expected);
}

TEST(grouped_linear, shares_scratch_memory_and_reads_blocks) {
  const grouped_linear<int4_grouped<32>> first(random_reals(64, 40, 1));
  const grouped_linear<int8_grouped<32>> second(random_reals(9, 64, 2));
  const row_matrix<float> x = random_reals(6, 50, 3);
  workspace shared;
  first.reserve(shared);
  second.reserve(shared);
  row_matrix<float> middle(4, 64), y = row_matrix<float>::Constant(6, 20, 7.0F);
  first(x.block(1, 3, 4, 40), middle, shared);
  second(middle, y.block(2, 1, 4, 9), shared);
  auto own = second.make_scratch();
  row_matrix<float> alone(4, 9);
  second(middle, alone, own);
  EXPECT_EQ(y.block(2, 1, 4, 9).eval(), alone);
  y.block(2, 1, 4, 9).setConstant(7.0F);
  EXPECT_EQ(y, (row_matrix<float>::Constant(6, 20, 7.0F)));
}

TEST(grouped_linear, fuses_relu_and_takes_no_rows) {
  const row_matrix<float> w = random_reals(9, 40, 1), x = random_reals(4, 40, 2);
  grouped_linear<int4_grouped<32>> plain(w), bounded(w, Eigen::VectorXf(), true);
  row_matrix<float> y(4, 9), z(4, 9), none(0, 9);
  plain(x, y);
  bounded(x, z);
  EXPECT_EQ(z, y.cwiseMax(0.0F).eval());
  EXPECT_GT((z.array() == 0.0F).count(), 0);
  plain(row_matrix<float>(0, 40), none);
  grouped_linear<int4_grouped<32>> empty;
  row_matrix<float> nothing(2, 0);
  empty(row_matrix<float>(2, 0), nothing);
}

TEST(grouped_linear, gives_non_finite_inputs_a_defined_result) {
  row_matrix<float> x(3, 2), y(3, 2);
  x << 1.0F, std::numeric_limits<float>::quiet_NaN(), -2.0F, std::numeric_limits<float>::infinity(),
      0.0F, -0.0F;
  grouped_linear<int8_grouped<32>> layer(row_matrix<float>::Identity(2, 2));
  layer(x, y);
  EXPECT_NEAR(y(0, 0), 1.0F, 1e-3F);
  EXPECT_EQ(y(0, 1), 0.0F);
  EXPECT_NEAR(y(1, 1), 2.0F, 1e-3F) << "the last code of a row whose largest finite value is 2";
  EXPECT_EQ(y.row(2), (row_matrix<float>::Zero(1, 2)));
}

TEST(grouped_linear, keeps_four_and_a_half_bits_for_each_weight) {
  const grouped_linear<int4_grouped<32>> layer(random_reals(64, 256, 1));
  EXPECT_EQ(layer.weights().bytes() * 8 * 2, index{64} * 256 * 9);
  EXPECT_EQ(layer.bytes(), layer.weights().bytes() + 64 * 4);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(grouped_linear, says_what_is_wrong_with_its_parts) {
  using layer = grouped_linear<int4_per_row>;
  const row_matrix<float> w = random_reals(3, 4, 1);
  Eigen::VectorXf bias = Eigen::VectorXf::Zero(2);
  EXPECT_EQ(tests::sentence_of([&] { layer(w, bias); }),
            "fewbit: linear: length of bias is 2, expected 3");
  bias = Eigen::Vector3f(0.0F, std::numeric_limits<float>::quiet_NaN(), 0.0F);
  EXPECT_EQ(tests::sentence_of([&] { layer(w, bias); }),
            "fewbit: linear: bias[1] is nan, expected a finite number");
  EXPECT_EQ(tests::sentence_of([&] { layer(row_matrix<float>::Ones(1, 1127289)); }),
            "fewbit: grouped_weights: depth of a group is 1127289, expected at most 1127288");
}
#endif

}  // namespace
}  // namespace fewbit
