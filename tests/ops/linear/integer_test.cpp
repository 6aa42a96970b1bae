#include "fewbit/ops/linear/integer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "support/archs.hpp"
#include "support/plain_conv.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_linear_integer_test {

using tests::random_codes_of;
#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;
#endif

template <class Arch>
class integer_linear_test : public testing::Test {};
TYPED_TEST_SUITE(integer_linear_test, tests::archs, tests::arch_names);

/// m x k codes by n x k weights, every output computed in int64.
template <class S, class Code, class Arch>
void expect_layer(index m, index n, index k, int x_zero, const std::vector<int>& zeros) {
  using weight = typename S::code;
  SCOPED_TRACE(testing::Message() << "m=" << m << " n=" << n << " k=" << k);
  const auto x =
      random_codes_of<Code>(static_cast<std::size_t>(m * k), 1, std::numeric_limits<Code>::min(),
                            std::numeric_limits<Code>::max());
  const auto w =
      random_codes_of<weight>(static_cast<std::size_t>(n * k), 2, S::code_min, S::code_max);
  const Eigen::Map<const row_matrix<weight>> codes(w.data(), n, k);
  const std::vector<float> scales(static_cast<std::size_t>(n), 1.0F);
  std::vector<weight> zero_codes;
  if (S::is_affine) {
    for (index j = 0; j < n; ++j)
      zero_codes.push_back(static_cast<weight>(zeros[static_cast<std::size_t>(j) % zeros.size()]));
  }
  const quantized_matrix<S> weights = [&] {
    if constexpr (S::is_affine) {
      return quantized_matrix<S>(codes, scales, zero_codes);
    } else {
      return quantized_matrix<S>(codes, scales);
    }
  }();
  std::vector<std::int32_t> bias;
  for (index j = 0; j < n; ++j) bias.push_back(static_cast<std::int32_t>(100 * j));
  linear<S, integer_only<Code, Code, tflite_single>, Arch> layer(
      weights, bias, quant_params{1.0F, x_zero}, {{std::ldexp(1.0F, 8), 11}, {1, 90}});
  row_matrix<Code> expected(m, n), y(m, n);
  for (index i = 0; i < m; ++i) {
    for (index j = 0; j < n; ++j) {
      std::int64_t sum = bias[static_cast<std::size_t>(j)];
      for (index c = 0; c < k; ++c) {
        const int zero = S::is_affine ? int{zero_codes[static_cast<std::size_t>(j)]} : 0;
        sum += (std::int64_t{x[static_cast<std::size_t>(i * k + c)]} - x_zero) *
               (std::int64_t{w[static_cast<std::size_t>(j * k + c)]} - zero);
      }
      const double code = std::floor(static_cast<double>(sum) / 256.0 + 0.5) + 11.0;
      expected(i, j) = static_cast<Code>(std::fmin(std::fmax(code, 1.0), 90.0));
    }
  }
  const Eigen::Map<const row_matrix<Code>> a(x.data(), m, k);
  layer(a, y);
  EXPECT_TRUE(y == expected) << "on the stack";
  y.setZero();
  layer.reserve(std::max(m, index{1}));
  layer(a, y);
  EXPECT_TRUE(y == expected) << "reserved";
}

TYPED_TEST(integer_linear_test, equals_plain_sums) {
  using full = scheme<int8, per_row, symmetric_full>;
  for (const index m : {0, 1, 3, 17}) {
    expect_layer<full, std::int8_t, TypeParam>(m, 33, 130, -128, {});
    expect_layer<full, std::uint8_t, TypeParam>(m, 5, 1, 255, {});
  }
  expect_layer<full, std::int8_t, TypeParam>(2, 1030, 4100, 3, {});
  expect_layer<scheme<uint8, per_row, affine>, std::uint8_t, TypeParam>(3, 7, 65, 17, {0, 255, 9});
  expect_layer<scheme<int4, per_row, symmetric_full>, std::int8_t, TypeParam>(9, 40, 77, -5, {});
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(integer_linear_errors_test, names_what_cannot_be) {
  using S = int8_per_row;
  using layer_type = linear<S, integer_only<std::int8_t>>;
  const quantized_matrix<S> w(row_matrix<std::int8_t>::Constant(1, 9, 100), std::vector<float>{1});
  const auto make = [&](const quant_params& in, const integer_options& options,
                        const std::vector<std::int32_t>& bias) {
    return sentence_of([&] { layer_type(w, bias, in, options); });
  };
  EXPECT_EQ(make({1.0F, 0}, {{1.0F, 0}}, {1, 2}),
            "fewbit: linear: length of bias is 2, expected 1");
  EXPECT_EQ(make({1.0F, 200}, {{1.0F, 0}}, {}),
            "fewbit: linear: input_params.zero_point is 200, expected -128 to 127");
  EXPECT_EQ(make({1.0F, 0}, {{0.0F, 0}}, {}),
            "fewbit: linear: output_params.scale is 0, expected a finite positive number");
  EXPECT_EQ(make({1.0F, 0}, {{1.0F, 0}}, {std::numeric_limits<std::int32_t>::min()}),
            "fewbit: linear: largest sum of channel[0] is 2147598848, expected at most 2147483647, "
            "the largest int32");
}
#endif

}}  // namespace fewbit::ops_linear_integer_test
