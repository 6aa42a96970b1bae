#pragma once
/// Types and concepts for Eigen matrices: index, row_matrix, RowMajorDense.

#include "fewbit/begin.hpp"

#include <Eigen/Core>
#include <concepts>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/index.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

static_assert(std::is_same_v<index, Eigen::Index>,
              "fewbit: define EIGEN_DEFAULT_DENSE_INDEX_TYPE before the first header of fewbit");

/// A matrix of any size whose rows are contiguous in memory.
template <class T>
using row_matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A row-major matrix, Map or block of T whose rows are contiguous. The hot path reads and writes
/// it in place. A type that would need a hidden copy (an expression, a column-major matrix) does
/// not satisfy the concept.
template <class A, class T>
concept RowMajorDense = requires(const std::remove_cvref_t<A>& a) {
  { a.data() } -> std::convertible_to<const T*>;
  { a.rows() } -> std::convertible_to<index>;
  { a.cols() } -> std::convertible_to<index>;
  { a.outerStride() } -> std::convertible_to<index>;
  requires std::same_as<typename std::remove_cvref_t<A>::Scalar, T>;
  requires static_cast<bool>(std::remove_cvref_t<A>::IsRowMajor);
  requires static_cast<int>(std::remove_cvref_t<A>::InnerStrideAtCompileTime) == 1;
};

/// The type of the elements of a matrix.
template <class A>
using scalar_of = typename std::remove_cvref_t<A>::Scalar;

/// RowMajorDense whose elements may be written.
template <class A, class T>
concept MutableRowMajorDense = RowMajorDense<A, T> && requires(std::remove_reference_t<A>& a) {
  { a.data() } -> std::same_as<T*>;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
