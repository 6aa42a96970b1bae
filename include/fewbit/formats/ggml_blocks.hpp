#pragma once
/// Blocks of 32 weights in the layouts of ggml (the library of llama.cpp), and matrices of blocks.
///
/// | block | bytes | codes q | value of a code | laid out as                                       |
/// |-------|-------|---------|-----------------|---------------------------------------------------|
/// | q8_0  | 34    | int8    | q d             | d, 32 codes                                       |
/// | q5_0  | 22    | 0..31   | (q - 16) d      | d, fifth bits (bit j of code j), low bits as q4_0 |
/// | q4_0  | 18    | 0..15   | (q - 8) d       | d, 16 bytes: code j low, code j + 16 high         |
/// | q4_1  | 20    | 0..15   | q d + m         | d, m, codes as q4_0                               |
///
/// d and m are IEEE halves, low byte first. d may be negative in q5_0 and q4_0. A row of a matrix
/// consists of whole blocks. Use these types to read and write weights that ggml programs use.
/// Read next: ggml_quantize.hpp (floats to blocks), ggml_convert.hpp (blocks and quantized_matrix),
/// ggml_k_blocks.hpp and ggml_table_blocks.hpp (blocks that are read alone).

#include "fewbit/begin.hpp"

#include <array>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/half.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// Number of weights in a block.
inline constexpr index ggml_block_size = 32;

/// 8 bits: code * d.
struct q8_0 {
  static constexpr const char* name = "q8_0";
  static constexpr int zero = 0;  ///< the code that means 0
  static constexpr bool has_minimum = false;
  std::uint8_t d[2];
  std::int8_t qs[32];
  friend bool operator==(const q8_0&, const q8_0&) = default;
};

/// 5 bits: (code - 16) * d. qh holds bit 4 of each code, qs the lower four bits.
struct q5_0 {
  static constexpr const char* name = "q5_0";
  static constexpr int zero = 16;
  static constexpr bool has_minimum = false;
  std::uint8_t d[2];
  std::uint8_t qh[4];
  std::uint8_t qs[16];
  friend bool operator==(const q5_0&, const q5_0&) = default;
};

/// 4 bits: (code - 8) * d.
struct q4_0 {
  static constexpr const char* name = "q4_0";
  static constexpr int zero = 8;
  static constexpr bool has_minimum = false;
  std::uint8_t d[2];
  std::uint8_t qs[16];
  friend bool operator==(const q4_0&, const q4_0&) = default;
};

/// 4 bits: code * d + m.
struct q4_1 {
  static constexpr const char* name = "q4_1";
  static constexpr int zero = 0;
  static constexpr bool has_minimum = true;
  std::uint8_t d[2];
  std::uint8_t m[2];
  std::uint8_t qs[16];
  friend bool operator==(const q4_1&, const q4_1&) = default;
};

template <class B>
concept GgmlBlock = std::same_as<B, q8_0> || std::same_as<B, q5_0> || std::same_as<B, q4_0> ||
                    std::same_as<B, q4_1>;

static_assert(sizeof(q8_0) == 34 && sizeof(q5_0) == 22 && sizeof(q4_0) == 18 && sizeof(q4_1) == 20);

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

using block_codes = std::array<std::int8_t, ggml_block_size>;

[[nodiscard]] inline float read_half(const std::uint8_t (&bytes)[2]) noexcept {
  return from_half(static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8));
}
inline void write_half(std::uint16_t half, std::uint8_t (&bytes)[2]) noexcept {
  bytes[0] = static_cast<std::uint8_t>(half & 0xFF);
  bytes[1] = static_cast<std::uint8_t>(half >> 8);
}

inline void unpack_nibbles(const std::uint8_t (&qs)[16], block_codes& codes) noexcept {
  for (std::size_t j = 0; j < 16; ++j) {
    codes[j] = static_cast<std::int8_t>(qs[j] & 15);
    codes[j + 16] = static_cast<std::int8_t>(qs[j] >> 4);
  }
}
inline void pack_nibbles(const block_codes& codes, std::uint8_t (&qs)[16]) noexcept {
  for (std::size_t j = 0; j < 16; ++j) {
    qs[j] = static_cast<std::uint8_t>((codes[j] & 15) | (codes[j + 16] & 15) << 4);
  }
}

inline void unpack_block(const q8_0& b, block_codes& codes) noexcept {
  std::memcpy(codes.data(), b.qs, codes.size());
}
inline void unpack_block(const q4_0& b, block_codes& codes) noexcept {
  unpack_nibbles(b.qs, codes);
}
inline void unpack_block(const q4_1& b, block_codes& codes) noexcept {
  unpack_nibbles(b.qs, codes);
}
inline void unpack_block(const q5_0& b, block_codes& codes) noexcept {
  unpack_nibbles(b.qs, codes);
  for (std::size_t j = 0; j < codes.size(); ++j) {
    const int fifth = b.qh[j / 8] >> (j % 8) & 1;
    codes[j] = static_cast<std::int8_t>(codes[j] | fifth << 4);
  }
}

inline void pack_block(const block_codes& codes, q8_0& b) noexcept {
  std::memcpy(b.qs, codes.data(), codes.size());
}
inline void pack_block(const block_codes& codes, q4_0& b) noexcept { pack_nibbles(codes, b.qs); }
inline void pack_block(const block_codes& codes, q4_1& b) noexcept { pack_nibbles(codes, b.qs); }
inline void pack_block(const block_codes& codes, q5_0& b) noexcept {
  pack_nibbles(codes, b.qs);
  for (std::size_t byte = 0; byte < 4; ++byte) {
    int bits = 0;
    for (std::size_t j = 0; j < 8; ++j) bits |= (codes[8 * byte + j] >> 4 & 1) << j;
    b.qh[byte] = static_cast<std::uint8_t>(bits);
  }
}

