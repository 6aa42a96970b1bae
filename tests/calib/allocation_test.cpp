// The memory of a calibration: how much it takes, and that a short text cannot make it take much.
// Replaces operator new for all of its program.

#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "calib/support.hpp"
#include "fewbit/calib/calibration.hpp"

namespace calib_allocation_test {

std::atomic<std::size_t> used{0};
std::atomic<std::size_t> most{0};

void* take(std::size_t size, std::size_t alignment) {
  void* const memory =
      std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  used += malloc_usable_size(memory);
  if (used > most) most = used.load();
  return memory;
}

void give_back(void* memory) {
  if (memory != nullptr) used -= malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace calib_allocation_test

void* operator new(std::size_t size) { return calib_allocation_test::take(size, 16); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return calib_allocation_test::take(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { calib_allocation_test::give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept {
  calib_allocation_test::give_back(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  calib_allocation_test::give_back(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  calib_allocation_test::give_back(memory);
}

namespace calib_allocation_test {

using fewbit::calibration;
using fewbit::histogram_observer;
using fewbit::tests::matrix;

/// Values of both signs in every octave of float: no histogram takes more memory.
matrix every_octave() {
  std::vector<float> values;
  for (int e = -149; e <= 127; ++e) {
    for (const float x : {1.0F, -1.5F}) values.push_back(std::ldexp(x, e));
  }
  return fewbit::tests::row_of(values);
}

TEST(calibration_memory, a_thousand_histograms_take_36_megabytes) {
  constexpr int tensors = 1000;
  const matrix x = every_octave();
  const std::size_t before = used;
  calibration c;
  for (int i = 0; i < tensors; ++i) {
    c.add("model.layers." + std::to_string(i) + ".attention.output", histogram_observer{});
  }
  for (std::uint64_t b = 0; b < 2; ++b) {
    for (fewbit::index i = 0; i < c.size(); ++i) c.observe(c.name(i), x);
    c.end_batch(b);
  }
  const std::size_t taken = used - before;
  EXPECT_LE(taken, std::size_t{36} * 1000 * 1000);
  EXPECT_GE(taken, std::size_t{34} * 1000 * 1000) << "this input does not fill the histograms";
  EXPECT_LE(c.bytes(), taken + sizeof(c));
  EXPECT_GE(c.bytes(), taken / 100 * 99);
  for (fewbit::index i = 0; i < c.size(); ++i) {
    ASSERT_LE(c.observer<histogram_observer>(c.name(i)).bytes(), 36000U);
  }
}

TEST(calibration_memory, observing_and_merging_take_little_more_for_a_moment) {
  const matrix x = every_octave();
  const auto many = [&](std::uint64_t batch) {
    calibration c;
    for (int i = 0; i < 100; ++i) c.add("tensor" + std::to_string(i), histogram_observer{});
    for (fewbit::index i = 0; i < c.size(); ++i) c.observe(c.name(i), x);
    c.end_batch(batch);
    return c;
  };
  calibration c = many(0);
  const calibration other = many(1);
  const std::size_t before = used;
  most = before;
  for (int i = 0; i < 10; ++i) c.observe("tensor7", x);
  c.end_batch(2);
  c.merge(other);
  EXPECT_LE(most - before, 200000U);
  EXPECT_LE(used - before, 100U);
}

TEST(calibration_memory, a_short_text_takes_little) {
#if FEWBIT_HAS_EXCEPTIONS
  std::string text =
      "fewbit calibration 1\nbatch_ranges 0\ntensors 1\ntensor a\nobserver "
      "per_channel<histogram_observer>\nfewbit per_channel 1\nchannels 1000\n";
  const std::string wide = histogram_observer(65536).to_text();
  for (int i = 0; i < 1000; ++i) text += wide;
  const std::size_t before = used;
  most = before;
  EXPECT_THROW((void)calibration::from_text(text, 10000000), fewbit::error);
  EXPECT_LE(most - before, 20000000U);
  for (const char* count : {"16777216", "4611686018427387903"}) {
    most = used.load();
    EXPECT_THROW((void)calibration::from_text(
                     "fewbit calibration 1\nbatch_ranges 0\ntensors " + std::string(count) +
                     "\ntensor a\nobserver per_channel<max_observer>\nfewbit per_channel "
                     "1\nchannels " +
                     count + "\n"),
                 fewbit::error);
    EXPECT_LE(most - before, 100000U);
  }
#endif
}

}  // namespace calib_allocation_test
