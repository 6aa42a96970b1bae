#include "fewbit/gemm/int8/weights.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "support/archs.hpp"
#include "support/codes.hpp"
#include "support/kernels.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace gemm_int8_weights_test {

using tests::random_codes;

template <class K>
class int8_weights_test : public testing::Test {
 public:
  using kernel = typename K::type;
  using weights = gemm::int8_weights<typename kernel::lhs, kernel>;
};

TYPED_TEST_SUITE(int8_weights_test, tests::kernels, tests::kernel_names);

TYPED_TEST(int8_weights_test, keeps_the_sum_of_each_column) {
  for (const index n : {1, 5, 70}) {
    const auto w = random_codes<std::int8_t>(n, 37, 1);
    const typename TestFixture::weights packed(w);
    ASSERT_EQ(packed.column_sums().size(), static_cast<std::size_t>(n));
    for (index j = 0; j < n; ++j) {
      EXPECT_EQ(packed.column_sums()[static_cast<std::size_t>(j)], w.row(j).cast<int>().sum());
    }
  }
}

TYPED_TEST(int8_weights_test, lays_codes_out_by_panel_step_and_column) {
  using tile = typename TestFixture::kernel::tile;
  constexpr index depth = tile::depth;
  for (const index n : {index{1}, index{tile::cols}, index{2 * tile::cols + 1}}) {
    for (const index k : {index{depth}, 64 * depth, 3 * 64 * depth + 1}) {
      SCOPED_TRACE(testing::Message() << "n=" << n << " k=" << k);
      const auto w = random_codes<std::int8_t>(n, k, 1);
      const typename TestFixture::weights packed(w);
      index wrong = 0;
      for (index col = 0; col < n; col += packed.panel_cols(col)) {
        const index width = packed.panel_cols(col);
        for (index j = 0; j < width; ++j) {
          for (index i = 0; i < packed.layout().padded(); ++i) {
            const int expected = col + j < n && i < k ? w(col + j, i) : 0;
            const auto got = packed.panel(col)[(i / depth * width + j) * depth + i % depth];
            if (got != expected) ++wrong;
          }
        }
      }
      EXPECT_EQ(wrong, 0);
    }
  }
}

TYPED_TEST(int8_weights_test, reports_its_extents_and_needs_few_bytes_more_than_the_codes) {
  const index n = 4 * TestFixture::kernel::tile::cols, k = 64 * TestFixture::kernel::tile::depth;
  const typename TestFixture::weights packed(random_codes<std::int8_t>(n, k, 1));
  EXPECT_EQ(packed.n(), n);
  EXPECT_EQ(packed.k(), k);
  const index code = sizeof(typename TestFixture::weights::rhs_code);
  EXPECT_LE(packed.bytes(), n * k * code + 4 * n);
}

TYPED_TEST(int8_weights_test, accepts_expressions_and_column_major_weights) {
  const auto w = random_codes<std::int8_t>(9, 11, 1);
  const Eigen::Matrix<std::int8_t, Eigen::Dynamic, Eigen::Dynamic> column_major = w;
  const typename TestFixture::weights a(w), b(column_major), c(w.transpose().eval().transpose());
  const auto codes = [](const auto& packed) {
    std::vector<int> all;
    for (index col = 0; col < packed.n(); col += packed.panel_cols(col)) {
      const auto* panel = packed.panel(col);
      all.insert(all.end(), panel, panel + packed.panel_cols(col) * packed.layout().padded());
    }
    return all;
  };
  EXPECT_GE(codes(a).size(), 9U * 11U);
  EXPECT_EQ(codes(a), codes(b));
  EXPECT_EQ(codes(a), codes(c));
}

#if FEWBIT_HAS_EXCEPTIONS
TYPED_TEST(int8_weights_test, refuses_a_depth_that_could_overflow_int32) {
  const index most = TestFixture::kernel::max_depth;
  const row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Zero(1, most + 1);
  EXPECT_NO_THROW((typename TestFixture::weights(w.leftCols(most))));
  EXPECT_EQ(tests::sentence_of([&] { typename TestFixture::weights packed(w); }),
            "fewbit: pack_int8: depth is " + std::to_string(most + 1) + ", expected at most " +
                std::to_string(most));
  EXPECT_NO_THROW((typename TestFixture::weights(w, 64))) << "blocks are summed one by one";
}

