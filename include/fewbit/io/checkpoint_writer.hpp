#pragma once
/// Writes layers of GPTQ, AWQ and compressed-tensors into safetensors files.
///
///     safetensors_writer out("model.safetensors");
///     save(out, "model.layers.0.mlp.down_proj", to_gptq(to_codes(q, order)), bias);
///     save(out, "model.layers.0.mlp.up_proj", to_awq(to_codes(p)));
///     out.close();
///
/// Scales are F16, as most programs expect them, or F32 or BF16; a scale that is not a number of
/// that type is refused. A bias is stored in the same type. Programs also read a configuration
/// (bits, group size, version), which is a text file beside this one and not written here.
/// Read next: checkpoint.hpp (reading, and the table of tensors).

#include "fewbit/begin.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/awq.hpp"
#include "fewbit/formats/code_words.hpp"
#include "fewbit/formats/compressed_tensors.hpp"
#include "fewbit/formats/gptq.hpp"
#include "fewbit/io/dtype.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/safetensors_writer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The tensors of a layer, checked before any is written.
class checkpoint_parts {
 public:
  checkpoint_parts(const safetensors_writer& out, std::string name)
      : file_(out.path()), out_(out), name_(std::move(name)) {}

  template <class T>
  void add(const char* suffix, std::vector<index> shape, const std::vector<T>& numbers) {
    const auto bytes = std::as_bytes(std::span(numbers));
    add(suffix, dtype_of<T>, std::move(shape), {bytes.begin(), bytes.end()});
  }

  /// Numbers as F16, BF16 or F32.
  void add_reals(const char* suffix, std::vector<index> shape, std::span<const float> numbers,
                 dtype type) {
    if (type == dtype::f16) return add_as<Eigen::half>(suffix, std::move(shape), numbers);
    if (type == dtype::bf16) return add_as<Eigen::bfloat16>(suffix, std::move(shape), numbers);
    if (type == dtype::f32) return add_as<float>(suffix, std::move(shape), numbers);
    fail("save", "type of scales", std::string(fewbit::name_of(type)), "F16, BF16 or F32");
  }

  void add_bias(const Eigen::Ref<const Eigen::VectorXf>& bias, index n, dtype type) {
    if (bias.size() == 0) return;
    expect_equal("save", "length of bias", bias.size(), n);
    add_reals("bias", {n}, {bias.data(), static_cast<std::size_t>(n)}, type);
  }

  void write(safetensors_writer& out) const {
    for (const part& p : parts_) out.write(p.name, p.type, p.shape, p.bytes);
  }

 private:
  struct part {
    std::string name;
    dtype type;
    std::vector<index> shape;
    std::vector<std::byte> bytes;
  };

  void add(const char* suffix, dtype type, std::vector<index> shape, std::vector<std::byte> bytes) {
    std::string name = name_ + "." + suffix;
    if (out_.contains(name)) {
      fail("save", "tensor " + name_text(name) + " in " + path_text(file_), "there already",
           "a new one");
    }
    parts_.push_back({std::move(name), type, std::move(shape), std::move(bytes)});
  }

  template <class T>
  void add_as(const char* suffix, std::vector<index> shape, std::span<const float> numbers) {
    std::vector<T> rounded;
    rounded.reserve(numbers.size());
    for (const float x : numbers) {
      rounded.push_back(static_cast<T>(x));
      if (is_finite(x) && static_cast<float>(rounded.back()) == x) continue;
      fail("save",
           "number " + std::to_string(rounded.size() - 1) + " of tensor " +
               name_text(name_ + "." + suffix) + " in " + path_text(file_),
           x, "a finite number of type " + std::string(fewbit::name_of(dtype_of<T>)));
    }
    add(suffix, std::move(shape), rounded);
  }

  std::string file_;
  const safetensors_writer& out_;
  std::string name_;
  std::vector<part> parts_;
};

/// Words as other programs store them.
[[nodiscard]] inline std::vector<std::int32_t> as_int32(const std::vector<std::uint32_t>& words) {
  std::vector<std::int32_t> result;
  result.reserve(words.size());
  for (const std::uint32_t word : words) result.push_back(static_cast<std::int32_t>(word));
  return result;
}

}  // namespace detail

/// Writes the tensors of a layer: qweight, qzeros, scales, g_idx, and bias unless it is empty.
///
/// @param type  of scales and bias: F16, BF16 or F32
/// @throws fewbit::error if sizes do not agree, if a number is not one of `type`, or if there is a
///         tensor of one of the names; the file stays as it was
inline void save(safetensors_writer& out, const std::string& name, const gptq_weights& w,
                 const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                 dtype type = dtype::f16) {
  detail::expect_gptq("save", w);
  const detail::gptq_extents extents(w);
  detail::checkpoint_parts parts(out, name);
  parts.add("qweight", {extents.code_rows, w.n}, detail::as_int32(w.qweight));
  parts.add("qzeros", {extents.groups, extents.zero_cols}, detail::as_int32(w.qzeros));
  parts.add_reals("scales", {extents.groups, w.n}, w.scales, type);
  std::vector<std::int32_t> groups = w.g_idx;
  for (index c = 0; w.g_idx.empty() && c < w.k; ++c)
    groups.push_back(static_cast<std::int32_t>(c / w.group));
  parts.add("g_idx", {w.k}, groups);
  parts.add_bias(bias, w.n, type);
  parts.write(out);
}

/// The same for AWQ: qweight, qzeros, scales, and bias unless it is empty.
inline void save(safetensors_writer& out, const std::string& name, const awq_weights& w,
                 const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                 dtype type = dtype::f16) {
  detail::expect_awq("save", w);
  const index groups = detail::groups_of_columns(w.k, w.group);
  detail::checkpoint_parts parts(out, name);
  parts.add("qweight", {w.k, w.n / 8}, detail::as_int32(w.qweight));
  parts.add("qzeros", {groups, w.n / 8}, detail::as_int32(w.qzeros));
  parts.add_reals("scales", {groups, w.n}, w.scales, type);
  parts.add_bias(bias, w.n, type);
  parts.write(out);
}

/// The same for compressed-tensors: weight_packed, weight_shape, weight_scale, and
/// weight_zero_point, weight_g_idx and bias unless they are empty.
inline void save(safetensors_writer& out, const std::string& name, const pack_quantized_weights& w,
                 const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                 dtype type = dtype::f16) {
  detail::expect_pack_quantized("save", w);
  const detail::aligned_words words{w.bits};
  const index groups = detail::groups_of_columns(w.k, w.group);
  detail::checkpoint_parts parts(out, name);
  parts.add("weight_packed", {w.n, words.words(w.k)}, detail::as_int32(w.weight_packed));
  parts.add("weight_shape", {2}, std::vector<std::int64_t>{w.n, w.k});
  parts.add_reals("weight_scale", {w.n, groups}, w.weight_scale, type);
  if (!w.weight_zero_point.empty()) {
    parts.add("weight_zero_point", {words.words(w.n), groups},
              detail::as_int32(w.weight_zero_point));
  }
  if (!w.weight_g_idx.empty()) parts.add("weight_g_idx", {w.k}, w.weight_g_idx);
  parts.add_bias(bias, w.n, type);
  parts.write(out);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
