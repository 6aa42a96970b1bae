#pragma once
/// Which elements of a matrix share a scale. Second choice of a scheme.
///
///     per_tensor    per_row       per_col       grouped<2>    sub_tensor<2>
///     0 0 0 0       0 0 0 0       0 1 2 3       0 0 1 1       0 0 0 0
///     0 0 0 0       1 1 1 1       0 1 2 3       2 2 3 3       0 0 0 0
///     0 0 0 0       2 2 2 2       0 1 2 3       4 4 5 5       1 1 1 1
///
/// The numbers are `scale_of(r, c, cols)`, which maps an element to its scale. All code uses this
/// map and no other. Rows of a weight matrix are output channels: per_row is what papers call "per
/// channel". grouped<G> cuts the sum over inputs into blocks of G. Read next: zero_point.hpp.

#include "fewbit/begin.hpp"

#include <concepts>

#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A rectangle of a matrix.
struct rectangle {
  index row = 0;
  index col = 0;
  index rows = 0;
  index cols = 0;
};

/// One scale for the matrix.
struct per_tensor {
  static constexpr const char* name = "per_tensor";
  static constexpr index scale_of(index /*r*/, index /*c*/, index /*cols*/) noexcept { return 0; }
  static constexpr index count(index /*rows*/, index /*cols*/) noexcept { return 1; }
  static constexpr rectangle group(index /*i*/, index rows, index cols) noexcept {
    return {0, 0, rows, cols};
  }
  static constexpr index run(index cols) noexcept { return cols; }
};

/// One scale for each row.
struct per_row {
  static constexpr const char* name = "per_row";
  static constexpr index scale_of(index r, index /*c*/, index /*cols*/) noexcept { return r; }
  static constexpr index count(index rows, index /*cols*/) noexcept { return rows; }
  static constexpr rectangle group(index i, index /*rows*/, index cols) noexcept {
    return {i, 0, 1, cols};
  }
  static constexpr index run(index cols) noexcept { return cols; }
};

/// One scale for each column. A product that sums over columns cannot factor these scales out.
struct per_col {
  static constexpr const char* name = "per_col";
  static constexpr index scale_of(index /*r*/, index c, index /*cols*/) noexcept { return c; }
  static constexpr index count(index /*rows*/, index cols) noexcept { return cols; }
  static constexpr rectangle group(index i, index rows, index /*cols*/) noexcept {
    return {0, i, rows, 1};
  }
  static constexpr index run(index /*cols*/) noexcept { return 1; }
};

/// One scale for each G consecutive columns of a row; the last group of a row may be short.
template <index G>
struct grouped {
  static_assert(G > 0, "fewbit: grouped<G> needs at least one column in a group");
  static constexpr index size = G;
  static constexpr const char* name = "grouped";
  static constexpr index groups_per_row(index cols) noexcept { return (cols + G - 1) / G; }
  static constexpr index scale_of(index r, index c, index cols) noexcept {
    return r * groups_per_row(cols) + c / G;
  }
  static constexpr index count(index rows, index cols) noexcept {
    return rows * groups_per_row(cols);
  }
  static constexpr rectangle group(index i, index /*rows*/, index cols) noexcept {
    const index row = i / groups_per_row(cols);
    const index col = i % groups_per_row(cols) * G;
    return {row, col, 1, cols - col < G ? cols - col : G};
  }
  static constexpr index run(index cols) noexcept { return G < cols ? G : cols; }
};

/// One scale for each G consecutive rows; the last block may be short.
template <index G>
struct sub_tensor {
  static_assert(G > 0, "fewbit: sub_tensor<G> needs at least one row in a block");
  static constexpr index size = G;
  static constexpr const char* name = "sub_tensor";
  static constexpr index scale_of(index r, index /*c*/, index /*cols*/) noexcept { return r / G; }
  static constexpr index count(index rows, index /*cols*/) noexcept { return (rows + G - 1) / G; }
  static constexpr rectangle group(index i, index rows, index cols) noexcept {
    const index row = i * G;
    return {row, 0, rows - row < G ? rows - row : G, cols};
  }
  static constexpr index run(index cols) noexcept { return cols; }
};

/// `scale_of` maps an element to its scale. `count` is the number of scales. `group(i, rows, cols)`
/// is the rectangle of the elements of scale i. `run` is the number of neighbouring columns that
/// share a scale; runs start at column 0 of each row.
template <class T>
concept Granularity = requires(index i) {
  { T::scale_of(i, i, i) } -> std::same_as<index>;
  { T::count(i, i) } -> std::same_as<index>;
  { T::group(i, i, i) } -> std::same_as<rectangle>;
  { T::run(i) } -> std::same_as<index>;
  { T::name } -> std::convertible_to<const char*>;
};

namespace detail {

/// The G of grouped<G>; 0 for others.
template <class T>
inline constexpr index columns_of_group = 0;
template <index G>
inline constexpr index columns_of_group<grouped<G>> = G;

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
