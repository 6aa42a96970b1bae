#pragma once
/// Measures the time of a call.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace fewbit::examples {

/// Median time of a call, in microseconds. Makes one call for warm-up, then at least `least` calls
/// and for at least 0.2 seconds.
template <class F>
double median_microseconds(F&& call, std::size_t least = 15) {
  using clock = std::chrono::steady_clock;
  call();
  std::vector<double> times;
  const auto start = clock::now();
  while (times.size() < least || clock::now() - start < std::chrono::milliseconds(200)) {
    const auto before = clock::now();
    call();
    times.push_back(std::chrono::duration<double, std::micro>(clock::now() - before).count());
  }
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

}  // namespace fewbit::examples
