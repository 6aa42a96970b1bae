#include "fewbit/core/fixed_functions.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "safetensors.hpp"
#include "support/data.hpp"

namespace fewbit { namespace core_fixed_functions_test {

using i16 = std::int16_t;
using i32 = std::int32_t;

examples::safetensors tables() {
  return examples::read_safetensors(
      (tests::data_dir() / "fixedpoint" / "gemmlowp_tables.safetensors").string());
}

/// Number of results that differ, for single numbers and for vectors of 8.
template <class T, class F>
int differences(std::span<const T> x, std::span<const T> expected, const F& f) {
  int wrong = x.size() == expected.size() ? 0 : 1;
  for (std::size_t i = 0; i < x.size(); ++i) wrong += f(x[i]) != expected[i] ? 1 : 0;
  using vec = arch::vec<T, 8>;
  for (std::size_t i = 0; i + 8 <= x.size(); i += 8) {
    const vec got = f(vec::load(x.data() + i));
    for (int j = 0; j < 8; ++j)
      wrong += got[j] != expected[i + static_cast<std::size_t>(j)] ? 1 : 0;
  }
  return wrong;
}

template <int K, class T>
void expect_tables(const examples::safetensors& t, const std::string& type, std::span<const T> x) {
  const std::string end = "_" + type + "_q" + std::to_string(K);
  EXPECT_EQ(
      differences<T>(x, t["logistic" + end].as<T>(), [](auto v) { return fixed_logistic<K>(v); }),
      0)
      << end;
  EXPECT_EQ(differences<T>(x, t["tanh" + end].as<T>(), [](auto v) { return fixed_tanh<K>(v); }), 0)
      << end;
}

TEST(core_fixed_functions, of_16_bits_equal_gemmlowp) {
  FEWBIT_SKIP_WITHOUT_DATA("fixedpoint/gemmlowp_tables.safetensors");
  const auto t = tables();
  std::vector<i16> all, negative;
  for (int x = -32768; x < 32768; ++x) {
    all.push_back(static_cast<i16>(x));
    if (x <= 0) negative.push_back(static_cast<i16>(x));
  }
  expect_tables<0, i16>(t, "i16", all);
  expect_tables<3, i16>(t, "i16", all);
  expect_tables<5, i16>(t, "i16", all);
  EXPECT_EQ(differences<i16>(negative, t["exp_neg_i16_q3"].as<i16>(),
                             [](auto v) { return fixed_exp_of_negative<3>(v); }),
            0);
  EXPECT_EQ(differences<i16>(negative, t["exp_neg_i16_q5"].as<i16>(),
                             [](auto v) { return fixed_exp_of_negative<5>(v); }),
            0);
}

TEST(core_fixed_functions, of_32_bits_equal_gemmlowp) {
  FEWBIT_SKIP_WITHOUT_DATA("fixedpoint/gemmlowp_tables.safetensors");
  const auto t = tables();
  const auto x = t["x_i32"].as<i32>();
  expect_tables<4, i32>(t, "i32", x);
  expect_tables<5, i32>(t, "i32", x);
  std::vector<i32> negative;
  for (const i32 v : x) negative.push_back(v > 0 ? -v : v);
  EXPECT_EQ(differences<i32>(negative, t["exp_neg_of_minus_abs_i32_q4"].as<i32>(),
                             [](auto v) { return fixed_exp_of_negative<4>(v); }),
            0);
  EXPECT_EQ(differences<i32>(negative, t["exp_neg_of_minus_abs_i32_q5"].as<i32>(),
                             [](auto v) { return fixed_exp_of_negative<5>(v); }),
            0);
  EXPECT_EQ(differences<i32>(t["x_unit_i32"].as<i32>(), t["one_over_one_plus_x_i32"].as<i32>(),
                             [](auto v) { return fixed_one_over_one_plus(v); }),
            0);
}

TEST(core_fixed_functions, are_close_to_real_functions) {
  for (i32 x = 0; x > -(1 << 30); x -= 1234567) {
    const double real = x / 0x1p26;  // Q5
    EXPECT_NEAR(fixed_exp_of_negative<5>(x) / 0x1p31, std::exp(real), 2e-7);
    EXPECT_NEAR(fixed_tanh<5>(x) / 0x1p31, std::tanh(real), 1e-6);
    EXPECT_NEAR(fixed_logistic<5>(-x) / 0x1p31, 1 / (1 + std::exp(real)), 1e-6);
    EXPECT_NEAR(fixed_one_over_one_plus(-x) / 0x1p31, 1 / (1 - x / 0x1p31), 1e-6);
  }
}

}}  // namespace fewbit::core_fixed_functions_test
