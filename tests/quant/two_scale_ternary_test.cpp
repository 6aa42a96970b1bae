#include "fewbit/quant/two_scale_ternary.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "quant/reference.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace quant_two_scale_ternary_test {

double squared_error(const row_matrix<float>& a, const row_matrix<float>& b) {
  return (a.cast<double>() - b.cast<double>()).squaredNorm();
}

TEST(quantize_ttq, keeps_signs_above_its_threshold_and_their_means) {
  row_matrix<float> w(2, 6);
  w << 1.0F, -0.5F, 0.2F, -0.045F, 0.04F, -0.3F, 0.0F, 0.0F, 0.0F, 0.0F, 0.0F, 0.0F;
  const auto q = quantize_ttq(w);
  const std::vector<int> codes = {1, -1, 1, 0, 0, -1};
  for (index c = 0; c < 6; ++c) {
    EXPECT_EQ(q.code(0, c), codes[static_cast<std::size_t>(c)]);
    EXPECT_EQ(q.code(1, c), 0);
  }
  EXPECT_FLOAT_EQ(q.positive_scale(0), 0.6F);
  EXPECT_FLOAT_EQ(q.negative_scale(0), 0.4F);
  EXPECT_EQ(q.positive_scale(1), 1.0F);
  EXPECT_EQ(q.negative_scale(1), 1.0F);
  row_matrix<float> expected(2, 6);
  expected << q.positive_scale(0), -q.negative_scale(0), q.positive_scale(0), 0.0F, 0.0F,
      -q.negative_scale(0), 0.0F, 0.0F, 0.0F, 0.0F, 0.0F, 0.0F;
  EXPECT_EQ(dequantize(q), expected);
}

/// No other pair of scales is better for the codes, and neither is one scale for both signs.
TEST(quantize_ttq, has_the_best_scales_for_its_codes) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const row_matrix<float> w =
        (tests::noise_matrix(3, 40, seed).array() + 0.3F).matrix();  // sides differ
    for (const double threshold : {0.0, 0.05, 0.4}) {
      const auto q = quantize_ttq(w, threshold);
      const double best = squared_error(w, dequantize(q));
      std::vector<float> positive, negative;
      row_matrix<std::int8_t> codes(3, 40);
      for (index r = 0; r < 3; ++r) {
        positive.push_back(q.positive_scale(r));
        negative.push_back(q.negative_scale(r));
        q.unpack_row(r, codes.data() + r * 40);
      }
      EXPECT_EQ(dequantize(two_scale_ternary(codes, positive, negative)), dequantize(q));
      for (const float factor : {0.99F, 1.01F}) {
        auto moved = positive;
        moved[1] *= factor;
        EXPECT_GT(squared_error(w, dequantize(two_scale_ternary(codes, moved, negative))), best);
        moved = negative;
        moved[2] *= factor;
        EXPECT_GT(squared_error(w, dequantize(two_scale_ternary(codes, positive, moved))), best);
      }
    }
  }
}

TEST(quantize_ttq, of_zeros_and_subnormals_has_no_larger_error_than_zero) {
  constexpr float least = std::numeric_limits<float>::min();
  for (const float x : {0.0F, -0.0F, 1e-45F, 1e-42F, -1e-42F, least / 2, -least * 0.75F, least}) {
    const auto q = quantize_ttq(row_matrix<float>::Constant(2, 5, x));
    EXPECT_LE((dequantize(q).array() - x).abs().maxCoeff(), std::fabs(x)) << x;
    EXPECT_TRUE(q.positive_scale(0) >= least && q.negative_scale(0) >= least);
  }
}

TEST(quantize_ttq, takes_as_many_bytes_as_its_codes_and_scales) {
  const auto q = quantize_ttq(tests::noise_matrix(5, 64, 1));
  EXPECT_EQ(q.rows(), 5);
  EXPECT_EQ(q.cols(), 64);
  EXPECT_EQ(q.storage_bytes(), 5 * (16 + 8));
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(quantize_ttq, names_bad_arguments) {
  row_matrix<float> w = row_matrix<float>::Ones(2, 3);
  EXPECT_EQ(tests::sentence_of([&] { (void)quantize_ttq(w, 1.0); }),
            "fewbit: quantize_ttq: threshold is 1, expected at least 0 and less than 1");
  w(1, 2) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(tests::sentence_of([&] { (void)quantize_ttq(w); }),
            "fewbit: quantize_ttq: w(1, 2) is nan, expected a finite number");
  const row_matrix<std::int8_t> codes = row_matrix<std::int8_t>::Ones(2, 3);
  const std::vector<float> one = {1.0F}, two = {1.0F, 2.0F}, bad = {1.0F, -2.0F};
  EXPECT_EQ(tests::sentence_of([&] { two_scale_ternary(codes, two, one); }),
            "fewbit: two_scale_ternary: number of negative scales is 1, expected 2");
  EXPECT_EQ(
      tests::sentence_of([&] { two_scale_ternary(codes, two, bad); }),
      "fewbit: two_scale_ternary: negative scales[1] is -2, expected a finite positive number");
}
#endif

}  // namespace quant_two_scale_ternary_test
}  // namespace fewbit
