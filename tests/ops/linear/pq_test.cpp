#include "fewbit/ops/linear/pq.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "fewbit/core/executor_adapters.hpp"
#include "support/layer_calls.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_linear_pq_test {

using tests::random_reals;

/// Decoded weights of a layer.
template <class Layer>
row_matrix<double> decoded(const Layer& layer) {
  const auto& w = layer.weights();
  row_matrix<double> m(w.n(), w.k());
  for (index j = 0; j < w.n(); ++j) {
    for (index c = 0; c < w.k(); ++c) {
      const index p = c / w.width();
      m(j, c) = double{
          w.columns(p)[c % w.width() * std::remove_cvref_t<decltype(w)>::centroids + w.code(j, p)]};
    }
  }
  return m;
}

/// Half a step for each part, where a step is 1/255 of the largest spread of a part's products.
template <class Layer>
double bound_of(const Layer& layer, const row_matrix<double>& x) {
  const auto& w = layer.weights();
  double spread = 0.0;
  for (index p = 0; p < w.parts(); ++p) {
    double least = std::numeric_limits<double>::infinity(), most = -least;
    for (index q = 0; q < std::remove_cvref_t<decltype(w)>::centroids; ++q) {
      double sum = 0.0;
      for (index c = p * w.width(); c < std::min((p + 1) * w.width(), w.k()); ++c) {
        const index column = c - p * w.width();
        sum += x(0, c) *
               double{w.columns(p)[column * std::remove_cvref_t<decltype(w)>::centroids + q]};
      }
      least = std::min(least, sum);
      most = std::max(most, sum);
    }
    spread = std::max(spread, most - least);
  }
  return static_cast<double>(w.parts()) * spread / 255 * 0.5005 + 1e-3;
}

template <index Width, int Bits>
void expect_layer(index n, index k) {
  SCOPED_TRACE(testing::Message() << Width << ", " << Bits << " bits, n=" << n << " k=" << k);
  const row_matrix<float> w = random_reals(n, k, 1), x = random_reals(11, k, 2);
  const Eigen::VectorXf bias = random_reals(n, 1, 3);
  linear<pq<Width, Bits>> layer(w, bias, {}, {.iterations = 3});
  EXPECT_EQ(layer.inputs(), k);
  EXPECT_EQ(layer.outputs(), n);
  row_matrix<float> y(11, n);
  layer(x, y);
  tests::expect_same_in_reserved_memory(layer, x, y);
  const row_matrix<double> near = decoded(layer);
  for (index i = 0; i < 11; ++i) {
    const row_matrix<double> row = x.row(i).cast<double>();
    const double bound = bound_of(layer, row);
    for (index j = 0; j < n; ++j) {
      EXPECT_NEAR(double{y(i, j)}, row.row(0).dot(near.row(j)) + double{bias[j]}, bound);
    }
  }
}

TEST(pq_linear, is_within_its_bound_of_the_product_with_decoded_weights) {
  expect_layer<4, 4>(90, 40);
  expect_layer<4, 4>(33, 42);
  expect_layer<2, 4>(64, 7);
  expect_layer<8, 8>(300, 29);
  expect_layer<4, 8>(300, 40);
}

/// Parts whose sizes differ: one of large weights and small inputs, one of small weights and large
/// inputs. Only products decide what is too large.
TEST(pq_linear, is_accurate_for_large_and_small_parts) {
  row_matrix<float> w(3, 8), x(2, 8), y(2, 3);
  for (index r = 0; r < 3; ++r) {
    w.row(r).leftCols(4).setConstant(1e30F * static_cast<float>(r + 1));
    w.row(r).rightCols(4).setConstant(1e-8F * static_cast<float>(r + 1));
  }
  x.leftCols(4).setConstant(1e-20F);
  x.rightCols(4).setConstant(1e10F);
  x.row(1) *= 2.0F;
  linear<pq<4, 4>> layer(w);
  layer(x, y);
  for (index r = 0; r < 3; ++r) {
    EXPECT_NEAR(y(0, r), 4e10F * static_cast<float>(r + 1), 1e9F);
    EXPECT_NEAR(y(1, r), 8e10F * static_cast<float>(r + 1), 2e9F);
  }
  x(0, 0) = 1e10F;
  layer(x, y);
  EXPECT_TRUE(std::isnan(y(0, 0))) << "a product of 1e40";
  EXPECT_NEAR(y(1, 0), 8e10F, 2e9F) << "in another row";
}

