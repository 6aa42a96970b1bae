#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <vector>

#include "fewbit/ops/linear.hpp"
#include "support/layer_calls.hpp"
#include "support/plain_linear.hpp"
#include "support/reals.hpp"

namespace fewbit { namespace ops_every_scheme_test {

using tests::coding;
using tests::coding_of;
using tests::expected_of;
using tests::make_layer;
using tests::plain;
using tests::plain_weights;
using tests::random_reals;
using tests::static_s8_params;
using tests::static_u8_params;

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
    ternary_grouped<24>, binary_per_row>;

/// Parameters of static inputs meet scales, zero points and groups of weights, not their storage.
template <class List, class Inputs>
using with_zero_points_and_groups =
    typename List::template with<Inputs, int8_per_row, int8_affine_per_row, uint8_affine_per_row,
                                 scheme<int8, sub_tensor<3>>, int4_per_row,
                                 scheme<uint4, per_row, affine>, int3_per_row, ternary_per_row,
                                 binary_per_row, int4_grouped<32>, uint4_grouped<16>>;

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
    tests::expect_same_in_reserved_memory(layer, s.x, y);
    EXPECT_EQ(layer.inputs(), s.x.cols());
    EXPECT_EQ(layer.outputs(), s.w.rows());
    EXPECT_GT(layer.bytes(), 0);
  }
}

template <class S>
class linear_codes_test : public testing::Test {};
using code_schemes = testing::Types<int8_per_row, uint8_affine_per_row, int8_affine_per_row,
                                    int4_per_row, int4_grouped<32>, uint4_grouped<16>>;
TYPED_TEST_SUITE(linear_codes_test, code_schemes);

TYPED_TEST(linear_codes_test, equal_the_formula_from_codes_to_codes) {
  tests::expect_codes_to_codes<arch::list<arch::native>, TypeParam, std::uint8_t>(
      {true, {0.31F, 12}}, static_u8_params);
  tests::expect_codes_to_codes<arch::list<arch::native>, TypeParam, std::uint8_t>(
      {false, {0.31F, 120}}, static_u8_params);
  tests::expect_codes_to_codes<arch::list<arch::native>, TypeParam, std::int8_t>(
      {true, {0.31F, -128}}, static_s8_params);
  tests::expect_codes_to_codes<arch::list<arch::native>, TypeParam, std::int8_t>(
      {false, {0.31F, 3}}, static_s8_params);
}

}  // namespace ops_every_scheme_test
}  // namespace fewbit
