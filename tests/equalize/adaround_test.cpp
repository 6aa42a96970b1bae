#include "fewbit/equalize/adaround.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "equalize/matrices.hpp"
#include "support/reverse_executor.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace equalize_adaround_test {

using tests::lcg_floats;
using tests::output_error;

using fixed4 = scheme<uint4, per_row, affine>;

input_products products_of(const row_matrix<float>& x) {
  input_products h(x.cols());
  h.add(x);
  return h;
}

TEST(portable_functions, are_those_of_the_standard_library) {
  for (double x = -30.0; x < 30.0; x += 0.37) {
    EXPECT_NEAR(detail::portable_exp(x), std::exp(x), 1e-15 * std::exp(x)) << x;
    const double base = std::exp(x / 3.0);
    EXPECT_NEAR(detail::portable_pow(base, 1.7), std::pow(base, 1.7), 1e-13 * std::pow(base, 1.7));
  }
  EXPECT_EQ(detail::portable_exp(0.0), 1.0);
  EXPECT_EQ(detail::portable_exp(-1000.0), 0.0);
  EXPECT_TRUE(std::isfinite(detail::portable_exp(1e9)));
  EXPECT_EQ(detail::portable_pow(0.0, 0.5), 0.0);
  for (double t = 0.0; t <= 1.0; t += 0.05) {
    EXPECT_NEAR(detail::portable_cos_pi(t), std::cos(3.14159265358979323846 * t), 1e-11) << t;
  }
}

TEST(adaround, has_the_published_functions) {
  EXPECT_EQ(detail::soft_bit(2.397896).u, 1.0);
  EXPECT_LT(detail::soft_bit(2.397894).u, 1.0);
  EXPECT_EQ(detail::soft_bit(-2.397896).u, 0.0);
  EXPECT_GT(detail::soft_bit(-2.397894).u, 0.0);
  EXPECT_EQ(detail::soft_bit(2.5).slope, 0.0);
  EXPECT_NEAR(detail::soft_bit(0.3).slope,
              (detail::soft_bit(0.3 + 1e-6).u - detail::soft_bit(0.3 - 1e-6).u) / 2e-6, 1e-8);
  EXPECT_NEAR(detail::soft_bit::of_fraction(0.25), -0.887303, 1e-6);
  EXPECT_NEAR(detail::soft_bit(detail::soft_bit::of_fraction(0.7)).u, 0.7, 1e-12);
  EXPECT_NEAR(detail::adaround_beta(4000, 10000), 17.364, 1e-3);
  EXPECT_NEAR(detail::adaround_beta(6000, 10000), 11.0, 1e-9);
  EXPECT_NEAR(detail::adaround_beta(8000, 10000), 4.636, 1e-3);
  EXPECT_NEAR(detail::adaround_beta(2000, 10000), 20.0, 1e-9);
  EXPECT_EQ(detail::adaround_beta(1999, 10000), 0.0);
  EXPECT_NEAR(detail::rounding_cost(0.9, 2.0).cost, 0.36, 1e-12);
  EXPECT_NEAR(detail::rounding_cost(0.9, 20.0).cost, 0.988471, 1e-6);
  for (const double u : {0.1, 0.4, 0.8}) {
    const double slope =
        (detail::rounding_cost(u + 1e-6, 5.0).cost - detail::rounding_cost(u - 1e-6, 5.0).cost) /
        2e-6;
    EXPECT_NEAR(detail::rounding_cost(u, 5.0).slope, slope, 1e-6);
  }
}

quantized_matrix<fixed4> unit_steps(const row_matrix<float>& w) {
  const std::vector<quant_params> params(static_cast<std::size_t>(w.rows()), {1.0F, 8});
  return quantize<fixed4>(w, std::span<const quant_params>(params));
}

TEST(adaround, decides_all_if_the_loss_is_normalized) {
  const row_matrix<float> w = tests::small_weights(), x = tests::small_inputs();
  const input_products h = products_of(x);
  const auto q = adaround<fixed4>(w, h, unit_steps(w), {}, no_progress{});
  EXPECT_TRUE(q.report.finished);
  EXPECT_LE(q.report.squared_error, 308.0);
  EXPECT_EQ(q.report.plain_error, 624.0625);
  EXPECT_EQ(q.report.undecided, 0);
  EXPECT_GT(q.report.changed, 0);
  EXPECT_EQ(q.report.squared_error, output_error(x, w, dequantize(q.weights)));
  const auto paper = adaround<fixed4>(w, h, unit_steps(w), {.lambda = 0.01, .is_normalized = false},
                                      no_progress{});
  EXPECT_EQ(paper.report.undecided, 26);
  EXPECT_EQ(paper.report.squared_error, 624.0625);
}

template <class S>
void expect_gain(index n, index k, double share) {
  SCOPED_TRACE(testing::Message() << S::storage::name << " " << S::granularity::name);
  const row_matrix<float> x =
      lcg_floats(90, 5, 21) * lcg_floats(5, k, 22) + 0.3F * lcg_floats(90, k, 23);
  const row_matrix<float> w = lcg_floats(n, k, 24).array() + 0.2F;
  const input_products h = products_of(x);
  const adaround_options options{.steps = 400};
  const auto q = adaround<S>(w, h, options);
  const auto plain = quantize<S>(w);
  EXPECT_TRUE(std::equal(plain.scales().begin(), plain.scales().end(), q.weights.scales().begin()));
  const double error = output_error(x, w, dequantize(q.weights));
  const double plain_error = output_error(x, w, dequantize(plain));
  EXPECT_NEAR(q.report.squared_error, error, 1e-6 * plain_error);
  EXPECT_NEAR(q.report.plain_error, plain_error, 1e-6 * plain_error);
  EXPECT_LT(error, share * plain_error);
  const auto distance =
      (q.weights.codes().template cast<int>() - plain.codes().template cast<int>())
          .cwiseAbs()
          .eval();
  EXPECT_LE(distance.maxCoeff(), 1);
  EXPECT_EQ(distance.sum(), q.report.changed);
  EXPECT_EQ(q.weights, adaround<S>(w, h, options, tests::reverse_executor{}).weights);
}

TEST(adaround, lowers_the_error_of_outputs) {
  expect_gain<int4_per_row>(5, 16, 0.7);
  expect_gain<uint4_grouped<8>>(3, 20, 0.7);
  expect_gain<scheme<int3, per_tensor>>(3, 12, 0.7);
}

/// The search of a row in plain loops.
struct plain_search {
  std::vector<int> codes;
  index undecided = 0;

  plain_search(const Eigen::VectorXd& w, const Eigen::MatrixXd& h, double scale, int zero, int lo,
               int hi, const adaround_options& options, double weight) {
    const auto k = static_cast<std::size_t>(w.size());
    const auto at = [](std::size_t i) { return static_cast<index>(i); };
    std::vector<double> v(k), floors(k), first(k, 0.0), second(k, 0.0), error(k);
    const auto u_of = [&](std::size_t i) {
      return std::clamp(1.2 / (1.0 + std::exp(-v[i])) - 0.1, 0.0, 1.0);
    };
    const auto code_of = [&](std::size_t i, double u) { return floors[i] + u + zero; };
    for (std::size_t i = 0; i < k; ++i) {
      floors[i] = std::floor(w[at(i)] / scale);
      v[i] = -std::log(1.2 / (w[at(i)] / scale - floors[i] + 0.1) - 1.0);
    }
    for (index step = 0; step < options.steps; ++step) {
      for (std::size_t i = 0; i < k; ++i) {
        const double code = std::clamp<double>(code_of(i, u_of(i)), lo, hi);
        error[i] = w[at(i)] - (code - zero) * scale;
      }
      const double t = static_cast<double>(step) / static_cast<double>(options.steps);
      for (std::size_t i = 0; i < k; ++i) {
        const double u = u_of(i), s = 1.0 / (1.0 + std::exp(-v[i]));
        double slope = 0.0;
        for (std::size_t j = 0; j < k; ++j)
          slope -= 2.0 * weight * scale * error[j] * h(at(j), at(i));
        if (code_of(i, u) < lo || code_of(i, u) > hi) slope = 0.0;
        if (t >= 0.2) {
          const double beta =
              2.0 + 9.0 * (1.0 + std::cos(3.14159265358979323846 * (t - 0.2) / 0.8));
          const double sign = u < 0.5 ? -1.0 : 1.0;
          slope -=
              options.lambda * 2.0 * beta * sign * std::pow(std::abs(2.0 * u - 1.0), beta - 1.0);
        }
        slope *= u > 0.0 && u < 1.0 ? 1.2 * s * (1.0 - s) : 0.0;
        first[i] = 0.9 * first[i] + 0.1 * slope;
        second[i] = 0.999 * second[i] + 0.001 * slope * slope;
        const double n = static_cast<double>(step + 1);
        v[i] -= options.rate * (first[i] / (1.0 - std::pow(0.9, n))) /
                (std::sqrt(second[i] / (1.0 - std::pow(0.999, n))) + 1e-8);
      }
    }
    for (std::size_t i = 0; i < k; ++i) {
      const double code = code_of(i, v[i] >= 0.0 ? 1.0 : 0.0);
      codes.push_back(static_cast<int>(std::clamp<double>(code, lo, hi)));
      undecided += u_of(i) > 0.0 && u_of(i) < 1.0 ? 1 : 0;
    }
  }
};

/// Compares codes and undecided weights after few steps, when many weights are on their way. Some
/// weights of each row are clipped: without them the first errors are 0, and noise decides.
void expect_plain_search(const adaround_options& options) {
  const row_matrix<float> x =
      lcg_floats(40, 3, 21) * lcg_floats(3, 11, 22) + 0.3F * lcg_floats(40, 11, 23);
  const row_matrix<float> w = lcg_floats(7, 11, 24).array() + 0.2F;
  const input_products h = products_of(x);
  const std::vector<quant_params> params(7, {1.0F / 15.0F, 6});
  const auto q = adaround<fixed4>(w, h, quantize<fixed4>(w, std::span<const quant_params>(params)),
                                  options, no_progress{});
  const Eigen::MatrixXd products = x.cast<double>().transpose() * x.cast<double>();
  const double weight = options.is_normalized ? 11.0 / products.trace() : 1.0 / 40.0;
  index undecided = 0;
  for (index r = 0; r < 7; ++r) {
    const plain_search want(w.row(r).transpose().cast<double>(), products, double{params[0].scale},
                            6, 0, 15, options, weight);
    for (index c = 0; c < 11; ++c) {
      EXPECT_EQ(int{q.weights.code(r, c)}, want.codes[static_cast<std::size_t>(c)]) << r << c;
    }
    undecided += want.undecided;
  }
  EXPECT_GT(undecided, 0);
  EXPECT_LT(undecided, 77);
  EXPECT_EQ(q.report.undecided, undecided);
}

TEST(adaround, equals_plain_loops_step_by_step) {
  for (const index steps : {12, 25, 40, 60}) {
    SCOPED_TRACE(steps);
    expect_plain_search({.steps = steps, .rate = 0.1});
    expect_plain_search({.steps = steps, .rate = 0.1, .lambda = 0.1});
    expect_plain_search({.steps = steps, .rate = 0.1, .lambda = 0.01, .is_normalized = false});
  }
}

TEST(adaround, can_be_stopped) {
  const row_matrix<float> w = lcg_floats(100, 4, 1);
  std::vector<index> rows;
  const auto q =
      adaround<int4_per_row>(w, products_of(lcg_floats(9, 4, 2)), quantize<int4_per_row>(w),
                             {.steps = 1}, [&](const adaround_step& s) {
                               rows.push_back(s.rows);
                               return false;
                             });
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_LT(rows[0], 100);
  EXPECT_FALSE(q.report.finished);
  EXPECT_EQ(q.weights.rows(), 0);
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(adaround, refuses_bad_input) {
  const row_matrix<float> w = lcg_floats(4, 8, 1);
  const input_products h = products_of(lcg_floats(9, 8, 2));
  row_matrix<float> bad = w;
  bad(2, 2) = std::numeric_limits<float>::quiet_NaN();
  const auto sentence = [](const row_matrix<float>& weights, const input_products& products,
                           const adaround_options& options = {}) {
    return tests::sentence_of([&] { return adaround<int4_per_row>(weights, products, options); });
  };
  EXPECT_EQ(sentence(bad, h), "fewbit: adaround: w(2, 2) is nan, expected a finite number");
  EXPECT_EQ(sentence(w, input_products(8)), "fewbit: adaround: h.rows() is 0, expected at least 1");
  EXPECT_EQ(sentence(w, input_products(9)), "fewbit: adaround: h.inputs() is 9, expected 8");
  EXPECT_EQ(sentence(w, h, {.steps = 0}), "fewbit: adaround: steps is 0, expected at least 1");
  EXPECT_EQ(sentence(w, h, {.rate = 0.0}),
            "fewbit: adaround: rate is 0, expected a finite positive number");
  EXPECT_EQ(sentence(w, h, {.lambda = -1.0}),
            "fewbit: adaround: lambda is -1, expected a finite number >= 0");
  EXPECT_EQ(tests::sentence_of([&] {
              return adaround<int4_per_row>(w, h, quantize<int4_per_row>(lcg_floats(3, 8, 1)), {},
                                            no_progress{});
            }),
            "fewbit: adaround: start is 3 x 8, expected 4 x 8");
}

#endif

}}  // namespace fewbit::equalize_adaround_test
