#include "fewbit/equalize/awq.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "equalize/matrices.hpp"
#include "support/reverse_executor.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace equalize_awq_test {

using tests::lcg_floats;
using tests::output_error;

input_products products_of(const row_matrix<float>& x) {
  input_products h(x.cols());
  h.add(x);
  return h;
}

TEST(awq, finds_the_known_exponent) {
  row_matrix<float> x = lcg_floats(256, 64, 11);
  x.col(5) *= 30.0F;
  x.col(37) *= 30.0F;
  const row_matrix<float> w = lcg_floats(32, 64, 12);
  const input_products h = products_of(x);
  const awq_result a = awq_scales<uint4_grouped<32>>(w, h);
  ASSERT_EQ(a.errors.size(), 21U);
  const auto near = [&](std::size_t i, double want) {
    EXPECT_NEAR(a.errors[i], want, 1e-4 * want) << i;
  };
  near(0, 0.850753);
  near(4, 0.338385);
  near(7, 0.211455);
  near(12, 0.304761);
  near(19, 2.13351);
  near(20, 2.87542);
  EXPECT_EQ(a.exponent, 0.35);
  EXPECT_EQ(a.plain_error, a.errors[0]);
  EXPECT_NEAR(a.plain_error / a.error, 4.02, 5e-3);
  EXPECT_NEAR(double{a.scales.maxCoeff()} * double{a.scales.minCoeff()}, 1.0, 1e-6);

  const row_matrix<float> scaled = w.array().rowwise() * a.scales.transpose().array();
  row_matrix<float> back = fake_quantize<uint4_grouped<32>>(scaled);
  back.array().rowwise() /= a.scales.transpose().array();
  EXPECT_NEAR(output_error(x, w, back) / (256.0 * 32.0), a.error, 1e-6 * a.error);
  const auto again = awq_scales<uint4_grouped<32>>(w, h, {}, tests::reverse_executor{});
  EXPECT_EQ(again.errors, a.errors);
}

TEST(awq, keeps_scales_of_one_where_nothing_gains) {
  const awq_result a =
      awq_scales<int8_per_row>(lcg_floats(8, 16, 1), products_of(row_matrix<float>::Ones(9, 16)));
  EXPECT_EQ(a.exponent, 0.0);
  EXPECT_EQ(a.scales, Eigen::VectorXf::Ones(16));
  EXPECT_EQ(a.error, a.plain_error);
}

TEST(awq, takes_dead_inputs) {
  row_matrix<float> x = lcg_floats(64, 16, 1) * 5.0F;
  x.col(3).setZero();
  const awq_result a = awq_scales<int4_per_row>(lcg_floats(8, 16, 2), products_of(x));
  EXPECT_TRUE(a.scales.allFinite());
  EXPECT_GT(a.scales.minCoeff(), 0.0F);
  EXPECT_LE(a.error, a.plain_error);
}

TEST(awq, a_dead_input_has_the_least_power) {
  row_matrix<float> x = lcg_floats(64, 16, 1) * 5.0F;
  x.col(3).setZero();
  const Eigen::VectorXf s = detail::awq_scales_of(products_of(x), 1.0);
  EXPECT_NEAR(double{s[3]} / double{s[7]}, 1e-4 / x.col(7).cast<double>().cwiseAbs().mean(), 1e-9);
}

TEST(awq, quadratic_forms_equal_plain_loops) {
  for (const index n : {1, 7, 8, 13}) {
    const row_matrix<double> h = tests::lcg_floats(n, n, 7).cast<double>();
    std::vector<double> d;
    double want = 0.0;
    for (index i = 0; i < n; ++i) d.push_back(0.5 * static_cast<double>(i) - 1.0);
    for (index i = 0; i < n; ++i) {
      for (index j = 0; j < n; ++j)
        want += d[static_cast<std::size_t>(i)] * h(i, j) * d[static_cast<std::size_t>(j)];
    }
    EXPECT_NEAR(detail::quadratic_form(h, d), want, 1e-12 * (1.0 + std::abs(want))) << n;
  }
}

TEST(awq, does_not_clip_where_nothing_gains) {
  const row_matrix<float> zeros = row_matrix<float>::Zero(3, 40);
  const auto q = clip_search<int4_grouped<32>>(zeros, products_of(lcg_floats(9, 40, 1)));
  EXPECT_EQ(q.clipped_groups, 0);
}

TEST(awq, leaves_out_exponents_whose_weights_overflow) {
  row_matrix<float> x = lcg_floats(64, 16, 1);
  x.col(3) *= 1e6F;
  const row_matrix<float> w = lcg_floats(8, 16, 2) * 3e38F;
  const awq_result a = awq_scales<int4_per_row>(w, products_of(x));
  EXPECT_TRUE(std::isfinite(a.error));
  EXPECT_TRUE(std::isinf(a.errors.back()));
  for (index j = 0; j < 16; ++j) EXPECT_TRUE((w.col(j) * a.scales[j]).allFinite());
}

TEST(awq, can_be_stopped) {
  std::vector<double> seen;
  const awq_result a =
      awq_scales<int4_per_row>(lcg_floats(8, 16, 2), products_of(lcg_floats(64, 16, 1)),
                               {.steps = 4}, [&](const awq_step& s) {
                                 seen.push_back(s.exponent);
                                 return s.exponent < 0.5;
                               });
  EXPECT_EQ(seen, (std::vector<double>{0.0, 0.25, 0.5}));
  EXPECT_EQ(a.errors.size(), 3U);
}

TEST(awq, clipping_can_be_stopped) {
  const row_matrix<float> w = lcg_floats(520, 12, 2);
  const input_products h = products_of(lcg_floats(20, 12, 1));
  const auto stopped_after = [&](index last) {
    std::vector<index> seen;
    const auto q = clip_search<int4_grouped<8>>(w, h, {}, [&](const clip_step& s) {
      EXPECT_EQ(s.total, 1040);
      seen.push_back(s.groups);
      return s.groups != last;
    });
    EXPECT_EQ(q.weights.rows(), last < 1040 ? 0 : 520);
    return seen;
  };
  EXPECT_EQ(stopped_after(520), (std::vector<index>{512, 520}));
  EXPECT_EQ(stopped_after(1040), (std::vector<index>{512, 520, 1032, 1040}));
}

TEST(awq, tells_its_memory) {
  EXPECT_EQ(awq_scales_bytes(8, 16), 1024);
  EXPECT_EQ(clip_search_bytes<int4_grouped<32>>(4, 64), 32 * 32 * 8 + 8 * 28 + 4 * 64 + 4 * 32);
  EXPECT_EQ(clip_search_bytes<int8_per_row>(4, 64), 64 * 64 * 8 + 4 * 28 + 4 * 64 + 4 * 64);
}

template <class Storage>
void expect_clip(double plain, double clipped) {
  using S = scheme<Storage, grouped<32>, affine>;
  const row_matrix<float> w = lcg_floats(32, 64, 13).array().pow(5), x = lcg_floats(256, 64, 14);
  const auto q = clip_search<S>(w, products_of(x));
  const double outputs = 256.0 * 32.0;
  EXPECT_NEAR(output_error(x, w, fake_quantize<S>(w)) / outputs, plain, 1e-4 * plain);
  // A range that is clipped on both sides puts the zero point halfway between two codes. The float
  // scale decides which one it takes; the known values are from scales in double.
  const double error = output_error(x, w, dequantize(q.weights)) / outputs;
  EXPECT_LE(error, 1.003 * clipped);
  EXPECT_GE(error, 0.985 * clipped);
  EXPECT_GT(q.clipped_groups, 0);
  EXPECT_LT(q.error, q.plain_error);
  // The parts of an output add up to it only if they are not correlated; here they nearly are.
  EXPECT_NEAR(q.plain_error / 32.0, plain, 0.05 * plain);
}

TEST(awq, clips_to_the_known_error) {
  expect_clip<uint3>(0.0451486, 0.0419537);
  expect_clip<uint4>(0.0115022, 0.0109259);
}

TEST(awq, clipping_with_one_try_is_plain_quantization) {
  const row_matrix<float> w = lcg_floats(5, 70, 13), x = lcg_floats(40, 70, 14);
  const input_products h = products_of(x);
  const auto expect = [&]<class S>() {
    const auto q = clip_search<S>(w, h, {.tries = 1});
    EXPECT_EQ(q.weights, quantize<S>(w));
    EXPECT_EQ(q.clipped_groups, 0);
    EXPECT_EQ(q.error, q.plain_error);
    EXPECT_LE(clip_search<S>(w, h).error, q.error);
    EXPECT_EQ(clip_search<S>(w, h).weights,
              clip_search<S>(w, h, {}, tests::reverse_executor{}).weights);
  };
  expect.operator()<int3_grouped<32>>();
  expect.operator()<int4_per_row>();
  expect.operator()<uint4_grouped_minimum<16>>();
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(awq, refuses_bad_input) {
  const row_matrix<float> w = lcg_floats(4, 8, 1);
  const input_products h = products_of(lcg_floats(9, 8, 2));
  row_matrix<float> bad = w;
  bad(2, 2) = std::numeric_limits<float>::quiet_NaN();
  const auto scales = [](const row_matrix<float>& weights, const input_products& products,
                         const awq_options& options = {}) {
    return tests::sentence_of([&] { return awq_scales<int4_per_row>(weights, products, options); });
  };
  EXPECT_EQ(scales(bad, h), "fewbit: awq_scales: w(2, 2) is nan, expected a finite number");
  EXPECT_EQ(scales(w, input_products(8)), "fewbit: awq_scales: h.rows() is 0, expected at least 1");
  EXPECT_EQ(scales(w, input_products(9)), "fewbit: awq_scales: h.inputs() is 9, expected 8");
  EXPECT_EQ(scales(w, h, {.steps = 0}), "fewbit: awq_scales: steps is 0, expected at least 1");
  const auto clip = [](const row_matrix<float>& weights, const input_products& products,
                       const clip_options& options = {}) {
    return tests::sentence_of(
        [&] { return clip_search<int4_per_row>(weights, products, options); });
  };
  EXPECT_EQ(clip(bad, h), "fewbit: clip_search: w(2, 2) is nan, expected a finite number");
  EXPECT_EQ(clip(w, input_products(9)), "fewbit: clip_search: h.inputs() is 9, expected 8");
  EXPECT_EQ(clip(w, h, {.tries = 21}), "fewbit: clip_search: tries is 21, expected 1 to steps");
}

#endif

}}  // namespace fewbit::equalize_awq_test
