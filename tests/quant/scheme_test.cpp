#include "fewbit/quant/scheme.hpp"

#include <gtest/gtest.h>

#include <type_traits>

namespace fewbit { namespace quant_scheme_test {

template <class S, class St, class G, class Z, class Sc, int Min, int Max>
constexpr bool is =
    std::is_same_v<typename S::storage, St> && std::is_same_v<typename S::granularity, G> &&
    std::is_same_v<typename S::zero_point, Z> && std::is_same_v<typename S::scale, Sc> &&
    std::is_same_v<typename S::rounding, nearest_even> && S::code_min == Min &&
    S::code_max == Max && Scheme<S>;

static_assert(is<int8_per_tensor, int8, per_tensor, symmetric, real_scale, -127, 127>);
static_assert(is<int8_per_row, int8, per_row, symmetric, real_scale, -127, 127>);
static_assert(is<int8_per_col, int8, per_col, symmetric, real_scale, -127, 127>);
static_assert(is<int8_grouped<64>, int8, grouped<64>, symmetric, real_scale, -127, 127>);
static_assert(is<int8_power_of_two, int8, per_tensor, symmetric, power_of_two, -127, 127>);
static_assert(is<int8_affine, int8, per_tensor, affine, real_scale, -128, 127>);
static_assert(is<int8_affine_per_row, int8, per_row, affine, real_scale, -128, 127>);
static_assert(is<uint8_affine, uint8, per_tensor, affine, real_scale, 0, 255>);
static_assert(is<uint8_affine_per_row, uint8, per_row, affine, real_scale, 0, 255>);
static_assert(is<int16_per_tensor, int16, per_tensor, symmetric, real_scale, -32767, 32767>);
static_assert(is<int16_per_row, int16, per_row, symmetric, real_scale, -32767, 32767>);
static_assert(is<int4_per_row, int4, per_row, symmetric, real_scale, -7, 7>);
static_assert(is<int4_grouped<32>, int4, grouped<32>, symmetric, real_scale, -7, 7>);
static_assert(is<uint4_grouped<32>, uint4, grouped<32>, affine, real_scale, 0, 15>);
static_assert(is<uint4_grouped_minimum<32>, uint4, grouped<32>, real_minimum, real_scale, 0, 15>);
static_assert(uint4_grouped_minimum<32>::has_minimum && !uint4_grouped<32>::has_minimum);
static_assert(is<int3_per_row, int3, per_row, symmetric, real_scale, -3, 3>);
static_assert(is<int3_grouped<8>, int3, grouped<8>, symmetric, real_scale, -3, 3>);
static_assert(is<int2_per_row, int2, per_row, symmetric, real_scale, -1, 1>);
static_assert(is<int2_grouped<8>, int2, grouped<8>, symmetric, real_scale, -1, 1>);
static_assert(is<ternary_per_row, ternary, per_row, symmetric, real_scale, -1, 1>);
static_assert(is<ternary_grouped<8>, ternary, grouped<8>, symmetric, real_scale, -1, 1>);
static_assert(is<binary_per_row, binary, per_row, symmetric, real_scale, -1, 1>);
static_assert(is<binary_grouped<8>, binary, grouped<8>, symmetric, real_scale, -1, 1>);

static_assert(!Scheme<int8> && !Scheme<int>);
static_assert(IntegerScheme<int2_per_row> && !IntegerScheme<ternary_per_row>);
static_assert(std::is_empty_v<int8_per_row>);
static_assert(!std::is_same_v<int8_per_row, int8_per_col>);

TEST(scheme, full_range_has_one_more_code) {
  using narrow = scheme<int4, per_row, symmetric>;
  using full = scheme<int4, per_row, symmetric_full>;
  EXPECT_EQ(narrow::code_min, full::code_min + 1);
  EXPECT_EQ(narrow::code_max, int{full::code_max});
}

}  // namespace quant_scheme_test
}  // namespace fewbit
