#pragma once
/// Finds out which layout the tensors of a layer have, and unpacks them.
///
/// Read next: io/checkpoint.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/awq.hpp"
#include "fewbit/formats/code_words.hpp"
#include "fewbit/formats/codes_in_groups.hpp"
#include "fewbit/formats/compressed_tensors.hpp"
#include "fewbit/formats/gptq.hpp"
#include "fewbit/io/checkpoint/tensors.hpp"
#include "fewbit/io/dtype.hpp"
#include "fewbit/io/tensor_view.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// How the weights of a layer are packed.
enum class checkpoint_format : std::uint8_t {
  gptq_v1,
  gptq_v2,
  awq,
  pack_quantized,
  int_quantized
};

/// What the tensors of a layer may not tell.
struct checkpoint_options {
  /// Inputs that share a scale ("group_size"). 0: the number of inputs divided by that of groups.
  index group = 0;
  /// Bits of a code of pack_quantized. 0: those that fit the shape of the words.
  int bits = 0;
  /// The version of GPTQ that the checkpoint declares ("checkpoint_format").
  std::optional<gptq_version> version;
};

/// A layer of a checkpoint, unpacked.
struct checkpoint_codes {
  checkpoint_format format = checkpoint_format::gptq_v1;
  gptq_evidence evidence = gptq_evidence::declared;  ///< of GPTQ: what said the version
  codes_in_groups weights;
  Eigen::VectorXf bias;  ///< n numbers or none
};

/// "GPTQ version 1".
[[nodiscard]] constexpr std::string_view name_of(checkpoint_format format) noexcept {
  constexpr std::string_view names[] = {"GPTQ version 1", "GPTQ version 2", "AWQ gemm",
                                        "pack-quantized", "int-quantized"};
  return names[static_cast<std::size_t>(format)];
}

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Passes a bad element of `tensor` to the reader.
struct fail_in_part {
  const checkpoint_tensors& in;
  std::string_view suffix;

  [[noreturn]] void operator()(const char* /*tensor*/, index row, index col, const std::string& got,
                               const std::string& want) const {
    const tensor_view t = in.at(suffix);
    const index width = t.shape.empty() ? 1 : t.shape.back();
    const auto number = static_cast<std::uint64_t>(row * width + col);
    in.fail_tensor(t, "number " + std::to_string(number), got, want,
                   number * static_cast<std::uint64_t>(bits_of(t.type)) / 8);
  }
};

/// The number of inputs that share a scale.
[[nodiscard]] inline index group_of(const checkpoint_tensors& in, index k, index groups,
                                    std::span<const std::int32_t> group_of_input,
                                    const checkpoint_options& options) {
  const auto fail = [&](const std::string& want) {
    in.fail_layer("number of groups",
                  std::to_string(groups) + " of " + std::to_string(k) + " inputs", want);
  };
  index group = options.group;
  if (group < 0) in.fail_layer("options.group", std::to_string(group), "0 or a number of inputs");
  if (groups == 1) return group == 0 ? k : std::max(group, k);
  if (group == 0 && k % groups == 0) group = k / groups;
  if (group == 0) group = std::count(group_of_input.begin(), group_of_input.end(), 0);
  if (group == 0) fail("a divisor of it, or options.group");
  if (groups_of_columns(k, group) != groups) fail(std::to_string(groups_of_columns(k, group)));
  return group;
}

inline void expect_extents_of_layer(const checkpoint_tensors& in, index n, index k) {
  if (n >= 1 && k >= 1 && n <= most_extent && k <= most_extent) return;
  in.fail_layer("shape", shape_text(n, k), "1 to 2147483647 outputs and inputs");
}

/// n from `scales`, which has a row for each group.
struct scale_shape {
  index groups, n;
};
[[nodiscard]] inline scale_shape shape_of_scales(const checkpoint_tensors& in) {
  const tensor_view t = in.matrix("scales");
  return {t.shape[0], t.shape[1]};
}

[[nodiscard]] inline int bits_of_gptq(const checkpoint_tensors& in, const tensor_view& zeros,
                                      index n) {
  for (const int bits : {2, 3, 4, 8}) {
    if (zeros.shape[1] <= most_extent && zeros.shape[1] * 32 == n * bits) return bits;
  }
  in.fail_tensor(zeros, "shape", text_of_shape(zeros.shape),
                 "columns of words for " + std::to_string(n) + " zero points of 2, 3, 4 or 8 bits");
}

