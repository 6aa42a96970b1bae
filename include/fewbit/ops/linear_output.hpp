#pragma once
/// The way of a layer's totals to its outputs: bias, bound, codes.
///
/// Read before: ops/linear_choices.hpp. Read next: gemm/stages.hpp.

#include "fewbit/begin.hpp"

#include <cassert>
#include <limits>
#include <string>
#include <type_traits>

#include "fewbit/core/error.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/ops/linear_choices.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/range.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::detail {

/// Fails unless the scale is a normal number and the zero point from lowest to highest.
inline void expect_valid_params(const char* argument, const quant_params& p, int lowest,
                                int highest) {
  if (!is_finite(p.scale) || !(p.scale >= std::numeric_limits<float>::min())) {
    fail("linear", std::string(argument) + ".scale", p.scale, "a finite number of at least 2^-126");
  }
  if (p.zero_point < lowest || p.zero_point > highest) {
    fail("linear", std::string(argument) + ".zero_point", p.zero_point, interval(lowest, highest));
  }
}

inline void expect_valid_options(const linear_options& options) {
  expect_valid_params("output_params", options.output_params, -128, 255);
}

/// Calls finish(stages), where the stages make outputs of type Out of scaled totals: + bias[col],
/// max(0, .) if asked for, and 8-bit codes unless Out is float.
template <class Out, class F>
FEWBIT_ALWAYS_INLINE void with_output_stages(const float* bias, const linear_options& options,
                                             const F& finish) noexcept {
  const gemm::at_least bound(options.relu ? 0.0F : -std::numeric_limits<float>::infinity());
  const auto values = gemm::add_columns(bias) | bound;
  if constexpr (std::is_same_v<Out, float>) {
    finish(values);
  } else {
    const quant_params& p = options.output_params;
    assert(p.zero_point >= std::numeric_limits<Out>::min() &&
           p.zero_point <= std::numeric_limits<Out>::max());
    finish(values | gemm::to_codes<Out>(1.0F / p.scale, p.zero_point));
  }
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::detail

#include "fewbit/end.hpp"