/// Entries of tables are bytes of at least 2^-126 each.
TEST(pq_linear, is_accurate_for_the_smallest_floats) {
  const row_matrix<float> w = random_reals(16, 8, 1) * 1e-30F;
  const row_matrix<float> x = random_reals(1, 8, 2);
  linear<pq<4, 4>> layer(w);
  for (const float size : {1e-4F, 1e-6F, 1e-7F}) {
    const row_matrix<float> scaled = x * size;
    row_matrix<float> y(1, 16);
    layer(scaled, y);
    const row_matrix<double> exact = scaled.cast<double>() * w.cast<double>().transpose();
    const double bound = 2 * std::max(exact.cwiseAbs().maxCoeff() * 4 / 255, 0x1p-126);
    EXPECT_LE((y.cast<double>() - exact).cwiseAbs().maxCoeff(), bound) << size;
  }
}

/// Where there are no more different parts than centroids, weights are kept.
TEST(pq_linear, few_rows_have_only_the_error_of_the_tables) {
  const row_matrix<float> w = random_reals(16, 21, 1);
  const linear<pq<4, 4>> layer(w, Eigen::VectorXf(), {}, {.restarts = 4});
  EXPECT_LT((decoded(layer) - w.cast<double>()).cwiseAbs().maxCoeff(), 1e-5);
}

TEST(pq_linear, accepts_existing_codes) {
  const row_matrix<float> w = random_reals(50, 24, 1), x = random_reals(3, 24, 2);
  const product_quantizer pq4 = train_product_quantizer(w, {.parts = 6, .bits = 4});
  const row_matrix<std::uint8_t> codes = pq4.encode(w);
  linear<pq<4, 4>> given(pq4, codes), found(w);
  EXPECT_EQ(decoded(given), pq4.decode(codes).cast<double>());
  row_matrix<float> y(3, 50), z(3, 50);
  given(x, y);
  found(x, z);
  EXPECT_EQ(y, z);
}

TEST(pq_linear, depends_neither_on_threads_nor_on_rows_together) {
  const row_matrix<float> x = random_reals(21, 1100, 1);
  const linear<pq<2, 4>> layer(random_reals(1100, 1100, 2), Eigen::VectorXf(), {},
                               {.iterations = 1});
  row_matrix<float> expected(21, 1100), y(21, 1100);
  auto scratch = layer.make_scratch();
  for (index i = 0; i < 21; ++i) layer(x.middleRows(i, 1), expected.middleRows(i, 1), scratch);
  layer(x, y, scratch);
  EXPECT_EQ(y, expected);
  y.setConstant(99.0F);
  layer(x, y, scratch, thread_executor{3});
  EXPECT_EQ(y, expected);
}

TEST(pq_linear, float_inputs_have_only_the_error_of_floats) {
  const row_matrix<float> w = random_reals(70, 43, 1), x = random_reals(9, 43, 2);
  const Eigen::VectorXf bias = random_reals(70, 1, 3);
  linear<pq<4, 4>, float_inputs> layer(w, bias, {true, {0.25F, 5}}, {.iterations = 2});
  row_matrix<float> y(9, 70);
  row_matrix<std::int8_t> codes(9, 70);
  layer(x, y);
  layer(x, codes);
  row_matrix<double> want = x.cast<double>() * decoded(layer).transpose();
  want.rowwise() += bias.cast<double>().transpose();
  for (index i = 0; i < y.size(); ++i) {
    EXPECT_NEAR(double{y.data()[i]}, std::max(want.data()[i], 0.0), 1e-4);
    const int code = static_cast<int>(std::nearbyint(y.data()[i] * 4.0F)) + 5;
    EXPECT_EQ(codes.data()[i], std::min(code, 127));
  }
}

/// Codes of the floats that the layer writes else.
TEST(pq_linear, writes_codes_and_bounds_by_zero) {
  const row_matrix<float> x = random_reals(4, 40, 1), w = random_reals(37, 40, 2);
  linear<pq<4, 4>> plain(w), layer(w, Eigen::VectorXf(), {true, {0.25F, 5}});
  row_matrix<float> raw(4, 37), y(4, 37);
  row_matrix<std::uint8_t> unsigned_codes(4, 37);
  row_matrix<std::int8_t> signed_codes(4, 37);
  plain(x, raw);
  layer(x, y);
  layer(x, unsigned_codes);
  layer(x, signed_codes);
  EXPECT_EQ(y, raw.cwiseMax(0.0F).eval());
  EXPECT_GT((y.array() == 0.0F).count(), 0);
  for (index i = 0; i < 4; ++i) {
    for (index j = 0; j < 37; ++j) {
      const int code = static_cast<int>(std::nearbyint(y(i, j) * 4.0F)) + 5;
      EXPECT_EQ(unsigned_codes(i, j), std::min(code, 255));
      EXPECT_EQ(signed_codes(i, j), std::min(code, 127));
    }
  }
}

