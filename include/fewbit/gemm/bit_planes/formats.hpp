#pragma once
/// Which codes are stored as bit planes, and what the planes mean.
///
/// | format           | codes                       | planes | bit i of a code counts         |
/// |------------------|-----------------------------|--------|--------------------------------|
/// | sign_bits<B>     | odd, -(2^B - 1) .. 2^B - 1  | B      | (1 - 2 bit) 2^i                |
/// | binary_bits      | -1, 1; sign_bits<1>         | 1      | 1 - 2 bit                      |
/// | ternary_bits     | -1, 0, 1                    | 2      | two's complement: mask, sign   |
/// | unsigned_bits<B> | 0 .. 2^B - 1                | B      | bit 2^i                        |
/// | signed_bits<B>   | -2^(B - 1) .. 2^(B - 1) - 1 | B      | the same, the highest negative |
///
/// B is 1 to 8. Every plane is padded with zero bits at the end of k, and products ignore the
/// padding. Read next: gemm/bit_planes/rules.hpp (how two formats are multiplied),
/// gemm/bit_planes/lhs.hpp and gemm/bit_planes/weights.hpp (activations and weights in planes).
/// Sources: Rastegari et al. 2016, arXiv:1603.05279 (XNOR-Net, binary); Li et al. 2016,
/// arXiv:1605.04711 (TWN, ternary); Zhou et al. 2016, arXiv:1606.06160 (DoReFa-Net, and +
/// popcount).

#include "fewbit/begin.hpp"

#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

namespace detail {

template <int Bits>
concept plane_count = Bits >= 1 && Bits <= 8;

/// "-8 to 7".
inline std::string between(int lowest, int highest) {
  return std::to_string(lowest) + " to " + std::to_string(highest);
}

}  // namespace detail

/// Sums of signed powers of two: the {-1, 1} decomposition. Zero is not among the codes.
template <int Bits>
struct sign_bits {
  static_assert(detail::plane_count<Bits>, "fewbit: a code of bit planes has 1 to 8 bits");
  using code = std::conditional_t<Bits <= 7, std::int8_t, std::int16_t>;
  static constexpr int planes = Bits;
  static constexpr int largest = (1 << Bits) - 1;

  [[nodiscard]] static constexpr bool takes(int code) noexcept {
    return code >= -largest && code <= largest && code % 2 != 0;
  }
  /// The bits of a code: code = largest - 2 * stored.
  [[nodiscard]] static constexpr std::uint8_t stored(int code) noexcept {
    return static_cast<std::uint8_t>((largest - code) >> 1);
  }
  [[nodiscard]] static std::string expected() {
    return Bits == 1 ? "-1 or 1" : "odd, " + detail::between(-largest, largest);
  }
};

/// Codes -1 and 1.
using binary_bits = sign_bits<1>;

/// Codes -1, 0 and 1 in two planes.
struct ternary_bits {
  using code = std::int8_t;
  static constexpr int planes = 2;
  static constexpr int largest = 1;
  static constexpr bool is_signed = true;

  [[nodiscard]] static constexpr bool takes(int code) noexcept { return code >= -1 && code <= 1; }
  [[nodiscard]] static constexpr std::uint8_t stored(int code) noexcept {
    return static_cast<std::uint8_t>(code);
  }
  [[nodiscard]] static std::string expected() { return "-1, 0 or 1"; }
};

/// Codes 0 to 2^Bits - 1.
template <int Bits>
struct unsigned_bits {
  static_assert(detail::plane_count<Bits>, "fewbit: a code of bit planes has 1 to 8 bits");
  using code = std::uint8_t;
  static constexpr int planes = Bits;
  static constexpr int largest = (1 << Bits) - 1;
  static constexpr bool is_signed = false;

  [[nodiscard]] static constexpr bool takes(int code) noexcept {
    return code >= 0 && code <= largest;
  }
  [[nodiscard]] static constexpr std::uint8_t stored(int code) noexcept {
    return static_cast<std::uint8_t>(code);
  }
  [[nodiscard]] static std::string expected() { return detail::between(0, largest); }
};

/// Codes -2^(Bits - 1) to 2^(Bits - 1) - 1, in two's complement.
template <int Bits>
struct signed_bits {
  static_assert(detail::plane_count<Bits>, "fewbit: a code of bit planes has 1 to 8 bits");
  using code = std::int8_t;
  static constexpr int planes = Bits;
  static constexpr int largest = 1 << (Bits - 1);  // in magnitude
  static constexpr bool is_signed = true;

  [[nodiscard]] static constexpr bool takes(int code) noexcept {
    return code >= -largest && code < largest;
  }
  [[nodiscard]] static constexpr std::uint8_t stored(int code) noexcept {
    return static_cast<std::uint8_t>(code);
  }
  [[nodiscard]] static std::string expected() { return detail::between(-largest, largest - 1); }
};

/// A format of the table above.
template <class F>
concept BitFormat = requires(int code) {
  requires std::integral<typename F::code>;
  { F::planes } -> std::convertible_to<int>;
  { F::largest } -> std::convertible_to<int>;
  { F::takes(code) } -> std::same_as<bool>;
  { F::stored(code) } -> std::same_as<std::uint8_t>;
  { F::expected() } -> std::convertible_to<std::string>;
};

/// Formats in which plane i has the value 2^i. The highest plane of a signed format has the value
/// -2^i.
template <class F>
concept TwosComplement = BitFormat<F> && requires {
  { F::is_signed } -> std::convertible_to<bool>;
};

namespace detail {

/// How images name the values of planes: 0 sign_bits, 1 unsigned, 2 signed.
template <BitFormat F>
inline constexpr int number_of_format = 0;
template <TwosComplement F>
inline constexpr int number_of_format<F> = F::is_signed ? 2 : 1;

}  // namespace detail

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
