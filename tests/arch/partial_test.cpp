#include "fewbit/arch/partial.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace fewbit { namespace arch_partial_test {

using arch::vec;

/// Memory of exactly n numbers, so that a sanitizer sees reads and writes beyond them.
template <class T, int N>
void expect_first_lanes() {
  for (int n = 0; n <= N; ++n) {
    SCOPED_TRACE(testing::Message() << n << " of " << N << " lanes of " << sizeof(T) << " bytes");
    std::vector<T> from, to(static_cast<std::size_t>(n), T{100});
    for (int i = 0; i < n; ++i) from.push_back(static_cast<T>(i + 1));
    const auto v = arch::load_first<vec<T, N>>(from.data(), n);
    for (int i = 0; i < N; ++i) ASSERT_EQ(v[i], i < n ? static_cast<T>(i + 1) : T{0});
    arch::store_first(v, to.data(), n);
    ASSERT_EQ(to, from);
    std::vector<T> longer(static_cast<std::size_t>(N + 1), T{100});
    arch::store_first(vec<T, N>(T{7}), longer.data(), n);
    for (int i = 0; i <= N; ++i)
      ASSERT_EQ(longer[static_cast<std::size_t>(i)], i < n ? T{7} : T{100});
  }
}

TEST(arch_partial, first_lanes_alone_are_read_and_written) {
  expect_first_lanes<float, 16>();
  expect_first_lanes<float, 8>();
  expect_first_lanes<float, 4>();
  expect_first_lanes<std::int32_t, 16>();
  expect_first_lanes<std::int32_t, 8>();
  expect_first_lanes<std::int8_t, 64>();
  expect_first_lanes<std::uint8_t, 32>();
  expect_first_lanes<std::int8_t, 16>();
  expect_first_lanes<std::int16_t, 32>();
  expect_first_lanes<std::int16_t, 8>();
}

}}  // namespace fewbit::arch_partial_test
