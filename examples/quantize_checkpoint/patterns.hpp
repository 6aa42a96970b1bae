#pragma once
/// The values of --scheme: `SCHEME` for all tensors, `PATTERN=SCHEME` for tensors by name.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "failure.hpp"

namespace fewbit::examples::checkpoint {

/// Whether `name` has the form of `pattern`, in which * stands for any text and ? for one
/// character. Costs at most the product of both lengths.
[[nodiscard]] inline bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0;
  std::size_t after_star = std::string_view::npos, retry = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      after_star = ++p;
      retry = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (after_star != std::string_view::npos) {
      p = after_star;  // the star takes one more character
      n = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

/// One value of --scheme.
struct scheme_rule {
  std::string text;     ///< as it was given
  std::string pattern;  ///< "*" without a pattern
  std::string scheme;
};

/// Rules in the order in which they are tried. The one without a pattern is the last.
///
/// @throws failure if two of them have no pattern, or if a part is empty
[[nodiscard]] inline std::vector<scheme_rule> parse_rules(const std::vector<std::string>& texts) {
  std::vector<scheme_rule> rules;
  std::vector<scheme_rule> general;
  for (const std::string& text : texts) {
    const std::size_t equals = text.rfind('=');
    const bool has_pattern = equals != std::string::npos;
    const scheme_rule rule{text, has_pattern ? text.substr(0, equals) : "*",
                           has_pattern ? text.substr(equals + 1) : text};
    if (rule.pattern.empty() || rule.scheme.empty()) {
      throw failure(exit_command, "--scheme is '" + text + "', expected SCHEME or PATTERN=SCHEME");
    }
    (has_pattern ? rules : general).push_back(rule);
  }
  if (general.size() > 1) {
    throw failure(exit_command, "--scheme is given twice without a pattern, '" + general[0].text +
                                    "' and '" + general[1].text + "', expected once");
  }
  rules.insert(rules.end(), general.begin(), general.end());
  return rules;
}

/// The first rule whose pattern matches `name`, or -1.
[[nodiscard]] inline int rule_of(const std::vector<scheme_rule>& rules, std::string_view name) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (matches(rules[i].pattern, name)) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace fewbit::examples::checkpoint
