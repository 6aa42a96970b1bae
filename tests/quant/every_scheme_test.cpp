// Compares every legal integer scheme with the oracle: storage x granularity x zero point x scale x
// rounding. quantize_test.cpp has ternary and binary schemes.

#include <gtest/gtest.h>

#include <type_traits>

#include "fewbit/quant/quantize.hpp"
#include "quant/oracle.hpp"

namespace fewbit { namespace quant_every_scheme_test {

using tests::for_each_type;
using tests::types;
using scales = types<real_scale, power_of_two>;
using roundings = types<nearest_even, half_away, toward_zero, stochastic>;

template <class St>
class integer_storage_test : public testing::Test {};
using integer_storages = testing::Types<int8, uint8, int16, int4, uint4, int3, uint3, int2, uint2>;
TYPED_TEST_SUITE(integer_storage_test, integer_storages);

template <class St>
using zero_points_of =
    std::conditional_t<St::is_signed, types<symmetric, symmetric_full, affine>, types<affine>>;

TYPED_TEST(integer_storage_test, every_legal_scheme_equals_the_reference) {
  int schemes = 0;
  const auto all = tests::inputs();
  for_each_type(tests::granularities{}, [&]<class G>() {
    for_each_type(zero_points_of<TypeParam>{}, [&]<class Z>() {
      for_each_type(scales{}, [&]<class Sc>() {
        for_each_type(roundings{}, [&]<class R>() {
          SCOPED_TRACE(testing::Message()
                       << G::name << " " << Z::name << " " << Sc::name << " " << R::name);
          for (const auto& w : all) {
            tests::expect_equal_to_oracle<scheme<TypeParam, G, Z, Sc, R>>(w);
          }
          ++schemes;
        });
      });
    });
  });
  EXPECT_EQ(schemes, 5 * (TypeParam::is_signed ? 3 : 1) * 2 * 4);
}

template <class St>
class minimum_storage_test : public testing::Test {};
using unsigned_storages = testing::Types<uint8, uint4, uint3, uint2>;
TYPED_TEST_SUITE(minimum_storage_test, unsigned_storages);

TYPED_TEST(minimum_storage_test, every_legal_scheme_equals_the_reference) {
  const auto all = tests::inputs();
  for_each_type(types<per_row, grouped<20>>{}, [&]<class G>() {
    for_each_type(scales{}, [&]<class Sc>() {
      for_each_type(roundings{}, [&]<class R>() {
        SCOPED_TRACE(testing::Message() << G::name << " " << Sc::name << " " << R::name);
        for (const auto& w : all) {
          tests::expect_equal_to_oracle<scheme<TypeParam, G, real_minimum, Sc, R>>(w);
        }
      });
    });
  });
}

}  // namespace quant_every_scheme_test
}  // namespace fewbit
