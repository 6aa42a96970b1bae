#include "fewbit/ops/linear/bit_planes.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/ops/linear.hpp"
#include "support/double_product.hpp"
#include "support/layer_calls.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_linear_bit_planes_test {

using tests::random_reals;

/// Codes and scale of a row of numbers, by the definitions.
struct coded_row {
  std::vector<int> codes;
  float scale;
};

double mean_above(const row_matrix<float>& x, index row, double threshold) {
  double parts[16] = {}, total = 0.0, count = 0.0;
  for (index k = 0; k < x.cols(); ++k) {
    const double size = std::fabs(double{x(row, k)});
    if (size > threshold) parts[k % 16] += size;
    count += size > threshold || threshold == 0.0 ? 1.0 : 0.0;
  }
  for (const double part : parts) total += part;
  return total / count;
}

coded_row encode(binary_inputs, const row_matrix<float>& x, index row) {
  coded_row coded{{}, static_cast<float>(mean_above(x, row, 0.0))};
  for (const float v : x.row(row)) coded.codes.push_back(v < 0.0F ? -1 : 1);
  return coded;
}

coded_row encode(ternary_inputs, const row_matrix<float>& x, index row) {
  const double delta = 0.7 * mean_above(x, row, 0.0);
  coded_row coded{{}, static_cast<float>(mean_above(x, row, delta))};
  for (const float v : x.row(row))
    coded.codes.push_back(std::fabs(double{v}) <= delta ? 0 : v < 0.0F ? -1 : 1);
  return coded;
}

template <int Bits, bool Signed>
coded_row encode(few_bit_inputs<Bits, Signed>, const row_matrix<float>& x, index row) {
  constexpr int largest = Signed ? (1 << (Bits - 1)) - 1 : (1 << Bits) - 1;
  const float most = Signed ? x.row(row).cwiseAbs().maxCoeff() : x.row(row).maxCoeff();
  coded_row coded{{}, most > 0.0F ? most / static_cast<float>(largest) : 1.0F};
  for (const float v : x.row(row)) {
    volatile float quotient = v * (1.0F / coded.scale);
    const double code = std::nearbyint(double{quotient});
    coded.codes.push_back(
        static_cast<int>(std::fmin(std::fmax(code, Signed ? -largest : 0), largest)));
  }
  return coded;
}

/// Sums of codes in 64 bits; then the float operations one by one.
template <class Inputs, class S>
row_matrix<float> expected(const row_matrix<float>& x, const quantized_matrix<S>& w,
                           const Eigen::VectorXf& bias) {
  row_matrix<float> y(x.rows(), w.rows());
  for (index i = 0; i < y.rows(); ++i) {
    const coded_row row = encode(Inputs{}, x, i);
    for (index j = 0; j < y.cols(); ++j) {
      std::int64_t sum = 0;
      for (index k = 0; k < x.cols(); ++k)
        sum += std::int64_t{row.codes[static_cast<std::size_t>(k)]} * w.code(j, k);
      volatile float scaled = static_cast<float>(sum) * w.scale(j, 0);
      volatile float total = scaled * row.scale;
      y(i, j) = static_cast<float>(double{total} + double{bias[j]});
    }
  }
  return y;
}

template <class S, class Inputs>
struct choice {
  using scheme = S;
  using inputs = Inputs;
};

template <class Choice>
class bit_linear_test : public testing::Test {};

using choices = testing::Types<
    choice<binary_per_row, binary_inputs>, choice<ternary_per_row, binary_inputs>,
    choice<int3_per_row, binary_inputs>, choice<binary_per_row, ternary_inputs>,
    choice<ternary_per_row, ternary_inputs>, choice<int2_per_row, ternary_inputs>,
    choice<binary_per_row, few_bit_inputs<3>>, choice<ternary_per_row, unsigned_inputs<2>>,
    choice<int2_per_row, few_bit_inputs<2>>, choice<int2_per_row, unsigned_inputs<2>>,
    choice<scheme<int4, per_tensor, symmetric_full>, unsigned_inputs<1>>,
    choice<scheme<binary, sub_tensor<3>>, binary_inputs>, choice<int8_per_row, few_bit_inputs<8>>>;
TYPED_TEST_SUITE(bit_linear_test, choices);

