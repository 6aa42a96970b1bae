// Start of a program on a Cortex-M: the vector table, and the code that runs before main().

#include <cstdint>

#include "fewbit/core/error_handler.hpp"
#include "print.hpp"

int main();

// Defined by the linker script.
extern "C" std::uint32_t data_load_[], data_begin_[], data_end_[], bss_begin_[], bss_end_[],
    stack_end_[];

namespace {

/// Ends the program. The emulator returns 0 for success and 1 for failure.
[[noreturn]] void stop(bool success) {
  // SYS_EXIT with the reason: the application ended, or a run-time error.
  fewbit::examples::semihosting(0x18, reinterpret_cast<const void*>(success ? 0x20026 : 0x20023));
  for (;;) {
  }
}

void stop_with_sentence(const char* sentence) {
  fewbit::examples::print_line(sentence);
  stop(false);
}

[[noreturn]] void fault() {
  fewbit::examples::print_line("the processor reports a fault");
  stop(false);
}

[[noreturn]] void reset() {
  const std::uint32_t* from = data_load_;
  for (std::uint32_t* p = data_begin_; p != data_end_; ++p, ++from) *p = *from;
  for (std::uint32_t* p = bss_begin_; p != bss_end_; ++p) *p = 0;
  fewbit::set_error_handler(&stop_with_sentence);
  stop(main() == 0);
}

using handler = void (*)();

struct vector_table {
  const void* stack;
  handler handlers[15];
};

// Entries: reset, NMI, hard fault, memory fault, bus fault, usage fault, and others that are not
// used.
[[gnu::section(".vectors"), gnu::used]] const vector_table vectors{
    stack_end_, {reset, fault, fault, fault, fault, fault}};

}  // namespace
