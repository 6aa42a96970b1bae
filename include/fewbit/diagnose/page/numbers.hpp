#pragma once
/// Numbers and names as readers see them, in every locale: 5,250, 1.3 MB, 24.1 dB.

#include "fewbit/begin.hpp"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/json_text.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// A minus sign of the width of digits.
inline constexpr const char* minus_sign = "\u2212";

/// |x| with `decimals` decimals, without separators.
[[nodiscard]] inline std::string fixed_digits(double x, int decimals) {
  char digits[400];  // the largest double has 309 digits before the point
  const auto end = std::to_chars(digits, digits + sizeof(digits), std::abs(x),
                                 std::chars_format::fixed, decimals);
  return {digits, end.ptr};
}

/// "1,234,567.8" or "nan". Digits before the point stand in groups of three.
[[nodiscard]] inline std::string fixed_text(double x, int decimals) {
  if (x != x) return "NaN";
  if (std::isinf(x)) return x > 0 ? "\u221e" : std::string(minus_sign) + "\u221e";
  std::string text = fixed_digits(x, decimals);
  const std::size_t point = text.find('.');
  const std::size_t whole = point == std::string::npos ? text.size() : point;
  for (std::size_t i = whole; i > 3; i -= 3) text.insert(i - 3, ",");
  const bool is_zero = text.find_first_not_of("0.,") == std::string::npos;
  return x < 0 && !is_zero ? minus_sign + text : text;
}

[[nodiscard]] inline std::string count_text(std::uint64_t n) {
  std::string text = std::to_string(n);
  for (std::size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, ",");
  return text;
}

/// Three significant digits: 0.0123, 1.23, 12.3, 5,250; an exponent beyond 10^-4 and 10^9.
[[nodiscard]] inline std::string short_text(double x) {
  const double magnitude = std::abs(x);
  if (magnitude == 0 || magnitude != magnitude || std::isinf(x)) return fixed_text(x, 0);
  if (magnitude < 1e-4 || magnitude >= 1e9) {
    char digits[32];
    const auto end =
        std::to_chars(digits, digits + sizeof(digits), magnitude, std::chars_format::scientific, 2);
    return (x < 0 ? minus_sign : "") + std::string(digits, end.ptr);
  }
  const int before = static_cast<int>(std::floor(std::log10(magnitude)));
  return fixed_text(x, before >= 2 ? 0 : 2 - before);
}

/// The widest row is this many times wider: 5,250 or 12.3.
[[nodiscard]] inline std::string times_text(double ratio) {
  return ratio < 100 ? fixed_text(ratio, 1) : fixed_text(ratio, 0);
}

[[nodiscard]] inline std::string decibel_text(double db) { return fixed_text(db, 1) + "\u00a0dB"; }

/// "640 B", "12.3 kB", "1.27 MB": powers of 1000.
[[nodiscard]] inline std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1000) return count_text(bytes) + "\u00a0B";
  const char* unit = "kB";
  double value = static_cast<double>(bytes) / 1e3;
  for (const char* larger : {"MB", "GB", "TB"}) {
    if (value < 999.5) break;
    value /= 1e3;
    unit = larger;
  }
  return short_text(value) + "\u00a0" + unit;
}

/// "0 %", "0.012 %", "12.3 %", of a share of 0 to 1.
[[nodiscard]] inline std::string percent_text(double share) {
  const double percent = 100 * share;
  if (percent > 0 && percent < 0.001) return "<0.001\u00a0%";
  const int decimals = percent == 0 || percent >= 99.95 ? 0
                       : percent < 0.095                ? 3
                       : percent < 9.95                 ? 2
                                                        : 1;
  return fixed_text(percent, decimals) + "\u00a0%";
}

[[nodiscard]] inline std::string duration_text(double seconds) {
  if (seconds >= 1) return short_text(seconds) + "\u00a0s";
  if (seconds >= 1e-3) return short_text(seconds * 1e3) + "\u00a0ms";
  return short_text(seconds * 1e6) + "\u00a0\u00b5s";
}

/// `text` as UTF-8 without control characters: each malformed byte and each control character
/// becomes U+FFFD.
[[nodiscard]] inline std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const auto first = static_cast<unsigned char>(text[0]);
    const bool is_control = first < 0x20 || first == 0x7F;
    const bool is_kept = length > 0 && !is_control;
    out += is_kept ? text.substr(0, length) : std::string_view("\uFFFD");
    text.remove_prefix(length > 0 ? length : 1);
  }
  return out;
}

/// `text` for HTML and SVG, in elements and in attributes within quotes of both kinds.
[[nodiscard]] inline std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// At most `most` characters of a printable text. A longer one keeps its end, which tells layers
/// apart: "…blocks.3.attention.wq".
[[nodiscard]] inline std::string shortened(const std::string& text, std::size_t most) {
  std::vector<std::size_t> starts;
  for (std::size_t at = 0; at < text.size(); at += utf8_length(std::string_view(text).substr(at))) {
    starts.push_back(at);
  }
  if (starts.size() <= most) return text;
  return "\u2026" + text.substr(starts[starts.size() - most + 1]);
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
