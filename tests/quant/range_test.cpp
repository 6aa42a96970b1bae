#include "fewbit/quant/range.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <limits>

#include "support/sentence.hpp"

namespace fewbit { namespace quant_range_test {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

static_assert(range{}.amax() == 0.0F);
static_assert(range{-3.0F, 1.0F}.amax() == 3.0F);
static_assert(range{-1.0F, 3.0F}.amax() == 3.0F);
static_assert(range{-3.0F, -1.0F}.amax() == 3.0F);
static_assert(range{1.0F, 3.0F}.amax() == 3.0F);
static_assert(hull({-1.0F, 2.0F}, {0.0F, 5.0F}) == range{-1.0F, 5.0F});
static_assert(hull({3.0F, 4.0F}, {-2.0F, -1.0F}) == range{-2.0F, 4.0F});

static_assert(detail::is_finite(0.0F) && detail::is_finite(-std::numeric_limits<float>::max()));
static_assert(detail::is_finite(std::numeric_limits<float>::denorm_min()));
static_assert(!detail::is_finite(inf) && !detail::is_finite(-inf) && !detail::is_finite(nan));
static_assert(!detail::is_finite(std::bit_cast<float>(0xFF800001U)));  // a signalling NaN

TEST(range, valid_ranges_pass) {
  detail::expect_valid_range("f", {-1.0F, 1.0F});
  detail::expect_valid_range("f", {0.0F, 0.0F});
  detail::expect_valid_range("f", {2.0F, 2.0F});
}

#if FEWBIT_HAS_EXCEPTIONS
std::string sentence(const range& r) {
  return tests::sentence_of([&] { detail::expect_valid_range("f", r); });
}

TEST(range, bad_ranges_are_named) {
  EXPECT_EQ(sentence({nan, 1.0F}), "fewbit: f: range.lo is nan, expected a finite number");
  EXPECT_EQ(sentence({-inf, 1.0F}), "fewbit: f: range.lo is -inf, expected a finite number");
  EXPECT_EQ(sentence({0.0F, nan}), "fewbit: f: range.hi is nan, expected a finite number");
  EXPECT_EQ(sentence({0.0F, inf}), "fewbit: f: range.hi is inf, expected a finite number");
  EXPECT_EQ(sentence({2.0F, 1.0F}), "fewbit: f: range.lo is 2, expected at most range.hi, 1");
}
#endif

}  // namespace quant_range_test
}  // namespace fewbit
