#pragma once
/// Data and checks for all tests of calib/. They do not use the code under test.

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "support/samples.hpp"
#include "support/sentence.hpp"

namespace fewbit::tests {

using matrix = row_matrix<float>;

inline matrix row_of(const std::vector<float>& values) {
  return Eigen::Map<const matrix>(values.data(), 1, static_cast<fewbit::index>(values.size()));
}

inline constexpr int population = 100000;

inline const std::vector<float>& gaussian() {
  static const std::vector<float> values = normal_quantiles(population);
  return values;
}

// laplacian() and uniform() call named functions instead of lambdas. A lambda is implicitly
// constexpr, and a compiler tries to evaluate it at compile time.
inline std::vector<float> laplacian_quantiles(int n) {
  std::vector<float> values;
  for (int i = 0; i < n; ++i) {
    const double p = (i + 0.5) / n;
    values.push_back(static_cast<float>(p < 0.5 ? std::log(2 * p) : -std::log(2 * (1 - p))));
  }
  return values;
}

inline std::vector<float> uniform_quantiles(int n) {
  std::vector<float> values;
  for (int i = 0; i < n; ++i)
    values.push_back((static_cast<float>(i) + 0.5F) / static_cast<float>(n));
  return values;
}

inline const std::vector<float>& laplacian() {
  static const std::vector<float> values = laplacian_quantiles(population);
  return values;
}

inline const std::vector<float>& uniform() {
  static const std::vector<float> values = uniform_quantiles(population);
  return values;
}

inline std::vector<float> magnitudes(std::vector<float> values) {
  for (float& v : values) v = std::abs(v);
  return values;
}

inline std::vector<float> with_outlier(std::vector<float> values, float outlier) {
  values.push_back(outlier);
  return values;
}

/// Positive and negative values over `octaves` powers of two, with zeros of both signs.
inline std::vector<float> wild_values(std::size_t n, int octaves, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> values;
  while (values.size() < n) {
    const auto bits = random();
    const float mantissa = 1.0F + static_cast<float>(bits & 0xFFFFU) / 65536.0F;
    const int exponent = static_cast<int>((bits >> 16U) & 0xFFU) * octaves / 256 - octaves / 2;
    const float magnitude = std::ldexp(mantissa, exponent);
    const float value = (bits >> 24U) % 16 == 0 ? 0.0F : magnitude;
    values.push_back((bits >> 31U) != 0 ? -value : value);
  }
  return values;
}

/// Runs f and expects an error with exactly this sentence. Without exceptions it does not run f.
template <class F>
void expect_error([[maybe_unused]] F&& f, [[maybe_unused]] const std::string& sentence) {
#if FEWBIT_HAS_EXCEPTIONS
  EXPECT_EQ(sentence_of(f), sentence);
#endif
}

/// Two copies of `fresh` observe parts of the values, in another order, and are merged in both
/// directions. Both results must equal a copy that observes all values at once.
template <class O>
void expect_order_batches_and_merging_do_not_matter(const O& fresh,
                                                    const std::vector<float>& values) {
  O whole = fresh;
  whole.observe(row_of(values));
  const auto first_cut = values.begin() + static_cast<std::ptrdiff_t>(values.size() * 2 / 5);
  const auto second_cut = values.begin() + static_cast<std::ptrdiff_t>(values.size() * 7 / 10);
  O left = fresh;
  left.observe(row_of({values.begin(), first_cut}));
  O right = fresh;
  right.observe(row_of({second_cut, values.end()}));
  right.observe(row_of({first_cut, second_cut}));
  O both = left;
  both.merge(right);
  right.merge(left);
  EXPECT_EQ(both, whole);
  EXPECT_EQ(right, whole);
  EXPECT_EQ(both.range(), whole.range());
  EXPECT_EQ(both.to_text(), whole.to_text());
}

/// Calls `parse` with `text`, with every prefix and suffix of it, and with many mutations. Each
/// call must return an object with exactly this text form, or throw fewbit::error.
template <class Parse>
void expect_survives_hostile_text([[maybe_unused]] const std::string& text,
                                  [[maybe_unused]] Parse&& parse) {
#if FEWBIT_HAS_EXCEPTIONS
  const auto attempt = [&](const std::string& hostile) {
    try {
      EXPECT_EQ(parse(hostile).to_text(), hostile);
    } catch (const fewbit::error& e) {
      EXPECT_EQ(std::string(e.what()).rfind("fewbit: ", 0), 0U) << e.what();
    }
  };
  attempt(text);
  for (std::size_t n = 0; n < text.size(); ++n) attempt(text.substr(0, n));
  for (std::size_t n = 0; n < text.size(); ++n) attempt(text.substr(n));
  std::mt19937 random(7);
  const std::string alphabet = "0123456789abcdef-+ \n\0x\xff";
  for (int i = 0; i < 20000; ++i) {
    std::string hostile = text;
    for (auto changes = random() % 3; changes <= 2; ++changes) {
      const std::size_t at = random() % hostile.size();
      const char c = alphabet[random() % alphabet.size()];
      switch (random() % 4) {
        case 0:
          hostile[at] = c;
          break;
        case 1:
          hostile.insert(at, 1, c);
          break;
        case 2:
          hostile.erase(at, 1);
          break;
        default:
          hostile.insert(at, hostile.substr(random() % hostile.size(), random() % 30));
      }
      if (hostile.empty()) break;
    }
    attempt(hostile);
  }
#endif
}

}  // namespace fewbit::tests
