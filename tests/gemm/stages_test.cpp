#include "fewbit/gemm/stages.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "fewbit/gemm/int8/multiply.hpp"
#include "support/codes.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace gemm_stages_test {

using gemm::at;

constexpr int columns = 37;  // not a multiple of any register width

/// The arrays that stages read: one value per column or row.
struct tables {
  std::vector<std::int32_t> ints, mantissas, exponents, row_ints;
  std::vector<float> factors, terms, row_factors;

  tables() {
    std::mt19937 random(7);
    for (int i = 0; i < columns; ++i) {
      ints.push_back(static_cast<std::int32_t>(random()));
      const fixed_multiplier m =
          quantize_multiplier(std::ldexp(1.0 + static_cast<double>(random() % 1000) / 1000.0,
                                         -static_cast<int>(random() % 14) - 1));
      mantissas.push_back(m.mantissa);
      exponents.push_back(m.exponent);
      factors.push_back(static_cast<float>(random() % 1000 + 1) / 64000.0F);
      terms.push_back(static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 7.0F);
      row_ints.push_back(static_cast<std::int32_t>(random() % 4000) - 2000);
      row_factors.push_back(static_cast<float>(random() % 1000 + 1) / 900.0F);
    }
  }
};

const tables& data() {
  static const tables t;
  return t;
}

std::vector<std::int32_t> sums() {
  std::vector<std::int32_t> values = {0,
                                      1,
                                      -1,
                                      127,
                                      128,
                                      -128,
                                      -129,
                                      1 << 24,
                                      (1 << 24) + 1,
                                      std::numeric_limits<std::int32_t>::max(),
                                      std::numeric_limits<std::int32_t>::min()};
  std::mt19937 random(3);
  while (values.size() < columns)
    values.push_back(static_cast<std::int32_t>(random()) >> (random() % 20));
  return values;
}

template <class T>
void expect_same_bits(T a, T b, int column) {
  if constexpr (sizeof(T) == 4) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(a), std::bit_cast<std::uint32_t>(b))
        << "column " << column;
  } else {
    EXPECT_EQ(a, b) << "column " << column;
  }
}

/// Compares the vector form with the scalar form, including vectors cut by the edge of C, and the
/// scalar form with `oracle(sum, row, col)`.
template <int Lanes, class S, class Oracle>
void check_width(const S& stage, const Oracle& oracle) {
  const auto values = sums();
  for (index row = 0; row < 3; ++row) {
    for (int first = 0; first < columns; first += Lanes) {
      const int valid = std::min(Lanes, columns - first);
      arch::vec<std::int32_t, Lanes> v(0);
      for (int i = 0; i < valid; ++i) v.set(i, values[static_cast<std::size_t>(first + i)]);
      const auto vector = stage(v, at{row, first, valid});
      for (int i = 0; i < valid; ++i) {
        const auto scalar = stage(v[i], at{row, first + i, 1});
        expect_same_bits(vector[i], scalar, first + i);
        expect_same_bits(
            scalar,
            oracle(v[i], static_cast<std::size_t>(row), static_cast<std::size_t>(first + i)),
            first + i);
      }
    }
  }
}

template <class S, class Oracle>
void check(const S& stage, const Oracle& oracle) {
  check_width<4>(stage, oracle);
  check_width<16>(stage, oracle);
  check_width<5>(stage, oracle);
}

std::int32_t wrap(std::int64_t v) {
  return static_cast<std::int32_t>(static_cast<std::uint64_t>(v) & 0xFFFFFFFFU);
}

TEST(stages, add_bias_wraps) {
  check(gemm::add_bias(data().ints.data()), [](std::int32_t v, std::size_t, std::size_t c) {
    return wrap(std::int64_t{v} + data().ints[c]);
  });
}

TEST(stages, subtract_outer_subtracts_row_times_column) {
  check(gemm::subtract_outer(data().row_ints.data(), data().ints.data()),
        [](std::int32_t v, std::size_t r, std::size_t c) {
          return wrap(std::int64_t{v} - std::int64_t{data().row_ints[r]} * data().ints[c]);
        });
}

TEST(stages, dequantize_per_row_and_column_with_bias) {
  check(gemm::to_float{} | gemm::scale_columns(data().factors.data()) |
            gemm::scale_rows(data().row_factors.data()) | gemm::add_columns(data().terms.data()),
        [](std::int32_t v, std::size_t r, std::size_t c) {
          // One rounding after each operation, in double: a float product is exact there.
          const auto by_column =
              static_cast<float>(double{static_cast<float>(v)} * data().factors[c]);
          const auto by_row = static_cast<float>(double{by_column} * data().row_factors[r]);
          return static_cast<float>(double{by_row} + data().terms[c]);
        });
  check(gemm::to_float{} | gemm::scale_by(0.3F), [](std::int32_t v, std::size_t, std::size_t) {
    return static_cast<float>(double{static_cast<float>(v)} * double{0.3F});
  });
}

TEST(stages, relu_and_clamp) {
  check(gemm::relu{}, [](std::int32_t v, std::size_t, std::size_t) { return v < 0 ? 0 : v; });
  check(gemm::clamp_to<std::int32_t>(-5, 1000), [](std::int32_t v, std::size_t, std::size_t) {
    return v < -5 ? -5 : v > 1000 ? 1000 : v;
  });
  EXPECT_EQ(std::bit_cast<std::uint32_t>(gemm::relu{}(-0.0F, at{0, 0, 1})), 0U);
  EXPECT_EQ(gemm::relu{}(std::numeric_limits<float>::quiet_NaN(), at{0, 0, 1}), 0.0F);
  EXPECT_EQ(gemm::clamp_to<float>(-1.0F, 6.0F)(std::numeric_limits<float>::infinity(), at{0, 0, 1}),
            6.0F);
}

TEST(stages, at_least_keeps_larger_values_and_nan) {
  const auto as_float = [](std::int32_t v) { return static_cast<float>(v); };
  check(gemm::to_float{} | gemm::at_least(-5.0F),
        [&](std::int32_t v, std::size_t, std::size_t) { return std::fmax(as_float(v), -5.0F); });
  check(gemm::to_float{} | gemm::at_least(-std::numeric_limits<float>::infinity()),
        [&](std::int32_t v, std::size_t, std::size_t) { return as_float(v); });
  const at where{0, 0, 1};
  EXPECT_TRUE(std::isnan(gemm::at_least(0.0F)(std::numeric_limits<float>::quiet_NaN(), where)));
  EXPECT_EQ(gemm::at_least(0.0F)(-std::numeric_limits<float>::infinity(), where), 0.0F);
}

