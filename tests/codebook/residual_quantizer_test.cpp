#include "fewbit/codebook/residual_quantizer.hpp"

#include <gtest/gtest.h>

#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace codebook_residual_quantizer_test {

double missed(const row_matrix<float>& a, const row_matrix<float>& b) {
  return (a.cast<double>() - b.cast<double>()).squaredNorm();
}

const pq_options coarse{.parts = 1, .bits = 4};
const pq_options fine{.parts = 3, .bits = 8, .clustering = {.seed = 1}};

TEST(residual_quantizer, second_level_encodes_the_residuals) {
  const row_matrix<float> points = tests::random_reals(1500, 6, 3);
  const residual_quantizer rq = train_residual_quantizer(points, coarse, fine);
  const row_matrix<std::uint8_t> codes = rq.encode(points);
  ASSERT_EQ(codes.cols(), 4);
  EXPECT_EQ(rq.parts(), 4);
  EXPECT_EQ(rq.dimension(), 6);
  const row_matrix<float> first = rq.first().decode(codes.leftCols(1));
  EXPECT_EQ(codes.leftCols(1), rq.first().encode(points));
  EXPECT_EQ(codes.rightCols(3), rq.second().encode(points - first));
  EXPECT_EQ(rq.decode(codes), first + rq.second().decode(codes.rightCols(3)));
  EXPECT_LT(missed(rq.decode(codes), points), missed(first, points) / 4);
  const product_quantizer again = train_product_quantizer(points - first, fine);
  EXPECT_EQ(again.centroids(2), rq.second().centroids(2));
}

TEST(residual_quantizer, progress_may_stop_both_levels) {
  const row_matrix<float> points = tests::random_reals(500, 6, 3);
  index calls = 0;
  const residual_quantizer rq =
      train_residual_quantizer(points, coarse, fine, [&](const pq_step&) { return ++calls < 2; });
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(rq.parts(), 4);
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(residual_quantizer, rejects_bad_input) {
  const auto centroids = [](index width) {
    return product_quantizer({tests::random_reals(16, width, 1)});
  };
  EXPECT_EQ(tests::sentence_of([&] { return residual_quantizer(centroids(3), centroids(4)); }),
            "fewbit: residual_quantizer: second.dimension() is 4, expected 3");
  const residual_quantizer rq(centroids(3), centroids(3));
  row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Constant(5, 2, 3);
  EXPECT_EQ(tests::sentence_of([&] { return rq.decode(codes.leftCols(1)); }),
            "fewbit: decode: codes.cols() is 1, expected 2");
  codes(4, 1) = 200;
  EXPECT_EQ(tests::sentence_of([&] { return rq.decode(codes); }),
            "fewbit: decode: codes(4, 1) is 200, expected 0 to 15");
  EXPECT_EQ(tests::sentence_of([&] { return rq.encode(tests::random_reals(5, 2, 1)); }),
            "fewbit: encode: points.cols() is 2, expected 3");
  const row_matrix<float> points = tests::random_reals(50, 6, 3);
  EXPECT_EQ(
      tests::sentence_of([&] { return train_residual_quantizer(points, coarse, {.parts = 4}); }),
      "fewbit: train_residual_quantizer: second.parts is 4, expected a divisor of 6");
  EXPECT_EQ(
      tests::sentence_of([&] { return train_residual_quantizer(points, {.parts = 5}, fine); }),
      "fewbit: train_residual_quantizer: first.parts is 5, expected a divisor of 6");
  EXPECT_EQ(tests::sentence_of([&] {
              return train_residual_quantizer(
                  points, {.parts = 2, .bits = 4, .clustering = {.iterations = 0}}, fine);
            }),
            "fewbit: train_residual_quantizer: first.clustering.iterations is 0, expected at least "
            "1");
  EXPECT_EQ(tests::sentence_of(
                [&] { return train_residual_quantizer(points, {.parts = 2, .bits = 4}, fine); }),
            "fewbit: train_residual_quantizer: points.rows() is 50, expected at least 256, the "
            "number of centroids of 8 bits");
  const row_matrix<float> most = row_matrix<float>::Constant(16, 3, 3e38F);
  const residual_quantizer far(product_quantizer({most}), centroids(3));
  EXPECT_EQ(tests::sentence_of([&] { return far.encode(-most); }),
            "fewbit: encode: residuals(0, 0) is -inf, expected a finite number");
}

#endif

}  // namespace codebook_residual_quantizer_test
}  // namespace fewbit
