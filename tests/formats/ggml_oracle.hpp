#pragma once
/// Slow reference of the ggml block formats, written code by code from their documentation, and
/// difficult test data for them.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace fewbit::tests {

// The volatile store prevents a fused multiply-add.
inline float product(float a, float b) {
  volatile float result = a * b;
  return result;
}
inline float quotient(float a, float b) { return a / b; }
inline float sum(float a, float b) { return a + b; }

inline unsigned oracle_half(float x) {
  const unsigned sign = std::signbit(x) ? 0x8000 : 0;
  const double size = std::fabs(double{x});
  if (size == 0.0) return sign;
  const int exponent = std::max(std::ilogb(size), -14);
  const double steps = std::nearbyint(std::ldexp(size, 10 - exponent));
  const double bits = (exponent + 14) * 1024.0 + steps;
  return sign | static_cast<unsigned>(std::min(bits, 31744.0));
}

enum class variant { ref, x86, neon };

using bytes = std::vector<std::uint8_t>;

inline void add_half(bytes& b, float x) {
  const unsigned half = oracle_half(x);
  b.push_back(static_cast<std::uint8_t>(half & 255));
  b.push_back(static_cast<std::uint8_t>(half >> 8));
}

inline void add_nibbles(bytes& b, const std::array<int, 32>& q) {
  for (std::size_t j = 0; j < 16; ++j)
    b.push_back(static_cast<std::uint8_t>(q[j] % 16 + q[j + 16] % 16 * 16));
}

/// The reciprocal of d that the codes are computed with.
inline float inverse(float one, float d) {
  const float id = d == 0.0F ? 0.0F : quotient(one, d);
  return std::isinf(id) ? 0.0F : id;
}

inline float largest_of(const float* x) {
  float largest = 0.0F;
  for (int j = 0; j < 32; ++j) {
    if (std::fabs(largest) < std::fabs(x[j])) largest = x[j];
  }
  return largest;
}

inline bytes oracle_q8_0(const float* x, variant v) {
  const float amax = std::fabs(largest_of(x));
  const float d = quotient(amax, 127.0F);
  const float id = v == variant::x86 ? inverse(127.0F, amax) : inverse(1.0F, d);
  bytes b;
  add_half(b, d);
  for (int j = 0; j < 32; ++j) {
    const float t = product(x[j], id);
    b.push_back(static_cast<std::uint8_t>(
        static_cast<int>(v == variant::ref ? std::round(t) : std::nearbyint(t))));
  }
  return b;
}

inline std::array<int, 32> oracle_codes(const float* x, float lo, float id, float offset,
                                        int last) {
  std::array<int, 32> q;
  for (std::size_t j = 0; j < 32; ++j)
    q[j] = std::min(last, static_cast<int>(sum(product(sum(x[j], -lo), id), offset)));
  return q;
}

inline bytes oracle_q4_0(const float* x) {
  const float d = quotient(largest_of(x), -8.0F);
  bytes b;
  add_half(b, d);
  add_nibbles(b, oracle_codes(x, 0.0F, inverse(1.0F, d), 8.5F, 15));
  return b;
}

inline bytes oracle_q5_0(const float* x) {
  const float d = quotient(largest_of(x), -16.0F);
  bytes b;
  add_half(b, d);
  const auto q = oracle_codes(x, 0.0F, inverse(1.0F, d), 16.5F, 31);
  for (std::size_t byte = 0; byte < 4; ++byte) {
    int fifths = 0;
    for (std::size_t j = 0; j < 8; ++j) fifths += q[8 * byte + j] >= 16 ? 1 << j : 0;
    b.push_back(static_cast<std::uint8_t>(fifths));
  }
  add_nibbles(b, q);
  return b;
}

inline bytes oracle_q4_1(const float* x) {
  const float lo = *std::min_element(x, x + 32), hi = *std::max_element(x, x + 32);
  const float d = quotient(sum(hi, -lo), 15.0F);
  bytes b;
  add_half(b, d);
  add_half(b, lo);
  add_nibbles(b, oracle_codes(x, lo, inverse(1.0F, d), 0.5F, 15));
  return b;
}

/// `blocks` blocks of difficult data. The kinds alternate from block to block: numbers of many
/// magnitudes, subnormals included; integers and half-integers, which cause rounding ties and a
/// largest magnitude with both signs; mostly zeros; constants; zeros of both signs.
inline std::vector<float> hard_floats(int blocks, unsigned seed) {
  std::mt19937 random(seed);
  const auto uniform = [&] { return static_cast<float>(random() % 65536) / 32768.0F - 1.0F; };
  const auto below = [&](unsigned n) { return static_cast<int>(random() % n); };
  std::vector<float> x;
  for (int block = 0; block < blocks; ++block) {
    const int kind = block % 8;
    const float size = kind == 1   ? std::ldexp(uniform(), below(140) - 135)
                       : kind == 2 ? std::ldexp(1.0F, below(24) - 12)
                       : kind == 3 ? 0.5F
                                   : uniform();
    for (int j = 0; j < 32; ++j) {
      const float u = uniform();
      const float values[] = {u * size,
                              u * size,
                              static_cast<float>(below(33) - 16) * size,
                              static_cast<float>(below(509) - 254) * size,
                              j % 11 == 5 ? u : 0.0F,
                              size,
                              below(2) == 0 ? 0.0F : -0.0F,
                              below(2) == 0 ? size : -size};
      x.push_back(values[kind]);
    }
  }
  return x;
}

}  // namespace fewbit::tests
