#pragma once
// Lines of text and numbers: by stdio on a host, by semihosting on a microcontroller. An emulator
// or a debugger prints what semihosting passes to it.

#include <cstddef>
#include <cstdint>

#if !FEWBIT_HAS_STDIO
#define EXAMPLE_SEMIHOSTING 1
#else
#include <cstdio>
#define EXAMPLE_SEMIHOSTING 0
#endif

namespace fewbit::examples {

#if EXAMPLE_SEMIHOSTING
/// A call of the Arm semihosting interface.
inline int semihosting(int operation, const void* argument) noexcept {
  register int r0 asm("r0") = operation;
  register const void* r1 asm("r1") = argument;
  asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

inline void print(const char* text) noexcept { semihosting(4, text); }  // SYS_WRITE0
#else
inline void print(const char* text) noexcept { std::fputs(text, stdout); }
#endif

inline void print(int number) noexcept {
  char digits[12] = {};
  std::size_t first = sizeof(digits) - 1;
  auto rest = static_cast<unsigned>(number < 0 ? -number : number);
  do {
    digits[--first] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (number < 0) digits[--first] = '-';
  print(digits + first);
}

template <class... Parts>
void print_line(const Parts&... parts) noexcept {
  (print(parts), ...);
  print("\n");
}

}  // namespace fewbit::examples
