#pragma once
/// Checks that hold for every layer: vectors are rows, and a mismatch terminates the program with a
/// sentence.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "fewbit/ops/linear/choices.hpp"
#include "support/reals.hpp"

namespace fewbit::tests {

/// A regular expression that matches exactly these words.
inline std::string literally(const std::string& words) {
  std::string expression;
  for (const char c : words) {
    if (std::string("()[].*+").find(c) != std::string::npos) expression += '\\';
    expression += c;
  }
  return expression;
}

/// A call in reserved memory gives the outputs y, which a call on the stack gave.
template <class L, class X, class Y>
void expect_same_in_reserved_memory(L& layer, const X& x, const Y& y) {
  Y again = y;
  again.setConstant(99);
  layer.reserve(x.rows());
  layer(x, again);
  EXPECT_EQ(again, y) << "in reserved memory";
}

/// A row vector, a column vector, a Map and a segment of one give the same result as a matrix of
/// one row.
template <class L>
void expect_vectors_are_rows(L& layer) {
  const index k = layer.inputs(), n = layer.outputs();
  const row_matrix<float> x = random_reals(1, k, 11);
  row_matrix<float> y(1, n);
  layer(x, y);
  const Eigen::VectorXf column = x.row(0).transpose();
  const Eigen::RowVectorXf row = x.row(0);
  const auto check = [&](const auto& in, auto&& out) {
    out.setConstant(99.0F);
    layer(in, out);
    for (index j = 0; j < n; ++j) EXPECT_EQ(out[j], y(0, j)) << j;
  };
  Eigen::VectorXf out(n), longer(n + 5);
  Eigen::RowVectorXf row_out(n);
  check(column, out);
  check(column, row_out);
  check(row, out);
  check(Eigen::Map<const Eigen::VectorXf>(x.data(), k), Eigen::Map<Eigen::VectorXf>(y.data(), n));
  layer(x, y);
  check(column, longer.segment(3, n));
  check(Eigen::Ref<const Eigen::VectorXf>(column), Eigen::Ref<Eigen::VectorXf>(out));
  out.setConstant(99.0F);
  layer(x, out);
  EXPECT_EQ(out.transpose(), y);
}

/// The layer must have been built without output_params.
template <class L>
void expect_misfits_end(L& layer, const std::string& name) {
  const index k = layer.inputs(), n = layer.outputs();
  const row_matrix<float> x = random_reals(2, k, 11);
  const auto expect_end = [&](const auto& in, auto&& out, const std::string& rest) {
    EXPECT_DEATH(layer(in, out), literally("fewbit: " + name + ": " + rest));
  };
  const std::string wanted_n = std::to_string(n), wanted_k = std::to_string(k);
  row_matrix<float> y(2, n);
  expect_end(random_reals(2, k + 1, 1), y,
             "x.cols() is " + std::to_string(k + 1) + ", expected " + wanted_k);
  expect_end(x, row_matrix<float>(3, n), "y.rows() is 3, expected 2");
  expect_end(x, row_matrix<float>(), "y.rows() is 0, expected 2");
  expect_end(x, row_matrix<float>(2, n + 3),
             "y.cols() is " + std::to_string(n + 3) + ", expected " + wanted_n);
  expect_end(x, Eigen::VectorXf(n), "number of rows of the vector y is 1, expected 2");
  expect_end(x.topRows(1), Eigen::VectorXf(), "y.size() is 0, expected " + wanted_n);
  expect_end(x, row_matrix<std::int8_t>(2, n),
             "output_params is not given, expected the scale and zero point of y");
  expect_end(x, row_matrix<std::uint8_t>(2, n), "output_params is not given");
  if constexpr (requires { layer.make_scratch(); }) {
    linear_scratch none;
    EXPECT_DEATH(layer(x, y, none),
                 literally("fewbit: " + name + ": scratch.rows.slots() is 0, expected at least 1"));
  }
}

/// The layer must have been built with a zero point of 200.
template <class L>
void expect_zero_point_of_other_codes_ends(L& layer) {
  const row_matrix<float> x = random_reals(2, layer.inputs(), 11);
  row_matrix<std::int8_t> y(2, layer.outputs());
  row_matrix<std::uint8_t> z(2, layer.outputs());
  EXPECT_DEATH(layer(x, y),
               "fewbit: [a-z_]*linear: output_params.zero_point is 200, expected -128 to 127");
  layer(x, z);
}

}  // namespace fewbit::tests
