#include "fewbit/codebook/find_nearest.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "support/archs.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace codebook_find_nearest_test {

product_quantizer random_quantizer(index parts, index codes, index width) {
  std::vector<row_matrix<float>> centroids;
  for (index p = 0; p < parts; ++p) {
    centroids.push_back(tests::random_reals(codes, width, static_cast<std::uint32_t>(p + 1)));
  }
  return product_quantizer(centroids);
}

/// All sums of bytes by plain loops, sorted.
std::vector<std::pair<int, index>> plain_search(const product_quantizer& pq,
                                                const row_matrix<std::uint8_t>& codes,
                                                const distance_tables& tables) {
  std::vector<std::pair<int, index>> all;
  for (index i = 0; i < codes.rows(); ++i) {
    int sum = 0;
    for (index p = 0; p < pq.parts(); ++p)
      sum += tables.byte_tables()[p * pq.code_count() + codes(i, p)];
    all.emplace_back(sum, i);
  }
  std::sort(all.begin(), all.end());
  return all;
}

template <class Arch>
class find_nearest_test : public testing::Test {};
TYPED_TEST_SUITE(find_nearest_test, tests::archs, tests::arch_names);

TYPED_TEST(find_nearest_test, finds_the_least_sums) {
  for (const index codes : {16, 256}) {
    const product_quantizer pq = random_quantizer(5, codes, 2);
    for (const index n : {1, 65, 3000}) {
      const row_matrix<std::uint8_t> coded = pq.encode(tests::random_reals(n, 10, 11));
      const packed_codes<TypeParam> packed(pq, coded);
      const row_matrix<float> queries = tests::random_reals(11, 10, 12);
      distance_tables tables(pq);
      for (const distance_metric metric :
           {distance_metric::squared_distance, distance_metric::negative_product}) {
        for (const index k : {index{1}, std::min<index>(10, n), std::min<index>(700, n)}) {
          const find_nearest_result r = find_nearest(pq, packed, queries, k, metric);
          for (index q = 0; q < 11; ++q) {
            metric == distance_metric::squared_distance
                ? tables.set_squared_distances(queries.data() + q * 10)
                : tables.set_negative_products(queries.data() + q * 10);
            const auto all = plain_search(pq, coded, tables);
            for (index j = 0; j < k; ++j) {
              const auto& [sum, number] = all[static_cast<std::size_t>(j)];
              ASSERT_EQ(r.numbers(q, j), number);
              EXPECT_FLOAT_EQ(r.distances(q, j),
                              static_cast<float>(tables.offset() + tables.scale() * sum));
            }
            EXPECT_EQ(r.error_bounds[static_cast<std::size_t>(q)], tables.error_bound());
          }
        }
      }
    }
  }
}

TEST(find_nearest_test, distances_are_within_their_bound) {
  const product_quantizer pq = random_quantizer(8, 256, 2);
  const row_matrix<std::uint8_t> codes = pq.encode(tests::random_reals(500, 16, 11));
  const row_matrix<float> near = pq.decode(codes);
  const row_matrix<float> queries = tests::random_reals(5, 16, 12);
  const packed_codes<> packed(pq, codes);
  const find_nearest_result r = find_nearest(pq, packed, queries, 20);
  for (index q = 0; q < 5; ++q) {
    for (index j = 0; j < 20; ++j) {
      const double want = (near.row(r.numbers(q, j)) - queries.row(q)).cast<double>().squaredNorm();
      EXPECT_NEAR(r.distances(q, j), want,
                  r.error_bounds[static_cast<std::size_t>(q)] + 1e-4 * want);
    }
  }
  const find_nearest_result threads =
      find_nearest(pq, packed, queries, 20, distance_metric::squared_distance, thread_executor{3});
  EXPECT_EQ(threads.numbers, r.numbers);
  EXPECT_EQ(threads.distances, r.distances);
}

