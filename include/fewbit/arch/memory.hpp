#pragma once
/// What a kernel tells the processor and the compiler about memory.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Bytes of a cache line, or of a pair of half-lines where they are shorter.
inline constexpr int cache_line = 64;

/// The address some bytes behind p, inside an object or not: something to prefetch.
FEWBIT_ALWAYS_INLINE const void* beyond(const void* p, std::ptrdiff_t bytes) noexcept {
  // Pointers may not leave their object, not even uselessly.
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  return reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(p) +
                                       static_cast<std::uintptr_t>(bytes));
}

/// Asks for a line that will be read: into L1, or into L2 only. Any address is harmless.
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

/// Asks for a line that will be written, into L1.
FEWBIT_ALWAYS_INLINE void prefetch_to_write(const void* p) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(p, 1, 3);
#else
  (void)p;
#endif
}

/// Keeps loads on their side of this line. g++ for aarch64 else moves the loads of several steps
/// ahead of their use, until it runs out of registers.
FEWBIT_ALWAYS_INLINE void keep_loads_in_order() noexcept {
#if defined(__GNUC__)
  asm volatile("" : : : "memory");
#endif
}

/// Makes a pointer's value unknown to the compiler. Without it g++ computes every address of an
/// unrolled tile before the loop and keeps the addresses on the stack, one reload per store.
template <class T>
FEWBIT_ALWAYS_INLINE void forget_origin(T*& p) noexcept {
#if defined(__GNUC__)
  asm("" : "+r"(p));
#else
  (void)p;
#endif
}

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
