#include "fewbit/core/operands.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace fewbit { namespace core_operands_test {

using matrix = row_matrix<float>;
using column_major = Eigen::MatrixXf;

static_assert(DenseRows<matrix, float>);
static_assert(DenseRows<Eigen::VectorXf, float>);
static_assert(DenseRows<Eigen::RowVectorXf, float>);
static_assert(DenseRows<Eigen::Vector4f, float>);
static_assert(DenseRows<Eigen::Map<const Eigen::VectorXf>, float>);
static_assert(DenseRows<Eigen::Ref<const Eigen::VectorXf>, float>);
static_assert(DenseRows<decltype(std::declval<Eigen::VectorXf&>().segment(0, 1)), float>);
static_assert(DenseRows<decltype(std::declval<column_major&>().col(0)), float>);
static_assert(DenseRows<decltype(std::declval<matrix&>().row(0)), float>);

static_assert(!DenseRows<column_major, float>);
static_assert(!DenseRows<Eigen::VectorXd, float>);
static_assert(!DenseRows<decltype(2.0F * std::declval<Eigen::VectorXf&>()), float>);
static_assert(!DenseRows<decltype(std::declval<matrix&>().col(0)), float>);
static_assert(!DenseRows<decltype(std::declval<column_major&>().row(0)), float>);
static_assert(!DenseRows<Eigen::Map<Eigen::VectorXf, 0, Eigen::InnerStride<>>, float>);
static_assert(!DenseRows<float, float>);

static_assert(MutableDenseRows<Eigen::VectorXf&, float>);
static_assert(MutableDenseRows<Eigen::Map<Eigen::VectorXf>, float>);
static_assert(!MutableDenseRows<const Eigen::VectorXf&, float>);
static_assert(!MutableDenseRows<Eigen::Map<const Eigen::VectorXf>, float>);
static_assert(!MutableDenseRows<column_major&, float>);

TEST(rows_of, a_vector_is_one_row_in_place) {
  Eigen::VectorXf v(5);
  auto&& rows = detail::rows_of(v);
  EXPECT_EQ(rows.rows(), 1);
  EXPECT_EQ(rows.cols(), 5);
  EXPECT_EQ(rows.data(), v.data());
  matrix m(2, 3);
  EXPECT_EQ(&detail::rows_of(m), &m);
}

constexpr detail::operand_names names{"multiply", "a", "c"};

TEST(expect_shapes, accepts_matching_shapes) {
  detail::expect_shapes(names, matrix(2, 3), matrix(2, 4), 3, 4);
  detail::expect_shapes(names, Eigen::VectorXf(3), matrix(1, 4), 3, 4);
  detail::expect_shapes(names, matrix(1, 3), Eigen::VectorXf(4), 3, 4);
  detail::expect_room("multiply", "scratch", workspace(64, 2), 64);
}

TEST(expect_shapes, terminates_the_program_on_a_mismatch) {
  const auto check = [](const auto& a, const auto& c) { detail::expect_shapes(names, a, c, 3, 4); };
  EXPECT_DEATH(check(matrix(2, 5), matrix(2, 4)), "fewbit: multiply: a.cols.. is 5, expected 3");
  EXPECT_DEATH(check(matrix(2, 3), matrix(1, 4)), "fewbit: multiply: c.rows.. is 1, expected 2");
  EXPECT_DEATH(check(matrix(2, 3), matrix(2, 3)), "fewbit: multiply: c.cols.. is 3, expected 4");
  EXPECT_DEATH(check(Eigen::VectorXf(4), matrix(1, 4)), "multiply: a.size.. is 4, expected 3");
  EXPECT_DEATH(check(matrix(2, 3), Eigen::VectorXf(4)),
               "multiply: number of rows of the vector c is 1, expected 2");
}

TEST(expect_room, terminates_the_program_if_scratch_memory_is_too_small) {
  EXPECT_DEATH(detail::expect_room("multiply", "scratch", workspace(), 0),
               "fewbit: multiply: scratch.slots.. is 0, expected at least 1");
  EXPECT_DEATH(detail::expect_room("multiply", "scratch", workspace(64), 65),
               "fewbit: multiply: scratch.bytes_per_slot.. is 64, expected at least 65");
}

}  // namespace core_operands_test
}  // namespace fewbit
