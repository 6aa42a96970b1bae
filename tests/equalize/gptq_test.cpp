#include "fewbit/equalize/gptq.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "equalize/matrices.hpp"
#include "fewbit/core/executor_adapters.hpp"
#include "support/reverse_executor.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace equalize_gptq_test {

using tests::lcg_floats;
using tests::output_error;

using fixed4 = scheme<uint4, per_row, affine>;

input_products products_of(const row_matrix<float>& x) {
  input_products h(x.cols());
  h.add(x);
  return h;
}

std::vector<quant_params> unit_steps(index rows) {
  return std::vector<quant_params>(static_cast<std::size_t>(rows), {1.0F, 8});
}

template <int Width>
gptq_result<fixed4> in_strips(const row_matrix<float>& w, const row_matrix<float>& x,
                              bool activation_order) {
  no_progress none;
  const std::vector<quant_params> params = unit_steps(w.rows());
  return detail::gptq_in_strips<fixed4, Width>(
      "gptq", w, products_of(x),
      gptq_options<fixed4>{.activation_order = activation_order, .params = params}, none,
      inline_executor{});
}

row_matrix<int> rows_of_codes(std::initializer_list<int> codes) {
  row_matrix<int> m(4, 8);
  std::copy(codes.begin(), codes.end(), m.data());
  return m;
}

TEST(gptq, finds_the_known_codes_with_strips_of_any_width) {
  const row_matrix<float> w = tests::small_weights(), x = tests::small_inputs();
  const auto plain = quantize<fixed4>(w, std::span<const quant_params>(unit_steps(4)));
  EXPECT_EQ(output_error(x, w, dequantize(plain)), 624.0625);
  const row_matrix<int> natural =
      rows_of_codes({5, 8, 10, 7, 9, 5, 8, 10, 7, 9, 7, 10, 8,  10, 8, 5,
                     8, 6, 10, 8, 6, 9, 8, 6,  9, 8, 7, 6,  10, 9,  8, 6});
  const row_matrix<int> ordered =
      rows_of_codes({5, 8, 10, 7, 9, 5,  8, 10, 7, 9, 7, 10, 8,  10, 8, 5,
                     8, 6, 10, 7, 6, 10, 8, 6,  9, 8, 7, 6,  10, 9,  8, 6});
  const auto expect_both = [&]<int Width>() {
    const auto a = in_strips<Width>(w, x, false), b = in_strips<Width>(w, x, true);
    EXPECT_EQ(a.weights.codes().template cast<int>().eval(), natural) << Width;
    EXPECT_EQ(b.weights.codes().template cast<int>().eval(), ordered) << Width;
    EXPECT_NEAR(a.report.loss, 315.960703, 1e-6) << Width;
    EXPECT_NEAR(b.report.loss, 303.843047, 1e-6) << Width;
    EXPECT_NEAR(a.report.squared_error, 307.0625, 1e-9) << Width;
    EXPECT_NEAR(b.report.squared_error, 293.9375, 1e-9) << Width;
    EXPECT_EQ(a.report.loss, in_strips<1>(w, x, false).report.loss) << Width;
  };
  expect_both.operator()<1>();
  expect_both.operator()<3>();
  expect_both.operator()<8>();
  expect_both.operator()<detail::strip_width>();
}

TEST(gptq, takes_scales_of_groups_from_the_working_copy) {
  using grouped4 = scheme<int4, grouped<4>, symmetric_full>;
  const row_matrix<float> w = tests::small_weights(), x = tests::small_inputs();
  const input_products h = products_of(x);
  const auto dynamic = gptq<grouped4>(w, h, {.scales = scale_rule::full_range});
  EXPECT_NEAR(output_error(x, w, dequantize(dynamic.weights)), 40.6929, 5e-4);
  std::vector<quant_params> plain;
  const auto rounded = quantize<grouped4>(w);
  for (const float scale : rounded.scales()) plain.push_back({scale, 0});
  const auto fixed = gptq<grouped4>(w, h, {.params = plain});
  EXPECT_NEAR(output_error(x, w, dequantize(fixed.weights)), 47.6448, 5e-4);
  const auto ordered =
      gptq<grouped4>(w, h, {.activation_order = true, .scales = scale_rule::full_range});
  EXPECT_NEAR(output_error(x, w, dequantize(ordered.weights)), 65.7365, 5e-4);
  EXPECT_TRUE(std::equal(rounded.scales().begin(), rounded.scales().end(),
                         ordered.weights.scales().begin()));
}

