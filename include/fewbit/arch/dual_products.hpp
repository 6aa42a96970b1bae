#pragma once
/// Two products of 16-bit numbers in one instruction, for microcontrollers without vectors.
///
/// | operation    | Cortex-M4     | computes                                                    |
/// |--------------|---------------|-------------------------------------------------------------|
/// | even         | sxtb16        | bytes 0 and 2 of a word as two int16                        |
/// | odd          | sxtb16, ror 8 | bytes 1 and 3 of a word as two int16                        |
/// | add_products | smlad         | sum + low x * low w + high x * high w of int16, modulo 2^32 |
///
/// Each takes one cycle. Four products of int8 codes take two loads, four sxtb16 and two smlad. A
/// single product takes two loads and a multiply-add. Source: Arm Cortex-M4 Technical Reference
/// Manual, instruction set summary.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// The operations in plain C++. Tests compare them with the instructions, and use them where the
/// instructions are missing.
struct plain_dual_word {
  [[nodiscard]] static std::uint32_t even(std::uint32_t bytes) noexcept {
    return pair(static_cast<std::int8_t>(bytes), static_cast<std::int8_t>(bytes >> 16));
  }
  [[nodiscard]] static std::uint32_t odd(std::uint32_t bytes) noexcept { return even(bytes >> 8); }
  [[nodiscard]] static std::int32_t add_products(std::uint32_t x, std::uint32_t w,
                                                 std::int32_t sum) noexcept {
    const std::int64_t low = product(x, w), high = product(x >> 16, w >> 16);
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(sum + low + high));
  }

 private:
  static std::uint32_t pair(std::int8_t low, std::int8_t high) noexcept {
    return static_cast<std::uint16_t>(low) |
           static_cast<std::uint32_t>(static_cast<std::uint16_t>(high)) << 16;
  }
  static std::int32_t product(std::uint32_t x, std::uint32_t w) noexcept {
    return std::int32_t{static_cast<std::int16_t>(x)} * static_cast<std::int16_t>(w);
  }
};

/// A word without the operations: products are computed one by one.
struct no_dual_word {};

#if FEWBIT_HAS_SMLAD

/// The instructions. smlad may set the flag Q, which nothing here reads.
struct smlad_word {
  [[nodiscard]] FEWBIT_ALWAYS_INLINE static std::uint32_t even(std::uint32_t bytes) noexcept {
    std::uint32_t pair;
    asm("sxtb16 %0, %1" : "=r"(pair) : "r"(bytes));
    return pair;
  }
  [[nodiscard]] FEWBIT_ALWAYS_INLINE static std::uint32_t odd(std::uint32_t bytes) noexcept {
    std::uint32_t pair;
    asm("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(bytes));
    return pair;
  }
  [[nodiscard]] FEWBIT_ALWAYS_INLINE static std::int32_t add_products(std::uint32_t x,
                                                                      std::uint32_t w,
                                                                      std::int32_t sum) noexcept {
    std::int32_t result;
    asm("smlad %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(w), "r"(sum));
    return result;
  }
};

using dual_word = smlad_word;

#else

using dual_word = no_dual_word;

#endif

/// Four bytes from any address. Their order does not matter in a sum of products.
[[nodiscard]] FEWBIT_ALWAYS_INLINE std::uint32_t load_four(const std::int8_t* bytes) noexcept {
  std::uint32_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

/// Whether a word has the operations.
template <class Word>
inline constexpr bool has_dual_products = !std::is_same_v<Word, no_dual_word>;

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