inline void expect_whole_blocks(const char* function, index cols) {
  if (cols % ggml_block_size != 0) fail(function, "number of columns", cols, "a multiple of 32");
}

/// "block (2, 3)": the row and the index of the block in that row.
inline std::string block_name(index r, index b) { return element("block ", r, b); }

}  // namespace detail

/// Decodes `count` blocks to 32 * count floats by the table above. Each value is one float
/// multiplication; q4_1 adds one float addition.
template <GgmlBlock B>
void dequantize_row(const B* blocks, index count, float* out) noexcept {
  using floats = arch::vec<float, arch::native_lanes<float>>;
  using bytes = arch::rebind<floats, std::int8_t>;
  using ints = arch::rebind<floats, std::int32_t>;
  for (index b = 0; b < count; ++b, out += ggml_block_size) {
    detail::block_codes codes;
    detail::unpack_block(blocks[b], codes);
    const floats d(detail::read_half(blocks[b].d));
    for (int i = 0; i < int{ggml_block_size}; i += floats::lanes) {
      const ints steps = arch::convert<std::int32_t>(bytes::load(codes.data() + i)) - ints(B::zero);
      floats value = arch::convert<float>(steps) * d;  // exact
      if constexpr (B::has_minimum) value = value + floats(detail::read_half(blocks[b].m));
      value.store(out + i);
    }
  }
}

/// A matrix of rows x cols weights, stored as blocks.
template <GgmlBlock B>
class block_matrix {
 public:
  using block = B;

  /// An empty matrix, 0 x 0.
  block_matrix() = default;

  /// Takes blocks in row-major order.
  ///
  /// @param cols    a multiple of 32
  /// @param blocks  rows * cols / 32 blocks
  /// @throws fewbit::error if the sizes do not agree, or if a d or m is infinite or NaN
  block_matrix(index rows, index cols, std::vector<B> blocks) : rows_(rows), cols_(cols) {
    expect_shape(blocks.size() * sizeof(B));
    blocks_ = std::move(blocks);
    expect_finite();
  }

  /// Copies blocks from the bytes of a file. The blocks follow one another without gaps.
  /// @throws fewbit::error if the sizes do not agree, or if a d or m is infinite or NaN
  block_matrix(index rows, index cols, std::span<const std::uint8_t> bytes)
      : rows_(rows), cols_(cols) {
    expect_shape(bytes.size());
    blocks_.resize(bytes.size() / sizeof(B));
    std::memcpy(blocks_.data(), bytes.data(), bytes.size());
    expect_finite();
  }

  [[nodiscard]] index rows() const noexcept { return rows_; }
  [[nodiscard]] index cols() const noexcept { return cols_; }
  [[nodiscard]] index blocks_per_row() const noexcept { return cols_ / ggml_block_size; }

  [[nodiscard]] const B* row(index r) const noexcept {
    return blocks_.data() + r * blocks_per_row();
  }
  [[nodiscard]] std::span<const B> blocks() const noexcept { return blocks_; }
  /// All blocks as bytes, in the layout of a file.
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept {
    return {reinterpret_cast<const std::uint8_t*>(blocks_.data()), blocks_.size() * sizeof(B)};
  }

  friend bool operator==(const block_matrix&, const block_matrix&) = default;

 private:
  /// Divides instead of multiplying, because a product of untrusted sizes could overflow.
  void expect_shape(std::size_t bytes) const {
    if (rows_ <= 0 || cols_ <= 0 || cols_ % ggml_block_size != 0) {
      detail::fail("block_matrix", "shape", detail::shape_text(rows_, cols_),
                   "at least one row of whole blocks of 32");
    }
    const auto rows = static_cast<std::size_t>(rows_);
    const auto per_row = static_cast<std::size_t>(blocks_per_row());
    const bool fits =
        bytes % rows == 0 && bytes / rows % sizeof(B) == 0 && bytes / rows / sizeof(B) == per_row;
    if (!fits) {
      detail::fail("block_matrix", "number of bytes", bytes,
                   detail::text(rows_) + " rows of " + detail::text(per_row) + " blocks of " +
                       detail::text(sizeof(B)));
    }
  }

  void expect_finite() const {
    for (index i = 0; i < static_cast<index>(blocks_.size()); ++i) {
      const B& b = blocks_[static_cast<std::size_t>(i)];
      const auto name = [&] {
        return detail::block_name(i / blocks_per_row(), i % blocks_per_row());
      };
      const float d = detail::read_half(b.d);
      if (!detail::is_finite(d)) {
        detail::fail("block_matrix", "d of " + name(), d, "a finite number");
      }
      if constexpr (B::has_minimum) {
        const float m = detail::read_half(b.m);
        if (!detail::is_finite(m)) {
          detail::fail("block_matrix", "m of " + name(), m, "a finite number");
        }
      }
    }
  }

  index rows_ = 0;
  index cols_ = 0;
  std::vector<B> blocks_;
};

/// Decodes all blocks to a matrix of floats.
template <GgmlBlock B, Executor E = inline_executor>
[[nodiscard]] row_matrix<float> dequantize(const block_matrix<B>& blocks, const E& executor = {}) {
  row_matrix<float> w(blocks.rows(), blocks.cols());
  executor.for_each(w.rows(), [&](index r) {
    dequantize_row(blocks.row(r), blocks.blocks_per_row(), w.data() + r * w.cols());
  });
  return w;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
