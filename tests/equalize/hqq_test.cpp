#include "fewbit/equalize/hqq.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "equalize/matrices.hpp"
#include "support/reverse_executor.hpp"
#include "support/samples.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace equalize_hqq_test {

using tests::lcg_floats;

template <class Storage, class Granularity = per_row>
using minimum = scheme<Storage, Granularity, real_minimum>;

TEST(hqq, leaves_a_group_that_it_cannot_improve) {
  row_matrix<float> w(1, 8);
  w << -0.9F, -0.2F, -0.1F, 0.0F, 0.05F, 0.1F, 0.3F, 2.1F;
  const auto q = hqq<minimum<uint2>>(w);
  EXPECT_FLOAT_EQ(q.weights.scales()[0], 1.0F);
  EXPECT_EQ(q.weights.minima()[0], -0.9F);
  row_matrix<int> codes(1, 8);
  codes << 0, 1, 1, 1, 1, 1, 1, 3;
  EXPECT_EQ(q.weights.codes().cast<int>().eval(), codes);
  EXPECT_NEAR(q.error, 0.10625, 1e-7);
  EXPECT_EQ(q.error, q.plain_error);
}

/// Quantiles of the normal distribution, and the same with -8 in the first place.
row_matrix<float> quantile_rows() {
  const std::vector<float> quantiles = tests::normal_quantiles(64);
  row_matrix<float> w(2, 64);
  for (index c = 0; c < 64; ++c) w.col(c).setConstant(quantiles[static_cast<std::size_t>(c)]);
  w(1, 0) = -8.0F;
  return w;
}

/// The zero of a group: -minimum / scale.
double zero_of(const minimum_params& p) { return -double{p.minimum} / double{p.scale}; }

std::vector<float> row_values(const row_matrix<float>& w, index r) {
  return {w.data() + r * w.cols(), w.data() + (r + 1) * w.cols()};
}

TEST(hqq, iterates_as_published_if_groups_stop_together) {
  const row_matrix<float> w = quantile_rows();
  detail::hqq_group<minimum<uint2>> a(row_values(w, 0)), b(row_values(w, 1));
  EXPECT_NEAR((a.error() + b.error()) / 2.0, 0.642789, 1e-6);
  EXPECT_NEAR(zero_of(a.params()), 1.5, 1e-6);
  EXPECT_NEAR(zero_of(b.params()), 2.303803, 1e-6);
  double beta = 10.0, least = (a.error() + b.error()) / 2.0;
  for (int i = 0; i < 20; ++i, beta *= 1.01) {
    auto next_a = a, next_b = b;
    next_a.step(0.7, beta);
    next_b.step(0.7, beta);
    const double error = (next_a.error() + next_b.error()) / 2.0;
    if (!(error < least)) break;
    least = error;
    a = next_a;
    b = next_b;
  }
  EXPECT_NEAR(least, 0.595010, 1e-6);
  EXPECT_NEAR(zero_of(a.params()), 1.5, 1e-6);
  EXPECT_NEAR(zero_of(b.params()), 2.179209, 1e-6);
}

TEST(hqq, stops_each_group_on_its_own) {
  const row_matrix<float> w = quantile_rows();
  const auto both = hqq<minimum<uint2>>(w);
  EXPECT_NEAR(both.plain_error, 0.642789, 1e-6);
  EXPECT_LE(both.error, 0.595010 + 1e-6);
  const auto second = hqq<minimum<uint2>>(w.bottomRows(1));
  EXPECT_EQ(second.weights.minima()[0], both.weights.minima()[1]);
  EXPECT_EQ(second.weights.codes(), both.weights.codes().bottomRows(1));
  const auto wide = hqq<minimum<uint3>>(w);
  EXPECT_NEAR(wide.error, wide.plain_error, 1e-6);
  EXPECT_EQ(wide.weights.codes(), quantize<minimum<uint3>>(w).codes());
}

