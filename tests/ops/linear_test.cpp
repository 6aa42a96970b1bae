#include "fewbit/ops/linear.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "support/codes.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit {
namespace {

using tests::random_reals;

constexpr quant_params static_s8_params{0.0275F, -7};
constexpr quant_params static_u8_params{0.0275F, 131};

/// A product rounded once to float; volatile, so that the compiler fuses it with no sum after it.
float times(float a, float b) {
  volatile float product = a * b;
  return product;
}

int clamped_code(float x, float scale, int zero, int lo, int hi) {
  if (x != x) return zero;
  const double scaled = times(x, 1.0F / scale);
  return static_cast<int>(std::nearbyint(std::fmin(std::fmax(scaled, lo - zero), hi - zero))) +
         zero;
}

// What is expected is computed from plain numbers, so that it is compiled once and not for every
// choice of scheme and inputs.

struct plain_weights {
  row_matrix<float> codes;  // less their zero points; levels of a codebook
  row_matrix<float> scales;
  index depth;  // columns that share a scale
};

template <class Granularity>
constexpr index block_depth = 0;  // all of a row
template <index G>
constexpr index block_depth<grouped<G>> = G;

/// Layers that multiply weights as they are stored keep 12 significant bits of their scales.
template <class S, class Inputs>
constexpr bool keeps_short_scales =
    std::is_same_v<Inputs, float_inputs> ||
    (std::is_same_v<Inputs, dynamic_int8> && !CodebookScheme<S> &&
     (S::storage::bits<8 || block_depth<typename S::granularity>> 0));

float with_12_bits(float scale) {
  int exponent = 0;
  const float mantissa = std::frexp(scale, &exponent);
  return std::ldexp(std::nearbyint(mantissa * 4096.0F) / 4096.0F, exponent);
}

/// Weights as a layer with such inputs has them.
template <class Inputs, class S>
plain_weights plain(const quantized_matrix<S>& w) {
  constexpr index depth = block_depth<typename S::granularity>;
  plain_weights plain{row_matrix<float>(w.rows(), w.cols()), row_matrix<float>(w.rows(), w.cols()),
                      depth == 0 ? w.cols() : depth};
  for (index j = 0; j < w.rows(); ++j) {
    for (index k = 0; k < w.cols(); ++k) {
      plain.scales(j, k) =
          keeps_short_scales<S, Inputs> ? with_12_bits(w.scale(j, k)) : w.scale(j, k);
      if constexpr (!CodebookScheme<S>) {
        plain.codes(j, k) = static_cast<float>(w.code(j, k) - w.zero_point(j, k));
      } else {
        plain.codes(j, k) = w.levels()[static_cast<std::size_t>(w.code(j, k))];
        if (std::is_same_v<Inputs, float_inputs>) continue;
        plain.codes(j, k) = std::nearbyint(times(127.0F, plain.codes(j, k)));
        plain.scales(j, k) /= 127.0F;
      }
    }
  }
  return plain;
}

/// How inputs become codes, and by what parameters where those are fixed.
struct coding {
  bool dynamic;
  int lo, hi;
  quant_params params;
};

/// None for float inputs.
template <class Inputs>
std::optional<coding> coding_of() {
  if (std::is_same_v<Inputs, dynamic_int8>) return coding{true, -127, 127, {1.0F, 0}};
  if (std::is_same_v<Inputs, static_int8>) return coding{false, -128, 127, static_s8_params};
  if (std::is_same_v<Inputs, static_uint8>) return coding{false, 0, 255, static_u8_params};
  return std::nullopt;
}

/// What a row of inputs becomes: the documented formulas, one element at a time.
struct coded_row {
  std::vector<int> codes;
  quant_params params;
};

coded_row encode(const row_matrix<float>& x, index row, const coding& how) {
  coded_row coded{{}, how.params};
  if (how.dynamic) {
    float amax = 0.0F;
    for (index k = 0; k < x.cols(); ++k) {
      const float size = std::fabs(x(row, k));
      if (size <= std::numeric_limits<float>::max() && size > amax) amax = size;
    }
    if (amax > 0.0F) {
      coded.params.scale = std::fmax(amax / 127.0F, std::numeric_limits<float>::min());
    }
  }
  const auto [scale, zero] = coded.params;
  for (index k = 0; k < x.cols(); ++k)
    coded.codes.push_back(clamped_code(x(row, k), scale, zero, how.lo, how.hi));
  return coded;
}

/// One output of a row of codes; a dynamic scale is applied last.
float expected_output(const coded_row& row, bool dynamic, const plain_weights& w, index j,
                      float bias) {
  const index cols = w.codes.cols();
  float total = 0.0F;
  for (index first = 0; first < cols; first += w.depth) {
    std::int64_t sum = 0;
    for (index k = first; k < std::min(cols, first + w.depth); ++k) {
      sum += std::int64_t{row.codes[static_cast<std::size_t>(k)] - row.params.zero_point} *
             std::llrint(w.codes(j, k));
    }
    float scale = w.scales(j, first);
    if (!dynamic) scale = times(scale, row.params.scale);
    total = static_cast<float>(double{total} + double{times(static_cast<float>(sum), scale)});
  }
  if (dynamic) total = times(total, row.params.scale);
  return static_cast<float>(double{total} + double{bias});
}

/// The same for float inputs: sums in order of k, each operation rounded.
float expected_weight_only(const row_matrix<float>& x, index row, const plain_weights& w, index j,
                           float bias) {
  const index cols = w.codes.cols();
  float total = 0.0F;
  for (index first = 0; first < cols; first += w.depth) {
    float sum = 0.0F;
    for (index k = first; k < std::min(cols, first + w.depth); ++k) {
      const float product = times(x(row, k), w.codes(j, k));
      sum = static_cast<float>(double{sum} + double{product});
    }
    total = static_cast<float>(double{total} + double{times(sum, w.scales(j, first))});
  }
  return static_cast<float>(double{total} + double{bias});
}

row_matrix<float> expected_of(const row_matrix<float>& x, const plain_weights& w,
                              const Eigen::VectorXf& bias, const std::optional<coding>& how) {
  row_matrix<float> y(x.rows(), w.codes.rows());
  for (index i = 0; i < y.rows(); ++i) {
    const coded_row row = how ? encode(x, i, *how) : coded_row{};
    for (index j = 0; j < y.cols(); ++j) {
      y(i, j) = how ? expected_output(row, how->dynamic, w, j, bias[j])
                    : expected_weight_only(x, i, w, j, bias[j]);
    }
  }
  return y;
}

template <class Inputs, class S>
row_matrix<float> expected_outputs(const row_matrix<float>& x, const quantized_matrix<S>& w,
                                   const Eigen::VectorXf& bias) {
  return expected_of(x, plain<Inputs>(w), bias, coding_of<Inputs>());
}

template <class S, class Inputs, class Arch = arch::native>
linear<S, Inputs, Arch> make_layer(const quantized_matrix<S>& w, const Eigen::VectorXf& bias,
                                   const linear_options& options = {}) {
  if constexpr (std::is_same_v<Inputs, static_int8>) {
    return linear<S, Inputs, Arch>(w, bias, static_s8_params, options);
  } else if constexpr (std::is_same_v<Inputs, static_uint8>) {
    return linear<S, Inputs, Arch>(w, bias, static_u8_params, options);
  } else {
    return linear<S, Inputs, Arch>(w, bias, options);
  }
}

template <class S, class Inputs>
struct choice {
  using scheme = S;
  using inputs = Inputs;
};

template <class Choice>
class linear_test : public testing::Test {};

template <class... Choices>
struct choices {
  using types = testing::Types<Choices...>;
  template <class Inputs, class... S>
  using with = choices<Choices..., choice<S, Inputs>...>;
};

/// Where a layer turns weights into codes or numbers, every kind of scheme.
template <class List, class Inputs>
using with_every_scheme = typename List::template with<
    Inputs, int8_per_row, int8_per_tensor, int8_power_of_two, int8_affine_per_row,
    uint8_affine_per_row, scheme<int8, sub_tensor<3>>, scheme<int8, per_row, symmetric_full>,
    int8_grouped<64>, int4_per_row, scheme<uint4, per_row, affine>, int4_grouped<32>,
    uint4_grouped<16>, int3_per_row, int3_grouped<32>, int2_per_row, ternary_per_row,
    ternary_grouped<24>, binary_per_row, codebook_per_row<4>, codebook_grouped<3, 32>,
    codebook_per_row<2>, codebook_per_row<1>, codebook_per_row<8>>;

/// Parameters of static inputs meet scales, zero points and groups of weights, not their storage.
template <class List, class Inputs>
using with_zero_points_and_groups =
    typename List::template with<Inputs, int8_per_row, int8_affine_per_row, uint8_affine_per_row,
                                 scheme<int8, sub_tensor<3>>, int4_grouped<32>, uint4_grouped<16>,
                                 codebook_grouped<4, 32>>;

using every_scheme = with_every_scheme<with_every_scheme<choices<>, dynamic_int8>, float_inputs>;
using all_choices =
    with_zero_points_and_groups<with_zero_points_and_groups<every_scheme, static_int8>,
                                static_uint8>;
TYPED_TEST_SUITE(linear_test, all_choices::types);

/// Inputs, weights and bias of a layer.
struct sample {
  row_matrix<float> x, w;
  Eigen::VectorXf bias;
};

std::vector<sample> samples() {
  std::vector<sample> made;
  for (const auto& [m, k, n] :
       {std::array<index, 3>{1, 1, 1}, {3, 33, 17}, {7, 70, 66}, {130, 40, 5}}) {
    made.push_back(
        {random_reals(m, k, 1), random_reals(n, k, 2), random_reals(1, n, 3).row(0).transpose()});
  }
  return made;
}

void expect_equal(const row_matrix<float>& y, const sample& s, const plain_weights& w,
                  const std::optional<coding>& how) {
  EXPECT_EQ(y, expected_of(s.x, w, s.bias, how))
      << "m=" << s.x.rows() << " k=" << s.x.cols() << " n=" << s.w.rows();
}

TYPED_TEST(linear_test, equals_its_formula_to_the_bit) {
  using S = typename TypeParam::scheme;
  using Inputs = typename TypeParam::inputs;
  for (const sample& s : samples()) {
    const quantized_matrix<S> w = quantize<S>(s.w);
    auto layer = make_layer<S, Inputs>(w, s.bias);
    row_matrix<float> y = row_matrix<float>::Constant(s.x.rows(), s.w.rows(), 99.0F);
    layer(s.x, y);
    expect_equal(y, s, plain<Inputs>(w), coding_of<Inputs>());
    EXPECT_EQ(layer.inputs(), s.x.cols());
    EXPECT_EQ(layer.outputs(), s.w.rows());
    EXPECT_GT(layer.bytes(), 0);
  }
}

template <class S>
class linear_arch_test : public testing::Test {};
using arch_schemes =
    testing::Types<int8_per_row, int4_per_row, uint4_grouped<16>, int3_grouped<40>>;
TYPED_TEST_SUITE(linear_arch_test, arch_schemes);

TYPED_TEST(linear_arch_test, has_the_same_bits_on_every_arch) {
  const row_matrix<float> x = random_reals(9, 77, 1);
  const auto w = quantize<TypeParam>(random_reals(35, 77, 2));
  const Eigen::VectorXf bias = random_reals(1, 35, 3).row(0).transpose();
  const auto compare = [&]<class Inputs>() {
    const row_matrix<float> expected = expected_outputs<Inputs>(x, w, bias);
    arch::compiled::for_each([&]<class Arch>() {
      row_matrix<float> y(9, 35);
      make_layer<TypeParam, Inputs, Arch>(w, bias)(x, y);
      EXPECT_EQ(y, expected) << Arch::name;
    });
  };
  compare.template operator()<dynamic_int8>();
  compare.template operator()<static_uint8>();
}

TEST(linear, does_not_depend_on_workers_or_blocks_of_rows) {
  const row_matrix<float> x = random_reals(300, 50, 1);
  const linear<int8_per_row> layer(random_reals(20, 50, 2),
                                   random_reals(1, 20, 3).row(0).transpose());
  row_matrix<float> expected(300, 20);
  for (index i = 0; i < 300; ++i) {  // row by row
    auto scratch = layer.make_scratch();
    layer(x.middleRows(i, 1), expected.middleRows(i, 1), scratch);
  }
  for (const index workers : {1, 2, 5}) {
    auto scratch = layer.make_scratch(workers);
    row_matrix<float> y(300, 20);
    layer(x, y, scratch, thread_executor{3});
    EXPECT_EQ(y, expected) << workers << " workers";
  }
}

TEST(linear, layers_of_different_sizes_share_scratch_memory) {
  const row_matrix<float> x = random_reals(150, 50, 1);
  const linear<uint8_affine_per_row> first(random_reals(90, 50, 2));
  const linear<int4_grouped<32>> second(random_reals(20, 90, 3));
  linear_scratch shared;
  first.reserve(shared, 2);
  second.reserve(shared, 3);
  row_matrix<float> middle(150, 90), y(150, 20), middle_alone(150, 90), y_alone(150, 20);
  first(x, middle, shared);
  second(middle, y, shared);
  auto scratch = first.make_scratch();
  first(x, middle_alone, scratch);
  scratch = second.make_scratch();
  second(middle_alone, y_alone, scratch);
  EXPECT_EQ(middle, middle_alone);
  EXPECT_EQ(y, y_alone);
}

TEST(linear, takes_codes_where_inputs_are_static) {
  const row_matrix<float> x = random_reals(5, 40, 1);
  const auto w = quantize<uint8_affine_per_row>(random_reals(9, 40, 2));
  const Eigen::VectorXf bias = random_reals(1, 9, 3).row(0).transpose();
  auto layer = make_layer<uint8_affine_per_row, static_uint8>(w, bias);
  row_matrix<std::uint8_t> codes(5, 40);
  for (index i = 0; i < 5; ++i) {
    const coded_row row = encode(x, i, *coding_of<static_uint8>());
    for (index k = 0; k < 40; ++k)
      codes(i, k) = static_cast<std::uint8_t>(row.codes[static_cast<std::size_t>(k)]);
  }
  row_matrix<float> from_reals(5, 9), from_codes(5, 9);
  layer(x, from_reals);
  layer(codes, from_codes);
  EXPECT_EQ(from_codes, from_reals);
}

TEST(linear, writes_codes_and_fuses_relu) {
  const row_matrix<float> x = random_reals(4, 40, 1);
  const auto w = quantize<int8_per_row>(random_reals(9, 40, 2));
  const Eigen::VectorXf bias = random_reals(1, 9, 3).row(0).transpose();
  const linear_options options{true, {0.11F, 5}};
  auto layer = make_layer<int8_per_row, dynamic_int8>(w, bias, options);
  row_matrix<float> y(4, 9);
  row_matrix<std::uint8_t> unsigned_codes(4, 9);
  row_matrix<std::int8_t> signed_codes(4, 9);
  layer(x, y);
  layer(x, unsigned_codes);
  layer(x, signed_codes);
  EXPECT_EQ(y, expected_outputs<dynamic_int8>(x, w, bias).cwiseMax(0.0F).eval());
  EXPECT_GT((y.array() == 0.0F).count(), 0);
  for (index i = 0; i < 4; ++i) {
    for (index j = 0; j < 9; ++j) {
      EXPECT_EQ(unsigned_codes(i, j), clamped_code(y(i, j), 0.11F, 5, 0, 255));
      EXPECT_EQ(signed_codes(i, j), clamped_code(y(i, j), 0.11F, 5, -128, 127));
    }
  }
  auto weight_only = make_layer<int8_per_row, float_inputs>(w, bias, options);
  weight_only(x, y);
  weight_only(x, signed_codes);
  EXPECT_EQ(y, expected_outputs<float_inputs>(x, w, bias).cwiseMax(0.0F).eval());
  for (index i = 0; i < y.size(); ++i)
    EXPECT_EQ(signed_codes.data()[i], clamped_code(y.data()[i], 0.11F, 5, -128, 127));
}

/// Less the bias: in groups of 32 half a bit more than the codes have.
TEST(linear, with_float_inputs_keeps_codes_as_they_are_stored) {
  const row_matrix<float> w = random_reals(64, 256, 1);
  const auto half_bits = [](const auto& layer) {
    return (layer.bytes() - 64 * 4) * 16 / (64 * 256);
  };
  EXPECT_EQ(half_bits(linear<int8_grouped<32>, float_inputs>(w)), 17);
  EXPECT_EQ(half_bits(linear<int4_grouped<32>, float_inputs>(w)), 9);
  EXPECT_EQ(half_bits(linear<int2_grouped<32>, float_inputs>(w)), 5);
}

/// A static layer from the codes of one layer to the codes of the next, on every arch.
template <class S, class Code>
void expect_codes_to_codes(const linear_options& options, const quant_params& input) {
  using inputs = static_codes<Code>;
  constexpr int lo = std::numeric_limits<Code>::min(), hi = std::numeric_limits<Code>::max();
  const auto x = tests::random_codes<Code>(7, 77, 1);
  const auto w = quantize<S>(random_reals(35, 77, 2));
  const Eigen::VectorXf bias = random_reals(1, 35, 3).row(0).transpose();
  const plain_weights plain_w = plain<inputs>(w);
  const quant_params& out = options.output_params;
  row_matrix<Code> expected(7, 35);
  for (index i = 0; i < 7; ++i) {
    const coded_row row{{x.row(i).begin(), x.row(i).end()}, input};
    for (index j = 0; j < 35; ++j) {
      const float y = expected_output(row, false, plain_w, j, bias[j]);
      const float bounded = options.relu && y < 0.0F ? 0.0F : y;
      expected(i, j) = static_cast<Code>(clamped_code(bounded, out.scale, out.zero_point, lo, hi));
    }
  }
  EXPECT_GT((expected.array() != expected(0, 0)).count(), 100) << "not all the same";
  arch::compiled::for_each([&]<class Arch>() {
    row_matrix<Code> y(7, 35);
    linear<S, inputs, Arch>(w, bias, input, options)(x, y);
    EXPECT_EQ(y, expected) << Arch::name;
  });
}

template <class S>
class linear_codes_test : public testing::Test {};
using code_schemes = testing::Types<int8_per_row, uint8_affine_per_row, int8_affine_per_row,
                                    int4_grouped<32>, uint4_grouped<16>>;
TYPED_TEST_SUITE(linear_codes_test, code_schemes);

TYPED_TEST(linear_codes_test, equal_the_formula_from_codes_to_codes) {
  expect_codes_to_codes<TypeParam, std::uint8_t>({true, {0.31F, 12}}, static_u8_params);
  expect_codes_to_codes<TypeParam, std::uint8_t>({false, {0.31F, 120}}, static_u8_params);
  expect_codes_to_codes<TypeParam, std::int8_t>({true, {0.31F, -128}}, static_s8_params);
  expect_codes_to_codes<TypeParam, std::int8_t>({false, {0.31F, 3}}, static_s8_params);
}

/// Scaling a row by a power of two scales its outputs by exactly that.
TEST(linear, dynamic_rows_have_scales_of_their_own) {
  row_matrix<float> x = random_reals(2, 64, 1);
  x.row(1) = 1024.0F * x.row(0);
  linear<int8_per_row> layer(random_reals(8, 64, 2), Eigen::VectorXf());
  row_matrix<float> y(2, 8);
  layer(x, y);
  EXPECT_EQ(y.row(1), (1024.0F * y.row(0)).eval());
}

TEST(linear, gives_non_finite_inputs_a_defined_result) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  row_matrix<float> x(4, 3);
  x << 1.0F, std::numeric_limits<float>::quiet_NaN(), -2.0F, infinity, 1.0F, -2.0F, -infinity, 1.0F,
      2.0F, 0.0F, -0.0F, 0.0F;
  row_matrix<float> w = row_matrix<float>::Identity(3, 3);
  linear<int8_per_row> layer(w, Eigen::VectorXf());
  row_matrix<float> y(4, 3);
  layer(x, y);
  EXPECT_EQ(y(0, 1), 0.0F);
  EXPECT_FLOAT_EQ(y(0, 2), -2.0F);
  EXPECT_FLOAT_EQ(y(1, 0), 2.0F);  // the last code of a row whose largest finite value is 2
  EXPECT_FLOAT_EQ(y(2, 0), -2.0F);
  EXPECT_EQ(y.row(3), (row_matrix<float>::Zero(1, 3)));
  const quantized_matrix<int8_per_row> q = quantize<int8_per_row>(w);
  auto fixed = make_layer<int8_per_row, static_uint8>(q, Eigen::VectorXf());
  fixed(x, y);
  EXPECT_EQ(y(0, 1), 0.0F);
  EXPECT_FLOAT_EQ(y(1, 0),
                  static_u8_params.scale * static_cast<float>(255 - static_u8_params.zero_point));
  EXPECT_FLOAT_EQ(y(2, 0),
                  static_u8_params.scale * static_cast<float>(-static_u8_params.zero_point));
}