TEST(gptq, spreads_errors_of_equal_weights) {
  const row_matrix<float> w = row_matrix<float>::Constant(1, 8, 0.4F);
  const row_matrix<float> x = row_matrix<float>::Ones(4, 8);
  const std::vector<quant_params> params = unit_steps(1);
  const auto q = gptq<fixed4>(w, products_of(x), {.params = params});
  row_matrix<int> want(1, 8);
  want << 8, 8, 9, 8, 9, 8, 9, 8;
  EXPECT_EQ(q.weights.codes().cast<int>().eval(), want);
  EXPECT_NEAR(output_error(x, w, dequantize(q.weights)), 0.16, 1e-6);
  const auto plain = quantize<fixed4>(w, std::span<const quant_params>(params));
  EXPECT_NEAR(output_error(x, w, dequantize(plain)), 40.96, 1e-5);
}

TEST(gptq, damping_repairs_inputs_of_low_rank) {
  const row_matrix<float> w = tests::small_weights(), x = tests::small_inputs().topRows(3);
  const input_products h = products_of(x);
  const std::vector<quant_params> params = unit_steps(4);
  const auto damped = gptq<fixed4>(w, h, {.params = params});
  EXPECT_NEAR(output_error(x, w, dequantize(damped.weights)), 39.09, 5e-3);
  EXPECT_EQ(damped.report.damping, 0.01);
  const auto plain = quantize<fixed4>(w, std::span<const quant_params>(params));
  EXPECT_NEAR(output_error(x, w, dequantize(plain)), 137.47, 5e-3);
  const auto repaired = gptq<fixed4>(w, h, {.damping = 0.0, .params = params});
  EXPECT_EQ(repaired.report.damping, 1e-6);
  double trace = 0.0;
  for (index j = 0; j < 8; ++j) trace += h(j, j);
  EXPECT_NEAR(repaired.report.added, 1e-6 * trace / 8.0, 1e-12 * trace);
#if FEWBIT_HAS_EXCEPTIONS
  EXPECT_EQ(tests::sentence_of([&] {
              return gptq<fixed4>(w, h, {.damping = 0.0, .most_damping = 0.0, .params = params});
            }),
            "fewbit: gptq: h is singular at input 4 with a damping of 0, expected a positive "
            "definite matrix: more rows of inputs or more damping");
#endif
}

/// Correlated inputs, 512 x 64, whose columns differ in size.
row_matrix<float> correlated_inputs() {
  row_matrix<double> x = tests::lcg_doubles(512, 8, 1) * tests::lcg_doubles(8, 64, 2) +
                         0.1 * tests::lcg_doubles(512, 64, 3);
  for (index c = 0; c < 64; ++c) x.col(c) /= std::sqrt(1.0 + static_cast<double>(c % 16));
  return x.cast<float>();
}

template <class Storage>
void expect_gains(double natural, double ordered) {
  using S = scheme<Storage, per_row, symmetric_full>;
  const row_matrix<float> x = correlated_inputs(), w = lcg_floats(32, 64, 4);
  const input_products h = products_of(x);
  const double plain = output_error(x, w, dequantize(quantize<S>(w)));
  const auto gain = [&](bool activation_order) {
    const auto q =
        gptq<S>(w, h, {.activation_order = activation_order, .scales = scale_rule::full_range});
    return plain / output_error(x, w, dequantize(q.weights));
  };
  EXPECT_NEAR(gain(false), natural, 0.05 * natural);
  EXPECT_NEAR(gain(true), ordered, 0.05 * ordered);
}

TEST(gptq, gains_as_published_formulas_do) {
  expect_gains<int2>(16.6, 40.3);
  expect_gains<int3>(30.1, 49.9);
  expect_gains<int4>(38.7, 49.7);
}

/// Gauss and Jordan's elimination; h is positive definite.
Eigen::MatrixXd inverse_of(Eigen::MatrixXd h) {
  Eigen::MatrixXd inverse = Eigen::MatrixXd::Identity(h.rows(), h.cols());
  for (index i = 0; i < h.rows(); ++i) {
    inverse.row(i) /= h(i, i);
    h.row(i) /= h(i, i);
    for (index r = 0; r < h.rows(); ++r) {
      if (r == i) continue;
      const double factor = h(r, i);
      inverse.row(r) -= factor * inverse.row(i);
      h.row(r) -= factor * h.row(i);
    }
  }
  return inverse;
}

