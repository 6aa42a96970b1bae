#pragma once
/// What a configuration file says about the quantized layers of a checkpoint, and whether the
/// tensors agree.
///
///     const auto config = find_checkpoint_config("model/model.safetensors");
///     const auto options = config ? options_of(*config) : checkpoint_options();
///     const checkpoint_codes layer = read_checkpoint(file, name, options);
///     if (config) {
///       for (const std::string& sentence : disagreements(*config, layer)) warn(sentence);
///     }
///
/// | key                                | of                 | member                  |
/// |------------------------------------|--------------------|-------------------------|
/// | quant_method                       | all                | method                  |
/// | bits, w_bit                        | GPTQ, AWQ          | bits                    |
/// | config_groups.*.weights.num_bits   | compressed-tensors | bits                    |
/// | group_size, q_group_size           | GPTQ, AWQ          | group                   |
/// | config_groups.*.weights.group_size | compressed-tensors | group                   |
/// | desc_act, static_groups            | GPTQ               | desc_act, static_groups |
/// | sym                                | GPTQ               | sym                     |
/// | config_groups.*.weights.symmetric  | compressed-tensors | sym                     |
/// | zero_point                         | AWQ                | sym: the opposite       |
/// | checkpoint_format, version, format | all                | format                  |
///
/// The keys are in the object "quantization_config" of config.json, or at the top of
/// quantize_config.json (AutoGPTQ) or quant_config.json (llm-awq). Other keys are skipped. If
/// config_groups differ in a value, the file does not say it. Configurations are wrong now and
/// then, so the tensors decide, and a difference is told. Needs nlohmann-json.
/// Read before: checkpoint.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/formats/gptq.hpp"
#include "fewbit/io/checkpoint/config_parser.hpp"
#include "fewbit/io/checkpoint/read_layer.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/mapped_file.hpp"
#include "fewbit/io/posix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Reads the text of a configuration.
///
/// @param name  of the file, for errors
/// @return      nothing if the text does not speak of quantization
/// @throws fewbit::error with the byte if the text is no JSON, is nested deeper than 64, or if a
///         value of a key above has another type or no possible value, or is there twice
[[nodiscard]] inline std::optional<checkpoint_config> parse_checkpoint_config(
    std::string_view text, std::string_view name) {
  return detail::config_parser("parse_checkpoint_config", name, text).parse();
}

/// Reads the configuration that lies in the folder of a checkpoint: the first one of config.json,
/// quantize_config.json and quant_config.json that speaks of quantization.
///
/// @return nothing if there is none
/// @throws fewbit::error as parse_checkpoint_config, or if a file cannot be read or is larger than
///         16 MiB
[[nodiscard]] inline std::optional<checkpoint_config> find_checkpoint_config(
    const std::string& checkpoint_path) {
  constexpr const char* function = "find_checkpoint_config";
  constexpr std::size_t most = std::size_t{16} << 20;
  for (const char* const name : {"config.json", "quantize_config.json", "quant_config.json"}) {
    const std::string path = detail::folder_of(checkpoint_path) + "/" + name;
    if (!detail::status_of(path).is_regular) continue;
    const mapped_file file(path, function);
    const auto bytes = file.bytes();
    if (bytes.size() > most) {
      detail::fail(function, "size of " + detail::path_text(path), bytes.size(),
                   "at most " + std::to_string(most) + " bytes");
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (auto config = detail::config_parser(function, path, text).parse()) return config;
  }
  return std::nullopt;
}

/// What read_checkpoint() takes from a configuration: the version of GPTQ, and for pack-quantized
/// files the bits. The tensors tell the rest.
[[nodiscard]] inline checkpoint_options options_of(const checkpoint_config& config) {
  checkpoint_options options;
  if (config.format == "gptq") options.version = gptq_version::v1;
  if (config.format == "gptq_v2") options.version = gptq_version::v2;
  if (config.format == "pack-quantized" && config.bits) options.bits = *config.bits;
  return options;
}

namespace detail {

/// Whether the method of a configuration has layers of a format.
[[nodiscard]] inline bool is_of_method(std::string_view method, checkpoint_format format) {
  switch (format) {
    case checkpoint_format::gptq_v1:
    case checkpoint_format::gptq_v2:
      return method == "gptq";
    case checkpoint_format::awq:
      return method == "awq";
    default:
      return method == "compressed-tensors";
  }
}

[[nodiscard]] inline bool has_zero_of_its_own(const codes_in_groups& w) {
  return (w.zeros.array() != static_cast<std::int16_t>(1 << (w.bits - 1))).any();
}

}  // namespace detail

/// What a configuration says and the tensors of a layer do not: a sentence for each difference.
///
/// @param layer  as read_checkpoint() returned it with options_of(config)
[[nodiscard]] inline std::vector<std::string> disagreements(const checkpoint_config& config,
                                                            const checkpoint_codes& layer) {
  const codes_in_groups& w = layer.weights;
  std::vector<std::string> all;
  const auto add = [&](const std::string& what, const std::string& got,
                       const std::string& tensors) {
    all.push_back(what + " is " + got + " in " + detail::path_text(config.file) + ", but " +
                  tensors);
  };
  if (!config.method.empty() && !detail::is_of_method(config.method, layer.format)) {
    add("quant_method", config.method,
        "the tensors are those of " + std::string(name_of(layer.format)));
  }
  if (config.bits && *config.bits != w.bits) {
    add("bits", std::to_string(*config.bits),
        "the codes of the tensors have " + std::to_string(w.bits));
  }
  const index k = w.codes.cols();
  if (config.group && (*config.group < 0 ? w.group < k : *config.group != w.group) &&
      !(*config.group >= k && w.group >= k)) {
    add("group_size", std::to_string(*config.group),
        "a scale of the tensors is for " + std::to_string(w.group) + " inputs");
  }
  if (config.sym == true && detail::has_zero_of_its_own(w)) {
    add("sym", "true",
        "the tensors have other zero points than " + std::to_string(1 << (w.bits - 1)));
  }
  if (config.desc_act == false && !w.order.empty()) {
    add("desc_act", "false", "the inputs of a group are scattered");
  }
  if (config.desc_act == true && config.static_groups != true && w.order.empty() && w.group < k) {
    add("desc_act", "true", "the inputs of all groups are neighbours");
  }
  if (layer.evidence == gptq_evidence::against_declared) {
    add("checkpoint_format", config.format,
        "the zero points are those of " + std::string(name_of(layer.format)) + ", which was used");
  }
  return all;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
