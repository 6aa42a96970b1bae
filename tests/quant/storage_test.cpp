#include "fewbit/quant/storage.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <type_traits>

namespace fewbit { namespace quant_storage_test {

template <class T>
class storage_test : public testing::Test {};
using storages =
    testing::Types<int8, uint8, int16, int4, uint4, int3, uint3, int2, uint2, ternary, binary>;
TYPED_TEST_SUITE(storage_test, storages);

TYPED_TEST(storage_test, codes_fit_their_bits_and_their_type) {
  static_assert(Storage<TypeParam>);
  using limits = std::numeric_limits<typename TypeParam::code>;
  constexpr int codes = TypeParam::bits == 1 ? 2 : TypeParam::max - TypeParam::min + 1;
  EXPECT_LE(codes, 1 << TypeParam::bits) << TypeParam::name;
  EXPECT_GE(TypeParam::min, int{limits::min()});
  EXPECT_LE(TypeParam::max, int{limits::max()});
  EXPECT_EQ(limits::is_signed, TypeParam::is_signed);
  EXPECT_LE(TypeParam::min, 0);
  EXPECT_GT(TypeParam::max, 0);
}

TYPED_TEST(storage_test, integers_use_every_pattern) {
  if (TypeParam::is_integer) {
    EXPECT_EQ(TypeParam::max - TypeParam::min + 1, 1 << TypeParam::bits);
  }
}

static_assert(int8::min == -128 && int8::max == 127 && uint8::min == 0 && uint8::max == 255);
static_assert(int16::min == -32768 && int16::max == 32767);
static_assert(int4::min == -8 && int4::max == 7 && uint4::min == 0 && uint4::max == 15);
static_assert(int3::min == -4 && int3::max == 3);
static_assert(uint3::min == 0 && uint3::max == 7 && uint2::min == 0 && uint2::max == 3);
static_assert(int2::min == -2 && int2::max == 1);
static_assert(ternary::min == -1 && ternary::max == 1 && ternary::bits == 2);
static_assert(binary::min == -1 && binary::max == 1 && binary::bits == 1);
static_assert(IntegerStorage<int2> && !IntegerStorage<ternary> && !IntegerStorage<binary>);
static_assert(!Storage<int> && !Storage<std::string>);

}  // namespace quant_storage_test
}  // namespace fewbit
