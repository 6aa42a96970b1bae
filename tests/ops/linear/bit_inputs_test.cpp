#include "fewbit/ops/linear/bit_inputs.hpp"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "quant/reference.hpp"

namespace fewbit { namespace ops_linear_bit_inputs_test {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

template <class Inputs>
struct encoded {
  std::vector<int> codes;
  float scale;
};

/// One code more than the row has, to see that it stays.
template <class Inputs>
encoded<Inputs> encode(const std::vector<float>& x) {
  std::vector<typename Inputs::code> codes(x.size() + 1, 111);
  const auto n = static_cast<index>(x.size());
  const detail::row_encoder<Inputs> encoder(x.data(), n);
  encoder(0, n, codes.data());
  EXPECT_EQ(codes.back(), 111);
  codes.pop_back();
  return {{codes.begin(), codes.end()}, encoder.scale()};
}

/// Values of both signs, zeros and all that is not finite, in an order that moves them through the
/// lanes of any register.
std::vector<float> mixed(std::size_t n, unsigned seed) {
  const std::vector<float> special = {nan, -nan, infinity, -infinity, 0.0F, -0.0F, 1e-44F, -1e-44F};
  std::mt19937 random(seed);
  std::vector<float> values;
  while (values.size() < n) {
    const auto draw = random();
    values.push_back(draw % 4 == 0
                         ? special[draw / 4 % special.size()]
                         : static_cast<float>(static_cast<int>(random() % 40001) - 20000) / 157.0F);
  }
  return values;
}

bool is_number(float x) { return std::fabs(x) <= FLT_MAX; }

/// The mean of the numbers above a threshold in 16 parts; over `count` of them.
double sum_of(const std::vector<float>& x, double threshold) {
  double parts[16] = {}, total = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (is_number(x[i]) && double{std::fabs(x[i])} > threshold)
      parts[i % 16] += double{std::fabs(x[i])};
  }
  for (const double part : parts) total += part;
  return total;
}

TEST(binary_inputs, are_signs_and_the_mean_magnitude) {
  for (std::size_t n = 1; n <= 70; ++n) {
    const std::vector<float> x = mixed(n, static_cast<unsigned>(n));
    const auto row = encode<binary_inputs>(x);
    EXPECT_EQ(row.scale, static_cast<float>(sum_of(x, 0.0) / static_cast<double>(n))) << n;
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(row.codes[i], x[i] < 0.0F ? -1 : 1) << x[i];
  }
}

TEST(ternary_inputs, are_signs_above_a_threshold_with_the_mean_as_scale) {
  for (std::size_t n = 1; n <= 70; ++n) {
    const std::vector<float> x = mixed(n, static_cast<unsigned>(n) + 100);
    const auto row = encode<ternary_inputs>(x);
    const double delta = 0.7 * (sum_of(x, 0.0) / static_cast<double>(n));
    int count = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const bool kept = double{std::fabs(x[i])} > delta;
      EXPECT_EQ(row.codes[i], !kept ? 0 : x[i] < 0.0F ? -1 : 1) << x[i];
      count += kept && is_number(x[i]) ? 1 : 0;
    }
    EXPECT_EQ(row.scale, count == 0 ? 0.0F : static_cast<float>(sum_of(x, delta) / count)) << n;
  }
}

template <int Bits, bool Signed>
void expect_steps(int largest) {
  for (std::size_t n = 1; n <= 40; ++n) {
    const std::vector<float> x = mixed(n, static_cast<unsigned>(n) + 200);
    const auto row = encode<few_bit_inputs<Bits, Signed>>(x);
    float most = 0.0F;
    for (const float v : x) {
      if (is_number(v)) most = std::fmax(most, Signed ? std::fabs(v) : v);
    }
    const float step = std::fmax(most / static_cast<float>(largest), FLT_MIN);
    EXPECT_EQ(row.scale, most == 0.0F ? 1.0F : step) << Bits << " bits, " << n;
    for (std::size_t i = 0; i < n; ++i) {
      volatile float quotient = x[i] * (1.0F / row.scale);
      const double code = x[i] != x[i] ? 0.0 : std::nearbyint(double{quotient});
      EXPECT_EQ(row.codes[i], std::fmin(std::fmax(code, Signed ? -largest : 0), largest)) << x[i];
    }
  }
}

TEST(few_bit_inputs, are_multiples_of_their_scale) {
  expect_steps<2, true>(1);
  expect_steps<3, true>(3);
  expect_steps<4, true>(7);
  expect_steps<8, true>(127);
  expect_steps<1, false>(1);
  expect_steps<2, false>(3);
  expect_steps<4, false>(15);
  expect_steps<8, false>(255);
}

TEST(bit_activations, of_zeros_do_not_change_sums) {
  const std::vector<float> zeros(20, -0.0F);
  EXPECT_EQ(encode<binary_inputs>(zeros).scale, 0.0F);
  EXPECT_EQ(encode<binary_inputs>(zeros).codes, std::vector<int>(20, 1));
  EXPECT_EQ(encode<ternary_inputs>(zeros).scale, 0.0F);
  EXPECT_EQ(encode<ternary_inputs>(zeros).codes, std::vector<int>(20, 0));
  EXPECT_EQ(encode<few_bit_inputs<2>>(zeros).scale, 1.0F);
  EXPECT_EQ(encode<few_bit_inputs<2>>(zeros).codes, std::vector<int>(20, 0));
}

/// |x - scale code|^2 / |x|^2.
template <class Inputs>
double relative_error(const std::vector<float>& x) {
  const auto row = encode<Inputs>(x);
  double error = 0.0, size = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double left = double{x[i]} - double{row.scale} * row.codes[i];
    error += left * left;
    size += double{x[i]} * double{x[i]};
  }
  return error / size;
}

std::vector<float> values_of(const row_matrix<float>& sample) {
  return {sample.data(), sample.data() + sample.size()};
}

/// XNOR-Net: 1 - (sum|x|)^2 / (n sum x^2), whatever x is.
TEST(binary_inputs, have_the_error_of_their_formula) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const std::vector<float> x = values_of(tests::noise_matrix(1, 100 + seed, seed));
    double sum = 0.0, squares = 0.0;
    for (const float v : x) {
      sum += std::fabs(double{v});
      squares += double{v} * double{v};
    }
    const double n = static_cast<double>(x.size());
    EXPECT_NEAR(relative_error<binary_inputs>(x), 1.0 - sum * sum / (n * squares), 1e-7) << seed;
  }
  const std::vector<float> gauss = values_of(tests::normal_sample(100000));
  EXPECT_NEAR(relative_error<binary_inputs>(gauss), 0.36338, 1e-4);
}

TEST(ternary_inputs, have_the_published_error) {
  const std::vector<float> gauss = values_of(tests::normal_sample(100000));
  EXPECT_NEAR(relative_error<ternary_inputs>(gauss), 0.19162, 1e-4);
  const std::vector<float> flat = values_of(tests::uniform_sample(100000));
  EXPECT_NEAR(relative_error<ternary_inputs>(flat), 0.1115, 1e-4);
}

}  // namespace ops_linear_bit_inputs_test
}  // namespace fewbit