TEST(pq_linear, shares_scratch_memory_reads_blocks_and_accepts_no_rows) {
  const linear<pq<4, 4>> first(random_reals(64, 40, 1));
  const linear<pq<2, 4>> second(random_reals(9, 64, 2));
  const row_matrix<float> x = random_reals(6, 50, 3);
  linear_scratch shared;
  first.reserve(shared);
  second.reserve(shared);
  row_matrix<float> middle(4, 64), y = row_matrix<float>::Constant(6, 20, 7.0F);
  first(x.block(1, 3, 4, 40), middle, shared);
  second(middle, y.block(2, 1, 4, 9), shared);
  row_matrix<float> alone(4, 9), none(0, 9), nothing(2, 0);
  auto own = second.make_scratch();
  second(middle, alone, own);
  EXPECT_EQ(y.block(2, 1, 4, 9).eval(), alone);
  y.block(2, 1, 4, 9).setConstant(7.0F);
  EXPECT_EQ(y, (row_matrix<float>::Constant(6, 20, 7.0F)));
  second(row_matrix<float>(0, 64), none, own);
  linear<pq<4, 4>> empty;
  empty(row_matrix<float>(2, 0), nothing);
  EXPECT_EQ(empty.bytes(), 0);
}

TEST(pq_linear, bits_of_a_weight) {
  const row_matrix<float> w = random_reals(512, 64, 1);
  const kmeans_options once{.iterations = 1};
  const linear<pq<4, 4>> one(w, Eigen::VectorXf(), {}, once);
  EXPECT_EQ(one.bytes(), 512 * 64 / 8 + 16 * 64 * 4 + 512 * 4);
  const linear<pq<4, 8>> two(w, Eigen::VectorXf(), {}, once);
  EXPECT_EQ(two.bytes(), 512 * 64 / 4 + 256 * 4 * 4 + 512 * 4);
}

TEST(pq_linear, accepts_vectors_and_terminates_on_wrong_shapes) {
  const row_matrix<float> w = random_reals(40, 64, 1);
  linear<pq<4, 4>> layer(w);
  linear<pq<4, 4>, float_inputs> real(w);
  tests::expect_vectors_are_rows(layer);
  tests::expect_vectors_are_rows(real);
  tests::expect_misfits_end(layer, "linear");
  tests::expect_misfits_end(real, "linear");
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(pq_linear, rejects_bad_input) {
  row_matrix<float> w = random_reals(20, 8, 1);
  const product_quantizer quantizer = train_product_quantizer(w, {.parts = 2, .bits = 4});
  const row_matrix<std::uint8_t> codes = quantizer.encode(w);
  using layer = linear<pq<4, 4>>;
  EXPECT_EQ(tests::sentence_of([&] { return layer(quantizer, codes); }), "no error");
  EXPECT_EQ(tests::sentence_of([&] { return linear<pq<2, 4>>(quantizer, codes); }),
            "fewbit: linear: quantizer.width() is 4, expected 2");
  EXPECT_EQ(tests::sentence_of([&] { return linear<pq<4, 8>>(quantizer, codes); }),
            "fewbit: linear: quantizer.bits() is 4, expected 8");
  EXPECT_EQ(tests::sentence_of([&] { return layer(quantizer, codes, Eigen::VectorXf::Zero(3)); }),
            "fewbit: linear: length of bias is 3, expected 20");
  EXPECT_EQ(tests::sentence_of([&] {
              return layer(quantizer, codes, Eigen::VectorXf(), {false, {0.0F, 0}});
            }),
            "fewbit: linear: output_params.scale is 0, expected a finite number of at least "
            "2^-126");
  w(3, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(tests::sentence_of([&] { return layer(w); }),
            "fewbit: linear: weights(3, 1) is nan, expected a finite number");
  EXPECT_EQ(
      tests::sentence_of([&] { return layer(row_matrix<float>(), Eigen::VectorXf::Zero(3)); }),
      "fewbit: linear: weights is 0 x 0, expected at least one row and one column");
  EXPECT_EQ(tests::sentence_of([&] {
              return layer(quantizer, row_matrix<std::uint8_t>(0, 4), Eigen::VectorXf::Zero(3));
            }),
            "fewbit: linear: codes is 0 x 4, expected at least one row and one column");
  EXPECT_EQ(tests::sentence_of([&] {
              return layer(quantizer, row_matrix<std::uint8_t>::Zero(5, 1));
            }).substr(0, 35),
            "fewbit: linear: codes.cols() is 1, ");
  EXPECT_EQ(tests::sentence_of([&] {
              return layer(row_matrix<float>::Ones(20, 8), Eigen::VectorXf(), {},
                           {.iterations = 0});
            }),
            "fewbit: linear: clustering.iterations is 0, expected at least 1");
}

#endif

}  // namespace ops_linear_pq_test
}  // namespace fewbit