/// GPTQ as its authors describe it, in double: explicit inverse, explicit updates of all columns.
struct plain_gptq {
  row_matrix<double> codes;
  double loss = 0.0;

  plain_gptq(const row_matrix<float>& w, const row_matrix<float>& x, double damping, index group,
             double largest_code, double half_steps) {
    const index k = w.cols();
    Eigen::MatrixXd h = x.cast<double>().transpose() * x.cast<double>();
    h.diagonal().array() += damping * h.diagonal().mean();
    Eigen::MatrixXd u = inverse_of(h);  // becomes upper, U^T U = inverse
    for (index i = 0; i < k; ++i) {
      for (index t = 0; t < i; ++t) u.row(i) -= u(t, i) * u.row(t);
      u.row(i) /= std::sqrt(u(i, i));
      u.row(i).head(i).setZero();
    }
    row_matrix<double> copy = w.cast<double>();
    codes.resize(w.rows(), k);
    Eigen::VectorXd scales(w.rows());
    for (index j = 0; j < k; ++j) {
      if (j % group == 0) {
        const index width = std::min(group, k - j);
        scales =
            copy.middleCols(j, width).cast<float>().cwiseAbs().rowwise().maxCoeff().cast<double>() /
            half_steps;
        scales = scales.cast<float>().cast<double>();
      }
      for (index r = 0; r < w.rows(); ++r) {
        const float quotient = static_cast<float>(copy(r, j)) / static_cast<float>(scales[r]);
        const double least = -largest_code - (half_steps > largest_code ? 1.0 : 0.0);
        const double code =
            std::min(std::max(double{std::nearbyint(quotient)}, least), largest_code);
        codes(r, j) = code;
        const float value = static_cast<float>(code) * static_cast<float>(scales[r]);
        const double e = (copy(r, j) - double{value}) / u(j, j);
        loss += e * e;
        copy.row(r) -= e * u.row(j);
      }
    }
  }
};

TEST(gptq, equals_the_plain_algorithm) {
  for (const index k : {1, 5, 32, 33, 64, 100}) {
    SCOPED_TRACE(testing::Message() << "k=" << k);
    const row_matrix<float> x =
        lcg_floats(150, 7, 11) * lcg_floats(7, k, 12) + 0.3F * lcg_floats(150, k, 13);
    const row_matrix<float> w = lcg_floats(70, k, 14);
    const input_products h = products_of(x);
    const auto expect = [&](const auto& q, const plain_gptq& plain) {
      EXPECT_EQ(q.weights.codes().template cast<double>().eval(), plain.codes);
      EXPECT_NEAR(q.report.loss, plain.loss, 1e-9 * plain.loss + 1e-9);
    };
    expect(gptq<scheme<int4, grouped<12>>>(w, h, {.scales = scale_rule::full_range}),
           plain_gptq(w, x, 0.01, 12, 7, 7));
    expect(
        gptq<scheme<int3, grouped<40>, symmetric_full>>(w, h, {.scales = scale_rule::full_range}),
        plain_gptq(w, x, 0.01, 40, 3, 3.5));
    expect(gptq<int8_per_row>(w, h, {.scales = scale_rule::full_range}),
           plain_gptq(w, x, 0.01, k, 127, 127));
  }
}

/// The loss told is that of the matrix returned, and it is below that of rounding.
template <class S>
void expect_consistent(index n, index k, const gptq_options<S>& options = {}) {
  SCOPED_TRACE(testing::Message() << S::storage::name << " " << S::granularity::name << " "
                                  << S::zero_point::name << " n=" << n << " k=" << k);
  const row_matrix<float> x =
      lcg_floats(90, 5, 21) * lcg_floats(5, k, 22) + 0.2F * lcg_floats(90, k, 23);
  const row_matrix<float> w = lcg_floats(n, k, 24).array() + 0.2F;
  const input_products h = products_of(x);
  const auto q = gptq<S>(w, h, options);
  ASSERT_TRUE(q.report.finished);
  const row_matrix<double> d = w.cast<double>() - dequantize(q.weights).template cast<double>();
  Eigen::MatrixXd all = x.cast<double>().transpose() * x.cast<double>();
  EXPECT_NEAR(q.report.added, 0.01 * all.diagonal().mean(), 1e-12 * all.diagonal().mean());
  const double plain_error = output_error(x, w, dequantize(q.weights));
  all.diagonal().array() += q.report.added;
  const double loss = (d * all).cwiseProduct(d).sum();
  EXPECT_NEAR(q.report.loss, loss, 1e-9 * loss);
  EXPECT_NEAR(q.report.squared_error, plain_error, 1e-9 * loss);
  EXPECT_TRUE(q.report.dead_inputs.empty());
  EXPECT_LT(plain_error, output_error(x, w, dequantize(quantize<S>(w))));
  const auto again = gptq<S>(w, h, options, thread_executor{3});
  EXPECT_EQ(q.weights, again.weights);
  EXPECT_EQ(q.report.loss, again.report.loss);
  EXPECT_EQ(q.weights, gptq<S>(w, h, options, tests::reverse_executor{}).weights);
}