TEST(hqq, multiplies_beta_by_its_growth) {
  const row_matrix<float> w = quantile_rows();
  const hqq_options options{.iterations = 3, .beta = 2.0, .growth = 1.7};
  detail::hqq_group<minimum<uint2>> group(row_values(w, 1)), same(row_values(w, 1));
  group.run(options);
  double beta = options.beta;
  for (int i = 0; i < 3; ++i, beta *= 1.7) {
    const double error = same.error();
    same.step(options.p, beta);
    ASSERT_LT(same.error(), error) << i;
  }
  EXPECT_EQ(group.params().minimum, same.params().minimum);
}

TEST(hqq, never_raises_the_error_of_a_group) {
  row_matrix<float> w = lcg_floats(6, 70, 3).array().cube() * 0.1F;
  w.row(2).setConstant(0.3F);
  w.row(3).setZero();
  w.row(4) *= 1e-38F;
  w.row(5) *= 1e38F;
  using S = minimum<uint2, grouped<16>>;
  const auto q = hqq<S>(w);
  const auto errors = [&](const quantized_matrix<S>& m) {
    return (w.cast<double>() - dequantize(m).cast<double>()).cwiseAbs().eval();
  };
  const row_matrix<double> searched = errors(q.weights), plain = errors(quantize<S>(w));
  for (index r = 0; r < 6; ++r) {
    for (index c = 0; c < 70; c += 16) {
      const index n = std::min<index>(16, 70 - c);
      const double before = plain.row(r).segment(c, n).sum();
      EXPECT_LE(searched.row(r).segment(c, n).sum(), before * (1.0 + 1e-12)) << r << " " << c;
    }
  }
  EXPECT_NEAR(q.error, searched.mean(), 1e-9 * q.error);
  EXPECT_NEAR(q.plain_error, plain.mean(), 1e-9 * q.plain_error);
  EXPECT_LT(searched.topRows(2).sum(), 0.99 * plain.topRows(2).sum());
  EXPECT_EQ(q.weights, hqq<S>(w, {}, tests::reverse_executor{}).weights);
  EXPECT_EQ(hqq<S>(w, {.iterations = 0}).weights, quantize<S>(w));
}

TEST(hqq, can_be_stopped) {
  using S = minimum<uint2, grouped<1>>;
  const row_matrix<float> w = lcg_floats(5, 1000, 3);
  const auto stopped_after = [&](index last) {
    std::vector<index> seen;
    const auto q = hqq<S>(w, {.iterations = 0}, [&](const hqq_step& s) {
      EXPECT_EQ(s.total, 5000);
      seen.push_back(s.groups);
      return s.groups != last;
    });
    EXPECT_EQ(q.weights.rows(), last < 5000 ? 0 : 5);
    return seen;
  };
  EXPECT_EQ(stopped_after(4096), (std::vector<index>{4096}));
  EXPECT_EQ(stopped_after(5000), (std::vector<index>{4096, 5000}));
  EXPECT_EQ((hqq_bytes<minimum<uint2, grouped<32>>>(4, 64)), 8 * 24 + 4 * 64 + 4 * 16);
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(hqq, refuses_bad_input) {
  const auto sentence = [](const row_matrix<float>& w, const hqq_options& options = {}) {
    return tests::sentence_of([&] { return hqq<minimum<uint4>>(w, options); });
  };
  row_matrix<float> w = lcg_floats(2, 3, 1);
  EXPECT_EQ(sentence(w, {.iterations = -1}), "fewbit: hqq: iterations is -1, expected at least 0");
  EXPECT_EQ(sentence(w, {.p = 0.0}), "fewbit: hqq: p is 0, expected more than 0, at most 1");
  EXPECT_EQ(sentence(w, {.beta = 0.0}), "fewbit: hqq: beta is 0, expected more than 0");
  EXPECT_EQ(sentence(w, {.growth = 0.5}), "fewbit: hqq: growth is 0.5, expected at least 1");
  w(1, 0) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(sentence(w), "fewbit: hqq: w(1, 0) is nan, expected a finite number");
  EXPECT_EQ(sentence(row_matrix<float>(0, 2)),
            "fewbit: hqq: w is 0 x 2, expected at least one row and one column");
}

#endif

}}  // namespace fewbit::equalize_hqq_test
