#include "fewbit/formats/codes_in_groups.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "fewbit/quant/dequantize.hpp"
#include "fewbit/quant/quantize.hpp"
#include "formats/checkpoint_cases.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace formats_codes_in_groups_test {

using namespace fewbit::tests;

/// Whether S gives the values of the formula, and its codes give S.
template <class S>
void expect_values(const codes_in_groups& w) {
  ASSERT_TRUE(fits<S>(w));
  const auto q = to_quantized<S>(w);
  const row_matrix<float> values = dequantize(q);
  for (index r = 0; r < q.rows(); ++r) {
    for (index c = 0; c < q.cols(); ++c)
      ASSERT_EQ(double{values(r, c)}, weight_of(w, r, c)) << r << ' ' << c;
  }
  const codes_in_groups again = to_codes(q, w.order);
  EXPECT_EQ(again.order, w.order);
  EXPECT_TRUE(to_quantized<S>(again) == q);
}

TEST(codes_in_groups, keep_every_value_in_every_scheme) {
  for (const index k : {64, 70, 31}) {
    for (const bool has_order : {false, true}) {
      const random_weights any{.bits = 4, .n = 9, .k = k, .group = 32, .has_order = has_order};
      expect_values<uint4_grouped<32>>(any.make());
      expect_values<scheme<int4, grouped<32>, affine>>(any.make());
      expect_values<uint4_grouped_minimum<32>>(any.make());
    }
  }
  const auto of = [](int bits, bool is_symmetric) {
    return random_weights{.bits = bits, .n = 9, .k = 48, .group = 16, .is_symmetric = is_symmetric}
        .make();
  };
  expect_values<scheme<uint2, grouped<16>, affine>>(of(2, false));
  expect_values<scheme<uint3, grouped<16>, affine>>(of(3, false));
  expect_values<scheme<uint8, grouped<16>, affine>>(of(8, false));
  expect_values<scheme<int8, grouped<16>, affine>>(of(8, false));
  expect_values<scheme<uint8, grouped<16>, real_minimum>>(of(8, false));
  expect_values<scheme<int2, grouped<16>, symmetric_full>>(of(2, true));
  expect_values<scheme<int3, grouped<16>, symmetric_full>>(of(3, true));
  expect_values<scheme<int4, grouped<16>, symmetric_full>>(of(4, true));
  expect_values<scheme<int8, grouped<16>, symmetric_full>>(of(8, true));
  codes_in_groups narrow = of(4, true);
  for (auto& code : narrow.codes.reshaped()) code = std::max<std::uint8_t>(code, 1);
  expect_values<int4_grouped<16>>(narrow);
  expect_values<uint4_grouped<1>>(random_weights{.n = 3, .k = 5, .group = 1}.make());
  // One group of a row: any group of at least k columns.
  const auto row = random_weights{.n = 3, .k = 20, .group = 20}.make();
  expect_values<scheme<uint4, per_row, affine>>(row);
  expect_values<uint4_grouped<32>>(row);
}

TEST(codes_in_groups, hold_the_zero_point_that_no_code_has_as_a_minimum) {
  codes_in_groups w = random_weights{.is_symmetric = true}.make();
  w.zeros(3, 1) = 16;
  w.scales(3, 1) = 0.5F;
  expect_values<uint4_grouped_minimum<32>>(w);
  EXPECT_FALSE(fits<uint4_grouped<32>>(w));
  w.scales(3, 1) = 0.0F;
  expect_values<uint4_grouped<32>>(w);
  expect_values<uint4_grouped_minimum<32>>(w);
}

TEST(codes_in_groups, turn_negative_scales) {
  codes_in_groups w = random_weights{.n = 1, .k = 32, .is_symmetric = true}.make();
  w.scales(0, 0) = -0.25F;
  for (index c = 0; c < 32; ++c) w.codes(0, c) = static_cast<std::uint8_t>(c % 15 + 1);
  const auto q = to_quantized<int4_grouped<32>>(w);
  EXPECT_EQ(q.scale(0, 0), 0.25F);
  EXPECT_EQ(q.code(0, 0), 7);    // code 1
  EXPECT_EQ(q.code(0, 14), -7);  // code 15
  const auto a = to_quantized<uint4_grouped<32>>(w);
  EXPECT_EQ(a.zero_point(0, 0), 7);
  EXPECT_EQ(a.code(0, 0), 14);
  w.zeros(0, 0) = 16;
  EXPECT_EQ(to_quantized<uint4_grouped_minimum<32>>(w).minimum(0, 0), 0.25F);
}

