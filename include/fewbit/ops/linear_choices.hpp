#pragma once
/// The choices of a linear layer: what happens to its inputs and to its outputs; and what all layers
/// share.
///
/// Read next: ops/linear.hpp.

#include <cstdint>

#include "fewbit/arch/arch.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

/// Inputs are quantized at each call, each row symmetrically with the scale max|row| / 127.
struct dynamic_int8 {
  using code = std::int8_t;
  static constexpr bool is_static = false;
};

/// Inputs are quantized with parameters known beforehand, from a calibrator.
template <class Code>
struct static_codes {
  using code = Code;
  static constexpr bool is_static = true;
};
using static_int8 = static_codes<std::int8_t>;
using static_uint8 = static_codes<std::uint8_t>;

/// Inputs stay float; weights alone are quantized (ops/weight_only.hpp).
struct float_inputs {};

/// What a layer does to its outputs before it writes them.
struct linear_options {
  bool relu = false;             ///< max(y, 0)
  quant_params output_params{};  ///< scale and zero point of outputs that are 8-bit codes
};

/// Scratch memory of a call, sized once. One thread at a time may use it.
struct linear_scratch {
  workspace rows;     ///< codes, scales and sums of the rows in work
  workspace workers;  ///< one slot per worker of the product
};

/// What a layer writes to: row-major floats or 8-bit codes.
template <class Y>
concept LinearOutput = MutableRowMajorDense<Y, float> || MutableRowMajorDense<Y, std::int8_t> ||
    MutableRowMajorDense<Y, std::uint8_t>;

template <Scheme S, class Inputs = dynamic_int8, class Arch = arch::native>
class linear;

namespace detail {

/// Rows that are quantized before they are multiplied: 128 rows of k = 1024 stay in a cache of 256
/// KiB.
inline constexpr index rows_at_a_time = 128;

}  // namespace detail

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE
