#include "fewbit/quant/quantized_matrix.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "quant/reference.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace quant_quantized_matrix_test {

template <class S>
class quantized_matrix_test : public testing::Test {
 public:
  using code = typename S::code;

  /// Every code in turn, rows x cols.
  static row_matrix<code> all_codes(index rows, index cols) {
    row_matrix<code> codes(rows, cols);
    int next = S::code_min;
    for (index i = 0; i < codes.size(); ++i) {
      codes.data()[i] = static_cast<code>(next);
      next = next == S::code_max ? S::code_min : next + 1;
      if (S::storage::bits == 1 && next == 0) next = 1;
    }
    return codes;
  }
  static std::vector<float> scales(index rows, index cols) {
    std::vector<float> values;
    for (index i = 0; i < S::granularity::count(rows, cols); ++i) {
      values.push_back(std::ldexp(1.0F, static_cast<int>(i % 7) - 3));
    }
    return values;
  }
  static std::vector<code> zeros(index rows, index cols) {
    std::vector<code> values;
    if (!S::is_affine) return values;
    for (index i = 0; i < S::granularity::count(rows, cols); ++i) {
      values.push_back(static_cast<code>(i % 2 == 0 ? S::storage::min : S::storage::max));
    }
    return values;
  }
};

using schemes =
    testing::Types<int8_per_row, int8_affine, uint8_affine_per_row, int16_per_row, int4_per_row,
                   int4_grouped<4>, uint4_grouped<3>, int3_per_row, int2_per_row, int8_per_col,
                   int8_power_of_two, scheme<int2, sub_tensor<2>, symmetric_full>, ternary_per_row,
                   binary_per_row>;
TYPED_TEST_SUITE(quantized_matrix_test, schemes);

TYPED_TEST(quantized_matrix_test, returns_its_parts) {
  using S = TypeParam;
  for (const index rows : {1, 2, 5}) {
    for (const index cols : {1, 2, 3, 7, 8, 9, 300}) {
      const auto codes = TestFixture::all_codes(rows, cols);
      const auto scales = TestFixture::scales(rows, cols);
      const auto zeros = TestFixture::zeros(rows, cols);
      const quantized_matrix<S> q(codes, scales, zeros);
      ASSERT_EQ(q.rows(), rows);
      ASSERT_EQ(q.cols(), cols);
      EXPECT_EQ(q.codes(), codes);
      EXPECT_EQ(q.row_bytes(), (cols * S::storage::bits + 7) / 8);
      EXPECT_EQ(q.bytes().size(), static_cast<std::size_t>(rows * q.row_bytes()));
      EXPECT_EQ(q.storage_bytes(),
                rows * q.row_bytes() +
                    static_cast<index>(4 * scales.size() + sizeof(zeros[0]) * zeros.size()));
      for (index r = 0; r < rows; ++r) {
        for (index c = 0; c < cols; ++c) {
          const auto i = static_cast<std::size_t>(S::granularity::scale_of(r, c, cols));
          ASSERT_EQ(q.code(r, c), int{codes(r, c)});
          ASSERT_EQ(q.scale(r, c), scales[i]);
          ASSERT_EQ(q.zero_point(r, c), zeros.empty() ? 0 : int{zeros[i]});
        }
      }
    }
  }
}

TYPED_TEST(quantized_matrix_test, copies_are_deep_and_moves_keep_the_value) {
  using S = TypeParam;
  const auto codes = TestFixture::all_codes(3, 5);
  const quantized_matrix<S> q(codes, TestFixture::scales(3, 5), TestFixture::zeros(3, 5));
  quantized_matrix<S> copy = q;
  EXPECT_EQ(copy, q);
  EXPECT_NE(copy.bytes().data(), q.bytes().data());
  const quantized_matrix<S> moved = std::move(copy);
  EXPECT_EQ(moved, q);
  EXPECT_FALSE(moved == quantized_matrix<S>());
  EXPECT_EQ(quantized_matrix<S>().rows(), 0);
}

TYPED_TEST(quantized_matrix_test, strided_blocks_are_read_in_place) {
  const auto codes = TestFixture::all_codes(4, 9);
  const quantized_matrix<TypeParam> q(codes.topLeftCorner(3, 5), TestFixture::scales(3, 5),
                                      TestFixture::zeros(3, 5));
  EXPECT_EQ(q.codes(), codes.topLeftCorner(3, 5));
}

TEST(quantized_matrix, binary_bit_is_set_for_minus_one) {
  row_matrix<std::int8_t> codes(1, 10);
  codes << -1, 1, 1, -1, 1, 1, 1, 1, 1, -1;
  const quantized_matrix<binary_per_row> q(codes, std::vector<float>{1.0F});
  EXPECT_EQ(q.bytes()[0], 0x09);
  EXPECT_EQ(q.bytes()[1], 0x02);
}

