#pragma once
/// What happens to each tensor of the input. Everything that can be checked without reading data is
/// checked here, before a file is created.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "failure.hpp"
#include "fewbit/io/emit_header.hpp"
#include "fewbit/io/gguf_quantized.hpp"
#include "patterns.hpp"
#include "quantizers.hpp"
#include "source.hpp"

namespace fewbit::examples::checkpoint {

enum class action : std::uint8_t {
  keep,    ///< its bytes are copied
  unpack,  ///< blocks of ggml become a matrix of fewbit of the same values
  quantize,
};

struct planned_tensor {
  const source_tensor* tensor = nullptr;
  action what = action::keep;
  std::string reason;  ///< why it is kept
  matrix_shape shape;
  int rule = -1;  ///< of the scheme
  const quantizer* how = nullptr;
  std::string scheme;                     ///< of the result
  const source_tensor* inputs = nullptr;  ///< calibration data, if they are used
  std::uint64_t bytes_after = 0;

  [[nodiscard]] std::uint64_t bytes_before() const { return tensor->bytes().size(); }
};

struct plan {
  const source* in = nullptr;
  const source* calibration = nullptr;
  file_format out_format = file_format::safetensors;
  std::vector<scheme_rule> rules;
  std::vector<planned_tensor> tensors;    ///< in the order of the input
  std::vector<std::string> uncalibrated;  ///< quantized without the data that others have
  std::vector<std::string> left_out;      ///< keys of metadata that the format cannot hold

  [[nodiscard]] std::uint64_t bytes_after() const {
    std::uint64_t sum = 0;
    for (const planned_tensor& t : tensors) sum += t.bytes_after;
    return sum;
  }
  [[nodiscard]] std::uint64_t largest_tensor() const {
    std::uint64_t most = 0;
    for (const planned_tensor& t : tensors) most = std::max(most, t.bytes_before());
    return most;
  }
};

namespace plan_detail {

[[noreturn]] inline void refuse(const std::string& sentence) { throw failure(exit_plan, sentence); }

inline std::string quoted(const std::string& name) { return detail::name_text(name); }

/// 'a', 'b' and 7 more.
inline std::string listed(const std::vector<std::string>& names, std::size_t most = 5) {
  std::string text;
  for (std::size_t i = 0; i < std::min(most, names.size()); ++i) {
    text += (i == 0 ? "" : ", ") + quoted(names[i]);
  }
  if (names.size() > most) text += " and " + std::to_string(names.size() - most) + " more";
  return text;
}

/// Safetensors: the first extent and the product of the others. As soon as GGUF is involved: the
/// last extent is that of the columns.
inline matrix_shape shape_of(const source_tensor& t, bool is_gguf) {
  if (t.shape.size() < 2 || t.size() == 0) return {t.size() == 0 ? 0 : 1, t.size()};
  if (is_gguf) return {t.size() / t.shape.back(), t.shape.back()};
  return {t.shape.front(), t.size() / t.shape.front()};
}

/// Why a tensor cannot or should not be quantized; empty if it can.
inline std::string reason_to_keep(const source_tensor& t, bool requantizes) {
  if (t.kind == content::part) return "part of the quantized matrix " + quoted(t.owner);
  if (t.kind == content::numbers) return t.type + ", not floats";
  if (t.size() == 0) return "empty";
  if (t.size() == 1) return "one number";
  if (std::ranges::count_if(t.shape, [](index extent) { return extent > 1; }) < 2) {
    return "a vector";
  }
  if (t.kind == content::blocks && !requantizes) return "quantized already, " + t.type;
  return {};
}

/// The codes of GPTQ, AWQ or compressed-tensors whose scales or zero points a tensor holds, by
/// their names; empty if there are none. Such a tensor is a part of quantized weights, not weights.
inline std::string codes_scaled_by(const source& in, const std::string& name) {
  struct suffixes {
    std::string_view part;
    std::string_view codes;
  };
  static constexpr suffixes known[] = {
      {".scales", ".qweight"},
      {".qzeros", ".qweight"},
      {".weight_scale", ".weight_packed"},
      {".weight_zero_point", ".weight_packed"},
      {".weight_scale", ".weight"},
      {".weight_zero_point", ".weight"},
  };
  for (const suffixes& s : known) {
    if (!name.ends_with(s.part)) continue;
    const std::string codes = name.substr(0, name.size() - s.part.size()) + std::string(s.codes);
    const source_tensor* found = in.find(codes);
    if (found != nullptr && found->kind == content::numbers) return codes;
  }
  return {};
}

/// The type in GGUF of the numbers of a type in safetensors, or nothing.
inline std::optional<gguf_type> gguf_type_of(dtype type) {
  for (const auto& row : detail::gguf_types) {
    if (row.weights == 1 && row.name == fewbit::name_of(type)) return row.type;
  }
  return std::nullopt;
}
inline std::optional<dtype> dtype_of_gguf(gguf_type type) {
  for (std::size_t i = 0; i < detail::dtype_table.size(); ++i) {
    if (detail::dtype_table[i].name == fewbit::name_of(type)) return static_cast<dtype>(i);
  }
  return std::nullopt;
}

/// Bytes of the matrix that blocks of ggml become.
inline std::uint64_t bytes_of_unpacked(gguf_type type, const matrix_shape& shape,
                                       std::string& scheme) {
  std::uint64_t sum = 0;
  detail::visit_block(detail::gguf_blocks(), type, [&](auto block) {
    using S = scheme_of<typename decltype(block)::type>;
    sum = bytes_of_matrix<S>(shape);
    scheme = scheme_text<S>();
  });
  return sum;
}

/// The type of the constants that hold numbers of a type: that type, or float for F16 and BF16.
inline std::optional<dtype> constants_of(std::optional<dtype> type) {
  if (type == dtype::f16 || type == dtype::bf16) return dtype::f32;
  for (const dtype known : {dtype::i8, dtype::u8, dtype::i16, dtype::i32, dtype::i64, dtype::f32}) {
    if (type == known) return type;
  }
  return std::nullopt;
}
inline void expect_constants(const source_tensor& t, std::optional<dtype> type) {
  if (constants_of(type)) return;
  refuse("tensor " + quoted(t.name) + " is " + t.type +
         ", expected for a header I8, U8, I16, I32, I64, F16, BF16 or F32");
}

/// Decides how a tensor that is not quantized gets into a file of the other format.
inline void plan_kept(planned_tensor& p, file_format to) {
  const source_tensor& t = *p.tensor;
  p.bytes_after = p.bytes_before();
  if (const auto* const from = std::get_if<tensor_view>(&t.view)) {
    if (to == file_format::header) return expect_constants(t, from->type);
    if (to == file_format::safetensors) return;
    if (t.kind == content::part || !gguf_type_of(from->type) || t.shape.size() > 4) {
      refuse("tensor " + quoted(t.name) + " is " +
             (t.kind == content::part ? p.reason : t.type + " " + detail::text_of_shape(t.shape)) +
             ", expected what GGUF can hold: numbers of F16, BF16, F32, F64, I8 to I64, of at most "
             "4 extents");
    }
    return;
  }
  const gguf_type type = std::get<gguf_tensor>(t.view).type;
  if (to == file_format::header && t.kind != content::blocks) {
    return expect_constants(t, dtype_of_gguf(type));
  }
  if (to == file_format::gguf || t.kind == content::floats) return;
  if (t.kind == content::blocks && t.size() > 0) {
    p.what = action::unpack;
    p.bytes_after = bytes_of_unpacked(type, p.shape, p.scheme);
  } else if (!dtype_of_gguf(type)) {
    refuse("tensor " + quoted(t.name) + " is " + t.type +
           ", expected a type that safetensors can hold or fewbit can decode");
  }
}

/// Checks that calibration data fit a tensor.
inline void expect_inputs(const planned_tensor& p, const source& calibration) {
  const source_tensor& inputs = *p.inputs;
  const index width = inputs.shape.empty() ? 1 : inputs.shape.back();
  if (inputs.kind == content::floats && width == p.shape.cols && inputs.size() > 0) return;
  refuse("tensor " + quoted(inputs.name) + " of '" + calibration.path() + "' is " + inputs.type +
         " " + detail::text_of_shape(inputs.shape) + ", expected floats with a last extent of " +
         std::to_string(p.shape.cols));
}

}  // namespace plan_detail

/// The parts of the result of a tensor that is quantized or unpacked.
[[nodiscard]] inline std::vector<part> parts_of(const planned_tensor& t) {
  if (t.what == action::quantize) return t.how->parts(t.shape);
  std::vector<part> parts;
  detail::visit_block(
      detail::gguf_blocks(), std::get<gguf_tensor>(t.tensor->view).type, [&](auto block) {
        parts = matrix_quantizer<scheme_of<typename decltype(block)::type>>().parts(t.shape);
      });
  return parts;
}

/// The text of its scheme.
[[nodiscard]] inline std::string text_of(const planned_tensor& t) {
  return t.what == action::quantize ? t.how->text() : t.scheme;
}

/// Makes the plan.
///
/// @param calibration  may be nullptr
/// @throws failure if a scheme is unknown, if a pattern matches nothing, or if a tensor cannot be
///         quantized or copied as the plan wants
class planner {
 public:
  planner(const source& in, const source* calibration, file_format out_format,
          const quantizers& known, bool requantizes)
      : known_(known), requantizes_(requantizes) {
    plan_.in = &in;
    plan_.calibration = calibration;
    plan_.out_format = out_format;
  }

  [[nodiscard]] plan make(std::vector<scheme_rule> rules) {
    plan_.rules = std::move(rules);
    for (const scheme_rule& rule : plan_.rules) {
      if (rule.scheme == "keep" || known_.find(rule.scheme) != nullptr) continue;
      throw failure(exit_command, "--scheme names '" + rule.scheme + "', expected for " +
                                      name_of(plan_.out_format) + " files: keep, " +
                                      known_.names());
    }
    uses_.assign(plan_.rules.size(), 0);
    for (const source_tensor& t : plan_.in->tensors()) add(t);
    expect_all_used();
    expect_no_refusals();
    expect_names();
    expect_small_header();
    return std::move(plan_);
  }