TEST(linear, takes_rows_of_subnormals_and_of_the_largest_floats) {
  row_matrix<float> x(2, 2);
  x << 1e-44F, -1e-44F, 3e38F, 1e38F;
  linear<int8_per_row> layer(row_matrix<float>::Identity(2, 2), Eigen::VectorXf());
  row_matrix<float> y(2, 2);
  layer(x, y);
  EXPECT_EQ(y.row(0), (row_matrix<float>::Zero(1, 2)));
  EXPECT_NEAR(y(1, 0) / 3e38F, 1.0F, 1e-5F);
}

TEST(linear, reads_and_writes_blocks) {
  const row_matrix<float> x = random_reals(6, 20, 1);
  linear<int8_per_row> layer(random_reals(5, 12, 2), Eigen::VectorXf());
  row_matrix<float> whole(4, 5), inside = row_matrix<float>::Constant(6, 9, 7.0F);
  layer(x.block(1, 3, 4, 12).eval(), whole);
  layer(x.block(1, 3, 4, 12), inside.block(2, 1, 4, 5));
  EXPECT_EQ(inside.block(2, 1, 4, 5).eval(), whole);
  inside.block(2, 1, 4, 5).setConstant(7.0F);
  EXPECT_EQ(inside, (row_matrix<float>::Constant(6, 9, 7.0F)));
}

