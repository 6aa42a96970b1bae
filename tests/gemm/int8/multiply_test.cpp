#include "fewbit/gemm/int8/multiply.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/gemm/stages.hpp"
#include "support/codes.hpp"
#include "support/kernels.hpp"

namespace fewbit { namespace gemm_int8_multiply_test {

using tests::random_codes;
using tests::wide_product;

template <class K>
class multiply_test : public testing::Test {
 public:
  using kernel = typename K::type;
  using lhs_type = typename kernel::lhs;
  using tile_type = typename kernel::tile;
  using weights = gemm::int8_weights<lhs_type, kernel>;

  static row_matrix<std::int32_t> product(const row_matrix<lhs_type>& a,
                                          const row_matrix<std::int8_t>& w) {
    row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Constant(a.rows(), w.rows(), 12345);
    gemm::multiply(a, weights(w), c);
    return c;
  }

  static void expect_exact(const row_matrix<lhs_type>& a, const row_matrix<std::int8_t>& w) {
    SCOPED_TRACE(testing::Message() << "m=" << a.rows() << " n=" << w.rows() << " k=" << w.cols());
    EXPECT_EQ(product(a, w).template cast<std::int64_t>().eval(), wide_product(a, w));
  }

  static std::set<index> extents(index t) {
    return {1, t - 1 > 0 ? t - 1 : 1, t, t + 1, 2 * t + 1};
  }
};

TYPED_TEST_SUITE(multiply_test, tests::kernels_here, tests::kernel_names);

/// Adds 1000 for each row above, so that a wrong row number shows.
struct add_rows_above : gemm::stage {
  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const gemm::at& where) const noexcept {
    return value + V(static_cast<std::int32_t>(1000 * where.row));
  }
};

/// Products with few codes, which are multiplied row by row, and some that are just too large.
TYPED_TEST(multiply_test, small_products_equal_wide_sums_and_write_nothing_else) {
  using lhs = typename TestFixture::lhs_type;
  using tile = typename TestFixture::tile_type;
  std::uint32_t seed = 1;
  for (const index m : {1, 2, 5}) {
    for (const index n : {index{1}, index{7}, index{20}, index{tile::cols + 9}}) {
      for (const index k : {1, 3, 4, 17, 32, 33, 64, 131, 512, 513}) {
        SCOPED_TRACE(testing::Message() << "m=" << m << " n=" << n << " k=" << k);
        seed += 2;
        const auto a = random_codes<lhs>(m, k + 3, seed);
        const auto w = random_codes<std::int8_t>(n, k, seed + 1);
        const typename TestFixture::weights packed(w);
        workspace scratch(gemm::scratch_bytes(packed, m), 2);
        row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Constant(m, n + 5, 12345);
        gemm::multiply(a.leftCols(k), packed, c.leftCols(n), add_rows_above{}, scratch);
        row_matrix<std::int64_t> expected = wide_product(row_matrix<lhs>(a.leftCols(k)), w);
        for (index i = 0; i < m; ++i) expected.row(i).array() += 1000 * i;
        EXPECT_EQ(c.leftCols(n).template cast<std::int64_t>().eval(), expected);
        EXPECT_TRUE((c.rightCols(5).array() == 12345).all());
      }
    }
  }
}

TYPED_TEST(multiply_test, equals_wide_integer_product_on_every_remainder) {
  using tile = typename TestFixture::tile_type;
  std::uint32_t seed = 1;
  for (const index m : this->extents(tile::rows)) {
    for (const index n : this->extents(tile::cols)) {
      for (const index k : {index{1}, index{tile::depth - 1}, index{tile::depth},
                            index{tile::depth + 1}, index{67}}) {
        seed += 2;
        this->expect_exact(random_codes<typename TestFixture::lhs_type>(m, k, seed),
                           random_codes<std::int8_t>(n, k, seed + 1));
      }
    }
  }
}

TYPED_TEST(multiply_test, is_exact_for_all_small_numbers_of_rows_and_columns) {
  using lhs = typename TestFixture::lhs_type;
  using tile = typename TestFixture::tile_type;
  for (index m = 1; m <= tile::rows; ++m)
    this->expect_exact(random_codes<lhs>(m, 19, 5), random_codes<std::int8_t>(tile::cols, 19, 6));
  for (index n = 1; n <= tile::cols; ++n)
    this->expect_exact(random_codes<lhs>(2, 19, 7), random_codes<std::int8_t>(n, 19, 8));
  for (index k = 0; k <= 2 * tile::depth; ++k)
    this->expect_exact(random_codes<lhs>(3, k, 9), random_codes<std::int8_t>(3, k, 10));
}

TYPED_TEST(multiply_test, is_exact_over_several_blocks_of_rows) {
  const index m = gemm::detail::row_tiles_in_place * TestFixture::tile_type::rows + 3;
  this->expect_exact(random_codes<typename TestFixture::lhs_type>(2 * m, 13, 1),
                     random_codes<std::int8_t>(TestFixture::tile_type::cols + 2, 13, 2));
}

/// Depths at which the next block is copied during the product, completely or up to the last whole
/// line.
TYPED_TEST(multiply_test, is_exact_over_several_blocks_of_deep_rows) {
  using tile = typename TestFixture::tile_type;
  for (const auto& [n, k] : {std::pair<index, index>{7 * tile::cols, 256},
                             {tile::cols, 260},
                             {2 * tile::cols + 1, 300}}) {
    this->expect_exact(random_codes<typename TestFixture::lhs_type>(20 * tile::rows + 5, k, 1),
                       random_codes<std::int8_t>(n, k, 2));
  }
}

/// Large weights, read by a few rows in chunks of k, with an epilogue. Only three columns are
/// compared, because all columns would take the sanitizers minutes.
TYPED_TEST(multiply_test, is_exact_for_few_rows_by_large_weights) {
  using tile = typename TestFixture::tile_type;
  const index k = 16384 + 515;
  const index n = std::max(index{2 * tile::cols}, gemm::detail::streamed_bytes / k) + 1;
  row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Zero(n, k);
  const auto three = random_codes<std::int8_t>(3, k, 2);
  const std::array<index, 3> cols = {0, n / 2, n - 1};
  for (index i = 0; i < 3; ++i) w.row(cols[static_cast<std::size_t>(i)]) = three.row(i);
  const typename TestFixture::weights packed(w);
  const std::vector<std::int32_t> bias(static_cast<std::size_t>(n), 77);
  for (const index m : {index{tile::rows + 1}, index{3 * tile::rows - 1}}) {
    const auto a = random_codes<typename TestFixture::lhs_type>(m, k, 1);
    row_matrix<std::int32_t> c(m, n), with_bias(m, n);
    gemm::multiply(a, packed, c);
    gemm::multiply(a, packed, with_bias, gemm::add_bias(bias.data()));
    const row_matrix<std::int64_t> sums = wide_product(a, three);
    for (index i = 0; i < 3; ++i) {
      const index col = cols[static_cast<std::size_t>(i)];
      EXPECT_EQ(c.col(col).template cast<std::int64_t>().eval(), sums.col(i)) << m;
    }
    EXPECT_EQ(c.template cast<std::int64_t>().sum(), sums.sum()) << m;
    EXPECT_EQ(with_bias, (c.array() + 77).matrix()) << m;
  }
}

/// Pairs and fours of extreme products overflow 16-bit lanes: 255 * -128 * 2, -128 * -128 * 2.
TYPED_TEST(multiply_test, is_exact_on_extreme_codes) {
  using lhs = typename TestFixture::lhs_type;
  const int low = std::numeric_limits<lhs>::min();
  const int high = std::numeric_limits<lhs>::max();
  for (const int x : {low, high}) {
    for (const int y : {-128, 127}) {
      this->expect_exact(row_matrix<lhs>::Constant(7, 131, static_cast<lhs>(x)),
                         row_matrix<std::int8_t>::Constant(5, 131, static_cast<std::int8_t>(y)));
    }
  }
  row_matrix<lhs> a(4, 130);
  row_matrix<std::int8_t> w(3, 130);
  for (index i = 0; i < a.size(); ++i) a.data()[i] = static_cast<lhs>(i % 3 == 0 ? low : high);
  for (index i = 0; i < w.size(); ++i)
    w.data()[i] = i % 2 == 0 ? std::int8_t{-128} : std::int8_t{127};
  this->expect_exact(a, w);
}

TYPED_TEST(multiply_test, is_exact_at_the_deepest_sum) {
  using lhs = typename TestFixture::lhs_type;
  const index k = TestFixture::kernel::max_depth;
  const int largest = std::is_signed_v<lhs> ? -128 : 255;
  const auto a = row_matrix<lhs>::Constant(1, k, static_cast<lhs>(largest)).eval();
  const auto w = row_matrix<std::int8_t>::Constant(2, k, -128).eval();
  EXPECT_EQ(this->product(a, w)(0, 1), static_cast<std::int32_t>(std::int64_t{largest} * -128 * k));
}

TYPED_TEST(multiply_test, accepts_empty_operands) {
  using lhs = typename TestFixture::lhs_type;
  this->expect_exact(row_matrix<lhs>(0, 5), random_codes<std::int8_t>(3, 5, 1));
  this->expect_exact(random_codes<lhs>(3, 5, 1), row_matrix<std::int8_t>(0, 5));
  EXPECT_EQ(this->product(row_matrix<lhs>(3, 0), row_matrix<std::int8_t>(2, 0)),
            (row_matrix<std::int32_t>::Zero(3, 2)));
}

TYPED_TEST(multiply_test, reads_and_writes_only_inside_blocks) {
  using lhs = typename TestFixture::lhs_type;
  const index m = TestFixture::tile_type::rows + 2, n = TestFixture::tile_type::cols + 3, k = 21;
  const auto big_a = random_codes<lhs>(m + 4, k + 9, 1);
  const auto w = random_codes<std::int8_t>(n, k, 2);
  row_matrix<std::int32_t> big_c = row_matrix<std::int32_t>::Constant(m + 2, n + 5, 777);
  const auto a = big_a.block(1, 3, m, k);
  gemm::multiply(a, typename TestFixture::weights(w), big_c.block(1, 2, m, n));
  EXPECT_EQ(big_c.block(1, 2, m, n).template cast<std::int64_t>().eval(),
            wide_product(a.eval(), w));
  big_c.block(1, 2, m, n).setConstant(777);
  EXPECT_EQ(big_c, (row_matrix<std::int32_t>::Constant(m + 2, n + 5, 777)));
}

TYPED_TEST(multiply_test, does_not_depend_on_slots_or_threads) {
  using lhs = typename TestFixture::lhs_type;
  const auto w = random_codes<std::int8_t>(3 * TestFixture::tile_type::cols + 1, 40, 3);
  const typename TestFixture::weights packed(w);
  for (const index m : {1, 3, 50}) {
    const auto a = random_codes<lhs>(m, 40, 4);
    const auto expected = this->product(a, w);
    for (const index slots : {1, 2, 3, 7}) {
      workspace scratch(gemm::scratch_bytes(packed), slots);
      row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Zero(m, w.rows());
      gemm::multiply(a, packed, c, gemm::raw{}, scratch, thread_executor{2});
      EXPECT_EQ(c, expected) << "m=" << m << " slots=" << slots;
    }
  }
}

/// total = 7 total + sum detects a block that is missing, repeated or in the wrong order.
struct weigh_blocks : gemm::block_stage {
  using total = std::int32_t;
  template <class V>
  V operator()(const V& so_far, const V& sum, index, const gemm::at&) const noexcept {
    return so_far * V(7) + sum;
  }
};

TYPED_TEST(multiply_test, passes_each_block_of_depth_to_the_block_stage) {
  using lhs = typename TestFixture::lhs_type;
  const index m = TestFixture::tile_type::rows + 1, n = TestFixture::tile_type::cols + 1;
  for (const index depth : {7, 8, 16}) {
    for (const index k : {1, 8, 16, 29, 33}) {
      SCOPED_TRACE(testing::Message() << "block_depth=" << depth << " k=" << k);
      const auto a = random_codes<lhs>(m, k, 5);
      const auto w = random_codes<std::int8_t>(n, k, 6);
      row_matrix<std::int64_t> expected = row_matrix<std::int64_t>::Zero(m, n);
      for (index first = 0; first < k; first += depth) {
        const index count = std::min(depth, k - first);
        expected = 7 * expected +
                   wide_product(a.middleCols(first, count), w.middleCols(first, count).eval());
      }
      const typename TestFixture::weights packed(w, depth);
      workspace scratch(gemm::scratch_bytes(packed), 2);
      row_matrix<std::int32_t> c(m, n);
      gemm::multiply(a, packed, c, gemm::raw{}, scratch, inline_executor{}, weigh_blocks{});
      EXPECT_EQ(c.template cast<std::int64_t>().eval(), expected);
    }
  }
}

/// Adds 1000 row + col, so that the position of each element is visible.
struct add_position : gemm::stage {
  template <class V>
  V operator()(const V& value, const gemm::at& where) const noexcept {
    static constexpr std::int32_t steps[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                               8, 9, 10, 11, 12, 13, 14, 15};
    const auto first = static_cast<std::int32_t>(1000 * where.row + where.col);
    return value + V(first) + arch::load<V>(steps);
  }
};

TYPED_TEST(multiply_test, passes_the_position_to_the_epilogue) {
  using lhs = typename TestFixture::lhs_type;
  const index m = 2 * TestFixture::tile_type::rows + 1, n = 2 * TestFixture::tile_type::cols + 1;
  const auto a = random_codes<lhs>(m, 9, 7);
  const auto w = random_codes<std::int8_t>(n, 9, 8);
  row_matrix<std::int32_t> c(m, n);
  gemm::multiply(a, typename TestFixture::weights(w), c, add_position{});
  for (index i = 0; i < m; ++i) {
    for (index j = 0; j < n; ++j) c(i, j) -= static_cast<std::int32_t>(1000 * i + j);
  }
  EXPECT_EQ(c.template cast<std::int64_t>().eval(), wide_product(a, w));
}

/// Whole tiles, tiles cut by the edges, a bias that ends with the columns, and several blocks of
/// rows.
TYPED_TEST(multiply_test, writes_narrow_outputs_of_any_width) {
  using lhs = typename TestFixture::lhs_type;
  using tile = typename TestFixture::tile_type;
  for (const index n : {index{1}, index{tile::cols + 1}, index{tile::cols * 5 / 4},
                        index{tile::cols * 7 / 4}, index{2 * tile::cols}}) {
    for (const auto& [m, k] : {std::pair<index, index>{2 * tile::rows + 1, 9},
                               {2 * tile::rows, 64},
                               {20 * tile::rows + 1, 260}}) {
      SCOPED_TRACE(testing::Message() << "m=" << m << " n=" << n << " k=" << k);
      const auto a = random_codes<lhs>(m, k, 7);
      const auto w = random_codes<std::int8_t>(n, k, 8);
      std::vector<std::int32_t> bias;
      for (index j = 0; j < n; ++j)
        bias.push_back(static_cast<std::int32_t>(977 * j % 20000 - 10000));
      const std::vector<float> factors(static_cast<std::size_t>(n), k < 100 ? 0x1p-10F : 0x1p-12F);
      row_matrix<std::int8_t> c(m, n);
      gemm::multiply(
          a, typename TestFixture::weights(w), c,
          gemm::add_bias(bias.data()) | gemm::requantize<xnn_fp32>(factors) | gemm::to_int8{5});
      row_matrix<std::int64_t> sums = wide_product(a, w);
      for (index j = 0; j < n; ++j) sums.col(j).array() += bias[static_cast<std::size_t>(j)];
      const row_matrix<std::int8_t> expected = sums.unaryExpr([&](std::int64_t sum) {
        const double code = std::nearbyint(static_cast<double>(sum) * double{factors[0]}) + 5;
        return static_cast<std::int8_t>(std::clamp(code, -128.0, 127.0));
      });
      EXPECT_EQ(c, expected);
    }
  }
}

TEST(multiply, accepts_maps_of_raw_pointers) {
  const std::vector<std::uint8_t> a = {1, 2, 3, 4};
  std::vector<std::int32_t> c(2);
  const row_matrix<std::int8_t> w = (row_matrix<std::int8_t>(1, 2) << 5, -6).finished();
  gemm::multiply(Eigen::Map<const row_matrix<std::uint8_t>>(a.data(), 2, 2),
                 gemm::pack_int8<std::uint8_t>(w),
                 Eigen::Map<row_matrix<std::int32_t>>(c.data(), 2, 1));
  EXPECT_EQ(c, (std::vector<std::int32_t>{-7, -9}));
}

TEST(multiply, with_scratch_memory_does_not_throw) {
  const auto w = gemm::pack_int8<std::int8_t>(random_codes<std::int8_t>(3, 4, 1));
  const row_matrix<std::int8_t> a = random_codes<std::int8_t>(2, 4, 2);
  row_matrix<std::int32_t> c(2, 3);
  workspace scratch(gemm::scratch_bytes(w));
  gemm::multiply(a, w, c, gemm::raw{}, scratch);
  EXPECT_EQ(c.cast<std::int64_t>().eval(), wide_product(a, random_codes<std::int8_t>(3, 4, 1)));
}

/// The scratch memory of deep products does not fit the stack and is allocated.
TEST(multiply, accepts_deep_products_without_scratch_memory) {
  const auto a = random_codes<std::int8_t>(97, 3000, 1);
  const auto w = random_codes<std::int8_t>(5, 3000, 2);
  tests::archs_here::for_each([&]<class Arch>() {
    row_matrix<std::int32_t> c(97, 5);
    gemm::multiply(a, gemm::pack_int8<std::int8_t, Arch>(w), c);
    EXPECT_EQ(c.cast<std::int64_t>().eval(), wide_product(a, w)) << Arch::name;
  });
}

/// Both overloads, and vectors instead of rows.
TEST(multiply, accepts_vectors_and_terminates_on_wrong_shapes) {
  using codes = row_matrix<std::int8_t>;
  using sums = row_matrix<std::int32_t>;
  const auto w = gemm::pack_int8<std::int8_t>(codes::Constant(5, 9, 2));
  workspace scratch(gemm::scratch_bytes(w)), none;
  const auto end = [&](const auto& a, auto&& c, const char* words) {
    EXPECT_DEATH(gemm::multiply(a, w, c), words);
    EXPECT_DEATH(gemm::multiply(a, w, c, gemm::raw{}, scratch), words);
  };
  end(codes(2, 8), sums(2, 5), "fewbit: multiply: a.cols.. is 8, expected 9");
  end(codes(2, 9), sums(3, 5), "fewbit: multiply: c.rows.. is 3, expected 2");
  end(codes(2, 9), sums(), "fewbit: multiply: c.rows.. is 0, expected 2");
  end(codes(2, 9), sums(2, 4), "fewbit: multiply: c.cols.. is 4, expected 5");
  sums c(1, 5);
  EXPECT_DEATH(gemm::multiply(codes(1, 9), w, c, gemm::raw{}, none),
               "fewbit: multiply: scratch.slots.. is 0, expected at least 1");
  const Eigen::Matrix<std::int8_t, 9, 1> a = Eigen::Matrix<std::int8_t, 9, 1>::Constant(3);
  Eigen::VectorXi y(5);
  gemm::multiply(a, w, y);
  EXPECT_EQ(y, Eigen::VectorXi::Constant(5, 54));
  gemm::multiply(a, w, Eigen::Map<Eigen::VectorXi>(c.data(), 5), gemm::raw{}, scratch);
  EXPECT_EQ(c, (sums::Constant(1, 5, 54)));
}

}  // namespace gemm_int8_multiply_test
}  // namespace fewbit
