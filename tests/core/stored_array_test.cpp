#include "fewbit/core/stored_array.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

namespace fewbit { namespace core_stored_array_test {

using array = stored_array<std::int32_t>;

array owner_of(index size) {
  array a(aligned_buffer<std::int32_t>{size});
  for (index i = 0; i < size; ++i) a.writable()[i] = static_cast<std::int32_t>(i);
  return a;
}

TEST(stored_array, is_empty_at_first) {
  const array a;
  EXPECT_EQ(a.size(), 0);
  EXPECT_EQ(a.bytes(), 0);
  EXPECT_EQ(a.data(), nullptr);
  EXPECT_TRUE(a.owns());
}

TEST(stored_array, copies_what_it_owns) {
  array a = owner_of(5);
  const array copy = a;
  EXPECT_TRUE(a.owns());
  EXPECT_TRUE(copy.owns());
  EXPECT_NE(copy.data(), a.data());
  a.writable()[4] = 9;
  EXPECT_EQ(copy.data()[4], 4);
  EXPECT_EQ(copy.size(), 5);
  EXPECT_EQ(copy.bytes(), 20);
}

TEST(stored_array, copies_of_a_view_are_views) {
  alignas(64) const std::int32_t numbers[16] = {1, 2, 3};
  array view = array::view(numbers);
  EXPECT_FALSE(view.owns());
  EXPECT_EQ(view.writable(), nullptr);
  EXPECT_EQ(view.bytes(), 64);
  const array copy = view;
  EXPECT_FALSE(copy.owns());
  EXPECT_EQ(copy.data(), &numbers[0]);
  const array moved = std::move(view);
  EXPECT_FALSE(moved.owns());
  EXPECT_EQ(moved.data(), &numbers[0]);
  EXPECT_EQ(view.size(), 0);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(view.data(), nullptr);
}

TEST(stored_array, keeps_addresses_when_moved) {
  array a = owner_of(5);
  const std::int32_t* data = a.data();
  array b = std::move(a);
  EXPECT_EQ(b.data(), data);
  EXPECT_TRUE(b.owns());
  EXPECT_EQ(a.data(), nullptr);  // NOLINT(bugprone-use-after-move)
  a = b;
  EXPECT_EQ(a.size(), 5);
  EXPECT_NE(a.data(), data);
  const std::int32_t numbers[2] = {7, 8};
  b = array::view(numbers);
  EXPECT_FALSE(b.owns());
  swap(a, b);
  EXPECT_FALSE(a.owns());
  EXPECT_EQ(a.data()[1], 8);
  EXPECT_TRUE(b.owns());
  EXPECT_EQ(b.data()[4], 4);
}

}  // namespace core_stored_array_test
}  // namespace fewbit
