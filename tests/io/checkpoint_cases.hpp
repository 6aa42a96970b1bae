#pragma once
/// Files of GPTQ, AWQ and compressed-tensors for tests and the fuzz target, and what must hold for
/// each file.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fewbit/io/checkpoint.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "formats/checkpoint_cases.hpp"
#include "io/safetensors_cases.hpp"

namespace fewbit::tests {

inline std::string from_hex(std::string_view digits) {
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(16 * value(digits[i]) + value(digits[i + 1]));
  return bytes;
}

// Golden files, made by a program that shares no code with the library. All scales of layer `l` are
// exact halves; a formula gives them in checkpoint_test.cpp.

/// 520 bytes: 8 outputs, 16 inputs in groups of 8; code (7 c + 3 r + 1) % 16, zero points 8.
inline std::string golden_gptq_v1() {
  return safetensors_of(
      R"({"l.g_idx":{"dtype":"I32","shape":[16],"data_offsets":[0,64]},)"
      R"("l.qweight":{"dtype":"I32","shape":[2,8],"data_offsets":[64,128]},)"
      R"("l.qzeros":{"dtype":"I32","shape":[2,1],"data_offsets":[128,136]},)"
      R"("l.bias":{"dtype":"F16","shape":[8],"data_offsets":[136,152]},)"
      R"("l.scales":{"dtype":"F16","shape":[2,8],"data_offsets":[152,184]}}      )",
      from_hex("00000000000000000000000000000000000000000000000000000000000000000100000001000000"
               "010000000100000001000000010000000100000001000000816f4d2bb492705ee7c5a3811af8d6b4"
               "4d2b09e7705e3c1aa3816f4dd6b4927009e7c5a33c1af8d66f4d2b0992705e3cc5a3816ff8d6b492"
               "2b09e7c55e3c1af8777777777777777700c300c100be00b80038003e004100430028002c002e0030"
               "0031003200330034002c0030003200340035003600370038"));
}

/// 936 bytes: 32 x 32, 3 bits, inputs c in group c % 2; code (5 c + 3) % 8, zero point (r + g) % 8.
inline std::string golden_gptq_v2() {
  return safetensors_of(
      R"({"l.g_idx":{"dtype":"I32","shape":[32],"data_offsets":[0,128]},)"
      R"("l.qweight":{"dtype":"I32","shape":[3,32],"data_offsets":[128,512]},)"
      R"("l.qzeros":{"dtype":"I32","shape":[2,3],"data_offsets":[512,536]},)"
      R"("l.scales":{"dtype":"F16","shape":[2,32],"data_offsets":[536,664]}})",
      from_hex("00000000010000000000000001000000000000000100000000000000010000000000000001000000"
               "00000000010000000000000001000000000000000100000000000000010000000000000001000000"
               "00000000010000000000000001000000000000000100000000000000010000000000000001000000"
               "00000000010000004375c6434375c6434375c6434375c6434375c6434375c6434375c6434375c643"
               "4375c6434375c6434375c6434375c6434375c6434375c6434375c6434375c6434375c6434375c643"
               "4375c6434375c6434375c6434375c6434375c6434375c6434375c6434375c6434375c6434375c643"
               "4375c6434375c6434375c6434375c64375c6437575c6437575c6437575c6437575c6437575c64375"
               "75c6437575c6437575c6437575c6437575c6437575c6437575c6437575c6437575c6437575c64375"
               "75c6437575c6437575c6437575c6437575c6437575c6437575c6437575c6437575c6437575c64375"
               "75c6437575c6437575c6437575c6437575c6437575c64375c64375c6c64375c6c64375c6c64375c6"
               "c64375c6c64375c6c64375c6c64375c6c64375c6c64375c6c64375c6c64375c6c64375c6c64375c6"
               "c64375c6c64375c6c64375c6c64375c6c64375c6c64375c6c64375c6c64375c6c64375c6c64375c6"
               "c64375c6c64375c6c64375c6c64375c6c64375c6c64375c6c64375c6c64375c688c6fa88c6fa88c6"
               "fa88c6fad1581fd1581fd1581fd1581f002c003000320034002c003000320034002c003000320034"
               "002c003000320034002c003000320034002c003000320034002c003000320034002c003000320034"
               "003200368038003a003200368038003a003200368038003a003200368038003a003200368038003a"
               "003200368038003a003200368038003a003200368038003a"));
}

/// 320 bytes: 16 outputs, 4 inputs in groups of 2; code (r + 5 c) % 16, zero point (3 r + g) % 16.
inline std::string golden_awq() {
  return safetensors_of(
      R"({"l.qweight":{"dtype":"I32","shape":[4,2],"data_offsets":[0,32]},)"
      R"("l.qzeros":{"dtype":"I32","shape":[2,2],"data_offsets":[32,48]},)"
      R"("l.scales":{"dtype":"F16","shape":[2,16],"data_offsets":[48,112]}}     )",
      from_hex("20643175a8ecb9fd75b986cafd310e42ca0edb1f428653971f53206497dba8ec602c935fe8a41bd7"
               "713da460f9b52ce800240028002a002c002d002e002f003080300031803100328032003380330034"
               "0028002c002e0030003100320033003480340035803500368036003780370038"));
}

/// 608 bytes: 12 outputs, 14 inputs, 3 bits, c in group c % 2; code (3 c + r) % 8, zero point
/// (r + 4 g) % 8.
inline std::string golden_pack3() {
  return safetensors_of(
      R"({"l.weight_shape":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},)"
      R"("l.weight_g_idx":{"dtype":"I32","shape":[14],"data_offsets":[16,72]},)"
      R"("l.weight_packed":{"dtype":"I32","shape":[12,2],"data_offsets":[72,168]},)"
      R"("l.weight_zero_point":{"dtype":"I32","shape":[2,2],"data_offsets":[168,184]},)"
      R"("l.weight_scale":{"dtype":"BF16","shape":[12,2],"data_offsets":[184,232]}}       )",
      from_hex("0c000000000000000e00000000000000000000000100000000000000010000000000000001000000"
               "000000000100000000000000010000000000000001000000000000000100000098c3ab180e0f0000"
               "e155cc21570100002ae6f02a9803000073781533e1050000bc8a393c2a060000c51c5e0573080000"
               "0eaf620ebc0a000057318717c50c000098c3ab180e0f0000e155cc21570100002ae6f02a98030000"
               "73781533e105000088c6fa08ac8f682c1a0000003e000000803d003e003e803e403ec03e803e003f"
               "a03e203fc03e403fe03e603f003f803f103f903f203fa03f303fb03f403fc03f"));
}

/// 158 bytes: codes 1 2 3, -128 127 0; scales 0.5, 0.25.
inline std::string golden_int8() {
  return safetensors_of(R"({"l.weight_scale":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
                        R"("l.weight":{"dtype":"I8","shape":[2,3],"data_offsets":[8,14]}}     )",
                        from_hex("0000003f0000803e010203807f00"));
}
inline const std::array<std::string, 5> golden_checkpoints = {
    golden_gptq_v1(), golden_gptq_v2(), golden_awq(), golden_pack3(), golden_int8()};

/// Inputs of the fuzz target: some bytes describe tensors, all of which fit the data, so that
/// damage reaches the readers of layers. encode_checkpoint() is the inverse for files of layer `l`.
struct checkpoint_input {
  static constexpr std::array<std::string_view, 11> suffixes = {
      "qweight",      "qzeros",       "scales",
      "g_idx",        "bias",         "weight_packed",
      "weight_shape", "weight_scale", "weight_zero_point",
      "weight_g_idx", "weight"};
  static constexpr std::array<dtype, 8> types = {dtype::i32, dtype::f16, dtype::bf16, dtype::f32,
                                                 dtype::i8,  dtype::i64, dtype::i16,  dtype::f64};

