#include "fewbit/diagnose/weights.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "diagnose/support.hpp"

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
  double signal = 0, noise = 0, largest = 0;
  index row = -1, column = -1;
  std::set<int> used;
  for (index r = 0; r < 9; ++r) {
    for (const auto& [first, last] : {std::pair<index, index>{0, 32}, {32, 40}}) {
      double shift = 0;
      for (index c = first; c < last; ++c) {
        const double value = double{q.scale(r, c)} * q.code(r, c);
        signal += double{w(r, c)} * w(r, c);
        noise += (value - w(r, c)) * (value - w(r, c));
        shift += (value - w(r, c)) / q.scale(r, c) / static_cast<double>(last - first);
        used.insert(q.code(r, c));
      }
      if (std::abs(shift) <= std::abs(largest)) continue;
      largest = shift;
      row = r;
      column = first;
    }
  }
  EXPECT_NEAR(f.sqnr_db.value(), 10 * std::log10(signal / noise), 1e-4);
  EXPECT_NEAR(f.largest_shift, largest, 1e-4);
  EXPECT_EQ(f.shifted_row, row);
  EXPECT_EQ(f.shifted_column, column);
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
  // Rounding to nearest keeps the mean within half a step, with one weight in a group, too.
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

#if FEWBIT_HAS_EXCEPTIONS
TEST(diagnose_weights_test, names_bad_input) {
  const matrix w = random_reals(2, 3, 1);
  const auto q = quantize<int8_per_row>(random_reals(2, 4, 1));
  EXPECT_EQ(sentence_of([&] { return measure_weights(w, q); }),
            "fewbit: measure_weights: q is 2 x 4, expected 2 x 3");
}
#endif

}}  // namespace fewbit::diagnose_weights_test