/// Compares the distances and products of all vectors with long double.
void expect_within_bounds(const product_quantizer& pq, const row_matrix<float>& queries) {
  row_matrix<std::uint8_t> codes(40, pq.parts());
  for (index i = 0; i < codes.size(); ++i) {
    codes.data()[i] = static_cast<std::uint8_t>((7 * i + i / 5) % pq.code_count());
  }
  const row_matrix<float> near = pq.decode(codes);
  const packed_codes<> packed(pq, codes);
  for (const distance_metric metric :
       {distance_metric::squared_distance, distance_metric::negative_product}) {
    const find_nearest_result r = find_nearest(pq, packed, queries, 40, metric);
    for (index q = 0; q < queries.rows(); ++q) {
      for (index j = 0; j < 40; ++j) {
        long double want = 0;
        for (index t = 0; t < pq.dimension(); ++t) {
          const long double x = queries(q, t), c = near(r.numbers(q, j), t);
          want += metric == distance_metric::squared_distance ? (x - c) * (x - c) : -x * c;
        }
        const double off = std::abs(static_cast<double>(want - r.distances(q, j)));
        EXPECT_LE(off, r.error_bounds[static_cast<std::size_t>(q)]) << "query " << q;
      }
    }
  }
}

TEST(find_nearest_test, bounds_hold_for_queries_far_away) {
  row_matrix<float> steps(16, 1);
  for (index j = 0; j < 16; ++j) steps(j, 0) = static_cast<float>(j) / 16.0F;
  for (const float size : {0x1p-70F, 1e-10F, 1.0F, 1e10F}) {
    const product_quantizer one(std::vector<row_matrix<float>>{size * steps});
    row_matrix<float> queries(7, 1);
    queries << 1e5F, -1e5F, 3.3e4F, 0.3F, 1e-30F, 0.0F, 7.7e8F;
    expect_within_bounds(one, size * queries);
  }
  for (const index codes : {16, 256}) {
    for (const index width : {1, 5}) {
      const product_quantizer pq = random_quantizer(17, codes, width);
      row_matrix<float> queries = tests::random_reals(6, 17 * width, 15);
      queries.row(1).array() += 1e6F;
      queries.row(2) *= 1e12F;
      queries.row(3) *= 1e-25F;
      queries(4, 7) = -1e9F;
      queries.row(5).setZero();
      expect_within_bounds(pq, queries);
    }
  }
}

TEST(find_nearest_test, bounds_hold_with_a_centroid_far_away) {
  std::vector<row_matrix<float>> centroids;
  for (std::uint32_t p = 0; p < 5; ++p) centroids.push_back(tests::random_reals(16, 3, p + 1));
  centroids[2](9, 1) = 1e8F;
  centroids[4].row(3).setConstant(-1e12F);
  const row_matrix<float> queries = tests::random_reals(4, 15, 16);
  expect_within_bounds(product_quantizer(centroids), queries);
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(find_nearest_test, rejects_bad_input) {
  const product_quantizer pq = random_quantizer(2, 16, 3);
  row_matrix<float> queries = tests::random_reals(3, 6, 1);
  const packed_codes<> packed(pq, pq.encode(tests::random_reals(9, 6, 2)));
  const auto sentence = [&](const product_quantizer& with, index k) {
    return tests::sentence_of([&] { return find_nearest(with, packed, queries, k); });
  };
  EXPECT_EQ(sentence(pq, 9), "no error");
  EXPECT_EQ(sentence(pq, 0), "fewbit: find_nearest: k is 0, expected 1 to 9");
  EXPECT_EQ(sentence(pq, 10), "fewbit: find_nearest: k is 10, expected 1 to 9");
  EXPECT_EQ(sentence(random_quantizer(3, 16, 2), 1),
            "fewbit: find_nearest: packed.parts() is 2, expected 3");
  EXPECT_EQ(sentence(random_quantizer(2, 256, 3), 1),
            "fewbit: find_nearest: packed.bits() is 4, expected 8");
  EXPECT_EQ(sentence(random_quantizer(2, 16, 2), 1),
            "fewbit: find_nearest: queries.cols() is 6, expected 4");
  queries(2, 0) = 1e38F;
  queries(2, 1) = -1e38F;  // infinities that cancel
  EXPECT_EQ(tests::sentence_of([&] {
              return find_nearest(pq, packed, queries, 1, distance_metric::negative_product);
            }),
            "fewbit: find_nearest: a distance of queries[2] is inf, expected a finite number");
  queries(2, 0) = 1e30F;
  EXPECT_EQ(sentence(pq, 1),
            "fewbit: find_nearest: a distance of queries[2] is inf, expected a finite number");
  queries(1, 4) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(sentence(pq, 1),
            "fewbit: find_nearest: queries(1, 4) is nan, expected a finite number");
}

#endif

}  // namespace codebook_find_nearest_test
}  // namespace fewbit
