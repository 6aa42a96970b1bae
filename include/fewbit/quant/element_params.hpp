#pragma once
/// The scale and zero point of each element of a row: private to quantize() and dequantize().
///
/// A row is cut into stretches. All elements of a stretch share one scale, or each has its own
/// (per_col); the loops take both forms through scale_at(i) and zero_at(i).

#include "fewbit/begin.hpp"

#include <cstdint>
#include <span>
#include <type_traits>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/granularity.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Columns that are packed or unpacked at a time: whole bytes of any storage.
inline constexpr index encode_chunk = 256;

/// One scale and zero point for a stretch.
struct shared_params {
  float scale;
  std::int32_t zero;

  template <class V>
  FEWBIT_ALWAYS_INLINE V scale_at(index /*i*/) const noexcept {
    return V(scale);
  }
  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, std::int32_t> zero_at(index /*i*/) const noexcept {
    return arch::rebind<V, std::int32_t>(zero);
  }
};

/// A scale and zero point for each element of a stretch. Without `zeros`, zero points are 0.
template <class Code>
struct column_params {
  const float* scales;
  const Code* zeros;

  template <class V>
  FEWBIT_ALWAYS_INLINE V scale_at(index i) const noexcept {
    return arch::load<V>(scales + i);
  }
  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, std::int32_t> zero_at(index i) const noexcept {
    if (zeros == nullptr) return arch::rebind<V, std::int32_t>(0);
    return arch::convert<std::int32_t>(arch::load<arch::rebind<V, Code>>(zeros + i));
  }
};

/// Cuts columns [first, last) of row r into stretches with one parameter source each and calls
/// f(column, length, params).
template <Scheme S, class F>
FEWBIT_ALWAYS_INLINE void for_each_stretch(index r, index first, index last, index cols,
                                           std::span<const float> scales,
                                           std::span<const typename S::code> zeros, const F& f) {
  using granularity = typename S::granularity;
  if constexpr (std::is_same_v<granularity, per_col>) {
    f(first, last - first,
      column_params<typename S::code>{scales.data() + first,
                                      S::is_affine ? zeros.data() + first : nullptr});
  } else {
    const index run = granularity::run(cols);
    for (index c = first; c < last;) {
      const index run_end = (c / run + 1) * run;
      const index end = run_end < last ? run_end : last;
      const auto g = static_cast<std::size_t>(granularity::scale_of(r, c, cols));
      std::int32_t zero = 0;
      if constexpr (S::is_affine) zero = zeros[g];
      f(c, end - c, shared_params{scales[g], zero});
      c = end;
    }
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
