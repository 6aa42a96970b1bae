#pragma once
/// Converts between the 4-bit weights of ONNX Runtime's MatMulNBits and uint4_grouped<G>. Use it to
/// run weights of an ONNX model in a layer, or to write them.
///
///     linear<uint4_grouped<32>> layer(from_matmul_nbits<32>(tensors));
///
/// Weights are n x k. Each row is cut into blocks of G weights. A block is G / 2 bytes; its first
/// code is in the low nibble of the first byte. In the last block, codes after column k have no
/// meaning. Each block has a scale and a 4-bit zero point. Zero points are packed in the same way;
/// those of each row start at a new byte. Without zero points, every zero point is 8. The value of
/// code q is (q - zero) * scale.
///
/// Scales of a quantized_matrix are positive. In this table, zero is the zero point in ONNX:
///
/// | scale in ONNX | scale  | codes    | zero point |
/// |---------------|--------|----------|------------|
/// | positive      | scale  | q        | zero       |
/// | negative      | -scale | 15 - q   | 15 - zero  |
/// | 0             | 2^-126 | zero     | zero       |
///
/// Both directions keep every value, except for the sign of a zero.
/// Source: documentation of the operator in ONNX Runtime, domain com.microsoft.
/// Read next: quant/quantized_matrix.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/bits.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scale.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// The constant inputs of a 4-bit MatMulNBits node. A row has b = ceil(k / G) blocks.
struct matmul_nbits {
  index n = 0;                            ///< attribute N
  index k = 0;                            ///< attribute K
  std::vector<std::uint8_t> codes;        ///< input B: n x b x G / 2
  std::vector<float> scales;              ///< n x b
  std::vector<std::uint8_t> zero_points;  ///< n x ceil(b / 2), or empty
};

/// How to_matmul_nbits stores zero points.
enum class zero_point_input {
  written,  ///< as an input of the node, any value; scales are positive
  implied,  ///< not stored: every zero point is 8; zero point 7 becomes 8 with a negative scale
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

template <index G>
inline constexpr bool is_matmul_nbits_block = G >= 16 && G <= 256 && (G & (G - 1)) == 0;

/// Sizes of the inputs.
template <index G>
struct nbits_extents {
  static_assert(is_matmul_nbits_block<G>,
                "fewbit: blocks of MatMulNBits are 16, 32, 64, 128 or 256 codes");
  index n, k;
  [[nodiscard]] index blocks() const noexcept { return k / G + (k % G != 0 ? 1 : 0); }
  [[nodiscard]] index row_bytes() const noexcept { return blocks() * (G / 2); }
  [[nodiscard]] index zero_bytes() const noexcept { return (blocks() + 1) / 2; }
};

/// Divides instead of multiplying, because a product of untrusted sizes could overflow.
template <class T>
void expect_rows(const char* argument, const std::vector<T>& values, index n, index per_row) {
  const auto size = static_cast<index>(values.size());
  if (size % n == 0 && size / n == per_row) return;
  fail("from_matmul_nbits", std::string("length of ") + argument, size,
       text(n) + " times " + text(per_row));
}

template <index G>
void expect_valid_inputs(const matmul_nbits& w) {
  constexpr const char* function = "from_matmul_nbits";
  if (w.n <= 0 || w.k <= 0) {
    fail(function, "shape", shape_text(w.n, w.k), "at least one row and one column");
  }
  const nbits_extents<G> extents{w.n, w.k};
  expect_rows("scales", w.scales, w.n, extents.blocks());
  expect_rows("codes", w.codes, w.n, extents.row_bytes());
  if (!w.zero_points.empty()) {
    expect_rows("zero_points", w.zero_points, w.n, extents.zero_bytes());
  }
}

/// The codes, scale and zero point of one block.
struct nbits_block {
  std::uint8_t* codes;
  index count;
  float scale;
  std::uint8_t zero;

