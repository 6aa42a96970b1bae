#pragma once
/// Reports the progress of a long loop on stderr.

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

#include "fewbit/core/types.hpp"

namespace fewbit::examples {

/// On a terminal, updates one line with percent and time left. Elsewhere (a log), prints one line
/// at the end.
class progress {
 public:
  progress(std::string label, index total) : label_(std::move(label)), total_(total) {}

  void update(index done, const std::string& note = "") {
    const double elapsed = seconds_since(start_);
    const bool finished = done >= total_;
    if (!finished && (!on_terminal_ || seconds_since(shown_) < 0.1)) return;
    shown_ = clock::now();
    const double share = static_cast<double>(done) / static_cast<double>(total_);
    const double time = finished ? elapsed : elapsed / share - elapsed;
    std::fprintf(stderr, "%s%s %3.0f %%, %.1f s%s%s%s%s", on_terminal_ ? "\r" : "", label_.c_str(),
                 100.0 * share, time, finished ? "" : " left", note.empty() ? "" : ", ",
                 note.c_str(), on_terminal_ ? "\033[K" : "");
    if (finished) std::fprintf(stderr, "\n");
  }

 private:
  using clock = std::chrono::steady_clock;

  static double seconds_since(clock::time_point then) {
    return std::chrono::duration<double>(clock::now() - then).count();
  }

  std::string label_;
  index total_;
  bool on_terminal_ = isatty(STDERR_FILENO) == 1;
  clock::time_point start_ = clock::now();
  clock::time_point shown_;
};

}  // namespace fewbit::examples
