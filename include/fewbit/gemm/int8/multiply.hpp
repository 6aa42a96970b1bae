#pragma once
/// The product of 8-bit activations and 8-bit weights: C = epilogue(A W^T). Sums are exact int32;
/// the epilogue chooses the type of C. Read next: gemm/int8/walk.hpp (the loops).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/int8/small_product.hpp"
#include "fewbit/gemm/int8/walk.hpp"
#include "fewbit/gemm/int8/weights.hpp"
#include "fewbit/gemm/parts.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// Scratch bytes that one worker needs for products of up to `rows` rows.
template <class Lhs, class Kernel>
[[nodiscard]] index scratch_bytes(const int8_weights<Lhs, Kernel>& w, index rows) noexcept {
  const index prepared = detail::int8_lhs<Kernel>::bytes(w.layout(), rows);
  if constexpr (detail::Proving<typename Kernel::unit>) {
    using walk = detail::walk_by_proof<int8_weights<Lhs, Kernel>, std::int32_t, raw>;
    const index in_blocks = prepared + detail::wide_panel_bytes<Kernel>(w.layout(), rows);
    return std::max(walk::scratch_bytes(w, rows), in_blocks);
  } else {
    return prepared;
  }
}

/// Scratch bytes that one worker needs for products of any number of rows.
template <class Lhs, class Kernel>
[[nodiscard]] index scratch_bytes(const int8_weights<Lhs, Kernel>& w) noexcept {
  return scratch_bytes(w, std::numeric_limits<index>::max());
}

namespace detail {

inline constexpr fewbit::detail::operand_names product_names{"multiply", "a", "c"};

/// Terminates the program if sums over all of k could leave int32.
FEWBIT_ALWAYS_INLINE void expect_whole_depth(index k, index most) noexcept {
  if (k > most) [[unlikely]] {
    fewbit::detail::stop(
        "fewbit: multiply: w.k() is %lld, expected at most %lld without a block stage",
        static_cast<long long>(k), static_cast<long long>(most));
  }
}

/// gemm::multiply. HasSmall: a path of its own for small products.
template <bool HasSmall, class Lhs, class Kernel, class A, class C, class E, class Workers,
          class Blocks>
void checked_multiply(const A& a, const int8_weights<Lhs, Kernel>& w, C&& c, const E& epilogue,
                      workspace& scratch, const Workers& executor, const Blocks& blocks) noexcept {
  using out = scalar_of<C>;
  if constexpr (fewbit::detail::reads_in_place<A, Lhs>() &&
                fewbit::detail::writes_in_place<C, out>()) {
    const auto& from = fewbit::detail::rows_of(a);
    auto&& to = fewbit::detail::rows_of(c);
    fewbit::detail::expect_shapes(product_names, a, c, w.k(), w.n());
    fewbit::detail::expect_room("multiply", "scratch", scratch, scratch_bytes(w, to.rows()));
    if constexpr (std::is_same_v<Blocks, whole_depth>) expect_whole_depth(w.k(), Kernel::max_depth);
    assert(are_at_most(from, w.largest_activation()));
    const output_rectangle<out> all{to.data(), to.outerStride(), 0, 0, to.rows(), to.cols()};
    if constexpr (HasSmall && std::is_same_v<Blocks, whole_depth> && Kernel::unit::rows == 1) {
      if (w.layout().blocks() == 1 && is_small(w, to.rows()))
        return multiply_small(from.data(), from.outerStride(), w, all, epilogue);
    }
    const product<int8_weights<Lhs, Kernel>, out, Blocks, E> p{
        from.data(), from.outerStride(), w, all, blocks, epilogue};
    run_in_parts(p, scratch, executor);
  }
}

}  // namespace detail

/// C(i, j) = epilogue(blocks(sum over k of A(i, k) * W(j, k))), exact in int32. Does not allocate
/// and does not throw. If the executor throws, std::terminate is called.
///
/// @param a         m x k codes of type Lhs, row-major; read in place if the unit allows it;
///                  asserted to be at most w.largest_activation()
/// @param w         n x k weights
/// @param c         m x n, row-major, of what the epilogue returns; must not overlap a
/// @param epilogue  applied to each element (gemm/epilogue.hpp)
/// @param scratch   at least scratch_bytes(w, m) per slot; C is cut into one part per slot
/// @param executor  runs the parts; results depend neither on it nor on the number of slots
/// @param blocks    processes the sums of each block of k (gemm/block_stage.hpp)
/// If shapes do not fit or scratch memory is too small, the error handler is called and the program
/// terminates (core/operands.hpp).
template <class Lhs, class Kernel, class A, class C, class E = raw,
          Executor Workers = inline_executor, BlockStage Blocks = whole_depth>
  requires ProductEpilogue<C, E, typename Blocks::total>
void multiply(const A& a, const int8_weights<Lhs, Kernel>& w, C&& c, const E& epilogue,
              workspace& scratch, const Workers& executor = {},
              const Blocks& blocks = {}) noexcept {
  detail::checked_multiply<true>(a, w, c, epilogue, scratch, executor, blocks);
}

/// The same for callers that multiply a single row by multiply_row: without the code for small
/// products.
template <class Lhs, class Kernel, class A, class C, class E, Executor Workers,
          BlockStage Blocks = whole_depth>
  requires ProductEpilogue<C, E, typename Blocks::total>
void multiply_rows(const A& a, const int8_weights<Lhs, Kernel>& w, C&& c, const E& epilogue,
                   workspace& scratch, const Workers& executor,
                   const Blocks& blocks = {}) noexcept {
  detail::checked_multiply<false>(a, w, c, epilogue, scratch, executor, blocks);
}

/// The same for one call in one thread. Scratch memory is on the stack, or allocated if it is above
/// 16 KiB.
template <class Lhs, class Kernel, class A, class C, class E = raw>
  requires ProductEpilogue<C, E, std::int32_t>
void multiply(const A& a, const int8_weights<Lhs, Kernel>& w, C&& c, const E& epilogue = {}) {
  using out = scalar_of<C>;
  constexpr index on_stack = 16384;
  if constexpr (fewbit::detail::reads_in_place<A, Lhs>() &&
                fewbit::detail::writes_in_place<C, out>()) {
    const auto& from = fewbit::detail::rows_of(a);
    auto&& to = fewbit::detail::rows_of(c);
    fewbit::detail::expect_shapes(detail::product_names, a, c, w.k(), w.n());
    detail::expect_whole_depth(w.k(), Kernel::max_depth);
    assert(detail::are_at_most(from, w.largest_activation()));
    if constexpr (Kernel::unit::rows == 1) {
      if (w.layout().blocks() == 1 && detail::is_small(w, to.rows())) {
        const output_rectangle<out> all{to.data(), to.outerStride(), 0, 0, to.rows(), to.cols()};
        return detail::multiply_small(from.data(), from.outerStride(), w, all, epilogue);
      }
    }
    const whole_depth blocks;
    const detail::product<int8_weights<Lhs, Kernel>, out, whole_depth, E> p{
        from.data(), from.outerStride(),
        w,           {to.data(), to.outerStride(), 0, 0, to.rows(), to.cols()},
        blocks,      epilogue};
    const index needed = scratch_bytes(w, to.rows());
    if (needed <= on_stack) {
      alignas(64) std::byte scratch[on_stack];
      p.run(0, 1, scratch);
    } else {
      aligned_buffer<std::byte> scratch(needed);
      p.run(0, 1, scratch.data());
    }
  }
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
