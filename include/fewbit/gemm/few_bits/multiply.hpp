#pragma once
/// The product of 8-bit activations and few_bit_weights: C = epilogue(A W^T), exact in int32.
///
/// | rows of A     | method                                                                         |
/// |---------------|--------------------------------------------------------------------------------|
/// | a few         | weights are expanded in registers only (gemm/few_bits/few_rows.hpp)            |
/// | some hundred  | weights above one window: chunks of k (gemm/few_bits/expanded_chunks.hpp)      |
/// | other numbers | windows: some columns of W are expanded (gemm/few_bits/expanded_weights.hpp)   |
///
/// A window is in scratch memory, in the order of the kernel of 8-bit weights. All rows are
/// multiplied by a window like by packed 8-bit weights. Expansion costs n * k operations once.
/// Weights are read from memory as few bits.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/epilogue.hpp"
#include "fewbit/gemm/few_bits/expanded_chunks.hpp"
#include "fewbit/gemm/few_bits/expanded_weights.hpp"
#include "fewbit/gemm/few_bits/few_rows.hpp"
#include "fewbit/gemm/few_bits/weights.hpp"
#include "fewbit/gemm/int8/walk.hpp"
#include "fewbit/gemm/parts.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

namespace detail {

/// Scratch bytes of one worker for activations of type Lhs and up to `rows` rows.
template <class Lhs, int Bits, class Arch>
[[nodiscard]] index few_bit_scratch_bytes(const few_bit_weights<Bits, Arch>& w,
                                          index rows) noexcept {
  const index few = few_bit_lhs<Lhs, Bits, Arch>::bytes(w, std::min(rows, most_few_rows<Arch>));
  if (rows <= most_few_rows<Arch>) return few;
  using expanded = expanded_weights<Lhs, Arch>;
  using kernel_type = typename expanded::kernel_type;
  const expanded window(w, nullptr);
  const index rest = [&] {
    if constexpr (Proving<typename kernel_type::unit>) {
      return walk_by_proof<expanded, std::int32_t, raw>::scratch_bytes(window, rows);
    } else {
      return int8_lhs<kernel_type>::bytes(window.layout(), rows);
    }
  }();
  const index windows = std::max(expanded::bytes_for(w) + rest, few);
  using chunks = chunk_shape<Lhs, Arch>;
  if constexpr (chunks::fits) {
    return std::max(windows, chunks::scratch_bytes(window.layout(), rows));
  } else {
    return windows;
  }
}

/// Part `part` of `parts` parts of C. The parts are of columns, so no two workers expand the same
/// weights. If there are few columns, the parts are of rows.
template <class Lhs, int Bits, class Arch, class Out, class E>
void multiply_expanded(const Lhs* a, index a_stride, const few_bit_weights<Bits, Arch>& w,
                       const output_rectangle<Out>& c, const E& epilogue, index part, index parts,
                       std::byte* scratch) noexcept {
  using expanded = expanded_weights<Lhs, Arch>;
  using tile = typename expanded::kernel_type::tile;
  const auto [row, row_end, col, col_end] =
      part_by_cols({c.rows, tile::rows}, {c.cols, tile::cols}, part, parts);
  if (row == row_end) return;
  expanded window(w, scratch);
  index first = col;
  if constexpr (chunk_shape<Lhs, Arch>::fits) {
    if (col_end - col > window.most_cols() && row_end - row > tile::rows &&
        row_end - row <= chunked_rows) {
      const product_by_chunks<Lhs, Bits, Arch, Out, E> p(a, a_stride, w, c, epilogue, scratch);
      first = p.rows(row, row_end, col, col_end);
    }
  }
  const whole_depth blocks;
  const product<expanded, Out, whole_depth, E> p{a, a_stride, window, c, blocks, epilogue};
  while (first < col_end) {
    const index end = window.expand(w, first, col_end);
    p.rows(row, row_end, first, std::min(end, col_end), scratch + expanded::bytes_for(w));
    first = end;
  }
}

/// Whether a product can read A in place as 8-bit codes. Otherwise the compiler prints one
/// sentence.
template <class A>
[[nodiscard]] consteval bool reads_bytes_in_place() {
  if constexpr (fewbit::DenseRows<A, std::uint8_t>) {
    return true;
  } else {
    return fewbit::detail::reads_in_place<A, std::int8_t>();
  }
}

}  // namespace detail

/// Scratch bytes that one worker needs for products of up to `rows` rows.
template <int Bits, class Arch>
[[nodiscard]] index scratch_bytes(const few_bit_weights<Bits, Arch>& w, index rows) noexcept {
  return std::max(detail::few_bit_scratch_bytes<std::uint8_t>(w, rows),
                  detail::few_bit_scratch_bytes<std::int8_t>(w, rows));
}

/// Scratch bytes that one worker needs for products of any number of rows.
template <int Bits, class Arch>
[[nodiscard]] index scratch_bytes(const few_bit_weights<Bits, Arch>& w) noexcept {
  return scratch_bytes(w, std::numeric_limits<index>::max());
}

/// C(i, j) = epilogue(sum over k of A(i, k) * W(j, k)), exact in int32. Does not allocate and does
/// not throw. If the executor throws, std::terminate is called.
///
/// @param a         m x k codes, std::uint8_t or std::int8_t, row-major
/// @param w         n x k weights
/// @param c         m x n, row-major, of what the epilogue returns; must not overlap a
/// @param epilogue  applied to each element (gemm/epilogue.hpp)
/// @param scratch   at least scratch_bytes(w) per slot; C is cut into one part per slot
/// @param executor  runs the parts; results depend neither on it nor on the number of slots
/// If shapes do not fit or scratch memory is too small, the error handler is called and the program
/// terminates (core/operands.hpp).
template <class A, int Bits, class Arch, class C, class E = raw, Executor Workers = inline_executor>
  requires ProductEpilogue<C, E, std::int32_t>
void multiply(const A& a, const few_bit_weights<Bits, Arch>& w, C&& c, const E& epilogue,
              workspace& scratch, const Workers& executor = {}) noexcept {
  using out = scalar_of<C>;
  if constexpr (detail::reads_bytes_in_place<A>() && fewbit::detail::writes_in_place<C, out>()) {
    const auto& from = fewbit::detail::rows_of(a);
    auto&& rows = fewbit::detail::rows_of(c);
    fewbit::detail::expect_shapes({"multiply", "a", "c"}, a, c, w.k(), w.n());
    fewbit::detail::expect_room("multiply", "scratch", scratch, scratch_bytes(w, from.rows()));
    const output_rectangle<out> to{rows.data(), rows.outerStride(), 0, 0, rows.rows(), rows.cols()};
    const index parts = scratch.slots();
    executor.for_each(parts, [&](index part) {
      if (from.rows() <= detail::most_few_rows<Arch>) {
        detail::multiply_few_rows(from.data(), from.outerStride(), w, to, epilogue, part, parts,
                                  scratch.slot(part));
      } else {
        detail::multiply_expanded(from.data(), from.outerStride(), w, to, epilogue, part, parts,
                                  scratch.slot(part));
      }
    });
  }
}

/// The same for one call in one thread: scratch memory is allocated.
template <class A, int Bits, class Arch, class C, class E = raw>
  requires ProductEpilogue<C, E, std::int32_t>
void multiply(const A& a, const few_bit_weights<Bits, Arch>& w, C&& c, const E& epilogue = {}) {
  workspace scratch(scratch_bytes(w));
  multiply(a, w, c, epilogue, scratch);
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
