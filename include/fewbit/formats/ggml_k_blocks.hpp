#pragma once
/// The K-quants of ggml: blocks of 256 weights in groups of 16 or 32.
///
/// | block | bytes | group | codes q | value                        | laid out as                     |
/// |-------|-------|-------|---------|------------------------------|---------------------------------|
/// | q2_k  | 84    | 16    | 0..3    | q d s - dmin m               | 16 bytes s + 16 m, qs, d, dmin  |
/// | q3_k  | 110   | 16    | -4..3   | q d (s - 32)                 | third bits, qs, 6-bit s, d      |
/// | q4_k  | 144   | 32    | 0..15   | q d s - dmin m               | d, dmin, 6-bit s and m, qs      |
/// | q5_k  | 176   | 32    | 0..31   | q d s - dmin m               | d, dmin, 6-bit s and m, qh, qs  |
/// | q6_k  | 210   | 16    | -32..31 | q d s                        | low bits, high bits, int8 s, d  |
///
/// d and dmin are IEEE halves, low byte first; s and m belong to a group. Files that are named
/// Q4_K_M and so on mix these blocks. Source: https://github.com/ggml-org/ggml, ggml-common.h.
/// Read next: ggml_grouped_blocks.hpp (decoding), ggml_grouped_convert.hpp (quantized_matrix).

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>

#include "fewbit/config.hpp"
#include "fewbit/formats/ggml_blocks.hpp"
#include "fewbit/formats/ggml_grouped_blocks.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// 2 bits: code * d * scale - dmin * minimum.
struct q2_k {
  static constexpr const char* name = "q2_k";
  static constexpr int weights = 256;
  static constexpr int group = 16;
  static constexpr bool has_minimum = true;
  std::uint8_t scales[16];  ///< low four bits s, high four bits m
  std::uint8_t qs[64];
  std::uint8_t d[2];
  std::uint8_t dmin[2];
};

/// 3 bits: code * d * (scale - 32).
struct q3_k {
  static constexpr const char* name = "q3_k";
  static constexpr int weights = 256;
  static constexpr int group = 16;
  static constexpr bool has_minimum = false;
  std::uint8_t hmask[32];  ///< a set bit: the code is not 4 less
  std::uint8_t qs[64];
  std::uint8_t scales[12];
  std::uint8_t d[2];
};

/// 4 bits: code * d * scale - dmin * minimum.
struct q4_k {
  static constexpr const char* name = "q4_k";
  static constexpr int weights = 256;
  static constexpr int group = 32;
  static constexpr bool has_minimum = true;
  std::uint8_t d[2];
  std::uint8_t dmin[2];
  std::uint8_t scales[12];
  std::uint8_t qs[128];
};

/// 5 bits: code * d * scale - dmin * minimum. Bit j of qh[l] is bit 4 of code l of group j.
struct q5_k {
  static constexpr const char* name = "q5_k";
  static constexpr int weights = 256;
  static constexpr int group = 32;
  static constexpr bool has_minimum = true;
  std::uint8_t d[2];
  std::uint8_t dmin[2];
  std::uint8_t scales[12];
  std::uint8_t qh[32];
  std::uint8_t qs[128];
};

/// 6 bits: (code - 32) * d * scale.
struct q6_k {
  static constexpr const char* name = "q6_k";
  static constexpr int weights = 256;
  static constexpr int group = 16;
  static constexpr bool has_minimum = false;
  std::uint8_t ql[128];
  std::uint8_t qh[64];
  std::int8_t scales[16];
  std::uint8_t d[2];
};

static_assert(sizeof(q2_k) == 84 && sizeof(q3_k) == 110 && sizeof(q4_k) == 144 &&
              sizeof(q5_k) == 176 && sizeof(q6_k) == 210);

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Sets scale and minimum of the eight groups of q4_k and q5_k. Groups 0 to 3 have six bits of byte
/// j for s and of byte j + 4 for m. Groups 4 to 7 have the nibbles of byte j + 4, and the two high
/// bits of those bytes.
template <class B>
void unpack_six_bit_scales(const B& block, groups_of<B>& groups) noexcept {
  const float d = read_half(block.d), dmin = read_half(block.dmin);
  const auto& s = block.scales;
  for (std::size_t j = 0; j < 8; ++j) {
    const int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
    const int minimum = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 6) << 4;
    groups.scales[j] = d * static_cast<float>(scale);
    groups.minima[j] = -(dmin * static_cast<float>(minimum));
  }
}

