#pragma once
/// Blocks of ggml whose codes are looked up in a table, ternary blocks, and q5_1.
///
/// | block  | bytes | weights | group | value               | laid out as                            |
/// |--------|-------|---------|-------|---------------------|----------------------------------------|
/// | iq4_nl | 18    | 32      | 32    | T[q] d              | d, 16 bytes: code j low, j + 16 high   |
/// | iq4_xs | 136   | 256     | 32    | T[q] d (s - 32)     | d, high bits of s, low bits, codes     |
/// | mxfp4  | 17    | 32      | 32    | E[q] 2^(e - 128)    | e, 16 bytes as iq4_nl                  |
/// | tq1_0  | 54    | 256     | 256   | (q - 1) d           | 48 bytes of 5 trits, 4 of 4, d         |
/// | tq2_0  | 66    | 256     | 256   | (q - 1) d           | 64 bytes of 4 codes, d                 |
/// | q5_1   | 24    | 32      | 32    | q d + m             | d, m, fifth bits, codes as iq4_nl      |
///
/// T is a table of 16 integers, E holds twice the values of E2M1 (OCP Microscaling v1.0). A tq2_0
/// code may be 3, which means +2. e = 255 is NaN, as in MX; ggml has other numbers there. Large e
/// give infinity where the product exceeds the floats.
/// Source: https://github.com/ggml-org/ggml, ggml-common.h.
/// Read next: ggml_grouped_blocks.hpp (decoding), ggml_grouped_convert.hpp (quantized_matrix).

#include "fewbit/begin.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "fewbit/config.hpp"
#include "fewbit/formats/ggml_blocks.hpp"
#include "fewbit/formats/ggml_grouped_blocks.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// 4 bits: T[code] * d.
struct iq4_nl {
  static constexpr const char* name = "iq4_nl";
  static constexpr int weights = 32;
  static constexpr int group = 32;
  static constexpr bool has_minimum = false;
  std::uint8_t d[2];
  std::uint8_t qs[16];
};

/// 4 bits: T[code] * d * (scale - 32).
struct iq4_xs {
  static constexpr const char* name = "iq4_xs";
  static constexpr int weights = 256;
  static constexpr int group = 32;
  static constexpr bool has_minimum = false;
  std::uint8_t d[2];
  std::uint8_t scales_h[2];
  std::uint8_t scales_l[4];
  std::uint8_t qs[128];
};

/// 4 bits: E[code] * 2^(e - 128).
struct mxfp4 {
  static constexpr const char* name = "mxfp4";
  static constexpr int weights = 32;
  static constexpr int group = 32;
  static constexpr bool has_minimum = false;
  std::uint8_t e;
  std::uint8_t qs[16];
};

/// log2(3) bits: trits in bytes b; trit n is floor(3 * (b 3^n mod 256) / 256).
struct tq1_0 {
  static constexpr const char* name = "tq1_0";
  static constexpr int weights = 256;
  static constexpr int group = 256;
  static constexpr bool has_minimum = false;
  std::uint8_t qs[48];
  std::uint8_t qh[4];
  std::uint8_t d[2];
};

/// 2 bits: (code - 1) * d.
struct tq2_0 {
  static constexpr const char* name = "tq2_0";
  static constexpr int weights = 256;
  static constexpr int group = 256;
  static constexpr bool has_minimum = false;
  std::uint8_t qs[64];
  std::uint8_t d[2];
};

/// 5 bits: code * d + m.
struct q5_1 {
  static constexpr const char* name = "q5_1";
  static constexpr int weights = 32;
  static constexpr int group = 32;
  static constexpr bool has_minimum = true;
  std::uint8_t d[2];
  std::uint8_t m[2];
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};