TEST(gptq, tells_the_loss_of_what_it_returns_for_every_scheme) {
  expect_consistent<int8_per_row>(9, 50);
  expect_consistent<int8_per_tensor>(9, 50);
  expect_consistent<int8_per_col>(9, 50);
  expect_consistent<scheme<int4, sub_tensor<4>>>(9, 50);
  expect_consistent<int4_grouped<32>>(130, 70);
  expect_consistent<int3_grouped<16>>(5, 64, {.scales = scale_rule::full_range});
  expect_consistent<int2_grouped<32>>(5, 64, {.activation_order = true});
  expect_consistent<uint4_grouped<20>>(66, 70);
  expect_consistent<uint4_grouped<128>>(3, 70, {.scales = scale_rule::full_range});
  expect_consistent<uint4_grouped_minimum<32>>(6, 70);
  expect_consistent<scheme<uint2, grouped<16>, real_minimum>>(6, 70);
  expect_consistent<scheme<int4, per_row, symmetric, power_of_two>>(6, 40);
  expect_consistent<codebook_grouped<4, 32>>(20, 70);
  expect_consistent<codebook_per_row<3>>(20, 70, {.activation_order = true});
}

TEST(gptq, chooses_scales_with_less_error_by_search) {
  using S = int3_grouped<32>;
  // Inputs that do not depend on each other: no column compensates for another.
  const row_matrix<float> x = lcg_floats(1, 64, 3).row(0).asDiagonal(),
                          w = lcg_floats(32, 64, 4).array().cube();
  const input_products h = products_of(x);
  const auto plain = gptq<S>(w, h, {.scales = scale_rule::full_range}), searched = gptq<S>(w, h);
  EXPECT_EQ(plain.weights, quantize<S>(w));
  EXPECT_LT(searched.report.loss, 0.8 * plain.report.loss);
}

TEST(gptq, keeps_given_levels_of_a_codebook) {
  const std::vector<float> levels{-1.0F, -0.3F, 0.25F, 1.0F};
  const row_matrix<float> x = correlated_inputs(), w = lcg_floats(8, 64, 4);
  const auto q = gptq<codebook_per_row<2>>(w, products_of(x), {.levels = levels});
  EXPECT_TRUE(std::equal(levels.begin(), levels.end(), q.weights.levels().begin()));
  EXPECT_LT(output_error(x, w, dequantize(q.weights)),
            0.2 * output_error(x, w, dequantize(quantize<codebook_per_row<2>>(w, levels))));
}

TEST(gptq, rounds_weights_of_dead_inputs_and_names_them) {
  row_matrix<float> x = correlated_inputs();
  x.col(5).setZero();
  x.col(63).setZero();
  const row_matrix<float> w = lcg_floats(32, 64, 4);
  const auto plain = quantize<int4_per_row>(w);
  for (const bool ordered : {false, true}) {
    const auto q = gptq<int4_per_row>(
        w, products_of(x), {.activation_order = ordered, .scales = scale_rule::full_range});
    EXPECT_EQ(q.report.dead_inputs, (std::vector<index>{5, 63}));
    EXPECT_EQ(q.weights.codes().col(5), plain.codes().col(5));
    EXPECT_EQ(q.weights.codes().col(63), plain.codes().col(63));
    EXPECT_NEAR(q.report.squared_error, output_error(x, w, dequantize(q.weights)),
                1e-9 * q.report.loss);
  }
  const auto dead = gptq<int4_per_row>(w, products_of(row_matrix<float>::Zero(3, 64)),
                                       {.scales = scale_rule::full_range});
  EXPECT_EQ(dead.report.dead_inputs.size(), 64U);
  EXPECT_EQ(dead.weights, plain);
  EXPECT_NEAR(dead.report.squared_error, 0.0, 1e-12 * dead.report.loss);
}