TEST(linear, of_no_rows_does_nothing) {
  linear<int8_per_row> layer(random_reals(5, 12, 2), Eigen::VectorXf());
  row_matrix<float> y(0, 5);
  layer(row_matrix<float>(0, 12), y);
  EXPECT_EQ(y.rows(), 0);
}

#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;

TEST(linear, says_what_is_wrong_with_its_parts) {
  const row_matrix<float> w = random_reals(3, 4, 1);
  EXPECT_EQ(sentence_of([&] { linear<int8_per_row>(w, Eigen::VectorXf::Zero(2)); }),
            "fewbit: linear: length of bias is 2, expected 3");
  Eigen::VectorXf bias = Eigen::VectorXf::Zero(3);
  bias[1] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sentence_of([&] { linear<int8_per_row>(w, bias); }),
            "fewbit: linear: bias[1] is inf, expected a finite number");
  EXPECT_EQ(sentence_of([&] { linear<int8_per_row, float_inputs>(w, bias); }),
            "fewbit: linear: bias[1] is inf, expected a finite number");
  EXPECT_EQ(sentence_of([&] {
              linear<int8_per_row, static_uint8>(w, Eigen::VectorXf(), quant_params{0.0F, 0});
            }),
            "fewbit: linear: input_params.scale is 0, expected a finite number of at least 2^-126");
  EXPECT_EQ(sentence_of([&] {
              linear<int8_per_row, static_uint8>(w, Eigen::VectorXf(), quant_params{1.0F, 256});
            }),
            "fewbit: linear: input_params.zero_point is 256, expected 0 to 255");
  EXPECT_EQ(sentence_of([&] {
              linear<int8_per_row, static_int8>(w, Eigen::VectorXf(), quant_params{1.0F, 128});
            }),
            "fewbit: linear: input_params.zero_point is 128, expected -128 to 127");
  EXPECT_EQ(
      sentence_of([&] {
        linear<int8_per_row>(w, Eigen::VectorXf(), {false, {-1.0F, 0}});
      }),
      "fewbit: linear: output_params.scale is -1, expected a finite number of at least 2^-126");
  for (const int zero : {-129, 256}) {
    EXPECT_EQ(sentence_of([&] {
                linear<int8_per_row>(w, Eigen::VectorXf(), {false, {1.0F, zero}});
              }),
              "fewbit: linear: output_params.zero_point is " + std::to_string(zero) +
                  ", expected -128 to 255");
  }
  EXPECT_EQ(sentence_of([&] {
              linear<int8_per_row, static_uint8>(row_matrix<float>::Constant(1, 4, 3e38F),
                                                 Eigen::VectorXf(), quant_params{1e4F, 0});
            }),
            "fewbit: linear: scale of weights(0, 0) times input scale is inf, expected a finite "
            "number");
  EXPECT_EQ(sentence_of([&] { (void)linear<int8_per_row>(random_reals(3, 4, 1)).make_scratch(0); }),
            "fewbit: linear: workers is 0, expected at least 1");
  EXPECT_EQ(sentence_of([&] { linear<int8_per_row>(row_matrix<float>(0, 4), Eigen::VectorXf()); }),
            "fewbit: quantize: w is 0 x 4, expected at least one row and one column");
}

