#include "fewbit/codebook/product_quantizer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "support/archs.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace codebook_product_quantizer_test {

using code_matrix = row_matrix<std::uint8_t>;

/// Centroids of small integers, so that distances are exact.
std::vector<row_matrix<float>> centroids_of(index parts, index codes, index width) {
  std::vector<row_matrix<float>> all;
  for (index p = 0; p < parts; ++p) {
    all.push_back(tests::random_reals(codes, width, static_cast<std::uint32_t>(p + 1)));
    all.back() = (all.back() * 30.0F).array().round();
  }
  return all;
}

/// The nearest centroid in double, by plain loops; of equally near ones, the lower number.
code_matrix plain_codes(const std::vector<row_matrix<float>>& centroids,
                        const row_matrix<float>& points) {
  const auto parts = static_cast<index>(centroids.size());
  const index width = centroids[0].cols();
  code_matrix codes(points.rows(), parts);
  for (index i = 0; i < points.rows(); ++i) {
    for (index p = 0; p < parts; ++p) {
      const row_matrix<double> c = centroids[static_cast<std::size_t>(p)].cast<double>();
      double least = std::numeric_limits<double>::infinity();
      for (index j = 0; j < c.rows(); ++j) {
        const double distance =
            (c.row(j) - points.row(i).segment(p * width, width).cast<double>()).squaredNorm();
        if (distance < least) {
          least = distance;
          codes(i, p) = static_cast<std::uint8_t>(j);
        }
      }
    }
  }
  return codes;
}

double missed(const row_matrix<float>& a, const row_matrix<float>& b) {
  return (a.cast<double>() - b.cast<double>()).squaredNorm();
}

template <class Arch>
class product_quantizer_test : public testing::Test {};
TYPED_TEST_SUITE(product_quantizer_test, tests::archs, tests::arch_names);

TYPED_TEST(product_quantizer_test, codes_name_the_nearest_centroids) {
  for (const index k : {16, 256}) {
    for (const index width : {1, 3, 8}) {
      for (const index parts : {1, 5}) {
        const auto centroids = centroids_of(parts, k, width);
        const product_quantizer pq(centroids);
        for (const index n : {1, 47, 48, 49, 97}) {
          SCOPED_TRACE(testing::Message() << "k=" << k << " width=" << width << " n=" << n);
          const row_matrix<float> points =
              (30 * tests::random_reals(n, parts * width, 77)).array().round();
          const code_matrix codes = pq.encode<TypeParam>(points);
          const row_matrix<float> near = pq.decode(codes);
          EXPECT_EQ(missed(near, points),
                    missed(pq.decode(plain_codes(centroids, points)), points));
          for (index i = 0; i < n; ++i) {
            const index p = i % parts;
            EXPECT_EQ(near.row(i).segment(p * width, width),
                      centroids[static_cast<std::size_t>(p)].row(codes(i, p)));
          }
        }
      }
    }
  }
}

TYPED_TEST(product_quantizer_test, trains_to_the_same_bits) {
  const row_matrix<float> points = tests::random_reals(600, 6, 3);
  const pq_options options{.parts = 3, .bits = 4, .clustering = {.iterations = 5, .seed = 9}};
  const product_quantizer plain = train_product_quantizer<arch::scalar>(points, options);
  const product_quantizer pq = train_product_quantizer<TypeParam>(points, options);
  for (index p = 0; p < 3; ++p) EXPECT_EQ(pq.centroids(p), plain.centroids(p));
  EXPECT_EQ(pq.encode<TypeParam>(points), plain.encode<arch::scalar>(points));
}

TEST(product_quantizer, shapes) {
  const product_quantizer pq(centroids_of(5, 16, 3));
  EXPECT_EQ(pq.parts(), 5);
  EXPECT_EQ(pq.width(), 3);
  EXPECT_EQ(pq.dimension(), 15);
  EXPECT_EQ(pq.code_count(), 16);
  EXPECT_EQ(pq.bits(), 4);
  EXPECT_EQ(product_quantizer(centroids_of(1, 256, 1)).bits(), 8);
}

TEST(product_quantizer, each_part_is_clustered_as_by_kmeans) {
  const row_matrix<float> points = tests::random_reals(500, 6, 3);
  const pq_options options{.parts = 2, .bits = 4, .clustering = {.seed = 4}};
  const product_quantizer pq = train_product_quantizer(points, options);
  EXPECT_EQ(pq.centroids(0), kmeans(points.leftCols(3), 16, {.seed = 4}).centroids);
  EXPECT_EQ(pq.centroids(1), kmeans(points.rightCols(3), 16, {.seed = 5}).centroids);
}

TEST(product_quantizer, few_different_points_are_kept_exactly) {
  row_matrix<float> points = tests::random_reals(200, 8, 3);
  for (index i = 15; i < 200; ++i) points.row(i) = points.row(i % 15);
  const product_quantizer pq = train_product_quantizer(points, {.parts = 4, .bits = 4});
  EXPECT_EQ(pq.decode(pq.encode(points)), points);
}

