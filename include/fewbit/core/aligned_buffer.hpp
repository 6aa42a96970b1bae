#pragma once
/// Zeroed memory aligned to a cache line, for codes, packed weights and scratch bytes.
///
/// Use it where Eigen has no suitable type. Matrices of floats and of whole integers are Eigen
/// matrices. Read next: core/workspace.hpp (scratch for the hot path), core/bits.hpp (layout of
/// codes of less than a byte).

#include "fewbit/begin.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Tag of the constructor that does not zero the elements.
struct for_overwrite_t {};
/// The value of that type.
inline constexpr for_overwrite_t for_overwrite;

namespace detail {

/// Requests 2 MiB pages for memory that has not been touched yet. One page fault and one TLB entry
/// then cover 512 times as much memory. On systems without such pages it has no effect.
inline void prefer_huge_pages([[maybe_unused]] void* memory,
                              [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}

}  // namespace detail

/// A fixed number of T on the heap, aligned to 64 bytes, initially zero in all bits. Copies are
/// deep. A moved-from buffer is empty. A buffer converts to `std::span` like any contiguous range.
///
/// The memory is a whole number of 64-byte lines. Bytes after the last element are zero, and
/// reading the last line in full is allowed.
template <class T>
class aligned_buffer {
  static_assert(std::is_trivially_copyable_v<T>,
                "fewbit: an aligned_buffer holds trivially copyable elements");

 public:
  using value_type = T;
  static constexpr std::size_t alignment = 64;
  static_assert(alignof(T) <= alignment);

  /// Buffers of at least this many bytes are aligned to it and request pages of this size.
  static constexpr std::size_t huge_page = std::size_t{2} << 20;

  /// The largest possible number of elements.
  static constexpr index max_size =
      (std::numeric_limits<index>::max() - index{alignment}) / index{sizeof(T)};

  aligned_buffer() noexcept = default;

  /// @throws fewbit::error if `size` is negative or greater than `max_size`.
  explicit aligned_buffer(index size) : aligned_buffer(size, for_overwrite) {
    if (size > 0) std::memset(static_cast<void*>(data_), 0, bytes_for(size));
  }

  /// Does not initialize the elements. Use it if you write all elements: large memory is then
  /// written only once.
  ///
  /// @throws fewbit::error as above.
  aligned_buffer(index size, for_overwrite_t) {
    if (size < 0 || size > max_size) {
      detail::fail("aligned_buffer", "size", size, "0 to " + std::to_string(max_size));
    }
    if (size == 0) return;
    const std::size_t bytes = bytes_for(size);
    data_ = static_cast<T*>(::operator new(bytes, alignment_for(bytes)));
    size_ = size;
    if (bytes >= huge_page) detail::prefer_huge_pages(data_, bytes);
    auto* end = reinterpret_cast<std::byte*>(data_) + bytes;
    std::fill(reinterpret_cast<std::byte*>(data_ + size), end, std::byte{0});
  }

  aligned_buffer(const aligned_buffer& other) : aligned_buffer(other.size_, for_overwrite) {
    if (size_ > 0) std::memcpy(static_cast<void*>(data_), other.data_, bytes_for(size_));
  }
  aligned_buffer(aligned_buffer&& other) noexcept { swap(other); }
  aligned_buffer& operator=(const aligned_buffer& other) {
    aligned_buffer(other).swap(*this);
    return *this;
  }
  aligned_buffer& operator=(aligned_buffer&& other) noexcept {
    aligned_buffer(std::move(other)).swap(*this);
    return *this;
  }
  ~aligned_buffer() {
    if (data_ != nullptr) ::operator delete(data_, alignment_for(bytes_for(size_)));
  }

  void swap(aligned_buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  friend void swap(aligned_buffer& a, aligned_buffer& b) noexcept { a.swap(b); }

  [[nodiscard]] index size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  /// nullptr when empty.
  [[nodiscard]] T* data() noexcept { return data_; }
  [[nodiscard]] const T* data() const noexcept { return data_; }

  [[nodiscard]] T* begin() noexcept { return data_; }
  [[nodiscard]] const T* begin() const noexcept { return data_; }
  [[nodiscard]] T* end() noexcept { return data_ + size_; }
  [[nodiscard]] const T* end() const noexcept { return data_ + size_; }

  [[nodiscard]] T& operator[](index i) noexcept {
    assert(i >= 0 && i < size_);
    return data_[i];
  }
  [[nodiscard]] const T& operator[](index i) const noexcept {
    assert(i >= 0 && i < size_);
    return data_[i];
  }

 private:
  static constexpr std::size_t bytes_for(index size) noexcept {
    return (static_cast<std::size_t>(size) * sizeof(T) + alignment - 1) / alignment * alignment;
  }

  static constexpr std::align_val_t alignment_for(std::size_t bytes) noexcept {
    return std::align_val_t{bytes >= huge_page ? huge_page : alignment};
  }

  T* data_ = nullptr;
  index size_ = 0;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
