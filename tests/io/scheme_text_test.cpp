#include "fewbit/io/scheme_text.hpp"

#include <gtest/gtest.h>

#include <type_traits>

namespace fewbit { namespace io_scheme_text_test {

/// Files keep these words.
TEST(scheme_text, has_five_words) {
  EXPECT_EQ(scheme_text<int8_per_row>(), "int8 per_row symmetric real_scale nearest_even");
  EXPECT_EQ(scheme_text<int4_grouped<32>>(), "int4 grouped:32 symmetric real_scale nearest_even");
  EXPECT_EQ(scheme_text<int8_power_of_two>(),
            "int8 per_tensor symmetric power_of_two nearest_even");
  EXPECT_EQ(scheme_text<uint8_affine>(), "uint8 per_tensor affine real_scale nearest_even");
  EXPECT_EQ(scheme_text<uint4_grouped_minimum<64>>(),
            "uint4 grouped:64 real_minimum real_scale nearest_even");
  EXPECT_EQ((scheme_text<scheme<int16, per_col, symmetric_full, power_of_two, stochastic>>()),
            "int16 per_col symmetric_full power_of_two stochastic");
  EXPECT_EQ((scheme_text<scheme<int3, sub_tensor<7>, affine, real_scale, half_away>>()),
            "int3 sub_tensor:7 affine real_scale half_away");
  EXPECT_EQ((scheme_text<scheme<uint3, per_row, affine, real_scale, toward_zero>>()),
            "uint3 per_row affine real_scale toward_zero");
  EXPECT_EQ(scheme_text<int2_per_row>(), "int2 per_row symmetric real_scale nearest_even");
  EXPECT_EQ((scheme_text<scheme<uint2, per_row, affine>>()),
            "uint2 per_row affine real_scale nearest_even");
  EXPECT_EQ(scheme_text<ternary_per_row>(), "ternary per_row symmetric real_scale nearest_even");
  EXPECT_EQ(scheme_text<binary_grouped<128>>(),
            "binary grouped:128 symmetric real_scale nearest_even");
  EXPECT_EQ((scheme_text<codebook_grouped<4, 32>>()),
            "codebook:4 grouped:32 symmetric real_scale nearest_even");
  EXPECT_EQ(scheme_text<two_scale_ternary>(), "ternary per_row symmetric two_scales nearest_even");
}

TEST(scheme_text, quantized_is_the_matrix_of_a_scheme) {
  static_assert(std::is_same_v<quantized<int8_per_row>, quantized_matrix<int8_per_row>>);
  static_assert(std::is_same_v<quantized<two_scale_ternary>, two_scale_ternary>);
  static_assert(!StoredScheme<int>);
}

}  // namespace io_scheme_text_test
}  // namespace fewbit
