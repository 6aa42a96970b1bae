#pragma once
/// Finite numbers: tests by bit pattern, the largest finite magnitude of a row, checks of arrays.
///
/// The functions compare bit patterns, so no compiler flag can remove a test. Vectors and single
/// floats take the same functions. Read before: core/error.hpp (is_finite of one float). Read next:
/// core/rows.hpp (matrices).

#include "fewbit/begin.hpp"

#include <bit>
#include <cstdint>
#include <span>
#include <type_traits>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/magnitude.hpp"
#include "fewbit/arch/partial.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The bits of infinity. Larger magnitudes are NaN.
inline constexpr std::int32_t infinity_bits = 0x7F800000;

/// +0 for a zero of either sign; any other number is unchanged. In integers, because
/// -fno-signed-zeros lets a compiler remove a comparison of floats or a sum with 0.
template <class Float>
[[nodiscard]] constexpr Float without_minus_zero(Float x) noexcept {
  using word = std::conditional_t<sizeof(Float) == 4, std::uint32_t, std::uint64_t>;
  const auto bits = std::bit_cast<word>(x);
  return std::bit_cast<Float>(static_cast<word>(bits << 1U) == 0 ? word{0} : bits);
}

/// x with each NaN replaced by 0.
template <class V>
FEWBIT_ALWAYS_INLINE V without_nan(const V& x) noexcept {
  using ints = arch::rebind<V, std::int32_t>;
  return arch::select(arch::magnitude_bits(x) > ints(infinity_bits), V(0.0F), x);
}

/// Bits of |x|, or 0 where x is not finite. As integers they have the order of the numbers, so
/// their maximum does not depend on the order of the comparisons.
template <class V>
FEWBIT_ALWAYS_INLINE arch::rebind<V, std::int32_t> finite_magnitude(const V& x) noexcept {
  using ints = arch::rebind<V, std::int32_t>;
  const ints magnitude = arch::magnitude_bits(x);
  return arch::select(magnitude < ints(infinity_bits), magnitude, ints(0));
}

/// The largest magnitude(x) of n floats, in the first lane; 0 if n is 0.
template <class Magnitude>
FEWBIT_ALWAYS_INLINE auto largest_magnitude(const float* x, index n,
                                            const Magnitude& magnitude) noexcept {
  using vec = arch::vec<float, arch::native_lanes<float>>;
  if (n < vec::lanes)
    return arch::largest_first(magnitude(arch::load_first<vec>(x, static_cast<int>(n))));
  auto even = magnitude(vec::load(x)), odd = magnitude(vec::load(x + n - vec::lanes));
#pragma GCC unroll 4
  for (index i = 0; i + 2 * vec::lanes <= n; i += 2 * vec::lanes) {
    even = arch::max(even, magnitude(vec::load(x + i)));
    odd = arch::max(odd, magnitude(vec::load(x + i + vec::lanes)));
  }
  if (n > 2 * vec::lanes && n % (2 * vec::lanes) > vec::lanes) {
    odd = arch::max(odd, magnitude(vec::load(x + n - 2 * vec::lanes)));
  }
  return arch::largest_first(arch::max(even, odd));
}

struct largest_of_row {
  float amax;      // of the finite values; 0 if there are none
  bool is_finite;  // all values are finite
};

/// The bits of the largest magnitude of a row that has values that are not finite.
[[nodiscard, gnu::noinline]] inline std::int32_t largest_finite_magnitude(const float* x,
                                                                          index n) noexcept {
  return largest_magnitude(x, n, [](const auto& v) { return finite_magnitude(v); })[0];
}

/// The largest magnitude of a row.
[[nodiscard]] FEWBIT_ALWAYS_INLINE largest_of_row largest_of(const float* x, index n) noexcept {
  const auto largest =
      largest_magnitude(x, n, [](const auto& v) { return arch::magnitude_bits(v); });
  if (largest[0] >= infinity_bits) [[unlikely]]
    return {std::bit_cast<float>(largest_finite_magnitude(x, n)), false};
  return {arch::bits_as<float>(largest)[0], true};
}

/// max|x| of the finite values of a row; 0 if there are none.
[[nodiscard]] inline float finite_amax(const float* x, index n) noexcept {
  return largest_of(x, n).amax;
}

/// Fails unless there is one factor for each of `cols` columns, finite and at least 0.
inline void expect_valid_importance(const char* function, std::span<const float> importance,
                                    index cols) {
  expect_equal(function, "length of importance", static_cast<index>(importance.size()), cols);
  for (index c = 0; c < cols; ++c) {
    const float value = importance[static_cast<std::size_t>(c)];
    if (!is_finite(value) || value < 0.0F) {
      fail(function, item("importance", c), value, "a finite number, at least 0");
    }
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
