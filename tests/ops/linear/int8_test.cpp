#include "fewbit/ops/linear.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>

#include "fewbit/core/executor_adapters.hpp"
#include "support/codes.hpp"
#include "support/double_product.hpp"
#include "support/layer_calls.hpp"
#include "support/plain_linear.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_linear_int8_test {

using tests::clamped_code;
using tests::coded_row;
using tests::coding_of;
using tests::encode;
using tests::expected_outputs;
using tests::make_layer;
using tests::random_reals;
using tests::static_s8_params;
using tests::static_u8_params;
using tests::times;

template <class S>
class linear_arch_test : public testing::Test {};
using arch_schemes = testing::Types<int8_per_row, int4_per_row, uint4_grouped<16>>;
TYPED_TEST_SUITE(linear_arch_test, arch_schemes);

TYPED_TEST(linear_arch_test, has_the_same_bits_on_every_arch) {
  const row_matrix<float> x = random_reals(9, 77, 1);
  const auto w = quantize<TypeParam>(random_reals(35, 77, 2));
  const Eigen::VectorXf bias = random_reals(1, 35, 3).row(0).transpose();
  const row_matrix<float> expected = expected_outputs<dynamic_int8>(x, w, bias);
  arch::compiled::for_each([&]<class Arch>() {
    row_matrix<float> y(9, 35);
    auto layer = make_layer<TypeParam, dynamic_int8, Arch>(w, bias);
    layer(x, y);
    EXPECT_EQ(y, expected) << Arch::name;
    tests::expect_same_in_reserved_memory(layer, x, y);
  });
}

/// Row by row, some at once, and by several workers.
template <class S>
void expect_one_result(index n) {
  const row_matrix<float> x = random_reals(300, 50, 1);
  const linear<S> layer(random_reals(n, 50, 2), random_reals(1, n, 3).row(0).transpose());
  row_matrix<float> expected(300, n);
  for (index i = 0; i < 300; ++i) {
    auto scratch = layer.make_scratch();
    layer(x.middleRows(i, 1), expected.middleRows(i, 1), scratch);
  }
  for (const index workers : {1, 2, 5}) {
    auto scratch = layer.make_scratch(workers);
    for (const index rows : {2, 43, 300}) {
      row_matrix<float> y(rows, n);
      layer(x.topRows(rows), y, scratch, thread_executor{3});
      EXPECT_EQ(y, expected.topRows(rows)) << workers << " workers, " << rows << " rows";
    }
  }
}

TEST(linear, does_not_depend_on_workers_or_blocks_of_rows) {
  expect_one_result<int8_per_row>(20);
  expect_one_result<int4_per_row>(150);
  expect_one_result<scheme<uint4, per_row, affine>>(23);
}

TEST(linear, layers_of_different_sizes_share_scratch_memory) {
  const row_matrix<float> x = random_reals(150, 50, 1);
  const linear<uint8_affine_per_row> first(random_reals(90, 50, 2));
  const linear<int4_grouped<32>> second(random_reals(20, 90, 3));
  linear_scratch shared;
  first.reserve(shared, 2);
  second.reserve(shared, 3);
  row_matrix<float> middle(150, 90), y(150, 20), middle_alone(150, 90), y_alone(150, 20);
  first(x, middle, shared);
  second(middle, y, shared);
  auto scratch = first.make_scratch();
  first(x, middle_alone, scratch);
  scratch = second.make_scratch();
  second(middle_alone, y_alone, scratch);
  EXPECT_EQ(middle, middle_alone);
  EXPECT_EQ(y, y_alone);
}

TEST(linear, accepts_codes_if_inputs_are_static) {
  const row_matrix<float> x = random_reals(5, 40, 1);
  const auto w = quantize<uint8_affine_per_row>(random_reals(9, 40, 2));
  const Eigen::VectorXf bias = random_reals(1, 9, 3).row(0).transpose();
  auto layer = make_layer<uint8_affine_per_row, static_uint8>(w, bias);
  row_matrix<std::uint8_t> codes(5, 40);
  for (index i = 0; i < 5; ++i) {
    const coded_row row = encode(x, i, *coding_of<static_uint8>());
    for (index k = 0; k < 40; ++k)
      codes(i, k) = static_cast<std::uint8_t>(row.codes[static_cast<std::size_t>(k)]);
  }
  row_matrix<float> from_reals(5, 9), from_codes(5, 9);
  layer(x, from_reals);
  layer(codes, from_codes);
  EXPECT_EQ(from_codes, from_reals);
}