  static constexpr std::size_t most_bytes = 2048;  // of a tensor

  std::string file;
  checkpoint_options options;

  explicit checkpoint_input(std::string_view input) {
    const auto next = [&]() -> std::size_t {
      if (input.empty()) return 0;
      const auto byte = static_cast<unsigned char>(input.front());
      input.remove_prefix(1);
      return byte;
    };
    options.group = static_cast<index>(next() % 64);
    const std::size_t rest = next();
    options.bits = static_cast<int>(rest % 16 > 8 ? 0 : rest % 16);
    if (rest / 16 % 4 > 1) options.version = static_cast<gptq_version>(rest / 16 % 4 - 1);
    std::string header = "{";
    std::size_t end = 0;
    for (std::size_t left = next() % 8; left > 0; --left) {
      const std::string name = "l." + std::string(suffixes[next() % suffixes.size()]);
      const dtype type = types[next() % types.size()];
      std::size_t size = static_cast<std::size_t>(bits_of(type)) / 8;
      std::string shape;
      for (std::size_t rank = next() % 4; rank > 0; --rank) {
        const std::size_t extent = next() % 48;
        size *= extent;
        if (size > most_bytes) return;  // no file
        shape += (shape.empty() ? "" : ",") + std::to_string(extent);
      }
      header += (header.size() == 1 ? "\"" : ",\"") + name + "\":{\"dtype\":\"" +
                std::string(name_of(type)) + "\",\"shape\":[" + shape + "],\"data_offsets\":[" +
                std::to_string(end) + "," + std::to_string(end + size) + "]}";
      end += size;
    }
    std::string data(input.substr(0, end));
    data.resize(end, '\x11');
    file = safetensors_of(header + "}", data);
  }
};

inline std::string encode_checkpoint(const std::string& content) {
  const safetensors_file file(std::as_bytes(std::span(content)), "x");
  std::string head = {'\0', '\x33', static_cast<char>(file.size())}, data;  // 3 bits, version 2
  for (const tensor_view t : file) {
    const auto suffix = std::ranges::find(checkpoint_input::suffixes, t.name.substr(2));
    const auto type = std::ranges::find(checkpoint_input::types, t.type);
    head += static_cast<char>(suffix - checkpoint_input::suffixes.begin());
    head += static_cast<char>(type - checkpoint_input::types.begin());
    head += static_cast<char>(t.shape.size());
    for (const index extent : t.shape) head += static_cast<char>(extent);
    data.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
  }
  return head + data;
}

/// One scheme of each kind.
using fuzzed_checkpoint_schemes =
    scheme_list<scheme<int4, per_row, symmetric_full>, scheme<uint4, grouped<2>, affine>,
                scheme<uint4, grouped<8>, real_minimum>, scheme<uint3, grouped<16>, affine>,
                scheme<int3, grouped<7>, affine>, scheme<uint2, per_row, affine>,
                scheme<int8, per_row, symmetric_full>, scheme<uint8, grouped<8>, real_minimum>>;

/// What does not hold for an accepted layer, or "".
inline std::string broken_rule_of(const safetensors_file& file, std::string_view name,
                                  const checkpoint_options& options) {
  const checkpoint_codes read = read_checkpoint(file, name, options);
  const codes_in_groups& w = read.weights;
  try {
    detail::expect_codes_in_groups("test", w);
  } catch (const error& e) {
    return e.what();
  }
  if (read.bias.size() != 0 && read.bias.size() != w.codes.rows()) return "a bias has another size";
  const auto is_same = [&](const codes_in_groups& again) {  // as numbers, for NaN
    return again.codes == w.codes && again.zeros == w.zeros && again.order == w.order;
  };
  if (read.format == checkpoint_format::gptq_v1 &&
      !is_same(from_gptq(to_gptq(w, gptq_version::v1)))) {
    return "GPTQ version 1 changes when it is packed";
  }
  if (read.format == checkpoint_format::gptq_v2 &&
      !is_same(from_gptq(to_gptq(w, gptq_version::v2)))) {
    return "GPTQ version 2 changes when it is packed";
  }
  if (read.format == checkpoint_format::awq && !is_same(from_awq(to_awq(w)))) {
    return "AWQ changes when it is packed";
  }
  if (read.format == checkpoint_format::pack_quantized &&
      !is_same(from_pack_quantized(to_pack_quantized(w)))) {
    return "pack-quantized changes when it is packed";
  }
  const bool is_equal = visit_checkpoint<fuzzed_checkpoint_schemes>(
      file, name,
      [&](const auto& layer) {
        const row_matrix<float> values = dequantize(layer.weights);
        for (index r = 0; r < values.rows(); ++r) {
          for (index c = 0; c < values.cols(); ++c) {
            const auto want = static_cast<float>(weight_of(w, r, c));
            if (std::isfinite(want) && values(r, c) != want) return false;
          }
        }
        return layer.order == w.order;
      },
      options);
  return is_equal ? "" : "a quantized matrix has other values";
}

/// Reads hostile bytes: they are refused by a fewbit::error, or all rules hold. Returns the broken
/// rule, or "". The bytes are in memory of exact size, so that a sanitizer finds reads outside.
inline std::string read_hostile_checkpoint(std::string_view content,
                                           const checkpoint_options& options, bool& is_accepted) {
  const auto memory = std::make_unique<std::byte[]>(content.size());
  std::memcpy(memory.get(), content.data(), content.size());
  is_accepted = false;
  try {
    const safetensors_file file({memory.get(), content.size()}, "x");
    for (const std::string_view name : checkpoint_layers(file)) {
      if (std::string rule = broken_rule_of(file, name, options); !rule.empty()) return rule;
      is_accepted = true;
    }
  } catch (const error&) {
  }
  return "";
}

}  // namespace fewbit::tests
