#include "fewbit/codebook/point_panel.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/reals.hpp"

namespace fewbit { namespace codebook_point_panel_test {

TEST(point_panel, has_points_in_columns_and_zeros_after_the_last) {
  for (const index d : {1, 7, 8, 9, 17, 24}) {
    const row_matrix<float> wide = tests::random_reals(110, d + 3, 1);
    for (const index n : {1, 7, 8, 47, 48, 49, 97}) {
      const auto points = wide.block(1, 2, n, d);  // rows that are not contiguous
      const centering map = centering::of(points);
      const detail::point_panels panels(points, map, inline_executor{});
      ASSERT_EQ(panels.panels(), (n + 47) / 48);
      for (index i = 0; i < panels.panels() * 48; ++i) {
        for (index t = 0; t < d; ++t) {
          const float shift = map.shift[static_cast<std::size_t>(t)];
          const float want = i < n ? points(i, t) * map.scale - shift : 0.0F;
          EXPECT_EQ(panels.panel(i / 48)[t * 48 + i % 48], want) << "n=" << n << " d=" << d;
        }
      }
    }
  }
}

TEST(point_panel, centering_maps_any_finite_data_to_magnitudes_up_to_one) {
  for (const float size : {1e-44F, 1e-30F, 1.0F, 1e30F, 3e38F}) {
    for (const float offset : {0.0F, 0.25F}) {
      row_matrix<float> points = tests::random_reals(50, 4, 2);
      points /= points.cwiseAbs().maxCoeff();
      points = (points * 0.75F).array() + offset;
      points *= size;
      const centering map = centering::of(points);
      float largest = 0.0F;
      for (index i = 0; i < 50; ++i) {
        for (index t = 0; t < 4; ++t) largest = std::max(largest, std::abs(map(points(i, t), t)));
      }
      EXPECT_GE(largest, size < 1e-40F ? 1e-8F : 0.4F) << size;
      EXPECT_LE(largest, 8.0F) << size;
    }
  }
}

TEST(point_panel, centering_keeps_equal_data_finite) {
  const row_matrix<float> same = row_matrix<float>::Constant(5, 2, 7.5F);
  const centering map = centering::of(same);
  EXPECT_EQ(map(7.5F, 0), 0.0F);
  EXPECT_EQ(map(7.5F, 1), 0.0F);
}

TEST(point_panel, far_points_are_clamped) {
  const centering map{{0.0F}, 0x1p100F};
  EXPECT_EQ(map(3e38F, 0), 0x1p50F);
  EXPECT_EQ(map(-3e38F, 0), -0x1p50F);
  const row_matrix<float> point = row_matrix<float>::Constant(1, 8, 3e38F);
  const detail::point_panels panels(point, {std::vector<float>(8, 0.0F), 0x1p100F},
                                    inline_executor{});
  EXPECT_EQ(panels.panel(0)[7 * 48], 0x1p50F);
}

}  // namespace codebook_point_panel_test
}  // namespace fewbit
