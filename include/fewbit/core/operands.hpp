#pragma once
/// What calls on the hot path read and write, and what they check of it.
///
/// Operands are used where they lie, so they are rows: a row_matrix, a row-major Map or block of
/// one, or a compile-time vector, which is one row. Layouts are checked at compile time, with one
/// sentence; extents at each call, by some comparisons of integers, and where they do not fit the
/// program ends (core/error.hpp). Read before: core/types.hpp.

#include "fewbit/begin.hpp"

#include <concepts>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// A compile-time vector that Eigen takes for a column, its elements side by side.
template <class A>
concept DenseColumn = requires(const std::remove_cvref_t<A>& a) {
  a.data();
  { a.size() } -> std::convertible_to<index>;
  requires static_cast<int>(std::remove_cvref_t<A>::ColsAtCompileTime) == 1;
  requires !static_cast<bool>(std::remove_cvref_t<A>::IsRowMajor);
  requires static_cast<int>(std::remove_cvref_t<A>::InnerStrideAtCompileTime) == 1;
};

}  // namespace detail

/// Rows of T that the hot path reads where they lie: RowMajorDense, or a compile-time vector of
/// neighbouring elements, which is one row.
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

/// The rows of an operand: itself, or a Map of the one row of a vector.
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

/// Ends the program unless `got` is `want`. The argument is called `before` name `after`.
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

/// How a function calls what it reads and what it writes.
struct operand_names {
  const char* function;
  const char* in;
  const char* out;
};

/// Ends the program unless `in` is m x k and `out` m x n.
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

/// Ends the program unless scratch memory has a slot, and `bytes` in each.
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

/// Whether a product can read A in place as rows of T, else one sentence of the compiler.
template <class A, class T>
[[nodiscard]] consteval bool reads_in_place() {
  static_assert(DenseRows<A, T>,
                "fewbit: codes are read where they lie: as a row_matrix of the type that weights "
                "are packed for, a row-major Map or block of one, or a vector, which is one row; "
                "copy others to a row_matrix first");
  return DenseRows<A, T>;
}

/// Whether a product can write C in place, else one sentence of the compiler.
template <class C, class T>
[[nodiscard]] consteval bool writes_in_place() {
  static_assert(MutableDenseRows<C, T>,
                "fewbit: a product is written where it stays: to a row_matrix of what the epilogue "
                "returns, a row-major Map or block of one, or a vector, which is one row; it must "
                "not be const");
  return MutableDenseRows<C, T>;
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
