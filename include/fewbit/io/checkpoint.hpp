#pragma once
/// Quantized layers in safetensors files of other programs: GPTQ, AWQ and compressed-tensors.
///
///     const safetensors_file file("model.safetensors");
///     const auto down = load_checkpoint<uint4_grouped<128>>(file, "model.layers.0.mlp.down_proj");
///     const gathered_linear<uint4_grouped<128>> layer(down.order, down.weights, down.bias);
///
///     for (const std::string_view name : checkpoint_layers(file))    // a scheme known at run time
///       visit_checkpoint(file, name, [&](const auto& layer) { show(name, layer); });
///
/// | format         | tensors of layer p                                                         |
/// |----------------|----------------------------------------------------------------------------|
/// | gptq_v1, _v2   | p.qweight [k bits / 32, n], p.qzeros, p.scales, p.g_idx or none            |
/// | awq            | p.qweight [k, n / 8], p.qzeros, p.scales                                   |
/// | pack_quantized | p.weight_packed, p.weight_shape, p.weight_scale, p.weight_zero_point or    |
/// |                | none, p.weight_g_idx or none                                               |
/// | int_quantized  | p.weight of I8, p.weight_scale, p.weight_zero_point or none                |
///
/// Words are I32, scales F16, BF16 or F32; p.bias, if there is one, has n numbers of these types.
/// All values are kept, or the layer is refused: an error names file, tensor and byte.
///
/// GPTQ: the zero points say whether the version is 1 or 2, if they are those of symmetric codes;
/// they overrule a version that is declared. If they do not tell and none is declared, the layer is
/// refused. `format` and `evidence` of the result tell what was chosen, and why.
/// Read next: formats/gptq.hpp, formats/awq.hpp, formats/compressed_tensors.hpp (the layouts),
/// checkpoint_writer.hpp, ops/gathered_linear.hpp (layers whose inputs have an order).

#include "fewbit/begin.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/codes_in_groups.hpp"
#include "fewbit/formats/gptq.hpp"
#include "fewbit/io/checkpoint/read_layer.hpp"
#include "fewbit/io/checkpoint/tensors.hpp"
#include "fewbit/io/dtype.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/quantized.hpp"
#include "fewbit/io/safetensors.hpp"
#include "fewbit/io/scheme_text.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A layer of a checkpoint. Column c of the weights belongs to input order[c]; an empty order means
/// that columns are in place.
template <Scheme S>
struct checkpoint_layer {
  quantized_matrix<S> weights;
  Eigen::VectorXf bias;  ///< n numbers or none
  std::vector<index> order;
  checkpoint_format format;
  gptq_evidence evidence;  ///< of GPTQ: what said the version
};

namespace detail {

/// The name of the tensor whose presence says that there is a layer.
enum class checkpoint_kind : std::uint8_t { none, qweight, weight_packed, weight_of_bytes };

[[nodiscard]] inline checkpoint_kind kind_of_checkpoint(const checkpoint_tensors& in) {
  if (in.find("qweight")) return checkpoint_kind::qweight;
  if (in.find("weight_packed")) return checkpoint_kind::weight_packed;
  const auto weight = in.find("weight");
  const bool is_coded = weight && weight->type == dtype::i8 && in.find("weight_scale");
  return is_coded ? checkpoint_kind::weight_of_bytes : checkpoint_kind::none;
}

[[nodiscard]] inline checkpoint_codes read_checkpoint_layer(const checkpoint_tensors& in,
                                                            const checkpoint_options& options) {
  expect_little_endian_files("read_checkpoint");
  switch (kind_of_checkpoint(in)) {
    case checkpoint_kind::qweight:
      return read_qweight(in, options);
    case checkpoint_kind::weight_packed:
      return read_pack_quantized(in, options);
    case checkpoint_kind::weight_of_bytes:
      return read_int_quantized(in, options);
    default:
      in.fail_layer("tensors", "missing", "qweight, weight_packed, or weight of I8 with its scale");
  }
}

/// The tensor that has a part of unpacked weights.
[[nodiscard]] inline std::string_view tensor_of_part(checkpoint_format format,
                                                     std::string_view part) {
  const bool is_compressed =
      format == checkpoint_format::pack_quantized || format == checkpoint_format::int_quantized;
  if (part == "scales") return is_compressed ? "weight_scale" : "scales";
  if (part == "zeros") return is_compressed ? "weight_zero_point" : "qzeros";
  if (format == checkpoint_format::int_quantized) return "weight";
  return is_compressed ? "weight_packed" : "qweight";
}

template <Scheme S>
[[noreturn]] void fail_misfit(const checkpoint_tensors& in, const checkpoint_codes& layer,
                              const misfit& bad) {
  const std::string want = bad.want + ", under the scheme " + scheme_text<S>();
  const auto tensor = in.find(tensor_of_part(layer.format, bad.part));
  if (bad.row < 0 || !tensor) in.fail_layer(bad.part, bad.got, want);
  const char* const unit = bad.part == std::string_view("codes") ? ", column " : ", group ";
  in.fail_tensor(*tensor,
                 "number of output " + std::to_string(bad.row) + unit + std::to_string(bad.col),
                 bad.got, want);
}

template <Scheme S>
[[nodiscard]] checkpoint_layer<S> layer_of(checkpoint_codes&& layer) {
  return {quantized_of_codes<S>(layer.weights), std::move(layer.bias),
          std::move(layer.weights.order), layer.format, layer.evidence};
}

}  // namespace detail

