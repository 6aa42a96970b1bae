#include "fewbit/codebook/kmeans_1d.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "fewbit/codebook/kmeans.hpp"
#include "support/samples.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace codebook_kmeans_1d_test {

row_matrix<float> column(const std::vector<float>& values) {
  return Eigen::Map<const row_matrix<float>>(values.data(), static_cast<index>(values.size()), 1);
}

/// The sum of squared distances of values[first .. end) to their mean.
double cost(const std::vector<float>& values, const std::vector<float>& weights, std::size_t first,
            std::size_t end) {
  double weight = 0, sum = 0, squares = 0;
  for (std::size_t i = first; i < end; ++i) {
    weight += double{weights[i]};
    sum += double{weights[i]} * double{values[i]};
  }
  for (std::size_t i = first; i < end; ++i) {
    squares += double{weights[i]} * std::pow(double{values[i]} - sum / weight, 2);
  }
  return weight > 0 ? squares : 0.0;
}

/// The least inertia of k intervals of sorted values. Tries all divisions.
double least_inertia(const std::vector<float>& values, const std::vector<float>& weights,
                     std::size_t first, int k) {
  if (k == 1) return cost(values, weights, first, values.size());
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t end = first + 1; end < values.size(); ++end) {
    least = std::min(
        least, cost(values, weights, first, end) + least_inertia(values, weights, end, k - 1));
  }
  return least;
}

TEST(kmeans_1d, optimal_equals_brute_force) {
  std::mt19937 random(1);
  for (int turn = 0; turn < 150; ++turn) {
    const std::size_t n = 2 + random() % 12;
    const bool weighted = turn % 2 == 1;
    const bool coarse = turn % 3 == 0;  // many equal numbers
    std::vector<float> values, weights;
    for (std::size_t i = 0; i < n; ++i) {
      values.push_back(coarse ? static_cast<float>(random() % 5)
                              : static_cast<float>(random() % 10000) / 100.0F - 50.0F);
      weights.push_back(weighted ? static_cast<float>(1 + random() % 4) : 1.0F);
    }
    std::vector<float> sorted = values, sorted_weights = weights;
    std::vector<std::size_t> order(n);
    for (std::size_t i = 0; i < n; ++i) order[i] = i;
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
    for (std::size_t i = 0; i < n; ++i) {
      sorted[i] = values[order[i]];
      sorted_weights[i] = weights[order[i]];
    }
    for (int k = 1; k <= static_cast<int>(std::min<std::size_t>(n, 5)); ++k) {
      const kmeans_result r = optimal_kmeans_1d(
          column(values), k, weighted ? std::span<const float>(weights) : std::span<const float>{});
      // least_inertia also tries divisions between equal numbers. They are never better.
      const double least = least_inertia(sorted, sorted_weights, 0, k);
      EXPECT_NEAR(r.inertia, least, 1e-4 * least + 1e-9) << "n=" << n << " k=" << k;
      const kmeans_result found = kmeans(column(values), k, {.weights = weights});
      EXPECT_NEAR(found.inertia, least, 1e-4 * least + 1e-9) << "kmeans is optimal for few numbers";
    }
  }
}

/// The least inertia of k intervals about means rounded to float, by plain loops in long double.
double least_inertia_of_intervals(std::vector<std::pair<float, float>> points, index k) {
  std::sort(points.begin(), points.end());
  const std::size_t n = points.size();
  const auto cost = [&](std::size_t first, std::size_t end) {
    long double weight = 0, moment = 0, sum = 0;
    const long double base = points[first].first;
    for (std::size_t i = first; i < end; ++i) {
      weight += points[i].second;
      moment += points[i].second * (points[i].first - base);
    }
    const auto mean = static_cast<float>(base + moment / weight);
    for (std::size_t i = first; i < end; ++i) {
      const long double miss = static_cast<long double>(points[i].first) - mean;
      sum += points[i].second * miss * miss;
    }
    return sum;
  };
  std::vector<long double> least(n + 1, 0);
  for (std::size_t end = 1; end <= n; ++end) least[end] = cost(0, end);
  for (index q = 1; q < k; ++q) {
    for (std::size_t end = n; end > 0; --end) {
      for (std::size_t i = 0; i < end; ++i) {
        least[end] = std::min(least[end], least[i] + cost(i, end));
      }
    }
  }
  return static_cast<double>(least[n]);
}

