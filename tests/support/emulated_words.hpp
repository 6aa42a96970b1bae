#pragma once
/// The instructions of arch/vnni.hpp and arch/bitalg.hpp in plain C++, exact on every processor.
/// tests/arch/words_test.cpp compares them with the instructions themselves.

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "fewbit/arch/bitalg.hpp"
#include "fewbit/arch/vnni.hpp"

namespace fewbit::tests {

/// `Lanes` is 8 for AVX-VNNI and 16 for AVX512-VNNI.
template <int Lanes>
struct emulated_vnni_word {
  using fields = arch::shifted_fields;
  static constexpr int lanes = Lanes;
  using ints = arch::vec<std::int32_t, lanes>;
  using floats = arch::vec<float, lanes>;

  FEWBIT_ALWAYS_INLINE static ints broadcast(std::int32_t quad) noexcept { return ints(quad); }

  /// The four products of each lane are added modulo 2^32.
  FEWBIT_ALWAYS_INLINE static ints dpbusd(const ints& sum, const ints& unsigned_bytes,
                                          const ints& signed_bytes) noexcept {
    std::int32_t sums[lanes];
    std::uint8_t a[4 * lanes];
    std::int8_t w[4 * lanes];
    sum.store(&sums[0]);
    std::memcpy(&a[0], &unsigned_bytes.data, sizeof(a));
    std::memcpy(&w[0], &signed_bytes.data, sizeof(w));
    for (int i = 0; i < lanes; ++i) {
      auto total = static_cast<std::uint32_t>(sums[i]);
      for (int j = 4 * i; j < 4 * i + 4; ++j) total += static_cast<std::uint32_t>(a[j] * w[j]);
      sums[i] = static_cast<std::int32_t>(total);
    }
    return ints::load(&sums[0]);
  }

  FEWBIT_ALWAYS_INLINE static ints dpbusd_quad(const ints& sum, const ints& unsigned_bytes,
                                               const std::int8_t* signed_bytes) noexcept {
    return dpbusd(sum, unsigned_bytes, broadcast(arch::quad_of(signed_bytes)));
  }

  FEWBIT_ALWAYS_INLINE static floats multiply_add(const floats& a, const floats& b,
                                                  const floats& c) noexcept {
    floats r;
    for (int i = 0; i < lanes; ++i) r.set(i, std::fma(a[i], b[i], c[i]));
    return r;
  }
};

struct emulated_bitalg_word : emulated_vnni_word<16> {
  using fields = arch::bitalg_fields<emulated_bitalg_word>;
  using bytes = arch::vec<std::uint8_t, 64>;
  using quads = arch::vec<std::uint32_t, 16>;
  using words = arch::vec<std::uint64_t, 8>;

  FEWBIT_ALWAYS_INLINE static words add_ones(const words& sums, const words& v) noexcept {
    words r;
    for (int i = 0; i < 8; ++i) {
      r.set(i, sums[i] + static_cast<std::uint64_t>(std::popcount(v[i])));
    }
    return r;
  }

  template <int Table>
  FEWBIT_ALWAYS_INLINE static words logic(const words& a, const words& b, const words& c) noexcept {
    const words ones(~std::uint64_t{0});
    const words operands[] = {c, b, a};
    words r(0);
    for (int i = 0; i < 8; ++i) {
      if ((Table >> i & 1) == 0) continue;
      words holds = ones;  // where 4 a + 2 b + c is i
      for (int j = 0; j < 3; ++j) {
        holds = holds & ((i >> j & 1) != 0 ? operands[j] : operands[j] ^ ones);
      }
      r = r | holds;
    }
    return r;
  }

  FEWBIT_ALWAYS_INLINE static quads low_halves(const words& a, const words& b) noexcept {
    quads r;
    for (int i = 0; i < 8; ++i) {
      r.set(i, static_cast<std::uint32_t>(a[i]));
      r.set(8 + i, static_cast<std::uint32_t>(b[i]));
    }
    return r;
  }

  FEWBIT_ALWAYS_INLINE static std::uint64_t test(const std::uint8_t* p,
                                                 std::uint8_t mask) noexcept {
    std::uint64_t bits = 0;
    for (int i = 0; i < 64; ++i) bits |= std::uint64_t{(p[i] & mask) != 0} << i;
    return bits;
  }

