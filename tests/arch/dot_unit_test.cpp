#include "fewbit/arch/dot_unit.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "support/kernels.hpp"

namespace fewbit { namespace arch_dot_unit_test {

/// Codes of one step, as defined in arch/dot_unit.hpp: activations as [row][depth], weights as
/// [column][depth].
template <class K>
class dot_unit_test : public testing::Test {
 public:
  using unit = typename K::type::unit;
  using lhs = typename K::lhs;
  static constexpr int rows = unit::rows, cols = unit::cols, depth = unit::depth;
  static constexpr int lhs_min = std::numeric_limits<lhs>::min();
  static constexpr int lhs_max = std::numeric_limits<lhs>::max();

  std::vector<int> activations = std::vector<int>(rows * depth, 0);
  std::vector<int> weights = std::vector<int>(cols * depth, 0);
  std::vector<std::int32_t> sums = std::vector<std::int32_t>(rows * cols, 0);

  void fill_at_random(unsigned seed) {
    std::mt19937 random(seed);
    for (int& code : activations) code = static_cast<lhs>(random() >> 13);
    for (int& code : weights) code = static_cast<std::int8_t>(random() >> 13);
    for (std::int32_t& sum : sums) sum = static_cast<std::int32_t>(random());
  }

  /// sums + (activations - lhs_offset) weights^T modulo 2^32.
  [[nodiscard]] std::vector<std::int32_t> expected() const {
    std::vector<std::int32_t> next;
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) {
        std::int64_t sum = sums[at(r, cols, c)];
        for (int d = 0; d < depth; ++d) {
          sum += std::int64_t{activations[at(r, depth, d)] - unit::lhs_offset} *
                 weights[at(c, depth, d)];
        }
        next.push_back(static_cast<std::int32_t>(static_cast<std::uint64_t>(sum) & 0xFFFFFFFFU));
      }
    }
    return next;
  }

  /// Operands are in vectors of exact size, so that a sanitizer reports reads past their end.
  [[nodiscard]] std::vector<std::int32_t> computed() const {
    std::vector<typename unit::lhs_code> codes(activations.size());
    for (std::size_t i = 0; i < codes.size(); ++i) {
      codes[tests::lhs_position<unit>(i)] =
          static_cast<typename unit::lhs_code>(activations[i] - unit::lhs_offset);
    }
    return dot(unit::load_lhs(codes.data()));
  }

  [[nodiscard]] std::vector<std::int32_t> dot(const typename unit::lhs_vector& left) const {
    std::vector<typename unit::rhs_code> codes;
    for (const int code : weights) {
      codes.push_back(static_cast<typename unit::rhs_code>(code));
    }
    const auto before = unit::accumulator::load(sums.data());
    const typename unit::accumulator after = unit::dot(before, left, unit::load_rhs(codes.data()));
    std::vector<std::int32_t> next(sums.size());
    after.store(next.data());
    return next;
  }

  static std::size_t at(int row, int width, int col) {
    return static_cast<std::size_t>(row * width + col);
  }
};

TYPED_TEST_SUITE(dot_unit_test, tests::kernels, tests::kernel_names);

TYPED_TEST(dot_unit_test, adds_products_of_random_codes) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    this->fill_at_random(seed);
    ASSERT_EQ(this->computed(), this->expected()) << "seed " << seed;
  }
}

/// No pair of products and no intermediate sum may saturate, and the last addition wraps.
TYPED_TEST(dot_unit_test, never_saturates_and_wraps_at_32_bits) {
  for (const int a : {TestFixture::lhs_min, 0, TestFixture::lhs_max}) {
    for (const int w : {-128, 127}) {
      for (const std::int32_t sum : {std::numeric_limits<std::int32_t>::min(), 0,
                                     std::numeric_limits<std::int32_t>::max()}) {
        std::fill(this->activations.begin(), this->activations.end(), a);
        std::fill(this->weights.begin(), this->weights.end(), w);
        std::fill(this->sums.begin(), this->sums.end(), sum);
        EXPECT_EQ(this->computed(), this->expected()) << a << " " << w << " " << sum;
      }
    }
  }
}

/// Sets one code at a time: an activation is multiplied by the weights of its depth only.
TYPED_TEST(dot_unit_test, pairs_codes_of_the_same_depth) {
  this->fill_at_random(1);
  for (std::size_t i = 0; i < this->activations.size(); ++i) {
    std::fill(this->activations.begin(), this->activations.end(), 0);
    this->activations[i] = TestFixture::lhs_max;
    EXPECT_EQ(this->computed(), this->expected()) << "activation " << i;
  }
}

/// Weights past the end of a row are stored as 0, as packing does.
TYPED_TEST(dot_unit_test, loads_the_tail_of_a_row) {
  using tested = typename TestFixture::unit;
  if constexpr (tested::in_place) {
    for (int count = 0; count <= tested::depth; ++count) {
      this->fill_at_random(static_cast<unsigned>(count));
      const std::vector<typename tested::lhs_code> codes(this->activations.begin(),
                                                         this->activations.begin() + count);
      const auto tail = tested::load_lhs_tail(codes.data(), count);
      std::fill(this->activations.begin() + count, this->activations.end(), 0);
      EXPECT_EQ(this->dot(tail), this->expected()) << count << ": activations of 0 count nothing";
      for (int c = 0; c < tested::cols; ++c) {
        for (int d = count; d < tested::depth; ++d) {
          this->weights[this->at(c, tested::depth, d)] = 0;
        }
      }
      EXPECT_EQ(this->dot(tail), this->expected()) << count << " codes";
    }
  }
}

}  // namespace arch_dot_unit_test
}  // namespace fewbit
