#pragma once
/// Parses the JSON of a configuration event by event, and keeps what it says about quantization.
///
/// Read next: io/checkpoint_config.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/index.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/safetensors/header_parser.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// What a configuration says. An absent value is one that it does not say.
struct checkpoint_config {
  std::string file;              ///< its name
  std::string method;            ///< "gptq", "awq", "compressed-tensors" ...; may be empty
  std::string format;            ///< "gptq", "gptq_v2", "gemm", "pack-quantized" ...; may be empty
  std::optional<int> bits;       ///< of a code
  std::optional<index> group;    ///< inputs that share a scale; -1: all inputs
  std::optional<bool> sym;       ///< whether all zero points are 2^(bits - 1)
  std::optional<bool> desc_act;  ///< whether inputs were quantized in an order of their own
  std::optional<bool> static_groups;  ///< whether groups consist of neighbours in spite of it
};

namespace detail {

/// Takes the events of nlohmann::json::sax_parse, which calls the public functions by their names.
class config_parser {
 public:
  config_parser(const char* function, std::string_view file, std::string_view text) noexcept
      : function_(function),
        file_(file),
        first_(text.data()),
        last_(text.data() + text.size()),
        read_(text.data()) {}

  /// Nothing if the text does not speak of quantization.
  [[nodiscard]] std::optional<checkpoint_config> parse() {
    nlohmann::json::sax_parse(header_iterator(first_, &read_), header_iterator(last_, &read_),
                              this);
    values& found = has_inner_ ? inner_ : outer_;
    const bool speaks = has_inner_ || !found.config.method.empty() || found.config.bits;
    if (!speaks) return std::nullopt;
    if (found.group_bits.is_one()) found.config.bits = static_cast<int>(found.group_bits.value());
    if (found.group_sizes.is_one()) found.config.group = found.group_sizes.value();
    if (found.group_sym.is_one()) found.config.sym = found.group_sym.value() != 0;
    found.config.file = std::string(file_);
    return std::move(found.config);
  }

  bool start_object(std::size_t /*count*/) { return enter(); }
  bool end_object() { return leave(); }
  bool start_array(std::size_t /*count*/) { return enter(); }  // its elements have an empty key
  bool end_array() { return leave(); }
  bool key(std::string& name) {
    keys_.back() = name;
    if (keys_.size() == 1 && name == "quantization_config") has_inner_ = true;
    return true;
  }

  bool null() { return true; }
  bool boolean(bool value) {
    const std::string_view at = last_key();
    if (values* const to = target(1)) {
      if (at == "desc_act") set(to->config.desc_act, value);
      if (at == "static_groups") set(to->config.static_groups, value);
      if (at == "sym") set(to->config.sym, value);
      if (at == "zero_point") set(to->config.sym, !value);
      expect_other(at,
                   {"bits", "w_bit", "group_size", "q_group_size", "quant_method",
                    "checkpoint_format", "format"},
                   value ? "true" : "false");
    }
    if (values* const to = weights_of_group()) {
      if (at == "symmetric") to->group_sym.add(value ? 1 : 0);
      expect_other(at, {"num_bits", "group_size"}, value ? "true" : "false");
    }
    return true;
  }
  bool number_unsigned(std::uint64_t value) {
    constexpr std::uint64_t most = 0x7FFFFFFF;
    return number(static_cast<std::int64_t>(std::min(value, most + 1)));
  }
  bool number_integer(std::int64_t value) { return number(value); }
  bool number_float(double /*value*/, const std::string& text) { return other(name_text(text)); }
  bool string(std::string& value) {
    const std::string_view at = last_key();
    if (values* const to = target(1)) {
      if (at == "quant_method") set(to->config.method, value);
      if (at == "checkpoint_format") to->config.format = value;
      const bool is_format = at == "format" || at == "version";
      if (is_format && to->config.format.empty()) to->config.format = value;
    }
    return other(name_text(value));
  }
  bool binary(nlohmann::json::binary_t& /*value*/) { return true; }
  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::json::exception& /*reason*/) {
    read_ = first_ + std::min(position, static_cast<std::size_t>(last_ - first_));
    fail("configuration", "malformed near " + name_text(token), "JSON");
  }

 private:
  static constexpr std::size_t most_depth = 64;

