/// Layers of so many inputs that one row does not fit the stack: without reserved memory they take
/// k in parts, and give the bits of calls with reserved memory.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <string>

#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/ops/linear/pq.hpp"
#include "support/reals.hpp"

namespace fewbit { namespace ops_many_inputs_test {

using tests::random_reals;

template <class L>
L make(const row_matrix<float>& w) {
  const Eigen::VectorXf bias = random_reals(1, w.rows(), 3).row(0).transpose();
  if constexpr (detail::StaticInputs<typename L::inputs_type>) {
    return L(w, bias, {0.03F, 5});
  } else if constexpr (requires { L(w, bias, layer_options(), kmeans_options()); }) {
    return L(w, bias, layer_options(), kmeans_options{.iterations = 1});
  } else {
    return L(w, bias);
  }
}

template <class L>
void expect_same_bits_on_the_stack(const row_matrix<float>& w, const std::string& name) {
  const L layer = make<L>(w);
  const row_matrix<float> x = random_reals(2, layer.inputs(), 2);
  row_matrix<float> expected(2, layer.outputs()), y = expected;
  y.setConstant(99.0F);
  layer_scratch scratch = layer.make_scratch(1, 2);
  layer(x, expected, scratch);
  layer(x, y);
  const auto bytes = static_cast<std::size_t>(y.size()) * sizeof(float);
  EXPECT_EQ(std::memcmp(y.data(), expected.data(), bytes), 0)
      << name << " n=" << layer.outputs() << " k=" << layer.inputs();
}

/// Whether tests of many million weights run: without optimization they take minutes, and other
/// presets run them optimized.
#if defined(__OPTIMIZE__)
constexpr bool is_optimized = true;
#else
constexpr bool is_optimized = false;
#endif

/// A layer of each kind of weights that has a way of its own.
TEST(many_inputs, give_the_bits_of_reserved_memory_on_every_arch) {
  const row_matrix<float> w = random_reals(37, 20011, 1);
  arch::compiled::for_each([&]<class Arch>() {
    const auto check = [&]<class S, class Inputs>() {
      expect_same_bits_on_the_stack<linear<S, Inputs, Arch>>(w, Arch::name);
    };
    check.template operator()<int8_per_row, dynamic_int8>();
    check.template operator()<uint8_affine_per_row, static_uint8>();
    check.template operator()<uint4_grouped<32>, static_int8>();
    check.template operator()<scheme<uint4, per_row, affine>, dynamic_int8>();
    check.template operator()<int4_per_row, static_uint8>();
    check.template operator()<int4_grouped<32>, dynamic_int8>();
    check.template operator()<uint4_grouped<32>, dynamic_int8_groups>();
    check.template operator()<ttq, dynamic_int8>();
    check.template operator()<binary_per_row, binary_inputs>();
    check.template operator()<int2_per_row, unsigned_inputs<2>>();
  });
}

TEST(many_inputs, of_one_group_need_not_fit_the_stack) {
  const row_matrix<float> w = random_reals(37, 20011, 1);
  arch::compiled::for_each([&]<class Arch>() {
    expect_same_bits_on_the_stack<linear<uint4_grouped<17000>, dynamic_int8, Arch>>(w, Arch::name);
    expect_same_bits_on_the_stack<linear<int4_grouped<17000>, dynamic_int8_groups, Arch>>(
        w, Arch::name);
  });
}

TEST(many_inputs, in_bit_planes_are_counted_in_words) {
  const row_matrix<float> w = random_reals(9, 110011, 1);
  arch::compiled::for_each([&]<class Arch>() {
    expect_same_bits_on_the_stack<linear<binary_per_row, binary_inputs, Arch>>(w, Arch::name);
  });
  expect_same_bits_on_the_stack<linear<ternary_per_row, ternary_inputs>>(w, "ternary");
  expect_same_bits_on_the_stack<linear<binary_per_row, ternary_inputs>>(w, "ternary by binary");
  expect_same_bits_on_the_stack<linear<int4_per_row, few_bit_inputs<4>>>(w, "four bits");
}

/// More outputs than sums fit, too.
TEST(many_inputs, by_many_outputs) {
  if (!is_optimized) GTEST_SKIP() << "not optimized";
  const row_matrix<float> w = random_reals(1100, 13001, 1);
  expect_same_bits_on_the_stack<linear<int8_per_row>>(w, "int8");
  expect_same_bits_on_the_stack<linear<int4_per_row>>(w, "int4");
  expect_same_bits_on_the_stack<linear<int4_grouped<32>>>(w, "groups");
  expect_same_bits_on_the_stack<linear<uint4_grouped<32>, static_int8>>(w, "static groups");
  expect_same_bits_on_the_stack<linear<int2_per_row, unsigned_inputs<2>, arch::scalar>>(w, "bits");
}

TEST(many_inputs, of_product_quantizers_make_tables_in_parts) {
  if (!is_optimized) GTEST_SKIP() << "not optimized";
  const row_matrix<float> w = random_reals(1100, 1501, 1);
  expect_same_bits_on_the_stack<linear<pq<2, 4>>>(w, "4 bits");
  expect_same_bits_on_the_stack<linear<pq<4, 8>>>(w, "8 bits");
  expect_same_bits_on_the_stack<linear<pq<2, 4>, float_inputs>>(w, "floats");
  expect_same_bits_on_the_stack<linear<pq<4, 8>, float_inputs>>(w, "floats by 8 bits");
  arch::compiled::for_each([&]<class Arch>() {
    expect_same_bits_on_the_stack<linear<pq<2, 4>, dynamic_int8, Arch>>(w.topRows(70), Arch::name);
  });
}

}  // namespace ops_many_inputs_test
}  // namespace fewbit
