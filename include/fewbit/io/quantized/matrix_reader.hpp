#pragma once
/// Finds the parts of a quantized matrix in a file and checks every number of them.
///
/// Read next: quantized.hpp, which makes matrices of them.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/bits.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/index.hpp"
#include "fewbit/io/dtype.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/quantized/parts.hpp"
#include "fewbit/io/safetensors.hpp"
#include "fewbit/io/tensor_view.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scale.hpp"
#include "fewbit/quant/storage.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// What a file says about a quantized matrix. Refers to the file.
struct stored_matrix {
  std::string_view scheme;  ///< as scheme_text()
  index rows = 0;
  index cols = 0;
};

/// The scheme and shape of matrix `name`, or nothing if the file has no quantized matrix of that
/// name. Its tensors are not checked.
///
/// @throws fewbit::error if its string is malformed or the layout of the file has another version
[[nodiscard]] inline std::optional<stored_matrix> find_stored(const safetensors_file& file,
                                                              std::string_view name) {
  const auto text = file.metadata(detail::scheme_key(name));
  if (!text) return std::nullopt;
  const auto layout = file.metadata("fewbit");
  if (layout != detail::layout_text) {
    detail::fail_in_file("find_stored", "string 'fewbit' of __metadata__", {file.name()},
                         layout ? detail::name_text(*layout) : "missing",
                         detail::name_text(detail::layout_text));
  }
  stored_matrix result{*text, 0, 0};
  bool is_good = true;
  for (index* const extent : {&result.cols, &result.rows}) {
    const auto space = std::min(result.scheme.rfind(' '), result.scheme.size());
    const std::string_view digits = result.scheme.substr(std::min(space + 1, result.scheme.size()));
    const auto [end, problem] =
        std::from_chars(digits.data(), digits.data() + digits.size(), *extent);
    is_good = is_good && problem == std::errc() && end == digits.data() + digits.size() &&
              *extent >= 1 && *extent <= detail::most_codes;
    result.scheme = result.scheme.substr(0, space);
  }
  if (!is_good || result.rows > detail::most_codes / result.cols) {
    detail::fail_in_file("find_stored", "string of the matrix", {file.name(), -1, name},
                         detail::name_text(*text), "a scheme, rows and columns");
  }
  return result;
}

namespace detail {

/// Reads the parts of one matrix and checks them. Each error names the file, tensor and byte.
class matrix_reader {
 public:
  matrix_reader(const safetensors_file& file, std::string_view name) : file_(file), name_(name) {
    const auto found = find_stored(file, name);
    if (!found) {
      fail_in_file("load", "string " + name_text(scheme_key(name)) + " of __metadata__",
                   {file.name()}, "missing", "the scheme of a quantized matrix");
    }
    stored_ = *found;
  }

  [[nodiscard]] const stored_matrix& stored() const noexcept { return stored_; }

  void expect_scheme(const std::string& scheme) const {
    if (stored_.scheme == scheme) return;
    fail_in_file("load", "scheme", {file_.name(), -1, name_}, name_text(stored_.scheme),
                 name_text(scheme));
  }

  /// The tensor of a part, with its type and shape checked.
  [[nodiscard]] tensor_view tensor(const stored_part& part) const {
    const std::string name = std::string(name_) + part.suffix;
    const auto found = file_.find(name);
    if (!found) {
      fail_in_file("load", "tensor " + name_text(name), {file_.name()}, "missing",
                   "a part of the quantized matrix");
    }
    const auto text = [](dtype type, std::span<const index> shape) {
      return std::string(name_of(type)) + " " + text_of_shape(shape);
    };
    if (found->type != part.type || !std::ranges::equal(found->shape, part.shape())) {
      fail_at(*found, "type and shape", text(found->type, found->shape),
              text(part.type, part.shape()));
    }
    return *found;
  }

  template <class T>
  [[nodiscard]] static std::vector<T> numbers(const tensor_view& tensor) {
    std::vector<T> result(tensor.bytes.size() / sizeof(T));
    std::memcpy(result.data(), tensor.bytes.data(), tensor.bytes.size());
    return result;
  }

