#pragma once
/// The text of a type of layers in files: class, weights, inputs.
///
///     linear int4 grouped:32 symmetric real_scale nearest_even, dynamic_int8
///
/// The words do not change with the version of the library. Read before: ops/parts.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <string>
#include <type_traits>

#include "fewbit/core/fixed_point.hpp"
#include "fewbit/ops/inputs.hpp"
#include "fewbit/ops/integer_only.hpp"
#include "fewbit/ops/saved_layer.hpp"
#include "fewbit/quant/scheme_words.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

template <class Code>
inline constexpr const char* code_word = nullptr;
template <>
inline constexpr const char* code_word<std::int8_t> = "int8";
template <>
inline constexpr const char* code_word<std::uint8_t> = "uint8";
template <>
inline constexpr const char* code_word<std::int16_t> = "int16";

template <class Mode>
inline constexpr const char* mode_word = nullptr;
template <>
inline constexpr const char* mode_word<tflite_double> = "tflite_double";
template <>
inline constexpr const char* mode_word<tflite_double_neon> = "tflite_double_neon";
template <>
inline constexpr const char* mode_word<tflite_single> = "tflite_single";
template <>
inline constexpr const char* mode_word<tflite_int64> = "tflite_int64";
template <>
inline constexpr const char* mode_word<cmsis_default> = "cmsis_default";
template <>
inline constexpr const char* mode_word<xnn_rndnu> = "xnn_rndnu";
template <>
inline constexpr const char* mode_word<xnn_fp32> = "xnn_fp32";
template <>
inline constexpr const char* mode_word<q7_pot> = "q7_pot";

template <class Inputs>
struct inputs_text {
  static std::string get() {
    static_assert(std::is_same_v<Inputs, dynamic_int8> ||
                  std::is_same_v<Inputs, dynamic_int8_groups> ||
                  std::is_same_v<Inputs, float_inputs> || std::is_same_v<Inputs, binary_inputs> ||
                  std::is_same_v<Inputs, ternary_inputs>);
    if (std::is_same_v<Inputs, dynamic_int8>) return "dynamic_int8";
    if (std::is_same_v<Inputs, dynamic_int8_groups>) return "dynamic_int8_groups";
    if (std::is_same_v<Inputs, float_inputs>) return "float_inputs";
    return std::is_same_v<Inputs, binary_inputs> ? "binary_inputs" : "ternary_inputs";
  }
};
template <class Code>
struct inputs_text<static_codes<Code>> {
  static std::string get() { return std::string("static_") + code_word<Code>; }
};
template <int Bits, bool Signed>
struct inputs_text<few_bit_inputs<Bits, Signed>> {
  static std::string get() {
    return (Signed ? "few_bit_inputs:" : "unsigned_inputs:") + std::to_string(Bits);
  }
};
template <class In, class Out, class Mode>
struct inputs_text<integer_only<In, Out, Mode>> {
  static std::string get() {
    return std::string("integer_only:") + code_word<In> + ":" + code_word<Out> + ":" +
           mode_word<Mode>;
  }
};

/// The scheme of weights, or the text of pq and ttq.
template <class Weights>
[[nodiscard]] std::string weights_text() {
  if constexpr (requires { Weights::text(); }) {
    return Weights::text();
  } else {
    return text_of_words(words_of<Weights>);
  }
}

template <class Layer>
struct layer_text;
template <template <class, class, class> class L, class Weights, class Inputs, class Arch>
struct layer_text<L<Weights, Inputs, Arch>> {
  static std::string get() {
    return std::string(layer_word<L<Weights, Inputs, Arch>>) + " " + weights_text<Weights>() +
           ", " + inputs_text<Inputs>::get();
  }
};
template <template <class, class> class L, class Inputs, class Arch>
struct layer_text<L<Inputs, Arch>> {
  static std::string get() {
    return std::string(layer_word<L<Inputs, Arch>>) + " " + inputs_text<Inputs>::get();
  }
};
template <template <class> class L, class Word>
struct layer_text<L<Word>> {
  static std::string get() { return layer_word<L<Word>>; }
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
