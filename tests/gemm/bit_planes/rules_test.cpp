#include "fewbit/gemm/bit_planes/rules.hpp"

#include <gtest/gtest.h>

#include <map>
#include <utility>

namespace fewbit { namespace gemm_bit_planes_rules_test {

/// The factor of each pair of planes in the sum, computed by following the passes.
template <class A, class W>
std::map<std::pair<int, int>, int> factors() {
  constexpr auto list = gemm::detail::passes_of<A, W>();
  std::map<std::pair<int, int>, int> of_pair;
  const auto scale = [&](int by) {
    for (auto& [pair, factor] : of_pair) factor *= by;
  };
  for (int i = 0; i < list.count; ++i) {
    const auto& pass = list.passes[static_cast<std::size_t>(i)];
    if (pass.doubles) scale(2);
    if (pass.negates) scale(-1);
    of_pair[{pass.lhs_plane, pass.rhs_plane}] += 1;
  }
  if (list.ends_negated) scale(-1);
  return of_pair;
}

template <class A, class W>
void expect_weights(bool signed_a, bool signed_w) {
  const auto of_pair = factors<A, W>();
  ASSERT_EQ(of_pair.size(), static_cast<std::size_t>(A::planes * W::planes));
  for (const auto& [pair, factor] : of_pair) {
    const auto [i, j] = pair;
    const bool negative = (signed_a && i == A::planes - 1) != (signed_w && j == W::planes - 1);
    EXPECT_EQ(factor, (negative ? -1 : 1) * (1 << (i + j))) << i << " " << j;
  }
}

TEST(bit_products, give_each_pair_of_planes_its_weight) {
  using gemm::sign_bits, gemm::signed_bits, gemm::unsigned_bits, gemm::ternary_bits;
  expect_weights<unsigned_bits<8>, unsigned_bits<8>>(false, false);
  expect_weights<unsigned_bits<2>, signed_bits<2>>(false, true);
  expect_weights<signed_bits<1>, unsigned_bits<3>>(true, false);
  expect_weights<signed_bits<1>, signed_bits<1>>(true, true);
  expect_weights<signed_bits<8>, signed_bits<5>>(true, true);
  expect_weights<signed_bits<4>, ternary_bits>(true, true);
  expect_weights<sign_bits<3>, sign_bits<8>>(false, false);
}

}  // namespace gemm_bit_planes_rules_test
}  // namespace fewbit
