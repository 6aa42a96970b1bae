#pragma once
/// The scale and zero point, or minimum, of each element of a row. Private to quantize() and
/// dequantize().
///
/// A row is cut into stretches. The elements of a stretch share one scale, or each has its own
/// scale (per_col). Loops read both forms through scale_at(i) and zero_at(i).

#include "fewbit/begin.hpp"

#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/granularity.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Columns that are packed or unpacked together. They fill whole bytes for every storage.
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

/// One scale and minimum for a stretch.
///
/// If the values of a group span more than the largest float, differences and products would
/// overflow. Then everything is computed on a quarter of the values, which does not change their
/// significant bits. A scale of 0 is treated in the same way.
struct shared_minimum {
  float scale;
  float minimum;
  bool is_ordinary;

  template <Scheme S>
  static shared_minimum of(float scale, float minimum) noexcept {
    constexpr double largest = std::numeric_limits<float>::max();
    return {scale, minimum, scale != 0.0F && double{scale} * S::code_max <= largest};
  }
};

/// Parameters of all groups, in the order of granularity::scale_of.
template <Scheme S>
struct params_of_groups {
  std::span<const float> scales;
  std::span<const typename S::code> zeros = {};  ///< affine schemes
  std::span<const float> minima = {};            ///< schemes with minima
};

/// Cuts columns [first, last) of row r into stretches and calls f(column, length, params) for each.
template <Scheme S, class F>
FEWBIT_ALWAYS_INLINE void for_each_stretch(index r, index first, index last, index cols,
                                           const params_of_groups<S>& all, const F& f) {
  using granularity = typename S::granularity;
  if constexpr (std::is_same_v<granularity, per_col>) {
    f(first, last - first,
      column_params<typename S::code>{all.scales.data() + first,
                                      S::is_affine ? all.zeros.data() + first : nullptr});
  } else {
    const index run = granularity::run(cols);
    for (index c = first; c < last;) {
      const index run_end = (c / run + 1) * run;
      const index end = run_end < last ? run_end : last;
      const auto g = static_cast<std::size_t>(granularity::scale_of(r, c, cols));
      if constexpr (S::has_minimum) {
        f(c, end - c, shared_minimum::of<S>(all.scales[g], all.minima[g]));
      } else {
        std::int32_t zero = 0;
        if constexpr (S::is_affine) zero = all.zeros[g];
        f(c, end - c, shared_params{all.scales[g], zero});
      }
      c = end;
    }
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
