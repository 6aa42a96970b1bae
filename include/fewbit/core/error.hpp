#pragma once
/// How fewbit says that an input is bad.
///
/// Preparation (quantize, pack, calibrate, load) checks all it is given, in release builds too, and
/// fails with one sentence: `fewbit: <function>: <argument> is <got>, expected <want>`. With
/// exceptions that is a `fewbit::error`; with -fno-exceptions the sentence goes to a handler, which
/// the host may replace. Function and argument are those that the user wrote, and nothing is
/// changed or written before the check.
///
/// One rule holds for all of them:
///
/// | input                      | must be                                                         |
/// |----------------------------|-----------------------------------------------------------------|
/// | real numbers               | finite                                                          |
/// | a scale                    | finite, at least 2^-126; of codes without a zero it may be 0    |
/// | a factor of a stage        | finite                                                          |
/// | a zero point, a code       | one of the codes of its type or storage                         |
/// | a weight of an element     | finite, at least 0; if all are 0, none counts                   |
/// | a matrix                   | of at least one row and one column                              |
/// | a length                   | that of what it belongs to; never negative                      |
/// | a pointer to numbers       | not null, unless there are none                                 |
///
/// Calls on the hot path (layer(x, y), gemm::multiply) throw nothing. They compare shapes and the
/// size of scratch memory, in release builds too. Where these do not fit, the sentence goes to the
/// handler, with and without exceptions, and the program ends.

#include "fewbit/begin.hpp"

#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// Bad input to a preparing function; the object that was asked keeps its former value.
class error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// Receives the sentence of a call on the hot path that does not fit, and every sentence where the
/// program is built without exceptions. It should not return and must not throw; if it returns, the
/// program aborts.
using error_handler = void (*)(const char* sentence);

/// Prints the sentence to stderr and aborts.
inline void abort_with_message(const char* sentence) {
  std::fprintf(stderr, "%s\n", sentence);
  std::abort();
}

inline std::atomic<error_handler> current_error_handler{&abort_with_message};

/// Installs a handler and returns the former one. `nullptr` restores the default, which prints the
/// sentence to stderr and aborts.
inline error_handler set_error_handler(error_handler handler) noexcept {
  return current_error_handler.exchange(handler != nullptr ? handler : &abort_with_message);
}

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

[[noreturn]] inline void fail_with(const std::string& sentence) {
#if FEWBIT_HAS_EXCEPTIONS
  throw error(sentence);
#else
  current_error_handler.load()(sentence.c_str());
  std::abort();
#endif
}

/// Ends the program with a sentence of a call on the hot path, made of printf's `format` without
/// allocation.
template <class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void stop(const char* format, Parts... parts) noexcept {
  char sentence[256];
  std::snprintf(sentence, sizeof(sentence), format, parts...);
  current_error_handler.load()(sentence);
  std::abort();
}

inline std::string text(const std::string& value) { return value; }
inline std::string text(const char* value) { return value; }

/// Numbers as a reader would write them: 0.1, 1e-40, nan, -inf, 42.
template <class T>
  requires std::is_arithmetic_v<T>
std::string text(T value) {
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

/// "2 x 3": rows and columns.
template <class Extent>
std::string shape_text(Extent rows, Extent cols) {
  return text(rows) + " x " + text(cols);
}

/// "w(2, 3)": row and column.
inline std::string element(const std::string& name, std::int64_t r, std::int64_t c) {
  return name + "(" + std::to_string(r) + ", " + std::to_string(c) + ")";
}

/// "scales[3]".
inline std::string item(const std::string& name, std::int64_t i) {
  return name + "[" + std::to_string(i) + "]";
}

/// "1 to 4", or "1" if both are 1.
inline std::string interval(int lo, int hi) {
  return lo == hi ? std::to_string(lo) : std::to_string(lo) + " to " + std::to_string(hi);
}

/// Fails with "fewbit: <function>: <argument> is <got>, expected <want>".
template <class Got, class Want>
[[noreturn]] void fail(const char* function, const std::string& argument, const Got& got,
                       const Want& want) {
  fail_with(std::string("fewbit: ") + function + ": " + argument + " is " + text(got) +
            ", expected " + text(want));
}

/// By bit pattern, so that no compiler flag can optimise the question away.
[[nodiscard]] constexpr bool is_finite(float x) noexcept {
  return (std::bit_cast<std::uint32_t>(x) & 0x7F800000U) != 0x7F800000U;
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

[[noreturn]] inline void fail_null(const char* function, const char* argument) {
  fail(function, argument, "null", "a pointer to numbers");
}

/// Fails if a pointer to numbers is null.
inline void expect_pointer(const char* function, const char* argument, const void* pointer) {
  if (pointer == nullptr) fail_null(function, argument);
}

/// Fails unless what has rows and columns has elements.
template <class M>
void expect_extents(const char* function, const char* argument, const M& m) {
  if (m.rows() > 0 && m.cols() > 0) return;
  fail(function, argument, shape_text(m.rows(), m.cols()), "at least one row and one column");
}

/// Fails if a matrix has elements and no pointer to them.
template <class M>
void expect_data(const char* function, const char* argument, const M& m) {
  if (m.rows() > 0 && m.cols() > 0) expect_pointer(function, argument, m.data());
}

/// Fails unless a matrix has elements.
template <class M>
void expect_elements(const char* function, const char* argument, const M& m) {
  expect_extents(function, argument, m);
  expect_pointer(function, argument, m.data());
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
