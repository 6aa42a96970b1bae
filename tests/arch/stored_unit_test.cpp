#include "fewbit/arch/stored_unit.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "fewbit/arch/all.hpp"

namespace fewbit {
namespace {

/// Two steps as arch/stored_unit.hpp describes them: eight activations, [column][eight] weights.
template <class Unit, int Bits>
struct two_steps_of {
  static constexpr auto cols = static_cast<std::size_t>(Unit::cols);
  static constexpr int largest = (1 << Bits) - 1;

  std::array<int, 8> activations{};
  std::vector<int> weights = std::vector<int>(cols * 8, 0);
  std::vector<std::int32_t> sums = std::vector<std::int32_t>(cols, 0);

  void fill_at_random(unsigned seed) {
    std::mt19937 random(seed);
    for (int& a : activations) a = static_cast<int>((random() >> 8) % 255) - 127;
    for (int& w : weights) w = static_cast<int>((random() >> 8) % (largest + 1));
    for (std::int32_t& sum : sums) sum = static_cast<std::int32_t>(random());
  }

  void fill(int a, int w, std::int32_t sum) {
    activations.fill(a);
    std::fill(weights.begin(), weights.end(), w);
    std::fill(sums.begin(), sums.end(), sum);
  }

  /// sums + activations (weights - offset)^T modulo 2^32.
  [[nodiscard]] std::vector<std::int32_t> expected() const {
    std::vector<std::int32_t> next;
    for (std::size_t c = 0; c < cols; ++c) {
      std::int64_t sum = sums[c];
      for (std::size_t d = 0; d < 8; ++d)
        sum += std::int64_t{activations[d]} * (weights[c * 8 + d] - Unit::offset);
      next.push_back(static_cast<std::int32_t>(static_cast<std::uint64_t>(sum) & 0xFFFFFFFFU));
    }
    return next;
  }

  /// Operands stand in vectors of exact size, so that a sanitizer sees what is read beyond them.
  [[nodiscard]] std::vector<std::int32_t> computed() const {
    const std::vector<std::int8_t> a(activations.begin(), activations.end());
    std::vector<std::uint8_t> bytes(cols * Bits, 0);
    for (std::size_t c = 0; c < cols; ++c) {
      for (std::size_t d = 0; d < 8; ++d) {
        const int w = weights[c * 8 + d];
        const std::size_t at = c * 4 + d % 4;
        if (Bits == 8) {
          bytes[at + d / 4 * 4 * cols] = static_cast<std::uint8_t>(w - Unit::offset);
        } else {
          bytes[at] = static_cast<std::uint8_t>(bytes[at] + (d < 4 ? w : 16 * w));
        }
      }
    }
    const auto before = Unit::accumulator::load(sums.data());
    const typename Unit::accumulator after =
        Unit::dot(before, a.data(), a.data() + 4, Unit::load(bytes.data()));
    std::vector<std::int32_t> next(cols);
    after.store(next.data());
    return next;
  }
};

/// Calls f.operator()<two_steps_of<...>>() for both widths of every arch.
template <class F>
void for_each_unit(const F& f) {
  arch::compiled::for_each([&]<class Arch>() {
    SCOPED_TRACE(Arch::name);
    f.template operator()<two_steps_of<arch::stored_unit<Arch, 4>, 4>>();
    f.template operator()<two_steps_of<arch::stored_unit<Arch, 8>, 8>>();
  });
}

TEST(stored_unit, adds_products_of_random_codes) {
  for_each_unit([]<class Steps>() {
    Steps steps;
    for (unsigned seed = 0; seed < 200; ++seed) {
      steps.fill_at_random(seed);
      ASSERT_EQ(steps.computed(), steps.expected()) << "seed " << seed;
    }
  });
}

/// No sum on the way may saturate, and the last addition wraps.
TEST(stored_unit, neither_saturates_nor_stops_at_the_ends_of_int32) {
  for_each_unit([]<class Steps>() {
    Steps steps;
    for (const int a : {-127, 0, 127}) {
      for (const int w : {0, 1, Steps::largest}) {
        for (const std::int32_t sum : {std::numeric_limits<std::int32_t>::min(), 0,
                                       std::numeric_limits<std::int32_t>::max()}) {
          steps.fill(a, w, sum);
          EXPECT_EQ(steps.computed(), steps.expected()) << a << " " << w << " " << sum;
        }
      }
    }
  });
}

/// One code after the other alone: each activation meets each weight of its depth and no other.
TEST(stored_unit, pairs_codes_of_the_same_depth) {
  for_each_unit([]<class Steps>() {
    Steps steps;
    steps.fill_at_random(1);
    for (std::size_t d = 0; d < 8; ++d) {
      steps.activations.fill(0);
      steps.activations[d] = 127;
      EXPECT_EQ(steps.computed(), steps.expected()) << "activation " << d;
    }
  });
}

}  // namespace
}  // namespace fewbit
