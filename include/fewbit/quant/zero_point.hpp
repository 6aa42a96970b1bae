#pragma once
/// Which code means zero, and which codes are used. Third choice of a scheme.
///
/// Symmetric: zero is code 0, a product of codes is a product of values. Affine: zero is the code
/// `zero_point`, so that a one-sided range such as [0, 6] wastes no codes; a product then owes a
/// correction by row and column sums. Read next: scale.hpp.

#include "fewbit/begin.hpp"

#include <concepts>

#include "fewbit/quant/storage.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Codes [-max, max] (narrow range, so that -code is a code); amax takes code max.
/// Wu et al. 2020, arXiv:2004.09602.
struct symmetric {
  static constexpr bool is_affine = false;
  static constexpr const char* name = "symmetric";
  template <Storage T>
  static constexpr int code_min = -T::max;
  template <Storage T>
  static constexpr int code_max = T::max;
  /// amax / scale.
  template <Storage T>
  static constexpr double steps = T::max;
};

/// Codes [min, max]; amax lies at half the number of steps, 127.5 for int8. One code more, worth
/// having at 2 bits: -2, -1, 0, 1 with amax at 1.5 steps.
struct symmetric_full {
  static constexpr bool is_affine = false;
  static constexpr const char* name = "symmetric_full";
  template <Storage T>
  static constexpr int code_min = T::min;
  template <Storage T>
  static constexpr int code_max = T::max;
  template <Storage T>
  static constexpr double steps = (double{T::max} - T::min) / 2;
};

/// Codes [min, max] with a zero point among them. Jacob et al. 2018, arXiv:1712.05877.
struct affine {
  static constexpr bool is_affine = true;
  static constexpr const char* name = "affine";
  template <Storage T>
  static constexpr int code_min = T::min;
  template <Storage T>
  static constexpr int code_max = T::max;
  /// (hi - lo) / scale.
  template <Storage T>
  static constexpr double steps = double{T::max} - T::min;
};

template <class T>
concept ZeroPoint = requires {
  { T::is_affine } -> std::convertible_to<bool>;
  { T::template code_min<int8> } -> std::convertible_to<int>;
  { T::template code_max<int8> } -> std::convertible_to<int>;
  { T::template steps<int8> } -> std::convertible_to<double>;
  { T::name } -> std::convertible_to<const char*>;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
