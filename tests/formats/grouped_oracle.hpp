#pragma once
/// Slow reference of the grouped blocks of ggml: value i of a block from its bytes, written from
/// the documentation of the formats. Blocks are filled by a rule of the acceptance values.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "fewbit/formats/ggml_k_blocks.hpp"
#include "fewbit/formats/ggml_table_blocks.hpp"

namespace fewbit::tests {

using grouped_bytes = std::vector<std::uint8_t>;

inline double value_of_half(const std::uint8_t* b) {
  const int half = b[0] + 256 * b[1];
  const int exponent = half / 1024 % 32, fraction = half % 1024;
  const double size =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return half >= 0x8000 ? -size : size;
}

/// Bits `first` to `first + count - 1` of the bytes, low bits first.
inline int bits_at(const std::uint8_t* b, int first, int count) {
  int value = 0;
  for (int i = 0; i < count; ++i) {
    const int bit = first + i;
    value += (b[bit / 8] >> bit % 8 & 1) << i;
  }
  return value;
}

inline double oracle_value(q2_k, const std::uint8_t* b, int i) {
  const int half = i / 128, shift = i % 128 / 32, byte = i % 32;
  const int q = bits_at(b + 16 + 32 * half + byte, 2 * shift, 2), s = b[i / 16];
  return value_of_half(b + 80) * (s % 16) * q - value_of_half(b + 82) * (s / 16);
}

inline double oracle_value(q3_k, const std::uint8_t* b, int i) {
  const int half = i / 128, shift = i % 128 / 32, byte = i % 32, g = i / 16;
  const int q = bits_at(b + 32 + 32 * half + byte, 2 * shift, 2) -
                (bits_at(b + byte, 4 * half + shift, 1) == 1 ? 0 : 4);
  const std::uint8_t* s = b + 96;
  const int scale =
      bits_at(s + g % 8, g / 8 * 4, 4) + 16 * bits_at(s + 8 + g % 4, g / 4 * 2, 2) - 32;
  return value_of_half(b + 108) * scale * q;
}

/// d s q - dmin m of q4_k and q5_k.
inline double with_six_bits(const std::uint8_t* b, int j, int q) {
  const std::uint8_t* s = b + 4;
  int scale = s[j % 4] % 64, minimum = s[j % 4 + 4] % 64;
  if (j >= 4) {
    scale = s[j + 4] % 16 + s[j - 4] / 64 * 16;
    minimum = s[j + 4] / 16 + s[j] / 64 * 16;
  }
  return value_of_half(b) * scale * q - value_of_half(b + 2) * minimum;
}

inline double oracle_value(q4_k, const std::uint8_t* b, int i) {
  return with_six_bits(b, i / 32, bits_at(b + 16 + i / 64 * 32 + i % 32, i % 64 / 32 * 4, 4));
}

inline double oracle_value(q5_k, const std::uint8_t* b, int i) {
  const int low = bits_at(b + 48 + i / 64 * 32 + i % 32, i % 64 / 32 * 4, 4);
  return with_six_bits(b, i / 32, low + 16 * bits_at(b + 16 + i % 32, i / 32, 1));
}

inline double oracle_value(q6_k, const std::uint8_t* b, int i) {
  const int half = i / 128, quarter = i % 128 / 32, byte = i % 32;
  const int low = bits_at(b + 64 * half + quarter % 2 * 32 + byte, quarter / 2 * 4, 4);
  const int high = bits_at(b + 128 + 32 * half + byte, 2 * quarter, 2);
  const int scale = static_cast<std::int8_t>(b[192 + i / 16]);
  return value_of_half(b + 208) * scale * (low + 16 * high - 32);
}

inline int iq4_level(int q) {
  constexpr int levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                              1,    13,   25,  38,  53,  69,  89,  113};
  return levels[q];
}

inline int half_nibble(const std::uint8_t* qs, int i) {
  return bits_at(qs + i % 16, i / 16 * 4, 4);
}

inline double oracle_value(iq4_nl, const std::uint8_t* b, int i) {
  return value_of_half(b) * iq4_level(half_nibble(b + 2, i));
}

inline double oracle_value(iq4_xs, const std::uint8_t* b, int i) {
  const int g = i / 32;
  const int scale = bits_at(b + 4, 4 * g, 4) + 16 * bits_at(b + 2, 2 * g, 2) - 32;
  return value_of_half(b) * scale * iq4_level(half_nibble(b + 8 + 16 * g, i % 32));
}