/// The names of the quantized layers of a file, in the order of their data. Refers to the file.
[[nodiscard]] inline std::vector<std::string_view> checkpoint_layers(const safetensors_file& file) {
  std::vector<std::string_view> names;
  for (const tensor_view t : file) {
    for (const std::string_view suffix : {".qweight", ".weight_packed", ".weight"}) {
      if (!t.name.ends_with(suffix)) continue;
      const std::string_view name = t.name.substr(0, t.name.size() - suffix.size());
      const bool is_coded =
          suffix != ".weight" ||
          (t.type == dtype::i8 && file.contains(std::string(name) + ".weight_scale"));
      if (is_coded) names.push_back(name);
    }
  }
  return names;
}

/// Unpacks a layer: codes, scales, zero points and the order of inputs, without a scheme.
///
/// @throws fewbit::error if the file has no such layer, if a tensor is missing or has another type
///         or shape, if the version of GPTQ is in doubt, or if inputs do not fill their groups
[[nodiscard]] inline checkpoint_codes read_checkpoint(const safetensors_file& file,
                                                      std::string_view name,
                                                      const checkpoint_options& options = {}) {
  return detail::read_checkpoint_layer({"read_checkpoint", file, name}, options);
}

/// Reads a layer as a matrix of scheme S.
///
/// @throws fewbit::error as read_checkpoint, or with the first number that S cannot hold
///         (formats/codes_in_groups.hpp)
template <detail::InCodeGroups S>
[[nodiscard]] checkpoint_layer<S> load_checkpoint(const safetensors_file& file,
                                                  std::string_view name,
                                                  const checkpoint_options& options = {}) {
  const detail::checkpoint_tensors in("load_checkpoint", file, name);
  checkpoint_codes layer = detail::read_checkpoint_layer(in, options);
  if (const auto bad = detail::misfit_of<S>(layer.weights)) detail::fail_misfit<S>(in, layer, *bad);
  return detail::layer_of<S>(std::move(layer));
}

namespace detail {

/// 0 means one group for each row.
template <index G>
using groups_or_row = std::conditional_t<G == 0, per_row, grouped<(G > 0 ? G : 1)>>;

template <class Signed, class Unsigned, index G>
using code_schemes = scheme_list<scheme<Signed, groups_or_row<G>, symmetric_full>,
                                 scheme<Unsigned, groups_or_row<G>, affine>,
                                 scheme<Unsigned, groups_or_row<G>, real_minimum>>;

template <class... Lists>
struct joined;
template <class... S>
struct joined<scheme_list<S...>> {
  using type = scheme_list<S...>;
};
template <class... S, class... T, class... Rest>
struct joined<scheme_list<S...>, scheme_list<T...>, Rest...> {
  using type = typename joined<scheme_list<S..., T...>, Rest...>::type;
};

template <class Signed, class Unsigned>
using schemes_of_width =
    typename joined<code_schemes<Signed, Unsigned, 0>, code_schemes<Signed, Unsigned, 32>,
                    code_schemes<Signed, Unsigned, 64>, code_schemes<Signed, Unsigned, 128>>::type;

template <class S, class... Rest, class F>
decltype(auto) visit_layer(scheme_list<S, Rest...> /*schemes*/, const checkpoint_tensors& in,
                           checkpoint_codes&& layer, F&& f) {
  if (!misfit_of<S>(layer.weights)) return std::forward<F>(f)(layer_of<S>(std::move(layer)));
  if constexpr (sizeof...(Rest) > 0) {
    return visit_layer(scheme_list<Rest...>(), in, std::move(layer), std::forward<F>(f));
  } else {
    in.fail_layer("weights",
                  std::to_string(layer.weights.bits) + " bits in groups of " +
                      std::to_string(layer.weights.group),
                  "what a scheme of the list holds");
  }
}

}  // namespace detail

/// The schemes that visit_checkpoint() tries: codes of 4, 8, 3 and 2 bits, a scale for each row or
/// for groups of 32, 64 and 128 inputs; first symmetric_full, then affine, then real_minimum.
using checkpoint_schemes = typename detail::joined<
    detail::schemes_of_width<int4, uint4>, detail::schemes_of_width<int8, uint8>,
    detail::schemes_of_width<int3, uint3>, detail::schemes_of_width<int2, uint2>>::type;

/// Reads a layer whose scheme is known at run time alone, and calls f with a checkpoint_layer of
/// the first scheme of the list that holds all its numbers. Each scheme compiles one call of f.
///
///     visit_checkpoint<scheme_list<uint4_grouped<128>>>(file, name, f);
///
/// @return what f returns; it has the same type for every scheme
/// @throws fewbit::error as read_checkpoint, or if no scheme of the list holds the numbers
template <class List = checkpoint_schemes, class F>
decltype(auto) visit_checkpoint(const safetensors_file& file, std::string_view name, F&& f,
                                const checkpoint_options& options = {}) {
  const detail::checkpoint_tensors in("visit_checkpoint", file, name);
  return detail::visit_layer(List(), in, detail::read_checkpoint_layer(in, options),
                             std::forward<F>(f));
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
