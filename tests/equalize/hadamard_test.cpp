#include "fewbit/equalize/hadamard.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "equalize/matrices.hpp"
#include "fewbit/quant/metrics.hpp"
#include "fewbit/quant/quantize.hpp"
#include "support/reverse_executor.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace equalize_hadamard_test {

using tests::lcg_floats;

/// The matrix of multiply_hadamard, column by column.
Eigen::MatrixXd matrix_of(index n, bool transposed = false) {
  Eigen::MatrixXd h = Eigen::MatrixXd::Identity(n, n);
  for (index j = 0; j < n; ++j) multiply_hadamard(h.col(j).data(), n, transposed);
  return h;
}

TEST(hadamard, transforms_known_numbers) {
  std::array<double, 8> x{1, 2, 3, 4, 5, 6, 7, 8};
  multiply_hadamard(x.data(), 8);
  EXPECT_EQ(x, (std::array<double, 8>{36, -4, -8, 0, -16, 0, 0, 0}));
}

TEST(hadamard, matrices_have_orthogonal_rows_of_signs) {
  for (const index n : {1, 2, 8, 12, 20, 24, 28, 48, 80, 112}) {
    ASSERT_TRUE(has_hadamard(n)) << n;
    const Eigen::MatrixXd h = matrix_of(n);
    EXPECT_TRUE((h.array().abs() == 1.0).all()) << n;
    const Eigen::MatrixXd square = h * h.transpose() / static_cast<double>(n);
    EXPECT_LE((square - Eigen::MatrixXd::Identity(n, n)).cwiseAbs().maxCoeff(), 1e-13) << n;
    EXPECT_EQ(matrix_of(n, true), h.transpose()) << n;
  }
  EXPECT_EQ(matrix_of(12)(0, 1), 1.0);  // not symmetric: which one is H
  EXPECT_EQ(matrix_of(12)(1, 0), -1.0);
  for (const index n : {0, 3, 6, 10, 14, 36, 44, 60, -8}) EXPECT_FALSE(has_hadamard(n)) << n;
}

TEST(hadamard, spreads_one_large_number) {
  for (const auto& [n, want] : {std::pair<index, double>{128, 8.838835}, {448, 4.724556}}) {
    row_matrix<float> x = row_matrix<float>::Zero(1, n);
    x(0, 5) = 100.0F;
    const row_matrix<float> y = hadamard_rotation(n, 3).rotate_rows(x);
    EXPECT_NEAR(y.cwiseAbs().minCoeff(), want, 1e-6);
    EXPECT_NEAR(y.cwiseAbs().maxCoeff(), want, 1e-6);
  }
}

TEST(hadamard, rotation_keeps_products_and_can_be_undone) {
  for (const index k : {1, 2, 12, 56, 64, 80, 172 / 43 * 12}) {
    const row_matrix<float> x = lcg_floats(5, k, 1), w = lcg_floats(7, k, 2);
    const hadamard_rotation turn(k, 9);
    const row_matrix<float> turned_x = turn.rotate_rows(x), turned_w = turn.rotate_rows(w);
    const Eigen::MatrixXf plain = x * w.transpose(), turned = turned_x * turned_w.transpose();
    EXPECT_LE((plain - turned).cwiseAbs().maxCoeff(), 1e-5F) << k;
    EXPECT_LE((turn.rotate_rows_back(turned_x) - x).cwiseAbs().maxCoeff(), 1e-6F) << k;
    EXPECT_EQ(turn.rotate_rows(x, tests::reverse_executor{}), turned_x) << k;
  }
  EXPECT_NE(hadamard_rotation(64, 1).signs(), hadamard_rotation(64, 2).signs());
  EXPECT_EQ(hadamard_rotation(64, 1).signs(), hadamard_rotation(64, 1).signs());
}

/// Signs of lcg_floats(256, 33).
hadamard_rotation known_rotation() {
  const row_matrix<float> numbers = lcg_floats(1, 256, 33);
  std::vector<float> signs;
  for (index i = 0; i < 256; ++i) signs.push_back(numbers(0, i) < 0.0F ? -1.0F : 1.0F);
  return hadamard_rotation(signs);
}