/// Nibbles of q4_k and q5_k: each 32 bytes are two groups, the low nibbles first.
inline void unpack_group_nibbles(const std::uint8_t (&qs)[128],
                                 std::array<std::int8_t, 256>& codes) noexcept {
  for (std::size_t j = 0; j < 8; ++j) {
    for (std::size_t l = 0; l < 32; ++l) {
      codes[32 * j + l] = static_cast<std::int8_t>(qs[32 * (j / 2) + l] >> 4 * (j % 2) & 15);
    }
  }
}

/// Two bits of q2_k and q3_k: code l of group 8 n + 2 t + h.
[[nodiscard]] inline int two_bits(const std::uint8_t (&qs)[64], std::size_t group,
                                  std::size_t l) noexcept {
  const std::size_t n = group / 8, t = group / 2 % 4, h = group % 2;
  return qs[32 * n + 16 * h + l] >> 2 * t & 3;
}

inline void unpack_groups(const q2_k& block, groups_of<q2_k>& groups) noexcept {
  const float d = read_half(block.d), dmin = read_half(block.dmin);
  for (std::size_t g = 0; g < 16; ++g) {
    groups.scales[g] = d * static_cast<float>(block.scales[g] & 15);
    groups.minima[g] = -(dmin * static_cast<float>(block.scales[g] >> 4));
    for (std::size_t l = 0; l < 16; ++l) {
      groups.codes[16 * g + l] = static_cast<std::int8_t>(two_bits(block.qs, g, l));
    }
  }
}

inline void unpack_groups(const q3_k& block, groups_of<q3_k>& groups) noexcept {
  const float d = read_half(block.d);
  const auto& s = block.scales;
  for (std::size_t g = 0; g < 16; ++g) {
    const int low = g < 8 ? s[g] & 15 : s[g - 8] >> 4;
    const int scale = (low | (s[8 + g % 4] >> 2 * (g / 4) & 3) << 4) - 32;
    groups.scales[g] = d * static_cast<float>(scale);
    for (std::size_t l = 0; l < 16; ++l) {
      const int is_kept = block.hmask[16 * (g % 2) + l] >> g / 2 & 1;
      const int code = two_bits(block.qs, g, l) - 4 + 4 * is_kept;
      groups.codes[16 * g + l] = static_cast<std::int8_t>(code);
    }
  }
}

inline void unpack_groups(const q4_k& block, groups_of<q4_k>& groups) noexcept {
  unpack_six_bit_scales(block, groups);
  unpack_group_nibbles(block.qs, groups.codes);
}

inline void unpack_groups(const q5_k& block, groups_of<q5_k>& groups) noexcept {
  unpack_six_bit_scales(block, groups);
  unpack_group_nibbles(block.qs, groups.codes);
  for (std::size_t j = 0; j < 8; ++j) {
    for (std::size_t l = 0; l < 32; ++l) {
      const int fifth = block.qh[l] >> j & 1;
      groups.codes[32 * j + l] = static_cast<std::int8_t>(groups.codes[32 * j + l] | fifth << 4);
    }
  }
}

inline void unpack_groups(const q6_k& block, groups_of<q6_k>& groups) noexcept {
  const float d = read_half(block.d);
  for (std::size_t g = 0; g < 16; ++g) {
    groups.scales[g] = d * static_cast<float>(block.scales[g]);
  }
  for (std::size_t n = 0; n < 2; ++n) {
    for (std::size_t t = 0; t < 4; ++t) {
      for (std::size_t l = 0; l < 32; ++l) {
        const int low = block.ql[64 * n + 32 * (t % 2) + l] >> 4 * (t / 2) & 15;
        const int high = block.qh[32 * n + l] >> 2 * t & 3;
        groups.codes[128 * n + 32 * t + l] = static_cast<std::int8_t>((low | high << 4) - 32);
      }
    }
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