TEST(gptq, quantizes_extreme_weights) {
  row_matrix<float> w = lcg_floats(4, 64, 4) * 1e38F;
  const row_matrix<float> x = correlated_inputs() * 1e-20F;
  w.row(1).setZero();
  w.row(2) *= 1e-38F;
  w.row(3) = w.row(3) * 1e-38F * 1e-38F;  // denormal
  const auto q = gptq<int4_grouped<32>>(w, products_of(x));
  EXPECT_TRUE(dequantize(q.weights).allFinite());
  EXPECT_TRUE((q.weights.codes().row(1).array() == 0).all());
}

TEST(gptq, reports_progress_and_can_be_stopped) {
  const row_matrix<float> x = correlated_inputs(), w = lcg_floats(1100, 64, 4);
  const input_products h = products_of(x);
  std::vector<gptq_step> steps;
  const auto keep = [&](const gptq_step& s) { return steps.push_back(s), true; };
  const auto all = gptq<int4_per_row>(w, h, {}, keep);
  ASSERT_GE(steps.size(), 3U);
  EXPECT_FALSE(steps.front().factored);
  EXPECT_TRUE(steps.back().factored);
  EXPECT_EQ(steps.back().done, 1100);
  EXPECT_EQ(all.weights, gptq<int4_per_row>(w, h).weights);
  for (const bool factored : {false, true}) {
    const auto stopped =
        gptq<int4_per_row>(w, h, {}, [&](const gptq_step& s) { return s.factored != factored; });
    EXPECT_FALSE(stopped.report.finished);
    EXPECT_EQ(stopped.weights.rows(), 0);
  }
}

TEST(gptq, tells_its_memory) {
  const index k = 4096, n = 4096;
  EXPECT_GT(gptq_bytes<int4_grouped<128>>(n, k), k * k / 2 * 8 + n * k);
  EXPECT_LT(gptq_bytes<int4_grouped<128>>(n, k), (k * k / 2 * 8 + n * k * 3 / 2) * 11 / 10);
  EXPECT_GT(gptq_bytes<int4_grouped<128>>(n, k, 8), gptq_bytes<int4_grouped<128>>(n, k));
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(gptq, refuses_bad_input) {
  const row_matrix<float> w = tests::small_weights(), x = tests::small_inputs();
  const input_products h = products_of(x);
  const auto sentence = [](const row_matrix<float>& weights, const input_products& products,
                           const gptq_options<fixed4>& options = {}) {
    return tests::sentence_of([&] { return gptq<fixed4>(weights, products, options); });
  };
  row_matrix<float> bad = w;
  bad(3, 7) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(sentence(bad, h), "fewbit: gptq: w(3, 7) is nan, expected a finite number");
  EXPECT_EQ(sentence(row_matrix<float>(0, 8), h),
            "fewbit: gptq: w is 0 x 8, expected at least one row and one column");
  EXPECT_EQ(sentence(w, input_products(8)), "fewbit: gptq: h.rows() is 0, expected at least 1");
  EXPECT_EQ(sentence(w, input_products(9)), "fewbit: gptq: h.inputs() is 9, expected 8");
  EXPECT_EQ(sentence(w, h, {.damping = -1.0}),
            "fewbit: gptq: damping is -1, expected a finite number >= 0");
  EXPECT_EQ(sentence(w, h, {.most_damping = std::nan("")}),
            "fewbit: gptq: most_damping is nan, expected a finite number >= 0");
  const std::vector<quant_params> few(3), wrong(4, quant_params{1.0F, 16});
  EXPECT_EQ(sentence(w, h, {.params = few}), "fewbit: gptq: number of params is 3, expected 4");
  EXPECT_EQ(sentence(w, h, {.params = wrong}),
            "fewbit: gptq: params[0].zero_point is 16, expected 0 to 15");
  const std::vector<float> levels{0.0F, 1.0F};
  EXPECT_EQ(sentence(w, h, {.levels = levels}),
            "fewbit: gptq: number of levels is 2, expected 0 unless the scheme has a codebook");
  EXPECT_EQ(tests::sentence_of([&] { return gptq<codebook_per_row<2>>(w, h, {.levels = levels}); }),
            "fewbit: gptq: number of levels is 2, expected 4");
}

#endif

}}  // namespace fewbit::equalize_gptq_test