TEST(stages, saturate_to_the_range_of_codes) {
  check(gemm::to_int8{}, [](std::int32_t v, std::size_t, std::size_t) {
    return static_cast<std::int8_t>(v < -128 ? -128 : v > 127 ? 127 : v);
  });
  check(gemm::to_uint8{}, [](std::int32_t v, std::size_t, std::size_t) {
    return static_cast<std::uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v);
  });
  for (const int zero : {-255, -128, 127, 255}) {
    check(gemm::to_int8{zero}, [&](std::int32_t v, std::size_t, std::size_t) {
      const std::int64_t code = std::int64_t{v} + zero;
      return static_cast<std::int8_t>(code < -128 ? -128 : code > 127 ? 127 : code);
    });
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(stages, errors_name_the_stage_of_the_program) {
  EXPECT_EQ(tests::sentence_of([] { return gemm::to_int8{300}; }),
            "fewbit: to_int8: zero_point is 300, expected -255 to 255");
  EXPECT_EQ(tests::sentence_of([] { return gemm::to_uint8{-999}; }),
            "fewbit: to_uint8: zero_point is -999, expected -255 to 255");
}
#endif

/// sum * mantissa * 2^(exponent - 31), rounded as in the single-rounding mode. It is exact:
/// exponents are at least -13, so all numbers fit 63 bits.
std::int32_t single_rounding(std::int32_t v, std::size_t c) {
  const int shift = 31 - data().exponents[c];
  const std::int64_t half = std::int64_t{1} << (shift - 1);
  return wrap((std::int64_t{v} * data().mantissas[c] + half) >> shift);
}

TEST(stages, requantize_in_the_integers_of_a_mode) {
  check(gemm::requantize<tflite_single>(data().mantissas.data(), data().exponents.data()) |
            gemm::to_int8{-3},
        [](std::int32_t v, std::size_t, std::size_t c) {
          const std::int64_t code = std::int64_t{single_rounding(v, c)} - 3;
          return static_cast<std::int8_t>(code < -128 ? -128 : code > 127 ? 127 : code);
        });
}

template <class Mode>
class fixed_modes_test : public testing::Test {};
using fixed_modes =
    testing::Types<tflite_double, tflite_double_neon, tflite_single, cmsis_default, xnn_rndnu>;
TYPED_TEST_SUITE(fixed_modes_test, fixed_modes);

/// Every integer mode is within one unit of the real product. core/fixed_point_test.cpp checks
/// their exact bits.
TYPED_TEST(fixed_modes_test, requantize_through_the_stage) {
  const gemm::requantize<TypeParam> stage(data().mantissas.data(), data().exponents.data());
  for (std::size_t c = 0; c < columns; ++c) {
    const double factor = std::ldexp(data().mantissas[c], data().exponents[c] - 31);
    for (const std::int32_t v : {-30000, -1234, -1, 0, 1, 999, 32767}) {
      const std::int32_t got = stage(v, at{0, static_cast<index>(c), 1});
      EXPECT_NEAR(got, v * factor, 1.0);
      EXPECT_EQ(got, TypeParam::apply(v, data().mantissas[c], data().exponents[c]));
    }
  }
}

TEST(stages, requantize_in_float_rounds_half_to_even) {
  check(gemm::requantize<xnn_fp32>(data().factors), [](std::int32_t v, std::size_t, std::size_t c) {
    const auto scaled = static_cast<float>(double{static_cast<float>(v)} * data().factors[c]);
    return static_cast<std::int32_t>(std::nearbyint(scaled));
  });
}

/// A sum times a factor may be outside int32 on both sides. The codes still saturate.
TEST(stages, requantize_in_float_saturates_to_int32) {
  const std::vector<float> large(columns, 255.0F), below_one(columns, 0.99F);
  for (const std::vector<float>& factors : {large, below_one}) {
    for (const int zero : {-128, 0, 127}) {
      check(gemm::add_bias(data().ints.data()) | gemm::requantize<xnn_fp32>(factors) |
                gemm::to_int8{zero},
            [&](std::int32_t v, std::size_t, std::size_t c) {
              const auto sum = static_cast<float>(wrap(std::int64_t{v} + data().ints[c]));
              const auto scaled = static_cast<float>(double{sum} * factors[c]);
              const double code = std::nearbyint(double{scaled}) + zero;
              return static_cast<std::int8_t>(std::fmin(std::fmax(code, -128.0), 127.0));
            });
    }
  }
}

/// A case in which XNNPACK and gemmlowp differ: -120 here, -119 with the integer modes.
TEST(stages, requantize_golden_of_the_float_mode) {
  const std::vector<float> factor = {.05296124517917633F * .024093778803944588F /
                                     .11484327912330627F};
  const at where{0, 0, 1};
  EXPECT_EQ((gemm::requantize<xnn_fp32>(factor) | gemm::to_int8{-126})(585, where), -120);
  const fixed_multiplier m = quantize_multiplier(double{factor[0]});
  EXPECT_EQ(
      (gemm::requantize<tflite_double>(&m.mantissa, &m.exponent) | gemm::to_int8{-126})(585, where),
      -119);
  EXPECT_EQ(
      (gemm::requantize<tflite_single>(&m.mantissa, &m.exponent) | gemm::to_int8{-126})(585, where),
      -119);
}

TEST(stages, requantize_by_a_power_of_two) {
  check(gemm::requantize<q7_pot>(7), [](std::int32_t v, std::size_t, std::size_t) {
    return static_cast<std::int32_t>((std::int64_t{v} + 64) >> 7);
  });
}

TEST(stages, to_codes_rounds_a_real_and_saturates) {
  check(gemm::to_float{} | gemm::scale_by(0.01F) | gemm::to_codes<std::uint8_t>(3.0F, 100),
        [](std::int32_t v, std::size_t, std::size_t) {
          const auto real = static_cast<float>(double{static_cast<float>(v)} * double{0.01F});
          const auto scaled = static_cast<float>(double{real} * 3.0);
          const double clamped = std::fmin(std::fmax(scaled, -100.0), 155.0);
          return static_cast<std::uint8_t>(std::nearbyint(clamped) + 100.0);
        });
}

TEST(stages, chain_from_left_to_right) {
  const std::int32_t bias = 10;
  EXPECT_EQ((gemm::add_bias(&bias) | gemm::relu{})(-4, at{0, 0, 1}), 6);
  EXPECT_EQ((gemm::relu{} | gemm::add_bias(&bias))(-4, at{0, 0, 1}), 10);
}

TEST(stages, are_epilogues_of_exactly_one_output) {
  static_assert(gemm::Epilogue<gemm::raw, std::int32_t>);
  static_assert(!gemm::Epilogue<gemm::raw, float>);
  static_assert(gemm::Epilogue<gemm::to_float, float>);
  static_assert(gemm::Epilogue<gemm::to_int8, std::int8_t>);
  static_assert(!gemm::Epilogue<gemm::to_int8, std::uint8_t>);
}

/// The whole computation on every arch: u8 activations with a zero point, per-channel factors, u8
/// codes as output.
TEST(stages, requantize_a_product_on_every_arch) {
  const index m = 7, n = columns, k = 33;
  const auto a = tests::random_codes<std::uint8_t>(m, k, 1);
  const auto w = tests::random_codes<std::int8_t>(n, k, 2);
  const int zero = 131;
  row_matrix<std::uint8_t> expected(m, n);
  const auto product = tests::wide_product(a, w);
  std::vector<std::int32_t> bias(static_cast<std::size_t>(n));
  for (index j = 0; j < n; ++j)
    bias[static_cast<std::size_t>(j)] = -zero * w.row(j).cast<int>().sum();
  for (index i = 0; i < m; ++i) {
    for (index j = 0; j < n; ++j) {
      const auto c = static_cast<std::size_t>(j);
      const std::int64_t code = std::int64_t{single_rounding(wrap(product(i, j) + bias[c]), c)} + 9;
      expected(i, j) = static_cast<std::uint8_t>(code < 0 ? 0 : code > 255 ? 255 : code);
    }
  }
  arch::compiled::for_each([&]<class Arch>() {
    row_matrix<std::uint8_t> c(m, n);
    gemm::multiply(
        a, gemm::pack_int8<std::uint8_t, Arch>(w), c,
        gemm::add_bias(bias.data()) |
            gemm::requantize<tflite_single>(data().mantissas.data(), data().exponents.data()) |
            gemm::to_uint8{9});
    EXPECT_EQ(c, expected) << Arch::name;
  });
}

}  // namespace gemm_stages_test
}  // namespace fewbit