  [[nodiscard]] std::vector<float> scales(const stored_part& part, const stored_form& form) const {
    const tensor_view from = tensor(part);
    std::vector<float> result = numbers<float>(from);
    for (std::size_t i = 0; i < result.size(); ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(result[i]);
      const bool is_zero = form.may_scale_be_zero && bits == 0;
      const bool is_good = is_finite(result[i]) && result[i] >= min_scale;
      if (!is_good && !is_zero)
        fail_at(from, item("scales", i), result[i], "a scale, at least 2^-126");
      if (is_good && form.is_power_of_two && (bits & 0x007FFFFFU) != 0) {
        fail_at(from, item("scales", i), result[i], "a power of two");
      }
    }
    return result;
  }

  template <class Code>
  [[nodiscard]] std::vector<Code> zero_points(const stored_part& part,
                                              const stored_form& form) const {
    const tensor_view from = tensor(part);
    auto result = numbers<Code>(from);
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (result[i] >= form.code_min && result[i] <= form.code_max) continue;
      fail_at(from, item("zero_points", i), int{result[i]}, interval(form.code_min, form.code_max));
    }
    return result;
  }

  [[nodiscard]] std::vector<float> minima(const stored_part& part) const {
    const tensor_view from = tensor(part);
    std::vector<float> result = numbers<float>(from);
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (!is_finite(result[i])) fail_at(from, item("minima", i), result[i], "a finite number");
    }
    return result;
  }

  [[nodiscard]] std::vector<float> levels(const stored_part& part) const {
    const tensor_view from = tensor(part);
    std::vector<float> result = numbers<float>(from);
    float last = -1.0F;
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (!(result[i] >= last && result[i] <= 1.0F)) {
        fail_at(from, item("levels", i), result[i], text(last) + " to 1");
      }
      last = result[i];
    }
    return result;
  }

  /// The packed codes, each of them checked.
  template <Storage St>
  [[nodiscard]] tensor_view codes(const stored_part& part, const stored_form& form) const {
    const tensor_view from = tensor(part);
    const auto* row = reinterpret_cast<const std::uint8_t*>(from.bytes.data());
    for (index r = 0; r < stored_.rows; ++r, row += packed_bytes<St::bits>(stored_.cols)) {
      expect_codes<St>(from, row, r, form);
      expect_padding(from, row, r, St::bits);
    }
    return from;
  }

 private:
  template <Storage St>
  void expect_codes(const tensor_view& from, const std::uint8_t* row, index r,
                    const stored_form& form) const {
    constexpr int lowest = St::is_signed ? -(1 << (St::bits - 1)) : 0;
    constexpr int highest = lowest + (1 << St::bits) - 1;
    if (std::is_same_v<St, binary> || (form.code_min == lowest && form.code_max == highest)) return;
    constexpr index chunk = 1024;  // codes; whole bytes
    typename St::code codes[chunk];
    const auto lo = static_cast<typename St::code>(form.code_min);
    const auto hi = static_cast<typename St::code>(form.code_max);
    const auto is_legal = [&](typename St::code code) { return code >= lo && code <= hi; };
    for (index first = 0; first < stored_.cols; first += chunk) {
      const index count = std::min(chunk, stored_.cols - first);
      unpack_codes<St>(row + packed_bytes<St::bits>(first), count, codes);
      bool are_legal = true;  // without a branch for each code
      for (index i = 0; i < count; ++i) are_legal &= is_legal(codes[i]);
      if (are_legal) continue;
      const index bad = std::find_if_not(codes, codes + count, is_legal) - codes;
      fail_at(from, element("code", r, first + bad), int{codes[bad]}, interval(lo, hi));
    }
  }

  void expect_padding(const tensor_view& from, const std::uint8_t* row, index r, int bits) const {
    const auto used = static_cast<int>(stored_.cols % 8 * bits % 8);
    if (used == 0) return;
    const int rest = row[packed_row_bytes(bits, stored_.cols) - 1] >> used;
    if (rest != 0) fail_at(from, "unused bits of row " + std::to_string(r), rest, "0");
  }

  [[nodiscard]] static std::string item(const char* name, std::size_t i) {
    return detail::item(name, static_cast<index>(i));
  }

  template <class Got>
  [[noreturn]] static void fail_at(const tensor_view& from, std::string_view what, const Got& got,
                                   const std::string& want) {
    fail_in_file("load", what, {from.file, static_cast<std::int64_t>(from.byte), from.name}, got,
                 want);
  }

  const safetensors_file& file_;
  std::string_view name_;
  stored_matrix stored_;
};

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
