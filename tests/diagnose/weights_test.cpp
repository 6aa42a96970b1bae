#include "fewbit/diagnose/weights.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "diagnose/support.hpp"
#include "fewbit/equalize/gptq.hpp"

namespace fewbit { namespace diagnose_weights_test {

using tests::matrix;
using tests::random_reals;
#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;
#endif

TEST(diagnose_weights_test, equal_plain_loops) {
  const matrix w = random_reals(9, 40, 3);
  const auto q = quantize<int4_grouped<32>>(w);
  const weight_figures f = measure_weights(w, q);
  double signal = 0, noise = 0;
  std::set<int> used;
  for (index r = 0; r < 9; ++r) {
    for (index c = 0; c < 40; ++c) {
      const double value = double{q.scale(r, c)} * q.code(r, c);
      signal += double{w(r, c)} * w(r, c);
      noise += (value - w(r, c)) * (value - w(r, c));
      used.insert(q.code(r, c));
    }
  }
  EXPECT_NEAR(f.sqnr_db.value(), 10 * std::log10(signal / noise), 1e-4);
  EXPECT_EQ(f.largest_shift, 0.0);
  EXPECT_EQ(f.shifted_row, -1);
  EXPECT_DOUBLE_EQ(f.unused_codes.value(), 1 - static_cast<double>(used.size()) / 15);
  EXPECT_EQ(f.bytes, static_cast<std::uint64_t>(q.storage_bytes()));
  EXPECT_EQ(f.group, 32);
  EXPECT_TRUE(f.has_row_scales);
  EXPECT_EQ(f.scheme, "int4 grouped:32 symmetric");
  EXPECT_EQ(f.clipped_share.value(), 0.0);
}

TEST(diagnose_weights_test, count_unused_codes) {
  matrix w(1, 4);
  w << -127.0F, 0.0F, 5.0F, 127.0F;
  EXPECT_DOUBLE_EQ(measure_weights(w, quantize<int8_per_row>(w)).unused_codes.value(),
                   1.0 - 4.0 / 255);
  EXPECT_DOUBLE_EQ(measure_weights(w, quantize<binary_per_row>(w)).unused_codes.value(), 0.0);
  const matrix ones = matrix::Ones(2, 3);
  EXPECT_DOUBLE_EQ(measure_weights(ones, quantize<binary_per_row>(ones)).unused_codes.value(), 0.5);
}

TEST(diagnose_weights_test, find_no_shift_in_any_scheme) {
  // Rounding to nearest keeps all within half a step, with one weight in a group, too.
  const auto expect_small = [](const matrix& w) {
    EXPECT_LE(std::abs(measure_weights(w, quantize<int8_per_tensor>(w)).largest_shift), 0.5001);
    EXPECT_LE(std::abs(measure_weights(w, quantize<uint4_grouped<32>>(w)).largest_shift), 0.5001);
    EXPECT_LE(std::abs(measure_weights(w, quantize<uint4_grouped_minimum<32>>(w)).largest_shift),
              0.5001);
    EXPECT_LE(std::abs(measure_weights(w, quantize<int2_per_row>(w)).largest_shift), 0.5001);
    EXPECT_LE(std::abs(measure_weights(w, quantize<ternary_per_row>(w)).largest_shift), 0.5001);
  };
  expect_small(random_reals(7, 33, 8));
  expect_small(matrix::Zero(2, 5));
  expect_small(random_reals(5, 64, 9).cwiseAbs());
}

TEST(diagnose_weights_test, find_shifted_codes_and_not_those_of_gptq) {
  const matrix w = random_reals(6, 9, 4);  // the last group of a row has one weight
  const matrix x = random_reals(64, 4, 5) * random_reals(4, 9, 6);
  input_products h(9);
  h.add(x);
  const auto q = gptq<uint4_grouped<8>>(w, h).weights;
  double most = 0;  // steps by which a last weight moved
  for (index r = 0; r < 6; ++r) {
    const double value = double{q.scale(r, 8)} * (q.code(r, 8) - q.zero_point(r, 8));
    most = std::max(most, std::abs(value - w(r, 8)) / q.scale(r, 8));
  }
  EXPECT_GT(most, 0.75);
  EXPECT_EQ(measure_weights(w, q).largest_shift, 0.0);

  const auto plain = quantize<int8_per_row>(w);
  auto codes = plain.codes();
  double shift = 0;
  for (index c = 0; c < 9; ++c) {
    if (codes(4, c) > -127) codes(4, c) = static_cast<std::int8_t>(codes(4, c) - 1);
    shift += codes(4, c) - double{w(4, c)} / plain.scale(4, c);
  }
  const std::vector<float> scales(plain.scales().begin(), plain.scales().end());
  const weight_figures f = measure_weights(w, quantized_matrix<int8_per_row>(codes, scales));
  EXPECT_LT(shift / 9, -0.75);
  EXPECT_NEAR(f.largest_shift, shift / 9, 1e-4);
  EXPECT_EQ(f.shifted_row, 4);
  EXPECT_EQ(f.shifted_column, 0);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(diagnose_weights_test, names_bad_input) {
  const matrix w = random_reals(2, 3, 1);
  const auto q = quantize<int8_per_row>(random_reals(2, 4, 1));
  EXPECT_EQ(sentence_of([&] { return measure_weights(w, q); }),
            "fewbit: measure_weights: q is 2 x 4, expected 2 x 3");
}
#endif

}}  // namespace fewbit::diagnose_weights_test
