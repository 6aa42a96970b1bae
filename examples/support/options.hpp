#pragma once
/// The command line of an example: options with one value each, and --help.

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "fewbit/core/types.hpp"

namespace fewbit::examples {

struct option {
  std::string name;   ///< "--images"
  std::string value;  ///< placeholder of its value in the usage text: "N"
  std::string help;
};

/// Reads the command line once. --help prints the usage and ends the program. An unknown option or
/// a missing value prints a message and ends the program with exit code 2.
class options {
 public:
  options(int argc, const char* const* argv, std::string purpose, std::vector<option> known)
      : program_(argv[0]), purpose_(std::move(purpose)), known_(std::move(known)) {
    for (int i = 1; i < argc; i += 2) {
      const std::string name = argv[i];
      if (name == "--help") help();
      if (!is_known(name)) wrong("unknown option " + name);
      if (i + 1 == argc) wrong(name + " lacks its value");
      given_.emplace_back(name, argv[i + 1]);
    }
  }

  /// The last value given for an option, or `fallback`.
  [[nodiscard]] std::string text(std::string_view name, const std::string& fallback = "") const {
    for (auto given = given_.rbegin(); given != given_.rend(); ++given) {
      if (given->first == name) return given->second;
    }
    return fallback;
  }

  /// The same for an integer from `least` to `most`.
  [[nodiscard]] index number(const std::string& name, index fallback, index least,
                             index most) const {
    const std::string digits = text(name, std::to_string(fallback));
    index value = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, failure] = std::from_chars(digits.data(), end, value);
    if (failure != std::errc{} || stop != end || value < least || value > most) {
      wrong(name + " is " + digits + ", expected " + std::to_string(least) + " to " +
            std::to_string(most));
    }
    return value;
  }

  /// Prints `message` and ends the program with exit code 2.
  [[noreturn]] void wrong(const std::string& message) const {
    std::fprintf(stderr, "%s: %s; --help names the options\n", program_.c_str(), message.c_str());
    std::exit(2);
  }

 private:
  [[nodiscard]] bool is_known(const std::string& name) const {
    for (const option& o : known_) {
      if (o.name == name) return true;
    }
    return false;
  }

  [[noreturn]] void help() const {
    std::printf("%s\n\n", purpose_.c_str());
    for (const option& o : known_) {
      std::printf("  %-16s %s\n", (o.name + " " + o.value).c_str(), o.help.c_str());
    }
    std::exit(0);
  }

  std::string program_;
  std::string purpose_;
  std::vector<option> known_;
  std::vector<std::pair<std::string, std::string>> given_;
};

}  // namespace fewbit::examples
