#pragma once
/// The nearest of some numbers: midpoints of neighbours and a binary search.
///
/// Read next: codebook/nearest.hpp (any dimension; it calls this one), codebook/kmeans_1d.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

/// Numbers in order, each with its former position; of equal ones the first alone remains.
class sorted_centroids {
 public:
  /// @param centroids  at least one, all finite
  explicit sorted_centroids(const std::vector<float>& centroids) {
    number_.reserve(centroids.size());
    for (std::size_t j = 0; j < centroids.size(); ++j) {
      number_.push_back(static_cast<std::int32_t>(j));
    }
    const auto value = [&](std::int32_t j) { return centroids[static_cast<std::size_t>(j)]; };
    std::sort(number_.begin(), number_.end(), [&](std::int32_t a, std::int32_t b) {
      return value(a) != value(b) ? value(a) < value(b) : a < b;
    });
    const auto end =
        std::unique(number_.begin(), number_.end(),
                    [&](std::int32_t a, std::int32_t b) { return value(a) == value(b); });
    number_.erase(end, number_.end());
    for (std::size_t j = 1; j < number_.size(); ++j) {
      middle_.push_back(midpoint(value(number_[j - 1]), value(number_[j])));
    }
  }

  /// (a + b) / 2 in double, which holds it exactly unless one is 2^28 times the other.
  [[nodiscard]] static double midpoint(float a, float b) noexcept {
    return (double{a} + double{b}) / 2;
  }

  /// The number of the nearest centroid; on a midpoint, of the smaller one.
  [[nodiscard]] std::int32_t nearest(float x) const noexcept {
    const double* below = middle_.data();
    for (std::size_t n = middle_.size(); n > 0;) {
      const std::size_t half = (n + 1) / 2;
      below = below[half - 1] < double{x} ? below + half : below;
      n -= half;
    }
    return number_[static_cast<std::size_t>(below - middle_.data())];
  }

  /// The place in order of the nearest centroid, which is not before `place`, and its number.
  [[nodiscard]] std::size_t next(std::size_t place, float x) const noexcept {
    while (place < middle_.size() && middle_[place] < double{x}) ++place;
    return place;
  }
  [[nodiscard]] std::int32_t number(std::size_t place) const noexcept { return number_[place]; }

 private:
  std::vector<std::int32_t> number_;
  std::vector<double> middle_;  // between neighbours
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE
