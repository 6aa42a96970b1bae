#include "fewbit/ops/qmn.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <vector>

#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/ops/linear/integer.hpp"
#include "fewbit/ops/pool2d.hpp"
#include "support/code_ops.hpp"
#include "support/plain_conv.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_qmn_test {

using tests::conv_case;
using tests::random_codes_of;
using codes = std::vector<std::int8_t>;

codes any_codes(index count, unsigned seed) {
  return random_codes_of<std::int8_t>(static_cast<std::size_t>(count), seed, -128, 127);
}

/// The sum of products to a code, in 64 bits: floor(sum * 2^-shift + 1/2), saturated.
std::int8_t plain_code(std::int64_t sum, int shift, bool relu) {
  if (shift > 0) sum += std::int64_t{1} << (shift - 1);
  return tests::plain_clamp<std::int8_t>(sum >> shift, relu ? 0 : -128, 127);
}

template <class Word>
class qmn_test : public testing::Test {};
/// Single products, pairs in plain C++, and the instructions of this processor if it has them.
using words =
    std::conditional_t<arch::has_dual_products<arch::dual_word>,
                       testing::Types<arch::no_dual_word, arch::plain_dual_word, arch::dual_word>,
                       testing::Types<arch::no_dual_word, arch::plain_dual_word>>;
TYPED_TEST_SUITE(qmn_test, words);

constexpr q7_shifts shifts_of_tests[] = {{0, 0}, {5, 7}, {3, 11}, {10, 14}, {1, 31}};

/// How many bits the sums of `depth` products of codes keep.
q7_shifts wider(q7_shifts shifts, index depth) {
  shifts.output += depth > 100 ? 3 : 0;
  shifts.output = std::min(shifts.output, 31);
  return shifts;
}

TYPED_TEST(qmn_test, convolution_equals_plain_sums) {
  for (const conv_case& c : tests::conv_cases()) {
    if (c.groups != 1) continue;
    const codes x = any_codes(c.image.size(), 1), bias = any_codes(c.channels, 3);
    const codes w = any_codes(c.channels * c.depth(), 2);
    const auto sums =
        tests::plain_sums(c, x.data(),
                          row_matrix<std::int8_t>(Eigen::Map<const row_matrix<std::int8_t>>(
                              w.data(), c.channels, c.depth())),
                          0);
    for (const q7_shifts& given : shifts_of_tests) {
      const q7_shifts shifts = wider(given, c.depth());
      const bool relu = shifts.output == 11;
      const detail::q7_convolution<TypeParam> layer(c.image, c.window, {w, bias, shifts, relu});
      ASSERT_EQ(layer.output(), (image_extents{c.out_height(), c.out_width(), c.channels}));
      codes expected, y(static_cast<std::size_t>(c.outputs()));
      for (std::size_t i = 0; i < y.size(); ++i) {
        const std::int64_t first = bias[i % bias.size()];
        expected.push_back(plain_code(sums[i] + (first << shifts.bias), shifts.output, relu));
      }
      layer(x, y);
      EXPECT_EQ(y, expected) << "channels " << c.image.channels << " shift " << shifts.output;
    }
  }
}

TYPED_TEST(qmn_test, linear_equals_plain_sums) {
  for (const index outputs : {1, 3, 4, 5, 10}) {
    for (const index inputs : {1, 3, 4, 5, 8, 67}) {
      const codes x = any_codes(inputs, 4), w = any_codes(inputs * outputs, 5);
      const codes bias = any_codes(outputs, 6);
      for (const q7_shifts& shifts : shifts_of_tests) {
        const detail::q7_linear_layer<TypeParam> layer(inputs, {w, bias, shifts});
        codes expected, y(bias.size());
        for (std::size_t o = 0; o < y.size(); ++o) {
          std::int64_t sum = std::int64_t{bias[o]} << shifts.bias;
          for (std::size_t k = 0; k < x.size(); ++k) sum += x[k] * w[o * x.size() + k];
          expected.push_back(plain_code(sum, shifts.output, false));
        }
        layer(x, y);
        EXPECT_EQ(y, expected) << outputs << " x " << inputs << " shift " << shifts.output;
      }
    }
  }
}

