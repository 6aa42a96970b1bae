#include "fewbit/arch/code_values.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace fewbit { namespace arch_code_values_test {

/// Every code in every lane, with other bits above it, minus zero points, times a unit.
template <int Bits, int Lanes>
void expect_values(float unit) {
  using words = arch::vec<std::uint32_t, Lanes>;
  using reals = arch::vec<float, Lanes>;
  for (const int zero : {0, 1, 1 << (Bits - 1), (1 << Bits) - 1}) {
    reals zeros;
    for (int i = 0; i < Lanes; ++i) zeros.set(i, static_cast<float>((zero + i) % (1 << Bits)));
    const arch::code_values<Bits, Lanes, false> of_all(zero, unit);
    const arch::code_values<Bits, Lanes, true> of_each(zeros, unit);
    for (int first = 0; first < 1 << Bits; ++first) {
      words codes;
      for (int i = 0; i < Lanes; ++i)
        codes.set(i, static_cast<unsigned>(first + i) % (1U << Bits) | 0xABCD5A5AU << Bits);
      const reals same = of_all(codes), own = of_each(codes);
      for (int i = 0; i < Lanes; ++i) {
        const int code = (first + i) % (1 << Bits);
        ASSERT_EQ(same[i], static_cast<float>(code - zero) * unit) << Bits << " bits, lane " << i;
        ASSERT_EQ(own[i], (static_cast<float>(code) - zeros[i]) * unit)
            << Bits << " bits, lane " << i;
      }
    }
  }
}

template <int Bits>
void expect_values_in_all_lanes() {
  for (const float unit : {1.0F, 0.5F, 0x1p-30F, 0x1p-100F}) {
    expect_values<Bits, 4>(unit);
    expect_values<Bits, 8>(unit);
    expect_values<Bits, 16>(unit);
  }
}

TEST(code_values, are_codes_minus_their_zero_points) {
  expect_values_in_all_lanes<2>();
  expect_values_in_all_lanes<3>();
  expect_values_in_all_lanes<4>();
  expect_values_in_all_lanes<8>();
}

}  // namespace arch_code_values_test
}  // namespace fewbit
