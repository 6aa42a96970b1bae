#pragma once
/// The layout "pack-quantized" of compressed-tensors (LLM Compressor, vLLM).
///
///     const auto q = to_quantized<uint4_grouped<128>>(from_pack_quantized(tensors));
///
/// | tensor            | elements                      | content                                |
/// |-------------------|-------------------------------|----------------------------------------|
/// | weight_packed     | n rows of ceil(k / per word)  | signed codes plus 2^(bits-1), aligned  |
/// | weight_scale      | n rows of groups              | value = (code - zero point) * scale    |
/// | weight_zero_point | ceil(n / per word) rows of    | signed zero points plus 2^(bits-1),    |
/// |                   | groups, or none               | packed along the outputs; none: 0      |
/// | weight_g_idx      | k, or none                    | the group of each input; all -1: none  |
///
/// A word has floor(32 / bits) codes: 10 of 3 bits, and two unused bits. Any n and k are possible.
/// Source: https://github.com/vllm-project/compressed-tensors.
/// Read next: codes_in_groups.hpp, io/checkpoint.hpp (files).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/code_words.hpp"
#include "fewbit/formats/codes_in_groups.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// The tensors of a layer of n outputs and k inputs.
struct pack_quantized_weights {
  index n = 0;
  index k = 0;
  int bits = 4;     ///< 2, 3, 4 or 8
  index group = 0;  ///< inputs that share a scale
  std::vector<std::uint32_t> weight_packed;
  std::vector<float> weight_scale;
  std::vector<std::uint32_t> weight_zero_point;
  std::vector<std::int32_t> weight_g_idx;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

inline void expect_pack_quantized(const char* function, const pack_quantized_weights& w) {
  expect_packed_shape(function, w.n, w.k, w.bits, w.group);
  const aligned_words words{w.bits};
  const index groups = groups_of_columns(w.k, w.group);
  expect_length(function, "weight_packed", w.weight_packed, w.n, words.words(w.k));
  expect_length(function, "weight_scale", w.weight_scale, w.n, groups);
  if (!w.weight_zero_point.empty()) {
    expect_length(function, "weight_zero_point", w.weight_zero_point, words.words(w.n), groups);
  }
  if (!w.weight_g_idx.empty()) expect_length(function, "weight_g_idx", w.weight_g_idx, w.k, 1);
}

/// Unpacks the tensors; their sizes were checked.
template <class Fail>
[[nodiscard]] codes_in_groups unpack_pack_quantized(const pack_quantized_weights& w,
                                                    const Fail& fail) {
  const aligned_words words{w.bits};
  const index groups = groups_of_columns(w.k, w.group), row_words = words.words(w.k);
  const bool is_unset = std::all_of(w.weight_g_idx.begin(), w.weight_g_idx.end(),
                                    [](std::int32_t g) { return g == -1; });
  codes_in_groups result{w.bits,
                         w.group,
                         row_matrix<std::uint8_t>(w.n, w.k),
                         row_matrix<float>(w.n, groups),
                         row_matrix<std::int16_t>(w.n, groups),
                         is_unset
                             ? std::vector<index>()
                             : order_of_groups("weight_g_idx", w.weight_g_idx, w.k, w.group, fail)};
  for (index r = 0; r < w.n; ++r) {
    for (index c = 0; c < w.k; ++c)
      result.codes(r, c) = words.get({w.weight_packed.data() + r * row_words, 1}, c);
    for (index g = 0; g < groups; ++g) {
      result.scales(r, g) = w.weight_scale[static_cast<std::size_t>(r * groups + g)];
      result.zeros(r, g) = w.weight_zero_point.empty()
                               ? static_cast<std::int16_t>(1 << (w.bits - 1))
                               : words.get({w.weight_zero_point.data() + g, groups}, r);
    }
  }
  sort_columns(result.codes, result.order);
  return result;
}

}  // namespace detail

/// Unpacks the tensors of a layer and sorts its columns by their groups.
///
/// @throws fewbit::error if sizes do not agree, or if weight_g_idx names no group or gives a group
///         another number of inputs than `group`
[[nodiscard]] inline codes_in_groups from_pack_quantized(const pack_quantized_weights& w) {
  detail::expect_pack_quantized("from_pack_quantized", w);
  return detail::unpack_pack_quantized(w, detail::fail_in_tensor{"from_pack_quantized"});
}

/// Packs weights. Zero points are left out if all of them are 2^(bits-1). If columns have an order,
/// weight_g_idx has the group of each input.
///
/// @throws fewbit::error if the parts do not agree, or with the first zero point of 2^bits
[[nodiscard]] inline pack_quantized_weights to_pack_quantized(const codes_in_groups& w) {
  constexpr const char* function = "to_pack_quantized";
  detail::expect_codes_in_groups(function, w);
  const index n = w.codes.rows(), k = w.codes.cols(), groups = w.scales.cols();
  detail::expect_packed_shape(function, n, k, w.bits, w.group);
  const detail::aligned_words words{w.bits};
  const index row_words = words.words(k);
  pack_quantized_weights result{n, k, w.bits, w.group, {}, {}, {}, {}};
  result.weight_packed.resize(static_cast<std::size_t>(n * row_words));
  result.weight_zero_point.resize(static_cast<std::size_t>(words.words(n) * groups));
  const std::vector<index> inputs = detail::inputs_of_columns(w);
  bool is_symmetric = true;
  for (index r = 0; r < n; ++r) {
    const detail::words_out row{result.weight_packed.data() + r * row_words, 1};
    for (index c = 0; c < k; ++c)
      words.put(row, inputs[static_cast<std::size_t>(c)], w.codes(r, c));
    for (index g = 0; g < groups; ++g) {
      const int zero = w.zeros(r, g), most = (1 << w.bits) - 1;
      if (zero > most) {
        detail::fail(function, detail::element("zeros", r, g), zero, detail::interval(0, most));
      }
      is_symmetric = is_symmetric && zero == 1 << (w.bits - 1);
      words.put({result.weight_zero_point.data() + g, groups}, r, static_cast<std::uint32_t>(zero));
      result.weight_scale.push_back(w.scales(r, g));
    }
  }
  if (is_symmetric) result.weight_zero_point.clear();
  result.weight_g_idx = detail::groups_of_order(w.order, w.group);
  return result;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
