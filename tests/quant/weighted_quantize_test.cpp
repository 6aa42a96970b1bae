#include "fewbit/quant/weighted_quantize.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "quant/oracle.hpp"
#include "quant/reference.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace quant_weighted_quantize_test {

using tests::noise_matrix;

std::vector<float> random_importance(index n, unsigned seed) {
  tests::noise source(seed);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& v : values) v = static_cast<float>(std::exp(4.0 * source.next()));
  return values;
}

/// sum importance (w - scale * code)^2 of columns [first, last) of row r.
template <class S>
double cost(const row_matrix<float>& w, const std::vector<float>& importance,
            const quantized_matrix<S>& q, index r, index first, index last) {
  double sum = 0.0;
  for (index c = first; c < last; ++c) {
    const double e = double{w(r, c)} - double{q.scale(r, c)} * q.code(r, c);
    sum += double{importance[static_cast<std::size_t>(c)]} * e * e;
  }
  return sum;
}

/// The least cost of n elements over all vectors of codes, each with its best scale.
template <class S>
double least_cost(const float* x, const float* importance, index n) {
  constexpr int codes = S::code_max - S::code_min + 1;
  double least = std::numeric_limits<double>::infinity();
  for (int all = 0; all < std::pow(codes, n); ++all) {
    double square = 0.0, product = 0.0, norm = 0.0;
    int rest = all;
    for (index i = 0; i < n; ++i) {
      const int code = rest % codes + S::code_min;
      rest /= codes;
      square += double{importance[i]} * x[i] * x[i];
      product += double{importance[i]} * x[i] * code;
      norm += double{importance[i]} * code * code;
    }
    const double gain = norm > 0.0 && product > 0.0 ? product * product / norm : 0.0;
    least = std::min(least, square - gain);
  }
  return least;
}

using small_schemes = tests::types<scheme<int4, grouped<3>>, scheme<int2, grouped<5>>,
                                   scheme<int2, grouped<5>, symmetric_full>,
                                   scheme<int4, grouped<3>, symmetric_full, real_scale, half_away>>;

TEST(weighted_quantize, finds_the_best_of_all_codes_and_scales) {
  tests::for_each_type(small_schemes{}, [&]<class S>() {
    constexpr index group = S::granularity::size;
    const row_matrix<float> w = noise_matrix(50, 4 * group, 3);
    std::vector<float> importance = random_importance(w.cols(), 4);
    importance[1] = 0.0F;
    const auto q = weighted_quantize<S>(w, importance);
    for (index r = 0; r < w.rows(); ++r) {
      for (index c = 0; c < w.cols(); c += group) {
        const double least =
            least_cost<S>(&w(r, c), &importance[static_cast<std::size_t>(c)], group);
        const double got = cost(w, importance, q, r, c, c + group);
        double size = 0.0;
        for (index i = c; i < c + group; ++i)
          size += double{importance[static_cast<std::size_t>(i)]} * w(r, i) * w(r, i);
        EXPECT_NEAR(got, least, 1e-12 * size) << r << ", " << c;
      }
    }
  });
}

using some_schemes = tests::types<int4_grouped<32>, int4_per_row, int8_grouped<32>, int8_per_col,
                                  int2_grouped<32>, scheme<int4, sub_tensor<3>>,
                                  scheme<int8, per_tensor, symmetric_full, real_scale, half_away>>;

TEST(weighted_quantize, is_never_worse_than_the_largest_magnitude) {
  tests::for_each_type(some_schemes{}, [&]<class S>() {
    for (const double size : {1e-44, 1e-30, 1.0, 1e30}) {
      const row_matrix<float> w = noise_matrix(7, 101, 5, size);
      for (const auto& importance : {random_importance(101, 6), std::vector<float>(101, 1e-30F)}) {
        const auto best = weighted_quantize<S>(w, importance), plain = quantize<S>(w);
        double best_cost = 0.0, plain_cost = 0.0;
        for (index r = 0; r < 7; ++r) {
          best_cost += cost(w, importance, best, r, 0, 101);
          plain_cost += cost(w, importance, plain, r, 0, 101);
        }
        EXPECT_LE(best_cost, plain_cost) << S::granularity::name << " " << size;
        if (size == 1.0 && S::storage::bits == 4) {
          EXPECT_LT(best_cost, 0.9 * plain_cost);
        }
      }
    }
  });
}

/// Where the plain scale is the best real number, the floats next to it cost more.
TEST(weighted_quantize, keeps_the_scale_of_quantized_weights) {
  const auto codes = quantize<int4_grouped<4>>(noise_matrix(30, 40, 7));
  const row_matrix<float> w = dequantize(codes);
  const std::vector<float> importance = random_importance(40, 8);
  const auto best = weighted_quantize<int4_grouped<4>>(w, importance);
  const auto plain = quantize<int4_grouped<4>>(w);
  for (index r = 0; r < 30; ++r) {
    for (index c = 0; c < 40; c += 4) {
      EXPECT_LE(cost(w, importance, best, r, c, c + 4),
                cost(w, importance, plain, r, c, c + 4) * (1 + 1e-12));
    }
  }
}