inline double oracle_value(mxfp4, const std::uint8_t* b, int i) {
  constexpr double sizes[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  const int q = half_nibble(b + 1, i);
  return (q < 8 ? 1 : -1) * sizes[q % 8] * std::ldexp(1.0, b[0] - 127);
}

inline double oracle_value(tq1_0, const std::uint8_t* b, int i) {
  int byte = i % 32, trit = i / 32;
  if (i >= 160) byte = 32 + (i - 160) % 16, trit = (i - 160) / 16;
  if (i >= 240) byte = 48 + (i - 240) % 4, trit = (i - 240) / 4;
  int rest = b[byte];
  for (int n = 0; n < trit; ++n) rest = rest * 3 % 256;
  return value_of_half(b + 52) * (rest * 3 / 256 - 1);
}

inline double oracle_value(tq2_0, const std::uint8_t* b, int i) {
  return value_of_half(b + 64) * (bits_at(b + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2) - 1);
}

inline double oracle_value(q5_1, const std::uint8_t* b, int i) {
  const int q = half_nibble(b + 8, i) + 16 * bits_at(b + 4, i, 1);
  return value_of_half(b) * q + value_of_half(b + 2);
}

/// Sets the halves of a block, or the exponent of mxfp4.
inline void set_halves(q2_k& b, const std::uint8_t* d, const std::uint8_t* m) {
  std::memcpy(b.d, d, 2), std::memcpy(b.dmin, m, 2);
}
inline void set_halves(q4_k& b, const std::uint8_t* d, const std::uint8_t* m) {
  std::memcpy(b.d, d, 2), std::memcpy(b.dmin, m, 2);
}
inline void set_halves(q5_k& b, const std::uint8_t* d, const std::uint8_t* m) {
  std::memcpy(b.d, d, 2), std::memcpy(b.dmin, m, 2);
}
inline void set_halves(q5_1& b, const std::uint8_t* d, const std::uint8_t* m) {
  std::memcpy(b.d, d, 2), std::memcpy(b.m, m, 2);
}
inline void set_halves(mxfp4& b, const std::uint8_t* d, const std::uint8_t* /*m*/) {
  b.e = static_cast<std::uint8_t>(118 + d[0] % 20);
}
template <class B>
void set_halves(B& b, const std::uint8_t* d, const std::uint8_t* /*m*/) {
  std::memcpy(b.d, d, 2);
}

template <class B>
B block_of_bytes(const grouped_bytes& raw) {
  B block;
  std::memcpy(&block, raw.data(), sizeof(B));
  return block;
}

/// Random blocks whose halves have a magnitude below 2.
template <class B>
std::vector<B> random_grouped_blocks(std::size_t count, unsigned seed, bool is_positive = false) {
  std::mt19937 random(seed);
  const auto byte = [&] { return static_cast<std::uint8_t>(random()); };
  std::vector<B> blocks;
  for (std::size_t i = 0; i < count; ++i) {
    grouped_bytes raw(sizeof(B));
    for (auto& b : raw) b = byte();
    B block = block_of_bytes<B>(raw);
    const int kept = is_positive ? 0x3F : 0xBF;
    const std::uint8_t d[2] = {byte(), static_cast<std::uint8_t>(byte() & kept)};
    const std::uint8_t m[2] = {byte(), static_cast<std::uint8_t>(byte() & 0xBF)};
    set_halves(block, d, m);
    blocks.push_back(block);
  }
  return blocks;
}

/// The block of the acceptance values: byte i is (37 i + 11) mod 256, then d and dmin.
template <class B>
B acceptance_block(std::uint16_t d, std::uint16_t m) {
  grouped_bytes raw(sizeof(B));
  for (std::size_t i = 0; i < raw.size(); ++i) {
    raw[i] = static_cast<std::uint8_t>(37 * i + 11);
  }
  B block = block_of_bytes<B>(raw);
  const std::uint8_t d_bytes[2] = {static_cast<std::uint8_t>(d & 255),
                                   static_cast<std::uint8_t>(d >> 8)};
  const std::uint8_t m_bytes[2] = {static_cast<std::uint8_t>(m & 255),
                                   static_cast<std::uint8_t>(m >> 8)};
  set_halves(block, d_bytes, m_bytes);
  return block;
}

}  // namespace fewbit::tests
