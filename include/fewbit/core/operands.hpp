#pragma once
/// Operands of calls on the hot path, and the checks of them.
///
/// Operands are read and written in place, so their rows must be contiguous: a row_matrix, a
/// row-major Map or block of one, or a compile-time vector, which is one row. Layouts are checked
/// at compile time; a wrong one gives one error sentence. Each call compares extents; a mismatch
/// terminates the program (core/error.hpp). Read first: core/types.hpp.

#include "fewbit/begin.hpp"

#include <concepts>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// A compile-time column vector of Eigen with contiguous elements.
template <class A>
concept DenseColumn = requires(const std::remove_cvref_t<A>& a) {
  a.data();
  { a.size() } -> std::convertible_to<index>;
  requires static_cast<int>(std::remove_cvref_t<A>::ColsAtCompileTime) == 1;
  requires !static_cast<bool>(std::remove_cvref_t<A>::IsRowMajor);
  requires static_cast<int>(std::remove_cvref_t<A>::InnerStrideAtCompileTime) == 1;
};

}  // namespace detail

/// Rows of T that the hot path reads in place: RowMajorDense, or a compile-time vector with
/// contiguous elements, which is one row.
template <class A, class T>
concept DenseRows =
    RowMajorDense<A, T> ||
    (detail::DenseColumn<A> && std::same_as<typename std::remove_cvref_t<A>::Scalar, T>);

/// DenseRows whose elements may be written.
template <class A, class T>
concept MutableDenseRows = DenseRows<A, T> && requires(std::remove_reference_t<A>& a) {
  { a.data() } -> std::same_as<T*>;
};

namespace detail {

/// An operand as rows: a matrix itself, or a Map of a vector as one row.
template <class A>
[[nodiscard]] FEWBIT_ALWAYS_INLINE decltype(auto) rows_of(A& a) noexcept {
  if constexpr (DenseColumn<A>) {
    using scalar = std::remove_pointer_t<decltype(a.data())>;
    using matrix = row_matrix<std::remove_const_t<scalar>>;
    using map = Eigen::Map<std::conditional_t<std::is_const_v<scalar>, const matrix, matrix>>;
    return map(a.data(), 1, a.size());
  } else {
    return (a);
  }
}

/// Terminates the program unless `got` equals `want`. The sentence calls the argument `before` +
/// `name` + `after`.
FEWBIT_ALWAYS_INLINE void expect_extent(const char* function, const char* before, const char* name,
                                        const char* after, index got, index want) noexcept {
  if (got != want) [[unlikely]] {
    stop("fewbit: %s: %s%s%s is %lld, expected %lld", function, before, name, after,
         static_cast<long long>(got), static_cast<long long>(want));
  }
}

template <class A>
FEWBIT_ALWAYS_INLINE void expect_rows(const char* function, const char* name, const A& a,
                                      index want) noexcept {
  if constexpr (DenseColumn<A>) {
    expect_extent(function, "number of rows of the vector ", name, "", 1, want);
  } else {
    expect_extent(function, "", name, ".rows()", a.rows(), want);
  }
}

template <class A>
FEWBIT_ALWAYS_INLINE void expect_cols(const char* function, const char* name, const A& a,
                                      index want) noexcept {
  if constexpr (DenseColumn<A>) {
    expect_extent(function, "", name, ".size()", a.size(), want);
  } else {
    expect_extent(function, "", name, ".cols()", a.cols(), want);
  }
}

/// The names of a function, its input and its output in sentences.
struct operand_names {
  const char* function;
  const char* in;
  const char* out;
};

/// Terminates the program unless `in` is m x k and `out` is m x n.
template <class In, class Out>
FEWBIT_ALWAYS_INLINE void expect_shapes(const operand_names& names, const In& in, const Out& out,
                                        index k, index n) noexcept {
  expect_cols(names.function, names.in, in, k);
  if constexpr (DenseColumn<In>) {
    expect_rows(names.function, names.out, out, 1);
  } else {
    expect_rows(names.function, names.out, out, in.rows());
  }
  expect_cols(names.function, names.out, out, n);
}

/// Terminates the program unless scratch memory has a slot and at least `bytes` bytes in each slot.
FEWBIT_ALWAYS_INLINE void expect_room(const char* function, const char* name,
                                      const workspace& scratch, index bytes) noexcept {
  const auto expect = [&](const char* extent, index got, index least) {
    if (got < least) [[unlikely]] {
      stop("fewbit: %s: %s.%s is %lld, expected at least %lld", function, name, extent,
           static_cast<long long>(got), static_cast<long long>(least));
    }
  };
  expect("slots()", scratch.slots(), 1);
  expect("bytes_per_slot()", scratch.bytes_per_slot(), bytes);
}

/// True if a product can read A in place as rows of T. Otherwise the compiler reports one sentence.
template <class A, class T>
[[nodiscard]] consteval bool reads_in_place() {
  static_assert(DenseRows<A, T>,
                "fewbit: codes are read in place: from a row_matrix of the type that weights are "
                "packed for, a row-major Map or block of one, or a vector, which is one row; copy "
                "other operands to a row_matrix first");
  return DenseRows<A, T>;
}

/// True if a product can write C in place. Otherwise the compiler reports one sentence.
template <class C, class T>
[[nodiscard]] consteval bool writes_in_place() {
  static_assert(MutableDenseRows<C, T>,
                "fewbit: a product is written in place: to a row_matrix of the type that the "
                "epilogue returns, a row-major Map or block of one, or a vector, which is one row; "
                "it must not be const");
  return MutableDenseRows<C, T>;
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
