#pragma once
/// MXFP4 weights kept in 4 bits: a codebook of the values of E2M1, with powers of two as scales.
///
///     const auto q = to_codebook(rows, cols, blocks);                 // codebook_grouped<4, 32>
///     const linear<codebook_grouped<4, 32>, float_inputs> layer(q);   // 4.5 bits for each weight
///
/// | code   | 0  1  2  3  4    5  6    7  8 9   10 11  12 13 14 15 |
/// |--------|-------------------------------------------------------|
/// | nibble | 15 14 13 12 11   10 9    8  0 1   2  3   4  5  6  7  |
/// | E2M1   | -6 -4 -3 -2 -1.5 -1 -0.5 -0 0 0.5 1  1.5 2  3  4  6  |
///
/// A level is the value of E2M1 over 8; the scale of a group is 2^(e - 124). Level times scale is
/// exact, so every value is kept, except for the sign of a zero. The exponents e = 252 to 254 have
/// no finite scale, and e = 255 means NaN: such blocks are refused. ggml_grouped_convert.hpp
/// converts the same blocks to int8_grouped<32>, for layers with integer products: 8.5 bits for
/// each weight, equal values.
/// Source: OCP Microscaling Formats (MX) Specification, version 1.0.
/// Read next: ggml_table_blocks.hpp, ops/linear/float_inputs.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/ggml_blocks.hpp"
#include "fewbit/formats/ggml_table_blocks.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The scheme of MXFP4 weights of 4 bits.
using mxfp4_codebook = codebook_grouped<4, 32>;

namespace detail {

/// The values of E2M1 over 8, in ascending order, -0 as 0.
[[nodiscard]] inline std::array<float, 16> e2m1_levels() noexcept {
  std::array<float, 16> levels;
  for (std::size_t i = 0; i < 8; ++i) {
    levels[8 + i] = static_cast<float>(e2m1_table[i]) / 16.0F;
    levels[7 - i] = 0.0F - levels[8 + i];
  }
  return levels;
}

[[nodiscard]] constexpr std::uint8_t code_of_nibble(int nibble) noexcept {
  return static_cast<std::uint8_t>(nibble < 8 ? 8 + nibble : 15 - nibble);
}
[[nodiscard]] constexpr std::uint8_t nibble_of_code(int code) noexcept {
  return static_cast<std::uint8_t>(code >= 8 ? code - 8 : 15 - code);
}

/// Converts blocks of whole rows. Calls fail(r, b, flaw), which does not return, for the first
/// block that is refused.
template <class Fail>
[[nodiscard]] quantized_matrix<mxfp4_codebook> codebook_of_blocks(index rows, index cols,
                                                                  std::span<const mxfp4> blocks,
                                                                  const Fail& fail) {
  const index per_row = cols / mxfp4::weights;
  row_matrix<std::uint8_t> codes(rows, cols);
  std::vector<float> scales;
  scales.reserve(blocks.size());
  std::uint8_t* to = codes.data();
  for (std::size_t i = 0; i < blocks.size(); ++i, to += mxfp4::weights) {
    const mxfp4& block = blocks[i];
    if (block.e > 251) {
      fail(static_cast<index>(i) / per_row, static_cast<index>(i) % per_row,
           block.e == 255 ? "a block with the scale NaN" : "a block with a scale above 2^127");
    }
    for (std::size_t j = 0; j < 16; ++j) {
      to[j] = code_of_nibble(block.qs[j] & 15);
      to[j + 16] = code_of_nibble(block.qs[j] >> 4);
    }
    scales.push_back(std::bit_cast<float>((block.e + 3U) << 23));  // 2^(e - 124)
  }
  return quantized_matrix<mxfp4_codebook>(codes, scales, e2m1_levels());
}

}  // namespace detail

/// Converts blocks to a codebook matrix of the same values.
///
/// @param rows    rows of `cols` weights, whole blocks
/// @param blocks  rows * cols / 32 blocks, row by row
/// @throws fewbit::error if the sizes do not agree, or with the first block that is refused as the
///         head of this header says
[[nodiscard]] inline quantized_matrix<mxfp4_codebook> to_codebook(index rows, index cols,
                                                                  std::span<const mxfp4> blocks) {
  constexpr const char* function = "to_codebook";
  if (rows < 1 || cols < 1 || cols % mxfp4::weights != 0) {
    detail::fail(function, "shape", detail::shape_text(rows, cols),
                 "at least one row of whole blocks of 32");
  }
  const auto count = static_cast<index>(blocks.size()), per_row = cols / mxfp4::weights;
  if (count % rows != 0 || count / rows != per_row) {
    detail::fail(function, "number of blocks", count,
                 detail::text(rows) + " rows of " + detail::text(per_row));
  }
  return detail::codebook_of_blocks(rows, cols, blocks, [](index r, index b, const char* flaw) {
    detail::fail(function, detail::block_name(r, b), flaw, "a block with a finite scale");
  });
}

/// Converts such a matrix back to blocks of the same values.
///
/// @return rows * cols / 32 blocks, row by row
/// @throws fewbit::error if the number of columns is not a multiple of 32, if the levels are others
///         than those of E2M1, or with the first scale that is no power of two, or 0
[[nodiscard]] inline std::vector<mxfp4> to_mxfp4(const quantized_matrix<mxfp4_codebook>& q) {
  constexpr const char* function = "to_mxfp4";
  detail::expect_extents(function, "q", q);
  detail::expect_whole_blocks(function, q.cols());
  const std::array<float, 16> levels = detail::e2m1_levels();
  for (std::size_t i = 0; i < levels.size(); ++i) {
    if (q.levels()[i] == levels[i]) continue;
    detail::fail(function, detail::item("levels", static_cast<index>(i)), q.levels()[i], levels[i]);
  }
  std::vector<mxfp4> blocks;
  std::vector<std::uint8_t> row(static_cast<std::size_t>(q.cols()));
  for (index r = 0; r < q.rows(); ++r) {
    q.unpack_row(r, row.data());
    for (index c = 0; c < q.cols(); c += mxfp4::weights) {
      const auto bits = std::bit_cast<std::uint32_t>(q.scale(r, c));
      const int e = static_cast<int>(bits >> 23) - 3;
      if ((bits & 0x007FFFFFU) != 0 || e < 0) {
        detail::fail(function, "scale of " + detail::block_name(r, c / mxfp4::weights),
                     q.scale(r, c), "a power of two of at least 2^-124");
      }
      mxfp4 block{static_cast<std::uint8_t>(e), {}};
      const std::uint8_t* codes = row.data() + c;
      for (std::size_t j = 0; j < 16; ++j) {
        block.qs[j] = static_cast<std::uint8_t>(detail::nibble_of_code(codes[j]) |
                                                detail::nibble_of_code(codes[j + 16]) << 4);
      }
      blocks.push_back(block);
    }
  }
  return blocks;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