TEST(linear, writes_codes_and_fuses_relu) {
  const row_matrix<float> x = random_reals(4, 40, 1);
  const auto w = quantize<int8_per_row>(random_reals(9, 40, 2));
  const Eigen::VectorXf bias = random_reals(1, 9, 3).row(0).transpose();
  const linear_options options{true, {0.11F, 5}};
  auto layer = make_layer<int8_per_row, dynamic_int8>(w, bias, options);
  row_matrix<float> y(4, 9);
  row_matrix<std::uint8_t> unsigned_codes(4, 9);
  row_matrix<std::int8_t> signed_codes(4, 9);
  layer(x, y);
  layer(x, unsigned_codes);
  layer(x, signed_codes);
  EXPECT_EQ(y, expected_outputs<dynamic_int8>(x, w, bias).cwiseMax(0.0F).eval());
  EXPECT_GT((y.array() == 0.0F).count(), 0);
  for (index i = 0; i < 4; ++i) {
    for (index j = 0; j < 9; ++j) {
      EXPECT_EQ(unsigned_codes(i, j), clamped_code(y(i, j), 0.11F, 5, 0, 255));
      EXPECT_EQ(signed_codes(i, j), clamped_code(y(i, j), 0.11F, 5, -128, 127));
    }
  }
  auto weight_only = make_layer<int8_per_row, float_inputs>(w, bias, options);
  weight_only(x, y);
  weight_only(x, signed_codes);
  EXPECT_EQ(y, expected_outputs<float_inputs>(x, w, bias).cwiseMax(0.0F).eval());
  for (index i = 0; i < y.size(); ++i)
    EXPECT_EQ(signed_codes.data()[i], clamped_code(y.data()[i], 0.11F, 5, -128, 127));
}

/// Codes, and for each row a sum of codes, a scale and a bias.
TEST(linear, keeps_weights_of_few_bits_packed) {
  const row_matrix<float> w = random_reals(64, 256, 1);
  const quant_params p{1.0F, 0};
  EXPECT_EQ(linear<int4_per_row>(w).bytes(), 64 * (256 / 2 + 12));
  EXPECT_EQ(linear<int3_per_row>(w).bytes(), 64 * (256 * 3 / 8 + 12));
  EXPECT_EQ(linear<ternary_per_row>(w).bytes(), 64 * (256 / 4 + 12));
  EXPECT_EQ(linear<binary_per_row>(w).bytes(), 64 * (256 / 8 + 12));
  const linear<binary_per_row, static_uint8> fixed(w, Eigen::VectorXf(), p);
  EXPECT_EQ(fixed.bytes(), 64 * (256 / 8 + 16)) << "and what the zero point of inputs adds";
}

TEST(linear, accepts_empty_operands) {
  linear<int4_per_row> empty;
  (void)empty.make_scratch();
  row_matrix<float> nothing(2, 0);
  empty(row_matrix<float>(2, 0), nothing);
  EXPECT_EQ(empty.bytes(), 0);
}

/// Less the bias: in groups of 32 half a bit more than the codes have.
TEST(linear, with_float_inputs_keeps_codes_as_they_are_stored) {
  const row_matrix<float> w = random_reals(64, 256, 1);
  const auto half_bits = [](const auto& layer) {
    return (layer.bytes() - 64 * 4) * 16 / (64 * 256);
  };
  EXPECT_EQ(half_bits(linear<int8_grouped<32>, float_inputs>(w)), 17);
  EXPECT_EQ(half_bits(linear<int4_grouped<32>, float_inputs>(w)), 9);
  EXPECT_EQ(half_bits(linear<int2_grouped<32>, float_inputs>(w)), 5);
}