TEST(hadamard, helps_against_large_inputs_only) {
  const hadamard_rotation turn = known_rotation();
  const auto expect = [&]<class S>(const row_matrix<float>& x, double plain, double rotated) {
    const row_matrix<float> y = turn.rotate_rows(x);
    EXPECT_NEAR(sqnr_db(x, fake_quantize<S>(x)), plain, 5e-3);
    EXPECT_NEAR(sqnr_db(y, fake_quantize<S>(y)), rotated, 5e-3);
  };
  row_matrix<float> large = lcg_floats(512, 256, 31);
  for (const index c : {7, 100, 201}) large.col(c) *= 50.0F;
  expect.operator()<int4_per_row>(large, 14.65, 21.80);
  expect.operator()<int8_per_row>(large, 31.10, 46.98);
  expect.operator()<int4_per_row>(lcg_floats(512, 256, 41), 22.97, 17.96);
}

TEST(hadamard, rotation_commutes_with_a_norm_whose_gain_is_one) {
  const row_matrix<float> x = lcg_floats(4, 256, 41);
  const hadamard_rotation turn = known_rotation();
  const auto normed = [](row_matrix<float> m) {
    for (index r = 0; r < m.rows(); ++r) m.row(r) /= m.row(r).norm() / 16.0F;
    return m;
  };
  const row_matrix<float> after = turn.rotate_rows(normed(x)), before = normed(turn.rotate_rows(x));
  EXPECT_LE((after - before).cwiseAbs().maxCoeff(), 1e-5F);
  const Eigen::RowVectorXf gain = lcg_floats(1, 256, 42).row(0).array() * 0.5F + 1.0F;
  const row_matrix<float> gained = normed(x).array().rowwise() * gain.array();
  const row_matrix<float> gained_after =
      normed(turn.rotate_rows(x)).array().rowwise() * gain.array();
  EXPECT_GT((turn.rotate_rows(gained) - gained_after).cwiseAbs().maxCoeff(), 0.5F);
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(hadamard, refuses_other_sizes) {
  const auto make = [](index n) {
    return tests::sentence_of([&] { return hadamard_rotation(n).size(); });
  };
  EXPECT_EQ(make(172),
            "fewbit: hadamard_rotation: size is 172, expected 2^m, or 12, 20 or 28 times 2^m");
  EXPECT_EQ(make(0),
            "fewbit: hadamard_rotation: size is 0, expected 2^m, or 12, 20 or 28 times 2^m");
  EXPECT_EQ(
      tests::sentence_of([] { return hadamard_rotation(std::vector<float>(6)).size(); }),
      "fewbit: hadamard_rotation: signs.size() is 6, expected 2^m, or 12, 20 or 28 times 2^m");
  EXPECT_EQ(tests::sentence_of([] {
              return hadamard_rotation(std::vector<float>{1.0F, 0.5F}).size();
            }),
            "fewbit: hadamard_rotation: signs[1] is 0.5, expected 1 or -1");
  const hadamard_rotation turn(4);
  row_matrix<float> x = lcg_floats(2, 4, 1);
  x(1, 3) = std::numeric_limits<float>::infinity();
  EXPECT_EQ(tests::sentence_of([&] { return turn.rotate_rows(x); }),
            "fewbit: rotate_rows: x(1, 3) is inf, expected a finite number");
  EXPECT_EQ(tests::sentence_of([&] {
              return hadamard_rotation({1, 1, 1, 1})
                  .rotate_rows(row_matrix<float>::Constant(1, 4, 3e38F));
            }),
            "fewbit: rotate_rows: the rotated x(0, 0) is inf, expected a finite number");
  EXPECT_EQ(tests::sentence_of([&] { return turn.rotate_rows_back(lcg_floats(2, 8, 1)); }),
            "fewbit: rotate_rows_back: x.cols() is 8, expected 4");
}

#endif

}}  // namespace fewbit::equalize_hadamard_test
