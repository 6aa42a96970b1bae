#include "fewbit/core/aligned_buffer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "support/sentence.hpp"

namespace core_aligned_buffer_test {

using fewbit::aligned_buffer;

template <class T>
class aligned_buffer_test : public testing::Test {};

struct triple {
  std::uint8_t a, b, c;
};

using element_types = testing::Types<std::int8_t, std::uint16_t, std::int32_t, double, triple>;
TYPED_TEST_SUITE(aligned_buffer_test, element_types);

TYPED_TEST(aligned_buffer_test, starts_on_a_cache_line_and_ends_in_zeros) {
  for (fewbit::index size : {1, 3, 63, 64, 65, 1000}) {
    const aligned_buffer<TypeParam> buffer(size);
    ASSERT_EQ(buffer.size(), size);
    ASSERT_EQ(buffer.end() - buffer.begin(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0U);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(buffer.data());
    const std::size_t lines = (static_cast<std::size_t>(size) * sizeof(TypeParam) + 63) / 64;
    EXPECT_TRUE(std::all_of(bytes, bytes + lines * 64, [](std::uint8_t b) { return b == 0; }));
  }
}

TEST(aligned_buffer, for_overwrite_zeros_only_bytes_after_the_last_element) {
  for (fewbit::index size : {1, 60, 64, 65}) {
    aligned_buffer<std::uint8_t> buffer(size, fewbit::for_overwrite);
    std::fill(buffer.begin(), buffer.end(), std::uint8_t{7});
    EXPECT_TRUE(std::all_of(buffer.end(), buffer.begin() + (size + 63) / 64 * 64,
                            [](std::uint8_t b) { return b == 0; }));
  }
}

TEST(aligned_buffer, large_buffers_are_aligned_to_huge_pages) {
  constexpr auto page = aligned_buffer<std::int32_t>::huge_page;
  constexpr auto numbers = static_cast<fewbit::index>(page / sizeof(std::int32_t));
  for (const fewbit::index size : {numbers, numbers + 1, 3 * numbers}) {
    aligned_buffer<std::int32_t> buffer(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % page, 0U);
    EXPECT_TRUE(std::all_of(buffer.begin(), buffer.end(), [](std::int32_t v) { return v == 0; }));
    buffer[size - 1] = 5;
    const aligned_buffer<std::int32_t> copy(buffer);
    EXPECT_EQ(copy[size - 1], 5);
    EXPECT_EQ(copy[0], 0);
  }
}

TEST(aligned_buffer, has_no_memory_without_elements) {
  const aligned_buffer<int> nothing;
  const aligned_buffer<int> zero(0);
  for (const auto* buffer : {&nothing, &zero}) {
    EXPECT_TRUE(buffer->empty());
    EXPECT_EQ(buffer->data(), nullptr);
    EXPECT_EQ(buffer->begin(), buffer->end());
  }
  const aligned_buffer<int> copy(zero);
  EXPECT_TRUE(copy.empty());
}

TEST(aligned_buffer, copies_are_deep) {
  aligned_buffer<int> a(5);
  a[4] = 7;
  aligned_buffer<int> b(a);
  aligned_buffer<int> c(1);
  c = a;
  a[4] = 8;
  EXPECT_EQ(b[4], 7);
  EXPECT_EQ(c[4], 7);
  EXPECT_EQ(c.size(), 5);
  auto& same = c;
  c = same;
  EXPECT_EQ(c[4], 7);
}

TEST(aligned_buffer, moving_leaves_an_empty_buffer) {
  static_assert(std::is_nothrow_move_constructible_v<aligned_buffer<int>>);
  static_assert(std::is_nothrow_move_assignable_v<aligned_buffer<int>>);
  aligned_buffer<int> a(5);
  a[0] = 3;
  const int* memory = a.data();
  aligned_buffer<int> b(std::move(a));
  EXPECT_EQ(b.data(), memory);
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): the moved-from state is promised
  aligned_buffer<int> c(2);
  c = std::move(b);
  EXPECT_EQ(c.data(), memory);
  EXPECT_TRUE(b.empty());  // NOLINT(bugprone-use-after-move)
}

TEST(aligned_buffer, swaps) {
  aligned_buffer<int> a(1);
  aligned_buffer<int> b(2);
  a[0] = 1;
  b[0] = 2;
  swap(a, b);
  EXPECT_EQ(a.size(), 2);
  EXPECT_EQ(a[0], 2);
  EXPECT_EQ(b.size(), 1);
  EXPECT_EQ(b[0], 1);
}

TEST(aligned_buffer, converts_to_a_span) {
  aligned_buffer<int> buffer(3);
  const std::span<int> writable = buffer;
  writable[2] = 9;
  const aligned_buffer<int>& readable = buffer;
  const std::span<const int> view = readable;
  EXPECT_EQ(view.size(), 3U);
  EXPECT_EQ(view[2], 9);
}

#if FEWBIT_HAS_EXCEPTIONS
using fewbit::tests::sentence_of;

TEST(aligned_buffer, refuses_impossible_sizes) {
  EXPECT_EQ(sentence_of([] { aligned_buffer<double> b(-1); }),
            "fewbit: aligned_buffer: size is -1, expected 0 to 1152921504606846967");
  EXPECT_EQ(sentence_of([] { aligned_buffer<double> b(aligned_buffer<double>::max_size + 1); }),
            "fewbit: aligned_buffer: size is 1152921504606846968, expected 0 to "
            "1152921504606846967");
}
#endif

}  // namespace core_aligned_buffer_test