TEST(product_quantizer, more_codes_have_a_smaller_error) {
  const row_matrix<float> points = tests::random_reals(2000, 8, 3);
  const auto miss = [&](index parts, int bits) {
    const product_quantizer pq = train_product_quantizer(points, {.parts = parts, .bits = bits});
    return missed(pq.decode(pq.encode(points)), points);
  };
  EXPECT_LT(miss(2, 8), miss(2, 4));
  EXPECT_LT(miss(4, 4), miss(2, 4));
  EXPECT_LT(miss(2, 8), missed(points, row_matrix<float>::Zero(2000, 8)) / 2);
}

TEST(product_quantizer, same_bits_for_any_threads_and_layout) {
  const row_matrix<float> points = tests::random_reals(2000, 4, 3);
  const pq_options options{.parts = 2, .bits = 4};
  const product_quantizer pq = train_product_quantizer(points, options);
  const code_matrix codes = pq.encode(points);
  const product_quantizer other = train_product_quantizer(points, options, thread_executor{3});
  EXPECT_EQ(other.centroids(1), pq.centroids(1));
  EXPECT_EQ(pq.encode(points, thread_executor{3}), codes);
  row_matrix<float> wide = row_matrix<float>::Constant(2000, 7, 99.0F);
  wide.middleCols(2, 4) = points;
  EXPECT_EQ(pq.encode(wide.middleCols(2, 4)), codes);
  EXPECT_EQ(pq.encode(Eigen::MatrixXf(points)), codes);
}

TEST(product_quantizer, progress_receives_each_part_and_may_stop) {
  const row_matrix<float> points = tests::random_reals(500, 6, 3);
  std::vector<pq_step> steps;
  const pq_options options{.parts = 3, .bits = 4};
  static_cast<void>(train_product_quantizer(points, options, [&](const pq_step& s) {
    steps.push_back(s);
    return true;
  }));
  EXPECT_EQ(steps.front().part, 0);
  EXPECT_EQ(steps.front().parts, 3);
  EXPECT_EQ(steps.front().clustering.iteration, 1);
  EXPECT_EQ(steps.back().part, 2);
  index calls = 0;
  const product_quantizer stopped =
      train_product_quantizer(points, options, [&](const pq_step&) { return ++calls < 2; });
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(stopped.parts(), 3);
  EXPECT_EQ(stopped.centroids(2),
            kmeans(points.rightCols(2), 16, {.iterations = 1, .seed = 2}).centroids);
}

/// Codes are the nearest centroids in double, and training finds the pairs despite a distant point.
TEST(product_quantizer, is_precise_with_one_coordinate_far_away) {
  std::vector<row_matrix<float>> centroids = centroids_of(2, 16, 3);
  centroids[0](5, 1) = 1e7F;
  centroids[1].row(9).setConstant(-1e20F);
  const product_quantizer pq(centroids);
  const row_matrix<float> points = tests::random_reals(100, 6, 8);
  const code_matrix codes = pq.encode(points);
  for (index i = 0; i < 100; ++i) {
    for (index p = 0; p < 2; ++p) {
      std::vector<double> distances;
      for (index j = 0; j < 16; ++j) {
        double sum = 0.0;
        for (index t = 0; t < 3; ++t) {
          sum += std::pow(double{points(i, 3 * p + t)} - double{pq.centroids(p)(j, t)}, 2.0);
        }
        distances.push_back(sum);
      }
      EXPECT_EQ(codes(i, p),
                std::min_element(distances.begin(), distances.end()) - distances.begin());
    }
  }
  row_matrix<float> places(64, 4);
  for (index i = 0; i < 64; ++i) places.row(i).setConstant(static_cast<float>(i % 15));
  places.row(30).setConstant(1e9F);
  places(31, 0) = places(31, 1) = 1e6F;
  const row_matrix<float> only = places.topRows(31);
  const product_quantizer trained = train_product_quantizer(only, {.parts = 2, .bits = 4});
  EXPECT_EQ(trained.decode(trained.encode(only)), only);
}