/// Compares the result with least_inertia_of_intervals, for the values and their mirror image. The
/// weights may be empty.
void expect_optimal(const std::vector<float>& values, const std::vector<float>& weights, index k) {
  for (const float sign : {1.0F, -1.0F}) {
    std::vector<std::pair<float, float>> points;
    std::vector<float> signed_values;
    for (std::size_t i = 0; i < values.size(); ++i) {
      signed_values.push_back(sign * values[i]);
      points.emplace_back(signed_values[i], weights.empty() ? 1.0F : weights[i]);
    }
    const double least = least_inertia_of_intervals(points, k);
    EXPECT_NEAR(optimal_kmeans_1d(column(signed_values), k, weights).inertia, least, 1e-6 * least)
        << "sign=" << sign << " k=" << k;
    EXPECT_NEAR(kmeans(column(signed_values), k, {.weights = weights}).inertia, least, 1e-6 * least)
        << "sign=" << sign << " k=" << k << ": kmeans is optimal for few numbers";
  }
}

TEST(kmeans_1d, is_precise_with_one_number_far_away) {
  EXPECT_EQ(optimal_kmeans_1d(column({-1e10F, 0, 1, 10, 11}), 3).inertia, 1.0);
  for (const float far : {1e3F, 1e6F, 1e10F, 1e20F, 1e30F, 3.4e38F}) {
    expect_optimal({far, 0, 1, 10, 11}, {}, 3);
    expect_optimal({far, 0, -far, 1, 10, 11}, {}, 4);
    expect_optimal({far, 0, 1, far / 2, 10, 11, 1, 10}, {}, 4);
    expect_optimal({far, 0, 1, 10, 11}, {1e-20F, 1, 1, 1, 2}, 3);
  }
  for (const float size : {1e-20F, 1e-35F, 0x1p-130F, 1e20F}) {
    expect_optimal({-1e10F * size, 0, size, 10 * size, 11 * size}, {}, 3);
  }
}

/// The mean of a heavy number is that number, whatever light numbers lie far below it.
TEST(kmeans_1d, light_numbers_far_away_do_not_move_a_mean) {
  const std::vector<float> values{-1e20F, 1000, 2000, 3000}, weights{1e-44F, 1, 1e-44F, 1e-44F};
  for (const auto& r : {optimal_kmeans_1d(column(values), 1, weights),
                        kmeans(column(values), 1, {.weights = weights})}) {
    EXPECT_EQ(r.centroids(0, 0), 1000.0F);
    EXPECT_NEAR(r.inertia, 1e40 * double{1e-44F}, 1e-9);
  }
  const auto two = optimal_kmeans_1d(column({-1e20F, 1000, 2000, 3000, 1e30F}), 2,
                                     std::vector<float>{1e-44F, 1, 1e-44F, 1e-44F, 1});
  EXPECT_EQ(two.centroids(0, 0), 1000.0F);
  EXPECT_EQ(two.centroids(1, 0), 1e30F);
  EXPECT_NEAR(two.inertia, 1e40 * double{1e-44F}, 1e-9);
  // Several light numbers, each 2^53 times nearer than the one before: the base moves to each.
  expect_optimal({-3e38F, 1e21F, -1e5F, 1e-10F, 2e-10F}, {1e-44F, 1e-44F, 1e-44F, 1, 2}, 1);
  expect_optimal({3e38F, -1e21F, 1e5F, 1e-10F, 2e-10F}, {1e-44F, 1e-44F, 1e-44F, 1, 2}, 2);
}

TEST(kmeans_1d, optimal_for_numbers_and_weights_of_very_different_sizes) {
  std::mt19937 random(11);
  const auto real = [&] { return static_cast<float>(random() % 20001) / 3000.0F - 3.3F; };
  for (int turn = 0; turn < 60; ++turn) {
    const std::size_t n = 4 + random() % 20;
    std::vector<float> values, weights;
    for (std::size_t i = 0; i < n; ++i) {
      const float x = real();
      const int exponent = static_cast<int>(random() % 240) - 120;
      values.push_back(turn % 4 == 0   ? std::ldexp(x, exponent)
                       : turn % 4 == 1 ? (random() % 8 == 0 ? 1e20F * x : 1e-20F * x)
                       : turn % 4 == 2 ? 1e6F + std::round(4 * x)
                                       : 1e-42F * x);
      if (turn % 3 == 0) weights.push_back(std::ldexp(1.0F, exponent / 6));
    }
    SCOPED_TRACE(turn);
    for (index k = 1; k <= 4; ++k) expect_optimal(values, weights, k);
  }
}

/// More numbers than 256 k, so first_intervals uses cells of several numbers.
TEST(kmeans_1d, is_precise_for_many_numbers_with_one_far_away) {
  std::vector<float> values = tests::normal_quantiles(3000);
  const double near = optimal_kmeans_1d(column(values), 4).inertia;
  for (const float far : {1e6F, -1e15F, 1e30F}) {
    values.push_back(far);
    EXPECT_NEAR(optimal_kmeans_1d(column(values), 5).inertia, near, 1e-5 * near) << far;
    EXPECT_NEAR(kmeans(column(values), 5).inertia, near, 1e-3 * near) << far;
    values.pop_back();
  }
}

