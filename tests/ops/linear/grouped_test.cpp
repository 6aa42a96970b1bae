#include "fewbit/ops/linear/grouped.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "support/double_product.hpp"
#include "support/kept_scale.hpp"
#include "support/layer_calls.hpp"
#include "support/plain_linear.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_linear_grouped_test {

using tests::random_reals;

template <class S>
class packed_linear_test : public testing::Test {};
using schemes =
    testing::Types<int4_grouped<32>, int4_grouped<128>, uint4_grouped<64>, int8_grouped<32>,
                   int3_grouped<24>, int2_grouped<32>, ternary_grouped<32>, binary_grouped<32>>;
TYPED_TEST_SUITE(packed_linear_test, schemes);

/// Codes of the inputs against dequantized weights, in double.
TYPED_TEST(packed_linear_test, is_close_to_the_product_of_dequantized_weights) {
  const row_matrix<float> x = random_reals(5, 200, 1);
  const auto w = quantize<TypeParam>(random_reals(20, 200, 2));
  linear<TypeParam> layer(w);
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

/// Scales of groups and of rows that 16 bits of each cannot hold, one of them 0.
TYPED_TEST(packed_linear_test, is_accurate_for_very_different_scales) {
  const row_matrix<float> x = random_reals(3, 200, 1);
  const auto q = quantize<TypeParam>(random_reals(20, 200, 2));
  const float factors[] = {1.0F, 1e-10F, 1e10F, 0.0F, 1e-30F, 1e-20F, 1e30F};
  for (const index groups_of_factor : {index{1}, detail::scale_blocks<TypeParam>(200)}) {
    const auto w =
        tests::with_scales(q, [&](index i) { return factors[i / groups_of_factor % 7]; });
    linear<TypeParam> layer(w);
    linear<TypeParam, dynamic_int8_groups> by_groups(w);
    linear<TypeParam, float_inputs> real(w);
    tests::expect_products(layer, w, x, 0x1p-7);
    tests::expect_products(by_groups, w, x, 0x1p-7);
    tests::expect_products(real, w, x, 0x1p-11);
  }
}

/// Weights as small as 1e-40 by inputs as large, and the other way round.
TYPED_TEST(packed_linear_test, is_accurate_for_small_by_large_numbers) {
  const row_matrix<float> x = random_reals(3, 200, 1);
  const auto q = quantize<TypeParam>(random_reals(20, 200, 2));
  for (const auto& [of_weights, of_inputs] : {std::pair{1e-40F, 1e35F},
                                              {1e-36F, 1e36F},
                                              {1e-42F, 1e30F},
                                              {1e30F, 1e-34F},
                                              {1e33F, 1e-33F}}) {
    const auto w = tests::with_scales(q, [&, s = of_weights](index) { return s; });
    const row_matrix<float> scaled = x * of_inputs;
    linear<TypeParam> layer(w);
    linear<TypeParam, dynamic_int8_groups> by_groups(w);
    linear<TypeParam, float_inputs> real(w);
    tests::expect_products(layer, w, scaled, 0x1p-7);
    tests::expect_products(by_groups, w, scaled, 0x1p-7);
    tests::expect_products(real, w, scaled, 0x1p-11);
  }
}

/// A group of zeros has scale 1.
TEST(packed_linear, keeps_weights_next_to_a_group_of_zeros) {
  row_matrix<float> w(2, 64);
  for (index i = 0; i < w.size(); ++i) w.data()[i] = 1e-12F * static_cast<float>(i % 15 - 7);
  w.block(1, 32, 1, 32).setZero();
  const row_matrix<float> x = random_reals(3, 64, 1);
  const auto check = [&]<class S>(const row_matrix<float>& of) {
    const auto q = quantize<S>(of);
    linear<S> layer(q);
    linear<S, dynamic_int8_groups> by_groups(q);
    linear<S, float_inputs> real(q);
    tests::expect_products(layer, q, x, 0x1p-7);
    tests::expect_products(by_groups, q, x, 0x1p-7);
    tests::expect_products(real, q, x, 0x1p-11);
    EXPECT_EQ(layer.bytes(), linear<S>(row_matrix<float>::Ones(2, 64)).bytes()) << "short scales";
  };
  const auto large = tests::with_scales(quantize<int4_grouped<32>>(w),
                                        [](index i) { return i == 3 ? 3e38F : 1.0F; });
  linear<int4_grouped<32>, float_inputs> beside_large(large);
  tests::expect_products(beside_large, large, x, 0x1p-11);
  for (const float factor : {1.0F, -1.0F, 1e-8F, 1e24F, 0x1p-40F}) {
    check.template operator()<int4_grouped<32>>(factor * w);
    check.template operator()<uint4_grouped<32>>(factor * w);
    check.template operator()<int8_grouped<16>>(factor * w);
    check.template operator()<int4_grouped<32>>(factor * w.colwise().reverse().eval());
    check.template operator()<int4_grouped<32>>(factor * w.rowwise().reverse().eval());
  }
}

/// Rows near the largest float by groups of all sizes, in one call with rows of other sizes: each
/// row has the bits that it has alone, and nothing finite becomes infinite.
TEST(packed_linear, float_inputs_near_the_largest_float_work_with_small_groups) {
  const row_matrix<float> signs = random_reals(9, 64, 1);
  row_matrix<float> x = signs * 0.3F;
  x.row(0) *= 1e38F;
  x.row(3) *= 1e7F;
  x.row(4) *= 1e38F;
  x.row(8) *= 1e37F;
  const auto check = [&]<class S>(const quantized_matrix<S>& equal) {
    for (const float small : {1e-30F, 1e-37F}) {
      const auto q =
          tests::with_scales(equal, [&](index i) { return i % 3 == 0 ? 1e-20F : small; });
      linear<S, float_inputs> layer(q);
      tests::expect_products(layer, q, x, 0x1p-11);
      row_matrix<float> together(9, 5), alone(1, 5);
      layer(x, together);
      for (index i = 0; i < 9; ++i) {
        layer(x.row(i), alone);
        EXPECT_EQ(alone, together.row(i)) << "row " << i;
      }
    }
  };
  const row_matrix<float> w = random_reals(5, 64, 2);
  check(quantize<int4_grouped<32>>(w));
  check(quantize<int8_grouped<32>>(w));
  check(quantize<uint4_grouped<32>>(w));
  check(quantize<int4_per_row>(w));
  check(quantize<binary_per_row>(w));
  check(quantize<codebook_grouped<4, 32>, normal_quantiles>(w));
}

/// A scale of 1 in one group does not make sums of another group overflow.
TEST(packed_linear, float_inputs_keep_a_small_group_next_to_a_large_one) {
  row_matrix<float> w(1, 64), x(1, 64), y(1, 1);
  w.leftCols(32).setConstant(1.0F);
  w.rightCols(32).setConstant(1e-30F);
  x.leftCols(32).setZero();
  x.rightCols(32).setConstant(1e38F);
  linear<int4_grouped<32>, float_inputs> layer(w);
  layer(x, y);
  EXPECT_NEAR(y(0, 0), 3.2e9F, 3.2e9F * 0x1p-11F);
}

/// Scales are rounded up to 12 bits by at most 2^-12: a total that this could make infinite is
/// refused.
TEST(packed_linear, refuses_totals_that_are_infinite_with_rounded_scales) {
  row_matrix<float> x = row_matrix<float>::Constant(1, 9, 1e-10F), y(1, 1);
  int built = 0, refused = 0;
  for (int step = -40; step <= 40; ++step) {
    const float most = std::numeric_limits<float>::max() / (9.0F * 127.0F);
    const float size = most * (1.0F + static_cast<float>(step) * 0x1p-15F);
    const auto check = [&]<class Inputs>(Inputs) {
      try {
        linear<int4_grouped<32>, Inputs> layer(row_matrix<float>::Constant(1, 9, size).eval());
        layer(x, y);
        EXPECT_TRUE(std::isfinite(y(0, 0))) << "step " << step;
        ++built;
      } catch (const error&) {
        ++refused;
      }
    };
    check(dynamic_int8{});
    check(dynamic_int8_groups{});
  }
  EXPECT_GT(built, 20);
  EXPECT_GT(refused, 20);
}

TEST(packed_linear, accepts_vectors_and_terminates_on_wrong_shapes) {
  linear<int4_grouped<32>> layer(random_reals(20, 64, 1), random_reals(20, 1, 2));
  linear<int4_grouped<32>, dynamic_int8_groups> by_groups(random_reals(20, 64, 1));
  tests::expect_vectors_are_rows(layer);
  tests::expect_vectors_are_rows(by_groups);
  tests::expect_misfits_end(layer, "linear");
  linear<int4_grouped<32>> of_codes(random_reals(20, 64, 1), Eigen::VectorXf(),
                                    {false, {0.1F, 200}});
  tests::expect_zero_point_of_other_codes_ends(of_codes);
}

/// The documented formula for inputs with a scale for each group of `depth` columns, in float.
template <class S>
float total_of_groups(const quantized_matrix<S>& w, const row_matrix<float>& x, index i, index j,
                      index depth) {
  float total = 0.0F;
  for (index first = 0; first < x.cols(); first += depth) {
    const index count = std::min(depth, x.cols() - first);
    float amax = 0.0F;
    for (index k = first; k < first + count; ++k) {
      if (std::isfinite(x(i, k))) amax = std::max(amax, std::fabs(x(i, k)));
    }
    const float scale = amax == 0.0F ? 1.0F : amax / 127.0F;
    int sum = 0;
    for (index k = first; k < first + count; ++k)
      sum +=
          tests::clamped_code(x(i, k), scale, 0, -127, 127) * (w.code(j, k) - w.zero_point(j, k));
    const float of_weights = tests::with_12_bits(w.scale(j, first));
    volatile float next =
        total + tests::times(tests::times(static_cast<float>(sum), of_weights), scale);
    total = next;
  }
  return total;
}

/// Every height of a tile and the groups behind the last whole ones; a group of zeros, of special
/// values, and inputs of which a thousandth matter in their own group alone.
/// A layer of a view equals the layer that wrote the image.
TYPED_TEST(packed_linear_test, takes_packed_weights_and_views) {
  if constexpr (std::endian::native == std::endian::little) {
    const row_matrix<float> x = random_reals(5, 200, 1);
    const Eigen::VectorXf bias = random_reals(20, 1, 3).col(0);
    linear<TypeParam> layer(random_reals(20, 200, 2), bias);
    using weights = typename linear<TypeParam>::weights_type;
    aligned_buffer<std::byte> image(layer.weights().image_bytes());
    layer.weights().write_image(image);
    linear<TypeParam> viewing(weights::view(image), bias);
    linear<TypeParam> owning{weights(layer.weights())};
    EXPECT_FALSE(viewing.weights().owns_memory());
    EXPECT_TRUE(owning.weights().owns_memory());
    EXPECT_EQ(viewing.bytes(), layer.bytes());
    row_matrix<float> wanted(5, 20), y(5, 20);
    layer(x, wanted);
    viewing(x, y);
    EXPECT_EQ(y, wanted);
    owning(x, y);
    EXPECT_NE(y, wanted) << "no bias";
  }
}

TYPED_TEST(packed_linear_test, scales_groups_of_inputs_as_documented) {
  constexpr index depth = detail::scale_depth<typename TypeParam::granularity>, n = 35, k = 200;
  const auto w = quantize<TypeParam>(random_reals(n, k, 2));
  row_matrix<float> x = random_reals(27, k, 1);
  x.leftCols(depth) *= 1000.0F;
  x.row(1).rightCols(k - depth).setZero();
  x(2, 3) = std::numeric_limits<float>::quiet_NaN();
  x(3, k - 1) = -std::numeric_limits<float>::infinity();
  arch::compiled::for_each([&]<class Arch>() {
    linear<TypeParam, dynamic_int8_groups, Arch> layer(w);
    for (const index m : {1, 2, 3, 5, 12, 27}) {
      row_matrix<float> y(m, n);
      layer(x.topRows(m), y);
      for (index i = 0; i < m; ++i) {
        for (index j = 0; j < n; ++j)
          ASSERT_EQ(y(i, j), total_of_groups(w, x, i, j, depth))
              << Arch::name << " m=" << m << " " << i << " " << j;
      }
      tests::expect_same_in_reserved_memory(layer, x.topRows(m), y);
    }
  });
}

TEST(packed_linear, has_the_same_bits_on_every_arch) {
  const row_matrix<float> x = random_reals(11, 105, 1);
  const auto check = [&]<class S>() {
    const auto w = quantize<S>(random_reals(35, 105, 2));
    row_matrix<float> expected(11, 35);
    linear<S, dynamic_int8, arch::scalar> plain(w);
    plain(x, expected);
    arch::compiled::for_each([&]<class Arch>() {
      row_matrix<float> y(11, 35);
      linear<S, dynamic_int8, Arch> layer(w);
      layer(x, y);
      EXPECT_EQ(y, expected) << Arch::name;
      tests::expect_same_in_reserved_memory(layer, x, y);
    });
  };
  check.template operator()<int4_grouped<32>>();
  check.template operator()<int8_grouped<32>>();
  check.template operator()<ternary_grouped<40>>();
}

/// One row at a time, all at once, and by several workers.
template <class S>
void expect_one_result(index n) {
  const row_matrix<float> x = random_reals(300, 96, 1);
  const linear<S> layer(random_reals(n, 96, 2));
  row_matrix<float> expected(300, n), y(300, n);
  auto scratch = layer.make_scratch(5);
  for (index i = 0; i < 300; ++i) layer(x.middleRows(i, 1), expected.middleRows(i, 1), scratch);
  for (const index rows : {2, 4, 8, 43, 300}) {
    y.setConstant(99.0F);
    layer(x.topRows(rows), y.topRows(rows), scratch);
    EXPECT_EQ(y.topRows(rows), expected.topRows(rows)) << rows << " rows";
  }
  y.setConstant(99.0F);
  layer(x, y, scratch, thread_executor{3});
  EXPECT_EQ(y, expected);
}

TEST(packed_linear, depends_neither_on_threads_nor_on_blocks_of_rows) {
  expect_one_result<int4_grouped<32>>(150);
  expect_one_result<uint4_grouped<40>>(23);
  expect_one_result<int3_grouped<96>>(70);
}

TEST(packed_linear, shares_scratch_memory_and_reads_blocks) {
  const linear<int4_grouped<32>> first(random_reals(64, 40, 1));
  const linear<int8_grouped<32>> second(random_reals(9, 64, 2));
  const row_matrix<float> x = random_reals(6, 50, 3);
  linear_scratch shared;
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

/// Codes of the floats that the layer writes else.
TEST(packed_linear, writes_codes) {
  const row_matrix<float> x = random_reals(4, 40, 1), w = random_reals(37, 40, 2);
  linear<int4_grouped<32>> layer(w, Eigen::VectorXf(), {true, {0.25F, 5}});
  row_matrix<float> y(4, 37);
  row_matrix<std::uint8_t> unsigned_codes(4, 37);
  row_matrix<std::int8_t> signed_codes(4, 37);
  layer(x, y);
  layer(x, unsigned_codes);
  layer(x, signed_codes);
  for (index i = 0; i < 4; ++i) {
    for (index j = 0; j < 37; ++j) {
      const int code = static_cast<int>(std::nearbyint(y(i, j) * 4.0F)) + 5;
      EXPECT_EQ(unsigned_codes(i, j), std::min(code, 255));
      EXPECT_EQ(signed_codes(i, j), std::min(code, 127));
    }
  }
  EXPECT_GT(y.maxCoeff(), 0.0F);
}

TEST(packed_linear, fuses_relu_and_accepts_no_rows) {
  const row_matrix<float> w = random_reals(9, 40, 1), x = random_reals(4, 40, 2);
  linear<int4_grouped<32>> plain(w), bounded(w, Eigen::VectorXf(), {true, {}});
  row_matrix<float> y(4, 9), z(4, 9), none(0, 9);
  plain(x, y);
  bounded(x, z);
  EXPECT_EQ(z, y.cwiseMax(0.0F).eval());
  EXPECT_GT((z.array() == 0.0F).count(), 0);
  plain(row_matrix<float>(0, 40), none);
  linear<int4_grouped<32>> empty;
  (void)empty.make_scratch();
  row_matrix<float> nothing(2, 0);
  empty(row_matrix<float>(2, 0), nothing);
}

TEST(packed_linear, has_a_defined_result_for_non_finite_inputs) {
  row_matrix<float> x(3, 2), y(3, 2);
  x << 1.0F, std::numeric_limits<float>::quiet_NaN(), -2.0F, std::numeric_limits<float>::infinity(),
      0.0F, -0.0F;
  linear<int8_grouped<32>> layer(row_matrix<float>::Identity(2, 2));
  layer(x, y);
  EXPECT_NEAR(y(0, 0), 1.0F, 1e-3F);
  EXPECT_EQ(y(0, 1), 0.0F);
  EXPECT_NEAR(y(1, 1), 2.0F, 1e-3F) << "the last code of a row whose largest finite value is 2";
  EXPECT_EQ(y.row(2), (row_matrix<float>::Zero(1, 2)));
}

/// In groups of 32, less the bias: the bits of the codes and half a bit of scales.
TEST(packed_linear, takes_half_a_bit_per_weight_for_scales) {
  const auto half_bits = [](const auto& layer) {
    return (layer.bytes() - 64 * 4) * 16 / (64 * 256);
  };
  const row_matrix<float> w = random_reals(64, 256, 1);
  EXPECT_EQ(half_bits(linear<int8_grouped<32>>(w)), 17);
  EXPECT_EQ(half_bits(linear<int4_grouped<32>>(w)), 9);
  EXPECT_EQ(half_bits(linear<int3_grouped<32>>(w)), 7);
  EXPECT_EQ(half_bits(linear<int2_grouped<32>>(w)), 5);
  EXPECT_EQ(half_bits(linear<binary_grouped<32>>(w)), 3);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(packed_linear, names_bad_arguments) {
  using layer = linear<int4_grouped<1200000>>;
  const row_matrix<float> w = random_reals(3, 4, 1);
  Eigen::VectorXf bias = Eigen::VectorXf::Zero(2);
  EXPECT_EQ(tests::sentence_of([&] { layer(w, bias); }),
            "fewbit: linear: length of bias is 2, expected 3");
  bias = Eigen::Vector3f(0.0F, std::numeric_limits<float>::quiet_NaN(), 0.0F);
  EXPECT_EQ(tests::sentence_of([&] { layer(w, bias); }),
            "fewbit: linear: bias[1] is nan, expected a finite number");
  EXPECT_EQ(tests::sentence_of([&] { layer(row_matrix<float>::Ones(1, 1127289)); }),
            "fewbit: linear: number of inputs is 1127289, expected at most 1127288");
  EXPECT_EQ(
      tests::sentence_of([&] {
        layer(w, Eigen::VectorXf(), {false, {0.0F, 0}});
      }),
      "fewbit: linear: output_params.scale is 0, expected a finite number of at least 2^-126");
  EXPECT_EQ(tests::sentence_of([&] { (void)layer(w).make_scratch(0); }),
            "fewbit: linear: workers is 0, expected at least 1");
  EXPECT_EQ(tests::sentence_of([&] { layer(row_matrix<float>(), bias); }),
            "fewbit: linear: weights is 0 x 0, expected at least one row and one column");
  EXPECT_EQ(tests::sentence_of([&] { layer(quantized_matrix<int4_grouped<1200000>>(), bias); }),
            "fewbit: linear: weights is 0 x 0, expected at least one row and one column");
  EXPECT_EQ(tests::sentence_of([&] { layer(row_matrix<float>::Constant(1, 2, -INFINITY)); }),
            "fewbit: linear: weights(0, 0) is -inf, expected a finite number");
  EXPECT_EQ(
      tests::sentence_of([&] {
        linear<int4_grouped<32>, dynamic_int8_groups>(row_matrix<float>::Constant(3, 64, 1e36F));
      }).substr(0, 69),
      "fewbit: linear: largest sum of row 0 of weights by codes of inputs is");
}

TEST(packed_linear, refuses_packed_weights_of_another_scheme) {
  using layer = linear<int4_grouped<32>>;
  const row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Ones(3, 64);
  const std::vector<float> scales(6, 1.0F), large(6, 1e36F),
      far_apart = {1, 2, 3, 1e-20F, 5, 1e36F};
  const std::vector<std::uint8_t> zeros(6, 8);
  const auto refusal = [](gemm::grouped_weights<4> w) {
    return tests::sentence_of([&] { layer(std::move(w)); });
  };
  EXPECT_EQ(refusal(gemm::pack_grouped<4>(codes, 32, scales, 8)), "no error");
  EXPECT_EQ(refusal(gemm::grouped_weights<4>()),
            "fewbit: linear: weights is 0 x 0, expected at least one row and one column");
  EXPECT_EQ(refusal(gemm::pack_grouped<4>(codes, 64, std::span(scales).first(3), 8)),
            "fewbit: linear: group of weights is 64, expected 32");
  EXPECT_EQ(refusal(gemm::pack_grouped<4>(codes, 32, scales, 7)),
            "fewbit: linear: zero point of weights is 7, expected 8");
  EXPECT_EQ(refusal(gemm::pack_grouped<4>(codes, 32, scales, zeros)),
            "fewbit: linear: zero point of weights is one for each group, expected one for all");
  for (const auto& too_large : {large, far_apart}) {
    EXPECT_NE(refusal(gemm::pack_grouped<4>(codes, 32, too_large, 8))
                  .find("of weights by codes of inputs is "),
              std::string::npos);
  }
}
#endif

}  // namespace ops_linear_grouped_test
}  // namespace fewbit
