#pragma once
/// Converts 4-bit weights of ONNX Runtime's MatMulNBits to uint4_grouped<G> and back.
///
///     linear<uint4_grouped<32>> layer(from_matmul_nbits<32>(tensors));
///
/// The weights are n x k. Each row is divided into blocks of G codes, G / 2 bytes each. The first
/// code of a byte is in its low nibble. The last block of a row can have unused codes after column
/// k. Each block has a scale and a 4-bit zero point. Zero points are packed like codes, and each
/// row starts in a new byte. If there are no zero points, all are 8. Code q means
/// (q - zero) * scale.
///
/// A scale s of a quantized_matrix is positive:
///
/// | scale in ONNX | s      | codes                       | zero point |
/// |---------------|--------|-----------------------------|------------|
/// | positive      | scale  | q                           | zero       |
/// | negative      | -scale | 15 - q                      | 15 - zero  |
/// | 0             | 2^-126 | all equal to the zero point | zero       |
///
/// Both directions keep all values except the sign of a zero.
/// Source: the operator's documentation in ONNX Runtime, domain com.microsoft.

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

/// The constant inputs of a 4-bit MatMulNBits node. b = ceil(k / G) is the number of blocks in a
/// row.
struct matmul_nbits {
  index n = 0;                            ///< attribute N
  index k = 0;                            ///< attribute K
  std::vector<std::uint8_t> codes;        ///< input B: n x b x G / 2
  std::vector<float> scales;              ///< n x b
  std::vector<std::uint8_t> zero_points;  ///< n x ceil(b / 2), or empty
};

/// Whether to_matmul_nbits writes zero points.
enum class zero_point_input {
  written,  ///< writes any zero points, with positive scales
  implied,  ///< writes none: all must be 8, or 7, which becomes 8 with a negative scale
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

template <index G>
inline constexpr bool is_matmul_nbits_block = G >= 16 && G <= 256 && (G & (G - 1)) == 0;

/// Extents of the inputs of a node.
template <index G>
struct nbits_extents {
  static_assert(is_matmul_nbits_block<G>,
                "fewbit: blocks of MatMulNBits are 16, 32, 64, 128 or 256 codes");
  index n, k;
  [[nodiscard]] index blocks() const noexcept { return k / G + (k % G != 0 ? 1 : 0); }
  [[nodiscard]] index row_bytes() const noexcept { return blocks() * (G / 2); }
  [[nodiscard]] index zero_bytes() const noexcept { return (blocks() + 1) / 2; }
};

/// Divides instead of multiplying, because a product of malicious sizes could overflow.
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

/// A view of the codes of a block, with its scale and zero point.
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
  /// Negates the scale and changes codes and zero point so that the values stay the same.
  void negate_scale() noexcept {
    for (index j = 0; j < count; ++j) codes[j] = static_cast<std::uint8_t>(15 - codes[j]);
    zero = static_cast<std::uint8_t>(15 - zero);
    scale = -scale;
  }
};

/// Gives the block a positive scale.
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
           "another number, because codes differ from the zero point");
    }
    block.scale = min_scale;
  }
  if (block.scale < 0.0F) block.negate_scale();
}

/// Changes a block to the form that ONNX expects: scale 0 for a block of zeros, and zero point 8 if
/// zero points are implied.
inline void make_onnx_block(nbits_block& block, zero_point_input zero_points, index r, index b) {
  if (block.scale == min_scale && block.is_zero()) block.scale = 0.0F;
  if (zero_points == zero_point_input::written || block.zero == 8) return;
  if (block.zero != 7) {
    fail("to_matmul_nbits", "zero point of block" + element("", r, b), int{block.zero}, "7 or 8");
  }
  block.negate_scale();
}

}  // namespace detail

/// Converts the inputs of a node to a quantized matrix of the same values, n x k.
/// @tparam G  attribute block_size: 16, 32, 64, 128 or 256
/// @throws fewbit::error if the sizes do not match, if a scale is not finite, if the magnitude of a
///         scale is below 2^-126 and not 0, or if a block of scale 0 has a code that is not its
///         zero point; it names the first such block
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

/// Converts a quantized matrix to the constant inputs of a MatMulNBits node of the same values.
/// Unused codes after column k are set to the zero point, an unused zero point to 0.
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
      detail::make_onnx_block(block, zero_points, r, b);
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
