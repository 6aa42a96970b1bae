#pragma once
/// Quantized matrices from GGUF files: load, visit. Every value is kept, or the tensor is refused.
///
///     const gguf_file file("model-Q4_0.gguf");
///     const linear<uint4_grouped<32>> layer(load<uint4_grouped<32>>(file, "blk.0.attn_q.weight"));
///     visit(file, "blk.0.attn_v.weight", [&](const auto& q) { w = dequantize(q); });
///
/// | type                       | scheme                                    | refused                 |
/// |----------------------------|-------------------------------------------|-------------------------|
/// | Q8_0                       | int8_grouped<32>                          | code -128               |
/// | Q5_0                       | int8_grouped<32>                          |                         |
/// | Q4_0                       | uint4_grouped<32>, zero point 8, or 7     |                         |
/// | Q4_1                       | uint4_grouped_minimum<32>                 | negative scale          |
/// | Q4_K, Q5_K, Q6_K and so on | formats/ggml_grouped_convert.hpp has them | as that header says     |
/// | MXFP4, by load() alone     | codebook_grouped<4, 32>, which keeps 4    | e > 251                 |
/// |                            | bits (formats/mxfp4_codebook.hpp)         |                         |
///
/// A scale or a minimum that is not finite is always refused. The zero point of a group of Q4_0 is
/// 7 if its scale was negative: code q is 15 - q then. Where a scale is 0, so is every value: codes
/// then mean 0. A tensor of more than two extents is a matrix of rows() x cols().
/// Read next: gguf.hpp, formats/ggml_convert.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/ggml_blocks.hpp"
#include "fewbit/formats/ggml_convert.hpp"
#include "fewbit/formats/ggml_grouped_blocks.hpp"
#include "fewbit/formats/ggml_grouped_convert.hpp"
#include "fewbit/formats/mxfp4_codebook.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/gguf.hpp"
#include "fewbit/io/gguf/tensor.hpp"
#include "fewbit/io/gguf/types.hpp"
#include "fewbit/io/scheme_text.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// A block of one group, as a grouped one.
using one_group = block_groups<int{ggml_block_size}, int{ggml_block_size}>;

/// q8_0, q5_0 and q4_1.
template <GgmlBlock B>
void unpack_groups(const B& block, one_group& group) noexcept {
  unpack_block(block, group.codes);
  for (std::int8_t& code : group.codes) code = static_cast<std::int8_t>(code - B::zero);
  group.scales[0] = read_half(block.d);
  if constexpr (B::has_minimum) group.minima[0] = read_half(block.m);
}

/// Fails with the byte of block b of row r, which scheme S cannot hold.
template <class B, Scheme S = scheme_of<B>>
[[noreturn]] void fail_in_block(const gguf_tensor& t, index r, index b, const char* flaw) {
  const index block = r * (t.cols() / weights_of_block<B>)+b;
  const auto byte = static_cast<std::int64_t>(t.byte) + block * static_cast<index>(sizeof(B));
  fail_in_file("load", block_name(r, b), {t.file, byte, t.name}, flaw,
               "a block whose values the scheme " + scheme_text<S>() + " can hold");
}

/// The matrix of a tensor of blocks B. The tensor has elements.
template <class B>
[[nodiscard]] quantized_matrix<scheme_of<B>> quantized_of_tensor(const gguf_tensor& t) {
  using S = scheme_of<B>;
  const std::span<const B> blocks = t.blocks<B>();
  const auto fail = [&](index r, index b, const char* flaw) { fail_in_block<B>(t, r, b, flaw); };
  if constexpr (std::is_same_v<B, q4_0>) {
    const index per_row = t.cols() / ggml_block_size;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (is_finite(read_half(blocks[i].d))) continue;
      const auto block = static_cast<index>(i);
      fail(block / per_row, block % per_row, "a block with a scale that is not finite");
    }
    return to_quantized(
        with_plain_zeros(block_matrix<B>(t.rows(), t.cols(), {blocks.begin(), blocks.end()})));
  } else if constexpr (GgmlBlock<B>) {
    return quantized_of_groups<S, one_group>(t.rows(), t.cols(), blocks, fail);
  } else {
    return quantized_of_groups<S, groups_of<B>>(t.rows(), t.cols(), blocks, fail);
  }
}

[[noreturn]] inline void fail_scheme(const char* function, const gguf_tensor& t,
                                     const std::string& got, const std::string& want) {
  fail_in_file(function, "type", {t.file, static_cast<std::int64_t>(t.byte), t.name}, got, want);
}

inline void expect_convertible(const char* function, const gguf_tensor& t) {
  if (!visit_block(gguf_blocks(), t.type, [](auto /*block*/) {})) {
    fail_scheme(function, t, std::string(name_of(t.type)),
                "a type of blocks that has a scheme; to_floats() and quantize() take others");
  }
  if (!t.bytes.empty()) return;
  fail_in_file(function, "shape", {t.file, -1, t.name}, text_of_shape(t.shape()),
               "at least one row and one column");
}

template <class B, class... Rest, class F>
decltype(auto) visit_tensor(block_list<B, Rest...> /*blocks*/, const gguf_tensor& t, F&& f) {
  if constexpr (sizeof...(Rest) > 0) {
    if (t.type != gguf_type_of_block<B>) {
      return visit_tensor(block_list<Rest...>(), t, std::forward<F>(f));
    }
  }
  return std::forward<F>(f)(quantized_of_tensor<B>(t));
}

}  // namespace detail

/// Converts a tensor to a scheme of its type in the table above.
///
/// @throws fewbit::error if S is another scheme, if the tensor has no elements, or if a block is
///         refused; the error names the tensor and the byte of the block
template <Scheme S>
[[nodiscard]] quantized_matrix<S> load(const gguf_tensor& tensor) {
  detail::expect_convertible("load", tensor);
  quantized_matrix<S> q;
  detail::visit_block(detail::gguf_blocks(), tensor.type, [&](auto block) {
    using B = typename decltype(block)::type;
    if constexpr (std::is_same_v<scheme_of<B>, S>) {
      q = detail::quantized_of_tensor<B>(tensor);
    } else if constexpr (std::is_same_v<B, mxfp4> && std::is_same_v<S, mxfp4_codebook>) {
      q = detail::codebook_of_blocks(tensor.rows(), tensor.cols(), tensor.blocks<B>(),
                                     [&](index r, index b, const char* flaw) {
                                       detail::fail_in_block<B, S>(tensor, r, b, flaw);
                                     });
    } else {
      detail::fail_scheme(
          "load", tensor,
          std::string(name_of(tensor.type)) + " with the scheme " + scheme_text<scheme_of<B>>(),
          scheme_text<S>());
    }
  });
  return q;
}

/// The same by name.
template <Scheme S>
[[nodiscard]] quantized_matrix<S> load(const gguf_file& file, std::string_view name) {
  return load<S>(file.at(name));
}

/// Converts a tensor and calls f with the matrix. Each type of blocks compiles one call of f.
///
/// @return what f returns; it has the same type for every scheme
/// @throws fewbit::error as load(), or if the type of the tensor has no scheme
template <class F>
decltype(auto) visit(const gguf_tensor& tensor, F&& f) {
  detail::expect_convertible("visit", tensor);
  return detail::visit_tensor(detail::gguf_blocks(), tensor, std::forward<F>(f));
}

/// The same by name.
template <class F>
decltype(auto) visit(const gguf_file& file, std::string_view name, F&& f) {
  return visit(file.at(name), std::forward<F>(f));
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
