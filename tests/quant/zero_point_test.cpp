#include "fewbit/quant/zero_point.hpp"

#include <gtest/gtest.h>

namespace fewbit { namespace quant_zero_point_test {

static_assert(symmetric::code_min<int8> == -127 && symmetric::code_max<int8> == 127);
static_assert(symmetric::steps<int8> == 127 && symmetric::steps<int4> == 7);
static_assert(symmetric::code_min<int2> == -1 && symmetric::steps<int2> == 1);
static_assert(symmetric::code_min<int16> == -32767);
static_assert(symmetric_full::code_min<int8> == -128 && symmetric_full::code_max<int8> == 127);
static_assert(symmetric_full::steps<int8> == 127.5 && symmetric_full::steps<int4> == 7.5);
static_assert(symmetric_full::steps<int2> == 1.5 && symmetric_full::steps<int16> == 32767.5);
static_assert(affine::code_min<uint4> == 0 && affine::code_max<uint4> == 15);
static_assert(affine::steps<uint8> == 255 && affine::steps<int8> == 255);
static_assert(affine::is_affine && !symmetric::is_affine && !symmetric_full::is_affine);
static_assert(real_minimum::code_min<uint4> == 0 && real_minimum::code_max<uint4> == 15);
static_assert(real_minimum::steps<uint8> == 255 && real_minimum::steps<uint2> == 3);
static_assert(real_minimum::has_minimum && !real_minimum::is_affine && !affine::has_minimum);
static_assert(ZeroPoint<real_minimum> && ZeroPoint<symmetric> && ZeroPoint<symmetric_full> &&
              ZeroPoint<affine>);
static_assert(!ZeroPoint<int8> && !ZeroPoint<int>);

TEST(zero_point, narrow_codes_can_be_negated) {
  EXPECT_EQ(symmetric::code_min<int8>, -symmetric::code_max<int8>);
  EXPECT_EQ(symmetric::code_min<int16>, -symmetric::code_max<int16>);
}

}  // namespace quant_zero_point_test
}  // namespace fewbit
