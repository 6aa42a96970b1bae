#include "fewbit/codebook/nearest_by_codes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "support/reals.hpp"

namespace fewbit { namespace codebook_nearest_by_codes_test {

using detail::coded_centroids;
using detail::coded_panels;
using detail::point_panels;

/// Compares both searches on every panel, for every compiled instruction set that has codes.
void expect_same_as_in_float(const row_matrix<float>& points, const row_matrix<float>& centroids,
                             const centering& map) {
  const point_panels panels(points, map, inline_executor{});
  const coded_panels coded(panels, points.cols(), inline_executor{});
  const packed_centroids packed(centroids, map);
  coded_centroids codes;
  codes.code(packed);
  arch::compiled::for_each([&]<class Arch>() {
    if constexpr (detail::has_coded_search<Arch>) {
      for (index p = 0; p < panels.panels(); ++p) {
        std::int32_t want[panel_points], got[panel_points];
        nearest_in_panel<Arch>(packed, panels.panel(p), want);
        detail::nearest_by_codes<Arch, false>(packed, codes, panels.panel(p), coded.codes(p),
                                              coded.data_of(p), got);
        EXPECT_TRUE(std::equal(want, want + panel_points, got)) << Arch::name << " in float";
        const index first = p * panel_points;
        const index count = std::min(panel_points, points.rows() - first);
        const float* rows = points.data() + first * points.cols();
        nearest_in_panel<Arch>(packed, panels.panel(p), rows, points.cols(), count, want);
        detail::decide_in_double(
            packed,
            detail::nearest_by_codes<Arch, true>(packed, codes, panels.panel(p), coded.codes(p),
                                                 coded.data_of(p), got),
            rows, points.cols(), count, got);
        std::copy(want + count, want + panel_points, got + count);  // columns without a point
        EXPECT_TRUE(std::equal(want, want + panel_points, got))
            << Arch::name << " panel " << p << " d=" << points.cols() << " k=" << centroids.rows();
      }
    }
  });
}

void expect_same_as_in_float(const row_matrix<float>& points, const row_matrix<float>& centroids) {
  expect_same_as_in_float(points, centroids, centering::of(points));
}

TEST(coded_search, same_answer_for_every_size) {
  for (const index d : {1, 3, 4, 5, 24, 63, 64, 65}) {
    for (const index k : {1, 7, 8, 9, 64, 250, 1024}) {
      const row_matrix<float> points = tests::random_reals(100, d, 1);
      expect_same_as_in_float(points, tests::random_reals(k, d, 2));
      expect_same_as_in_float(points, 0.2F * tests::random_reals(k, d, 3));
    }
  }
}

TEST(coded_search, same_answer_for_uneven_sizes) {
  row_matrix<float> points = tests::random_reals(200, 33, 4);
  for (index i = 0; i < 200; ++i) points.row(i) *= std::ldexp(1.0F, -static_cast<int>(i / 2));
  points.row(17).setZero();
  row_matrix<float> centroids = tests::random_reals(100, 33, 5);
  for (index j = 0; j < 100; ++j) centroids.row(j) *= std::ldexp(1.0F, -static_cast<int>(j % 60));
  const centering as_is{std::vector<float>(33, 0.0F), 1.0F};
  expect_same_as_in_float(points, centroids, as_is);
  for (const float size : {0x1p-90F, 0x1p40F}) {
    expect_same_as_in_float(size * points, centroids, as_is);
    expect_same_as_in_float(size * points, size * centroids, as_is);
  }
  expect_same_as_in_float(row_matrix<float>::Zero(50, 33), centroids, as_is);
  expect_same_as_in_float(points, row_matrix<float>::Zero(70, 33), as_is);
}

/// Small integers: many centroids have the same distance, and the first one wins.
TEST(coded_search, same_answer_for_ties) {
  std::mt19937 random(6);
  row_matrix<float> points(96, 24), centroids(200, 24);
  for (index i = 0; i < points.size(); ++i) points.data()[i] = static_cast<float>(random() % 2);
  for (index i = 0; i < centroids.size(); ++i) {
    centroids.data()[i] = static_cast<float>(random() % 2);
  }
  centroids.bottomRows(100) = centroids.topRows(100);
  expect_same_as_in_float(points, centroids, {std::vector<float>(24, 0.0F), 1.0F});
  // Equal centroids: more candidates than fit.
  expect_same_as_in_float(points, row_matrix<float>::Constant(1000, 24, 0.5F));
}

/// Distant points use up the range of the scale, so each point is decided in double.
TEST(coded_search, same_answer_with_one_centroid_far_away) {
  row_matrix<float> points = tests::random_reals(150, 30, 10);
  row_matrix<float> centroids = tests::random_reals(90, 30, 11);
  for (const float far : {1e3F, 1e6F, 1e12F, 1e30F}) {
    points.row(100).setConstant(far);
    expect_same_as_in_float(points, centroids);
    centroids.row(70).setConstant(-far);
    expect_same_as_in_float(points, centroids);
  }
}

/// Neighbouring floats have the same codes.
TEST(coded_search, same_answer_for_centroids_closer_than_codes) {
  const row_matrix<float> centroids = 1.0F + 1e-3F * tests::random_reals(300, 40, 7).array();
  const row_matrix<float> points = 1.0F + 1e-3F * tests::random_reals(96, 40, 8).array();
  expect_same_as_in_float(points, centroids, {std::vector<float>(40, 0.0F), 1.0F});
}

/// Codes are exact, and the true distances of eight centroids are equal. Only the rounding of the
/// float scores, in the order of their terms, makes them different.
TEST(coded_search, same_answer_if_rounding_decides) {
  row_matrix<float> points(48, 1000);
  for (index i = 0; i < 48; ++i) points.row(i).setConstant(0.3F + 0.01F * static_cast<float>(i));
  row_matrix<float> centroids = row_matrix<float>::Zero(512, 1000);
  index j = 3;
  for (const index period : {200, 1000, 500, 100, 10, 20, 40, 50}) {
    for (index t = 0; t < 1000; ++t) centroids(j, t) = t % period < period / 10 * 7 ? 0.1F : -0.1F;
    j += 64;
  }
  expect_same_as_in_float(points, centroids, {std::vector<float>(1000, 0.0F), 1.0F});
}

struct true_norms {
  double norm = 0;
  double miss = 0;
};

template <class Code>
true_norms norms_of(const float* x, index d, double scale, Code code) {
  true_norms squares;
  for (index t = 0; t < d; ++t) {
    EXPECT_LE(std::abs(code(t)), 127);
    const double rounded = scale * code(t);
    squares.norm += rounded * rounded;
    squares.miss += std::pow(double{x[t * panel_points]} - rounded, 2);
    EXPECT_LE(std::abs(double{x[t * panel_points]} - rounded), 0.5001 * scale);
  }
  return {std::sqrt(squares.norm), std::sqrt(squares.miss)};
}

TEST(coded_search, norms_are_rounded_up_slightly) {
  for (const index d : {1, 5, 64, 1000}) {
    const row_matrix<float> points = tests::random_reals(48, d, 9);
    const centering quarter{std::vector<float>(static_cast<std::size_t>(d), 0.0F), 0.25F};
    const point_panels panels(points, quarter, inline_executor{});
    const coded_panels coded(panels, d, inline_executor{});
    for (index i = 0; i < 48; ++i) {
      const float* x = panels.panel(0) + i;
      std::vector<int> codes;
      const auto row = detail::coded_row::of(x, panel_points, d, [&](index t, int code) {
        EXPECT_EQ(t, static_cast<index>(codes.size()));
        codes.push_back(code);
      });
      const true_norms one = norms_of(x, d, double{row.scale},
                                      [&](index t) { return codes[static_cast<std::size_t>(t)]; });
      EXPECT_GE(double{row.norm}, one.norm);
      EXPECT_GE(double{row.error_norm}, one.miss);
      EXPECT_LE(double{row.error_norm}, 1.0001 * one.miss + 1e-7);

      const coded_panels::point_data& data = coded.data_of(0);
      const auto code = [&](index t) { return coded.codes(0)[(t / 4 * 48 + i) * 4 + t % 4]; };
      const true_norms many = norms_of(x, d, 1.0 / double{data.inverse_scale[i]}, code);
      EXPECT_GE(double{data.norm[i]} / double{data.inverse_scale[i]}, many.norm);
      EXPECT_GE(double{data.error_norm[i]} / double{data.inverse_scale[i]}, many.miss);
      EXPECT_LE(double{data.error_norm[i]} / double{data.inverse_scale[i]},
                1.001 * many.miss + 1e-4);
      int sum = 0;
      for (index t = 0; t < d; ++t) sum += code(t);
      EXPECT_EQ(data.start_sum[i], -128 * sum);
    }
  }
}

}  // namespace codebook_nearest_by_codes_test
}  // namespace fewbit
