#pragma once
/// Computes codes of integer storages by rounding quotients. Private to quantize().
///
///     code = round(clamp(x / scale, code_min - zero_point, code_max - zero_point)) + zero_point
///     code = round(clamp((x - minimum) / scale, 0, code_max))                     real_minimum
///
/// The difference and the quotient are rounded to float, one after the other.

#include "fewbit/begin.hpp"

#include <array>
#include <cstdint>
#include <limits>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/random.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/element_params.hpp"
#include "fewbit/quant/group_choices.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Random numbers of the elements from position `first` onwards.
struct element_draws {
  generator source;
  index first;

  template <class V>
  FEWBIT_ALWAYS_INLINE V at(index i) const noexcept {
    if constexpr (arch::is_vec<V>) {
      return uniform_lanes<V::lanes>(source, first + i);
    } else {
      return uniform(source, first + i);
    }
  }
};

template <IntegerScheme S, class V, class Params>
FEWBIT_ALWAYS_INLINE arch::rebind<V, typename S::code> encode(const V& x, const Params& params,
                                                              const element_draws& draws,
                                                              index i) noexcept {
  using integers = arch::rebind<V, std::int32_t>;
  const integers zero = params.template zero_at<V>(i);
  const V lo = arch::convert<float>(integers(integers(S::code_min) - zero));
  const V hi = arch::convert<float>(integers(integers(S::code_max) - zero));
  const V quotient = arch::clamp(V(x / params.template scale_at<V>(i)), lo, hi);
  integers rounded;
  if constexpr (S::is_random) {
    rounded = S::rounding::round(quotient, draws.at<V>(i));
  } else {
    rounded = S::rounding::round(quotient);
  }
  return arch::convert<typename S::code>(integers(rounded + zero));
}

template <IntegerScheme S, class V>
FEWBIT_ALWAYS_INLINE arch::rebind<V, typename S::code> encode(const V& x,
                                                              const shared_minimum& params,
                                                              const element_draws& draws,
                                                              index i) noexcept {
  const float factor = params.is_ordinary ? 1.0F : 0.25F;
  // With scale 0, every x gets code 0.
  const float divisor =
      params.scale == 0.0F ? std::numeric_limits<float>::infinity() : params.scale * factor;
  const V above = x * V(factor) - V(params.minimum * factor);  // products are exact
  const V quotient = arch::clamp(V(above / V(divisor)), V(0.0F), V(float{S::code_max}));
  if constexpr (S::is_random) {
    return arch::convert<typename S::code>(S::rounding::round(quotient, draws.at<V>(i)));
  } else {
    return arch::convert<typename S::code>(S::rounding::round(quotient));
  }
}

/// The scheme that represents all with the same storage, zero point and rounding. An element is
/// encoded in the same way under all of them, so that encode_stretch is compiled once for all
/// granularities and scales.
template <IntegerScheme S>
using representative =
    scheme<typename S::storage, per_row, typename S::zero_point, real_scale, typename S::rounding>;

template <IntegerScheme S, class Params>
void encode_stretch(const float* x, index n, const Params& params, const element_draws& draws,
                    typename S::code* out) noexcept {
  using vec = arch::vec<float, arch::native_lanes<float>>;
  using codes = arch::rebind<vec, typename S::code>;
  index i = 0;
  for (; i + vec::lanes <= n; i += vec::lanes) {
    arch::store<codes>(out + i, encode<S>(vec::load(x + i), params, draws, i));
  }
  for (; i < n; ++i) out[i] = encode<S>(x[i], params, draws, i);
}

template <IntegerScheme S>
void encode_row(const matrix_ref& w, index r, const group_choices<S>& choices, const generator& g,
                std::uint8_t* bytes) noexcept {
  std::array<typename S::code, encode_chunk> codes;
  const float* x = row_of(w, r);
  for (index c = 0; c < w.cols(); c += encode_chunk) {
    const index end = w.cols() - c < encode_chunk ? w.cols() : c + encode_chunk;
    for_each_stretch<S>(r, c, end, w.cols(), choices.params(),
                        [&](index first, index n, const auto& params) {
                          const element_draws draws{g, r * w.cols() + first};
                          encode_stretch<representative<S>>(x + first, n, params, draws,
                                                            codes.data() + (first - c));
                        });
    pack_codes<typename S::storage>(codes.data(), end - c, bytes + c * S::storage::bits / 8);
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
