#include "fewbit/arch/magnitude.hpp"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <limits>
#include <vector>

namespace arch_magnitude_test {

namespace arch = fewbit::arch;
constexpr float infinity = std::numeric_limits<float>::infinity();

template <int N>
void check() {
  const std::vector<float> values = {0.0F, -0.0F, 1e-44F,  -1e-44F,  FLT_MIN,  -FLT_MIN,
                                     1.0F, -1.5F, FLT_MAX, -FLT_MAX, infinity, -infinity};
  for (const float a : values) {
    for (std::size_t first = 0; first < values.size(); ++first) {
      arch::vec<float, N> b;
      for (int i = 0; i < N; ++i)
        b.set(i, values[(first + static_cast<std::size_t>(i)) % values.size()]);
      const auto larger = arch::larger_magnitude(arch::vec<float, N>(std::abs(a)), b);
      for (int i = 0; i < N; ++i) {
        const float expected = std::abs(a) > std::abs(b[i]) ? std::abs(a) : std::abs(b[i]);
        EXPECT_EQ(arch::bits_as<std::int32_t>(larger[i]), arch::bits_as<std::int32_t>(expected))
            << a << ", " << b[i];
      }
    }
  }
}

TEST(larger_magnitude, equals_plain_arithmetic) {
  check<2>();
  check<4>();
  check<5>();
  check<8>();
  check<16>();
}

}  // namespace arch_magnitude_test