  [[nodiscard]] bool is_zero() const noexcept {
    for (index j = 0; j < count; ++j) {
      if (codes[j] != zero) return false;
    }
    return true;
  }
  /// Negates the scale and keeps the values.
  void turn() noexcept {
    for (index j = 0; j < count; ++j) codes[j] = static_cast<std::uint8_t>(15 - codes[j]);
    zero = static_cast<std::uint8_t>(15 - zero);
    scale = -scale;
  }
};

/// Checks the scale and makes it positive.
inline void expect_and_make_positive(nbits_block& block, index r, index b) {
  const auto name = [&] { return "scale of block" + element("", r, b); };
  if (!is_finite(block.scale)) {
    fail("from_matmul_nbits", name(), block.scale, "a finite number");
  }
  const float size = block.scale < 0.0F ? -block.scale : block.scale;
  if (size > 0.0F && size < min_scale) {
    fail("from_matmul_nbits", name(), block.scale, "0 or at least 2^-126 in magnitude");
  }
  if (block.scale == 0.0F) {
    if (!block.is_zero()) {
      fail("from_matmul_nbits", name(), block.scale,
           "a number other than 0, because codes differ from the zero point");
    }
    block.scale = min_scale;
  }
  if (block.scale < 0.0F) block.turn();
}

/// Restores a scale of 0. If zero points are implied, negates the scale where the zero point is 7.
inline void make_input(nbits_block& block, zero_point_input zero_points, index r, index b) {
  if (block.scale == min_scale && block.is_zero()) block.scale = 0.0F;
  if (zero_points == zero_point_input::written || block.zero == 8) return;
  if (block.zero != 7) {
    fail("to_matmul_nbits", "zero point of block" + element("", r, b), int{block.zero}, "7 or 8");
  }
  block.turn();
}

}  // namespace detail

/// Converts the inputs of a MatMulNBits node to a quantized matrix with the same values.
///
/// @tparam G  attribute block_size: 16, 32, 64, 128 or 256
/// @throws fewbit::error if the sizes do not agree, if a scale is not finite or has a magnitude in
///         (0, 2^-126), or if a block with scale 0 has a code other than its zero point; the error
///         names the first such block
template <index G>
[[nodiscard]] quantized_matrix<uint4_grouped<G>> from_matmul_nbits(const matmul_nbits& w) {
  detail::expect_valid_inputs<G>(w);
  const detail::nbits_extents<G> extents{w.n, w.k};
  row_matrix<std::uint8_t> codes(w.n, w.k);
  std::vector<float> scales;
  std::vector<std::uint8_t> zeros;
  for (index r = 0; r < w.n; ++r) {
    std::uint8_t* row = codes.data() + r * w.k;
    unpack_bits<4, false>(w.codes.data() + r * extents.row_bytes(), w.k, row);
    for (index b = 0; b < extents.blocks(); ++b) {
      const float scale = w.scales[static_cast<std::size_t>(r * extents.blocks() + b)];
      std::uint8_t zero = 8;
      if (!w.zero_points.empty()) {
        zero = extract_bits<4, false>(w.zero_points.data() + r * extents.zero_bytes(), b);
      }
      detail::nbits_block block{row + b * G, std::min(G, w.k - b * G), scale, zero};
      detail::expect_and_make_positive(block, r, b);
      scales.push_back(block.scale);
      zeros.push_back(block.zero);
    }
  }
  return quantized_matrix<uint4_grouped<G>>(codes, scales, zeros);
}

/// Converts a quantized matrix to inputs of a MatMulNBits node with the same values. Codes after
/// column k are zero points. Padding after the last zero point of a row is 0.
///
/// @throws fewbit::error if q is empty, or if zero points are implied and one is neither 7 nor 8
template <index G>
[[nodiscard]] matmul_nbits to_matmul_nbits(
    const quantized_matrix<uint4_grouped<G>>& q,
    zero_point_input zero_points = zero_point_input::written) {
  detail::expect_extents("to_matmul_nbits", "q", q);
  const detail::nbits_extents<G> extents{q.rows(), q.cols()};
  matmul_nbits w{q.rows(), q.cols(), {}, {}, {}};
  w.codes.resize(static_cast<std::size_t>(w.n * extents.row_bytes()));
  const bool is_written = zero_points == zero_point_input::written;
  if (is_written) w.zero_points.resize(static_cast<std::size_t>(w.n * extents.zero_bytes()));
  std::vector<std::uint8_t> row(static_cast<std::size_t>(extents.blocks() * G));
  std::vector<std::uint8_t> zeros(static_cast<std::size_t>(extents.blocks()));
  for (index r = 0; r < w.n; ++r) {
    q.unpack_row(r, row.data());
    for (index b = 0; b < extents.blocks(); ++b) {
      const auto zero = static_cast<std::uint8_t>(q.zero_point(r, b * G));
      zeros[static_cast<std::size_t>(b)] = zero;
      detail::nbits_block block{row.data() + b * G, G, q.scale(r, b * G), zero};
      std::fill(block.codes + std::min(G, w.k - b * G), block.codes + G, zero);
      detail::make_input(block, zero_points, r, b);
      w.scales.push_back(block.scale);
    }
    pack_bits<4>(row.data(), extents.blocks() * G, w.codes.data() + r * extents.row_bytes());
    if (!is_written) continue;
    pack_bits<4>(zeros.data(), extents.blocks(), w.zero_points.data() + r * extents.zero_bytes());
  }
  return w;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