struct level_count {
  index k;
  double mse;
};

/// Lloyd 1957 and Max 1960: the mean squared error of the best k levels for a Gaussian.
constexpr level_count lloyd_max[] = {
    {2, 0.363380}, {3, 0.190174}, {4, 0.117482}, {8, 0.0345478}, {16, 0.0095010}};

TEST(kmeans_1d, gaussian_levels_are_those_of_lloyd_and_max) {
  const std::vector<float> values = tests::normal_quantiles(20000);
  for (const auto& [k, mse] : lloyd_max) {
    const kmeans_result best = optimal_kmeans_1d(column(values), k);
    EXPECT_NEAR(best.inertia / 20000, mse, 0.02 * mse) << k;
    const kmeans_result found = kmeans(column(values), k);
    EXPECT_NEAR(found.inertia / 20000, mse, 0.02 * mse) << k;
    EXPECT_GE(found.inertia, best.inertia * (1 - 1e-6)) << k;
    EXPECT_LE(found.inertia, best.inertia * 1.001) << k;
  }
}

/// Mixtures of narrow and wide clusters, a distant outlier, and long tails.
std::vector<std::vector<float>> uneven_data() {
  std::mt19937 random(3);
  const auto uniform = [&] { return static_cast<float>(random() % 100000) / 100000.0F; };
  std::vector<std::vector<float>> data(3);
  for (int i = 0; i < 5000; ++i) {
    data[0].push_back(static_cast<float>(random() % 7) * 10.0F + uniform() * 0.01F);
    data[1].push_back(uniform());
    data[2].push_back(1.0F / (0.001F + uniform()));
  }
  data[1].push_back(1e6F);
  return data;
}

TEST(kmeans_1d, close_to_the_optimum_on_uneven_data) {
  for (const std::vector<float>& values : uneven_data()) {
    for (const index k : {2, 5, 16, 100}) {
      const kmeans_result best = optimal_kmeans_1d(column(values), k);
      const kmeans_result found = kmeans(column(values), k);
      EXPECT_LE(found.inertia, 1.02 * best.inertia + 1e-9) << "k=" << k;
    }
  }
}

void expect_consistent(const row_matrix<float>& points, const kmeans_result& r) {
  EXPECT_EQ(nearest_centroids(points, r.centroids), r.assignment);
  EXPECT_TRUE(std::is_sorted(r.centroids.data(), r.centroids.data() + r.centroids.size()));
  double inertia = 0;
  for (index i = 0; i < points.rows(); ++i) {
    inertia += std::pow(
        double{points(i, 0)} - double{r.centroids(r.assignment[static_cast<std::size_t>(i)], 0)},
        2);
  }
  EXPECT_NEAR(r.inertia, inertia, 1e-9 * inertia);
}

TEST(kmeans_1d, results_agree_with_their_centroids_for_every_k) {
  for (const std::vector<float>& values : uneven_data()) {
    for (const index k : {1, 3, 64, 512, 513, 700, 3000}) {
      SCOPED_TRACE(k);
      const kmeans_result r = kmeans(column(values), k);
      ASSERT_EQ(r.centroids.rows(), k);
      expect_consistent(column(values), r);
      std::vector<int> count(static_cast<std::size_t>(k));
      for (const std::int32_t j : r.assignment) ++count[static_cast<std::size_t>(j)];
      EXPECT_LE(std::count(count.begin(), count.end(), 0), k / 50) << "clusters without points";
    }
  }
}

TEST(kmeans_1d, sorts_every_kind_of_number) {
  std::mt19937 random(9);
  std::vector<float> values = {0.0F, -0.0F, 1e-45F, -1e-45F, 3.4e38F, -3.4e38F, 1.0F, -1.0F};
  while (values.size() < 3000) {
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (std::isfinite(x)) values.push_back(x);
  }
  std::vector<std::uint64_t> words;
  for (std::size_t i = 0; i < values.size(); ++i) {
    words.push_back(detail::sortable_word(values[i], static_cast<index>(i)));
  }
  detail::sort_by_value(words);
  for (std::size_t i = 0; i < words.size(); ++i) {
    EXPECT_EQ(detail::value_of(words[i]), values[detail::position_of(words[i])]);
    if (i == 0) continue;
    EXPECT_LE(detail::value_of(words[i - 1]), detail::value_of(words[i]));
  }
  EXPECT_EQ(detail::position_of(detail::sortable_word(-0.0F, 5)), 5U);
  EXPECT_EQ(detail::sortable_word(-0.0F, 1), detail::sortable_word(0.0F, 1));
}

