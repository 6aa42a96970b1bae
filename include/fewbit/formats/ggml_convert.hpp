#pragma once
/// Lossless conversion between blocks of ggml and quantized matrices. Use it to run weights of a
/// ggml file in a layer, or to write quantized weights as ggml blocks.
///
///     linear<uint4_grouped<32>> layer(to_quantized(blocks));
///     block_matrix<q4_0> same = to_blocks<q4_0>(to_quantized(blocks));
///
/// | blocks | quantized                 | codes, where d >= 0 | where d < 0          |
/// |--------|---------------------------|---------------------|----------------------|
/// | q8_0   | int8_grouped<32>          | q                   | refused              |
/// | q5_0   | int8_grouped<32>          | q - 16              | 16 - q               |
/// | q4_0   | uint4_grouped<32>         | q, zero point 8     | 15 - q, zero point 7 |
/// | q4_1   | codes_with_minima         | q                   | q                    |
/// | q4_1   | uint4_grouped_minimum<32> | q                   | refused              |
///
/// The function to_quantized_matrix makes the matrix in the last row. Layers can multiply it.
///
/// Scales of a quantized_matrix are positive (only the scheme with minima allows 0). The scale is
/// |d|, or 2^-126 if d is 0. No half equals 2^-126, so to_blocks restores d = 0 from it.
///
/// Both directions keep every value, except for the sign of a zero. Converting back gives the same
/// bytes. A block for which this is impossible is refused:
///
/// | block            | refused if                                                            |
/// |------------------|-----------------------------------------------------------------------|
/// | q8_0, q5_0, q4_0 | d is 0, but a code differs from the code that means 0                 |
/// | q8_0             | d is negative or -0, or a code is -128                                |
/// | q5_0             | d is negative and no code is 0: to_blocks finds the sign by code 0    |
/// | q5_0             | d is 0, but the block is not the one that quantization makes of zeros |
///
/// In the output of quantize_blocks, a block is refused only if its d rounded to 0 although its
/// codes did not. with_plain_zeros repairs blocks whose d is 0. All other refused blocks come from
/// other programs.
/// Read next: ggml_blocks.hpp (layouts), quant/quantized_matrix.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/half.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/ggml_blocks.hpp"
#include "fewbit/formats/ggml_quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scale.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// A matrix of 4-bit codes with one scale and one minimum for each 32 columns of a row:
/// value(r, c) = codes(r, c) * scales(r, c / 32) + minima(r, c / 32).
struct codes_with_minima {
  row_matrix<std::uint8_t> codes;  ///< rows x cols, 0 to 15
  row_matrix<float> scales;        ///< rows x cols / 32
  row_matrix<float> minima;        ///< rows x cols / 32
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

template <class B>
struct scheme_of_blocks;
template <>
struct scheme_of_blocks<q8_0> {
  using type = int8_grouped<ggml_block_size>;
};
template <>
struct scheme_of_blocks<q5_0> {
  using type = int8_grouped<ggml_block_size>;
};
template <>
struct scheme_of_blocks<q4_0> {
  using type = uint4_grouped<ggml_block_size>;
};
template <>
struct scheme_of_blocks<q4_1> {
  using type = uint4_grouped_minimum<ggml_block_size>;
};

/// One group of a quantized matrix: 32 codes, their scale and their zero point.
struct code_group {
  block_codes codes;
  float scale;
  int zero;

