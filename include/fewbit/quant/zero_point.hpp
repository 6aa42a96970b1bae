#pragma once
/// Which code stands for zero, and which codes are used. Third choice of a scheme.
///
/// | zero point                | value of a code             | choose it for                     |
/// |---------------------------|-----------------------------|-----------------------------------|
/// | symmetric, symmetric_full | code * scale                | weights: products need no sums    |
/// | affine                    | (code - zero point) * scale | one-sided ranges such as [0, 6]   |
/// | real_minimum              | code * scale + minimum      | weights of few bits, small groups |
///
/// A product with affine codes or with minima needs the sums of the other operand.
/// Read next: scale.hpp.

#include "fewbit/begin.hpp"

#include <concepts>

#include "fewbit/quant/storage.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Codes [-max, max]: the narrow range, in which -code is a code. amax gets code max.
/// Wu et al. 2020, arXiv:2004.09602.
struct symmetric {
  static constexpr bool is_affine = false;
  static constexpr bool has_minimum = false;
  static constexpr const char* name = "symmetric";
  template <Storage T>
  static constexpr int code_min = -T::max;
  template <Storage T>
  static constexpr int code_max = T::max;
  /// amax / scale.
  template <Storage T>
  static constexpr double steps = T::max;
};

/// Codes [min, max]. amax is half the number of steps, 127.5 for int8. This is one code more than
/// symmetric has, which matters with 2 bits: -2, -1, 0, 1 with amax at 1.5 steps.
struct symmetric_full {
  static constexpr bool is_affine = false;
  static constexpr bool has_minimum = false;
  static constexpr const char* name = "symmetric_full";
  template <Storage T>
  static constexpr int code_min = T::min;
  template <Storage T>
  static constexpr int code_max = T::max;
  template <Storage T>
  static constexpr double steps = (double{T::max} - T::min) / 2;
};

/// Codes [min, max]; one of them, the zero point, stands for 0. Jacob et al. 2018,
/// arXiv:1712.05877.
struct affine {
  static constexpr bool is_affine = true;
  static constexpr bool has_minimum = false;
  static constexpr const char* name = "affine";
  template <Storage T>
  static constexpr int code_min = T::min;
  template <Storage T>
  static constexpr int code_max = T::max;
  /// (hi - lo) / scale.
  template <Storage T>
  static constexpr double steps = double{T::max} - T::min;
};

/// Codes [0, max] that count from the smallest value of the group: x_hat = code * scale + minimum,
/// where minimum is a float. No code needs to stand for 0, and no zero point is rounded, so a group
/// far from 0 costs no precision. Q4_1 and the K-quants of ggml have such minima. A zero point that
/// is a float, as in HQQ, is the minimum -zero_point * scale. Badri and Shaji 2023, "Half-Quadratic
/// Quantization of Large Machine Learning Models".
struct real_minimum {
  static constexpr bool is_affine = false;
  static constexpr bool has_minimum = true;
  static constexpr const char* name = "real_minimum";
  template <Storage T>
  static constexpr int code_min = T::min;
  template <Storage T>
  static constexpr int code_max = T::max;
  /// (hi - lo) / scale.
  template <Storage T>
  static constexpr double steps = double{T::max} - T::min;
};

/// `is_affine` says whether each group has a zero point that is a code, `has_minimum` whether it
/// has a minimum.
template <class T>
concept ZeroPoint = requires {
  { T::is_affine } -> std::convertible_to<bool>;
  { T::has_minimum } -> std::convertible_to<bool>;
  { T::template code_min<int8> } -> std::convertible_to<int>;
  { T::template code_max<int8> } -> std::convertible_to<int>;
  { T::template steps<int8> } -> std::convertible_to<double>;
  { T::name } -> std::convertible_to<const char*>;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
