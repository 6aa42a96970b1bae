#pragma once
/// Scratch memory that is allocated once, so that the hot path does not allocate.
///
/// Preparation reserves the memory that the largest call needs. Each piece of work given to an
/// executor (core/executor.hpp) uses one slot.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <limits>
#include <string>

#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Slots of equal size. Each slot starts on a 64-byte line and shares no line with another slot.
/// The distance between slots is an odd number of lines. Therefore up to 64 slots start at
/// different offsets in a 4096-byte page, and their loads and stores do not alias.
class workspace {
 public:
  workspace() noexcept = default;

  /// @throws fewbit::error as `reserve` does.
  explicit workspace(index bytes_per_slot, index slots = 1) { reserve(bytes_per_slot, slots); }

  /// Makes room for `slots` slots of `bytes_per_slot` bytes; neither number ever shrinks. Growing
  /// invalidates pointers to slots and loses their contents.
  /// @throws fewbit::error if a number is negative or the product is too large; the workspace is
  /// then unchanged.
  FEWBIT_ALWAYS_INLINE void reserve(index bytes_per_slot, index slots = 1) {
    const bool fits =
        bytes_per_slot >= 0 && bytes_per_slot <= bytes_per_slot_ && slots >= 0 && slots <= slots_;
    if (!fits) [[unlikely]]
      grow(bytes_per_slot, slots);
  }

  /// First byte of slot i, 0 <= i < slots(). Its contents are unspecified.
  [[nodiscard]] std::byte* slot(index i) noexcept {
    assert(i >= 0 && i < slots_);
    return memory_.data() + i * stride_;
  }

  [[nodiscard]] index slots() const noexcept { return slots_; }
  /// The most slots of so many bytes that an address space has room for.
  [[nodiscard]] static index most_slots(index bytes_per_slot) noexcept {
    return aligned_buffer<std::byte>::max_size / stride_for(bytes_per_slot);
  }
  [[nodiscard]] index bytes_per_slot() const noexcept { return bytes_per_slot_; }

 private:
  static constexpr index line = index{aligned_buffer<std::byte>::alignment};

  static index stride_for(index bytes_per_slot) noexcept {
    return (((bytes_per_slot + line - 1) / line) | 1) * line;
  }

  /// reserve() for more than there is.
  [[gnu::noinline]] void grow(index bytes_per_slot, index slots) {
    constexpr index most_bytes = std::numeric_limits<index>::max() - 2 * line;
    if (bytes_per_slot < 0 || bytes_per_slot > most_bytes) {
      detail::fail("workspace", "bytes_per_slot", bytes_per_slot,
                   "0 to " + std::to_string(most_bytes));
    }
    bytes_per_slot = std::max(bytes_per_slot, bytes_per_slot_);
    const index stride = stride_for(bytes_per_slot);
    const index most = most_slots(bytes_per_slot);
    if (slots < 0 || slots > most) {
      detail::fail("workspace", "slots", slots, "0 to " + std::to_string(most));
    }
    slots = std::max(slots, slots_);
    if (slots > most) {
      detail::fail("workspace", "bytes_per_slot", bytes_per_slot,
                   "less with " + std::to_string(slots) + " slots");
    }
    if (stride * slots > memory_.size()) {
      memory_ = aligned_buffer<std::byte>(stride * slots);
      stride_ = stride;
    }
    bytes_per_slot_ = bytes_per_slot;
    slots_ = slots;
  }

  aligned_buffer<std::byte> memory_;
  index stride_ = 0;
  index bytes_per_slot_ = 0;
  index slots_ = 0;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
