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

#if FEWBIT_HAS_AVX2

template <class Lhs>
class halves_test : public testing::Test {
 public:
  using unit = arch::avx2_half_codes<Lhs>;
  static constexpr int depth = unit::depth, cols = unit::cols, registers = 3;

  /// The sums of `steps` steps of one row, by a turn or step by step.
  static std::vector<std::int32_t> computed(const std::vector<Lhs>& a,
                                            const std::vector<std::int8_t>& w, std::int32_t start,
                                            bool as_turn) {
    const int steps = static_cast<int>(w.size()) / (registers * cols * depth);
    std::vector<std::uint16_t> codes(static_cast<std::size_t>(steps * depth));
    unit::copy_lhs(a.data(), static_cast<std::ptrdiff_t>(a.size()), unit::lhs_offset, codes.data());
    typename unit::accumulator sums[registers];
    for (auto& sum : sums) sum = typename unit::accumulator(start);
    if (as_turn) {
      unit::add_turn(sums, codes.data(), w.data());
    } else {
      for (int i = 0; i < steps * registers; ++i) {
        auto& sum = sums[i % registers];
        sum = unit::dot(sum, unit::load_lhs(codes.data() + i / registers * depth),
                        unit::load_rhs(w.data() + i * cols * depth));
      }
    }
    std::vector<std::int32_t> all(registers * cols);
    for (int j = 0; j < registers; ++j) sums[j].store(all.data() + j * cols);
    return all;
  }

  /// start + sums of (a - lhs_offset) w modulo 2^32. Missing activations are 0.
  static std::vector<std::int32_t> expected(const std::vector<Lhs>& a,
                                            const std::vector<std::int8_t>& w, std::int32_t start) {
    std::vector<std::int32_t> all;
    for (int c = 0; c < registers * cols; ++c) {
      std::int64_t sum = start;
      for (std::size_t k = 0; k < a.size(); ++k) {
        const std::size_t step = k / depth, d = k % depth;
        const std::size_t at = (step * registers * cols + static_cast<std::size_t>(c)) * depth + d;
        sum += std::int64_t{a[k] - unit::lhs_offset} * w[at];
      }
      all.push_back(static_cast<std::int32_t>(static_cast<std::uint64_t>(sum) & 0xFFFFFFFFU));
    }
    return all;
  }
};

using half_types = testing::Types<std::uint8_t, std::int8_t>;
TYPED_TEST_SUITE(halves_test, half_types);

/// Any activation by any weight in all places, where the sums in int16 are largest, and random
/// codes. The last addition wraps.
TYPED_TEST(halves_test, turns_and_steps_are_exact) {
  using fixture = TestFixture;
  constexpr int codes = fixture::unit::turn_steps * fixture::depth;
  std::mt19937 random(5);
  for (int trial = 0; trial < 600; ++trial) {
    std::vector<TypeParam> a(codes, static_cast<TypeParam>(trial));
    std::vector<std::int8_t> w(codes * fixture::registers * fixture::cols,
                               static_cast<std::int8_t>(trial % 2 == 0 ? -128 : 127));
    if (trial >= 512) {
      for (auto& code : a) code = static_cast<TypeParam>(random() >> 11);
      for (auto& code : w) code = static_cast<std::int8_t>(random() >> 11);
    }
    const std::int32_t start = trial % 3 == 0 ? std::numeric_limits<std::int32_t>::max() : trial;
    const auto exact = fixture::expected(a, w, start);
    ASSERT_EQ(fixture::computed(a, w, start, true), exact) << "turn, trial " << trial;
    ASSERT_EQ(fixture::computed(a, w, start, false), exact) << "steps, trial " << trial;
  }
}

/// A copy of any number of codes reads no byte behind them and adds zeros to whole steps.
TYPED_TEST(halves_test, copies_any_number_of_codes) {
  using fixture = TestFixture;
  std::mt19937 random(6);
  for (int count = 0; count <= 67; ++count) {
    std::vector<TypeParam> a(static_cast<std::size_t>(count));
    for (auto& code : a) code = static_cast<TypeParam>(random() >> 11);
    const int steps = (count + fixture::depth - 1) / fixture::depth;
    const std::vector<std::int8_t> w(
        static_cast<std::size_t>(steps * fixture::depth * fixture::registers * fixture::cols), 3);
    EXPECT_EQ(fixture::computed(a, w, 7, false), fixture::expected(a, w, 7)) << count << " codes";
  }
}

#endif

}  // namespace arch_dot_unit_test
}  // namespace fewbit