/// The sentence of a layer of `depth` inputs and one output.
template <class S, class Inputs>
std::string sentence_of_depth(index depth, const quant_params& input) {
  const row_matrix<float> w = row_matrix<float>::Ones(1, depth);
  return sentence_of([&] {
    if constexpr (Inputs::is_static) {
      const linear<S, Inputs> layer(w, Eigen::VectorXf(), input);
    } else {
      const linear<S, Inputs> layer(w);
    }
  });
}

/// Takes layers of `most` inputs and refuses one more.
template <class S, class Inputs>
void expect_deepest(index most, const quant_params& input = {}) {
  EXPECT_EQ((sentence_of_depth<S, Inputs>(most, input)), "no error");
  EXPECT_EQ((sentence_of_depth<S, Inputs>(most + 1, input)),
            "fewbit: linear: number of inputs is " + std::to_string(most + 1) +
                ", expected at most " + std::to_string(most));
}

/// most = (2^31 - 1) / (largest |x| * largest |w|), of codes with and without their zero points.
TEST(linear, refuses_a_depth_that_could_leave_int32) {
  expect_deepest<int8_per_row, static_uint8>(65793, {1.0F, 0});            // 255 * 128
  expect_deepest<int8_per_row, static_uint8>(65793, {1.0F, 131});          // codes as they are
  expect_deepest<int8_per_row, static_int8>(131071, {1.0F, 0});            // 128 * 128
  expect_deepest<int8_per_row, static_int8>(65793, {1.0F, 127});           // (127 + 128) * 128
  expect_deepest<int8_per_row, static_int8>(124275, {1.0F, -8});           // (127 + 8) * 128
  expect_deepest<int8_per_row, dynamic_int8>(131071);                      // codes as they are
  expect_deepest<uint8_affine_per_row, dynamic_int8>(66311);               // 127 * 255
  expect_deepest<int4_per_row, dynamic_int8>(1127288);                     // 127 * 15
  expect_deepest<uint8_affine_per_row, static_uint8>(33025, {1.0F, 0});    // 255 * 255
  expect_deepest<uint8_affine_per_row, static_uint8>(64286, {1.0F, 131});  // 131 * 255
  expect_deepest<uint8_affine_per_row, static_int8>(33025, {1.0F, -128});  // 255 * 255
  EXPECT_EQ((sentence_of_depth<uint4_grouped<32>, static_uint8>(200000, static_u8_params)),
            "no error")
      << "groups are summed one by one";
}
#endif

/// The deepest sum a u8 layer may hold, all codes extreme: no step on the way may wrap.
TEST(linear, is_exact_at_its_deepest) {
  const index k = 65793;
  const row_matrix<float> w = row_matrix<float>::Constant(1, k, -1.0F);
  linear<int8_per_row, static_uint8> layer(w, Eigen::VectorXf(), quant_params{1.0F, 0});
  const row_matrix<std::uint8_t> x = row_matrix<std::uint8_t>::Constant(1, k, 255);
  row_matrix<float> y(1, 1);
  layer(x, y);
  const float scale = quantize<int8_per_row>(w).scale(0, 0);
  EXPECT_EQ(y(0, 0), times(static_cast<float>(-127LL * 255 * k), scale));
}

}  // namespace
}  // namespace fewbit
