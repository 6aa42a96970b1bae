#pragma once
/// Applies an epilogue that ends in 8-bit codes to sums that are still in the registers of a tile.
/// Read before: gemm/epilogue_rows.hpp (the same for sums in memory).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "fewbit/arch/memory.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/int8/kernel.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// Converts the sums of whole tiles to u8 without a buffer. Rate compared with a buffer:
///
/// | shape (m,n,k) | processor                      | rate |
/// |---------------|--------------------------------|------|
/// | (784,192,32)  | Cascade Lake, AVX512-VNNI      | 1.27 |
/// | (784,32,24)   | Sapphire Rapids, narrow panels | 1.65 |
template <class Unit, class Out, class E>
struct apply_in_registers {
  output_rectangle<Out> c;  // what remains of the tiles of the run
  E epilogue;
  index col = 0;

  FEWBIT_ALWAYS_INLINE void begin_row() noexcept { col = c.col; }
  template <int R, int C>
  FEWBIT_ALWAYS_INLINE void expect(index) const noexcept {}
  template <int R, int C>
  FEWBIT_ALWAYS_INLINE void receive(const register_tile<Unit, R, C>& tile) noexcept {
    static_assert(Unit::rows == 1);
    Out* to = c.data + c.row * c.stride;
    if constexpr (C == 4) {
#pragma GCC unroll 32
      for (int r = 0; r < R; ++r) {
        typename Unit::accumulator sums[C];
        tile.row(r, sums);
        apply_to_four(sums, at{c.row + r, col, C * Unit::cols}, to, epilogue);
        to += c.stride;
        arch::forget_origin(to);
      }
    } else {
#pragma GCC unroll 32
      for (int first = 0; first < R * C; first += 4) take_four<R, C>(tile, first, to);
    }
    col += C * Unit::cols;
  }
  FEWBIT_ALWAYS_INLINE void end_row(index rows) noexcept { c.row += rows; }

 private:
  /// Registers first .. first + 3 of the tile, row by row. Missing registers repeat the last one.
  template <int R, int C>
  FEWBIT_ALWAYS_INLINE void take_four(const register_tile<Unit, R, C>& tile, int first,
                                      Out* to) const noexcept {
    using cut = split_at_saturate<E>;
    arch::vec<std::int32_t, Unit::cols> values[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int r = std::min(first + i, R * C - 1) / C, j = std::min(first + i, R * C - 1) % C;
      typename Unit::accumulator sums[C];
      tile.row(r, sums);
      values[i] = cut::before(epilogue)(sums[j], at{c.row + r, col + j * Unit::cols, Unit::cols});
    }
    const auto codes = cut::cut(epilogue).narrow(values);
    const auto store = [&](int i, const auto& part) {
      const int r = (first + i) / C, j = (first + i) % C;
      if (first + i >= R * C) return;
      cut::after(epilogue)(part, at{c.row + r, col + j * Unit::cols, Unit::cols})
          .store(to + r * c.stride + col + j * Unit::cols);
    };
    store(0, arch::part<0, Unit::cols>(codes));
    store(1, arch::part<1, Unit::cols>(codes));
    store(2, arch::part<2, Unit::cols>(codes));
    store(3, arch::part<3, Unit::cols>(codes));
  }
};

/// Number of lanes of the vectors that an epilogue receives: a register of the native arch, or less
/// if panels are narrower.
template <class Kernel>
inline constexpr int epilogue_lanes = std::gcd(Kernel::edge_cols, arch::native_lanes<std::int32_t>);

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
