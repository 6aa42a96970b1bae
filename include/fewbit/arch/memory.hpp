#pragma once
/// Hints about memory: prefetches for the processor, order of loads for the compiler.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Bytes of a cache line, or of two lines where a line has 32 bytes.
inline constexpr int cache_line = 64;

/// The address that is `bytes` bytes after p, for a prefetch. It need not lie in an object.
FEWBIT_ALWAYS_INLINE const void* beyond(const void* p, std::ptrdiff_t bytes) noexcept {
  // Computes with integers, because pointer arithmetic outside an object is undefined.
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  return reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(p) +
                                       static_cast<std::uintptr_t>(bytes));
}

/// Prefetches a line that will be read, into L1 or into L2 only. Any address is allowed.
FEWBIT_ALWAYS_INLINE void prefetch_to_l1(const void* p) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(p, 0, 3);
#else
  (void)p;
#endif
}
/// The same into L2 only.
FEWBIT_ALWAYS_INLINE void prefetch_to_l2(const void* p) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(p, 0, 2);
#else
  (void)p;
#endif
}

/// Prefetches a line that will be written, into L1.
FEWBIT_ALWAYS_INLINE void prefetch_to_write(const void* p) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(p, 1, 3);
#else
  (void)p;
#endif
}

/// Prevents the compiler from moving loads across this line. Otherwise g++ for aarch64 moves the
/// loads of several steps ahead of their use until no register is left.
FEWBIT_ALWAYS_INLINE void keep_loads_in_order() noexcept {
#if defined(__GNUC__)
  asm volatile("" : : : "memory");
#endif
}

/// Hides the value of a pointer from the compiler. Otherwise g++ computes every address of an
/// unrolled tile before the loop, keeps the addresses on the stack, and reloads one for each store.
template <class T>
FEWBIT_ALWAYS_INLINE void forget_origin(T*& p) noexcept {
#if defined(__GNUC__)
  asm("" : "+r"(p));
#else
  (void)p;
#endif
}

/// Hides the value of a number. A loop that hides its bounds in each turn computes what depends on
/// them in the turn, not before it, where the results of many such loops fill the registers.
template <class T>
FEWBIT_ALWAYS_INLINE void forget_value(T& n) noexcept {
#if defined(__GNUC__)
  asm("" : "+r"(n));
#else
  (void)n;
#endif
}

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
