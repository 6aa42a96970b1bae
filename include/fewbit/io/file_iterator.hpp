#pragma once
/// Iteration over the tensors of a file, and the search for a name. Read next: safetensors.hpp,
/// gguf.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/index.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Iterates over file[0] .. file[file.size() - 1], which are values of type Tensor.
template <class File, class Tensor>
class file_iterator {
 public:
  using value_type = Tensor;
  using difference_type = std::ptrdiff_t;

  file_iterator() noexcept = default;
  file_iterator(const File& file, index i) noexcept : file_(&file), i_(i) {}
  [[nodiscard]] Tensor operator*() const { return (*file_)[i_]; }
  file_iterator& operator++() noexcept {
    ++i_;
    return *this;
  }
  file_iterator operator++(int) noexcept {
    file_iterator old = *this;
    ++i_;
    return old;
  }
  friend bool operator==(const file_iterator& a, const file_iterator& b) noexcept {
    return a.i_ == b.i_;
  }

 private:
  const File* file_ = nullptr;
  index i_ = 0;
};

/// The element i of `by_name` with text(i) == name, or -1. The elements are in the order of their
/// texts.
template <class Text>
[[nodiscard]] index find_by_name(const std::vector<std::uint32_t>& by_name, std::string_view name,
                                 const Text& text) {
  const auto found = std::partition_point(by_name.begin(), by_name.end(),
                                          [&](std::uint32_t i) { return text(i) < name; });
  return found == by_name.end() || text(*found) != name ? index{-1} : static_cast<index>(*found);
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
