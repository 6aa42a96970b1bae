#include "fewbit/quant/metrics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "quant/reference.hpp"
#include "support/sentence.hpp"

namespace fewbit {
namespace {

TEST(metrics, small_case_by_hand) {
  row_matrix<float> w(1, 4);
  row_matrix<float> w_hat(1, 4);
  w << 1, 2, 3, 4;
  w_hat << 1, 2, 3, 2;
  const error_report e = measure_error(w, w_hat);
  EXPECT_EQ(e.mse, 1.0);
  EXPECT_EQ(e.max_error, 2.0);
  EXPECT_NEAR(e.sqnr_db, 10 * std::log10(30.0 / 4.0), 1e-12);
  EXPECT_NEAR(e.cosine, 22.0 / std::sqrt(30.0 * 18.0), 1e-12);
  EXPECT_EQ(e.clipped_share, 0.0);
  EXPECT_EQ(mse(w, w_hat), e.mse);
  EXPECT_EQ(sqnr_db(w, w_hat), e.sqnr_db);
  EXPECT_EQ(cosine(w, w_hat), e.cosine);
  EXPECT_EQ(max_error(w, w_hat), e.max_error);
}

TEST(metrics, agrees_with_eigen_on_noise) {
  const row_matrix<float> w = tests::noise_matrix(13, 37, 1);
  const quantized_matrix<int4_per_row> q = quantize<int4_per_row>(w);
  const Eigen::MatrixXd a = w.cast<double>();
  const Eigen::MatrixXd b = dequantize(q).cast<double>();
  const error_report e = measure_error(w, q);
  EXPECT_NEAR(e.mse, (a - b).squaredNorm() / 481, 1e-15);
  EXPECT_NEAR(e.cosine, a.cwiseProduct(b).sum() / (a.norm() * b.norm()), 1e-12);
  EXPECT_EQ(e.max_error, (a - b).cwiseAbs().maxCoeff());
  EXPECT_NEAR(e.sqnr_db, 10 * std::log10(a.squaredNorm() / (a - b).squaredNorm()), 1e-10);
}

TEST(metrics, equal_and_zero_matrices_are_defined) {
  const row_matrix<float> zero = row_matrix<float>::Zero(2, 3);
  const row_matrix<float> one = row_matrix<float>::Ones(2, 3);
  EXPECT_EQ(sqnr_db(one, one), std::numeric_limits<double>::infinity());
  EXPECT_NEAR(cosine(one, one), 1.0, 1e-15);
  EXPECT_EQ(sqnr_db(zero, zero), std::numeric_limits<double>::infinity());
  EXPECT_EQ(cosine(zero, zero), 1.0);
  EXPECT_EQ(cosine(one, zero), 0.0);
  EXPECT_EQ(sqnr_db(one, zero), 0.0);
  EXPECT_EQ(sqnr_db(zero, one), -std::numeric_limits<double>::infinity());
}

template <class S>
void expect_nothing_clipped() {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const row_matrix<float> w = tests::noise_matrix(5, 33, seed, std::pow(10.0, seed % 7));
    EXPECT_EQ(clipped_share(w, quantize<S>(w)), 0.0);
  }
}

TEST(metrics, scales_from_the_data_clip_nothing) {
  expect_nothing_clipped<int8_per_row>();
  expect_nothing_clipped<uint8_affine>();
  expect_nothing_clipped<int16_per_row>();
  expect_nothing_clipped<uint4_grouped<8>>();
  expect_nothing_clipped<int8_power_of_two>();
  expect_nothing_clipped<scheme<int2, per_row, symmetric_full>>();
  expect_nothing_clipped<scheme<int16, per_row, symmetric_full>>();
}

TEST(metrics, clipped_elements_are_counted) {
  row_matrix<float> w(1, 8);
  w << 0, 127, 127.4F, 128, -127, -127.4F, -128, 1000;
  const std::vector<quant_params> unit = {{1.0F, 0}};
  EXPECT_EQ(clipped_share(w, quantize<int8_per_tensor>(w, unit)), 3.0 / 8);
  const std::vector<quant_params> shifted = {{1.0F, 27}};  // reaches -155..100
  EXPECT_EQ(clipped_share(w, quantize<int8_affine>(w, shifted)), 4.0 / 8);
  EXPECT_EQ(measure_error(w, quantize<int8_affine>(w, shifted)).clipped_share, 4.0 / 8);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(metrics, bad_input_is_named) {
  const row_matrix<float> w = row_matrix<float>::Ones(2, 3);
  row_matrix<float> bad = w;
  bad(1, 2) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(tests::sentence_of([&] { (void)measure_error(w, bad); }),
            "fewbit: measure_error: approximation(1, 2) is nan, expected a finite number");
  EXPECT_EQ(tests::sentence_of([&] { (void)measure_error(bad, w); }),
            "fewbit: measure_error: w(1, 2) is nan, expected a finite number");
  EXPECT_EQ(tests::sentence_of([&] { (void)mse(w, row_matrix<float>(w.topRows(1))); }),
            "fewbit: measure_error: approximation is 1 x 3, expected 2 x 3");
  const row_matrix<float> none(0, 3);
  EXPECT_EQ(tests::sentence_of([&] { (void)measure_error(none, none); }),
            "fewbit: measure_error: w is 0 x 3, expected at least one row and one column");
}
#endif

}  // namespace
}  // namespace fewbit
