#include "fewbit/gemm/sum_of_codes.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "support/codes.hpp"

namespace fewbit { namespace gemm_sum_of_codes_test {

template <class Code>
class sum_of_codes_test : public testing::Test {};
using code_types = testing::Types<std::int8_t, std::uint8_t>;
TYPED_TEST_SUITE(sum_of_codes_test, code_types);

template <class Code>
std::int64_t plain_sum(const std::vector<Code>& codes) {
  std::int64_t sum = 0;
  for (const Code c : codes) sum += c;
  return sum;
}

template <class Code>
void expect_plain_sum(const std::vector<Code>& codes) {
  EXPECT_EQ(gemm::sum_of_codes(codes.data(), static_cast<index>(codes.size())), plain_sum(codes))
      << codes.size() << " codes";
}

/// Vectors of exact size, so that a sanitizer detects reads after them.
TYPED_TEST(sum_of_codes_test, equals_a_plain_loop_at_every_length) {
  const auto random = tests::random_codes<TypeParam>(1, 100, 1);
  for (std::size_t n = 0; n <= 100; ++n) {
    expect_plain_sum(std::vector<TypeParam>(random.data(), random.data() + n));
    expect_plain_sum(std::vector<TypeParam>(n, std::numeric_limits<TypeParam>::min()));
    expect_plain_sum(std::vector<TypeParam>(n, std::numeric_limits<TypeParam>::max()));
  }
}

TYPED_TEST(sum_of_codes_test, starts_at_any_address) {
  const auto random = tests::random_codes<TypeParam>(1, 200, 2);
  for (index first = 0; first < 70; ++first) {
    EXPECT_EQ(gemm::sum_of_codes(random.data() + first, 100),
              random.middleCols(first, 100).template cast<int>().sum());
  }
}

TYPED_TEST(sum_of_codes_test, is_exact_for_long_rows) {
  constexpr std::size_t n = std::size_t{1} << 20;
  const auto random = tests::random_codes<TypeParam>(1, n, 3);
  expect_plain_sum(std::vector<TypeParam>(random.data(), random.data() + n));
  expect_plain_sum(std::vector<TypeParam>(n, std::numeric_limits<TypeParam>::min()));
  expect_plain_sum(std::vector<TypeParam>(n, std::numeric_limits<TypeParam>::max()));
  expect_plain_sum(std::vector<TypeParam>(8 * n, std::numeric_limits<TypeParam>::max()));
}

}  // namespace gemm_sum_of_codes_test
}  // namespace fewbit
