#include "fewbit/gemm/few_bits/multiply.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/gemm/int8/multiply.hpp"
#include "fewbit/gemm/stages.hpp"
#include "support/archs.hpp"
#include "support/codes.hpp"
#include "support/narrow.hpp"
#include "support/sanitized.hpp"

namespace fewbit { namespace gemm_few_bits_multiply_test {

using tests::for_each_width, tests::random_codes, tests::random_weights, tests::wide_product;

template <class Arch>
class multiply_few_bits_test : public testing::Test {
 public:
  using tile_type = typename gemm::default_kernel<std::uint8_t, Arch>::tile;

  template <int Bits, class Lhs>
  static void expect_exact(const row_matrix<Lhs>& a, const row_matrix<std::int8_t>& w,
                           int zero_point) {
    SCOPED_TRACE(testing::Message()
                 << (std::is_signed_v<Lhs> ? "s8" : "u8") << " bits=" << Bits << " m=" << a.rows()
                 << " n=" << w.rows() << " k=" << w.cols() << " zero_point=" << zero_point);
    row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Constant(a.rows(), w.rows(), 12345);
    gemm::multiply(a, gemm::few_bit_weights<Bits, Arch>(w, zero_point), c);
    EXPECT_EQ(c.template cast<std::int64_t>().eval(), wide_product(a, w));
  }

