#include "fewbit/core/finite.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "support/sentence.hpp"

namespace fewbit { namespace core_finite_test {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

constexpr bool is_plus_zero(float x) { return std::bit_cast<std::uint32_t>(x) == 0; }
static_assert(is_plus_zero(detail::without_minus_zero(-0.0F)));
static_assert(is_plus_zero(detail::without_minus_zero(0.0F)));
static_assert(std::bit_cast<std::uint64_t>(detail::without_minus_zero(-0.0)) == 0);
static_assert(detail::without_minus_zero(-1e-45F) == -1e-45F);
static_assert(detail::without_minus_zero(-1e-320) == -1e-320);

TEST(finite, minus_zero_becomes_zero_and_no_other_number_changes) {
  EXPECT_EQ(std::bit_cast<std::uint32_t>(detail::without_minus_zero(-0.0F)), 0U);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(detail::without_minus_zero(-0.0)), 0U);
  for (const float x : {0.0F, 1.0F, -1.0F, 1e-45F, -1e-45F, FLT_MAX, inf, -inf, nan}) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(detail::without_minus_zero(x)),
              std::bit_cast<std::uint32_t>(x));
  }
}

TEST(finite, nan_becomes_zero_and_infinity_stays) {
  EXPECT_EQ(detail::without_nan(nan), 0.0F);
  EXPECT_EQ(detail::without_nan(-nan), 0.0F);
  for (const float x : {0.0F, -2.5F, FLT_MAX, inf, -inf}) EXPECT_EQ(detail::without_nan(x), x);
  EXPECT_EQ(detail::finite_magnitude(-2.5F), std::bit_cast<std::int32_t>(2.5F));
  EXPECT_EQ(detail::finite_magnitude(inf), 0);
  EXPECT_EQ(detail::finite_magnitude(nan), 0);
}

TEST(finite, largest_magnitude_of_the_finite_values_at_every_length) {
  for (const index n : {0, 1, 3, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100}) {
    std::vector<float> x(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<float>((i * 7919) % 101) * (i % 2 == 0 ? -1.0F : 1.0F);
    }
    for (std::size_t special = 0; special <= x.size(); ++special) {
      std::vector<float> y = x;
      if (special < x.size())
        y[special] = special % 3 == 0 ? nan : special % 3 == 1 ? inf : -500.0F;
      float largest = 0.0F;
      for (const float v : y) {
        if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
      }
      ASSERT_EQ(detail::finite_amax(y.data(), n), largest) << n << ", " << special;
    }
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(finite, bad_importance_is_named) {
  const auto failure = [](const std::vector<float>& importance) {
    return tests::sentence_of([&] { detail::expect_valid_importance("f", importance, 2); });
  };
  EXPECT_EQ(failure({0.0F, 1.0F}), "no error");
  EXPECT_EQ(failure({1.0F}), "fewbit: f: length of importance is 1, expected 2");
  EXPECT_EQ(failure({1.0F, -1.0F}),
            "fewbit: f: importance[1] is -1, expected a finite number, at least 0");
  EXPECT_EQ(failure({inf, 1.0F}),
            "fewbit: f: importance[0] is inf, expected a finite number, at least 0");
}
#endif

}  // namespace core_finite_test
}  // namespace fewbit
