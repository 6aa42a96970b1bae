#pragma once
/// Layers that compute in integers alone: their inputs and outputs are codes, and the factor
/// between sums and outputs is a fixed-point multiplier. Read next: ops/integer_output.hpp (how
/// sums become codes), ops/linear/integer.hpp, ops/conv2d.hpp.

#include "fewbit/begin.hpp"

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fewbit/core/fixed_point.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Rounding modes that outputs of operators may have.
template <class Mode>
concept OutputMode =
    FixedPointMode<Mode> || std::same_as<Mode, xnn_fp32> || std::same_as<Mode, q7_pot>;

/// Inputs are codes of type In, outputs are codes of type Out, and nothing between them is a float.
///
/// @tparam In    std::int8_t, std::uint8_t or std::int16_t
/// @tparam Out   std::int8_t or std::uint8_t; std::int16_t if In is
/// @tparam Mode  rounding mode of core/fixed_point.hpp; q7_pot needs factors that are powers of two
template <class In, class Out = In,
          OutputMode Mode = std::conditional_t<sizeof(In) == 2, tflite_int64, tflite_double>>
struct integer_only {
  using code = In;
  using out = Out;
  using mode = Mode;
  static constexpr bool is_static = true;
};

namespace detail {

template <class Inputs>
inline constexpr bool are_integer_only = false;
template <class In, class Out, class Mode>
inline constexpr bool are_integer_only<integer_only<In, Out, Mode>> = true;

/// Outputs and rounding mode of inputs that are integer_only. Other inputs have none.
template <class Inputs>
struct integer_types {
  using out = std::int8_t;
  using mode = tflite_double;
};
template <class In, class Out, class Mode>
struct integer_types<integer_only<In, Out, Mode>> {
  using out = Out;
  using mode = Mode;
};

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
