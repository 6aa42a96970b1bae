#pragma once
/// Computes codes of binary and ternary storages from signs. Private to quantize().
///
///     binary    x < 0 ? -1 : 1
///     ternary   |x| >= threshold ? sign(x) : 0

#include "fewbit/begin.hpp"

#include <array>
#include <cstdint>

#include "fewbit/core/random.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/element_params.hpp"
#include "fewbit/quant/group_choices.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

template <Scheme S>
  requires(!S::is_integer && !CodebookScheme<S>)
void encode_row(const matrix_ref& w, index r, const group_choices<S>& choices,
                const generator& /*g*/, std::uint8_t* bytes) noexcept {
  using code = typename S::code;
  std::array<code, encode_chunk> codes;
  const float* x = row_of(w, r);
  for (index c = 0; c < w.cols(); c += encode_chunk) {
    const index end = w.cols() - c < encode_chunk ? w.cols() : c + encode_chunk;
    for (index i = c; i < end; ++i) {
      auto& out = codes[static_cast<std::size_t>(i - c)];
      if constexpr (S::storage::bits == 1) {
        out = x[i] < 0.0F ? code{-1} : code{1};
      } else {
        const auto group = static_cast<std::size_t>(S::granularity::scale_of(r, i, w.cols()));
        const float threshold = choices.thresholds[group];
        out = static_cast<code>(int{x[i] >= threshold} - int{x[i] <= -threshold});
      }
    }
    pack_codes<typename S::storage>(codes.data(), end - c, bytes + c * S::storage::bits / 8);
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