  FEWBIT_ALWAYS_INLINE static quads affine(const quads& w, std::uint64_t matrix) noexcept {
    quads r(0);
    for (int i = 0; i < 8; ++i) {
      const auto row = static_cast<std::uint32_t>(matrix >> 8 * (7 - i) & 255);
      quads parity = w & quads(row * 0x01010101U);
      for (const std::uint32_t by : {4U, 2U, 1U}) parity = parity ^ (parity >> quads(by));
      r = r | (parity & quads(0x01010101U)) << quads(static_cast<std::uint32_t>(i));
    }
    return r;
  }

  FEWBIT_ALWAYS_INLINE static bytes shuffle(const std::uint8_t* table, const quads& i) noexcept {
    std::uint8_t at[64];
    std::memcpy(&at[0], &i.data, sizeof(at));
    for (std::uint8_t& byte : at) byte = byte < 128 ? table[byte % 16] : std::uint8_t{0};
    return bytes::load(&at[0]);
  }

  /// 64 bytes in the order of memory.
  struct bits {
    std::array<std::uint8_t, 64> of;
  };

  static bits zero() noexcept { return {}; }
  static bits load(const std::uint8_t* p) noexcept {
    return each([&](std::size_t i) { return p[i]; });
  }

  static bits permute(const bits& table, const bits& at) noexcept {
    return each([&](std::size_t i) { return table.of[at.of[i] % 64]; });
  }
  static bits permute_two(const bits& first, const bits& second, const bits& at) noexcept {
    return each(
        [&](std::size_t i) { return (at.of[i] / 64 % 2 == 0 ? first : second).of[at.of[i] % 64]; });
  }
  static bits choose(const bits& at, const bits& second, const bits& first) noexcept {
    return each([&](std::size_t i) { return (at.of[i] < 128 ? first : second).of[i]; });
  }

  static bits add_pairs(const bits& a, const bits& b) noexcept {
    return each_pair([&](std::size_t i) { return pair(a, i) + pair(b, i); });
  }
  static bits subtract_pairs(const bits& a, const bits& b) noexcept {
    return each_pair([&](std::size_t i) { return pair(a, i) - pair(b, i); });
  }
  template <int By>
  static bits pairs_right(const bits& v) noexcept {
    return each_pair([&](std::size_t i) { return pair(v, i) >> By; });
  }
  template <int By>
  static bits pairs_left(const bits& v) noexcept {
    return each_pair([&](std::size_t i) { return pair(v, i) << By; });
  }

  static bits nibble_index(const bits& v) noexcept {
    return each(
        [&](std::size_t i) { return static_cast<std::uint8_t>((v.of[i] & 15) + i % 4 * 16); });
  }
  static bits add_fours(const bits& sums, const bits& v) noexcept {
    bits r;
    for (std::size_t i = 0; i < 64; i += 4) {
      std::uint32_t sum = pair(sums, i / 2) + (pair(sums, i / 2 + 1) << 16);
      for (std::size_t j = i; j < i + 4; ++j) sum += v.of[j];
      for (std::size_t j = 0; j < 4; ++j) r.of[i + j] = static_cast<std::uint8_t>(sum >> 8 * j);
    }
    return r;
  }

  static void store_alternating(const bits& even, const bits& odd, std::uint16_t* out) noexcept {
    for (std::size_t i = 0; i < 32; ++i) {
      out[2 * i] = static_cast<std::uint16_t>(pair(even, i));
      out[2 * i + 1] = static_cast<std::uint16_t>(pair(odd, i));
    }
  }
  static void store_low_halves(const bits& first, const bits& second, std::uint16_t* out) noexcept {
    for (std::size_t i = 0; i < 16; ++i) {
      out[i] = static_cast<std::uint16_t>(pair(first, 2 * i));
      out[16 + i] = static_cast<std::uint16_t>(pair(second, 2 * i));
    }
  }

 private:
  template <class F>
  static bits each(const F& byte) noexcept {
    bits r;
    for (std::size_t i = 0; i < 64; ++i) r.of[i] = byte(i);
    return r;
  }

  /// Number i of 16 bits, the lower byte first.
  static std::uint32_t pair(const bits& v, std::size_t i) noexcept {
    return v.of[2 * i] + 256U * v.of[2 * i + 1];
  }
  template <class F>
  static bits each_pair(const F& number) noexcept {
    bits r;
    for (std::size_t i = 0; i < 32; ++i) {
      const std::uint32_t n = number(i);
      r.of[2 * i] = static_cast<std::uint8_t>(n);
      r.of[2 * i + 1] = static_cast<std::uint8_t>(n >> 8);
    }
    return r;
  }
};

}  // namespace fewbit::tests
