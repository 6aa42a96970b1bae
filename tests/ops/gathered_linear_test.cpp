#include "fewbit/ops/gathered_linear.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/core/random.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "support/layer_calls.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_gathered_linear_test {

using tests::random_reals;

std::vector<index> shuffled(index k) {
  std::vector<index> order(static_cast<std::size_t>(k));
  std::iota(order.begin(), order.end(), index{0});
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[random_bits(7, i)[0] % i]);
  return order;
}

/// The columns of x in an order.
row_matrix<float> in_order(const row_matrix<float>& x, const std::vector<index>& order) {
  row_matrix<float> sorted(x.rows(), x.cols());
  for (index c = 0; c < x.cols(); ++c) sorted.col(c) = x.col(order[static_cast<std::size_t>(c)]);
  return sorted;
}

/// Every call gives the bits of linear for inputs that were sorted before.
template <class S, class Inputs = dynamic_int8>
void expect_bits_of_linear(index k) {
  SCOPED_TRACE(testing::Message() << "k=" << k);
  const index n = 37, most = k > 10000 ? 1 : 19;
  const std::vector<index> order = shuffled(k);
  const auto q = quantize<S>(random_reals(n, k, 3));
  const Eigen::VectorXf bias = random_reals(1, n, 5).row(0).transpose();
  gathered_linear<S, Inputs> layer(order, q, bias);
  linear<S, Inputs> plain(q, bias);
  EXPECT_EQ(layer.bytes(), plain.bytes() + 4 * k);
  for (const index m : {index{1}, index{2}, most}) {
    const row_matrix<float> x = random_reals(m, k, 9), sorted = in_order(x, order);
    row_matrix<float> want(m, n), y(m, n);
    std::as_const(plain)(sorted, want);
    std::as_const(layer)(x, y);
    EXPECT_EQ(y, want) << "on the stack, m=" << m;
    layer_scratch scratch = layer.make_scratch(2, m);
    y.setConstant(99);
    layer(x, y, scratch, thread_executor(2));
    EXPECT_EQ(y, want) << "in scratch memory, m=" << m;
    if constexpr (std::is_same_v<Inputs, dynamic_int8>) {
      layer_scratch shared;
      const auto codes = prepare(x, shared);
      y.setConstant(99);
      std::as_const(layer)(codes, y);
      EXPECT_EQ(y, want) << "prepared, on the stack, m=" << m;
      y.setConstant(99);
      layer(codes, y, scratch);
      EXPECT_EQ(y, want) << "prepared, m=" << m;
    }
    tests::expect_same_in_reserved_memory(layer, x, want);
  }
}

TEST(gathered_linear, has_the_bits_of_linear_for_sorted_inputs) {
  for (const index k : {1, 30, 100, 513}) {
    expect_bits_of_linear<uint4_grouped<32>>(k);
    expect_bits_of_linear<uint4_grouped<32>, dynamic_int8_groups>(k);
  }
  // Neither the codes of one row nor those of one group fit the stack.
  expect_bits_of_linear<int4_grouped<128>>(20000);
  expect_bits_of_linear<int4_grouped<128>, dynamic_int8_groups>(20000);
  expect_bits_of_linear<scheme<uint4, grouped<16384>, affine>>(20000);
  expect_bits_of_linear<scheme<uint4, grouped<16384>, affine>, dynamic_int8_groups>(20000);
  expect_bits_of_linear<uint4_grouped_minimum<64>>(200);
  expect_bits_of_linear<scheme<uint3, grouped<16>, real_minimum>, dynamic_int8_groups>(200);
}

TEST(gathered_linear, multiplies_as_the_matrix_with_its_columns_put_back) {
  const index n = 9, k = 96;
  const std::vector<index> order = shuffled(k);
  const auto q = quantize<uint4_grouped<32>>(random_reals(n, k, 3));
  const row_matrix<float> sorted = dequantize(q);
  row_matrix<double> w(n, k);
  for (index c = 0; c < k; ++c)
    w.col(order[static_cast<std::size_t>(c)]) = sorted.col(c).cast<double>();
  row_matrix<float> x = random_reals(4, k, 9).array().round(), y(4, n);
  for (index i = 0; i < 4; ++i) x(i, i) = 127.0F;  // the scale of each row is 1
  const gathered_linear<uint4_grouped<32>> layer(order, q);
  layer(x, y);
  const row_matrix<double> want = x.cast<double>() * w.transpose();
  const row_matrix<double> size = x.cwiseAbs().cast<double>() * w.cwiseAbs().transpose();
  for (index i = 0; i < 4; ++i) {
    for (index j = 0; j < n; ++j)  // scales keep 12 significant bits
      EXPECT_NEAR(double{y(i, j)}, want(i, j), size(i, j) * 0x1p-12) << i << ' ' << j;
  }
}

TEST(gathered_linear, without_an_order_is_linear) {
  const auto q = quantize<uint4_grouped<32>>(random_reals(5, 70, 3));
  const row_matrix<float> x = random_reals(3, 70, 9);
  row_matrix<float> y(3, 5), want(3, 5);
  const gathered_linear<uint4_grouped<32>> layer({}, q);
  const linear<uint4_grouped<32>> plain(q);
  layer(x, y);
  plain(x, want);
  EXPECT_EQ(y, want);
  EXPECT_EQ(layer.bytes(), plain.bytes());
  const gathered_linear<uint4_grouped<32>> packed({}, plain.weights());
  packed(x, y);
  EXPECT_EQ(y, want);
}

TEST(gathered_linear, ignores_what_is_not_finite_as_linear_does) {
  const index k = 64;
  const std::vector<index> order = shuffled(k);
  const auto q = quantize<uint4_grouped<32>>(random_reals(5, k, 3));
  row_matrix<float> x = random_reals(1, k, 9), y(1, 5), want(1, 5);
  x(0, 3) = std::numeric_limits<float>::quiet_NaN();
  x(0, 40) = std::numeric_limits<float>::infinity();
  gathered_linear<uint4_grouped<32>>(order, q)(x, y);
  linear<uint4_grouped<32>>{q}(in_order(x, order), want);
  EXPECT_EQ(y, want);
  gathered_linear<uint4_grouped<32>, dynamic_int8_groups>(order, q)(x, y);
  linear<uint4_grouped<32>, dynamic_int8_groups>{q}(in_order(x, order), want);
  EXPECT_EQ(y, want);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(gathered_linear, names_what_is_wrong_in_an_order) {
  const auto q = quantize<uint4_grouped<32>>(random_reals(5, 4, 3));
  const auto sentence = [&](const std::vector<index>& order) {
    return tests::sentence_of(
        [&] { return gathered_linear<uint4_grouped<32>>(order, q).outputs(); });
  };
  EXPECT_EQ(sentence({3, 0, 2, 1}), "no error");
  EXPECT_EQ(sentence({3, 0, 2}), "fewbit: gathered_linear: length of order is 3, expected 4");
  EXPECT_EQ(sentence({3, 0, 4, 1}), "fewbit: gathered_linear: order[2] is 4, expected 0 to 3");
  EXPECT_EQ(sentence({3, 0, -1, 1}), "fewbit: gathered_linear: order[2] is -1, expected 0 to 3");
  EXPECT_EQ(sentence({3, 0, 3, 1}),
            "fewbit: gathered_linear: order[2] is 3, expected another input, because this one is "
            "there already");
}
#endif

}}  // namespace fewbit::ops_gathered_linear_test