TEST(codes_in_groups, come_from_every_quantized_matrix) {
  const row_matrix<float> x = row_matrix<float>::Random(5, 80);
  const auto returns = [](const auto& q) {
    using S = typename std::remove_cvref_t<decltype(q)>::scheme;
    EXPECT_TRUE(to_quantized<S>(to_codes(q)) == q);
  };
  returns(quantize<int8_per_row>(x));
  returns(quantize<int8_grouped<64>>(x));
  returns(quantize<uint4_grouped<32>>(x));
  returns(quantize<int3_grouped<32>>(x));
  returns(quantize<int2_per_row>(x));
  returns(quantize<scheme<uint2, grouped<16>, affine, power_of_two>>(x));
  returns(quantize<int4_grouped<32>>(row_matrix<float>::Zero(2, 40)));
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(codes_in_groups, name_what_a_scheme_cannot_hold) {
  const codes_in_groups good = random_weights{.is_symmetric = true}.make();
  const auto sentence = [&](const auto& change) {
    codes_in_groups w = good;
    change(w);
    return sentence_of([&] { return to_quantized<uint4_grouped<32>>(w); });
  };
  EXPECT_EQ(sentence([](auto&) {}), "no error");
  const auto has = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  EXPECT_EQ(sentence([](auto& w) { w.zeros(2, 1) = 16; }),
            "fewbit: to_quantized: zeros(2, 1) is 16, expected 0 to 15; the zero point "
            "real_minimum has no such limit");
  has(sentence([](auto& w) { w.zeros(2, 1) = 17; }), "zeros(2, 1) is 17, expected 0 to 16");
  has(sentence([](auto& w) { w.zeros(2, 1) = -1; }), "zeros(2, 1) is -1");
  has(sentence([](auto& w) { w.codes(7, 63) = 16; }), "codes(7, 63) is 16, expected 0 to 15");
  has(sentence([](auto& w) { w.scales(1, 0) = std::numeric_limits<float>::quiet_NaN(); }),
      "scales(1, 0) is nan, expected a finite number");
  has(sentence([](auto& w) { w.scales(1, 0) = -1e-40F; }), "0 or at least 2^-126 in magnitude");
  has(sentence([](auto& w) { w.bits = 5; }), "bits is 5, expected 2, 3, 4 or 8");
  has(sentence([](auto& w) { w.bits = 8; }), "bits is 8, expected 4");
  has(sentence([](auto& w) { w.group = 0; }), "group is 0, expected at least 1");
  has(sentence([](auto& w) { w.group = 60; }), "group is 60 columns, expected 32 columns");
  has(sentence([](auto& w) { w.scales.resize(8, 3); }), "shape of scales is 8 x 3, expected 8 x 2");
  has(sentence([](auto& w) { w.zeros.resize(7, 2); }), "shape of zeros is 7 x 2");
  has(sentence([](auto& w) { w.codes.resize(0, 0); }), "codes is 0 x 0");
  has(sentence([](auto& w) { w.order = {1, 0}; }), "length of order is 2, expected 64");
  has(sentence([](auto& w) { w.order.assign(64, 5); }), "order[1] is 5, expected another input");
  has(sentence([](auto& w) { w.order.assign(64, 64); }), "order[0] is 64, expected 0 to 63");

  codes_in_groups w = good;
  w.zeros(0, 1) = 7;
  has(sentence_of([&] { return to_quantized<scheme<int4, grouped<32>, symmetric_full>>(w); }),
      "zeros(0, 1) is 7, expected 8 for symmetric codes");
  w = good;
  w.codes(4, 40) = 0;
  has(sentence_of([&] { return to_quantized<int4_grouped<32>>(w); }), "codes");
  w.scales(0, 0) = 1.0F + 0x1p-19F;
  has(sentence_of([&] { return to_quantized<uint4_grouped_minimum<32>>(w); }),
      "at most 19 significant bits");
  w.scales(0, 0) = 0x1p125F;
  has(sentence_of([&] { return to_quantized<uint4_grouped_minimum<32>>(w); }), "is finite");
  has(sentence_of(
          [&] { return to_quantized<scheme<uint4, grouped<32>, affine, power_of_two>>(w); }),
      "expected a power of two");
  w.scales(0, 0) = 1.0F + 0x1p-18F;
  EXPECT_EQ(sentence_of([&] { return to_quantized<uint4_grouped_minimum<32>>(w); }), "no error");
}

TEST(codes_in_groups, name_a_minimum_that_is_no_zero_point) {
  row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Constant(1, 64, 3);
  const std::vector<float> scales = {0.5F, 0.25F};
  const auto sentence = [&](float minimum) {
    const quantized_matrix<uint4_grouped_minimum<32>> q(codes, scales,
                                                        std::vector<float>{-4.0F, minimum});
    return sentence_of([&] { return to_codes(q); });
  };
  EXPECT_EQ(sentence(-4.0F), "no error");  // zero point 16
  EXPECT_EQ(sentence(0.0F), "no error");
  EXPECT_EQ(sentence(-4.25F),
            "fewbit: to_codes: minimum(0, 32) is -4.25, expected minus the scale 0.25 times an "
            "integer of 0 to 16");
  EXPECT_NE(sentence(0.25F), "no error");
  EXPECT_NE(sentence(-0.3F), "no error");
}
#endif

}}  // namespace fewbit::formats_codes_in_groups_test
