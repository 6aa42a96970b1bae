#include "fewbit/arch/stored_unit.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "support/archs.hpp"

namespace fewbit { namespace arch_stored_unit_test {

/// A chunk for R rows, as defined in arch/stored_unit.hpp: activations as [row][k], weights as
/// [column][k].
template <class Unit, int Bits, int R>
struct chunk_of {
  static constexpr int bits = Bits;
  static constexpr auto cols = static_cast<std::size_t>(Unit::cols);
  static constexpr std::size_t steps = Bits == 8 ? 1 : Bits == 4 ? 2 : Bits == 2 ? 4 : 8;
  static constexpr std::size_t depth = 4 * steps;
  static constexpr int codes = 1 << Bits;

  std::vector<int> activations = std::vector<int>(R * depth, 0);
  std::vector<int> weights = std::vector<int>(cols * depth, 0);
  std::vector<std::int32_t> sums = std::vector<std::int32_t>(R * cols, 0);

  void fill_at_random(unsigned seed) {
    std::mt19937 random(seed);
    for (int& a : activations) a = static_cast<int>((random() >> 8) % 255) - 127;
    for (int& w : weights) w = static_cast<int>((random() >> 8) % codes);
    for (std::int32_t& sum : sums) sum = static_cast<std::int32_t>(random());
  }

  void fill(int a, int w, std::int32_t sum) {
    std::fill(activations.begin(), activations.end(), a);
    std::fill(weights.begin(), weights.end(), w);
    std::fill(sums.begin(), sums.end(), sum);
  }

  /// sums + activations (values - offset)^T modulo 2^32.
  [[nodiscard]] std::vector<std::int32_t> expected() const {
    std::vector<std::int32_t> next;
    for (std::size_t r = 0; r < R; ++r) {
      for (std::size_t c = 0; c < cols; ++c) {
        std::int64_t sum = sums[r * cols + c];
        for (std::size_t k = 0; k < depth; ++k) {
          const int value = weights[c * depth + k] * (Bits == 1 ? 2 : 1);
          sum += std::int64_t{activations[r * depth + k]} * (value - Unit::offset);
        }
        next.push_back(static_cast<std::int32_t>(static_cast<std::uint64_t>(sum) & 0xFFFFFFFFU));
      }
    }
    return next;
  }

  /// Operands are in vectors of exact size, so that a sanitizer reports reads past their end.
  [[nodiscard]] std::vector<std::int32_t> computed() const {
    std::vector<std::int8_t> a(R * depth);
    for (std::size_t r = 0; r < R; ++r) {
      for (std::size_t k = 0; k < depth; ++k)
        a[(k / 4 * R + r) * 4 + k % 4] = static_cast<std::int8_t>(activations[r * depth + k]);
    }
    const std::vector<std::uint8_t> bytes = stored();
    typename Unit::accumulator totals[R];
    for (std::size_t r = 0; r < R; ++r) totals[r] = Unit::accumulator::load(sums.data() + r * cols);
    Unit::add_chunk(totals, a.data(), bytes.data());
    std::vector<std::int32_t> next(R * cols);
    for (std::size_t r = 0; r < R; ++r) totals[r].store(next.data() + r * cols);
    return next;
  }

