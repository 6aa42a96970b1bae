#pragma once
/// How x / scale becomes an integer. Fifth choice of a scheme.
///
/// Each rule is written once, for V = float and V = arch::vec<float, N>. It needs |x| <= 2^22. A
/// quotient that is clamped to the code range satisfies that. Read next: scheme.hpp.

#include "fewbit/begin.hpp"

#include <concepts>
#include <cstdint>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Nearest integer, ties to even: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2.
struct nearest_even {
  static constexpr bool is_random = false;
  static constexpr const char* name = "nearest_even";
  template <class V>
  FEWBIT_ALWAYS_INLINE static arch::rebind<V, std::int32_t> round(const V& x) noexcept {
    return arch::round_to_int(x);
  }
};

/// Nearest integer, ties away from zero, as std::round: 0.5 -> 1, -2.5 -> -3.
struct half_away {
  static constexpr bool is_random = false;
  static constexpr const char* name = "half_away";
  template <class V>
  FEWBIT_ALWAYS_INLINE static arch::rebind<V, std::int32_t> round(const V& x) noexcept {
    return arch::nearest_int_half_away(x);
  }
};

/// Drops the fraction: 1.9 -> 1, -1.9 -> -1.
struct toward_zero {
  static constexpr bool is_random = false;
  static constexpr const char* name = "toward_zero";
  template <class V>
  FEWBIT_ALWAYS_INLINE static arch::rebind<V, std::int32_t> round(const V& x) noexcept {
    return arch::convert<std::int32_t>(x);
  }
};

/// floor(x + u) with u uniform in [0, 1), a multiple of 2^-24. The expected value is x, and an
/// integer does not change. The u of an element depends only on the generator and on the position
/// r * cols + c. Gupta et al. 2015, arXiv:1502.02551.
struct stochastic {
  static constexpr bool is_random = true;
  static constexpr const char* name = "stochastic";
  template <class V>
  FEWBIT_ALWAYS_INLINE static arch::rebind<V, std::int32_t> round(const V& x, const V& u) noexcept {
    using integers = arch::rebind<V, std::int32_t>;
    const integers toward = arch::convert<std::int32_t>(x);
    // The sum x + u would be rounded. The distance to `toward`, u and 1 - u are exact.
    const V rest = x - arch::convert<float>(toward);
    const V size = arch::max(rest, V(V(0.0F) - rest));
    const integers below = arch::select(u < size, integers(toward - integers(1)), toward);
    const integers above =
        arch::select(size < V(V(1.0F) - u), toward, integers(toward + integers(1)));
    return arch::select(x < V(0.0F), below, above);
  }
};

template <class T>
concept Rounding =
    requires {
      { T::is_random } -> std::convertible_to<bool>;
      { T::name } -> std::convertible_to<const char*>;
    } &&
    (
        requires(float x) {
          { T::round(x) } -> std::same_as<std::int32_t>;
        } ||
        requires(float x) {
          { T::round(x, x) } -> std::same_as<std::int32_t>;
        });

}}  // namespace fewbit

#include "fewbit/end.hpp"