  /// The same for random operands and both types of activations.
  template <int Bits>
  static void expect_exact(index m, index n, index k, std::uint32_t seed) {
    const int zero_point = static_cast<int>(seed) % (tests::largest_value_of(Bits) + 2);
    const auto w = random_weights(n, k, Bits, zero_point, seed);
    expect_exact<Bits>(random_codes<std::uint8_t>(m, k, seed + 1), w, zero_point);
    expect_exact<Bits>(random_codes<std::int8_t>(m, k, seed + 2), w, zero_point);
  }
};

TYPED_TEST_SUITE(multiply_few_bits_test, tests::archs, tests::arch_names);

TYPED_TEST(multiply_few_bits_test, equals_wide_integer_product_on_every_remainder) {
  for_each_width([]<int Bits>() {
    using tile = typename TestFixture::tile_type;
    const index chunk = gemm::few_bit_weights<Bits, TypeParam>::chunk_codes;
    const index rows = gemm::detail::few_rows_tile_rows<TypeParam>;
    std::uint32_t seed = 1;
    for (const index m : {index{1}, index{2}, index{3}, rows - 1, rows, rows + 1, 2 * rows + 3,
                          gemm::detail::most_few_rows<TypeParam>, index{tile::rows + 1},
                          gemm::detail::most_few_rows<TypeParam> + 2 * tile::rows + 1}) {
      for (const index n :
           {index{1}, index{tile::cols - 1}, index{tile::cols}, index{2 * tile::cols + 1}}) {
        for (const index k : {index{1}, chunk - 1, chunk, chunk + 5})
          TestFixture::template expect_exact<Bits>(m, n, k, ++seed);
      }
    }
  });
}

TYPED_TEST(multiply_few_bits_test, is_exact_for_all_small_numbers_of_rows_columns_and_codes) {
  for_each_width([]<int Bits>() {
    constexpr index step = tests::sanitized ? 5 : 1;
    for (index m = 1; m <= 27; m += step) TestFixture::template expect_exact<Bits>(m, 5, 19, 3);
    for (index n = 1; n <= 67; n += 3 * step) TestFixture::template expect_exact<Bits>(2, n, 19, 4);
    for (index n = 70; n <= 210; n += 70) TestFixture::template expect_exact<Bits>(1, n, 19, 4);
    for (index k = 0; k <= 67; k += step) {
      TestFixture::template expect_exact<Bits>(1, 3, k, 5);
      TestFixture::template expect_exact<Bits>(9, 3, k, 6);
    }
  });
}

/// Codes that overflow 16-bit sums first: all extreme, or every other code extreme.
TYPED_TEST(multiply_few_bits_test, is_exact_on_extreme_codes) {
  const auto expect_all = []<int Bits, class Lhs>(const row_matrix<Lhs>& a) {
    const int most = tests::largest_value_of(Bits);
    for (const int zero_point : {0, most / 2, most + 1}) {
      for (const int value : {0, most}) {
        const auto extreme = static_cast<std::int8_t>(value - zero_point);
        row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Constant(9, a.cols(), extreme);
        TestFixture::template expect_exact<Bits>(a, w, zero_point);
        for (index i = 0; i < w.size(); i += 2)
          w.data()[i] = static_cast<std::int8_t>(most - value - zero_point);
        TestFixture::template expect_exact<Bits>(a, w, zero_point);
      }
    }
  };
  const auto of_type = [&]<class Lhs>(Lhs low) {
    for_each_width([&]<int Bits>() {
      for (const index m : {1, 4, 55}) {
        for (const Lhs x : {low, std::numeric_limits<Lhs>::max()})
          expect_all.template operator()<Bits>(row_matrix<Lhs>::Constant(m, 131, x).eval());
      }
    });
  };
  of_type(std::uint8_t{0});
  of_type(std::int8_t{-128});
}

TYPED_TEST(multiply_few_bits_test, is_exact_at_the_deepest_sum) {
  using weights = gemm::few_bit_weights<4, TypeParam>;
  const index k = weights::max_depth;
  const row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Constant(2, k, -16);
  const weights packed(w, 16);
  for (const index m : {index{1}, gemm::detail::most_few_rows<TypeParam> + 1}) {
    const row_matrix<std::uint8_t> u = row_matrix<std::uint8_t>::Constant(m, k, 255);
    const row_matrix<std::int8_t> s = row_matrix<std::int8_t>::Constant(m, k, -128);
    row_matrix<std::int32_t> c(m, 2);
    gemm::multiply(u, packed, c);
    EXPECT_EQ(c(m - 1, 1), static_cast<std::int32_t>(-k * 16 * 255)) << m;
    gemm::multiply(s, packed, c);
    EXPECT_EQ(c(m - 1, 1), static_cast<std::int32_t>(k * 16 * 128)) << m;
  }
}

/// k is so large that a window holds one panel on some archs. Several blocks of rows.
TYPED_TEST(multiply_few_bits_test, is_exact_over_several_windows_of_columns) {
  using tile = typename TestFixture::tile_type;
  const index deep = gemm::detail::expanded_bytes / tile::cols / 2 + 1;
  const index n = 3 * tile::cols + 1, m = gemm::detail::most_few_rows<TypeParam> + 1;
  const auto a = random_codes<std::int8_t>(m, deep, 1);
  const auto w = random_weights(n, deep, 2, 1, 2);
  row_matrix<std::int32_t> c(m, n);
  gemm::multiply(a, gemm::few_bit_weights<2, TypeParam>(w, 1), c);
  for (const index col : {index{0}, index{tile::cols}, n - 2, n - 1}) {
    EXPECT_EQ(c.col(col).template cast<std::int64_t>().eval(),
              wide_product(a, row_matrix<std::int8_t>(w.row(col))).col(0))
        << col;
  }
  TestFixture::template expect_exact<2>(70 * tile::rows + 1, 2 * tile::cols + 1, 13, 3);
}

TYPED_TEST(multiply_few_bits_test, accepts_empty_operands) {
  TestFixture::template expect_exact<2>(0, 3, 5, 1);
  TestFixture::template expect_exact<2>(3, 0, 5, 1);
  TestFixture::template expect_exact<2>(40, 0, 5, 1);
  TestFixture::template expect_exact<2>(40, 3, 0, 1);
}

TYPED_TEST(multiply_few_bits_test, reads_and_writes_only_inside_blocks) {
  const index n = TestFixture::tile_type::cols + 3, k = 21;
  const auto w = random_weights(n, k, 2, 1, 2);
  const gemm::few_bit_weights<2, TypeParam> packed(w, 1);
  for (const index m : {1, 3, 30, 60}) {
    const auto big_a = random_codes<std::int8_t>(m + 4, k + 9, 1);
    row_matrix<std::int32_t> big_c = row_matrix<std::int32_t>::Constant(m + 2, n + 5, 777);
    const auto a = big_a.block(1, 3, m, k);
    gemm::multiply(a, packed, big_c.block(1, 2, m, n));
    EXPECT_EQ(big_c.block(1, 2, m, n).template cast<std::int64_t>().eval(),
              wide_product(a.eval(), w));
    big_c.block(1, 2, m, n).setConstant(777);
    EXPECT_EQ(big_c, (row_matrix<std::int32_t>::Constant(m + 2, n + 5, 777)));
  }
}

TYPED_TEST(multiply_few_bits_test, does_not_depend_on_slots_or_threads) {
  const auto w = random_weights(3 * TestFixture::tile_type::cols + 1, 40, 2, 1, 3);
  const gemm::few_bit_weights<2, TypeParam> packed(w, 1);
  for (const index m : {1, 3, 20, 50}) {
    const auto a = random_codes<std::int8_t>(m, 40, 4);
    for (const index slots : {1, 2, 3, 17}) {
      workspace scratch(gemm::scratch_bytes(packed), slots);
      row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Zero(m, w.rows());
      const thread_executor two{2};
      static_assert(noexcept(gemm::multiply(a, packed, c, gemm::raw{}, scratch, two)));
      gemm::multiply(a, packed, c, gemm::raw{}, scratch, two);
      EXPECT_EQ(c.template cast<std::int64_t>().eval(), wide_product(a, w))
          << "m=" << m << " slots=" << slots;
    }
  }
}

/// Whole tiles, and tiles cut by the edges, with a bias and factors that end with the columns.
TYPED_TEST(multiply_few_bits_test, passes_the_same_sums_to_the_epilogue_as_packed_weights) {
  const index n = 2 * TestFixture::tile_type::cols + 5, k = 70;
  const auto w = random_weights(n, k, 2, 1, 5);
  const gemm::few_bit_weights<2, TypeParam> narrow(w, 1);
  const auto wide = gemm::pack_int8<std::int8_t, TypeParam>(w);
  std::vector<std::int32_t> bias;
  std::vector<float> factors;
  for (index j = 0; j < n; ++j) {
    bias.push_back(static_cast<std::int32_t>(977 * j % 2000 - 1000));
    factors.push_back(static_cast<float>(j % 7 + 1) * 0x1p-6F);
  }
  const auto epilogue =
      gemm::add_bias(bias.data()) | gemm::requantize<xnn_fp32>(factors) | gemm::to_int8{3};
  for (const index m : {1, 2, 31, 61}) {
    const auto a = random_codes<std::int8_t>(m, k, 6);
    row_matrix<std::int8_t> c(m, n), expected(m, n);
    gemm::multiply(a, narrow, c, epilogue);
    gemm::multiply(a, wide, expected, epilogue);
    EXPECT_EQ(c, expected) << m;
    EXPECT_LT(c.cwiseEqual(c(0, 0)).count(), c.size() / 2);
  }
}

TEST(multiply_narrow, accepts_vectors_and_terminates_on_wrong_shapes) {
  using codes = row_matrix<std::uint8_t>;
  using sums = row_matrix<std::int32_t>;
  const gemm::few_bit_weights<4> w(row_matrix<std::int8_t>::Constant(5, 9, 2));
  workspace none;
  sums c(2, 4);
  EXPECT_DEATH(gemm::multiply(codes(2, 8), w, c), "fewbit: multiply: a.cols.. is 8, expected 9");
  EXPECT_DEATH(gemm::multiply(codes(1, 9), w, c), "fewbit: multiply: c.rows.. is 2, expected 1");
  EXPECT_DEATH(gemm::multiply(codes(2, 9), w, c), "fewbit: multiply: c.cols.. is 4, expected 5");
  EXPECT_DEATH(gemm::multiply(codes(2, 9), w, sums(2, 5), gemm::raw{}, none),
               "fewbit: multiply: scratch.slots.. is 0, expected at least 1");
  Eigen::VectorXi y(5);
  gemm::multiply(Eigen::Matrix<std::uint8_t, 9, 1>::Constant(3).eval(), w, y);
  EXPECT_EQ(y, Eigen::VectorXi::Constant(5, 54));
}

}  // namespace gemm_few_bits_multiply_test
}  // namespace fewbit
