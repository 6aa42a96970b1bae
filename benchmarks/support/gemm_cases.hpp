#pragma once
/// Common parts of all rows of the GEMM benchmark: shapes, operands and checks of results.
///
/// A case holds the operands and the result of one kind of product, and checks the result.
/// Read next: support/gemm_rows.hpp (makes rows of a product), gemm/ (the products).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <tuple>
#include <type_traits>
#include <vector>

#include "fewbit/core/random.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::benchmarks {

struct shape {
  index m, n, k;
};

inline constexpr shape shapes[] = {
    // squares
    {256, 256, 256},
    {512, 512, 512},
    {1024, 1024, 1024},
    {2048, 2048, 2048},
    // BERT-large at 128 tokens
    {128, 1024, 1024},
    {128, 4096, 1024},
    {128, 1024, 4096},
    // ResNet-50: 3x3 as im2col, 1x1
    {3136, 64, 576},
    {784, 128, 1152},
    {196, 256, 2304},
    {49, 512, 4608},
    {3136, 256, 64},
    // 1x1 of MobileNetV2
    {3136, 144, 24},
    {784, 192, 32},
    {196, 576, 96},
    {49, 960, 160},
    {49, 320, 960},
    // short k: 3x3 with 3 channels as im2col, 1x1 of MobileNetV2 and MobileNetV3
    {12544, 32, 27},
    {3136, 24, 144},
    {784, 80, 240},
    // decoding of 1 to 16 tokens
    {1, 2560, 2560},
    {3, 2560, 2560},
    {5, 2560, 2560},
    {1, 4096, 4096},
    {1, 11008, 4096},
    {3, 4096, 4096},
    {5, 4096, 4096},
    {8, 4096, 4096},
    {16, 4096, 4096},
    // small shapes, where the overhead of a call matters
    {4, 4, 4},
    {7, 7, 7},
    {8, 8, 8},
    {16, 16, 16},
    {32, 32, 32},
    {64, 64, 64},
    {1, 8, 8},
    {1, 16, 16},
    {1, 32, 32},
    {1, 64, 64}};

/// Random codes over all values of `bits` bits. They are made once and shared by the rows of one
/// shape.
template <class T>
const row_matrix<T>& random_codes(index rows, index cols, std::uint64_t seed, int bits = 8) {
  static std::map<std::tuple<index, index, std::uint64_t, int>, row_matrix<T>> made;
  const auto [at, is_new] = made.try_emplace({rows, cols, seed, bits}, rows, cols);
  if (is_new) {
    T* codes = at->second.data();
    for (index i = 0; i < at->second.size(); i += 16) {
      const auto random = random_bits(seed, static_cast<std::uint64_t>(i));
      const index count = std::min(index{16}, at->second.size() - i);
      std::memcpy(codes + i, random.data(), static_cast<std::size_t>(count));
    }
    for (index i = 0; i < at->second.size(); ++i) codes[i] = static_cast<T>(codes[i] >> (8 - bits));
  }
  return at->second;
}

/// 16384 x 16384 codes. Rows are overlapping parts of one random array, because generating as many
/// random codes would take longer than packing them.
inline row_matrix<std::int8_t> large_weights() {
  constexpr index size = 16384;
  const row_matrix<std::int8_t>& codes = random_codes<std::int8_t>(64, size, 3);
  row_matrix<std::int8_t> w(size, size);
  for (index j = 0; j < size; ++j) {
    const index begin = j * 4099 % (codes.size() - size);
    std::memcpy(w.data() + j * size, codes.data() + begin, size);
  }
  return w;
}

/// Compares some thousand elements of C = A W^T, among them those of the last row and column, with
/// `finish(64-bit sum, column)`.
template <class Lhs, class Out, class F>
bool equals_wide_sums(const row_matrix<Lhs>& a, const row_matrix<std::int8_t>& w,
                      const row_matrix<Out>& c, const F& finish) {
  const index row_step = c.rows() / 40 + 1, col_step = c.cols() / 40 + 1;
  for (index i = c.rows() - 1; i >= 0; i -= row_step) {
    for (index j = c.cols() - 1; j >= 0; j -= col_step) {
      std::int64_t sum = 0;
      for (index k = 0; k < a.cols(); ++k) sum += std::int64_t{a(i, k)} * w(j, k);
      if (c(i, j) != finish(sum, j)) return false;
    }
  }
  return true;
}

/// A product with an int32 result.
template <class LhsCode>
struct sums_case {
  using lhs = LhsCode;
  using rhs = std::int8_t;
  using out = std::int32_t;
  static constexpr const char* kind = std::is_same_v<lhs, std::uint8_t> ? "u8_s8_s32" : "s8_s8_s32";

  const row_matrix<lhs>& a;
  const row_matrix<rhs>& w;
  row_matrix<out> c;

