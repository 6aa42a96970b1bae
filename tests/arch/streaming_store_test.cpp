#include "fewbit/arch/streaming_store.hpp"

#include <gtest/gtest.h>

namespace arch_streaming_store_test {

namespace arch = fewbit::arch;

template <class T, int N>
void check() {
  alignas(64) T to[3 * N] = {};
  arch::vec<T, N> v;
  for (int i = 0; i < N; ++i) v.set(i, static_cast<T>(i + 1));
  arch::past_caches::put(to + N, v);
  arch::end_streaming();
  for (int i = 0; i < 3 * N; ++i)
    EXPECT_EQ(to[i], i < N || i >= 2 * N ? T{} : static_cast<T>(i - N + 1)) << "number " << i;
}

TEST(streaming_store, writes_one_vector) {
  check<std::int8_t, 64>();
  check<std::int8_t, 32>();
  check<std::int8_t, 16>();
  check<std::int8_t, 8>();
  check<float, 16>();
  check<float, 8>();
  check<float, 4>();
  check<float, 1>();
}

}  // namespace arch_streaming_store_test