TEST(quantized_matrix, nibbles_start_with_the_low_one) {
  row_matrix<std::int8_t> codes(1, 3);
  codes << 1, -2, 7;
  const quantized_matrix<int4_per_row> q(codes, std::vector<float>{1.0F});
  EXPECT_EQ(q.bytes()[0], 0xE1);
  EXPECT_EQ(q.bytes()[1], 0x07);
}

template <class S>
void expect_minima_to_come_back(index rows, index cols) {
  const auto count = static_cast<std::size_t>(S::granularity::count(rows, cols));
  row_matrix<std::uint8_t> codes(rows, cols);
  for (index i = 0; i < codes.size(); ++i) {
    codes.data()[i] = static_cast<std::uint8_t>(i % (S::code_max + 1));
  }
  std::vector<float> scales, minima;
  for (std::size_t i = 0; i < count; ++i) {
    scales.push_back(static_cast<float>(i % 3));
    minima.push_back(1.0F / static_cast<float>(i + 1) - 0.5F);
  }
  const quantized_matrix<S> q(codes, scales, minima);
  EXPECT_EQ(q.codes(), codes);
  EXPECT_EQ(q.storage_bytes(), rows * q.row_bytes() + static_cast<index>(8 * count));
  EXPECT_EQ(q.minima().size(), count);
  EXPECT_TRUE(q.zero_points().empty());
  for (index r = 0; r < rows; ++r) {
    for (index c = 0; c < cols; ++c) {
      const auto i = static_cast<std::size_t>(S::granularity::scale_of(r, c, cols));
      ASSERT_EQ(q.scale(r, c), scales[i]);
      ASSERT_EQ(q.minimum(r, c), minima[i]);
      ASSERT_EQ(q.zero_point(r, c), 0);
    }
  }
  minima.back() += 1.0F;
  EXPECT_FALSE(q == quantized_matrix<S>(codes, scales, minima));
}

