#include "fewbit/gemm/int8/one_row.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "fewbit/gemm/stages.hpp"
#include "support/codes.hpp"
#include "support/kernels.hpp"

namespace fewbit { namespace gemm_int8_one_row_test {

template <class K>
class multiply_row_test : public testing::Test {
 public:
  using kernel = typename K::type;
  using lhs = typename kernel::lhs;
  using tile_type = typename kernel::tile;
  using weights = gemm::int8_weights<lhs, kernel>;
  using form = gemm::row_form<weights>;

  static std::vector<index> extents(index t) {
    return {1, std::max<index>(t - 1, 1), t, t + 1, 3 * t + 1};
  }

  /// Multiplies in every form of the row, and compares with `expected`. Memory after the scratch
  /// and the outputs must keep its contents.
  static void check(const row_matrix<lhs>& a, const row_matrix<std::int8_t>& w) {
    SCOPED_TRACE(testing::Message() << "n=" << w.rows() << " k=" << w.cols());
    const row_matrix<std::int64_t> expected = tests::wide_product(a, w);
    const weights packed(w);
    const std::vector<lhs> codes(a.data(), a.data() + a.size());
    expect_product(codes.data(), packed, {}, expected);
    expect_product(codes.data(), packed, gemm::row_weights<weights>(packed), expected);
    std::vector<lhs> padded(static_cast<std::size_t>(form::padded(a.size())), 77);
    std::copy(codes.begin(), codes.end(), padded.begin());
    expect_product(gemm::padded_row<lhs>{padded.data()}, packed, {}, expected);
    // Codes that fill the form up to a multiple of 64 must not count.
    std::vector<typename form::code> formed(static_cast<std::size_t>(form::padded(a.size())), 77);
    for (index k = 0; k < a.size(); ++k)
      formed[static_cast<std::size_t>(k)] =
          static_cast<typename form::code>(a(0, k) - form::offset);
    expect_product(form{formed.data()}, packed, {}, expected);
  }

 private:
  template <class Row>
  static void expect_product(const Row& row, const weights& w,
                             const gemm::row_weights<weights>& wide,
                             const row_matrix<std::int64_t>& expected) {
    const auto scratch_bytes = static_cast<std::size_t>(gemm::row_scratch_bytes(w));
    std::vector<std::byte> scratch(scratch_bytes + 64, std::byte{0x5A});
    std::vector<std::int32_t> sums(static_cast<std::size_t>(w.n()) + 16, 12345);
    gemm::multiply_row(row, w, wide, sums.data(), gemm::raw{}, scratch.data());
    for (index j = 0; j < w.n(); ++j)
      ASSERT_EQ(sums[static_cast<std::size_t>(j)], expected(0, j)) << "column " << j;
    EXPECT_TRUE(std::all_of(sums.begin() + w.n(), sums.end(), [](int s) { return s == 12345; }));
    EXPECT_TRUE(std::all_of(scratch.begin() + static_cast<std::ptrdiff_t>(scratch_bytes),
                            scratch.end(), [](std::byte b) { return b == std::byte{0x5A}; }));
  }
};

TYPED_TEST_SUITE(multiply_row_test, tests::kernels_here, tests::kernel_names);

TYPED_TEST(multiply_row_test, equals_wide_integer_product_on_every_remainder) {
  using tile = typename TestFixture::tile_type;
  std::uint32_t seed = 1;
  for (const index n : this->extents(tile::cols)) {
    for (const index k :
         {index{1}, index{tile::depth}, index{tile::depth + 1}, index{15}, index{16}, index{17},
          index{35}, index{50}, index{64}, index{65}, index{200}}) {
      seed += 2;
      this->check(tests::random_codes<typename TestFixture::lhs>(1, k, seed),
                  tests::random_codes<std::int8_t>(n, k, seed + 1));
    }
  }
}

TYPED_TEST(multiply_row_test, is_exact_for_extreme_codes) {
  using limits = std::numeric_limits<typename TestFixture::lhs>;
  for (const int a : {int{limits::min()}, int{limits::max()}}) {
    for (const int w : {-128, 127}) {
      this->check(row_matrix<typename TestFixture::lhs>::Constant(
                      1, 150, static_cast<typename TestFixture::lhs>(a)),
                  row_matrix<std::int8_t>::Constant(40, 150, static_cast<std::int8_t>(w)));
    }
  }
}

}}  // namespace fewbit::gemm_int8_one_row_test