[[nodiscard]] inline checkpoint_codes read_gptq(const checkpoint_tensors& in,
                                                const tensor_view& words,
                                                const checkpoint_options& options) {
  const auto [groups, n] = shape_of_scales(in);
  const tensor_view zeros = in.matrix("qzeros");
  const int bits = bits_of_gptq(in, zeros, n);
  in.expect_shape(zeros, groups, zeros.shape[1]);
  const index rows = words.shape[0];
  if (rows > most_extent || rows * 32 % bits != 0) {
    in.fail_tensor(words, "shape", text_of_shape(words.shape),
                   "rows of whole codes of " + std::to_string(bits) + " bits");
  }
  gptq_weights w{n, rows * 32 / bits, bits, 0, gptq_version::v1, in.words(words), {}, {}, {}};
  expect_extents_of_layer(in, w.n, w.k);
  w.g_idx = in.groups("g_idx", w.k);
  w.group = group_of(in, w.k, groups, w.g_idx, options);
  w.qzeros = in.words(zeros);
  w.scales = in.floats(in.at("scales"));
  const auto choice = choose_gptq_version(w.qzeros, bits, options.version);
  if (!choice) {
    in.fail_tensor(zeros, "version",
                   "unknown, because zero points are not those of symmetric codes",
                   "options.version, from the configuration of the checkpoint");
  }
  w.version = choice->version;
  return {w.version == gptq_version::v1 ? checkpoint_format::gptq_v1 : checkpoint_format::gptq_v2,
          choice->evidence, unpack_gptq(w, fail_in_part{in, "g_idx"}), in.bias(n)};
}

[[nodiscard]] inline checkpoint_codes read_awq(const checkpoint_tensors& in,
                                               const tensor_view& words,
                                               const checkpoint_options& options) {
  const auto [groups, n] = shape_of_scales(in);
  const index k = words.shape[0];
  expect_extents_of_layer(in, n, k);
  const tensor_view zeros = in.matrix("qzeros");
  in.expect_shape(zeros, groups, n / 8);
  const awq_weights w{n,
                      k,
                      group_of(in, k, groups, {}, options),
                      in.words(words),
                      in.words(zeros),
                      in.floats(in.at("scales"))};
  return {checkpoint_format::awq, gptq_evidence::declared, unpack_awq(w), in.bias(n)};
}

/// Layers with a tensor `qweight`: GPTQ has a column of words for each output, AWQ for each eight.
[[nodiscard]] inline checkpoint_codes read_qweight(const checkpoint_tensors& in,
                                                   const checkpoint_options& options) {
  const tensor_view words = in.matrix("qweight");
  if (words.type == dtype::i16) {
    in.fail_type(words,
                 "I32; I16 is the interleaved layout of llm-awq, so convert the checkpoint to the "
                 "gemm layout of AutoAWQ");
  }
  const index n = shape_of_scales(in).n;
  if (words.shape[1] == n) return read_gptq(in, words, options);
  if (n % 8 == 0 && words.shape[1] == n / 8) return read_awq(in, words, options);
  in.fail_tensor(words, "shape", text_of_shape(words.shape),
                 std::to_string(n) + " columns (GPTQ), or an eighth of them (AWQ)");
}

/// Scales of compressed-tensors: one for each group of each output, for each output, or for all.
[[nodiscard]] inline std::vector<float> read_weight_scale(const checkpoint_tensors& in, index n,
                                                          index& groups) {
  const tensor_view t = in.at("weight_scale");
  std::vector<float> scales = in.floats(t);
  groups = 1;
  if (t.shape.size() == 2 && t.shape[0] == n && t.shape[1] >= 1) {
    groups = t.shape[1];
  } else if (scales.size() == 1) {
    scales.assign(static_cast<std::size_t>(n), scales[0]);
  } else if (t.shape.size() != 1 || t.shape[0] != n) {
    in.fail_tensor(t, "shape", text_of_shape(t.shape),
                   std::to_string(n) + " rows with a scale for each group, or one number");
  }
  return scales;
}

/// Replaces zero points by those of a tensor of signed bytes, one for each scale or one for all.
inline void read_plain_zeros(const checkpoint_tensors& in, const tensor_view& t,
                             codes_in_groups& w) {
  const auto zeros = checkpoint_tensors::numbers<std::int8_t>(t);
  const bool is_one = zeros.size() == 1;
  if (!is_one && zeros.size() != static_cast<std::size_t>(w.zeros.size())) {
    in.fail_tensor(t, "shape", text_of_shape(t.shape), "that of the scales");
  }
  const int middle = 1 << (w.bits - 1);
  for (index i = 0; i < w.zeros.size(); ++i) {
    const int zero = middle + zeros[is_one ? 0 : static_cast<std::size_t>(i)];
    if (zero < 0 || zero >= 2 * middle) {
      in.fail_tensor(t, "number " + std::to_string(i), std::to_string(zero - middle),
                     interval(-middle, middle - 1), static_cast<std::uint64_t>(is_one ? 0 : i));
    }
    w.zeros.data()[i] = static_cast<std::int16_t>(zero);
  }
}