TEST(quantized_matrix, minima_are_restored) {
  for (const index cols : {1, 3, 8, 9, 70}) {
    expect_minima_to_come_back<uint4_grouped_minimum<4>>(3, cols);
    expect_minima_to_come_back<scheme<uint8, per_row, real_minimum>>(3, cols);
    expect_minima_to_come_back<scheme<uint3, grouped<5>, real_minimum>>(2, cols);
    expect_minima_to_come_back<scheme<uint2, per_row, real_minimum>>(1, cols);
  }
  const row_matrix<std::int8_t> codes = row_matrix<std::int8_t>::Ones(1, 4);
  const quantized_matrix<int8_per_row> q(codes, std::vector<float>{1.0F});
  EXPECT_TRUE(q.minima().empty());
  EXPECT_EQ(q.minimum(0, 3), 0.0F);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(quantized_matrix, bad_minima_are_named) {
  using S = uint4_grouped_minimum<4>;
  row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Ones(1, 8);
  const auto failure = [&](const std::vector<float>& scales, const std::vector<float>& minima) {
    return tests::sentence_of([&] { quantized_matrix<S>(codes, scales, minima); });
  };
  EXPECT_EQ(failure({1.0F, 0.0F}, {0.0F, -1.0F}), "no error");
  EXPECT_EQ(failure({1.0F, 1.0F}, {0.0F}),
            "fewbit: quantized_matrix: number of minima is 1, expected 2");
  EXPECT_EQ(failure({1.0F, 1.0F}, {0.0F, INFINITY}),
            "fewbit: quantized_matrix: minima[1] is inf, expected a finite number");
  EXPECT_EQ(failure({1.0F, -0.0F}, {0.0F, 0.0F}),
            "fewbit: quantized_matrix: scales[1] is -0, expected a finite positive number");
  codes(0, 7) = 16;
  EXPECT_EQ(failure({1.0F, 1.0F}, {0.0F, 0.0F}),
            "fewbit: quantized_matrix: codes(0, 7) is 16, expected 0 to 15");
}

template <class S>
std::string failure(const row_matrix<typename S::code>& codes, const std::vector<float>& scales,
                    const std::vector<typename S::code>& zeros = {}) {
  return tests::sentence_of([&] { quantized_matrix<S>(codes, scales, zeros); });
}

TEST(quantized_matrix, bad_parts_are_named_with_their_position) {
  const std::vector<float> ones(2, 1.0F);
  row_matrix<std::int8_t> codes = row_matrix<std::int8_t>::Ones(2, 4);
  EXPECT_EQ(failure<int8_per_row>(codes, ones), "no error");
  codes(1, 2) = -128;
  EXPECT_EQ(failure<int8_per_row>(codes, ones),
            "fewbit: quantized_matrix: codes(1, 2) is -128, expected -127 to 127");
  codes(1, 2) = 8;
  EXPECT_EQ(failure<int4_per_row>(codes, ones),
            "fewbit: quantized_matrix: codes(1, 2) is 8, expected -7 to 7");
  codes(1, 2) = 2;
  EXPECT_EQ(failure<ternary_per_row>(codes, ones),
            "fewbit: quantized_matrix: codes(1, 2) is 2, expected -1 to 1");
  codes(1, 2) = 0;
  EXPECT_EQ(failure<ternary_per_row>(codes, ones), "no error");
  EXPECT_EQ(failure<binary_per_row>(codes, ones),
            "fewbit: quantized_matrix: codes(1, 2) is 0, expected -1 or 1");
}

TEST(quantized_matrix, bad_scales_are_named) {
  const row_matrix<std::int8_t> codes = row_matrix<std::int8_t>::Ones(2, 4);
  EXPECT_EQ(failure<int8_per_row>(codes, {1.0F}),
            "fewbit: quantized_matrix: number of scales is 1, expected 2");
  EXPECT_EQ(failure<int4_grouped<3>>(codes, {1.0F, 1.0F}),
            "fewbit: quantized_matrix: number of scales is 2, expected 4");
  EXPECT_EQ(failure<int8_per_row>(codes, {1.0F, 0.0F}),
            "fewbit: quantized_matrix: scales[1] is 0, expected a finite positive number");
  EXPECT_EQ(failure<int8_per_row>(codes, {-1.0F, 1.0F}),
            "fewbit: quantized_matrix: scales[0] is -1, expected a finite positive number");
  EXPECT_EQ(failure<int8_per_row>(codes, {1.0F, std::numeric_limits<float>::infinity()}),
            "fewbit: quantized_matrix: scales[1] is inf, expected a finite positive number");
  EXPECT_EQ(failure<int8_per_row>(codes, {1.0F, std::numeric_limits<float>::quiet_NaN()}),
            "fewbit: quantized_matrix: scales[1] is nan, expected a finite positive number");
  EXPECT_EQ(failure<int8_per_row>(codes, {1.0F, 0x1p-127F}),
            "fewbit: quantized_matrix: scales[1] is 5.87747175e-39, expected at least 2^-126");
  EXPECT_EQ(failure<int8_per_row>(codes, {1.0F, 0x1p-126F}), "no error");
  EXPECT_EQ(failure<ternary_per_row>(codes, {1.0F, 0.0F}),
            "fewbit: quantized_matrix: scales[1] is 0, expected a finite positive number");
  EXPECT_EQ(failure<int8_power_of_two>(codes, {0.3F}),
            "fewbit: quantized_matrix: scales[0] is 0.3, expected a power of two from 2^-126 to "
            "2^127");
  EXPECT_EQ(failure<int8_power_of_two>(codes, {0.25F}), "no error");
}

TEST(quantized_matrix, a_scale_may_be_zero_if_no_code_means_zero) {
  const row_matrix<std::int8_t> codes = row_matrix<std::int8_t>::Constant(2, 4, -1);
  EXPECT_EQ(failure<binary_per_row>(codes, {0.0F, 1.0F}), "no error");
  for (const float bad : {-0.0F, -1.0F, 1e-40F, std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_NE(failure<binary_per_row>(codes, {1.0F, bad}), "no error") << bad;
  }
}

TEST(quantized_matrix, bad_zero_points_are_named) {
  const row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Ones(1, 4);
  EXPECT_EQ(failure<uint4_grouped<4>>(codes, {1.0F}, {16}),
            "fewbit: quantized_matrix: zero_points[0] is 16, expected 0 to 15");
  EXPECT_EQ(failure<uint4_grouped<4>>(codes, {1.0F}),
            "fewbit: quantized_matrix: number of zero points is 0, expected 1");
  EXPECT_EQ(failure<int8_per_row>(row_matrix<std::int8_t>::Ones(1, 4), {1.0F}, {0}),
            "fewbit: quantized_matrix: number of zero points is 1, expected 0");
}

TEST(quantized_matrix, no_elements_is_an_error) {
  EXPECT_EQ(failure<int8_per_row>(row_matrix<std::int8_t>(0, 4), {}),
            "fewbit: quantized_matrix: codes is 0 x 4, expected at least one row and one column");
}
#endif

}  // namespace quant_quantized_matrix_test
}  // namespace fewbit