/// One row has a path of its own. The same row three times has none.
template <class S, class Inputs>
void expect_one_row_equals_three(const auto&... options) {
  for (const index n : {8, 37, 100}) {
    for (const index k : {1, 8, 31, 64, 67, 200}) {
      row_matrix<float> x = random_reals(6, k, 1);
      x(1, k / 2) = std::numeric_limits<float>::quiet_NaN();
      x(2, k - 1) = std::numeric_limits<float>::infinity();
      x(3, k / 3) = -1e30F;
      x.row(4).setZero();
      x.row(5) *= 1e-41F;
      arch::compiled::for_each([&]<class Arch>() {
        linear<S, Inputs, Arch> layer(random_reals(n, k, 2),
                                      random_reals(1, n, 3).row(0).transpose(), options...);
        for (index r = 0; r < x.rows(); ++r) {
          SCOPED_TRACE(testing::Message()
                       << Arch::name << " n=" << n << " k=" << k << " row " << r);
          const row_matrix<float> three = x.row(r).replicate(3, 1);
          row_matrix<float> one(1, n), expected(3, n);
          layer(three, expected);
          std::as_const(layer)(x.row(r), one);
          EXPECT_EQ(one, expected.row(0));
          auto scratch = layer.make_scratch(1, 1);
          layer(x.row(r), one, scratch);
          EXPECT_EQ(one, expected.row(0)) << "in reserved memory";
        }
      });
    }
  }
}

TEST(linear, multiplies_one_row_like_several) {
  expect_one_row_equals_three<int8_per_row, dynamic_int8>();
  expect_one_row_equals_three<uint8_affine_per_row, dynamic_int8>();
  expect_one_row_equals_three<uint8_affine_per_row, static_uint8>(static_u8_params);
  expect_one_row_equals_three<int8_per_row, static_int8>(static_s8_params);
}

TEST(linear, goes_from_codes_to_codes_on_every_arch) {
  tests::expect_codes_to_codes<arch::compiled, int8_per_row, std::uint8_t>({true, {0.31F, 12}},
                                                                           static_u8_params);
  tests::expect_codes_to_codes<arch::compiled, int4_grouped<32>, std::int8_t>({false, {0.31F, 3}},
                                                                              static_s8_params);
}

/// Scaling a row by a power of two scales its outputs by exactly that.
TEST(linear, dynamic_rows_have_their_own_scales) {
  row_matrix<float> x = random_reals(2, 64, 1);
  x.row(1) = 1024.0F * x.row(0);
  linear<int8_per_row> layer(random_reals(8, 64, 2), Eigen::VectorXf());
  row_matrix<float> y(2, 8);
  layer(x, y);
  EXPECT_EQ(y.row(1), (1024.0F * y.row(0)).eval());
}

TEST(linear, has_a_defined_result_for_non_finite_inputs) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  row_matrix<float> x(4, 3);
  x << 1.0F, std::numeric_limits<float>::quiet_NaN(), -2.0F, infinity, 1.0F, -2.0F, -infinity, 1.0F,
      2.0F, 0.0F, -0.0F, 0.0F;
  row_matrix<float> w = row_matrix<float>::Identity(3, 3);
  linear<int8_per_row> layer(w, Eigen::VectorXf());
  row_matrix<float> y(4, 3);
  layer(x, y);
  EXPECT_EQ(y(0, 1), 0.0F);
  EXPECT_FLOAT_EQ(y(0, 2), -2.0F);
  EXPECT_FLOAT_EQ(y(1, 0), 2.0F);  // the last code of a row whose largest finite value is 2
  EXPECT_FLOAT_EQ(y(2, 0), -2.0F);
  EXPECT_EQ(y.row(3), (row_matrix<float>::Zero(1, 3)));
  const quantized_matrix<int8_per_row> q = quantize<int8_per_row>(w);
  auto fixed = make_layer<int8_per_row, static_uint8>(q, Eigen::VectorXf());
  fixed(x, y);
  EXPECT_EQ(y(0, 1), 0.0F);
  EXPECT_FLOAT_EQ(y(1, 0),
                  static_u8_params.scale * static_cast<float>(255 - static_u8_params.zero_point));
  EXPECT_FLOAT_EQ(y(2, 0),
                  static_u8_params.scale * static_cast<float>(-static_u8_params.zero_point));
}

