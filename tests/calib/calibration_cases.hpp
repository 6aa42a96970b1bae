#pragma once
/// A small calibration for tests of its state and of its file.

#include <cstdint>
#include <vector>

#include "calib/support.hpp"
#include "fewbit/calib/calibration.hpp"

namespace fewbit::tests {

/// Each batch has its own number of rows and its own values, from tiny to large.
inline matrix batch_of(std::uint64_t number) {
  const auto rows = static_cast<index>(23 + number % 7);
  const auto values =
      wild_values(static_cast<std::size_t>(rows * 5), 20, static_cast<unsigned>(number) + 1);
  return Eigen::Map<const matrix>(values.data(), rows, 5);
}

/// One tensor for each type of observer.
inline calibration empty_calibration() {
  calibration c;
  c.add("b", per_channel<histogram_observer>(5, histogram_observer(64)));
  c.add("a/all", histogram_observer(64));
  c.add("b largest", per_channel<max_observer>(5));
  c.add("a/largest", max_observer{});
  return c;
}

inline void observe_batch(calibration& c, std::uint64_t number) {
  for (const char* name : {"a/largest", "a/all", "b", "b largest"}) {
    c.observe(name, batch_of(number));
  }
  c.end_batch(number);
}

inline calibration seen(const std::vector<std::uint64_t>& batches) {
  calibration c = empty_calibration();
  for (const std::uint64_t b : batches) observe_batch(c, b);
  return c;
}

}  // namespace fewbit::tests