 private:
  void add(const source_tensor& t) {
    const bool is_gguf =
        plan_.in->format() == file_format::gguf || plan_.out_format == file_format::gguf;
    planned_tensor p;
    p.tensor = &t;
    p.shape = plan_detail::shape_of(t, is_gguf);
    p.reason = plan_detail::reason_to_keep(t, requantizes_);
    if (p.reason.empty()) {
      const std::string codes = plan_detail::codes_scaled_by(*plan_.in, t.name);
      if (!codes.empty()) p.reason = "scales of the codes " + plan_detail::quoted(codes);
    }
    const int rule = rule_of(plan_.rules, t.name);
    if (p.reason.empty()) {
      choose(p, rule);
    } else if (rule >= 0 && plan_.rules[static_cast<std::size_t>(rule)].scheme == "keep") {
      ++uses_[static_cast<std::size_t>(rule)];
    }
    if (p.what != action::quantize) plan_detail::plan_kept(p, plan_.out_format);
    plan_.tensors.push_back(std::move(p));
  }

  void choose(planned_tensor& p, int rule) {
    if (rule < 0) {
      p.reason = "no pattern matches";
      return;
    }
    const scheme_rule& chosen = plan_.rules[static_cast<std::size_t>(rule)];
    ++uses_[static_cast<std::size_t>(rule)];
    if (chosen.scheme == "keep") {
      p.reason = "--scheme " + plan_detail::quoted(chosen.text);
      return;
    }
    p.what = action::quantize;
    p.rule = rule;
    p.scheme = chosen.scheme;
    p.how = known_.find(chosen.scheme);
    const std::string refusal = p.how->refusal(p.shape);
    if (!refusal.empty()) {
      refused_.push_back(p.tensor->name);
      if (refused_.size() == 1) first_refusal_ = refusal + " for " + chosen.scheme;
      return;
    }
    p.bytes_after = p.how->bytes(p.shape);
    if (plan_.calibration == nullptr || !p.how->is_weighted()) return;
    p.inputs = plan_.calibration->find(p.tensor->name);
    if (p.inputs == nullptr) {
      plan_.uncalibrated.push_back(p.tensor->name);
    } else {
      plan_detail::expect_inputs(p, *plan_.calibration);
    }
  }

  /// A rule that matches nothing is a misspelt one.
  void expect_all_used() const {
    for (std::size_t i = 0; i < uses_.size(); ++i) {
      if (uses_[i] > 0) continue;
      const scheme_rule& rule = plan_.rules[i];
      const bool matches_some = std::ranges::any_of(
          plan_.in->tensors(), [&](const auto& t) { return matches(rule.pattern, t.name); });
      plan_detail::refuse("--scheme '" + rule.text + "' matches " +
                          (matches_some ? "only tensors that are kept or that an earlier pattern "
                                          "matches"
                                        : "no tensor of '" + plan_.in->path() + "'") +
                          ", expected at least one tensor to quantize or keep");
    }
  }

  void expect_no_refusals() const {
    if (refused_.empty()) return;
    plan_detail::refuse("tensor " + plan_detail::listed(refused_) + ": " + first_refusal_ +
                        "; --scheme '" + refused_.front() + "=keep' keeps a tensor");
  }

  /// Names of the output must be unique and, in GGUF, short.
  void expect_names() const {
    std::set<std::string> names;
    const bool is_header = plan_.out_format == file_format::header;
    const auto add_name = [&](const std::string& tensor) {
      const std::string name = is_header ? detail::identifier_of(tensor) : tensor;
      if (!names.insert(name).second) {
        plan_detail::refuse("tensor " + plan_detail::quoted(name) +
                            " would be twice in the output, expected other names in the input");
      }
      if (plan_.out_format == file_format::gguf && name.size() > detail::longest_tensor_name) {
        plan_detail::refuse("name of tensor " + plan_detail::quoted(name) + " has " +
                            std::to_string(name.size()) + " bytes, expected at most 63 in GGUF");
      }
    };
    for (const planned_tensor& p : plan_.tensors) {
      if (p.what == action::keep) {
        add_name(p.tensor->name);
      } else {
        for (const part& one : parts_of(p)) add_name(p.tensor->name + one.suffix);
      }
    }
  }

  /// A header is held in memory until it is written, and compilers are slow with more.
  void expect_small_header() const {
    constexpr std::uint64_t most = std::uint64_t{64} << 20;
    if (plan_.out_format != file_format::header || plan_.bytes_after() <= most) return;
    plan_detail::refuse("the tensors of the header have " + std::to_string(plan_.bytes_after()) +
                        " bytes, expected at most " + std::to_string(most));
  }

  const quantizers& known_;
  bool requantizes_;
  plan plan_;
  std::vector<int> uses_;  // tensors of each rule
  std::vector<std::string> refused_;
  std::string first_refusal_;
};

}  // namespace fewbit::examples::checkpoint
