#pragma once
/// How quantize_checkpoint ends: exit codes, failures, and the signals that interrupt it.

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>

#include "fewbit/core/error.hpp"

namespace fewbit::examples::checkpoint {

enum exit_code : int {
  exit_done = 0,
  exit_differ = 1,         ///< compare: the files differ
  exit_command = 2,        ///< the command line is wrong
  exit_input = 3,          ///< an input is missing, malformed or not finite
  exit_plan = 4,           ///< schemes and tensors do not fit each other
  exit_output = 5,         ///< an output cannot be written, or was read back with other bytes
  exit_memory = 6,         ///< out of memory
  exit_interrupted = 130,  ///< SIGINT, SIGTERM or SIGHUP
};

/// Ends the program with a sentence and an exit code.
class failure : public std::runtime_error {
 public:
  failure(exit_code code, const std::string& sentence)
      : std::runtime_error(sentence), code_(code) {}
  [[nodiscard]] exit_code code() const noexcept { return code_; }

 private:
  exit_code code_;
};

/// Calls f. An error of fewbit becomes a failure with that exit code.
template <class F>
decltype(auto) or_exit(exit_code code, F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const error& e) {
    throw failure(code, e.what());
  }
}

/// The last signal that asked the program to end; 0 if there was none.
inline std::atomic<int> pending_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a handler of signals writes it");

inline void note_signal(int number) { pending_signal.store(number); }

/// From now on, signals that end a program only set pending_signal. A file that exceeds a limit of
/// its size, or a closed pipe, is an error of the write and no signal.
inline void watch_signals() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) std::signal(number, note_signal);
  for (const int number : {SIGXFSZ, SIGPIPE}) std::signal(number, SIG_IGN);
}

/// Fails after a signal. The temporary file is then removed by its destructor.
inline void expect_no_signal() {
  const int number = pending_signal.load();
  if (number == 0) return;
  throw failure(exit_interrupted,
                "interrupted by signal " + std::to_string(number) + "; no file was written");
}

}  // namespace fewbit::examples::checkpoint
