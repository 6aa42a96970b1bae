#pragma once
/// What a matrix-product kernel is, as a type: a dot unit and the block of registers it works on.
///
///     C (m x n)  =  A (m x k)  times  W (n x k) transposed
///
///               k                 n
///         +-----------+     +-----+-----+     panel  tile::cols columns of C, all of k, packed
///       m | A ->->->  |   k | rows of W |     tile   tile::rows x tile::cols of C, in registers
///         +-----------+     | as columns|     step   tile::depth of k, one dot unit deep
///                           +-----+-----+     depth  extent along k
///
/// code   an 8-bit integer that represents a real number; this layer has codes only, no scales
/// block  `block_depth` neighbouring codes of k (a group); a block stage receives its sums
///
/// Users choose at most an arch. Everything else follows from the constants of the kernel. Read
/// next: gemm/int8/weights.hpp (weights are packed here), gemm/int8/micro_kernel.hpp (the loop),
/// gemm/int8/multiply.hpp (the product).

#include "fewbit/begin.hpp"

#include <cstdint>
#include <limits>
#include <type_traits>

#include "fewbit/arch/all.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// Extents of the part of C that one call of the micro-kernel computes, and of one step of k.
template <int Rows, int Cols, int Depth>
struct tile_shape {
  static constexpr int rows = Rows;
  static constexpr int cols = Cols;
  static constexpr int depth = Depth;
};

/// A micro-kernel: `RowRegisters x ColRegisters` accumulators of `Unit`. The panels after the last
/// full panel are NarrowRegisters wide, so a small n wastes little.
template <class Lhs, class Unit, int RowRegisters, int ColRegisters, int NarrowRegisters = 1>
struct kernel {
  static_assert(std::is_same_v<Lhs, std::uint8_t> || std::is_same_v<Lhs, std::int8_t>,
                "fewbit: activations are std::uint8_t or std::int8_t");
  static_assert(ColRegisters % NarrowRegisters == 0);
  static_assert(Unit::rows == 1 || Unit::lhs_offset == 0,
                "fewbit: a unit of several rows takes activations as they are");

  using lhs = Lhs;
  using unit = Unit;
  using tile = tile_shape<RowRegisters * Unit::rows, ColRegisters * Unit::cols, Unit::depth>;
  static constexpr int row_registers = RowRegisters;
  static constexpr int col_registers = ColRegisters;
  static constexpr int edge_registers = NarrowRegisters;
  static constexpr int edge_cols = NarrowRegisters * Unit::cols;

  /// The deepest k whose sums fit int32 for all codes: k * max|a| * max|w| <= 2^31 - 1.
  static constexpr index max_depth = std::numeric_limits<std::int32_t>::max() /
                                     ((std::is_same_v<Lhs, std::uint8_t> ? 255 : 128) * 128);
};

/// Plain loops for any tile, including odd sizes. `Offset` is added to activations, as for units
/// that need the other signedness. Tests of packing and of the walk over C compare with it.
template <class Lhs, class Tile, int Offset = 0>
struct reference_kernel
    : kernel<Lhs, arch::reference_unit<Lhs, 1, Tile::cols, Tile::depth, Offset>, Tile::rows, 1> {};

namespace detail {

/// The registers of a tile, by arch: as many accumulators as fit beside one row of weights and one
/// row of activations.
template <class Arch>
struct register_block : register_block<typename Arch::base> {};
template <>
struct register_block<arch::scalar> {
  static constexpr int rows = 4, cols = 1, narrow = 1;
};
template <>
struct register_block<arch::avx2> {  // 9 sums, 3 weights, 1 activation, ones, product: 15 of 16
  static constexpr int rows = 3, cols = 3, narrow = 1;
};
template <>
struct register_block<arch::avx_vnni> {  // 12 sums, 2 weights, 1 activation: 15 of 16
  static constexpr int rows = 6, cols = 2, narrow = 1;
};
template <>
struct register_block<arch::avx512_vnni> {  // 24 sums, 4 weights, 1 activation: 29 of 32
  static constexpr int rows = 6, cols = 4, narrow = 1;
};
template <>
struct register_block<arch::neon> {  // 12 sums, 12 products, 4 weights, 3 activations: 31 of 32
  static constexpr int rows = 3, cols = 4, narrow = 1;
};
template <>
struct register_block<
    arch::neon_dotprod> {  // 20 sums, 5 x 4 activations, up to 4 weights: 29 of 32
  static constexpr int rows = 5, cols = 4, narrow = 1;
};
template <>
struct register_block<arch::neon_i8mm> {  // 16 sums of 2 x 2, 4 weights, 4 activations: 24 of 32
  static constexpr int rows = 4, cols = 4, narrow = 2;
};

template <class Lhs, class Arch>
struct default_kernel_of {
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  using block = register_block<Arch>;
  using type = kernel<Lhs, typename arch::dot_unit<Arch, Lhs>::type, block::rows, block::cols,
                      block::narrow>;
};

}  // namespace detail

/// The kernel of an instruction set for activations of type Lhs.
template <class Lhs, class Arch = arch::native>
using default_kernel = typename detail::default_kernel_of<Lhs, Arch>::type;

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
