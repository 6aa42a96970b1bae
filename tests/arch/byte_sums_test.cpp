#include "fewbit/arch/byte_sums.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace arch_byte_sums_test {

namespace arch = fewbit::arch;

template <class Code, int N>
void check_fours() {
  std::mt19937 random(N);
  for (int round = 0; round < 50; ++round) {
    arch::vec<Code, N> codes;
    arch::vec<std::int32_t, N / 4> sums;
    std::int64_t expected = 0;
    for (int i = 0; i < N; ++i) {
      // Extremes first, because four of them in a row give the largest sums.
      codes.set(i, round == 0   ? std::numeric_limits<Code>::max()
                   : round == 1 ? std::numeric_limits<Code>::min()
                                : static_cast<Code>(random()));
      expected += codes[i];
    }
    for (int i = 0; i < N / 4; ++i) {
      sums.set(i, static_cast<std::int32_t>(random() % 2000000) - 1000000);
      expected += sums[i];
    }
    EXPECT_EQ(arch::sum_of_lanes(arch::add_fours(sums, codes)), expected);
  }
}

TEST(add_fours, adds_every_code_once) {
  check_fours<std::int8_t, 64>();
  check_fours<std::uint8_t, 64>();
  check_fours<std::int8_t, 32>();
  check_fours<std::uint8_t, 32>();
  check_fours<std::int8_t, 16>();
  check_fours<std::uint8_t, 16>();
  check_fours<std::int8_t, 12>();
}

TEST(sum_of_bytes, equals_a_plain_loop) {
  std::mt19937 random(1);
  std::vector<std::uint8_t> codes;
  std::int32_t sum = 0;
  for (int n = 0; n < 300; ++n) {
    EXPECT_EQ(arch::sum_of_bytes(codes.data(), n), sum);
    codes.push_back(static_cast<std::uint8_t>(random()));
    sum += codes.back();
  }
}

}  // namespace arch_byte_sums_test