TYPED_TEST(qmn_test, computes_the_case_of_qmn_numbers) {
  // x = (0.5, -0.25, 1) in Q2.5, w = (0.75, -0.5, 0.125) and b = 0.25 in Q0.7: y = 0.875 in Q2.5.
  static constexpr std::int8_t w[] = {96, -64, 16}, b[] = {32};
  constexpr q7_formats formats{.inputs = 5, .weights = 7, .bias = 7, .outputs = 5};
  static_assert(formats.shifts() == q7_shifts{5, 7});
  constexpr detail::q7_linear_layer<TypeParam> layer(3, {w, b, formats.shifts()});
  static_assert(layer.inputs() == 3 && layer.outputs() == 1);
  std::int8_t y[1];
  layer(codes{16, -8, 32}, y);
  EXPECT_EQ(y[0], 28);
}

TYPED_TEST(qmn_test, rounds_half_up_and_saturates) {
  const auto code = [](int x, int w, int b, q7_shifts shifts) {
    const codes weight{static_cast<std::int8_t>(w)}, bias{static_cast<std::int8_t>(b)};
    std::int8_t y[1];
    detail::q7_linear_layer<TypeParam>(1, {weight, bias, shifts})(
        codes{static_cast<std::int8_t>(x)}, y);
    return int{y[0]};
  };
  EXPECT_EQ(code(1, 5, 0, {0, 1}), 3);
  EXPECT_EQ(code(1, -5, 0, {0, 1}), -2);
  EXPECT_EQ(code(1, 5, 0, {0, 0}), 5);
  EXPECT_EQ(code(1, -5, 0, {0, 0}), -5);
  EXPECT_EQ(code(-128, -128, 0, {0, 0}), 127);
  EXPECT_EQ(code(127, -128, 0, {0, 6}), -128);
  EXPECT_EQ(code(0, 0, -1, {23, 16}), -128);
  EXPECT_EQ(code(0, 0, -1, {23, 17}), -64);
}

using matrix = row_matrix<std::int8_t>;
using host_scheme = scheme<int8, per_tensor, symmetric_full, power_of_two>;
using host_inputs = integer_only<std::int8_t, std::int8_t, q7_pot>;

/// The same parameters for layers of integer_only: scale 1 of inputs and weights.
struct host_parameters {
  quantized_matrix<host_scheme> weights;
  std::vector<std::int32_t> bias;
  integer_options options;

  host_parameters(const codes& w, const codes& b, const q7_shifts& shifts, bool relu)
      : weights(matrix(Eigen::Map<const matrix>(w.data(), static_cast<index>(b.size()),
                                                static_cast<index>(w.size() / b.size()))),
                std::vector<float>{1.0F}),
        options{{std::ldexp(1.0F, shifts.output), 0}, {relu ? 0 : -128, 127}} {
    for (const std::int8_t code : b) bias.push_back(std::int32_t{code} << shifts.bias);
  }
};

template <class Layer>
codes run_host(const Layer& layer, const codes& x) {
  matrix y(1, layer.outputs());
  layer(matrix(Eigen::Map<const matrix>(x.data(), 1, static_cast<index>(x.size()))), y);
  return codes(y.data(), y.data() + y.size());
}

TEST(qmn, layers_equal_those_of_integer_only) {
  for (const conv_case& c : tests::conv_cases()) {
    if (c.groups != 1) continue;
    const codes x = any_codes(c.image.size(), 7), bias = any_codes(c.channels, 8);
    const codes w = any_codes(c.channels * c.depth(), 9);
    for (const q7_shifts& given : shifts_of_tests) {
      const q7_shifts shifts = wider(given, c.depth());
      const bool relu = shifts.output == 7;
      const host_parameters p(w, bias, shifts, relu);
      conv2d<host_scheme, host_inputs> host(p.weights, c.image, c.window, p.bias,
                                            quant_params{1.0F, 0}, p.options);
      codes y(static_cast<std::size_t>(c.outputs()));
      q7_conv2d(c.image, c.window, {w, bias, shifts, relu})(x, y);
      EXPECT_EQ(y, run_host(host, x)) << "channels " << c.image.channels;
    }
    const host_parameters p(w, bias, {4, 12}, true);
    linear<host_scheme, host_inputs> host(p.weights, p.bias, quant_params{1.0F, 0}, p.options);
    const codes row = any_codes(c.depth(), 10);
    codes y(bias.size());
    q7_linear(c.depth(), {w, bias, {4, 12}, true})(row, y);
    EXPECT_EQ(y, run_host(host, row)) << "inputs " << c.depth();
  }
}

