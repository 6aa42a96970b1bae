#include "fewbit/gemm/few_bits/expanded_chunks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/gemm/few_bits/multiply.hpp"
#include "fewbit/gemm/stages.hpp"
#include "support/archs.hpp"
#include "support/codes.hpp"
#include "support/narrow.hpp"

namespace fewbit { namespace gemm_few_bits_expanded_chunks_test {

using tests::random_codes, tests::random_weights, tests::wide_product;

template <class Arch>
class expanded_chunks_test : public testing::Test {
 public:
  template <class Lhs>
  using shape = gemm::detail::chunk_shape<Lhs, Arch>;
  using tile = typename shape<std::uint8_t>::tile;
  static constexpr bool fits = shape<std::uint8_t>::fits && shape<std::int8_t>::fits;
  static constexpr index depth = shape<std::uint8_t>::depth;

  /// Some rows and columns of C, each + bias[column]. The rows and columns before them stay
  /// unchanged.
  template <class Lhs, int Bits>
  static void expect_exact(index m, index n, index k, index row = 0, index col = 0) {
    SCOPED_TRACE(testing::Message()
                 << "bits=" << Bits << " m=" << m << " n=" << n << " k=" << k << " row=" << row);
    const auto a = random_codes<Lhs>(m, k, 1);
    const auto w = random_weights(n, k, Bits, 1, 2);
    const Eigen::RowVectorX<std::int32_t> bias =
        Eigen::RowVectorX<std::int32_t>::LinSpaced(n, -70, 990);
    row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Constant(m, n, 777);
    const gemm::few_bit_weights<Bits, Arch> packed(w, 1);
    const gemm::add_bias epilogue{bias.data()};
    const gemm::output_rectangle<std::int32_t> to{c.data(), n, 0, 0, m, n};
    aligned_buffer<std::byte> scratch(shape<Lhs>::scratch_bytes({k, 0}));
    const gemm::detail::product_by_chunks<Lhs, Bits, Arch, std::int32_t, gemm::add_bias> product(
        a.data(), k, packed, to, epilogue, scratch.data());
    const index end = product.rows(row, m, col, n);
    ASSERT_EQ(end, std::min(n, packed.panels().wide_cols()));

    row_matrix<std::int64_t> expected = row_matrix<std::int64_t>::Constant(m, n, 777);
    expected.block(row, col, m - row, end - col) =
        (wide_product(a, w).rowwise() + bias.template cast<std::int64_t>())
            .block(row, col, m - row, end - col);
    EXPECT_EQ(c.template cast<std::int64_t>().eval(), expected);
  }
};

TYPED_TEST_SUITE(expanded_chunks_test, tests::archs, tests::arch_names);

TYPED_TEST(expanded_chunks_test, equal_the_wide_integer_product_of_full_panels) {
  using test = TestFixture;
  if constexpr (test::fits) {
    constexpr index rows = test::tile::rows, cols = test::tile::cols, deep = test::depth;
    for (const index k : {index{0}, index{1}, deep - 1, deep, deep + 1, 2 * deep + 5}) {
      test::template expect_exact<std::uint8_t, 2>(rows + 1, 2 * cols + 1, k);
      test::template expect_exact<std::int8_t, 3>(2 * rows + 1, cols + 1, k);
    }
    test::template expect_exact<std::int8_t, 3>(3 * rows, cols - 1, deep + 33);
  } else {
    GTEST_SKIP() << "this kernel wants weights in another order";
  }
}

TYPED_TEST(expanded_chunks_test, process_several_blocks_of_rows_from_any_start) {
  using test = TestFixture;
  if constexpr (test::fits) {
    constexpr index cols = test::tile::cols;
    const index many = test::template shape<std::uint8_t>::prepared::max_rows + 1;
    test::template expect_exact<std::uint8_t, 2>(many, cols, 40);
    test::template expect_exact<std::int8_t, 3>(2 * many + 3, 2 * cols, test::depth + 1, 3, cols);
  } else {
    GTEST_SKIP() << "this kernel wants weights in another order";
  }
}

/// multiply() uses chunks if a window does not hold all columns, up to a number of rows.
TYPED_TEST(expanded_chunks_test, are_used_by_multiply_for_some_hundred_rows) {
  constexpr index cols = TestFixture::tile::cols;
  const index deep = gemm::detail::expanded_bytes / cols / 2 + 1, n = 2 * cols + 1;
  const auto w = random_weights(n, deep, 2, 1, 2);
  const gemm::few_bit_weights<2, TypeParam> packed(w, 1);
  for (const index m :
       {gemm::detail::most_few_rows<TypeParam> + 1, gemm::detail::chunked_rows + 1}) {
    const auto a = random_codes<std::int8_t>(m, deep, 3);
    row_matrix<std::int32_t> c(m, n);
    gemm::multiply(a, packed, c);
    for (const index i : {index{0}, m - 1}) {
      const row_matrix<std::int8_t> row = a.row(i);
      EXPECT_EQ(c.row(i).template cast<std::int64_t>().eval(), wide_product(row, w).row(0)) << i;
    }
  }
}

}  // namespace gemm_few_bits_expanded_chunks_test
}  // namespace fewbit
