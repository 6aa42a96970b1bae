#pragma once
/// Ready stages for epilogues. gemm/epilogue.hpp defines a stage.
///
///     add_bias{b} | requantize<xnn_fp32>{factors} | to_uint8{zero_point}
///     add_bias{b} | requantize<tflite_single>{mantissas, exponents} | to_int8{zero_point}
///     to_float{} | scale_columns{s} | scale_rows{t} | add_columns{b} | relu{}
///
/// Pointers refer to arrays of at least n values (columns) or m values (rows). The arrays must
/// exist during the call; nothing is copied. Integer stages add modulo 2^32. A float product is
/// rounded before something is added to it, so no processor contracts the two operations.
///
/// The constructor of a stage checks its arguments and throws fewbit::error: pointers are not null,
/// factors are finite, bounds are in order. It cannot check the lengths of arrays.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>

#include "fewbit/arch/convert.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/fixed_point.hpp"
#include "fewbit/gemm/epilogue.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

namespace detail {

inline void expect_finite_factor(const char* stage, const char* argument, float factor) {
  if (!fewbit::detail::is_finite(factor)) {
    fewbit::detail::fail(stage, argument, factor, "a finite number");
  }
}

/// Fails unless there are factors, all finite.
inline void expect_finite_factors(const char* stage, std::span<const float> factors) {
  if (factors.empty()) fewbit::detail::fail(stage, "number of factors", 0, "at least 1");
  for (std::size_t i = 0; i < factors.size(); ++i) {
    if (fewbit::detail::is_finite(factors[i])) continue;
    fewbit::detail::fail(stage, fewbit::detail::item("factors", static_cast<index>(i)), factors[i],
                         "a finite number");
  }
}

}  // namespace detail

/// int32 + bias[col].
struct add_bias : stage {
  const std::int32_t* bias;

  explicit add_bias(const std::int32_t* b) : bias(b) {
    fewbit::detail::expect_pointer("add_bias", "bias", b);
  }

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at& where) const noexcept {
    return arch::add_wrapping(value, where.template columns<V>(bias));
  }
};

/// int32 - rows[row] * cols[col]: the zero point of one operand times the sums of the other.
struct subtract_outer : stage {
  const std::int32_t* rows;
  const std::int32_t* cols;

  subtract_outer(const std::int32_t* r, const std::int32_t* c) : rows(r), cols(c) {
    fewbit::detail::expect_pointer("subtract_outer", "rows", r);
    fewbit::detail::expect_pointer("subtract_outer", "cols", c);
  }

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at& where) const noexcept {
    return arch::subtract_wrapping(
        value, arch::multiply_wrapping(V(rows[where.row]), where.template columns<V>(cols)));
  }
};

/// int32 as float, rounded to nearest even above 2^24.
struct to_float : stage {
  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, float> operator()(const V& value, const at&) const noexcept {
    return arch::convert<float>(value);
  }
};

/// float * factor.
struct scale_by : stage {
  float factor;

  explicit scale_by(float f) : factor(f) { detail::expect_finite_factor("scale_by", "factor", f); }

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at&) const noexcept {
    return arch::rounded(V(value * V(factor)));
  }
};

/// float * factors[col].
struct scale_columns : stage {
  const float* factors;

  explicit scale_columns(const float* f) : factors(f) {
    fewbit::detail::expect_pointer("scale_columns", "factors", f);
  }

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at& where) const noexcept {
    return arch::rounded(V(value * where.template columns<V>(factors)));
  }
};

/// float * factors[row].
struct scale_rows : stage {
  const float* factors;

  explicit scale_rows(const float* f) : factors(f) {
    fewbit::detail::expect_pointer("scale_rows", "factors", f);
  }

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at& where) const noexcept {
    return arch::rounded(V(value * V(factors[where.row])));
  }
};

/// float + terms[col].
struct add_columns : stage {
  const float* terms;

  explicit add_columns(const float* t) : terms(t) {
    fewbit::detail::expect_pointer("add_columns", "terms", t);
  }

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at& where) const noexcept {
    return value + where.template columns<V>(terms);
  }
};

/// max(value, 0), for float and int32; -0 and NaN become +0.
struct relu : stage {
  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at&) const noexcept {
    return arch::max(value, V(arch::lane<V>{}));
  }
};

/// max(float, bound); a NaN stays a NaN. A bound of -infinity changes nothing.
struct at_least : stage {
  float lowest;

  FEWBIT_ALWAYS_INLINE explicit at_least(float l) : lowest(l) {
    if (!(l <= std::numeric_limits<float>::infinity())) [[unlikely]]
      refuse(l);
  }

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at&) const noexcept {
    return arch::select(value < V(lowest), V(lowest), value);
  }

 private:
  [[gnu::cold, gnu::noinline]] static void refuse(float l) {
    fewbit::detail::fail("at_least", "lowest", l, "a number");
  }
};

/// value clamped to [lo, hi]; a NaN becomes lo.
template <class T>
struct clamp_to : stage {
  T lo;
  T hi;

  clamp_to(T l, T h) : lo(l), hi(h) {
    if (!(l <= h))
      fewbit::detail::fail("clamp_to", "lo", l, "at most hi, " + fewbit::detail::text(h));
  }

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at&) const noexcept {
    static_assert(std::is_same_v<arch::lane<V>, T>);
    return arch::clamp(value, V(lo), V(hi));
  }
};

/// round(int32 * factor of the column), in the integer arithmetic of Mode. `Mode::multiplier`
/// computes mantissas[col] and exponents[col]. The next stage, to_int8 or to_uint8, adds the zero
/// point.
template <class Mode>
struct requantize : stage {
  static_assert(FixedPointMode<Mode>,
                "fewbit: requantize takes a rounding mode of core/fixed_point.hpp");
  const std::int32_t* mantissas;
  const std::int32_t* exponents;
  bool below_one = false;  // no exponent is above 0

  requantize(const std::int32_t* m, const std::int32_t* e) : mantissas(m), exponents(e) {
    fewbit::detail::expect_pointer("requantize", "mantissas", m);
    fewbit::detail::expect_pointer("requantize", "exponents", e);
  }

  /// For factors that were checked before, and of which is known whether all are below 1.
  requantize(const std::int32_t* m, const std::int32_t* e, bool all_below_one) noexcept
      : mantissas(m), exponents(e), below_one(all_below_one) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at& where) const noexcept {
    if constexpr (requires { Mode::apply_below_one(value, value, value); }) {
      if (below_one) {
        return Mode::apply_below_one(value, where.template columns<V>(mantissas),
                                     where.template columns<V>(exponents));
      }
    }
    return Mode::apply(value, where.template columns<V>(mantissas),
                       where.template columns<V>(exponents));
  }
};

/// The same in float: rne(float(int32) * factors[col]), clamped to -2^31 .. 2^30.
///
/// @throws fewbit::error if there are no factors, or if one is not finite
template <>
struct requantize<xnn_fp32> : stage {
  const float* factors;
  bool below_one;  // then |int32 * factor| < 2^31 needs no clamp before rounding

  explicit requantize(std::span<const float> f)
      : factors(f.data()),
        below_one(std::all_of(f.begin(), f.end(), [](float x) { return std::fabs(x) < 1.0F; })) {
    detail::expect_finite_factors("requantize", f);
  }
  /// For factors that were checked before, and of which is known whether all are below 1.
  requantize(const float* checked, bool all_below_one) noexcept
      : factors(checked), below_one(all_below_one) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at& where) const noexcept {
    using real = arch::rebind<V, float>;
    const real scaled = arch::convert<float>(value) * where.template columns<real>(factors);
    return arch::nearest_int(below_one ? scaled : arch::min(scaled, real(0x1p30F)));
  }
};

/// int32 / 2^shift, a single power-of-two factor; ties are rounded up. Other stages add the bias
/// and the zero point.
template <>
struct requantize<q7_pot> : stage {
  std::int32_t shift;

  explicit requantize(std::int32_t s) : shift(s) {
    fewbit::detail::expect(s >= 0 && s <= 31, "requantize", "shift", s, "0 to 31");
  }

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at&) const noexcept {
    return q7_pot::apply(value, V(shift));
  }
};

/// int32 + zero_point, clamped to the range of an 8-bit code; |zero_point| <= 255.
template <class Code>
struct saturate : stage {
  static_assert(sizeof(Code) == 1 && std::is_integral_v<Code>,
                "fewbit: codes are std::int8_t or std::uint8_t");

  std::int32_t zero_point = 0;

  saturate() noexcept = default;
  explicit saturate(std::int32_t zero) : zero_point(zero) {
    fewbit::detail::expect(zero >= -255 && zero <= 255,
                           std::is_signed_v<Code> ? "to_int8" : "to_uint8", "zero_point", zero,
                           "-255 to 255");
  }

  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, Code> operator()(const V& value, const at&) const noexcept {
    return arch::saturated<Code>(value, zero_point);
  }

  /// Four vectors at once, which is cheaper than one at a time.
  template <int N>
  FEWBIT_ALWAYS_INLINE arch::vec<Code, 4 * N> narrow(
      const arch::vec<std::int32_t, N> (&values)[4]) const noexcept {
    return arch::saturated<Code>(values, zero_point);
  }
};

/// int32 to codes -128 to 127.
using to_int8 = saturate<std::int8_t>;
/// int32 to codes 0 to 255.
using to_uint8 = saturate<std::uint8_t>;

/// rne(float * factor), clamped to +-2^30; a NaN becomes -2^30.
struct nearest : stage {
  float factor;

  explicit nearest(float f) : factor(f) { detail::expect_finite_factor("nearest", "factor", f); }

  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, std::int32_t> operator()(const V& value,
                                                                const at&) const noexcept {
    return arch::nearest_int(arch::clamp(V(value * V(factor)), V(-0x1p30F), V(0x1p30F)));
  }
};

/// Converts a real number to an 8-bit code: clamp(rne(value * inverse_scale) + zero_point). A NaN
/// becomes the lowest code.
template <class Code>
[[nodiscard]] chain<nearest, saturate<Code>> to_codes(float inverse_scale,
                                                      std::int32_t zero_point) {
  detail::expect_finite_factor("to_codes", "inverse_scale", inverse_scale);
  fewbit::detail::expect(zero_point >= -255 && zero_point <= 255, "to_codes", "zero_point",
                         zero_point, "-255 to 255");
  return {nearest(inverse_scale), saturate<Code>(zero_point)};
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
