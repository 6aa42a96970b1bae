#pragma once
/// Errors: how fewbit reports bad input.
///
/// Functions that prepare (quantize, pack, calibrate, load) check all their arguments, in release
/// builds too. A failed check produces one sentence: `fewbit: <function>: <argument> is <got>,
/// expected <want>`. It is thrown as a `fewbit::error`. With -fno-exceptions it is passed to a
/// handler, which the host may replace. The sentence names the function and the argument of the
/// user's call. All checks come before any change of data.
///
/// The same rules hold in all functions:
///
/// | input                      | must be                                                         |
/// |----------------------------|-----------------------------------------------------------------|
/// | real numbers               | finite                                                          |
/// | a scale                    | finite, at least 2^-126; may be 0 for codes that have no zero   |
/// | a factor of a stage        | finite                                                          |
/// | a zero point, a code       | one of the codes of its type or storage                         |
/// | a weight of an element     | finite, at least 0; if all are 0, they are ignored              |
/// | a matrix                   | at least one row and one column                                 |
/// | a length                   | not negative, and the length of the data that it describes      |
/// | a pointer to numbers       | not null, unless there are no numbers                           |
///
/// Calls on the hot path (layer(x, y), gemm::multiply) do not throw. They compare shapes and the
/// size of scratch memory, in release builds too. On a mismatch they pass the sentence to the
/// handler, with and without exceptions, and terminate the program.

#include "fewbit/begin.hpp"

#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/error_handler.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// Thrown for bad input to a function that prepares. The object of the call keeps its former value.
class error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

[[noreturn]] inline void fail_with(const std::string& sentence) {
#if FEWBIT_HAS_EXCEPTIONS
  throw error(sentence);
#else
  report_and_terminate(sentence.c_str());
#endif
}

/// Reports a mismatch on the hot path and terminates the program. `format` is a format of printf.
/// Nothing is allocated.
template <class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void stop(const char* format, Parts... parts) noexcept {
  char sentence[256];
  std::snprintf(sentence, sizeof(sentence), format, parts...);
  report_and_terminate(sentence);
}

inline std::string text(const std::string& value) { return value; }
inline std::string text(const char* value) { return value; }

/// A number as readable text: 0.1, 1e-40, nan, -inf, 42.
template <class T>
  requires std::is_arithmetic_v<T>
std::string text(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    if (value != value) return "nan";  // printf would print its sign
    char buffer[40];
    std::snprintf(buffer, sizeof(buffer), "%g", static_cast<double>(value));
    if (static_cast<T>(std::strtod(buffer, nullptr)) != value) {  // six digits are not enough
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

/// Tests the bit pattern, so that no compiler flag can remove the test.
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

/// Fails unless m has at least one row and one column.
template <class M>
void expect_extents(const char* function, const char* argument, const M& m) {
  if (m.rows() > 0 && m.cols() > 0) return;
  fail(function, argument, shape_text(m.rows(), m.cols()), "at least one row and one column");
}

/// Fails if a matrix has elements but its pointer is null.
template <class M>
void expect_data(const char* function, const char* argument, const M& m) {
  if (m.rows() > 0 && m.cols() > 0) expect_pointer(function, argument, m.data());
}

/// Fails if a matrix has no elements or its pointer is null.
template <class M>
void expect_elements(const char* function, const char* argument, const M& m) {
  expect_extents(function, argument, m);
  expect_pointer(function, argument, m.data());
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
