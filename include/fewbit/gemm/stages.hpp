#pragma once
/// Ready stages for epilogues (gemm/epilogue.hpp says what a stage is).
///
///     add_bias{b} | requantize<tflite_single>{mantissas, exponents, zero_point} | to_int8{}
///     to_float{} | scale_columns{s} | scale_rows{t} | add_columns{b} | relu{}
///
/// Pointers are to arrays of at least n values (columns) or m values (rows) that live as long as
/// the call; nothing is copied. Integer stages add modulo 2^32. A float product that is added to
/// something is rounded first, so that no processor contracts the two.

#include <cstdint>
#include <limits>
#include <type_traits>

#include "fewbit/core/fixed_point.hpp"
#include "fewbit/gemm/epilogue.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm {

/// int32 + bias[col].
struct add_bias : stage {
  const std::int32_t* bias;

  explicit add_bias(const std::int32_t* b) noexcept : bias(b) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at& where) const noexcept {
    return arch::add_wrapping(value, where.template columns<V>(bias));
  }
};

/// int32 - rows[row] * cols[col]: a zero point of one operand times the sums of the other.
struct subtract_outer : stage {
  const std::int32_t* rows;
  const std::int32_t* cols;

  subtract_outer(const std::int32_t* r, const std::int32_t* c) noexcept : rows(r), cols(c) {}

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

  explicit scale_by(float f) noexcept : factor(f) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at&) const noexcept {
    return arch::rounded(V(value * V(factor)));
  }
};

/// float * factors[col].
struct scale_columns : stage {
  const float* factors;

  explicit scale_columns(const float* f) noexcept : factors(f) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at& where) const noexcept {
    return arch::rounded(V(value * where.template columns<V>(factors)));
  }
};

/// float * factors[row].
struct scale_rows : stage {
  const float* factors;

  explicit scale_rows(const float* f) noexcept : factors(f) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at& where) const noexcept {
    return arch::rounded(V(value * V(factors[where.row])));
  }
};

/// float + terms[col].
struct add_columns : stage {
  const float* terms;

  explicit add_columns(const float* t) noexcept : terms(t) {}

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

/// The larger of float and a bound; a NaN stays. A bound of -infinity changes nothing.
struct at_least : stage {
  float lowest;

  explicit at_least(float l) noexcept : lowest(l) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at&) const noexcept {
    return arch::select(value < V(lowest), V(lowest), value);
  }
};

/// value clamped to [lo, hi]; a NaN becomes lo.
template <class T>
struct clamp_to : stage {
  T lo;
  T hi;

  clamp_to(T l, T h) noexcept : lo(l), hi(h) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at&) const noexcept {
    static_assert(std::is_same_v<arch::lane<V>, T>);
    return arch::clamp(value, V(lo), V(hi));
  }
};

/// round(int32 * factor of the column) + zero_point in the integers of Mode: mantissas[col] and
/// exponents[col] come from `Mode::multiplier`. What leaves [min, max] of the output is for to_int8
/// or to_uint8 to clamp.
template <class Mode>
struct requantize : stage {
  static_assert(FixedPointMode<Mode>,
                "fewbit: requantize takes a rounding mode of core/fixed_point.hpp");
  const std::int32_t* mantissas;
  const std::int32_t* exponents;
  std::int32_t zero_point;

  requantize(const std::int32_t* m, const std::int32_t* e, std::int32_t zero) noexcept
      : mantissas(m), exponents(e), zero_point(zero) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at& where) const noexcept {
    return arch::add_wrapping(V(Mode::apply(value, where.template columns<V>(mantissas),
                                            where.template columns<V>(exponents))),
                              V(zero_point));
  }
};

/// The same in float: rne(float(int32) * factors[col], clamped to [lowest, highest] - zero_point) +
/// zero_point.
template <>
struct requantize<xnn_fp32> : stage {
  const float* factors;
  std::int32_t zero_point;
  std::int32_t lowest;
  std::int32_t highest;

  /// [lo, hi]: the output's range, or a part of it where an activation is fused; |bounds| < 2^21.
  requantize(const float* f, std::int32_t zero, std::int32_t lo, std::int32_t hi) noexcept
      : factors(f), zero_point(zero), lowest(lo), highest(hi) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at& where) const noexcept {
    using real = arch::rebind<V, float>;
    const V rounded = xnn_fp32::apply(value, where.template columns<real>(factors),
                                      real(static_cast<float>(lowest - zero_point)),
                                      real(static_cast<float>(highest - zero_point)));
    return rounded + V(zero_point);
  }
};

/// One power-of-two factor: int32 / 2^shift, ties up. Bias and zero point are other stages' work.
template <>
struct requantize<q7_pot> : stage {
  std::int32_t shift;

  explicit requantize(std::int32_t s) noexcept : shift(s) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at&) const noexcept {
    return q7_pot::apply(value, V(shift));
  }
};

/// int32 clamped to the range of an 8-bit code.
template <class Code>
struct saturate : stage {
  static_assert(sizeof(Code) == 1 && std::is_integral_v<Code>,
                "fewbit: codes are std::int8_t or std::uint8_t");

  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, Code> operator()(const V& value, const at&) const noexcept {
    return arch::convert<Code>(arch::clamp(value, V(std::numeric_limits<Code>::min()),
                                           V(std::numeric_limits<Code>::max())));
  }
};

using to_int8 = saturate<std::int8_t>;
using to_uint8 = saturate<std::uint8_t>;

/// A real number as an 8-bit code: clamp(rne(value * inverse_scale) + zero_point).
template <class Code>
struct to_codes : stage {
  static_assert(sizeof(Code) == 1 && std::is_integral_v<Code>,
                "fewbit: codes are std::int8_t or std::uint8_t");

  float inverse_scale;
  std::int32_t zero_point;

  to_codes(float inverse, std::int32_t zero) noexcept : inverse_scale(inverse), zero_point(zero) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, Code> operator()(const V& value, const at&) const noexcept {
    using ints = arch::rebind<V, std::int32_t>;
    const V lo(static_cast<float>(std::numeric_limits<Code>::min() - zero_point));
    const V hi(static_cast<float>(std::numeric_limits<Code>::max() - zero_point));
    const ints code = arch::round_to_int(arch::clamp(V(value * V(inverse_scale)), lo, hi));
    return arch::convert<Code>(ints(code + ints(zero_point)));
  }
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm
