#pragma once
/// The choices of a linear layer: what happens to its inputs and to its outputs. And what layers
/// share.
///
/// Read next: ops/linear/int8.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <limits>
#include <type_traits>

#include "fewbit/arch/arch.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Inputs are quantized at each call, each row symmetrically with the scale max|row| / 127.
struct dynamic_int8 {
  using code = std::int8_t;
  static constexpr bool is_static = false;
};

/// The same for each group of a row whose weights share a scale, with the scale max|group| / 127,
/// in layers of weights in groups (ops/linear/grouped.hpp): a large input spoils its group alone.
struct dynamic_int8_groups {
  using code = std::int8_t;
  static constexpr bool is_static = false;
};

/// Inputs are quantized with parameters known beforehand, from a calibrator.
template <class Code>
struct static_codes {
  using code = Code;
  static constexpr bool is_static = true;
};
/// Calibrated inputs of -128 to 127.
using static_int8 = static_codes<std::int8_t>;
/// Calibrated inputs of 0 to 255.
using static_uint8 = static_codes<std::uint8_t>;

/// Inputs stay float; weights alone are quantized (ops/linear/float_inputs.hpp).
struct float_inputs {};

/// Inputs become codes of one or a few bits at each call, each row with a scale of its own, and
/// meet weights in bit planes (ops/linear/bit_planes.hpp; ops/linear/bit_inputs.hpp has the
/// formulas).
struct binary_inputs {
  using code = std::int8_t;
};
/// Two bits of an input: -1, 0 and 1.
struct ternary_inputs {
  using code = std::int8_t;
};

/// Steps of max|x| / (2^(Bits - 1) - 1), or of max(x) / (2^Bits - 1) where nothing is negative.
template <int Bits, bool Signed = true>
struct few_bit_inputs {
  static_assert(Bits >= (Signed ? 2 : 1) && Bits <= 8,
                "fewbit: few_bit_inputs have 2 to 8 bits, or 1 to 8 where they are unsigned");
  using code = std::conditional_t<Signed, std::int8_t, std::uint8_t>;
  static constexpr int largest = (1 << (Signed ? Bits - 1 : Bits)) - 1;
};
/// Codes 0 to 2^Bits - 1, for inputs that are never negative.
template <int Bits>
using unsigned_inputs = few_bit_inputs<Bits, false>;

/// What output parameters are until they are given: no scale is negative.
inline constexpr quant_params no_params{std::numeric_limits<float>::lowest(), 0};

/// What a layer does to its outputs before it writes them.
struct linear_options {
  bool relu = false;  ///< max(y, 0)
  /// Scale and zero point of outputs that are 8-bit codes; no codes are written without them.
  quant_params output_params = no_params;
};

/// Scratch memory of a call, sized once. One thread at a time may use it.
struct linear_scratch {
  workspace rows;     ///< codes, scales and sums of the rows in work
  workspace workers;  ///< one slot per worker of the product
};

/// What a layer writes to: rows of floats or of 8-bit codes (core/operands.hpp).
template <class Y>
concept LinearOutput = MutableDenseRows<Y, float> || MutableDenseRows<Y, std::int8_t> ||
                       MutableDenseRows<Y, std::uint8_t>;

namespace detail {

/// Whether W names weights by product quantization (ops/linear/pq.hpp).
template <class W>
inline constexpr bool is_product_quantized = false;

}  // namespace detail

/// What a layer's weights are: codes of a scheme, or of a product quantizer.
template <class W>
concept LinearWeights = Scheme<W> || detail::is_product_quantized<W>;

template <LinearWeights W, class Inputs = dynamic_int8, class Arch = arch::native>
class linear;

namespace detail {

/// Rows that are quantized before they are multiplied: 128 rows of k = 1024 stay in a cache of 256
/// KiB.
inline constexpr index rows_at_a_time = 128;

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
