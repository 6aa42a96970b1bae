#include "fewbit/gemm/int8/saturation_proof.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "support/codes.hpp"

namespace fewbit { namespace gemm_int8_saturation_proof_test {

using gemm::saturation_proof;

/// Weights of a panel of `cols` columns in the order [step][column][4], initially zero.
struct panel {
  index steps;
  index cols;
  std::vector<std::int8_t> codes;

  panel(index s, index c) : steps(s), cols(c), codes(static_cast<std::size_t>(s * c * 4)) {}

  std::int8_t& at(index k, index col) {
    return codes[static_cast<std::size_t>((k / 4 * cols + col) * 4 + k % 4)];
  }
  [[nodiscard]] saturation_proof proven(index largest) const {
    gemm::detail::block_limits least;
    for (index step = 0; step < steps; step += 16) {
      least.lower_to(gemm::detail::limits_of(codes.data() + step * cols * 4,
                                             std::min(index{16}, steps - step), cols * 4));
    }
    return least.proof(largest);
  }
};

/// Two weights of a pair or of a four. The others are zero.
saturation_proof of_two(index k, int first, index other, int second, index largest = 255) {
  panel p(5, 24);
  p.at(k, 13) = static_cast<std::int8_t>(first);
  p.at(other, 13) = static_cast<std::int8_t>(second);
  return p.proven(largest);
}

TEST(saturation_proof, fails_if_a_sum_could_overflow_int16) {
  for (const index k : {0, 2, 6, 10, 14}) {
    EXPECT_EQ(of_two(k, 127, k + 1, 1), saturation_proof::fours) << k;
    EXPECT_EQ(of_two(k, 127, k + 1, 2), saturation_proof::none) << k;
    EXPECT_EQ(of_two(k, -128, k + 1, 0), saturation_proof::fours) << k;
    EXPECT_EQ(of_two(k, -127, k + 1, -2), saturation_proof::none) << k;
    EXPECT_EQ(of_two(k, -128, k + 1, 127), saturation_proof::fours) << "signs do not add up";
  }
  EXPECT_EQ(of_two(16, 127, 17, 2), saturation_proof::none) << "the last step of an odd number";
}

TEST(saturation_proof, of_fours_checks_pairs_of_steps) {
  EXPECT_EQ(of_two(0, 64, 4, 64), saturation_proof::fours);
  EXPECT_EQ(of_two(0, 64, 4, 65), saturation_proof::pairs);
  EXPECT_EQ(of_two(1, 65, 4, 64), saturation_proof::pairs);
  EXPECT_EQ(of_two(2, -64, 7, -64), saturation_proof::fours);
  EXPECT_EQ(of_two(3, -65, 6, -64), saturation_proof::pairs);
  EXPECT_EQ(of_two(4, 127, 8, 127), saturation_proof::fours) << "steps 1 and 2 do not meet";
  EXPECT_EQ(of_two(8, 127, 12, 127), saturation_proof::pairs);
  EXPECT_EQ(of_two(1, 127, 2, 127), saturation_proof::fours) << "nor do codes 1 and 2";
}

TEST(saturation_proof, holds_for_more_weights_with_small_activations) {
  EXPECT_EQ(of_two(0, -128, 1, -128, 127), saturation_proof::fours);
  EXPECT_EQ(of_two(0, -128, 1, -128, 128), saturation_proof::fours) << "-128 * 256 fits";
  EXPECT_EQ(of_two(0, -128, 1, -128, 129), saturation_proof::none);
  EXPECT_EQ(of_two(0, 127, 1, 127, 129), saturation_proof::fours) << "129 * 254 fits";
  EXPECT_EQ(of_two(0, 127, 1, 127, 130), saturation_proof::none);
  EXPECT_EQ(of_two(0, 127, 1, 127, 0), saturation_proof::fours);
}

/// The proof by brute force: the extremes of each int16 over all activations.
saturation_proof proven_slowly(const panel& given, index largest) {
  panel p = given;
  bool pairs = true, fours = true;
  for (index col = 0; col < p.cols; ++col) {
    for (index k = 0; k < 4 * p.steps; k += 2) {
      const auto extremes = [&](index from, index& low, index& high) {
        for (const index i : {from, from + 1})
          (p.at(i, col) < 0 ? low : high) += largest * p.at(i, col);
      };
      index low = 0, high = 0;
      extremes(k, low, high);
      pairs = pairs && low >= -32768 && high <= 32767;
      if (k / 4 % 2 == 0 && k / 4 + 1 < p.steps) extremes(k + 4, low, high);
      fours = fours && low >= -32768 && high <= 32767;
    }
  }
  return fours ? saturation_proof::fours : pairs ? saturation_proof::pairs : saturation_proof::none;
}

TEST(saturation_proof, equals_the_extremes_over_all_activations) {
  std::mt19937 random(1);
  int seen[3] = {};
  for (int round = 0; round < 3000; ++round) {
    panel p(static_cast<index>(random() % 7), random() % 2 == 0 ? 8 : 24);
    const int span = 20 + static_cast<int>(random() % 110);
    for (auto& code : p.codes) {
      const int c = static_cast<int>(random() % static_cast<unsigned>(2 * span)) - span;
      code = static_cast<std::int8_t>(std::clamp(c, -128, 127));
    }
    const auto largest = static_cast<index>(random() % 256);
    const saturation_proof expected = proven_slowly(p, largest);
    ++seen[static_cast<int>(expected)];
    ASSERT_EQ(p.proven(largest), expected) << "round " << round;
  }
  for (const int count : seen) EXPECT_GT(count, 100);
}

TEST(saturation_proof, checks_all_steps_of_a_deep_panel) {
  for (const index k : {0, 127, 128, 200, 511, 1023}) {
    panel p(256, 8);
    p.at(k, 7) = 127;
    EXPECT_EQ(p.proven(255), saturation_proof::fours) << k;
    p.at(k ^ 1, 7) = 127;
    EXPECT_EQ(p.proven(255), saturation_proof::none) << k;
  }
}

/// The largest activations, from sums of 1 to 512 by trial.
TEST(block_limits, are_the_largest_activations_whose_sums_fit_int16) {
  for (index sum = 1; sum <= 512; ++sum) {
    index positive = 0, negative = 0;
    while (positive < 255 && (positive + 1) * sum <= 32767) ++positive;
    while (negative < 255 && -(negative + 1) * sum >= -32768) ++negative;
    EXPECT_EQ(gemm::detail::block_limits::limit(sum, 0), positive) << sum;
    EXPECT_EQ(gemm::detail::block_limits::limit(0, sum), negative) << sum;
    EXPECT_EQ(gemm::detail::block_limits::limit(sum, sum), positive) << sum;
  }
  EXPECT_EQ(gemm::detail::block_limits::limit(0, 0), 255);
}

TEST(are_at_most, compares_with_the_largest_activation_of_packing) {
  const row_matrix<std::int8_t> a = (row_matrix<std::int8_t>(1, 2) << -64, 63).finished();
  EXPECT_TRUE(gemm::detail::are_at_most(a, 63));
  EXPECT_FALSE(gemm::detail::are_at_most(a, 62));
  EXPECT_TRUE(gemm::detail::are_at_most((row_matrix<std::int8_t>(0, 3)), 1));
  const auto b = row_matrix<std::uint8_t>::Constant(1, 1, 128).eval();
  EXPECT_TRUE(gemm::detail::are_at_most(b, 128));
  EXPECT_FALSE(gemm::detail::are_at_most(b, 127));
}

}  // namespace gemm_int8_saturation_proof_test
}  // namespace fewbit
