#pragma once
/// Reports how far a conversion is, with its rate and the remaining time, on stderr.

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace fewbit::examples::checkpoint {

/// "12.3 MB". 1 MB is 10^6 bytes.
[[nodiscard]] inline std::string size_text(std::uint64_t bytes) {
  char text[32];
  const auto amount = static_cast<double>(bytes);
  if (bytes < 1000) {
    std::snprintf(text, sizeof text, "%d bytes", static_cast<int>(bytes));
  } else if (bytes < 1000000) {
    std::snprintf(text, sizeof text, "%.1f kB", amount / 1e3);
  } else if (bytes < 1000000000) {
    std::snprintf(text, sizeof text, "%.1f MB", amount / 1e6);
  } else {
    std::snprintf(text, sizeof text, "%.2f GB", amount / 1e9);
  }
  return text;
}

/// On a terminal, updates one line ten times a second. Elsewhere, prints a line every ten seconds.
/// Prints a line at the end in both cases.
class progress_report {
 public:
  progress_report(std::uint64_t total, bool is_quiet) : total_(total), is_quiet_(is_quiet) {}

  /// @param done  bytes of the input that are done
  /// @param name  of the tensor
  void update(std::uint64_t done, const std::string& name) {
    done_ = done;
    if (is_quiet_ || seconds_since(shown_) < (on_terminal_ ? 0.1 : 10.0)) return;
    shown_ = clock::now();
    const double elapsed = seconds_since(start_);
    const double rest =
        done == 0 ? 0.0 : elapsed * static_cast<double>(total_ - done) / static_cast<double>(done);
    std::fprintf(
        stderr, "%s%3.0f %%  %s of %s  %s/s  %.0f s left  %s%s", on_terminal_ ? "\r" : "",
        total_ == 0 ? 100.0 : 100.0 * static_cast<double>(done) / static_cast<double>(total_),
        size_text(done).c_str(), size_text(total_).c_str(), rate(elapsed).c_str(), rest,
        name.c_str(), on_terminal_ ? "\033[K" : "\n");
    has_line_ = on_terminal_;
  }

  void finish() {
    if (is_quiet_) return;
    const double elapsed = seconds_since(start_);
    std::fprintf(stderr, "%s%s in %.1f s, %s/s\n", on_terminal_ ? "\r\033[K" : "",
                 size_text(total_).c_str(), elapsed, rate(elapsed).c_str());
    has_line_ = false;
  }

  /// Ends the line of the terminal, so that an error begins a new one.
  ~progress_report() {
    if (has_line_) std::fputc('\n', stderr);
  }
  progress_report(const progress_report&) = delete;
  progress_report& operator=(const progress_report&) = delete;

 private:
  using clock = std::chrono::steady_clock;

  static double seconds_since(clock::time_point then) {
    return std::chrono::duration<double>(clock::now() - then).count();
  }
  [[nodiscard]] std::string rate(double elapsed) const {
    return size_text(static_cast<std::uint64_t>(static_cast<double>(done_) / (elapsed + 1e-9)));
  }

  std::uint64_t total_;
  std::uint64_t done_ = 0;
  bool is_quiet_;
  bool on_terminal_ = isatty(STDERR_FILENO) == 1;
  bool has_line_ = false;
  clock::time_point start_ = clock::now();
  clock::time_point shown_ = start_;
};

}  // namespace fewbit::examples::checkpoint
