#include "fewbit/quant/granularity.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace fewbit { namespace quant_granularity_test {

template <class T>
class granularity_test : public testing::Test {};
using granularities =
    testing::Types<per_tensor, per_row, per_col, grouped<1>, grouped<3>, grouped<4>, grouped<100>,
                   sub_tensor<1>, sub_tensor<3>, sub_tensor<100>>;
TYPED_TEST_SUITE(granularity_test, granularities);

constexpr index extents[] = {1, 2, 3, 4, 7, 12, 13};

TYPED_TEST(granularity_test, every_scale_below_the_count_is_used) {
  for (const index rows : extents) {
    for (const index cols : extents) {
      std::vector<int> used(static_cast<std::size_t>(TypeParam::count(rows, cols)));
      for (index r = 0; r < rows; ++r) {
        for (index c = 0; c < cols; ++c) {
          ++used.at(static_cast<std::size_t>(TypeParam::scale_of(r, c, cols)));
        }
      }
      for (const int uses : used) EXPECT_GT(uses, 0) << rows << " x " << cols;
    }
  }
}

TYPED_TEST(granularity_test, a_group_has_exactly_the_elements_of_its_scale) {
  for (const index rows : extents) {
    for (const index cols : extents) {
      for (index i = 0; i < TypeParam::count(rows, cols); ++i) {
        const rectangle g = TypeParam::group(i, rows, cols);
        for (index r = 0; r < rows; ++r) {
          for (index c = 0; c < cols; ++c) {
            const bool inside =
                r >= g.row && r < g.row + g.rows && c >= g.col && c < g.col + g.cols;
            ASSERT_EQ(inside, TypeParam::scale_of(r, c, cols) == i)
                << rows << " x " << cols << ", scale " << i << ", element " << r << ", " << c;
          }
        }
        EXPECT_LE(g.row + g.rows, rows);
        EXPECT_LE(g.col + g.cols, cols);
      }
    }
  }
}

TYPED_TEST(granularity_test, columns_of_a_run_share_a_scale) {
  for (const index cols : extents) {
    const index run = TypeParam::run(cols);
    ASSERT_GE(run, 1);
    ASSERT_LE(run, cols);
    for (index c = 0; c < cols; ++c) {
      EXPECT_EQ(TypeParam::scale_of(5, c, cols), TypeParam::scale_of(5, c / run * run, cols));
    }
  }
}

static_assert(grouped<4>::count(3, 10) == 9);
static_assert(grouped<4>::scale_of(2, 8, 10) == 8);
static_assert(sub_tensor<4>::count(10, 3) == 3);
static_assert(sub_tensor<4>::scale_of(8, 0, 3) == 2);
static_assert(Granularity<grouped<32>> && !Granularity<int>);

}  // namespace quant_granularity_test
}  // namespace fewbit
