#include "fewbit/quant/metrics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "quant/reference.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace quant_metrics_test {

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

TEST(metrics, minima_shift_the_range_of_codes) {
  expect_nothing_clipped<uint4_grouped_minimum<8>>();
  expect_nothing_clipped<scheme<uint2, per_row, real_minimum, power_of_two>>();
  using S = scheme<uint4, per_row, real_minimum>;  // reaches 9.5..25.5
  row_matrix<float> w(1, 8);
  w << 9, 9.4F, 9.6F, 10, 25, 25.4F, 25.6F, -20;
  const std::vector<minimum_params> params = {{1.0F, 10.0F}};
  const quantized_matrix<S> q = quantize<S>(w, params);
  EXPECT_EQ(clipped_share(w, q), 4.0 / 8);
  EXPECT_EQ(measure_error(w, q).max_error, 30.0);
  const quantized_matrix<S> one = quantize<S>(row_matrix<float>::Constant(1, 8, 10.0F));
  EXPECT_EQ(clipped_share(w, one), 7.0 / 8);
}

TEST(metrics, scale_zero_covers_only_zeros) {
  row_matrix<float> w = row_matrix<float>::Zero(2, 4);
  const auto q = quantize<binary_per_row>(w);
  EXPECT_EQ(measure_error(w, q).clipped_share, 0.0);
  EXPECT_EQ(measure_error(w, q).cosine, 1.0);
  w(1, 2) = 1e-42F;
  EXPECT_EQ(clipped_share(w, q), 1.0 / 8);
  EXPECT_EQ(sqnr_db(w, q), 0.0);
  const std::vector<float> levels = {-1.0F, 1.0F};
  EXPECT_EQ(clipped_share(w, quantize<codebook_per_row<1>>(w, levels)), 1.0 / 8);
}

/// The figures in long double, with sums of the terms from the smallest to the largest.
struct long_report {
  long double mse = 0, sqnr_db = 0, cosine = 0, max_error = 0;

  long_report(const row_matrix<float>& w, const row_matrix<float>& w_hat) {
    std::vector<long double> e, a, b, p;
    for (index i = 0; i < w.size(); ++i) {
      const long double x = w.data()[i], y = w_hat.data()[i];
      e.push_back((x - y) * (x - y));
      a.push_back(x * x);
      b.push_back(y * y);
      p.push_back(x * y);
      max_error = std::max(max_error, std::abs(x - y));
    }
    const long double error = sum(e), reference = sum(a), approximation = sum(b);
    mse = error / static_cast<long double>(w.size());
    sqnr_db = 10 * std::log10(reference / error);
    cosine = sum(p) / std::sqrt(reference) / std::sqrt(approximation);
  }

  /// Adds terms of opposite sign and equal size first; these sums are exact.
  static long double sum(std::vector<long double> terms) {
    std::sort(terms.begin(), terms.end(),
              [](long double x, long double y) { return std::abs(x) < std::abs(y); });
    long double total = 0;
    for (std::size_t i = 0; i < terms.size(); ++i) {
      if (i + 1 < terms.size() && terms[i] == -terms[i + 1]) {
        ++i;
      } else {
        total += terms[i];
      }
    }
    return total;
  }
};

TEST(metrics, equal_long_double_at_all_magnitudes) {
  const row_matrix<float> noise = tests::noise_matrix(9, 31, 3);
  const row_matrix<float> near = noise + 1e-3F * tests::noise_matrix(9, 31, 4);
  for (const float outlier : {0.0F, 1e10F, -3e38F}) {
    for (const float size : {1e-44F, 1e-38F, 1e-20F, 1.0F, 1e20F, 1e37F}) {
      row_matrix<float> w = noise * size, w_hat = near * size;
      if (outlier != 0.0F) {
        w(0, 0) = outlier;
        w_hat(0, 0) = outlier * 0.75F;
        w(8, 30) = w_hat(8, 30) = outlier;
      }
      const long_report expected(w, w_hat);
      const error_report e = measure_error(w, w_hat);
      const auto is_close = [](double got, long double want) {
        return std::abs(got - want) <= 1e-14L * std::abs(want);
      };
      EXPECT_TRUE(is_close(e.mse, expected.mse)) << size << " " << outlier;
      EXPECT_NEAR(e.sqnr_db, static_cast<double>(expected.sqnr_db), 1e-12);
      EXPECT_TRUE(is_close(e.cosine, expected.cosine)) << size << " " << outlier;
      EXPECT_TRUE(is_close(e.max_error, expected.max_error));
    }
  }
}

TEST(metrics, cosine_survives_large_terms_of_both_signs) {
  row_matrix<float> w(1, 5), w_hat(1, 5);
  w << 1e30F, 1.0F, 2.0F, -1e30F, 3.0F;
  w_hat << 1e30F, 1.0F, 1.0F, 1e30F, 1.0F;
  const long_report expected(w, w_hat);
  EXPECT_NEAR(cosine(w, w_hat) / static_cast<double>(expected.cosine), 1.0, 1e-12);
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
            "fewbit: mse: approximation is 1 x 3, expected 2 x 3");
  const row_matrix<float> none(0, 3);
  EXPECT_EQ(tests::sentence_of([&] { (void)measure_error(none, none); }),
            "fewbit: measure_error: w is 0 x 3, expected at least one row and one column");
}

TEST(metrics, errors_name_the_called_function) {
  const row_matrix<float> w = row_matrix<float>::Ones(2, 3), none(0, 3);
  const row_matrix<float> narrow = w.leftCols(2);
  row_matrix<float> bad = w;
  bad(1, 2) = std::numeric_limits<float>::infinity();
  const auto q = quantize<int8_per_row>(w);
  const auto check = [&](const std::string& name, const auto& figure) {
    const std::string head = "fewbit: " + name + ": ";
    EXPECT_EQ(tests::sentence_of([&] { return figure(w, bad); }),
              head + "approximation(1, 2) is inf, expected a finite number");
    EXPECT_EQ(tests::sentence_of([&] { return figure(bad, w); }),
              head + "w(1, 2) is inf, expected a finite number");
    EXPECT_EQ(tests::sentence_of([&] { return figure(bad, q); }),
              head + "w(1, 2) is inf, expected a finite number");
    EXPECT_EQ(tests::sentence_of([&] { return figure(none, none); }),
              head + "w is 0 x 3, expected at least one row and one column");
    EXPECT_EQ(tests::sentence_of([&] { return figure(w, narrow); }),
              head + "approximation is 2 x 2, expected 2 x 3");
    EXPECT_NE(tests::sentence_of([&] {
                return figure(narrow, q);
              }).find(head + (name == "measure_error" ? "q" : "approximation") + " is 2 x 3"),
              std::string::npos);
  };
  check("measure_error", [](const auto& a, const auto& b) { return measure_error(a, b); });
  check("mse", [](const auto& a, const auto& b) { return mse(a, b); });
  check("sqnr_db", [](const auto& a, const auto& b) { return sqnr_db(a, b); });
  check("cosine", [](const auto& a, const auto& b) { return cosine(a, b); });
  check("max_error", [](const auto& a, const auto& b) { return max_error(a, b); });
  EXPECT_EQ(tests::sentence_of([&] { return clipped_share(narrow, q); }),
            "fewbit: clipped_share: q is 2 x 3, expected 2 x 2");
  EXPECT_EQ(tests::sentence_of([&] { return clipped_share(bad, q); }),
            "fewbit: clipped_share: w(1, 2) is inf, expected a finite number");
}
#endif

}  // namespace quant_metrics_test
}  // namespace fewbit
