#pragma once
/// The handler that receives the sentences of errors: set_error_handler(). Needs neither exceptions
/// nor the heap. Read next: core/error.hpp, which says what is checked and when.

#include "fewbit/begin.hpp"

#include <atomic>

#include "fewbit/config.hpp"

#if FEWBIT_HAS_STDIO
#include <cstdio>
#include <cstdlib>
#endif

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// Receives the sentence of a mismatch on the hot path, and every sentence if the program is built
/// without exceptions. It should not return and must not throw; if it returns, the program aborts.
using error_handler = void (*)(const char* sentence);

/// Prints the sentence to stderr and aborts. Without stdio it executes a trap instruction.
inline void abort_with_message([[maybe_unused]] const char* sentence) {
#if FEWBIT_HAS_STDIO
  std::fprintf(stderr, "%s\n", sentence);
  std::abort();
#else
  __builtin_trap();
#endif
}

/// The handler in use; set_error_handler() replaces it.
inline std::atomic<error_handler> current_error_handler{&abort_with_message};

/// Installs a handler and returns the former one. `nullptr` restores the default, which prints the
/// sentence to stderr and aborts.
inline error_handler set_error_handler(error_handler handler) noexcept {
  return current_error_handler.exchange(handler != nullptr ? handler : &abort_with_message);
}

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Passes a sentence to the handler and terminates the program.
[[noreturn]] inline void report_and_terminate(const char* sentence) noexcept {
  current_error_handler.load()(sentence);
#if FEWBIT_HAS_STDIO
  std::abort();
#else
  __builtin_trap();
#endif
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
