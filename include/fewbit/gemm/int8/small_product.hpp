#pragma once
/// Small products: row by row through the panels of weights, without the preparation of a walk.
///
/// Units of 8-bit codes that multiply rows one by one (VNNI) read the activations of narrow weights
/// where they are: four codes are broadcast and their sign bits are changed if the unit takes a +
/// 128. This takes two instructions more for each step than a copy, but a copy of a row of 8 codes
/// takes 60. Four rows share each register of weights. Other products copy each row to the stack.
/// Read before: gemm/int8/row_panels.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/int8/row_panels.hpp"
#include "fewbit/gemm/int8/saturation_proof.hpp"
#include "fewbit/gemm/int8/weights.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm { namespace detail {

/// Units that take a, or a + 128, as bytes of one step in each int32 lane.
template <class Unit>
inline constexpr bool reads_rows =
    std::is_same_v<typename Unit::lhs_code, std::uint8_t> && Unit::rows == 1 && Unit::depth == 4 &&
    (Unit::lhs_offset == 0 || Unit::lhs_offset == -128) &&
    requires { requires std::is_same_v<typename Unit::lhs_vector, typename Unit::accumulator>; };

/// R rows by one register of columns.
template <int R, class Unit, class Lhs>
FEWBIT_ALWAYS_INLINE void sum_read_rows(const Lhs* a, index a_stride, index k,
                                        const typename Unit::rhs_code* w, index step_codes,
                                        typename Unit::accumulator (&sums)[R]) noexcept {
  using dots = typename Unit::dots;
  const auto add = [&](index at, const auto& load) FEWBIT_INLINE_LAMBDA {
    const auto weights = dots::load_rhs(w);
    w += step_codes;
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      typename dots::lhs_vector codes =
          load(reinterpret_cast<const std::uint8_t*>(a + r * a_stride + at));
      if constexpr (Unit::lhs_offset != 0)
        codes = codes ^ typename dots::lhs_vector(static_cast<std::int32_t>(0x80808080U));
      sums[r] = dots::dot(sums[r], codes, weights);
    }
  };
  const index whole = k & ~index{3};
#pragma GCC unroll 1
  for (index at = 0; at < whole; at += 4)
    add(at, [](const std::uint8_t* p) FEWBIT_INLINE_LAMBDA { return dots::load_lhs(p); });
  if (whole == k) return;
  const auto rest = static_cast<int>(k - whole);
  add(whole, [rest](const std::uint8_t* p) { return dots::load_lhs_tail(p, rest); });
}

/// A small product whose activations are read where they are.
template <class Weights, class Out, class E>
[[gnu::noinline]] void multiply_read_rows(const typename Weights::kernel_type::lhs* a,
                                          index a_stride, const Weights& w,
                                          const output_rectangle<Out>& given_c,
                                          const E& given_epilogue) noexcept {
  using unit = typename Weights::kernel_type::unit;
  const output_rectangle<Out> c = given_c;  // copies stay in registers across stores to C
  const E epilogue = given_epilogue;
  using accumulator = typename unit::accumulator;
  constexpr index wide_cols = Weights::kernel_type::tile::cols;
  const index n = w.n(), k = w.k();
  for (index col = 0; col < n; col += unit::cols) {
    const index panel = col < w.wide_cols() ? col / wide_cols * wide_cols : col;
    const auto* weights = w.panel(panel) + (col - panel) * unit::depth;
    const index step_codes = w.panel_cols(panel) * unit::depth;
    accumulator start(0);
    if constexpr (unit::lhs_offset != 0) {
      using words = arch::rebind<accumulator, std::uint32_t>;
      const auto sums = arch::bits_as<std::uint32_t>(accumulator::load(w.block_sums(0, col)));
      start = arch::bits_as<std::int32_t>(
          words(sums * words(static_cast<std::uint32_t>(unit::lhs_offset))));
    }
    const auto rows = [&](auto count, index row) FEWBIT_INLINE_LAMBDA {
      constexpr int together = decltype(count)::value;
      accumulator sums[together];
#pragma GCC unroll 4
      for (int r = 0; r < together; ++r) sums[r] = start;
      sum_read_rows<together, unit>(a + row * a_stride, a_stride, k, weights, step_codes, sums);
      Out* to = c.data + row * c.stride;
#pragma GCC unroll 4
      for (int r = 0; r < together; ++r) {
        const finish_row<typename unit::dots, Out, E> finish{to + r * c.stride, row + r, col, n,
                                                             epilogue};
        const accumulator one[1] = {sums[r]};
        finish.take(one);
      }
    };
    index row = 0;
    for (; row + 4 <= c.rows; row += 4) rows(std::integral_constant<int, 4>{}, row);
    for (; row < c.rows; ++row) rows(std::integral_constant<int, 1>{}, row);
  }
}

/// A small product, row by row, with a copy of a row on the stack. A separate function, so that
/// other products have no such buffer.
template <class Weights, class Out, class E>
[[gnu::noinline]] void multiply_small(const typename Weights::kernel_type::lhs* a, index a_stride,
                                      const Weights& w, const output_rectangle<Out>& c,
                                      const E& epilogue) noexcept {
  using unit = typename Weights::kernel_type::unit;
  if constexpr (reads_rows<unit>) {
    if (c.rows > 1 && w.n() <= 2 * unit::cols)
      return multiply_read_rows(a, a_stride, w, c, epilogue);
  }
  alignas(64) typename unit::lhs_code row[(small_depth + 63) / 64 * 64];
  const index padded = w.layout().padded();
  for (index r = 0; r < c.rows; ++r, a += a_stride) {
    Out* to = c.data + r * c.stride;
    if constexpr (Proving<unit>) {
      using halves = typename unit::halves;
      if (w.k() >= halves_depth) {
        auto* cut = reinterpret_cast<typename halves::lhs_code*>(&row[0]);
        copy_whole_row<halves, false>(a, w.k(), cut);
        sum_panels<true, halves::lhs_offset, typename halves::dots>(cut, padded, w, w.panel(0), to,
                                                                    epilogue, r);
        continue;
      }
    }
    const typename unit::lhs_code* from = &row[0];
    if constexpr (unit::in_place) {
      from = a;
    } else {
      copy_whole_row<unit, false>(a, w.k(), &row[0]);
    }
    sum_panels<!unit::in_place, unit::lhs_offset, typename unit::dots>(
        from, unit::in_place ? w.k() : padded, w, w.panel(0), to, epilogue, r);
  }
}

/// Whether multiply_small takes a product of `rows` rows.
template <class Lhs, class Kernel>
[[nodiscard]] bool is_small(const int8_weights<Lhs, Kernel>& w, index rows) noexcept {
  using unit = typename Kernel::unit;
  index most = Proving<unit> ? small_products_by_proof : small_products;
  if constexpr (reads_rows<unit>) {
    if (w.n() <= 2 * unit::cols) most = small_products_in_place;
  }
  const index codes = w.n() * w.k();
  return w.k() <= small_depth && codes <= small_weights && w.k() > 0 &&
         (rows == 1 || rows * codes <= most);
}

}}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