TEST(kmeans_1d, keeps_few_different_numbers) {
  const std::vector<float> values = {3, -1, 3, 3, -1, 7};
  for (const index k : {3, 4, 6}) {
    for (const kmeans_result& r :
         {kmeans(column(values), k), optimal_kmeans_1d(column(values), k)}) {
      EXPECT_EQ(r.inertia, 0.0);
      EXPECT_EQ(r.assignment, (std::vector<std::int32_t>{1, 0, 1, 1, 0, 2}));
      EXPECT_EQ(r.centroids.rows(), k);
      EXPECT_EQ(r.centroids(k - 1, 0), 7.0F);
    }
  }
}

TEST(kmeans_1d, points_without_weight_do_not_move_centroids) {
  const std::vector<float> values = {0, 100, 1, 10, 11};
  const std::vector<float> weights = {1, 0, 1, 1, 1};
  for (const kmeans_result& r : {kmeans(column(values), 2, {.weights = weights}),
                                 optimal_kmeans_1d(column(values), 2, weights)}) {
    EXPECT_EQ(r.centroids(0, 0), 0.5F);
    EXPECT_EQ(r.centroids(1, 0), 10.5F);
    EXPECT_EQ(r.assignment, (std::vector<std::int32_t>{0, 1, 0, 1, 1}));
    EXPECT_EQ(r.inertia, 1.0);
  }
}

TEST(kmeans_1d, splits_the_interval_of_the_largest_inertia_first) {
  const std::vector<float> values = {0, 1, 2, 3, 50, 51, 100};
  const detail::sorted_points sorted(column(values), {});
  detail::intervals ends = {4, 6, 7};
  detail::split_to_count(sorted, ends, 4);
  EXPECT_EQ(ends, (detail::intervals{2, 4, 6, 7}));
  detail::split_to_count(sorted, ends, 7);
  EXPECT_EQ(ends, (detail::intervals{1, 2, 3, 4, 5, 6, 7}));
}

TEST(kmeans_1d, counts_moved_points) {
  EXPECT_EQ(detail::moved_between({3, 6, 9}, {3, 6, 9}), 0);
  EXPECT_EQ(detail::moved_between({3, 6, 9}, {4, 6, 9}), 1);
  EXPECT_EQ(detail::moved_between({3, 6, 9}, {1, 2, 9}), 5);
}

TEST(kmeans_1d, inertia_decreases_to_the_result) {
  const std::vector<float> values = tests::normal_quantiles(3000);
  std::vector<kmeans_step> steps;
  const kmeans_result r =
      kmeans(column(values), 600, {.iterations = 50}, [&](const kmeans_step& s) {
        steps.push_back(s);
        return true;
      });
  ASSERT_EQ(static_cast<index>(steps.size()), r.iterations);
  for (std::size_t i = 1; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].iteration, static_cast<index>(i + 1));
    EXPECT_LE(steps[i].inertia, steps[i - 1].inertia * (1 + 1e-6));
  }
  EXPECT_NEAR(steps.back().inertia, r.inertia, 0.01 * r.inertia);
  EXPECT_EQ(kmeans(column(values), 600, {}, [](const kmeans_step& s) { return s.iteration < 2; })
                .iterations,
            2);
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(kmeans_1d, rejects_bad_input) {
  const auto sentence = [](const row_matrix<float>& points, index k,
                           const std::vector<float>& weights = {}) {
    return tests::sentence_of([&] { return optimal_kmeans_1d(points, k, weights); });
  };
  const row_matrix<float> good = row_matrix<float>::Random(3, 1);
  EXPECT_EQ(sentence(good, 2), "no error");
  EXPECT_EQ(sentence(row_matrix<float>::Zero(3, 2), 2),
            "fewbit: optimal_kmeans_1d: points.cols() is 2, expected 1");
  EXPECT_EQ(sentence(row_matrix<float>(0, 1), 2),
            "fewbit: optimal_kmeans_1d: points is 0 x 1, expected at least one row and one column");
  EXPECT_EQ(sentence(good, 0),
            "fewbit: optimal_kmeans_1d: k is 0, expected 1 to 3, the number of points");
  EXPECT_EQ(sentence(good, 4),
            "fewbit: optimal_kmeans_1d: k is 4, expected 1 to 3, the number of points");
  EXPECT_EQ(sentence(good, 2, {1.0F, -1.0F, 1.0F}),
            "fewbit: optimal_kmeans_1d: weights[1] is -1, expected a finite number of at least 0");
  row_matrix<float> bad = good;
  bad(1, 0) = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(sentence(bad, 2),
            "fewbit: optimal_kmeans_1d: points(1, 0) is -inf, expected a finite number");
}

#endif

}  // namespace codebook_kmeans_1d_test
}  // namespace fewbit