TYPED_TEST(bit_linear_test, equals_its_formula_to_the_bit) {
  using S = typename TypeParam::scheme;
  using Inputs = typename TypeParam::inputs;
  for (const auto& [m, n, k] : {std::array<index, 3>{1, 1, 1}, {3, 17, 64}, {130, 37, 70}}) {
    const row_matrix<float> x = random_reals(m, k, 1);
    const auto w = quantize<S>(random_reals(n, k, 2));
    const Eigen::VectorXf bias = random_reals(1, n, 3).row(0).transpose();
    linear<S, Inputs> layer(w, bias);
    row_matrix<float> y = row_matrix<float>::Constant(m, n, 99.0F);
    layer(x, y);
    EXPECT_EQ(y, (expected<Inputs>(x, w, bias))) << "m=" << m << " n=" << n << " k=" << k;
    tests::expect_same_in_reserved_memory(layer, x, y);
    EXPECT_EQ(layer.inputs(), k);
    EXPECT_EQ(layer.outputs(), n);
  }
}

TEST(bit_linear, has_the_same_bits_on_every_arch) {
  const row_matrix<float> x = random_reals(11, 205, 1);
  const auto check = [&]<class S, class Inputs>() {
    const auto w = quantize<S>(random_reals(35, 205, 2));
    const Eigen::VectorXf bias = random_reals(1, 35, 3).row(0).transpose();
    const row_matrix<float> right = expected<Inputs>(x, w, bias);
    arch::compiled::for_each([&]<class Arch>() {
      row_matrix<float> y(11, 35);
      linear<S, Inputs, Arch> layer(w, bias);
      layer(x, y);
      EXPECT_EQ(y, right) << Arch::name;
      tests::expect_same_in_reserved_memory(layer, x, y);
    });
  };
  check.template operator()<binary_per_row, binary_inputs>();
  check.template operator()<binary_per_row, ternary_inputs>();
  check.template operator()<int2_per_row, unsigned_inputs<2>>();
}

TEST(bit_linear, depends_neither_on_workers_nor_on_blocks_of_rows) {
  const row_matrix<float> x = random_reals(200, 100, 1);
  const linear<binary_per_row, ternary_inputs> layer(random_reals(20, 100, 2));
  row_matrix<float> expected(200, 20);
  auto scratch = layer.make_scratch(5);
  for (index i = 0; i < 200; ++i) layer(x.middleRows(i, 1), expected.middleRows(i, 1), scratch);
  row_matrix<float> y(200, 20);
  layer(x, y, scratch, thread_executor{3});
  EXPECT_EQ(y, expected);
}

TEST(bit_linear, writes_codes_and_blocks_and_fuses_relu) {
  const row_matrix<float> x = random_reals(6, 50, 1), w = random_reals(37, 40, 2);
  linear<binary_per_row, binary_inputs> plain(w), bounded(w, Eigen::VectorXf(), {true, {0.25F, 5}});
  row_matrix<float> y(4, 37), z = row_matrix<float>::Constant(6, 50, 7.0F);
  row_matrix<std::int8_t> codes(4, 37);
  plain(x.block(1, 3, 4, 40), y);
  bounded(x.block(1, 3, 4, 40), z.block(2, 1, 4, 37));
  bounded(x.block(1, 3, 4, 40), codes);
  const row_matrix<float> positive = y.cwiseMax(0.0F);
  EXPECT_EQ(z.block(2, 1, 4, 37).eval(), positive);
  EXPECT_GT((positive.array() == 0.0F).count(), 0);
  z.block(2, 1, 4, 37).setConstant(7.0F);
  EXPECT_EQ(z, (row_matrix<float>::Constant(6, 50, 7.0F)));
  for (index i = 0; i < codes.size(); ++i) {
    const double code = std::nearbyint(positive.data()[i] * 4.0F) + 5;
    EXPECT_EQ(codes.data()[i], std::fmin(code, 127));
  }
}

TEST(bit_linear, writes_the_bias_for_rows_of_zeros) {
  const Eigen::VectorXf bias = Eigen::VectorXf::LinSpaced(9, -1.0F, 1.0F);
  row_matrix<float> y(2, 9);
  const row_matrix<float> w = random_reals(9, 30, 1), zeros = row_matrix<float>::Zero(2, 30);
  linear<binary_per_row, binary_inputs>(w, bias)(zeros, y);
  EXPECT_EQ(y.row(1), bias.transpose());
  linear<binary_per_row, ternary_inputs>(w, bias)(zeros, y);
  EXPECT_EQ(y.row(1), bias.transpose());
  linear<int2_per_row, few_bit_inputs<2>>(w, bias)(zeros, y);
  EXPECT_EQ(y.row(1), bias.transpose());
}

/// One bit for a weight, columns and words being whole.
TEST(bit_linear, takes_one_bit_for_each_weight) {
  const linear<binary_per_row, binary_inputs> layer(random_reals(256, 512, 1));
  EXPECT_EQ(layer.bytes(), 256 * 512 / 8 + 256 * 8);
}