TEST(linear, accepts_rows_of_subnormals_and_of_the_largest_floats) {
  row_matrix<float> x(2, 2);
  x << 1e-44F, -1e-44F, 3e38F, 1e38F;
  linear<int8_per_row> layer(row_matrix<float>::Identity(2, 2), Eigen::VectorXf());
  row_matrix<float> y(2, 2);
  layer(x, y);
  EXPECT_EQ(y.row(0), (row_matrix<float>::Zero(1, 2)));
  EXPECT_NEAR(y(1, 0) / 3e38F, 1.0F, 1e-5F);
}

TEST(linear, reads_and_writes_blocks) {
  const row_matrix<float> x = random_reals(6, 20, 1);
  linear<int8_per_row> layer(random_reals(5, 12, 2), Eigen::VectorXf());
  row_matrix<float> whole(4, 5), inside = row_matrix<float>::Constant(6, 9, 7.0F);
  layer(x.block(1, 3, 4, 12).eval(), whole);
  layer(x.block(1, 3, 4, 12), inside.block(2, 1, 4, 5));
  EXPECT_EQ(inside.block(2, 1, 4, 5).eval(), whole);
  inside.block(2, 1, 4, 5).setConstant(7.0F);
  EXPECT_EQ(inside, (row_matrix<float>::Constant(6, 9, 7.0F)));
}

/// Rows of sizes 1e10 and more apart, one of them 0.
TEST(linear, is_accurate_for_rows_of_all_magnitudes) {
  const row_matrix<float> x = random_reals(3, 64, 1);
  const auto check = [&]<class S>() {
    const float factors[] = {1.0F, 1e-10F, 1e10F, 0.0F, 1e-30F, 1e30F};
    const auto w = tests::with_scales(quantize<S>(random_reals(20, 64, 2)),
                                      [&](index i) { return factors[i % 6]; });
    linear<S> layer(w);
    linear<S, float_inputs> real(w);
    linear<S, static_int8> fixed(w, Eigen::VectorXf(), quant_params{10.0F / 3 / 127, 0});
    tests::expect_products(layer, w, x, 0x1p-7);
    tests::expect_products(real, w, x, 0x1p-11);
    tests::expect_products(fixed, w, x, 0x1p-7);
  };
  check.template operator()<int4_per_row>();
  check.template operator()<int8_per_row>();
  check.template operator()<uint8_affine_per_row>();
  check.template operator()<binary_per_row>();
}

