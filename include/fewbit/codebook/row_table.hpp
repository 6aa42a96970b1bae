#pragma once
/// A hash table that finds equal rows of floats. -0 equals 0.
///
/// Read next: codebook/nearest.hpp (equal centroids), codebook/seeding.hpp (equal points).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The numbers of different rows. The caller owns the rows.
class row_table {
 public:
  row_table() = default;
  /// @param most  largest number of different rows
  explicit row_table(index most)
      : slots_(std::bit_ceil(2 * static_cast<std::size_t>(most)), empty) {}

  void clear() noexcept { std::fill(slots_.begin(), slots_.end(), empty); }

  /// The number of the row that equals x. If there is none, x is added as row `number`.
  ///
  /// @param row   row(i) points to the first coordinate of row i, which was added before
  /// @param d     number of coordinates
  /// @param step  floats from one coordinate of a row to the next
  template <class F>
  [[nodiscard]] std::int32_t find_or_add(std::int32_t number, const F& row, const float* x, index d,
                                         index step) noexcept {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = hash_of(x, d, step) & mask;; i = (i + 1) & mask) {
      if (slots_[i] == empty) return slots_[i] = number;
      if (are_equal(x, row(slots_[i]), d, step)) return slots_[i];
    }
  }

 private:
  static constexpr std::int32_t empty = -1;

  static std::size_t hash_of(const float* x, index d, index step) noexcept {
    std::uint64_t hash = 0;
    for (index t = 0; t < d; ++t) {
      const float value = without_minus_zero(x[t * step]);
      hash = (hash ^ std::bit_cast<std::uint32_t>(value)) * 0x9E3779B97F4A7C15ULL;
      hash ^= hash >> 32;
    }
    return static_cast<std::size_t>(hash);
  }

  static bool are_equal(const float* a, const float* b, index d, index step) noexcept {
    index t = 0;
    while (t < d && a[t * step] == b[t * step]) ++t;
    return t == d;
  }

  std::vector<std::int32_t> slots_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
