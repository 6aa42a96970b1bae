#pragma once
/// Converts codes to the real numbers that they stand for.
///
///     row_matrix<float> w_hat = dequantize(q);
///
/// | scheme       | x_hat                                                                  |
/// |--------------|------------------------------------------------------------------------|
/// | integers     | rne((code - zero_point) * scale)                                       |
/// | real_minimum | rne(rne(code * scale) + minimum): the product is rounded, then the sum |
/// | codebooks    | rne(level * scale)                                                     |
///
/// rne rounds to the nearest float. Read before: quantized_matrix.hpp. Read next: metrics.hpp (the
/// error of quantization).

#include "fewbit/begin.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <span>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/element_params.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

template <class Code, class Params>
void decode_stretch(const Code* codes, index n, const Params& params, float* out) noexcept {
  using vec = arch::vec<float, arch::native_lanes<float>>;
  constexpr float largest = std::numeric_limits<float>::max();
  const auto decode = [&]<class V>(index i) {
    const auto code = arch::convert<std::int32_t>(arch::load<arch::rebind<V, Code>>(codes + i));
    using integers = arch::rebind<V, std::int32_t>;
    const integers steps = code - params.template zero_at<V>(i);
    const V value = arch::convert<float>(steps) * params.template scale_at<V>(i);
    arch::store<V>(out + i, arch::clamp(value, V(-largest), V(largest)));
  };
  index i = 0;
  for (; i + vec::lanes <= n; i += vec::lanes) decode.template operator()<vec>(i);
  for (; i < n; ++i) decode.template operator()<float>(i);
}

template <class Code>
void decode_stretch(const Code* codes, index n, const shared_minimum& params, float* out) noexcept {
  using vec = arch::vec<float, arch::native_lanes<float>>;
  constexpr float largest = std::numeric_limits<float>::max();
  if (!params.is_ordinary) {
    // A double holds enough bits: rounding the sum to double and then to float gives the same as
    // rounding it once.
    for (index i = 0; i < n; ++i) {
      const float product = arch::rounded(static_cast<float>(codes[i]) * (params.scale * 0.25F));
      const double value = double{product} * 4.0 + double{params.minimum};
      out[i] = static_cast<float>(arch::clamp(value, -double{largest}, double{largest}));
    }
    return;
  }
  const auto decode = [&]<class V>(index i) {
    const auto code = arch::convert<std::int32_t>(arch::load<arch::rebind<V, Code>>(codes + i));
    const V product = arch::rounded(V(arch::convert<float>(code) * V(params.scale)));
    arch::store<V>(out + i, arch::clamp(V(product + V(params.minimum)), V(-largest), V(largest)));
  };
  index i = 0;
  for (; i + vec::lanes <= n; i += vec::lanes) decode.template operator()<vec>(i);
  for (; i < n; ++i) decode.template operator()<float>(i);
}

template <CodebookScheme S>
void decode_row(const quantized_matrix<S>& q, index r, float* out) noexcept {
  std::array<typename S::code, encode_chunk> codes;
  const std::span<const float> levels = q.levels();
  const std::uint8_t* bytes = q.bytes().data() + r * q.row_bytes();
  for (index c = 0; c < q.cols(); c += encode_chunk) {
    const index end = q.cols() - c < encode_chunk ? q.cols() : c + encode_chunk;
    unpack_codes<typename S::storage>(bytes + c * S::storage::bits / 8, end - c, codes.data());
    for_each_stretch<S>(r, c, end, q.cols(), {q.scales()},
                        [&](index first, index n, const auto& params) {
                          for (index i = 0; i < n; ++i) {
                            const auto code = codes[static_cast<std::size_t>(first - c + i)];
                            out[first + i] = levels[code] * params.template scale_at<float>(i);
                          }
                        });
  }
}

template <Scheme S>
void decode_row(const quantized_matrix<S>& q, index r, float* out) noexcept {
  std::array<typename S::code, encode_chunk> codes;
  const std::uint8_t* bytes = q.bytes().data() + r * q.row_bytes();
  for (index c = 0; c < q.cols(); c += encode_chunk) {
    const index end = q.cols() - c < encode_chunk ? q.cols() : c + encode_chunk;
    unpack_codes<typename S::storage>(bytes + c * S::storage::bits / 8, end - c, codes.data());
    for_each_stretch<S>(r, c, end, q.cols(), {q.scales(), q.zero_points(), q.minima()},
                        [&](index first, index n, const auto& params) {
                          decode_stretch(codes.data() + (first - c), n, params, out + first);
                        });
  }
}

}  // namespace detail

/// The reals that the codes stand for, rows() x cols(). A value of a larger magnitude than the
/// largest float saturates to it, with its sign.
///
/// @param executor  runs the rows
template <Scheme S, Executor E = inline_executor>
[[nodiscard]] row_matrix<float> dequantize(const quantized_matrix<S>& q, const E& executor = {}) {
  row_matrix<float> w(q.rows(), q.cols());
  executor.for_each(q.rows(), [&](index r) { detail::decode_row(q, r, w.data() + r * q.cols()); });
  return w;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