TEST(linear, is_accurate_for_small_by_large_numbers) {
  const row_matrix<float> x = random_reals(3, 64, 1);
  const auto check = [&]<class S>(float of_weights, float of_inputs) {
    const auto w =
        tests::with_scales(quantize<S>(random_reals(5, 64, 2)), [&](index) { return of_weights; });
    const row_matrix<float> scaled = x * of_inputs;
    linear<S> layer(w);
    linear<S, float_inputs> real(w);
    tests::expect_products(layer, w, scaled, 0x1p-7);
    tests::expect_products(real, w, scaled, 0x1p-11);
    if (of_inputs < 1e-35F) return;
    linear<S, static_int8> fixed(w, Eigen::VectorXf(),
                                 quant_params{10.0F / 3 / 127 * of_inputs, 0});
    tests::expect_products(fixed, w, scaled, 0x1p-7);
  };
  for (const auto& [of_weights, of_inputs] : {std::pair{1e-36F, 1e36F},
                                              {1e-40F, 1e35F},
                                              {1e-42F, 1e30F},
                                              {1e30F, 1e-34F},
                                              {1e33F, 1e-33F}}) {
    check.template operator()<int8_per_row>(of_weights, of_inputs);
    check.template operator()<int4_per_row>(of_weights, of_inputs);
    check.template operator()<uint8_affine_per_row>(of_weights, of_inputs);
    check.template operator()<ternary_per_row>(of_weights, of_inputs);
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(linear, names_too_many_workers) {
  const linear<int8_per_row> layer(random_reals(20, 64, 1));
  const linear<binary_per_row, binary_inputs> bits(random_reals(20, 64, 1));
  constexpr index most = std::numeric_limits<index>::max();
  const auto begins = [&](const std::string& sentence) {
    return sentence.rfind(
        "fewbit: linear: workers is " + std::to_string(most) + ", expected at most ", 0);
  };
  EXPECT_EQ(begins(tests::sentence_of([&] { return layer.make_scratch(most); })), 0U);
  EXPECT_EQ(begins(tests::sentence_of([&] { return bits.make_scratch(most); })), 0U);
  EXPECT_EQ(tests::sentence_of([&] { return layer.make_scratch(0); }),
            "fewbit: linear: workers is 0, expected at least 1");
}
#endif

TEST(linear, accepts_vectors_and_terminates_on_wrong_shapes) {
  const row_matrix<float> w = random_reals(20, 64, 1);
  linear<int8_per_row> layer(w, random_reals(20, 1, 2));
  linear<int4_per_row> narrow(w);
  linear<int8_per_row, float_inputs> real(w);
  linear<int8_per_row, static_int8> fixed(w, Eigen::VectorXf(), quant_params{0.01F, 3});
  tests::expect_vectors_are_rows(layer);
  tests::expect_vectors_are_rows(narrow);
  tests::expect_vectors_are_rows(real);
  tests::expect_vectors_are_rows(fixed);
  tests::expect_misfits_end(layer, "linear");
  tests::expect_misfits_end(real, "linear");
  tests::expect_misfits_end(fixed, "linear");
  Eigen::VectorXf y(20);
  row_matrix<float> z(1, 20);
  const Eigen::Matrix<std::int8_t, 64, 1> codes = Eigen::Matrix<std::int8_t, 64, 1>::Constant(5);
  fixed(codes, y);
  fixed(row_matrix<std::int8_t>::Constant(1, 64, 5).eval(), z);
  EXPECT_EQ(y.transpose(), z.row(0));
}

TEST(linear, terminates_if_the_zero_point_does_not_fit_the_codes) {
  const row_matrix<float> w = random_reals(20, 64, 1);
  const linear_options options{false, {0.1F, 200}};
  linear<int8_per_row> layer(w, Eigen::VectorXf(), options);
  linear<int8_per_row, float_inputs> real(w, Eigen::VectorXf(), options);
  tests::expect_zero_point_of_other_codes_ends(layer);
  tests::expect_zero_point_of_other_codes_ends(real);
}

TEST(linear_options, have_no_output_params_until_they_are_given) {
  EXPECT_EQ(linear_options{}.output_params, no_params);
  EXPECT_EQ((linear_options{.relu = true}.output_params), no_params);
  EXPECT_EQ((linear_options{true, {.scale = 0.5F, .zero_point = 3}}.output_params.zero_point), 3);
  linear_options set;
  set.output_params.scale = 0.5F;
  EXPECT_EQ(set.output_params, (quant_params{0.5F, 0}));
}

TEST(linear, does_nothing_for_no_rows) {
  linear<int8_per_row> layer(random_reals(5, 12, 2), Eigen::VectorXf());
  row_matrix<float> y(0, 5);
  layer(row_matrix<float>(0, 12), y);
  EXPECT_EQ(y.rows(), 0);
}

#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;

TEST(linear, names_bad_arguments) {
  const row_matrix<float> w = random_reals(3, 4, 1);
  EXPECT_EQ(sentence_of([&] { linear<int8_per_row>(w, Eigen::VectorXf::Zero(2)); }),
            "fewbit: linear: length of bias is 2, expected 3");
  Eigen::VectorXf bias = Eigen::VectorXf::Zero(3);
  bias[1] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sentence_of([&] { linear<int8_per_row>(w, bias); }),
            "fewbit: linear: bias[1] is inf, expected a finite number");
  EXPECT_EQ(sentence_of([&] { linear<int8_per_row, float_inputs>(w, bias); }),
            "fewbit: linear: bias[1] is inf, expected a finite number");
  EXPECT_EQ(sentence_of([&] {
              linear<int8_per_row, static_uint8>(w, Eigen::VectorXf(), quant_params{0.0F, 0});
            }),
            "fewbit: linear: input_params.scale is 0, expected a finite number of at least 2^-126");
  EXPECT_EQ(sentence_of([&] {
              linear<int8_per_row, static_uint8>(w, Eigen::VectorXf(), quant_params{1.0F, 256});
            }),
            "fewbit: linear: input_params.zero_point is 256, expected 0 to 255");
  EXPECT_EQ(sentence_of([&] {
              linear<int8_per_row, static_int8>(w, Eigen::VectorXf(), quant_params{1.0F, 128});
            }),
            "fewbit: linear: input_params.zero_point is 128, expected -128 to 127");
  EXPECT_EQ(
      sentence_of([&] {
        linear<int8_per_row>(w, Eigen::VectorXf(), {false, {-1.0F, 0}});
      }),
      "fewbit: linear: output_params.scale is -1, expected a finite number of at least 2^-126");
  for (const int zero : {-129, 256}) {
    EXPECT_EQ(sentence_of([&] {
                linear<int8_per_row>(w, Eigen::VectorXf(), {false, {1.0F, zero}});
              }),
              "fewbit: linear: output_params.zero_point is " + std::to_string(zero) +
                  ", expected -128 to 255");
  }
  EXPECT_EQ(sentence_of([&] {
              linear<int8_per_row, static_uint8>(row_matrix<float>::Constant(1, 4, 3e38F),
                                                 Eigen::VectorXf(), quant_params{1e4F, 0});
            }),
            "fewbit: linear: scale of weights(0, 0) times input scale is inf, expected a finite "
            "number");
  EXPECT_EQ(sentence_of([&] { (void)linear<int8_per_row>(random_reals(3, 4, 1)).make_scratch(0); }),
            "fewbit: linear: workers is 0, expected at least 1");
  EXPECT_EQ(sentence_of([&] { linear<int8_per_row>(row_matrix<float>(0, 4), Eigen::VectorXf()); }),
            "fewbit: linear: weights is 0 x 4, expected at least one row and one column");
}

/// Empty weights with a bias, weights that are not finite, weights too large or too small for
/// floats, in every form of the layer.
TEST(linear, names_its_weights_in_errors) {
  const Eigen::VectorXf bias = Eigen::VectorXf::Zero(16);
  const quant_params p{1.0F, 0};
  const std::string empty =
      "fewbit: linear: weights is 0 x 0, expected at least one row and one column";
  EXPECT_EQ(sentence_of([&] { linear<int8_per_row>(row_matrix<float>(), bias); }), empty);
  EXPECT_EQ(sentence_of([&] { linear<int8_per_row>(quantized_matrix<int8_per_row>(), bias); }),
            empty);
  EXPECT_EQ(sentence_of([&] { linear<int4_per_row>(quantized_matrix<int4_per_row>(), bias); }),
            empty);
  EXPECT_EQ(sentence_of([&] {
              linear<int8_per_row, static_int8>(quantized_matrix<int8_per_row>(), bias, p);
            }),
            empty);
  EXPECT_EQ(sentence_of([&] {
              linear<int8_per_row, float_inputs>(quantized_matrix<int8_per_row>(), bias);
            }),
            empty);
  row_matrix<float> w = row_matrix<float>::Constant(3, 64, 1e36F);
  for (const std::string& sentence : {sentence_of([&] { return linear<int8_per_row>{w}; }),
                                      sentence_of([&] { return linear<int4_per_row>{w}; }),
                                      sentence_of([&] { return linear<ternary_per_row>{-w}; })}) {
    EXPECT_EQ(sentence.substr(0, 67),
              "fewbit: linear: largest sum of row 0 of weights by codes of inputs ");
  }
  EXPECT_EQ(sentence_of([&] {
              linear<int8_per_row, static_int8>(row_matrix<float>::Constant(3, 64, 1e-30F),
                                                Eigen::VectorXf(), quant_params{1e-12F, 0});
            }),
            "fewbit: linear: scale of weights(0, 0) times input scale is 8.40779e-45, expected at "
            "least 2^-138");
  w(2, 5) = std::numeric_limits<float>::quiet_NaN();
  const std::string nan = "fewbit: linear: weights(2, 5) is nan, expected a finite number";
  EXPECT_EQ(sentence_of([&] { linear<int8_per_row>{w}; }), nan);
  EXPECT_EQ(sentence_of([&] { linear<int8_per_row, float_inputs>{w}; }), nan);
  EXPECT_EQ(sentence_of([&] { linear<int8_per_row, static_int8>(w, bias, p); }), nan);
}

/// The sentence of a layer of `depth` inputs and one output.
template <class S, class Inputs>
std::string sentence_of_depth(index depth, const quant_params& input) {
  const row_matrix<float> w = row_matrix<float>::Ones(1, depth);
  return sentence_of([&] {
    if constexpr (Inputs::is_static) {
      const linear<S, Inputs> layer(w, Eigen::VectorXf(), input);
    } else {
      const linear<S, Inputs> layer(w);
    }
  });
}

/// Takes layers of `most` inputs and refuses one more.
template <class S, class Inputs>
void expect_deepest(index most, const quant_params& input = {}) {
  EXPECT_EQ((sentence_of_depth<S, Inputs>(most, input)), "no error");
  EXPECT_EQ((sentence_of_depth<S, Inputs>(most + 1, input)),
            "fewbit: linear: number of inputs is " + std::to_string(most + 1) +
                ", expected at most " + std::to_string(most));
}

/// most = (2^31 - 1) / (largest |x| * largest |w|), of codes with and without their zero points.
TEST(linear, refuses_a_depth_that_could_overflow_int32) {
  expect_deepest<int8_per_row, static_uint8>(65793, {1.0F, 0});            // 255 * 128
  expect_deepest<int8_per_row, static_uint8>(65793, {1.0F, 131});          // codes as they are
  expect_deepest<int8_per_row, static_int8>(131071, {1.0F, 0});            // 128 * 128
  expect_deepest<int8_per_row, static_int8>(65793, {1.0F, 127});           // (127 + 128) * 128
  expect_deepest<int8_per_row, static_int8>(124275, {1.0F, -8});           // (127 + 8) * 128
  expect_deepest<int8_per_row, dynamic_int8>(131071);                      // codes as they are
  expect_deepest<uint8_affine_per_row, dynamic_int8>(66311);               // 127 * 255
  expect_deepest<int4_per_row, dynamic_int8>(526344);                      // 255 * 16: packed
  expect_deepest<uint8_affine_per_row, static_uint8>(33025, {1.0F, 0});    // 255 * 255
  expect_deepest<uint8_affine_per_row, static_uint8>(64286, {1.0F, 131});  // 131 * 255
  expect_deepest<uint8_affine_per_row, static_int8>(33025, {1.0F, -128});  // 255 * 255
  EXPECT_EQ((sentence_of_depth<uint4_grouped<32>, static_uint8>(200000, static_u8_params)),
            "no error")
      << "groups are summed one by one";
}
#endif

/// The deepest sum a u8 layer may hold, all codes extreme: no step on the way may wrap.
TEST(linear, is_exact_at_the_largest_depth) {
  const index k = 65793;
  const row_matrix<float> w = row_matrix<float>::Constant(1, k, -1.0F);
  linear<int8_per_row, static_uint8> layer(w, Eigen::VectorXf(), quant_params{1.0F, 0});
  const row_matrix<std::uint8_t> x = row_matrix<std::uint8_t>::Constant(1, k, 255);
  row_matrix<float> y(1, 1);
  layer(x, y);
  const float scale = quantize<int8_per_row>(w).scale(0, 0);
  EXPECT_EQ(y(0, 0), times(static_cast<float>(-127LL * 255 * k), scale));
}

}  // namespace ops_linear_int8_test
}  // namespace fewbit
