#include "fewbit/gemm/int8/row_tiles.hpp"

#include <gtest/gtest.h>

#include <set>

#include "support/kernels.hpp"

namespace fewbit { namespace gemm_int8_row_tiles_test {

template <class K>
class row_tiles_test : public testing::Test {};

TYPED_TEST_SUITE(row_tiles_test, tests::kernels, tests::kernel_names);

TYPED_TEST(row_tiles_test, are_contiguous_and_differ_by_at_most_one_row) {
  using kernel = typename TypeParam::type;
  for (index rows = 1; rows <= 5 * kernel::tile::rows + 1; ++rows) {
    index next = 0;
    std::set<index> heights;
    gemm::detail::for_each_height<kernel>(rows, [&](index first, index height, index count) {
      EXPECT_EQ(first, next) << rows;
      if (count > 0) heights.insert(height);
      next += height * count;
    });
    EXPECT_EQ(next, (rows + kernel::unit::rows - 1) / kernel::unit::rows) << rows;
    EXPECT_GE(*heights.begin(), 1) << rows;
    EXPECT_LE(*heights.rbegin(), kernel::row_registers) << rows;
    EXPECT_LE(*heights.rbegin() - *heights.begin(), 1) << rows;
  }
}

}  // namespace gemm_int8_row_tiles_test
}  // namespace fewbit