TEST(qmn, pools_equal_those_of_codes) {
  const std::pair<image_extents, window2d> cases[] = {
      {{8, 10, 3}, {.kernel = {2, 2}, .stride = {2, 2}}},
      {{7, 7, 5}, {.kernel = {7, 7}}},
      {{9, 6, 1}, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1, 1, 1}}},
      {{5, 4, 3}, {.kernel = {3, 2}, .padding = {2, 1, 0, 1}}},
      {{9, 9, 2}, {.kernel = {3, 2}, .dilation = {2, 3}}},
      {{1, 1, 1}, {}},
  };
  for (const auto& [case_image, window] : cases) {
    const image_extents image = case_image;
    const codes x = any_codes(image.size(), 11);
    const placed_window placed("test", image, window);
    const auto run = [&](const auto& host, const auto& layer) {
      matrix y(1, placed.output_pixels() * image.channels);
      host(matrix(Eigen::Map<const matrix>(x.data(), 1, image.size())), y);
      codes found(static_cast<std::size_t>(layer.output().size()));
      layer(x, found);
      EXPECT_EQ(found, codes(y.data(), y.data() + y.size()))
          << image.height << " x " << image.width;
    };
    run(max_pool2d<std::int8_t>(placed), q7_max_pool2d(image, window));
    run(average_pool2d<std::int8_t>(placed), q7_average_pool2d(image, window));
  }
}

TEST(qmn_death_test, other_lengths_end_the_program) {
  const codes w(6, 1), bias(2, 0), x(3);
  codes y(2), other(3);
  const q7_linear layer(3, {w, bias});
  EXPECT_DEATH(layer(y, y), "fewbit: q7_linear: length of x is 2, expected 3");
  EXPECT_DEATH(layer(x, other), "fewbit: q7_linear: length of y is 3, expected 2");
  const q7_max_pool2d pool({2, 2, 1}, {.kernel = {2, 2}});
  EXPECT_DEATH(pool(x, other), "fewbit: q7_max_pool2d: length of x is 3, expected 4");
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(qmn_errors, name_what_cannot_be) {
  using tests::sentence_of;
  const codes w(36, 1), bias(4, -128);
  const auto conv = [&](const image_extents& image, const window2d& window, const codes& b,
                        q7_shifts shifts) {
    return sentence_of([&] { return q7_conv2d(image, window, {w, b, shifts}); });
  };
  const window2d window{.kernel = {3, 3}};
  EXPECT_EQ(conv({3, 3, 1}, window, bias, {}), "no error");
  EXPECT_EQ(conv({3, 2, 1}, window, bias, {}),
            "fewbit: q7_conv2d: kernel.width is 3, expected 1 to 2");
  EXPECT_EQ(conv({3, 3, 0}, window, bias, {}),
            "fewbit: q7_conv2d: image.channels is 0, expected 1 to 238609294");
  EXPECT_EQ(conv({3, 3, 1}, {.kernel = {3, 3}, .stride = {0, 1}}, bias, {}),
            "fewbit: q7_conv2d: stride.height is 0, expected 1 to 32767");
  EXPECT_EQ(conv({3, 3, 1}, {.kernel = {3, 3}, .padding = {0, 0, 0, -1}}, bias, {}),
            "fewbit: q7_conv2d: padding.right is -1, expected 0 to 32767");
  EXPECT_EQ(conv({3, 3, 2}, window, bias, {}),
            "fewbit: q7_conv2d: length of weights is 36, expected 72");
  EXPECT_EQ(conv({3, 3, 1}, window, {}, {}),
            "fewbit: q7_conv2d: length of bias is 0, expected 1 to 32767");
  EXPECT_EQ(conv({3, 3, 1}, window, bias, {24, 0}),
            "fewbit: q7_conv2d: shifts.bias is 24, expected 0 to 23");
  EXPECT_EQ(conv({3, 3, 1}, window, bias, {0, 32}),
            "fewbit: q7_conv2d: shifts.output is 32, expected 0 to 31");
  EXPECT_EQ(conv({300, 300, 1}, {.kernel = {200, 200}}, bias, {23, 30}),
            "fewbit: q7_conv2d: weights of an output channel is 40000, expected 1 to 32767");
  EXPECT_EQ(sentence_of([&] {
              return q7_linear(8, {w, bias});
            }),
            "fewbit: q7_linear: length of weights is 36, expected 32");
  EXPECT_EQ(sentence_of([&] {
              return q7_average_pool2d({4, 4, 1}, {.kernel = {2, 2}, .padding = {2, 0, 0, 0}});
            }),
            "fewbit: q7_average_pool2d: padding.top is 2, expected 0 to 1");
}

#endif

}}  // namespace fewbit::ops_qmn_test
