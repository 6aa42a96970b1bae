#pragma once
/// Counts up to 2^62. A count below 2^32 takes 4 bytes. Private to the histogram observers.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Stores the low 32 bits of every count. A count that reaches 2^32 takes 8 bytes more for its high
/// part.
///
/// Each count has exactly one representation. So operator== can compare the members.
class compact_counts {
 public:
  explicit compact_counts(std::size_t n = 0) : low_(n, 0) {}

  [[nodiscard]] std::size_t size() const noexcept { return low_.size(); }

  /// Heap memory of the counts.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return low_.capacity() * sizeof(std::uint32_t) + carries_.capacity() * sizeof(high_part);
  }

  [[nodiscard]] std::uint64_t operator[](std::size_t i) const noexcept {
    const std::uint64_t low = low_[i];
    return carries_.empty() ? low : low + high_of(i);
  }

  void add(std::size_t i, std::uint64_t n) {
    const std::uint64_t sum = low_[i] + n;
    if (sum >> 32U != 0) carry(i, static_cast<std::uint32_t>(sum >> 32U));
    low_[i] = static_cast<std::uint32_t>(sum);
  }

  FEWBIT_ALWAYS_INLINE void add_one(std::size_t i) {
    if (++low_[i] == 0) carry(i, 1);
  }

  /// Adds more[i] to count begin + i, for i from 0 to n - 1.
  void add_each(std::size_t begin, const std::uint32_t* more, std::size_t n) {
    using words = arch::vec<std::uint32_t, arch::native_lanes<std::uint32_t>>;
    std::uint32_t* low = low_.data() + begin;
    std::size_t i = 0;
    for (; i + words::lanes <= n; i += words::lanes) {
      const words added = words::load(more + i);
      const words sum = words::load(low + i) + added;
      if (arch::sum_of_lanes(sum < added) != 0) break;  // a count reaches 2^32
      sum.store(low + i);
    }
    for (; i < n; ++i) add(begin + i, more[i]);
  }

  friend bool operator==(const compact_counts&, const compact_counts&) = default;

 private:
  struct high_part {
    std::uint32_t position;
    std::uint32_t value;  // in units of 2^32

    friend bool operator==(const high_part&, const high_part&) = default;
  };

  [[nodiscard]] auto find(std::size_t i) const noexcept {
    return std::lower_bound(
        carries_.begin(), carries_.end(), i,
        [](const high_part& h, std::size_t position) { return h.position < position; });
  }

  [[nodiscard]] std::uint64_t high_of(std::size_t i) const noexcept {
    const auto at = find(i);
    return at != carries_.end() && at->position == i ? std::uint64_t{at->value} << 32U : 0;
  }

  void carry(std::size_t i, std::uint32_t value) {
    const auto at = carries_.begin() + (find(i) - carries_.cbegin());
    if (at != carries_.end() && at->position == i) {
      at->value += value;
    } else {
      carries_.insert(at, {static_cast<std::uint32_t>(i), value});
    }
  }

  std::vector<std::uint32_t> low_;
  std::vector<high_part> carries_;  // by ascending position
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
