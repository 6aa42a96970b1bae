#pragma once
/// Quantization with the formulas of other libraries, for programs that must match their bits.
///
/// `onnx`, `fbgemm` and `tflite` differ in the quotient, in the rounding of ties, and in the
/// parameters that they derive from a range.
///
/// | mode   | quotient        | tie  | parameters from a range                                    |
/// |--------|-----------------|------|------------------------------------------------------------|
/// | onnx   | x / scale       | even | dynamic_quantize_linear: float arithmetic, uint8           |
/// | fbgemm | x * (1 / scale) | even | choose_params: double, zero point from one end (see there) |
/// | tflite | x / scale       | away | choose_params: double scale, zero point rounded away       |
///
/// In every mode code = clamp(round(quotient) + zero_point, min, max), with min and max of the code
/// type. The other libraries leave some cases open. fewbit defines them for every mode: a quotient
/// outside the codes saturates, also if it is infinite; a NaN gives the first code.
///
/// A code type T is an integer type (std::int8_t, std::uint16_t) or a storage (int4).
/// Use `quantize<S>` of quantize.hpp unless you must match another library.

#include "fewbit/begin.hpp"

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/fixed_point.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/range.hpp"
#include "fewbit/quant/rounding.hpp"
#include "fewbit/quant/scale.hpp"
#include "fewbit/quant/storage.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

template <class T>
struct code_limits;

template <std::integral T>
  requires(sizeof(T) <= 2)
struct code_limits<T> {
  using code = T;
  static constexpr int min = std::numeric_limits<T>::min();
  static constexpr int max = std::numeric_limits<T>::max();
};

template <IntegerStorage T>
struct code_limits<T> {
  using code = typename T::code;
  static constexpr int min = T::min;
  static constexpr int max = T::max;
};

/// clamp(round(quotient) + zero, min, max). The quotient is clamped before it is rounded: the
/// bounds are integers, so the result is the same, and the rounding gets a small number.
template <class T, class Round, class V>
FEWBIT_ALWAYS_INLINE arch::rebind<V, typename code_limits<T>::code> to_code(
    const V& quotient, std::int32_t zero) noexcept {
  using integers = arch::rebind<V, std::int32_t>;
  const auto lo = static_cast<float>(code_limits<T>::min - zero);
  const auto hi = static_cast<float>(code_limits<T>::max - zero);
  const integers rounded = Round::round(arch::clamp(quotient, V(lo), V(hi)));
  return arch::convert<typename code_limits<T>::code>(integers(rounded + integers(zero)));
}

/// (code - zero_point) * scale, the same in all three modes.
template <class Code>
[[nodiscard]] float decode(Code code, float scale, std::int32_t zero_point) noexcept {
  return arch::rounded(static_cast<float>(std::int64_t{code} - zero_point) * scale);
}

/// The zero point before rounding, computed from the end of the range that gives the smaller error.
inline double zero_point_from_better_end(double lo, double hi, double scale, int qmin,
                                         int qmax) noexcept {
  const double error_lo = std::abs(double(qmin)) + std::abs(lo / scale);
  const double error_hi = std::abs(double(qmax)) + std::abs(hi / scale);
  return error_lo < error_hi ? qmin - lo / scale : qmax - hi / scale;
}

}  // namespace detail

/// Types a mode can quantize to.
template <class T>
concept CodeType = requires { typename detail::code_limits<T>::code; };

/// The C++ type of one code of T.
template <CodeType T>
using code_of = typename detail::code_limits<T>::code;

/// ONNX QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear.
/// Source: ONNX operator specification and its reference implementation.
struct onnx {
  static constexpr const char* name = "onnx";

  /// One value, or a vec of values. `zero_point` is a code of T, here and in the other modes.
  template <CodeType T, class V>
  FEWBIT_ALWAYS_INLINE static arch::rebind<V, code_of<T>> quantize(
      const V& x, float scale, std::int32_t zero_point) noexcept {
    return detail::to_code<T, nearest_even>(V(x / V(scale)), zero_point);
  }

  template <std::integral Code>
  [[nodiscard]] static float dequantize(Code code, float scale, std::int32_t zero_point) noexcept {
    return detail::decode(code, scale, zero_point);
  }

