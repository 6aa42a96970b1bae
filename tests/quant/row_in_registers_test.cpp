#include "fewbit/quant/row_in_registers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace fewbit { namespace {

using std::int8_t;
using std::uint8_t;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

/// One code by the formula, in steps of single floats.
int code_of(float x, float scale, int zero, int least, int most) {
  if (std::isnan(x)) return zero;
  const float scaled = x * (1.0F / scale);
  const float bounded = std::fmin(std::fmax(scaled, static_cast<float>(least - zero)),
                                  static_cast<float>(most - zero));
  return static_cast<int>(std::nearbyint(bounded)) + zero;
}

/// max|x| / 127 of the finite values, at least 2^-126, and 1 for zeros; not for max|x| > 2^127.
float scale_of(const std::vector<float>& x) {
  float most = 0.0F;
  for (const float v : x) most = std::isfinite(v) ? std::fmax(most, std::fabs(v)) : most;
  return most == 0.0F ? 1.0F : std::fmax(most / 127.0F, 0x1p-126F);
}

std::vector<float> random_row(index n, unsigned seed) {
  std::vector<float> x(static_cast<std::size_t>(n));
  std::mt19937 random(seed);
  for (float& v : x) v = static_cast<float>(static_cast<int>(random() % 40001) - 20000) / 10007.0F;
  return x;
}

index whole_registers(index n) {
  return (n + detail::code_lanes - 1) / detail::code_lanes * detail::code_lanes;
}

template <class Code>
void expect_dynamic(const std::vector<float>& x) {
  const auto n = static_cast<index>(x.size());
  const int zero = std::is_signed_v<Code> ? 0 : 128;
  std::vector<Code> codes(static_cast<std::size_t>(whole_registers(n) + 64), Code{77});
  const float want = scale_of(x);
  ASSERT_EQ(want, detail::encode_dynamic_row(x.data(), n, codes.data()));
  for (index i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    ASSERT_EQ(code_of(x[at], want, zero, zero - 127, zero + 127), codes[at]) << "code " << i;
  }
  for (index i = n; i < whole_registers(n); ++i)
    ASSERT_EQ(zero, codes[static_cast<std::size_t>(i)]) << "padding " << i;
  for (auto i = static_cast<std::size_t>(std::max(whole_registers(n), detail::code_lanes));
       i < codes.size(); ++i)
    ASSERT_EQ(Code{77}, codes[i]) << "behind the padding: " << i;
}

template <class Code>
void expect_static(const std::vector<float>& x, const quant_params& params) {
  using limits = std::numeric_limits<Code>;
  const auto n = static_cast<index>(x.size());
  std::vector<Code> codes(static_cast<std::size_t>(whole_registers(n) + 64), Code{77});
  detail::encode_static_row(x.data(), n, params, codes.data());
  for (index i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    ASSERT_EQ(code_of(x[at], params.scale, params.zero_point, limits::min(), limits::max()),
              codes[at])
        << "code " << i << " of " << x[at];
  }
  for (index i = n; i < whole_registers(n); ++i)
    ASSERT_EQ(params.zero_point, codes[static_cast<std::size_t>(i)]) << "padding " << i;
}

void expect_both(const std::vector<float>& x) {
  expect_dynamic<int8_t>(x);
  expect_dynamic<uint8_t>(x);
  expect_static<int8_t>(x, {0.01F, -7});
  expect_static<uint8_t>(x, {0.02F, 200});
}

/// Rows of all lengths around each number of registers. The largest value takes each position.
TEST(row_in_registers, has_the_codes_of_the_formula_at_every_length) {
  for (index n = 1; n <= 140; ++n) {
    SCOPED_TRACE("n=" + std::to_string(n));
    std::vector<float> x = random_row(n, static_cast<unsigned>(n));
    x[static_cast<std::size_t>((n * 7 + 3) % n)] = -3.0F;
    expect_both(x);
    x.back() = 5.0F;
    expect_both(x);
  }
}

/// Only the float at one position is large, so a position that is not read changes the scale.
TEST(row_in_registers, reads_each_position) {
  for (const index n : {1, 8, 9, 16, 17, 31, 32, 33, 48, 63, 64}) {
    for (index i = 0; i < n; ++i) {
      SCOPED_TRACE("n=" + std::to_string(n) + " i=" + std::to_string(i));
      std::vector<float> x(static_cast<std::size_t>(n), 0.25F);
      x[static_cast<std::size_t>(i)] = i % 2 == 0 ? 8.0F : -8.0F;
      expect_dynamic<int8_t>(x);
    }
  }
}

TEST(row_in_registers, replaces_values_that_are_not_finite) {
  for (const index n : {1, 7, 8, 16, 20, 32, 40, 64, 65}) {
    for (const float special : {infinity, -infinity, not_a_number, -not_a_number, 3e38F, -3e38F}) {
      SCOPED_TRACE("n=" + std::to_string(n) + " special=" + std::to_string(special));
      std::vector<float> x = random_row(n, 5);
      x[static_cast<std::size_t>(n / 2)] = special;
      expect_static<int8_t>(x, {0.01F, -7});
      expect_static<uint8_t>(x, {0x1p-126F, 200});
      if (!std::isfinite(special)) expect_dynamic<int8_t>(x);
      if (!std::isfinite(special)) expect_dynamic<uint8_t>(x);
    }
  }
}

/// Both sides of the magnitudes whose scale is the quotient by 127.
TEST(row_in_registers, has_the_scale_of_dynamic_scale_at_every_magnitude) {
  std::vector<float> magnitudes = {0.0F, -0.0F, std::numeric_limits<float>::denorm_min(),
                                   std::numeric_limits<float>::min(),
                                   std::numeric_limits<float>::max()};
  for (int e = -149; e <= 127; ++e) {
    const float x = std::ldexp(1.0F, e);
    for (const float v : {std::nextafter(x, 0.0F), x, std::nextafter(x, infinity)})
      magnitudes.push_back(v);
  }
  for (const float most : magnitudes) {
    SCOPED_TRACE(most);
    for (const index n : {3, 24, 64}) {
      std::vector<float> x(static_cast<std::size_t>(n), most / 3);
      x[1] = -most;
      std::vector<int8_t> codes(128);
      const float scale = detail::encode_dynamic_row(x.data(), n, codes.data());
      ASSERT_EQ(dynamic_scale(most), scale);
      for (index i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i);
        ASSERT_EQ(code_of(x[at], scale, 0, -127, 127), codes[at]) << "code " << i;
      }
    }
  }
}

}  // namespace
}  // namespace fewbit
