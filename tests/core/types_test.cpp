#include "fewbit/core/types.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <type_traits>

namespace core_types_test {

using fewbit::MutableRowMajorDense;
using fewbit::row_matrix;
using fewbit::RowMajorDense;
using column_major = Eigen::MatrixXf;
using matrix = row_matrix<float>;

static_assert(std::is_signed_v<fewbit::index>);

// Types that the hot path reads in place.
static_assert(RowMajorDense<matrix, float>);
static_assert(RowMajorDense<const matrix&, float>);
static_assert(RowMajorDense<Eigen::Map<matrix>, float>);
static_assert(
    RowMajorDense<Eigen::Map<const matrix, Eigen::Unaligned, Eigen::OuterStride<>>, float>);
static_assert(RowMajorDense<Eigen::Ref<const matrix>, float>);
static_assert(RowMajorDense<decltype(std::declval<matrix&>().block(0, 0, 1, 1)), float>);
static_assert(RowMajorDense<decltype(std::declval<const matrix&>().topRows(1)), float>);
static_assert(RowMajorDense<row_matrix<std::int8_t>, std::int8_t>);
static_assert(RowMajorDense<Eigen::RowVectorXf, float>);

// Types that would need a hidden copy, or have another scalar.
static_assert(!RowMajorDense<column_major, float>);
static_assert(!RowMajorDense<matrix, double>);
static_assert(!RowMajorDense<decltype(std::declval<matrix&>().transpose()), float>);
static_assert(!RowMajorDense<decltype(std::declval<matrix&>() + std::declval<matrix&>()), float>);
static_assert(!RowMajorDense<Eigen::Map<matrix, 0, Eigen::Stride<Eigen::Dynamic, 2>>, float>);
static_assert(!RowMajorDense<float, float>);

// Types that the hot path writes in place.
static_assert(MutableRowMajorDense<matrix&, float>);
static_assert(MutableRowMajorDense<Eigen::Map<matrix>, float>);
static_assert(MutableRowMajorDense<Eigen::Ref<matrix>, float>);
static_assert(!MutableRowMajorDense<const matrix&, float>);
static_assert(!MutableRowMajorDense<Eigen::Map<const matrix>, float>);
static_assert(!MutableRowMajorDense<Eigen::Ref<const matrix>, float>);

TEST(types, a_row_matrix_lies_in_memory_row_by_row) {
  matrix m(2, 3);
  m << 1, 2, 3, 4, 5, 6;
  EXPECT_EQ(m.data()[3], 4.0F);
  EXPECT_EQ(m.outerStride(), 3);
}

}  // namespace core_types_test