/// Centroids in falling order: the lower number has the larger value.
TEST(product_quantizer, decides_ties_of_single_columns_as_nearest_centroids_does) {
  row_matrix<float> centroids(16, 1), points(31, 1);
  for (index j = 0; j < 16; ++j) centroids(j, 0) = static_cast<float>(15 - j);
  for (index i = 0; i < 31; ++i) points(i, 0) = static_cast<float>(i) * 0.5F;
  const product_quantizer pq({centroids});
  const auto codes = pq.encode(points);
  const auto nearest = nearest_centroids(points, centroids);
  for (index i = 0; i < 31; ++i) {
    EXPECT_EQ(int{codes(i, 0)}, nearest[i]) << points(i, 0);
    EXPECT_EQ(int{codes(i, 0)}, 15 - (i + 1) / 2) << points(i, 0);
  }
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(product_quantizer, rejects_bad_centroids) {
  const auto sentence = [](std::vector<row_matrix<float>> c) {
    return tests::sentence_of([&] { return product_quantizer(c); });
  };
  EXPECT_EQ(sentence({}), "fewbit: product_quantizer: centroids.size() is 0, expected at least 1");
  auto c = centroids_of(2, 16, 3);
  EXPECT_EQ(sentence(c), "no error");
  c[1](2, 1) = std::nanf("");
  EXPECT_EQ(sentence(c),
            "fewbit: product_quantizer: centroids[1](2, 1) is nan, expected a finite number");
  c[1] = row_matrix<float>::Ones(16, 2);
  EXPECT_EQ(sentence(c), "fewbit: product_quantizer: centroids[1].cols() is 2, expected 3");
  c[1] = row_matrix<float>::Ones(256, 3);
  EXPECT_EQ(sentence(c), "fewbit: product_quantizer: centroids[1].rows() is 256, expected 16");
  c[0] = row_matrix<float>::Ones(17, 3);
  EXPECT_EQ(sentence(c),
            "fewbit: product_quantizer: centroids[0].rows() is 17, expected 16 or 256");
}

TEST(product_quantizer, rejects_bad_training) {
  row_matrix<float> points = tests::random_reals(40, 6, 3);
  const auto sentence = [&](const pq_options& o) {
    return tests::sentence_of([&] { return train_product_quantizer(points, o); });
  };
  EXPECT_EQ(sentence({.parts = 0}),
            "fewbit: train_product_quantizer: parts is 0, expected a divisor of 6");
  EXPECT_EQ(sentence({.parts = 4}),
            "fewbit: train_product_quantizer: parts is 4, expected a divisor of 6");
  EXPECT_EQ(sentence({.parts = 2, .bits = 5}),
            "fewbit: train_product_quantizer: bits is 5, expected 4 or 8");
  EXPECT_EQ(sentence({.parts = 2, .clustering = {.iterations = 0}}),
            "fewbit: train_product_quantizer: clustering.iterations is 0, expected at least 1");
  const std::vector<float> weights(39, 1.0F);
  EXPECT_EQ(sentence({.parts = 2, .bits = 4, .clustering = {.weights = weights}}),
            "fewbit: train_product_quantizer: clustering.weights.size() is 39, expected 40");
  EXPECT_EQ(sentence({.parts = 2, .bits = 4}), "no error");
  EXPECT_EQ(
      sentence({.parts = 2}),
      "fewbit: train_product_quantizer: points.rows() is 40, expected at least 256, the number "
      "of centroids of 8 bits");
  const auto shared = [&](index rows, const pq_options& o) {
    return tests::sentence_of([&] { return train_shared_quantizer(points.topRows(rows), o); });
  };
  EXPECT_EQ(shared(8, {.parts = 2, .bits = 4}), "no error");
  EXPECT_EQ(
      shared(7, {.parts = 2, .bits = 4}),
      "fewbit: train_shared_quantizer: points.rows() * parts is 14, expected at least 16, the "
      "number of centroids of 4 bits");
  EXPECT_EQ(shared(8, {.parts = 2, .bits = 4, .clustering = {.candidates = -1}}),
            "fewbit: train_shared_quantizer: clustering.candidates is -1, expected at least 0");
  points(7, 4) = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sentence({.parts = 2}),
            "fewbit: train_product_quantizer: points(7, 4) is inf, expected a finite number");
}

TEST(product_quantizer, rejects_bad_points_and_codes) {
  const product_quantizer pq(centroids_of(2, 16, 3));
  row_matrix<float> points = tests::random_reals(4, 6, 3);
  EXPECT_EQ(tests::sentence_of([&] { return pq.encode(points.leftCols(5)); }),
            "fewbit: encode: points.cols() is 5, expected 6");
  points(1, 5) = std::nanf("");
  EXPECT_EQ(tests::sentence_of([&] { return pq.encode(points); }),
            "fewbit: encode: points(1, 5) is nan, expected a finite number");
  code_matrix codes = code_matrix::Constant(3, 2, 15);
  EXPECT_EQ(tests::sentence_of([&] { return pq.decode(codes); }), "no error");
  codes(2, 1) = 16;
  EXPECT_EQ(tests::sentence_of([&] { return pq.decode(codes); }),
            "fewbit: decode: codes(2, 1) is 16, expected 0 to 15");
  EXPECT_EQ(tests::sentence_of([&] { return pq.decode(codes.leftCols(1)); }),
            "fewbit: decode: codes.cols() is 1, expected 2");
}

#endif

}  // namespace codebook_product_quantizer_test
}  // namespace fewbit