  /// Parameters of DynamicQuantizeLinear for uint8 from the smallest and largest value. The range
  /// is first widened to hold 0; then
  ///
  ///     scale = (hi - lo) / 255, zero_point = rne(clamp(-lo / scale, 0, 255))
  ///
  /// The range [0, 0] gets scale 1, as in ONNX Runtime. The reference implementation has 1 / 255,
  /// and the specification does not say; the codes are the same. Every other scale is at least
  /// 2^-126.
  [[nodiscard]] static quant_params dynamic_quantize_linear(const range& r) {
    detail::expect_valid_range("onnx::dynamic_quantize_linear", r);
    const float lo = r.lo < 0.0F ? r.lo : 0.0F;
    const float hi = r.hi > 0.0F ? r.hi : 0.0F;
    if (lo == hi) return {};
    const float width = hi - lo;
    if (!detail::is_finite(width)) {
      detail::fail("onnx::dynamic_quantize_linear", "range.hi - range.lo", width,
                   "a finite number");
    }
    const float scale = width / 255.0F < min_scale ? min_scale : width / 255.0F;
    const float zero = arch::clamp(0.0F - lo / scale, 0.0F, 255.0F);
    return {scale, nearest_even::round(zero)};
  }
};

/// Choices of fbgemm::choose_params.
struct fbgemm_options {
  /// Zero gets the middle code if the range holds values on both sides of it.
  bool preserve_sparsity = false;
  /// Rounds the scale up to a power of two.
  bool power_of_two = false;
};

/// FBGEMM and the quantized kernels of PyTorch.
///
/// The AVX2 code and the scalar code of FBGEMM differ for NaN and for huge x. In these cases fewbit
/// follows the rules at the head of this file. The reciprocal of a scale must be finite;
/// choose_params never returns another scale.
/// Source: QuantUtils.h and QuantUtils.cc of FBGEMM.
struct fbgemm {
  static constexpr const char* name = "fbgemm";

  template <CodeType T, class V>
  FEWBIT_ALWAYS_INLINE static arch::rebind<V, code_of<T>> quantize(
      const V& x, float scale, std::int32_t zero_point) noexcept {
    return detail::to_code<T, nearest_even>(V(x * V(1.0F / scale)), zero_point);
  }

  template <std::integral Code>
  [[nodiscard]] static float dequantize(Code code, float scale, std::int32_t zero_point) noexcept {
    return detail::decode(code, scale, zero_point);
  }

  /// Parameters for the codes of T. The zero point is computed from the end of the range that gives
  /// the smaller rounding error. A scale is at least 6.1e-5; the range [0, 0] gets scale 0.1.
  template <CodeType T>
  [[nodiscard]] static quant_params choose_params(const range& r, const fbgemm_options& how = {}) {
    detail::expect_valid_range("fbgemm::choose_params", r);
    constexpr int qmin = detail::code_limits<T>::min;
    constexpr int qmax = detail::code_limits<T>::max;
    const bool middle = how.preserve_sparsity && r.lo < 0.0F && r.hi > 0.0F;
    range covered = middle ? around_zero(r, qmax - qmin) : r;
    covered = hull(covered, {0.0F, 0.0F});
    auto scale = static_cast<float>((double{covered.hi} - double{covered.lo}) / (qmax - qmin));
    if (scale == 0.0F || !detail::is_finite(1.0F / scale)) scale = 0.1F;
    if (how.power_of_two) scale = fewbit::power_of_two::round_step(double{scale});
    if (scale < smallest_scale) {
      covered = stretch(covered, scale, qmax - qmin);
      scale = smallest_scale;
    }
    const double zero =
        middle ? (qmin + qmax) / 2.0
               : detail::zero_point_from_better_end(covered.lo, covered.hi, scale, qmin, qmax);
    const double clamped = zero < qmin ? qmin : zero > qmax ? qmax : zero;
    return {scale, static_cast<std::int32_t>(std::nearbyint(clamped))};
  }

 private:
  static constexpr float smallest_scale = 6.1e-5F;

  /// The range around the middle code that holds r.
  static range around_zero(const range& r, int steps) noexcept {
    const auto below = static_cast<float>(-(steps / 2 + 1));
    const auto above = static_cast<float>(steps / 2);
    const double down = std::abs(r.lo / below);
    const double up = std::abs(r.hi / above);
    const double step = down > up ? down : up;
    const double most = std::numeric_limits<float>::max() / -double{below};
    const double kept = step < most ? step : most;  // both ends are finite floats
    return {static_cast<float>(kept * double{below}), static_cast<float>(kept * double{above})};
  }