  [[nodiscard]] bool has(int code) const noexcept {
    return std::find(codes.begin(), codes.end(), code) != codes.end();
  }
  [[nodiscard]] bool is_zero() const noexcept {
    return std::all_of(codes.begin(), codes.end(), [this](int code) { return code == zero; });
  }
  /// Replaces each code by first - code.
  void turn(int first) noexcept {
    for (std::int8_t& c : codes) c = static_cast<std::int8_t>(first - c);
  }
  void move(int offset) noexcept {
    for (std::int8_t& c : codes) c = static_cast<std::int8_t>(c + offset);
  }
};

/// The scale of a group whose block has this d.
[[nodiscard]] inline float positive_scale(float d) noexcept {
  return d == 0.0F ? min_scale : std::fabs(d);
}

/// Turns the codes of a block, already in `group`, into codes of the group and sets its zero point.
/// Returns nullptr, or the reason why the block cannot be converted back to the same bytes.
inline const char* fill_group(const q8_0& /*block*/, float d, code_group& group) noexcept {
  group.zero = 0;
  if (std::signbit(d)) return "a block with a negative scale";
  if (group.has(-128)) return "a block with a code -128";
  return nullptr;
}

inline const char* fill_group(const q5_0& block, float d, code_group& group) noexcept {
  group.zero = 0;
  const bool tells_sign = group.has(0);
  if (!std::signbit(d)) {
    group.move(-16);
  } else {
    group.turn(16);
    if (d != 0.0F && !tells_sign) return "a block with a negative scale and without a code 0";
  }
  const bool other_zero = d == 0.0F && block != block_of_zeros<q5_0>();
  return other_zero ? "a block with scale 0 that differs from the block of zeros" : nullptr;
}

inline const char* fill_group(const q4_0& /*block*/, float d, code_group& group) noexcept {
  group.zero = std::signbit(d) ? 7 : 8;
  if (std::signbit(d)) group.turn(15);
  return nullptr;
}

template <GgmlBlock B>
[[nodiscard]] code_group group_of_block(const B& block, index r, index b) {
  code_group group;
  const float d = read_half(block.d);
  unpack_block(block, group.codes);
  group.scale = positive_scale(d);
  const char* flaw = fill_group(block, d, group);
  if (flaw == nullptr && d == 0.0F && !group.is_zero()) {
    flaw = "a block with scale 0 and codes of other values than 0";
  }
  if (flaw != nullptr) {
    fail("to_quantized", block_name(r, b), flaw, "a block that to_blocks can restore");
  }
  return group;
}

[[nodiscard]] inline std::uint16_t exact_half(const char* name, float x, index r, index b) {
  const std::uint16_t half = to_half(x);
  if (from_half(half) != x || !is_finite(x)) {
    fail("to_blocks", std::string(name) + " of " + block_name(r, b), x,
         "a number of half precision");
  }
  return half;
}

/// Turns the codes of a group into those of the block. Returns true if d is negative.
inline bool codes_of_block(const code_group& /*group*/, q8_0& /*block*/, index /*r*/,
                           index /*b*/) noexcept {
  return false;
}

inline bool codes_of_block(code_group& group, q5_0& /*block*/, index r, index b) {
  const bool is_negative = group.has(16);
  for (const std::int8_t c : group.codes) {
    const int lo = is_negative ? -15 : -16, hi = is_negative ? 16 : 15;
    if (c < lo || c > hi)
      fail("to_blocks", "a code of " + block_name(r, b), int{c}, interval(lo, hi));
  }
  if (is_negative) {
    group.turn(16);
  } else {
    group.move(16);
  }
  return is_negative;
}

inline bool codes_of_block(code_group& group, q4_0& /*block*/, index r, index b) {
  if (group.zero != 7 && group.zero != 8) {
    fail("to_blocks", "zero point of " + block_name(r, b), group.zero, "7 or 8");
  }
  if (group.zero == 7) group.turn(15);
  return group.zero == 7;
}

template <GgmlBlock B>
[[nodiscard]] B block_of_group(code_group& group, index r, index b) {
  const bool is_no_scale = group.scale == min_scale && group.is_zero();
  if (std::is_same_v<B, q5_0> && is_no_scale) return block_of_zeros<B>();
  B block;
  const bool is_negative = codes_of_block(group, block, r, b);
  const std::uint16_t d = is_no_scale ? std::uint16_t{0} : exact_half("scale", group.scale, r, b);
  write_half(static_cast<std::uint16_t>(d | (is_negative ? 0x8000 : 0)), block.d);
  pack_block(group.codes, block);
  return block;
}

/// Packs codes 0 to 15, a scale and a minimum into a block.
[[nodiscard]] inline q4_1 block_with_minimum(const block_codes& codes, float scale, float minimum,
                                             index r, index b) {
  q4_1 block;
  write_half(exact_half("scale", scale, r, b), block.d);
  write_half(exact_half("least value", minimum, r, b), block.m);
  pack_block(codes, block);
  return block;
}

}  // namespace detail

/// The scheme that to_quantized gives for blocks of type B.
template <class B>
using scheme_of = typename detail::scheme_of_blocks<B>::type;

/// Converts blocks to codes, scales and zero points with the same values.
/// @throws fewbit::error if there are no blocks, or if a block cannot be converted back to the same
///         bytes; the error names the first such block
template <GgmlBlock B>
  requires(!B::has_minimum)
[[nodiscard]] quantized_matrix<scheme_of<B>> to_quantized(const block_matrix<B>& blocks) {
  using S = scheme_of<B>;
  detail::expect_extents("to_quantized", "blocks", blocks);
  row_matrix<typename S::code> codes(blocks.rows(), blocks.cols());
  std::vector<float> scales;
  std::vector<typename S::code> zeros;
  for (index r = 0; r < blocks.rows(); ++r) {
    for (index b = 0; b < blocks.blocks_per_row(); ++b) {
      const auto group = detail::group_of_block(blocks.row(r)[b], r, b);
      scales.push_back(group.scale);
      if constexpr (S::is_affine) zeros.push_back(static_cast<typename S::code>(group.zero));
      for (index j = 0; j < ggml_block_size; ++j) {
        codes(r, b * ggml_block_size + j) =
            static_cast<typename S::code>(group.codes[static_cast<std::size_t>(j)]);
      }
    }
  }
  return quantized_matrix<S>(codes, scales, zeros);
}

/// Converts blocks to codes, scales and minima with the same values. A q4_1 block
/// has no integer zero point, so its minimum is kept.
/// @throws fewbit::error if there are no blocks
[[nodiscard]] inline codes_with_minima to_quantized(const block_matrix<q4_1>& blocks) {
  detail::expect_extents("to_quantized", "blocks", blocks);
  codes_with_minima q{row_matrix<std::uint8_t>(blocks.rows(), blocks.cols()),
                      row_matrix<float>(blocks.rows(), blocks.blocks_per_row()),
                      row_matrix<float>(blocks.rows(), blocks.blocks_per_row())};
  for (index r = 0; r < blocks.rows(); ++r) {
    for (index b = 0; b < blocks.blocks_per_row(); ++b) {
      const q4_1& block = blocks.row(r)[b];
      q.scales(r, b) = detail::read_half(block.d);
      q.minima(r, b) = detail::read_half(block.m);
      detail::block_codes codes;
      detail::unpack_block(block, codes);
      for (index j = 0; j < ggml_block_size; ++j) {
        q.codes(r, b * ggml_block_size + j) =
            static_cast<std::uint8_t>(codes[static_cast<std::size_t>(j)]);
      }
    }
  }
  return q;
}

/// Converts a quantized matrix to blocks with the same values.
/// @throws fewbit::error if the number of columns is not a multiple of 32, or if a block of type B
///         cannot hold a scale (not a half), a code or a zero point (out of range); the error names
///         the first such block
template <GgmlBlock B>
  requires(!B::has_minimum)
[[nodiscard]] block_matrix<B> to_blocks(const quantized_matrix<scheme_of<B>>& q) {
  detail::expect_extents("to_blocks", "q", q);
  detail::expect_whole_blocks("to_blocks", q.cols());
  std::vector<B> blocks;
  std::vector<typename scheme_of<B>::code> row(static_cast<std::size_t>(q.cols()));
  for (index r = 0; r < q.rows(); ++r) {
    q.unpack_row(r, row.data());
    for (index c = 0; c < q.cols(); c += ggml_block_size) {
      detail::code_group group{{}, q.scale(r, c), q.zero_point(r, c)};
      for (std::size_t j = 0; j < group.codes.size(); ++j) {
        group.codes[j] = static_cast<std::int8_t>(row[static_cast<std::size_t>(c) + j]);
      }
      blocks.push_back(detail::block_of_group<B>(group, r, c / ggml_block_size));
    }
  }
  return block_matrix<B>(q.rows(), q.cols(), std::move(blocks));
}