TEST(bit_linear, without_outputs_does_nothing) {
  linear<binary_per_row, binary_inputs> layer(random_reals(5, 12, 1)), empty;
  row_matrix<float> none(0, 5), nothing(2, 0);
  layer(row_matrix<float>(0, 12), none);
  empty(row_matrix<float>(2, 0), nothing);
}

TEST(bit_linear, accepts_vectors_and_terminates_on_wrong_shapes) {
  linear<binary_per_row, binary_inputs> layer(random_reals(20, 64, 1));
  linear<int2_per_row, unsigned_inputs<2>> other(random_reals(20, 64, 1));
  tests::expect_vectors_are_rows(layer);
  tests::expect_vectors_are_rows(other);
  tests::expect_misfits_end(layer, "linear");
  linear<binary_per_row, ternary_inputs> of_codes(random_reals(20, 64, 1), Eigen::VectorXf(),
                                                  {false, {0.1F, 200}});
  tests::expect_zero_point_of_other_codes_ends(of_codes);
}

/// Inputs of -1 and 1 lose nothing, so that sizes alone are at stake.
TEST(bit_linear, is_exact_for_numbers_of_all_magnitudes) {
  const row_matrix<float> signs = random_reals(3, 64, 1).cwiseSign();
  const float factors[] = {1.0F, 1e-10F, 1e10F, 0.0F, 1e-40F, 1e33F};
  const auto check = [&]<class S, class Inputs>(const auto& factor, float of_inputs) {
    const auto w = tests::with_scales(quantize<S>(random_reals(20, 64, 2)), factor);
    linear<S, Inputs> layer(w);
    tests::expect_products(layer, w, signs * of_inputs, 0x1p-20);
  };
  const auto check_all = [&](const auto& factor, float of_inputs) {
    check.template operator()<binary_per_row, binary_inputs>(factor, of_inputs);
    check.template operator()<ternary_per_row, ternary_inputs>(factor, of_inputs);
    check.template operator()<int4_per_row, few_bit_inputs<4>>(factor, of_inputs);
  };
  check_all([&](index i) { return factors[i % 6]; }, 1.0F);
  check_all([](index) { return 1e-40F; }, 1e35F);
  check_all([](index) { return 1e34F; }, 1e-33F);
}

/// A row of weights that are 0 has scale 0, because no binary code is 0.
template <class Inputs>
void expect_zero_rows_stay_zero() {
  row_matrix<float> w = random_reals(3, 70, 1);
  w.row(1).setZero();
  w.row(2).setConstant(-1e-42F);
  Eigen::VectorXf bias(3);
  bias << 1.0F, 2.0F, 0.0F;
  linear<binary_per_row, Inputs> layer(w, bias);
  row_matrix<float> x = random_reals(4, 70, 2), y(4, 3);
  x.row(3).setZero();
  layer(x, y);
  EXPECT_TRUE((y.col(1).array() == 2.0F).all());
  EXPECT_TRUE((y.col(2).array() == 0.0F).all());
  EXPECT_TRUE(y.allFinite());
  EXPECT_EQ(y(3, 0), 1.0F);
}

TEST(bit_linear, of_a_row_of_zeros_equals_the_bias) {
  expect_zero_rows_stay_zero<binary_inputs>();
  expect_zero_rows_stay_zero<ternary_inputs>();
  expect_zero_rows_stay_zero<dynamic_int8>();
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(bit_linear, names_bad_arguments) {
  using layer = linear<int8_per_row, few_bit_inputs<8>>;
  const row_matrix<float> w = random_reals(3, 4, 1);
  EXPECT_EQ(tests::sentence_of([&] { layer(w, Eigen::VectorXf::Zero(2)); }),
            "fewbit: linear: length of bias is 2, expected 3");
  EXPECT_EQ(tests::sentence_of([&] {
              layer(w, Eigen::VectorXf(), {false, {1.0F, 256}});
            }),
            "fewbit: linear: output_params.zero_point is 256, expected -128 to 255");
  EXPECT_EQ(tests::sentence_of([&] { layer(row_matrix<float>(), Eigen::VectorXf::Zero(2)); }),
            "fewbit: linear: weights is 0 x 0, expected at least one row and one column");
  EXPECT_EQ(tests::sentence_of([&] { (void)layer(w).make_scratch(0); }),
            "fewbit: linear: workers is 0, expected at least 1");
  EXPECT_EQ(tests::sentence_of([&] { layer(row_matrix<float>::Ones(1, 131072)); }),
            "fewbit: linear: number of inputs is 131072, expected at most 131071");
}
#endif

}  // namespace ops_linear_bit_planes_test
}  // namespace fewbit
