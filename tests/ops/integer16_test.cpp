#include "fewbit/ops/integer16.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "fewbit/ops/depthwise_conv2d.hpp"
#include "support/archs.hpp"
#include "support/plain_conv.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_integer16_test {

using tests::conv_case;
using tests::random_codes_of;
#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;
#endif
using S = scheme<int8, per_row, symmetric_full>;

/// The products of 8-bit codes have tests for each instruction set; what is added here has none of
/// its own.
template <class Arch>
class integer16_test : public testing::Test {};
TYPED_TEST_SUITE(integer16_test, testing::Types<arch::native>, tests::arch_names);

/// floor(sum * mantissa / 2^places + 1/2), for the mantissa 2^14 that 2^30 becomes.
std::int64_t expected_code(std::int64_t sum, int places) {
  const std::int64_t half = std::int64_t{1} << (places - 1);
  return std::clamp((sum + half) >> places, std::int64_t{-32000}, std::int64_t{32767});
}

TYPED_TEST(integer16_test, equals_plain_sums_of_windows) {
  unsigned seed = 1;
  for (const conv_case& c : tests::conv_cases()) {
    SCOPED_TRACE(testing::Message() << "case " << seed);
    const auto x = random_codes_of<std::int16_t>(static_cast<std::size_t>(2 * c.image.size()), seed,
                                                 -32768, 32767);
    const auto w = random_codes_of<std::int8_t>(static_cast<std::size_t>(c.channels * c.depth()),
                                                ++seed, -128, 127);
    const Eigen::Map<const row_matrix<std::int8_t>> codes(w.data(), c.channels, c.depth());
    const quantized_matrix<S> weights(
        codes, std::vector<float>(static_cast<std::size_t>(c.channels), 1.0F));
    const std::vector<std::int64_t> bias(static_cast<std::size_t>(c.channels), 12345678901);
    conv2d<S, integer_only<std::int16_t>, TypeParam> layer(
        weights, c.image, c.window, bias, quant_params{1.0F, 0},
        integer_options{{0x1p16F, 0}, {-32000, 40000}}, c.groups);
    const Eigen::Map<const row_matrix<std::int16_t>> images(x.data(), 2, c.image.size());
    row_matrix<std::int16_t> y(2, c.outputs()), again(2, c.outputs());
    layer(images, y);
    layer.reserve(1);
    layer(images, again);
    EXPECT_TRUE(y == again);
    for (index r = 0; r < 2; ++r) {
      const row_matrix<std::int8_t> plain = codes;
      const auto sums = tests::plain_sums(c, x.data() + r * c.image.size(), plain, 0);
      for (index i = 0; i < c.outputs(); ++i) {
        ASSERT_EQ(y(r, i), expected_code(sums[static_cast<std::size_t>(i)] + bias[0], 16))
            << r << " " << i;
      }
    }
  }
}

TYPED_TEST(integer16_test, equals_plain_sums_of_rows) {
  const index m = 3, n = 40, k = 2100;
  const auto x = random_codes_of<std::int16_t>(static_cast<std::size_t>(m * k), 1, -32768, 32767);
  const auto w = random_codes_of<std::int8_t>(static_cast<std::size_t>(n * k), 2, -128, 127);
  const Eigen::Map<const row_matrix<std::int8_t>> codes(w.data(), n, k);
  const Eigen::Map<const row_matrix<std::int16_t>> a(x.data(), m, k);
  const quantized_matrix<S> weights(codes, std::vector<float>(static_cast<std::size_t>(n), 1.0F));
  linear<S, integer_only<std::int16_t>, TypeParam> layer(
      weights, std::vector<std::int64_t>(), quant_params{1.0F, 0},
      integer_options{{0x1p14F, 0}, {-32000, 32767}});
  row_matrix<std::int16_t> y(m, n), again(m, n);
  layer(a, y);
  layer.reserve(2);
  layer(a, again);
  EXPECT_TRUE(y == again);
  const row_matrix<std::int64_t> sums =
      a.cast<std::int64_t>() * codes.cast<std::int64_t>().transpose();
  for (index i = 0; i < y.size(); ++i)
    ASSERT_EQ(y.data()[i], expected_code(sums.data()[i], 14)) << i;
}

TEST(integer16, knows_the_parameters_of_its_inputs) {
  const quantized_matrix<S> w(row_matrix<std::int8_t>::Constant(1, 9, 100), std::vector<float>{1});
  const std::vector<std::int64_t> none;
  const quant_params in{0.25F, 0};
  const linear<S, integer_only<std::int16_t>> rows(w, none, in, integer_options{{1.0F, 0}});
  EXPECT_EQ(rows.input_params(), in);
  const conv2d<S, integer_only<std::int16_t>> windows(w, {3, 3, 1}, {.kernel = {3, 3}}, none, in,
                                                      integer_options{{1.0F, 0}});
  EXPECT_EQ(windows.input_params(), in);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(integer16_errors_test, names_what_cannot_be) {
  const quantized_matrix<S> w(row_matrix<std::int8_t>::Constant(1, 9, 100), std::vector<float>{1});
  const std::vector<std::int64_t> none, two{1, 2}, large{std::int64_t{1} << 50};
  using layer_type = linear<S, integer_only<std::int16_t>>;
  EXPECT_EQ(sentence_of([&] {
              layer_type(w, none, quant_params{1.0F, 3}, {{1.0F, 0}});
            }),
            "fewbit: linear: input_params.zero_point is 3, expected 0");
  EXPECT_EQ(sentence_of([&] {
              layer_type(w, none, quant_params{1.0F, 0}, {{1.0F, 3}});
            }),
            "fewbit: linear: output_params.zero_point is 3, expected 0");
  EXPECT_EQ(sentence_of([&] {
              layer_type(w, two, quant_params{1.0F, 0}, {{1.0F, 0}});
            }),
            "fewbit: linear: length of bias is 2, expected 1");
  EXPECT_EQ(sentence_of([&] {
              layer_type(w, large, quant_params{1.0F, 0}, {{1.0F, 0}});
            }),
            "fewbit: linear: bias[0] is 1125899906842624, expected -2^46 to 2^46");
  EXPECT_EQ(sentence_of([&] {
              layer_type(w, none, quant_params{1.0F, 0}, {{0x1p-9F, 0}});
            }),
            "fewbit: linear: factor of channel[0] is 512, expected 0, or at least 2^-32 and less "
            "than 2^7: scale of inputs * scale of weights / scale of outputs");
  EXPECT_EQ(sentence_of([&] {
              conv2d<S, integer_only<std::int16_t>>(w, {3, 3, 1}, {.kernel = {3, 3}}, none,
                                                    quant_params{0x1p-20F, 0},
                                                    integer_options{{0x1p13F, 0}});
            }),
            "fewbit: conv2d: factor of channel[0] is 1.16415322e-10, expected 0, or at least 2^-32 "
            "and less than 2^7: scale of inputs * scale of weights / scale of outputs");
  EXPECT_EQ(sentence_of([&] {
              depthwise_conv2d<integer_only<std::int16_t>>(
                  {row_matrix<std::int8_t>::Ones(9, 1), {1.0F}, {}}, {3, 3, 1}, {.kernel = {3, 3}},
                  none, quant_params{1.0F, 0}, {{0x1p-8F, 0}});
            }),
            "fewbit: depthwise_conv2d: factor of channel[0] is 256, expected 0, or at least 2^-32 "
            "and less than 2^7: scale of inputs * scale of weights / scale of outputs");
}
#endif

}}  // namespace fewbit::ops_integer16_test