TEST(weighted_quantize, codes_match_the_chosen_scales) {
  const row_matrix<float> w = noise_matrix(5, 70, 8);
  const auto q = weighted_quantize<int4_grouped<32>>(w, random_importance(70, 9));
  std::vector<quant_params> params;
  for (const float s : q.scales()) params.push_back({s, 0});
  EXPECT_EQ(q, quantize<int4_grouped<32>>(w, params));
}

TEST(weighted_quantize, groups_of_importance_zero_keep_the_default_scale) {
  row_matrix<float> w = noise_matrix(2, 64, 10);
  w.row(1).setZero();
  const std::vector<float> none(64, 0.0F), all(64, 1.0F);
  EXPECT_EQ(weighted_quantize<int4_grouped<32>>(w, none), quantize<int4_grouped<32>>(w));
  EXPECT_EQ(weighted_quantize<int4_grouped<32>>(w, all).scale(1, 0), 1.0F);
}

TEST(weighted_quantize, is_exact_for_the_only_important_element) {
  row_matrix<float> w = noise_matrix(1, 32, 11);
  w(0, 3) = 100.0F;
  std::vector<float> importance(32, 0.0F);
  importance[7] = 1.0F;
  const auto q = weighted_quantize<int4_grouped<32>>(w, importance);
  EXPECT_NEAR(q.scale(0, 0) * static_cast<float>(q.code(0, 7)), w(0, 7), 1e-7F);
  EXPECT_EQ(q.code(0, 3), 7);
}

/// Only ratios of importance matter. Powers of two change no rounding.
TEST(weighted_quantize, does_not_depend_on_the_unit_of_importance_or_on_threads) {
  const row_matrix<float> w = noise_matrix(6, 96, 12);
  std::vector<float> importance = random_importance(96, 13);
  const auto expected = weighted_quantize<int4_grouped<32>>(w, importance);
  EXPECT_EQ(weighted_quantize<int4_grouped<32>>(w, importance, thread_executor{3}), expected);
  for (float& v : importance) v *= 0x1p-20F;
  EXPECT_EQ(weighted_quantize<int4_grouped<32>>(w, importance), expected);
}

/// The least cost of a row over all real scales. Codes change at a finite number of scales; between
/// two of them the codes are fixed, and their best scale is known.
template <class S>
double least_cost_of_scales(const row_matrix<float>& w, const std::vector<float>& importance) {
  std::vector<std::pair<double, index>> changes;
  double square = 0.0;
  for (index c = 0; c < w.cols(); ++c) {
    const double size = std::abs(double{w(0, c)});
    square += double{importance[static_cast<std::size_t>(c)]} * size * size;
    const int last = w(0, c) < 0.0F ? -S::code_min : S::code_max;
    for (int code = 1; code <= last && size > 0.0; ++code)
      changes.push_back({size / (code - 0.5), c});
  }
  std::sort(changes.begin(), changes.end(), std::greater<>());
  std::vector<int> codes(static_cast<std::size_t>(w.cols()), 0);
  double products = 0.0, squares = 0.0, gain = 0.0;
  for (const auto& [scale, c] : changes) {
    int& code = codes[static_cast<std::size_t>(c)];
    const double weight = importance[static_cast<std::size_t>(c)];
    products += weight * std::abs(double{w(0, c)});
    squares += weight * (2 * code + 1);
    ++code;
    if (squares > 0.0) gain = std::max(gain, products * products / squares);
  }
  return square - gain;
}

/// Rows of many kinds. Each row is a group that is too large for scale_walk.
std::vector<row_matrix<float>> large_groups(index n) {
  const row_matrix<float> noise = noise_matrix(1, n, 21);
  std::vector<row_matrix<float>> all = {noise, noise.cwiseAbs(), -noise.cwiseAbs()};
  row_matrix<float> tails = noise.array().cube().cube();
  all.push_back(tails);
  tails(0, n / 3) = 1e6F;
  all.push_back(tails);
  row_matrix<float> steps = (noise.array() * 20.0F).round() * 0.37F;
  all.push_back(steps);
  all.push_back(steps + 1e-5F * noise);
  row_matrix<float> two = row_matrix<float>::Ones(1, n);
  two.leftCols(n / 2) *= -1e-3F;
  all.push_back(two);
  row_matrix<float> few = row_matrix<float>::Zero(1, n);
  few.leftCols(9) = noise.leftCols(9);
  all.push_back(few);
  return all;
}

