#pragma once
/// Quantization of the inputs of a layer, simulated in float.
///
///     const input_codes a = codes_of<uint8_affine>(observer.range(by_entropy{}));
///     const input_codes b = codes_by_row<int8>();      // a scale for each row of x
///     const input_codes c = wide_codes_of(observer.range());   // 16 bits
///
/// Read next: simulate.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

enum class input_mode : std::uint8_t {
  as_float,  ///< not quantized
  fixed,     ///< one scale and zero point, from calibration
  by_row,    ///< one symmetric scale for each row of x, from the row: amax / highest
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// x_hat = (code - zero_point) * scale, code = rne(clamp(x / scale, lowest - zero_point,
/// highest - zero_point)) + zero_point.
struct input_codes {
  input_mode mode = input_mode::as_float;
  quant_params params{};  ///< of input_mode::fixed
  std::int32_t lowest = -127;
  std::int32_t highest = 127;

  /// Replaces the numbers of x, all finite, by those that their codes stand for.
  void apply(row_matrix<float>& x) const noexcept {
    if (mode == input_mode::fixed) replace(x.data(), x.size(), params);
    if (mode != input_mode::by_row) return;
    for (index r = 0; r < x.rows(); ++r)
      replace(&x(r, 0), x.cols(), {scale_of_row(&x(r, 0), x.cols()), 0});
  }

  /// Whether codes have more than 8 bits.
  [[nodiscard]] bool is_wide() const noexcept { return highest > 255; }

  /// The scale of a row of n numbers.
  [[nodiscard]] float scale_of_row(const float* x, index n) const noexcept {
    if (mode == input_mode::fixed) return params.scale;
    const float scale = detail::finite_amax(x, n) / static_cast<float>(highest);
    return scale >= min_scale ? scale : min_scale;
  }

  /// The code of a number under a scale of scale_of_row.
  [[nodiscard]] std::int32_t code(float x, float scale) const noexcept {
    const auto lo = static_cast<float>(lowest - params.zero_point);
    const auto hi = static_cast<float>(highest - params.zero_point);
    return arch::nearest_int(arch::clamp(x / scale, lo, hi)) + params.zero_point;
  }

  friend bool operator==(const input_codes&, const input_codes&) = default;

 private:
  void replace(float* x, index n, const quant_params& p) const noexcept {
    using floats = arch::vec<float, arch::native_lanes<float>>;
    const auto lo = static_cast<float>(lowest - p.zero_point);
    const auto hi = static_cast<float>(highest - p.zero_point);
    index i = 0;
    for (; i + floats::lanes <= n; i += floats::lanes)
      replaced(floats::load(x + i), lo, hi, p.scale).store(x + i);
    for (; i < n; ++i) x[i] = replaced(x[i], lo, hi, p.scale);
  }

  template <class V>
  static V replaced(const V& x, float lo, float hi, float scale) noexcept {
    const V quotient = arch::clamp(V(x / V(scale)), V(lo), V(hi));
    return arch::convert<float>(arch::nearest_int(quotient)) * V(scale);
  }
};

/// One scale and zero point under scheme S that cover a range.
/// @throws fewbit::error if the range is not finite or lo > hi
template <IntegerScheme S>
  requires(!S::has_minimum)
[[nodiscard]] input_codes codes_of(const range& r) {
  return {input_mode::fixed, choose_params<S>(r), S::code_min, S::code_max};
}

/// The highest code of 16 bits: both digits of 256 * high + low are then int8
/// (integer_network/digit_product.hpp).
inline constexpr std::int32_t highest_wide_code = 127 * 256 + 127;

/// Symmetric codes of 16 bits that cover a range: -32639 .. 32639.
/// @throws fewbit::error if the range is not finite or lo > hi
[[nodiscard]] inline input_codes wide_codes_of(const range& r) {
  const float amax = static_cast<float>(int16::max) * choose_params<int16_per_tensor>(r).scale;
  const float scale = amax / static_cast<float>(highest_wide_code);
  return {input_mode::fixed,
          {scale >= min_scale ? scale : min_scale, 0},
          -highest_wide_code,
          highest_wide_code};
}
/// The same with a scale for each row of x.
[[nodiscard]] constexpr input_codes wide_codes_by_row() noexcept {
  return {input_mode::by_row, {}, -highest_wide_code, highest_wide_code};
}

/// A symmetric scale for each row of x.
template <IntegerStorage St>
[[nodiscard]] constexpr input_codes codes_by_row() noexcept {
  return {input_mode::by_row, {}, -static_cast<std::int32_t>(St::max), St::max};
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
