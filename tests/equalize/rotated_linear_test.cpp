#include "fewbit/equalize/rotated_linear.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "equalize/matrices.hpp"
#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/ops/linear.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace equalize_rotated_linear_test {

using tests::lcg_floats;

/// Inputs with three large columns.
row_matrix<float> large_inputs() {
  row_matrix<float> x = lcg_floats(512, 256, 31);
  for (const index c : {7, 100, 201}) x.col(c) *= 50.0F;
  return x;
}

hadamard_rotation known_rotation() {
  const row_matrix<float> numbers = lcg_floats(1, 256, 33);
  std::vector<float> signs;
  for (index i = 0; i < 256; ++i) signs.push_back(numbers(0, i) < 0.0F ? -1.0F : 1.0F);
  return hadamard_rotation(signs);
}

double sqnr(const Eigen::MatrixXd& want, const row_matrix<float>& got) {
  return 10.0 * std::log10(want.squaredNorm() / (want - got.cast<double>()).squaredNorm());
}

TEST(rotated_linear, pays_only_where_it_was_measured) {
  const row_matrix<float> w = lcg_floats(64, 256, 32), large = large_inputs();
  const hadamard_rotation turn = known_rotation();
  const rotation_gain harm = measure_rotation<int4_per_row, int8_per_row>(w, large, turn);
  EXPECT_NEAR(harm.plain_db, 22.86, 5e-3);
  EXPECT_NEAR(harm.rotated_db, 18.40, 5e-3);
  EXPECT_FALSE(harm.pays());
  const rotation_gain gain = measure_rotation<int8_per_row, int4_per_row>(w, large, turn);
  EXPECT_TRUE(gain.pays(6.0));
  EXPECT_FALSE(gain.pays(8.0));
}

TEST(rotated_linear, has_no_noise_where_all_is_zero) {
  const row_matrix<float> w = lcg_floats(5, 8, 1), zeros = row_matrix<float>::Zero(3, 8);
  const rotation_gain gain = measure_rotation<int8_per_row>(w, zeros, hadamard_rotation(8));
  EXPECT_EQ(gain.plain_db, std::numeric_limits<double>::infinity());
  EXPECT_EQ(gain.rotated_db, gain.plain_db);
  EXPECT_FALSE(gain.pays());
}

TEST(rotated_linear, computes_what_was_measured) {
  const row_matrix<float> w = lcg_floats(64, 256, 32), x = large_inputs();
  const hadamard_rotation turn = known_rotation();
  const Eigen::MatrixXd want = x.cast<double>() * w.cast<double>().transpose();
  const Eigen::VectorXf bias = Eigen::VectorXf::Zero(64);
  rotated_linear<linear<int8_per_row>> turned(turn, w, bias);
  linear<int8_per_row> plain(w, bias);
  row_matrix<float> y(512, 64), y_plain(512, 64);
  turned(x, y);
  plain(x, y_plain);
  const rotation_gain gain = measure_rotation<int8_per_row>(w, x, turn);
  EXPECT_NEAR(sqnr(want, y), gain.rotated_db, 1e-3);
  EXPECT_NEAR(sqnr(want, y_plain), gain.plain_db, 1e-3);
  EXPECT_GT(gain.rotated_db, gain.plain_db + 5.0);
  EXPECT_EQ(turned.inputs(), 256);
  EXPECT_EQ(turned.outputs(), 64);
  EXPECT_EQ(turned.bytes(), plain.bytes() + 256 * 4);
}

TEST(rotated_linear, gives_the_same_in_every_memory) {
  const row_matrix<float> w = lcg_floats(5, 24, 1), x = lcg_floats(9, 24, 2);
  const Eigen::VectorXf bias = lcg_floats(1, 5, 3).row(0);
  rotated_linear<linear<int8_per_row>> layer(hadamard_rotation(24, 4), w, bias);
  row_matrix<float> one_by_one(9, 5), together(9, 5), threads(9, 5);
  layer(x, one_by_one);
  layer.reserve(4);
  layer(x, together);
  rotated_scratch scratch;
  layer.reserve(scratch, 3);
  const auto& constant = layer;
  constant(x, threads, scratch, thread_executor{3});
  EXPECT_EQ(one_by_one, together);
  EXPECT_EQ(one_by_one, threads);
  const Eigen::VectorXf row = x.row(2);
  Eigen::VectorXf out(5);
  layer(row, out);
  EXPECT_EQ(out.transpose(), one_by_one.row(2));
  rotated_linear<linear<int4_grouped<8>, float_inputs>> real(hadamard_rotation(24, 4), w, bias);
  real(x, together);
  const row_matrix<float> exact = (x * w.transpose()).rowwise() + bias.transpose();
  EXPECT_LE((together - exact).cwiseAbs().maxCoeff(), 0.5F);
}

TEST(rotated_linear_death, refuses_other_shapes) {
  const row_matrix<float> w = lcg_floats(5, 24, 1), x = lcg_floats(9, 23, 2);
  rotated_linear<linear<int8_per_row>> layer(hadamard_rotation(24), w, Eigen::VectorXf());
  row_matrix<float> y(9, 5);
  EXPECT_DEATH(layer(x, y), "fewbit: rotated_linear: x.cols\\(\\) is 23, expected 24");
  rotated_scratch none;
  const row_matrix<float> fits = lcg_floats(9, 24, 2);
  EXPECT_DEATH(layer(fits, y, none),
               "fewbit: rotated_linear: scratch.inputs is 0 x 0, expected at least 1 x 24");
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(rotated_linear, refuses_bad_input) {
  const row_matrix<float> w = lcg_floats(5, 24, 1);
  EXPECT_EQ(tests::sentence_of([&] {
              return rotated_linear<linear<int8_per_row>>(hadamard_rotation(16), w,
                                                          Eigen::VectorXf())
                  .inputs();
            }),
            "fewbit: rotated_linear: weights.cols() is 24, expected 16");
  const hadamard_rotation turn(24);
  const auto measure = [&](const row_matrix<float>& weights, const row_matrix<float>& x) {
    return tests::sentence_of([&] { return measure_rotation<int8_per_row>(weights, x, turn); });
  };
  EXPECT_EQ(measure(lcg_floats(5, 16, 1), lcg_floats(5, 24, 1)),
            "fewbit: measure_rotation: w.cols() is 16, expected 24");
  EXPECT_EQ(measure(w, lcg_floats(5, 16, 1)),
            "fewbit: measure_rotation: x.cols() is 16, expected 24");
  EXPECT_EQ(measure(w, row_matrix<float>(0, 24)),
            "fewbit: measure_rotation: x is 0 x 24, expected at least one row and one column");
}

#endif

}}  // namespace fewbit::equalize_rotated_linear_test