static_assert(sizeof(iq4_nl) == 18 && sizeof(iq4_xs) == 136 && sizeof(mxfp4) == 17 &&
              sizeof(tq1_0) == 54 && sizeof(tq2_0) == 66 && sizeof(q5_1) == 24);

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// T of iq4_nl and iq4_xs.
inline constexpr std::array<std::int8_t, 16> iq4_table = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                          1,    13,   25,  38,  53,  69,  89,  113};
/// Twice the values of E2M1.
inline constexpr std::array<std::int8_t, 16> e2m1_table = {0, 1,  2,  3,  4,  6,  8,  12,
                                                           0, -1, -2, -3, -4, -6, -8, -12};

/// Looks 16 bytes of nibbles up: low nibbles give values 0 to 15, high ones 16 to 31.
inline void look_nibbles_up(const std::uint8_t* qs, const std::array<std::int8_t, 16>& table,
                            std::int8_t* codes) noexcept {
  for (std::size_t j = 0; j < 16; ++j) {
    codes[j] = table[qs[j] & 15];
    codes[j + 16] = table[qs[j] >> 4];
  }
}

/// 2^(e - 128); NaN for 255.
[[nodiscard]] inline float half_of_e8m0(std::uint8_t e) noexcept {
  const std::uint32_t bits = e == 255 ? 0x7FC00000U : e < 2 ? 0x200000U << e : (e - 1U) << 23;
  return std::bit_cast<float>(bits);
}

inline void unpack_groups(const iq4_nl& block, groups_of<iq4_nl>& groups) noexcept {
  groups.scales[0] = read_half(block.d);
  look_nibbles_up(block.qs, iq4_table, groups.codes.data());
}

inline void unpack_groups(const iq4_xs& block, groups_of<iq4_xs>& groups) noexcept {
  const float d = read_half(block.d);
  const int high = block.scales_h[0] | block.scales_h[1] << 8;
  for (std::size_t g = 0; g < 8; ++g) {
    const int low = block.scales_l[g / 2] >> 4 * (g % 2) & 15;
    groups.scales[g] = d * static_cast<float>((low | (high >> 2 * g & 3) << 4) - 32);
    look_nibbles_up(block.qs + 16 * g, iq4_table, groups.codes.data() + 32 * g);
  }
}

inline void unpack_groups(const mxfp4& block, groups_of<mxfp4>& groups) noexcept {
  groups.scales[0] = half_of_e8m0(block.e);
  look_nibbles_up(block.qs, e2m1_table, groups.codes.data());
}

/// Writes trit n of each of `count` bytes for n < trits: all first trits, then all second ones.
inline void unpack_trits(const std::uint8_t* bytes, std::size_t count, int trits,
                         std::int8_t* codes) noexcept {
  unsigned power = 1;
  for (int n = 0; n < trits; ++n, power *= 3) {
    for (std::size_t m = 0; m < count; ++m) {
      *codes++ = static_cast<std::int8_t>(static_cast<int>((bytes[m] * power & 255) * 3 >> 8) - 1);
    }
  }
}

inline void unpack_groups(const tq1_0& block, groups_of<tq1_0>& groups) noexcept {
  groups.scales[0] = read_half(block.d);
  std::int8_t* const codes = groups.codes.data();
  unpack_trits(block.qs, 32, 5, codes);
  unpack_trits(block.qs + 32, 16, 5, codes + 160);
  unpack_trits(block.qh, 4, 4, codes + 240);
}

inline void unpack_groups(const tq2_0& block, groups_of<tq2_0>& groups) noexcept {
  groups.scales[0] = read_half(block.d);
  for (std::size_t i = 0; i < 256; ++i) {
    const int code = block.qs[i / 128 * 32 + i % 32] >> 2 * (i / 32 % 4) & 3;
    groups.codes[i] = static_cast<std::int8_t>(code - 1);
  }
}

inline void unpack_groups(const q5_1& block, groups_of<q5_1>& groups) noexcept {
  groups.scales[0] = read_half(block.d);
  groups.minima[0] = read_half(block.m);
  for (std::size_t j = 0; j < 32; ++j) {
    const int low = block.qs[j % 16] >> 4 * (j / 16) & 15;
    const int fifth = block.qh[j / 8] >> j % 8 & 1;
    groups.codes[j] = static_cast<std::int8_t>(low | fifth << 4);
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