  /// The values of all groups of compressed-tensors, if they are equal.
  class common_value {
   public:
    void add(std::int64_t value) {
      differs_ = differs_ || (has_ && value != value_);
      has_ = true;
      value_ = value;
    }
    [[nodiscard]] bool is_one() const noexcept { return has_ && !differs_; }
    [[nodiscard]] std::int64_t value() const noexcept { return value_; }

   private:
    std::int64_t value_ = 0;
    bool has_ = false;
    bool differs_ = false;
  };

  struct values {
    checkpoint_config config;
    common_value group_bits, group_sizes, group_sym;
  };

  bool enter() {
    if (keys_.size() == most_depth) fail("depth", "more than 64", "at most 64");
    keys_.emplace_back();
    return true;
  }
  bool leave() {
    keys_.pop_back();
    return true;
  }

  [[nodiscard]] std::string_view last_key() const {
    return keys_.empty() ? std::string_view() : std::string_view(keys_.back());
  }

  /// Where a member of an object goes that is `depth` objects below the top of the quantization:
  /// the file itself, or its member quantization_config. nullptr: nowhere.
  [[nodiscard]] values* target(std::size_t depth) {
    const bool is_inner = !keys_.empty() && keys_[0] == "quantization_config";
    if (keys_.size() != depth + (is_inner ? 1 : 0)) return nullptr;
    return is_inner ? &inner_ : &outer_;
  }

  /// The same of config_groups.<name>.weights.<key>.
  [[nodiscard]] values* weights_of_group() {
    values* const to = target(4);
    if (to == nullptr) return nullptr;
    const std::size_t at = keys_.size() - 4;
    return keys_[at] == "config_groups" && keys_[at + 2] == "weights" ? to : nullptr;
  }

  bool number(std::int64_t value) {
    const std::string_view at = last_key();
    if (values* const to = target(1)) {
      if (at == "bits" || at == "w_bit") set(to->config.bits, bits_of(value));
      if (at == "group_size" || at == "q_group_size") set(to->config.group, group_of(value));
      expect_other(at,
                   {"desc_act", "static_groups", "sym", "zero_point", "quant_method",
                    "checkpoint_format", "format"},
                   std::to_string(value));
    }
    if (values* const to = weights_of_group()) {
      if (at == "num_bits") to->group_bits.add(bits_of(value));
      if (at == "group_size") to->group_sizes.add(group_of(value));
      expect_other(at, {"symmetric"}, std::to_string(value));
    }
    return true;
  }

  /// A text or a fraction, which no number and no flag is.
  bool other(const std::string& text) {
    if (target(1) != nullptr) {
      expect_other(last_key(),
                   {"bits", "w_bit", "group_size", "q_group_size", "desc_act", "static_groups",
                    "sym", "zero_point"},
                   text);
    }
    if (weights_of_group() != nullptr) {
      expect_other(last_key(), {"num_bits", "group_size", "symmetric"}, text);
    }
    return true;
  }

  [[nodiscard]] int bits_of(std::int64_t value) const {
    if (value < 1 || value > 64) fail("number of bits", std::to_string(value), "1 to 64");
    return static_cast<int>(value);
  }
  [[nodiscard]] index group_of(std::int64_t value) const {
    if (value != -1 && (value < 1 || value > 0x7FFFFFFF)) {
      fail("group_size", std::to_string(value), "-1, or 1 to 2147483647");
    }
    return value;
  }

  template <class T>
  void set(std::optional<T>& to, T value) const {
    if (to && *to != value) fail(last_key(), "there twice, with different values", "there once");
    to = value;
  }
  void set(std::string& to, const std::string& value) const {
    if (!to.empty() && to != value) {
      fail(last_key(), "there twice, with different values", "there once");
    }
    to = value;
  }

  void expect_other(std::string_view at, std::initializer_list<std::string_view> keys,
                    const std::string& got) const {
    if (std::find(keys.begin(), keys.end(), at) != keys.end()) {
      fail(at, got, "a value of another type");
    }
  }

  template <class Got, class Want>
  [[noreturn]] void fail(std::string_view what, const Got& got, const Want& want) const {
    fail_in_file(function_, what, {file_, read_ - first_}, got, want);
  }

  const char* function_;
  std::string_view file_;
  const char* first_;
  const char* last_;
  const char* read_;
  std::vector<std::string> keys_;  // of all open objects and arrays
  values outer_, inner_;
  bool has_inner_ = false;
};

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