TEST(int8_weights, refuses_a_negative_block_depth) {
  EXPECT_EQ(tests::sentence_of([] {
              return gemm::pack_int8<std::uint8_t>(row_matrix<std::int8_t>::Zero(1, 1), -2);
            }),
            "fewbit: pack_int8: block_depth is -2, expected 0 or more");
}

TEST(int8_weights, refuse_a_largest_activation_that_is_not_a_code) {
  const row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Zero(1, 1);
  EXPECT_EQ(tests::sentence_of([&] { return gemm::pack_int8<std::uint8_t>(w, 0, 256); }),
            "fewbit: pack_int8: largest_activation is 256, expected 0 to 255");
  EXPECT_EQ(tests::sentence_of([&] { return gemm::pack_int8<std::int8_t>(w, 0, -1); }),
            "fewbit: pack_int8: largest_activation is -1, expected 0 to 127");
  EXPECT_EQ(gemm::pack_int8<std::int8_t>(w, 0, 0).largest_activation(), 0);
  EXPECT_EQ(gemm::pack_int8<std::uint8_t>(w).largest_activation(), 255);
}
#endif

/// The order is fixed: [panel][step][column][depth], with zeros as padding.
TEST(int8_weights, are_in_the_documented_order) {
  using kernel = gemm::reference_kernel<std::uint8_t, gemm::tile_shape<1, 2, 3>>;
  row_matrix<std::int8_t> w(3, 4);
  w << 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12;
  const gemm::int8_weights<std::uint8_t, kernel> packed(w);
  const std::vector<int> expected = {1, 2,  3,  5, 6, 7, 4,  0, 0, 8, 0, 0,
                                     9, 10, 11, 0, 0, 0, 12, 0, 0, 0, 0, 0};
  EXPECT_EQ(std::vector<int>(packed.panel(0), packed.panel(0) + 24), expected);
}

TEST(int8_weights, pad_each_block_of_depth_on_its_own) {
  using kernel = gemm::reference_kernel<std::uint8_t, gemm::tile_shape<1, 1, 2>>;
  row_matrix<std::int8_t> w(1, 5);
  w << 1, 2, 3, 4, 5;
  const gemm::int8_weights<std::uint8_t, kernel> packed(w, 3);
  EXPECT_EQ(packed.layout().blocks(), 2);
  EXPECT_EQ(std::vector<int>(packed.panel(0), packed.panel(0) + 6),
            (std::vector<int>{1, 2, 3, 0, 4, 5}));
  EXPECT_TRUE(packed.column_sums().empty());
}

/// The example at the head of the header.
TEST(int8_weights, hold_the_bytes_of_the_documented_example) {
  row_matrix<std::int8_t> w(2, 5);
  w << 1, 2, 3, 4, 5, -1, -2, -3, -4, -5;
  const auto packed = gemm::pack_int8<std::uint8_t, arch::scalar>(w);
  std::vector<int> expected(48, 0);
  const int codes[] = {1, 2, -1, -2, 3, 4, -3, -4, 5, 0, -5, 0};
  for (std::size_t i = 0; i < 12; ++i) expected[i / 4 * 16 + i % 4] = codes[i];
  EXPECT_EQ(std::vector<int>(packed.panel(0), packed.panel(0) + 48), expected);
  EXPECT_EQ(packed.column_sums()[0], 15);
  EXPECT_EQ(packed.column_sums()[1], -15);
  EXPECT_EQ(packed.bytes(), 48 + 8 * 4);
}

template <class Arch>
class pack_int8_test : public testing::Test {};

TYPED_TEST_SUITE(pack_int8_test, tests::archs, tests::arch_names);

TYPED_TEST(pack_int8_test, packs_the_same_bytes_with_any_executor) {
  const auto w = random_codes<std::int8_t>(150, 37, 1);
  const auto check = [&]<class Lhs>(index block_depth, index largest) {
    const auto one = gemm::pack_int8<Lhs, TypeParam>(w, block_depth, largest);
    const auto two = gemm::pack_int8<Lhs, TypeParam>(w, block_depth, largest, thread_executor{2});
    ASSERT_EQ(two.bytes(), one.bytes());
    const index codes = one.padded_n() * one.layout().padded();
    EXPECT_TRUE(std::equal(one.panel(0), one.panel(0) + codes, two.panel(0)));
    EXPECT_TRUE(std::ranges::equal(one.column_sums(), two.column_sums()));
    EXPECT_EQ(two.largest_activation(), largest);
  };
  check.template operator()<std::uint8_t>(0, 255);
  check.template operator()<std::int8_t>(16, 100);
}

}  // namespace gemm_int8_weights_test
}  // namespace fewbit