  explicit sums_case(const shape& s)
      : a(random_codes<lhs>(s.m, s.k, 1)), w(random_codes<rhs>(s.n, s.k, 2)), c(s.m, s.n) {}

  [[nodiscard]] bool is_exact() const {
    return equals_wide_sums(a, w, c, [](std::int64_t sum, index) { return static_cast<out>(sum); });
  }
};

/// The same with u8 codes that use only 7 bits on one side or both. Products that saturate sums of
/// pairs are exact for such codes too. The number of bits of the activations is passed to packing.
template <int LhsBits, int RhsBits>
struct small_sums_case {
  using lhs = std::uint8_t;
  using rhs = std::int8_t;
  using out = std::int32_t;
  static_assert(LhsBits == 7 || (LhsBits == 8 && RhsBits == 7));
  static constexpr const char* kind =
      LhsBits == 8 ? "u8_s7_s32" : (RhsBits == 8 ? "u7_s8_s32" : "u7_s7_s32");
  static constexpr index largest_activation = (1 << LhsBits) - 1;

  const row_matrix<lhs>& a;
  const row_matrix<rhs>& w;
  row_matrix<out> c;

  explicit small_sums_case(const shape& s)
      : a(random_codes<lhs>(s.m, s.k, 1, LhsBits)),
        w(random_codes<rhs>(s.n, s.k, 2, RhsBits)),
        c(s.m, s.n) {}

  [[nodiscard]] bool is_exact() const {
    return equals_wide_sums(a, w, c, [](std::int64_t sum, index) { return static_cast<out>(sum); });
  }
};

/// A product with a result in 8-bit codes: bias, a factor per channel, zero point and clamp. The
/// expected result is rne(clamp(float(sum + bias) * factor)) + zero point, in float. Some libraries
/// add the zero point before rounding. The zero point is even and the factors have few bits, so
/// both orders give the same result.
template <class Code>
struct codes_case {
  using lhs = Code;
  using rhs = std::int8_t;
  using out = Code;
  static constexpr bool is_unsigned = std::is_same_v<Code, std::uint8_t>;
  static constexpr const char* kind = is_unsigned ? "u8_s8_u8" : "s8_s8_s8";
  static constexpr std::int32_t zero_point = 10;
  static constexpr std::int32_t lowest = is_unsigned ? 0 : -128;
  static constexpr std::int32_t highest = is_unsigned ? 255 : 127;

  const row_matrix<lhs>& a;
  const row_matrix<rhs>& w;
  row_matrix<out> c;
  std::vector<std::int32_t> bias;
  std::vector<float> factors;

  explicit codes_case(const shape& s)
      : a(random_codes<lhs>(s.m, s.k, 1)),
        w(random_codes<rhs>(s.n, s.k, 2)),
        c(s.m, s.n),
        bias(static_cast<std::size_t>(s.n), 77) {
    for (index j = 0; j < s.n; ++j) factors.push_back(factor_of(j));
  }

  /// One factor per channel for u8. One factor for all channels for s8, because
  /// not every rival supports factors per channel.
  static float factor_of(index j) {
    return is_unsigned ? 0x1p-13F * static_cast<float>(j % 7 + 1) : 0x1p-12F;
  }

  [[nodiscard]] bool is_exact() const {
    return equals_wide_sums(a, w, c, [&](std::int64_t sum, index j) {
      const auto at = static_cast<std::size_t>(j);
      const float scaled = static_cast<float>(sum + bias[at]) * factors[at];
      const float clamped = std::clamp(scaled, static_cast<float>(lowest - zero_point),
                                       static_cast<float>(highest - zero_point));
      return static_cast<out>(std::nearbyint(clamped) + static_cast<float>(zero_point));
    });
  }
};

/// A product of s8 codes in float. Sums of so many random codes stay below 2^24, so a float result
/// is exact for any order of additions.
struct floats_case {
  using lhs = float;
  using rhs = float;
  using out = float;
  static constexpr const char* kind = "f32_f32_f32";

  const row_matrix<std::int8_t>& a_codes;
  const row_matrix<std::int8_t>& w_codes;
  row_matrix<float> a;
  row_matrix<float> w;
  row_matrix<float> c;

  explicit floats_case(const shape& s)
      : a_codes(random_codes<std::int8_t>(s.m, s.k, 1)),
        w_codes(random_codes<std::int8_t>(s.n, s.k, 2)),
        a(a_codes.cast<float>()),
        w(w_codes.cast<float>()),
        c(s.m, s.n) {}

  [[nodiscard]] bool is_exact() const {
    return equals_wide_sums(a_codes, w_codes, c,
                            [](std::int64_t sum, index) { return static_cast<float>(sum); });
  }
};

}  // namespace fewbit::benchmarks
