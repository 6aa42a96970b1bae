#pragma once
/// Numbers that are read often: in memory of their own, or in memory of the caller.
///
/// Packed weights use it, so that they can be read in place from flash, a mapped file or an arena.
/// Both kinds are read through the same pointer and are equally fast. Read next:
/// gemm/weights_image.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <span>
#include <utility>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A fixed number of T that owns its memory, an aligned_buffer, or refers to constant memory of the
/// caller (a view). The copy of an owner is deep. The copy of a view is a view of the same memory.
/// A moved-from array is empty.
///
/// The memory of the caller must outlive the array and its copies. Like an aligned_buffer it is
/// aligned to 64 bytes, and the last line may be read in full.
template <class T>
class stored_array {
 public:
  stored_array() noexcept = default;

  /// Owns `buffer`.
  // NOLINTNEXTLINE(google-explicit-constructor): an owner is a buffer that is read
  stored_array(aligned_buffer<T> buffer) noexcept
      : owned_(std::move(buffer)), data_(owned_.data()), size_(owned_.size()) {}

  /// Refers to `elements`; nothing is copied.
  [[nodiscard]] static stored_array view(std::span<const T> elements) noexcept {
    stored_array array;
    array.data_ = elements.data();
    array.size_ = static_cast<index>(elements.size());
    return array;
  }

  stored_array(const stored_array& other)
      : owned_(other.owned_),
        data_(other.owns() ? owned_.data() : other.data_),
        size_(other.size_) {}
  stored_array(stored_array&& other) noexcept { swap(other); }
  stored_array& operator=(const stored_array& other) {
    stored_array(other).swap(*this);
    return *this;
  }
  stored_array& operator=(stored_array&& other) noexcept {
    stored_array(std::move(other)).swap(*this);
    return *this;
  }
  ~stored_array() = default;

  void swap(stored_array& other) noexcept {
    owned_.swap(other.owned_);  // a buffer keeps the address of its elements
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  friend void swap(stored_array& a, stored_array& b) noexcept { a.swap(b); }

  [[nodiscard]] const T* data() const noexcept { return data_; }
  [[nodiscard]] index size() const noexcept { return size_; }
  /// Bytes of the elements, held or referred to.
  [[nodiscard]] index bytes() const noexcept { return size_ * index{sizeof(T)}; }
  /// Whether the memory is its own. True for an empty array.
  [[nodiscard]] bool owns() const noexcept { return data_ == owned_.data(); }

  /// The elements of an owner, to fill them. nullptr in a view and in an empty array.
  [[nodiscard]] T* writable() noexcept { return owned_.data(); }

 private:
  aligned_buffer<T> owned_;
  const T* data_ = nullptr;
  index size_ = 0;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
