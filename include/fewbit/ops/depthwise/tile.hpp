#pragma once
/// The inner loops of depthwise convolutions: some neighbouring outputs of a block of channels.
///
/// The sums of Unit::pixels outputs stay in registers. With `shared_columns`, each column of pixels
/// is loaded and interleaved once and added to all outputs whose windows contain it. Instructions
/// on vectors for each output of 3 x 3 taps, without those that turn sums into codes:
///
/// | unit             | stride | loads and interleaving | products and sums | all for 16 channels |
/// |------------------|--------|------------------------|-------------------|---------------------|
/// | avx2_taps        | 1      | 12                     | 24                | 36                  |
/// | avx2_taps        | 2      | 18                     | 24                | 42                  |
/// | vnni_taps<256>   | 1      | 24                     | 12                | 18                  |
/// | avx512_vnni_taps | 1      | 18                     | 12                | 7.5                 |
///
/// Port bound of avx2_taps with stride 1 on a core with four vector pipes, two of them for
/// vpmaddwd: 36 instructions here and 13 that turn sums into codes with xnn_fp32 take 12.25 cycles
/// for 16 outputs; the 12 vpmaddwd alone take 6.
///
/// Read before: arch/tap_unit.hpp. Read next: ops/depthwise/walk.hpp.

#include "fewbit/begin.hpp"

#include <utility>

#include "fewbit/arch/avx2_taps.hpp"
#include "fewbit/arch/neon_taps.hpp"
#include "fewbit/arch/tap_unit.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Sums of neighbouring outputs.
template <class Unit>
struct tile_sums {
  typename Unit::accumulator of[Unit::pixels][Unit::registers];
};

/// Adds a column, which is at kernel column kx of output t. Does nothing if kx is outside the
/// kernel.
template <class Unit, int kernel_width, int kx, int t, int... i>
FEWBIT_ALWAYS_INLINE void add_to_pixel(tile_sums<Unit>& sums, const typename Unit::column& x,
                                       const typename Unit::weight* w,
                                       std::integer_sequence<int, i...>) noexcept {
  if constexpr (kx >= 0 && kx < kernel_width) {
    constexpr int step = Unit::lanes * Unit::depth;
    ((sums.of[t][i] =
          Unit::template add<i>(sums.of[t][i], x, w + (kx * Unit::registers + i) * step)),
     ...);
  }
}

/// A kernel whose columns are neighbours. Taps are [group of rows][column][row of the group], for
/// the columns of all outputs of a tile.
template <int KernelWidth, int Stride>
struct shared_columns {
  static constexpr bool shares = true;
  static constexpr int most_rows = 8;

  /// Columns of a tile.
  template <class Unit>
  static constexpr int columns = (Unit::pixels - 1) * Stride + KernelWidth;

  /// @param taps    groups * columns * Unit::depth pixels
  /// @param groups  of kernel rows
  /// @param c       the first channel
  /// @param w       weights of the block
  template <class Unit>
  FEWBIT_ALWAYS_INLINE static void add(tile_sums<Unit>& sums,
                                       const typename Unit::code* const* taps, index groups,
                                       index c, const typename Unit::weight* w) noexcept {
    for (index g = 0; g < groups; ++g) {
      add_columns(sums, taps, c, w, std::make_integer_sequence<int, columns<Unit>>());
      taps += columns<Unit> * Unit::depth;
      w += KernelWidth * Unit::channels * Unit::depth;
    }
  }

 private:
  template <class Unit, int... j>
  FEWBIT_ALWAYS_INLINE static void add_columns(tile_sums<Unit>& sums,
                                               const typename Unit::code* const* taps, index c,
                                               const typename Unit::weight* w,
                                               std::integer_sequence<int, j...>) noexcept {
    (add_column<j>(sums, taps + j * Unit::depth, c, w,
                   std::make_integer_sequence<int, Unit::pixels>()),
     ...);
  }

  template <int j, class Unit, int... t>
  FEWBIT_ALWAYS_INLINE static void add_column(tile_sums<Unit>& sums,
                                              const typename Unit::code* const* taps, index c,
                                              const typename Unit::weight* w,
                                              std::integer_sequence<int, t...>) noexcept {
    const auto x = Unit::load(taps, c);
    constexpr std::make_integer_sequence<int, Unit::registers> all;
    (add_to_pixel<Unit, KernelWidth, j - t * Stride, t>(sums, x, w, all), ...);
  }
};

/// Any kernel. Taps are [step][output][row of the group]; a step is a group of kernel rows and a
/// kernel column.
struct separate_columns {
  static constexpr bool shares = false;

  template <class Unit>
  FEWBIT_ALWAYS_INLINE static void add(tile_sums<Unit>& sums,
                                       const typename Unit::code* const* taps, index steps, index c,
                                       const typename Unit::weight* w) noexcept {
    for (index s = 0; s < steps; ++s) {
      add_step(sums, taps, c, w, std::make_integer_sequence<int, Unit::pixels>());
      taps += Unit::pixels * Unit::depth;
      w += Unit::channels * Unit::depth;
    }
  }

 private:
  template <class Unit, int... t>
  FEWBIT_ALWAYS_INLINE static void add_step(tile_sums<Unit>& sums,
                                            const typename Unit::code* const* taps, index c,
                                            const typename Unit::weight* w,
                                            std::integer_sequence<int, t...>) noexcept {
    constexpr std::make_integer_sequence<int, Unit::registers> all;
    (add_to_pixel<Unit, 1, 0, t>(sums, Unit::load(taps + t * Unit::depth, c), w, all), ...);
  }
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