/// Converts codes, scales and minima to blocks with the same values.
/// @throws fewbit::error if the number of columns is not a multiple of 32, if the shapes do not
///         agree, if a scale or a minimum is not a finite half, or if a code is above 15
[[nodiscard]] inline block_matrix<q4_1> to_blocks(const codes_with_minima& q) {
  const index rows = q.codes.rows(), groups = q.codes.cols() / ggml_block_size;
  detail::expect_elements("to_blocks", "codes", q.codes);
  detail::expect_whole_blocks("to_blocks", q.codes.cols());
  for (const auto* m : {&q.scales, &q.minima}) {
    detail::expect_equal("to_blocks", m == &q.scales ? "shape of scales" : "shape of minima",
                         detail::shape_text(m->rows(), m->cols()),
                         detail::shape_text(rows, groups));
  }
  std::vector<q4_1> blocks;
  for (index r = 0; r < rows; ++r) {
    for (index b = 0; b < groups; ++b) {
      detail::block_codes codes;
      for (index j = 0; j < ggml_block_size; ++j) {
        const int code = q.codes(r, b * ggml_block_size + j);
        if (code > 15) {
          detail::fail("to_blocks", "a code of " + detail::block_name(r, b), code, "0 to 15");
        }
        codes[static_cast<std::size_t>(j)] = static_cast<std::int8_t>(code);
      }
      blocks.push_back(detail::block_with_minimum(codes, q.scales(r, b), q.minima(r, b), r, b));
    }
  }
  return block_matrix<q4_1>(rows, q.codes.cols(), std::move(blocks));
}

/// Converts blocks to a quantized matrix with a minimum for each group, with the same values. A
/// scale may be 0.
/// @throws fewbit::error if there are no blocks, or if a scale is negative or -0; the error names
///         the first such block
[[nodiscard]] inline quantized_matrix<scheme_of<q4_1>> to_quantized_matrix(
    const block_matrix<q4_1>& blocks) {
  detail::expect_extents("to_quantized_matrix", "blocks", blocks);
  row_matrix<std::uint8_t> codes(blocks.rows(), blocks.cols());
  std::vector<float> scales, minima;
  for (index r = 0; r < blocks.rows(); ++r) {
    for (index b = 0; b < blocks.blocks_per_row(); ++b) {
      const q4_1& block = blocks.row(r)[b];
      scales.push_back(detail::read_half(block.d));
      minima.push_back(detail::read_half(block.m));
      if (std::signbit(scales.back())) {
        detail::fail("to_quantized_matrix", detail::block_name(r, b),
                     "a block with a negative scale", "a block that to_blocks can restore");
      }
      detail::block_codes unpacked;
      detail::unpack_block(block, unpacked);
      for (index j = 0; j < ggml_block_size; ++j) {
        codes(r, b * ggml_block_size + j) =
            static_cast<std::uint8_t>(unpacked[static_cast<std::size_t>(j)]);
      }
    }
  }
  return quantized_matrix<scheme_of<q4_1>>(codes, scales, minima);
}

/// Converts a quantized matrix with minima to blocks with the same values.
/// @throws fewbit::error if the number of columns is not a multiple of 32, or if a scale or a
///         minimum is not a half; the error names the first such block
template <GgmlBlock B>
  requires(B::has_minimum)
[[nodiscard]] block_matrix<B> to_blocks(const quantized_matrix<scheme_of<B>>& q) {
  detail::expect_extents("to_blocks", "q", q);
  detail::expect_whole_blocks("to_blocks", q.cols());
  std::vector<B> blocks;
  std::vector<std::uint8_t> row(static_cast<std::size_t>(q.cols()));
  for (index r = 0; r < q.rows(); ++r) {
    q.unpack_row(r, row.data());
    for (index c = 0; c < q.cols(); c += ggml_block_size) {
      detail::block_codes codes;
      for (std::size_t j = 0; j < codes.size(); ++j) {
        codes[j] = static_cast<std::int8_t>(row[static_cast<std::size_t>(c) + j]);
      }
      blocks.push_back(detail::block_with_minimum(codes, q.scale(r, c), q.minimum(r, c), r,
                                                  c / ggml_block_size));
    }
  }
  return block_matrix<B>(q.rows(), q.cols(), std::move(blocks));
}

/// Copies the matrix and replaces each block with d = 0 by the block that quantization makes of
/// zeros. All values stay the same, and to_quantized accepts the result.
/// @throws fewbit::error if there are no blocks
template <GgmlBlock B>
  requires(!B::has_minimum)
[[nodiscard]] block_matrix<B> with_plain_zeros(const block_matrix<B>& matrix) {
  detail::expect_extents("with_plain_zeros", "matrix", matrix);
  std::vector<B> blocks(matrix.blocks().begin(), matrix.blocks().end());
  for (B& b : blocks) {
    if (detail::read_half(b.d) == 0.0F) b = detail::block_of_zeros<B>();
  }
  return block_matrix<B>(matrix.rows(), matrix.cols(), std::move(blocks));
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