  /// The range that codes cover if `smallest_scale` replaces `scale`.
  static range stretch(const range& r, float scale, int steps) noexcept {
    if (r.lo == 0.0F) return {0.0F, smallest_scale * static_cast<float>(steps)};
    if (r.hi == 0.0F) return {-smallest_scale * static_cast<float>(steps), 0.0F};
    const float factor = smallest_scale / scale;
    return {r.lo * factor, r.hi * factor};
  }
};

/// TensorFlow Lite's reference kernels. Source: quantization_util.h and reference/quantize.h.
struct tflite {
  static constexpr const char* name = "tflite";

  /// TFLite keeps the scale as a double until it quantizes.
  struct params {
    double scale = 0;
    std::int32_t zero_point = 0;
  };

  template <CodeType T, class V>
  FEWBIT_ALWAYS_INLINE static arch::rebind<V, code_of<T>> quantize(
      const V& x, float scale, std::int32_t zero_point) noexcept {
    return detail::to_code<T, half_away>(V(x / V(scale)), zero_point);
  }

  template <std::integral Code>
  [[nodiscard]] static float dequantize(Code code, float scale, std::int32_t zero_point) noexcept {
    return detail::decode(code, scale, zero_point);
  }

  /// Parameters for the codes of T. `narrow_range` excludes the first code, as TFLite does for
  /// weights. The range is widened to hold 0; TFLite leaves that to its caller. [0, 0] gets scale
  /// 0. Every other scale is at least 2^-126, so it is a normal float.
  template <CodeType T>
  [[nodiscard]] static params choose_params(const range& r, bool narrow_range = false) {
    detail::expect_valid_range("tflite::choose_params", r);
    const int qmin = detail::code_limits<T>::min + (narrow_range ? 1 : 0);
    constexpr int qmax = detail::code_limits<T>::max;
    const double lo = r.lo < 0.0F ? r.lo : 0.0;
    const double hi = r.hi > 0.0F ? r.hi : 0.0;
    if (lo == hi) return {};
    const double scale = std::max((hi - lo) / (qmax - qmin), double{min_scale});
    const double zero = detail::zero_point_from_better_end(lo, hi, scale, qmin, qmax);
    const double clamped = zero < qmin ? qmin : zero > qmax ? qmax : zero;
    return {scale, static_cast<std::int32_t>(detail::round_half_away(clamped))};
  }
};

/// Quantizes `in` into `out` with the formulas of Mode. Does not allocate.
///
/// @param in      row-major float: a matrix, Map or block; it may have no elements
/// @param out     row-major codes of T, the same shape
/// @param params  a finite scale of at least 2^-126, and a zero point that is a code of T
/// @throws fewbit::error if the shapes differ, or if the scale or the zero point is out of range;
///         `out` is then unchanged
template <class Mode, CodeType T, RowMajorDense<float> In, MutableRowMajorDense<code_of<T>> Out>
void quantize_with(const In& in, Out&& out, const quant_params& params) {
  constexpr const char* function = "quantize_with";
  using limits = detail::code_limits<T>;
  detail::expect_same_shape(function, "out", in.rows(), in.cols(), out.rows(), out.cols());
  detail::expect_positive_scale(function, "params.scale", params.scale);
  detail::expect_zero_point(function, "params.zero_point", params.zero_point, limits::min,
                            limits::max);
  using vec = arch::vec<float, arch::native_lanes<float>>;
  using codes = arch::rebind<vec, code_of<T>>;
  for (index r = 0; r < in.rows(); ++r) {
    const float* x = in.data() + r * in.outerStride();
    code_of<T>* y = out.data() + r * out.outerStride();
    index c = 0;
    for (; c + vec::lanes <= in.cols(); c += vec::lanes) {
      arch::store<codes>(
          y + c, Mode::template quantize<T>(vec::load(x + c), params.scale, params.zero_point));
    }
    for (; c < in.cols(); ++c) {
      y[c] = Mode::template quantize<T>(x[c], params.scale, params.zero_point);
    }
  }
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
