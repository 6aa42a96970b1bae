#include "fewbit/gemm/bit_planes/parities.hpp"

#include <gtest/gtest.h>

#include <bitset>
#include <cstdint>
#include <random>
#include <vector>

#include "support/bit_codes.hpp"

namespace fewbit { namespace gemm_bit_planes_parities_test {

using gemm::detail::parity_chains, gemm::detail::to_parities, gemm::detail::words_in_parities;

template <class U>
class bit_parities_test : public testing::Test {
 public:
  using unit_type = typename U::type;
};

TYPED_TEST_SUITE(bit_parities_test, tests::bit_units, tests::bit_unit_names);

/// Two rows and one register, of 3 words and steps of 4. 40 steps of ones would overflow counts in
/// bytes.
TYPED_TEST(bit_parities_test, count_the_ones_of_differences) {
  using unit = typename TestFixture::unit_type;
  constexpr index rows = 2, lanes = unit::lanes;
  for (const bool all_differ : {false, true}) {
    for (const index steps : {0, 1, 2, 31, 32, 40}) {
      const index words = 3 + 4 * steps;
      std::mt19937_64 random(1);
      std::vector<std::uint64_t> a(static_cast<std::size_t>(words * rows)),
          w(static_cast<std::size_t>(words * lanes));
      for (std::uint64_t& word : a) word = all_differ ? 0 : random();
      for (std::uint64_t& word : w) word = all_differ ? ~std::uint64_t{0} : random();
      std::uint64_t expected[rows][unit::lanes] = {};
      for (index i = 0; i < words * rows * lanes; ++i) {
        const index word = i / (rows * lanes), r = i / lanes % rows, c = i % lanes;
        const std::uint64_t x = a[static_cast<std::size_t>(word * rows + r)] ^
                                w[static_cast<std::size_t>(word * lanes + c)];
        expected[r][c] += std::bitset<64>(x).count();
      }
      for (index r = 0; r < rows; ++r) to_parities(a.data() + r, words, rows);
      for (index c = 0; c < lanes; ++c) to_parities(w.data() + c, words, lanes);
      parity_chains<unit, rows, 1> chains(a.data(), w.data(), lanes, 0);
      chains.add_steps(steps);
      for (int r = 0; r < rows; ++r) {
        const auto ones = chains.ones(r, 0);
        for (int c = 0; c < lanes; ++c) EXPECT_EQ(ones[c], expected[r][c]) << steps << " " << r;
      }
    }
  }
}

TYPED_TEST(bit_parities_test, use_three_words_or_groups_of_four) {
  using unit = typename TestFixture::unit_type;
  using gemm::detail::xor_rule, gemm::detail::ternary_rule;
  for (index words = 0; words <= 80; ++words) {
    EXPECT_EQ((words_in_parities<unit, xor_rule>(words)), tests::parities_among<unit>(words));
    EXPECT_EQ((words_in_parities<unit, ternary_rule>(words)), 0);
  }
}

}  // namespace gemm_bit_planes_parities_test
}  // namespace fewbit