 private:
  /// Writes codes bit by bit to their positions.
  [[nodiscard]] std::vector<std::uint8_t> stored() const {
    std::vector<std::uint8_t> bytes(cols * depth * Bits / 8, 0);
    const std::size_t size = 4 * cols;
    for (std::size_t c = 0; c < cols; ++c) {
      for (std::size_t k = 0; k < depth; ++k) {
        const int code = weights[c * depth + k] - Unit::offset;
        const std::size_t step = k / 4, at = c * 4 + k % 4;
        for (std::size_t b = 0; b < Bits; ++b) {
          if ((code >> b & 1) == 0) continue;
          std::size_t byte = at, bit = step * Bits + b;
          if (Bits == 3) {
            byte += (b == 2 ? 2 : step / 4) * size;
            bit = b == 2 ? step : step % 4 * 2 + b;
          }
          bytes[byte] = static_cast<std::uint8_t>(bytes[byte] | 1 << bit);
        }
      }
    }
    return bytes;
  }
};

/// Calls f.operator()<chunk_of<...>>() for all widths of every arch, one row and all rows.
template <class F>
void for_each_unit(const F& f) {
  tests::archs_here::for_each([&]<class Arch>() {
    const auto with_bits = [&]<int Bits>() {
      using unit = arch::stored_unit<Arch, Bits>;
      SCOPED_TRACE(testing::Message() << Arch::name << " bits=" << Bits);
      f.template operator()<chunk_of<unit, Bits, 1>>();
      f.template operator()<chunk_of<unit, Bits, unit::rows>>();
    };
    with_bits.template operator()<1>();
    with_bits.template operator()<2>();
    with_bits.template operator()<3>();
    with_bits.template operator()<4>();
    with_bits.template operator()<8>();
  });
}

TEST(stored_unit, adds_products_of_random_codes) {
  for_each_unit([]<class Chunk>() {
    Chunk chunk;
    for (unsigned seed = 0; seed < 100; ++seed) {
      chunk.fill_at_random(seed);
      ASSERT_EQ(chunk.computed(), chunk.expected()) << "seed " << seed;
    }
  });
}

TEST(stored_unit, is_exact_for_every_code) {
  for_each_unit([]<class Chunk>() {
    Chunk chunk;
    for (int w = 0; w < Chunk::codes; ++w) {
      for (const int a : {-127, -126, -1, 0, 1, 64, 127}) {
        chunk.fill(a, w, 0);
        ASSERT_EQ(chunk.computed(), chunk.expected()) << a << " " << w;
      }
    }
  });
}

/// No intermediate sum may saturate, and the last addition wraps.
TEST(stored_unit, never_saturates_and_wraps_at_32_bits) {
  for_each_unit([]<class Chunk>() {
    Chunk chunk;
    for (const int a : {-127, 0, 127}) {
      for (const int w : {0, 1, Chunk::codes - 1}) {
        for (const std::int32_t sum : {std::numeric_limits<std::int32_t>::min(), 0,
                                       std::numeric_limits<std::int32_t>::max()}) {
          chunk.fill(a, w, sum);
          EXPECT_EQ(chunk.computed(), chunk.expected()) << a << " " << w << " " << sum;
        }
      }
    }
  });
}

/// Sets one depth at a time, with every code: an activation is multiplied by the weights of its
/// depth only.
TEST(stored_unit, pairs_codes_of_the_same_depth) {
  for_each_unit([]<class Chunk>() {
    Chunk chunk;
    for (std::size_t k = 0; k < Chunk::depth; ++k) {
      chunk.fill_at_random(static_cast<unsigned>(k));
      std::fill(chunk.activations.begin(), chunk.activations.end(), 0);
      for (std::size_t i = k; i < chunk.activations.size(); i += Chunk::depth)
        chunk.activations[i] = 127;
      for (int w = 0; w < Chunk::codes; ++w) {
        for (std::size_t i = k; i < chunk.weights.size(); i += Chunk::depth) chunk.weights[i] = w;
        ASSERT_EQ(chunk.computed(), chunk.expected()) << "depth " << k << " code " << w;
      }
    }
  });
}

#if FEWBIT_HAS_AVX2

template <class Bits>
class chunks_together_test : public testing::Test {};
using bits_of_several_chunks =
    testing::Types<std::integral_constant<int, 4>, std::integral_constant<int, 2>>;
TYPED_TEST_SUITE(chunks_together_test, bits_of_several_chunks);

/// The sums of several chunks equal sums in 64 bits, with random codes and with the largest ones.
TYPED_TEST(chunks_together_test, add_all_chunks_exactly) {
  constexpr int bits = TypeParam::value;
  using unit = arch::stored_unit<arch::avx2, bits>;
  constexpr int n = unit::chunks_together, rows = unit::rows, cols = unit::cols;
  constexpr int steps = n * arch::stored_layout<bits>::steps;
  std::mt19937 random(3);
  for (int trial = 0; trial < 100; ++trial) {
    std::vector<std::int8_t> a(steps * rows * 4, static_cast<std::int8_t>(trial % 2 ? 127 : -127));
    std::vector<std::uint8_t> w(n * cols * 4, 255);
    if (trial >= 2) {
      for (auto& code : a) code = static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
      for (auto& byte : w) byte = static_cast<std::uint8_t>(random() >> 9);
    }
    typename unit::accumulator sums[rows];
    for (auto& sum : sums) sum = typename unit::accumulator(trial);
    unit::template add_chunks<n>(sums, a.data(), w.data());
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) {
        std::int64_t sum = trial;
        for (int k = 0; k < steps * 4; ++k) {
          const int step = k / 4, at = step * bits / 8 * cols * 4 + c * 4 + k % 4;
          const int shift = step % (8 / bits) * bits;
          sum += std::int64_t{a[static_cast<std::size_t>((step * rows + r) * 4 + k % 4)]} *
                 (w[static_cast<std::size_t>(at)] >> shift & ((1 << bits) - 1));
        }
        ASSERT_EQ(sums[r][c], sum) << "row " << r << " column " << c << " trial " << trial;
      }
    }
  }
}

#endif

}  // namespace arch_stored_unit_test
}  // namespace fewbit