template <class S>
void expect_near_least_cost(index n) {
  int kind = 0;
  for (const row_matrix<float>& w : large_groups(n)) {
    std::vector<float> uneven = random_importance(n, 22);
    for (std::size_t i = 0; i < uneven.size(); i += 7) uneven[i] = 0.0F;
    for (const auto& importance : {std::vector<float>(static_cast<std::size_t>(n), 1.0F), uneven}) {
      double size = 0.0;
      for (index c = 0; c < n; ++c) {
        size += double{importance[static_cast<std::size_t>(c)]} * w(0, c) * w(0, c);
      }
      const double got = cost(w, importance, weighted_quantize<S>(w, importance), 0, 0, n);
      const double least = least_cost_of_scales<S>(w, importance);
      EXPECT_LE(got, 1.01 * least + 1e-12 * size) << S::storage::name << " kind " << kind;
      EXPECT_GE(got, least - 1e-12 * size) << S::storage::name << " kind " << kind;
      EXPECT_LE(got, cost(w, importance, quantize<S>(w), 0, 0, n));
    }
    ++kind;
  }
}

TEST(weighted_quantize, is_within_a_hundredth_of_the_best_in_large_groups) {
  for (const index n : {259, 601}) expect_near_least_cost<int8_per_tensor>(n);
  expect_near_least_cost<scheme<int8, per_row, symmetric_full, real_scale, half_away>>(300);
  expect_near_least_cost<scheme<int4, per_row>>(4700);
}

TEST(weighted_quantize, finds_the_optimum_in_the_largest_exact_groups) {
  const row_matrix<float> w = noise_matrix(1, 258, 23);
  const std::vector<float> importance = random_importance(258, 24);
  const double got = cost(w, importance, weighted_quantize<int8_per_row>(w, importance), 0, 0, 258);
  EXPECT_NEAR(got / least_cost_of_scales<int8_per_row>(w, importance), 1.0, 1e-6);
}

TEST(weighted_quantize, large_groups_scale_with_their_elements) {
  const row_matrix<float> w = noise_matrix(1, 2000, 25);
  const std::vector<float> importance = random_importance(2000, 26);
  const float scale = weighted_quantize<int8_per_row>(w, importance).scale(0, 0);
  for (const float factor : {-1.0F, 0x1p-90F, 0x1p100F}) {
    EXPECT_EQ(weighted_quantize<int8_per_row>(w * factor, importance).scale(0, 0),
              scale * std::abs(factor));
  }
  std::vector<float> huge = importance;
  for (float& v : huge) v *= 0x1p60F;
  EXPECT_EQ(weighted_quantize<int8_per_row>(w, huge).scale(0, 0), scale);
}

TEST(weighted_quantize, accepts_the_largest_and_smallest_numbers) {
  for (const index n : {32, 1024}) {
    row_matrix<float> w = noise_matrix(2, n, 27);
    w *= 3e38F / w.cwiseAbs().maxCoeff();
    w(0, 1) = -FLT_MAX;
    for (const float size : {1.0F, 1e-38F, 1e-45F}) {
      const row_matrix<float> x = w * size;
      for (const float weight : {3e38F, FLT_MAX, 1.0F, 1e-45F}) {
        std::vector<float> importance(static_cast<std::size_t>(n), weight);
        importance[0] = 0.0F;
        tests::for_each_type(tests::types<int8_per_row, int4_grouped<32>, int2_grouped<32>,
                                          scheme<int8, per_row, symmetric_full>>{},
                             [&]<class S>() {
                               const auto q = weighted_quantize<S>(x, importance);
                               EXPECT_TRUE(dequantize(q).allFinite());
                               for (const float scale : q.scales()) EXPECT_GE(scale, FLT_MIN);
                               const auto plain = quantize<S>(x);
                               for (index r = 0; r < 2; ++r) {
                                 EXPECT_LE(cost(x, importance, q, r, 0, n),
                                           cost(x, importance, plain, r, 0, n));
                               }
                             });
      }
    }
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(weighted_quantize, names_bad_arguments) {
  const row_matrix<float> w = noise_matrix(2, 3, 1);
  const auto sentence = [](const row_matrix<float>& m, const std::vector<float>& importance) {
    return tests::sentence_of([&] { return weighted_quantize<int4_grouped<32>>(m, importance); });
  };
  row_matrix<float> bad = w;
  bad(1, 2) = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sentence(bad, {1, 1, 1}),
            "fewbit: weighted_quantize: w(1, 2) is inf, expected a finite number");
  EXPECT_EQ(sentence(w, {1, 1}),
            "fewbit: weighted_quantize: length of importance is 2, expected 3");
  EXPECT_EQ(sentence(w, {1, -1, 1}),
            "fewbit: weighted_quantize: importance[1] is -1, expected a finite number, at least 0");
  EXPECT_EQ(
      sentence(w, {1, 1, std::numeric_limits<float>::quiet_NaN()}),
      "fewbit: weighted_quantize: importance[2] is nan, expected a finite number, at least 0");
}
#endif

}  // namespace quant_weighted_quantize_test
}  // namespace fewbit
