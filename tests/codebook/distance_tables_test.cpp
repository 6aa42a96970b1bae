#include "fewbit/codebook/distance_tables.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/reals.hpp"

namespace fewbit { namespace codebook_distance_tables_test {

product_quantizer random_quantizer(index parts, index codes, index width, float scale = 1.0F) {
  std::vector<row_matrix<float>> centroids;
  for (index p = 0; p < parts; ++p) {
    centroids.push_back(scale *
                        tests::random_reals(codes, width, static_cast<std::uint32_t>(p + 1)));
  }
  return product_quantizer(centroids);
}

/// Compares entries with double, bytes with the rule of entry_tables.hpp, and the largest and least
/// sums with the error bound.
void expect_tables(const distance_tables& tables, const product_quantizer& pq,
                   const row_matrix<double>& want) {
  double offset = 0.0;
  double extent = 0.0;
  for (index p = 0; p < pq.parts(); ++p) {
    offset += want.row(p).minCoeff();
    extent = std::max(extent, want.row(p).maxCoeff() - want.row(p).minCoeff());
  }
  const double size = want.cwiseAbs().maxCoeff();
  EXPECT_NEAR(tables.offset(), offset, 1e-5 * size * static_cast<double>(pq.parts()));
  EXPECT_NEAR(tables.scale(), extent / 255, 1e-5 * size);
  std::vector<double> worst{0.0, 0.0};
  for (index p = 0; p < pq.parts(); ++p) {
    double low = 0.0, high = 0.0;
    float least = tables(p, 0);
    for (index j = 0; j < pq.code_count(); ++j) least = std::min(least, tables(p, j));
    for (index j = 0; j < pq.code_count(); ++j) {
      EXPECT_NEAR(tables(p, j), want(p, j), 1e-5 * size);
      const std::uint8_t byte = tables.byte_tables()[p * pq.code_count() + j];
      const double miss = double{tables(p, j)} - double{least} - tables.scale() * byte;
      EXPECT_LE(std::abs(miss), tables.scale() * (0.5 + 0x1p-12));
      low = std::min(low, miss);
      high = std::max(high, miss);
    }
    worst[0] -= low;
    worst[1] += high;
  }
  EXPECT_LE(std::max(worst[0], worst[1]), tables.error_bound());
  EXPECT_LE(tables.error_bound(), 0.51 * static_cast<double>(pq.parts()) * tables.scale());
  for (index i = pq.parts() * pq.code_count(); i < (pq.parts() + 7) / 8 * 8 * pq.code_count();
       ++i) {
    EXPECT_EQ(tables.byte_tables()[i], 0);
  }
}

TEST(distance_tables, entries_bytes_and_bound) {
  for (const index k : {16, 256}) {
    for (const index width : {1, 3, 8}) {
      const product_quantizer pq = random_quantizer(5, k, width);
      distance_tables tables(pq);
      for (std::uint32_t seed = 50; seed < 53; ++seed) {
        const row_matrix<float> query = tests::random_reals(1, 5 * width, seed);
        row_matrix<double> squares(5, k), products(5, k);
        for (index p = 0; p < 5; ++p) {
          for (index j = 0; j < k; ++j) {
            const auto part = query.row(0).segment(p * width, width).cast<double>();
            squares(p, j) = (part - pq.centroids(p).row(j).cast<double>()).squaredNorm();
            products(p, j) = -part.dot(pq.centroids(p).row(j).cast<double>());
          }
        }
        tables.set_squared_distances(query.data());
        expect_tables(tables, pq, squares);
        tables.set_negative_products(query.data());
        expect_tables(tables, pq, products);
        EXPECT_TRUE(tables.is_finite());
      }
    }
  }
}

TEST(distance_tables, equal_tiny_and_huge_entries) {
  const row_matrix<float> query = tests::random_reals(1, 6, 3);
  const product_quantizer same(std::vector<row_matrix<float>>(2, row_matrix<float>::Ones(16, 3)));
  distance_tables equal(same);
  equal.set_squared_distances(query.data());
  for (index i = 0; i < 32; ++i) EXPECT_EQ(equal.byte_tables()[i], 0);
  EXPECT_LT(equal.error_bound(), 1e-6 * equal.offset())
      << "float entries still have rounding errors";

  const product_quantizer near = random_quantizer(2, 16, 3, 1e-25F);
  distance_tables tiny(near);
  const row_matrix<float> small = 1e-25F * query;
  tiny.set_squared_distances(small.data());
  EXPECT_TRUE(tiny.is_finite());
  EXPECT_GT(tiny.scale(), 0.0);

  const product_quantizer far = random_quantizer(2, 16, 3, 1e25F);
  distance_tables huge(far);
  huge.set_squared_distances(query.data());
  EXPECT_FALSE(huge.is_finite());
  huge.set_negative_products(query.data());
  EXPECT_TRUE(huge.is_finite());
}

TEST(distance_tables, sums_are_distances_to_decoded_vectors) {
  const product_quantizer pq = random_quantizer(4, 16, 2);
  const row_matrix<float> points = tests::random_reals(50, 8, 8);
  const row_matrix<std::uint8_t> codes = pq.encode(points);
  const row_matrix<float> near = pq.decode(codes);
  distance_tables tables(pq);
  tables.set_squared_distances(points.row(3).eval().data());
  for (index i = 0; i < 50; ++i) {
    double sum = 0.0;
    int bytes = 0;
    for (index p = 0; p < 4; ++p) {
      sum += double{tables(p, codes(i, p))};
      bytes += tables.byte_tables()[p * 16 + codes(i, p)];
    }
    const double want = (points.row(3) - near.row(i)).cast<double>().squaredNorm();
    EXPECT_NEAR(sum, want, 1e-5 * (1 + want));
    EXPECT_NEAR(tables.offset() + tables.scale() * bytes, sum, tables.error_bound());
  }
}

}  // namespace codebook_distance_tables_test
}  // namespace fewbit
