#pragma once
/// How fewbit says that an input is bad.
///
/// Preparation (quantize, pack, calibrate, load) checks all it is given, in release builds too, and
/// fails with one sentence: `fewbit: <function>: <argument> is <got>, expected <want>`. With
/// exceptions that is a `fewbit::error`; with -fno-exceptions the sentence goes to a handler, which
/// the host may replace.

#include "fewbit/begin.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "fewbit/config.hpp"

namespace fewbit::inline FEWBIT_VERSION_NAMESPACE {

/// Bad input to a preparing function; the object that was asked keeps its former value.
class error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// Receives the sentence when the program is built without exceptions. It should not return; if it
/// does, the program aborts.
using error_handler = void (*)(const char* sentence);

/// Prints the sentence to stderr and aborts.
inline void abort_with_message(const char* sentence) {
  std::fprintf(stderr, "%s\n", sentence);
  std::abort();
}

inline std::atomic<error_handler> current_error_handler{&abort_with_message};

/// Installs the handler of builds without exceptions and returns the former one. `nullptr` restores
/// the default.
inline error_handler set_error_handler(error_handler handler) noexcept {
  return current_error_handler.exchange(handler != nullptr ? handler : &abort_with_message);
}

}  // namespace fewbit::inline FEWBIT_VERSION_NAMESPACE

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::detail {

[[noreturn]] inline void fail_with(const std::string& sentence) {
#if FEWBIT_HAS_EXCEPTIONS
  throw error(sentence);
#else
  current_error_handler.load()(sentence.c_str());
  std::abort();
#endif
}

inline std::string text(const std::string& value) { return value; }
inline std::string text(const char* value) { return value; }

/// Numbers as a reader would write them: 0.1, 1e-40, nan, -inf, 42.
template <class T>
requires std::is_arithmetic_v<T> std::string text(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    if (value != value) return "nan";  // printf would show its sign
    char buffer[40];
    std::snprintf(buffer, sizeof(buffer), "%g", static_cast<double>(value));
    if (static_cast<T>(std::strtod(buffer, nullptr)) != value) {  // six digits hide a difference
      std::snprintf(buffer, sizeof(buffer), "%.9g", static_cast<double>(value));
    }
    return buffer;
  } else {
    return std::to_string(value);
  }
}

/// Fails with "fewbit: <function>: <argument> is <got>, expected <want>".
template <class Got, class Want>
[[noreturn]] void fail(const char* function, const std::string& argument, const Got& got,
                       const Want& want) {
  fail_with(std::string("fewbit: ") + function + ": " + argument + " is " + text(got) +
            ", expected " + text(want));
}

template <class Got, class Want>
void expect(bool condition, const char* function, const char* argument, const Got& got,
            const Want& want) {
  if (!condition) fail(function, argument, got, want);
}

template <class Got, class Want>
void expect_equal(const char* function, const char* argument, const Got& got, const Want& want) {
  if (!(got == want)) fail(function, argument, got, want);
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::detail

#include "fewbit/end.hpp"
