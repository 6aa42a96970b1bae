#pragma once
/// Checks of integers without strings: for operators that run without heap and exceptions.
///
/// The sentences are those of core/error.hpp. They are written to the stack. A check that fails in
/// the initializer of a constexpr object does not compile. Read before: core/error_handler.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>

#include "fewbit/config.hpp"
#include "fewbit/core/error_handler.hpp"
#include "fewbit/core/index.hpp"

#if FEWBIT_HAS_EXCEPTIONS
#include "fewbit/core/error.hpp"
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// "fewbit: <function>: <argument> is <got>, expected <least> to <most>" on the stack.
class range_sentence {
 public:
  range_sentence(const char* function, const char* argument, index got, index least,
                 index most) noexcept {
    add("fewbit: ");
    add(function);
    add(": ");
    add(argument);
    add(" is ");
    add(got);
    add(", expected ");
    add(least);
    if (most != least) {
      add(" to ");
      add(most);
    }
  }

  [[nodiscard]] const char* text() const noexcept { return text_; }

 private:
  void add(char c) noexcept {
    if (length_ + 1 < sizeof(text_)) text_[length_++] = c;
    text_[length_] = '\0';
  }
  void add(const char* words) noexcept {
    for (; *words != '\0'; ++words) add(*words);
  }
  void add(index number) noexcept {
    auto rest = static_cast<std::size_t>(number);
    if (number < 0) {
      add('-');
      rest = std::size_t{0} - rest;
    }
    char digits[20];
    int count = 0;
    do {
      digits[count++] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    while (count > 0) add(digits[--count]);
  }

  char text_[160];
  std::size_t length_ = 0;
};

/// @throws fewbit::error; without exceptions the error handler gets the sentence
[[noreturn, gnu::cold, gnu::noinline]] inline void fail_range(const char* function,
                                                              const char* argument, index got,
                                                              index least, index most) {
  const range_sentence sentence(function, argument, got, least, most);
#if FEWBIT_HAS_EXCEPTIONS
  throw error(sentence.text());
#else
  report_and_terminate(sentence.text());
#endif
}

/// Fails unless least <= got <= most.
constexpr void expect_range(const char* function, const char* argument, index got, index least,
                            index most) {
  if (got < least || got > most) fail_range(function, argument, got, least, most);
}

/// Reports a mismatch on the hot path and terminates the program.
[[noreturn, gnu::cold, gnu::noinline]] inline void stop_range(const char* function,
                                                              const char* argument, index got,
                                                              index want) noexcept {
  report_and_terminate(range_sentence(function, argument, got, want, want).text());
}

/// Terminates the program unless got == want.
FEWBIT_ALWAYS_INLINE void stop_unless_equal(const char* function, const char* argument, index got,
                                            index want) noexcept {
  if (got != want) stop_range(function, argument, got, want);
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