/// n and k of pack_quantized.
[[nodiscard]] inline std::pair<index, index> read_weight_shape(const checkpoint_tensors& in) {
  const tensor_view t = in.at("weight_shape");
  const index want[] = {2};
  if (t.shape.size() != 1 || t.shape[0] != 2) {
    in.fail_tensor(t, "shape", text_of_shape(t.shape), text_of_shape(want));
  }
  if (t.type == dtype::i32) {
    const auto shape = checkpoint_tensors::numbers<std::int32_t>(t);
    return {shape[0], shape[1]};
  }
  if (t.type != dtype::i64) in.fail_type(t, "I32 or I64");
  const auto shape = checkpoint_tensors::numbers<std::int64_t>(t);
  return {shape[0], shape[1]};
}

/// The width of codes for which k of them fill the columns of the words.
[[nodiscard]] inline int bits_of_pack_quantized(const checkpoint_tensors& in,
                                                const tensor_view& words, index k,
                                                const checkpoint_options& options) {
  int found = 0, count = 0;
  for (const int bits : {2, 3, 4, 8}) {
    const bool fits = aligned_words{bits}.words(k) == words.shape[1];
    if (!fits || (options.bits != 0 && options.bits != bits)) continue;
    found = bits;
    ++count;
  }
  if (count == 1) return found;
  in.fail_tensor(words, "shape", text_of_shape(words.shape),
                 count > 1
                     ? "options.bits, because several widths of codes fit"
                     : "columns of words for " + std::to_string(k) + " codes of " +
                           (options.bits != 0 ? std::to_string(options.bits) : "2, 3, 4 or 8") +
                           " bits");
}

[[nodiscard]] inline checkpoint_codes read_pack_quantized(const checkpoint_tensors& in,
                                                          const checkpoint_options& options) {
  const tensor_view words = in.matrix("weight_packed");
  const auto [n, k] = read_weight_shape(in);
  expect_extents_of_layer(in, n, k);
  in.expect_shape(words, n, words.shape[1]);
  pack_quantized_weights w{n, k, bits_of_pack_quantized(in, words, k, options), 0, {}, {}, {}, {}};
  index groups = 1;
  w.weight_scale = read_weight_scale(in, n, groups);
  w.weight_packed = in.words(words);
  w.weight_g_idx = in.groups("weight_g_idx", k);
  w.group = group_of(in, k, groups, w.weight_g_idx, options);
  const auto zeros = in.find("weight_zero_point");
  const bool are_plain = zeros && zeros->type == dtype::i8;
  if (zeros && !are_plain) {
    in.expect_shape(*zeros, aligned_words{w.bits}.words(n), groups);
    w.weight_zero_point = in.words(*zeros);
  }
  checkpoint_codes result{checkpoint_format::pack_quantized, gptq_evidence::declared,
                          unpack_pack_quantized(w, fail_in_part{in, "weight_g_idx"}), in.bias(n)};
  if (are_plain) read_plain_zeros(in, *zeros, result.weights);
  return result;
}

/// Layers whose codes of 8 bits are not packed.
[[nodiscard]] inline checkpoint_codes read_int_quantized(const checkpoint_tensors& in,
                                                         const checkpoint_options& options) {
  const tensor_view codes = in.matrix("weight");
  const index n = codes.shape[0], k = codes.shape[1];
  expect_extents_of_layer(in, n, k);
  index groups = 1;
  const std::vector<float> scales = read_weight_scale(in, n, groups);
  const index group = group_of(in, k, groups, {}, options);
  checkpoint_codes result{checkpoint_format::int_quantized,
                          gptq_evidence::declared,
                          {8,
                           group,
                           row_matrix<std::uint8_t>(n, k),
                           Eigen::Map<const row_matrix<float>>(scales.data(), n, groups),
                           row_matrix<std::int16_t>::Constant(n, groups, 128),
                           {}},
                          in.bias(n)};
  for (index i = 0; i < n * k; ++i) {
    const auto byte = std::to_integer<unsigned>(codes.bytes[static_cast<std::size_t>(i)]);
    result.weights.codes.data()[i] = static_cast<std::uint8_t>(byte ^ 128U);
  }
  if (const auto zeros = in.find("weight_zero_point")) {
    if (zeros->type != dtype::i8) in.fail_type(*zeros, "I8");
    read_plain_zeros(in, *zeros, result.weights);
  }
  return result;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
