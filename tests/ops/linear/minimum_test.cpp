// Layers of weights with a minimum for each group, against the documented formulas.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/ops/linear.hpp"
#include "support/kept_scale.hpp"
#include "support/plain_linear.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_linear_minimum_test {

using tests::random_reals;
using tests::times;
using tests::with_12_bits;

/// A sum rounded once to float.
float plus(float a, float b) { return static_cast<float>(double{a} + double{b}); }

/// 16 sums of every 16th number each, added in their order.
float sum_of_16(const std::vector<float>& x) {
  std::array<float, 16> parts{};
  for (std::size_t i = 0; i < x.size(); ++i) parts[i % 16] = plus(parts[i % 16], x[i]);
  float sum = 0.0F;
  for (const float part : parts) sum = plus(sum, part);
  return sum;
}

/// max|x| / 127 of finite numbers.
float scale_of(const std::vector<float>& x) {
  float amax = 0.0F;
  for (const float v : x) amax = std::max(amax, std::fabs(v));
  return amax == 0.0F ? 1.0F : std::max(amax / 127.0F, FLT_MIN);
}

int code_of(float x, float scale) {
  return static_cast<int>(std::nearbyint(times(x, 1.0F / scale)));
}

std::vector<float> part_of(const row_matrix<float>& x, index i, index first, index count) {
  const float* from = x.data() + i * x.cols() + first;
  return {from, from + count};
}

template <class Inputs, class S>
float expected(const row_matrix<float>& x, const quantized_matrix<S>& w, index i, index j) {
  constexpr index size = tests::block_depth<typename S::granularity>;
  const index cols = x.cols(), depth = size == 0 ? cols : size;
  const float row_scale = scale_of(part_of(x, i, 0, cols));
  float total = 0.0F;
  for (index first = 0; first < cols; first += depth) {
    const index count = std::min(depth, cols - first);
    const float scale = with_12_bits(w.scale(j, first)), minimum = w.minimum(j, first);
    const std::vector<float> part = part_of(x, i, first, count);
    if constexpr (std::is_same_v<Inputs, float_inputs>) {
      float sum = 0.0F;
      for (index k = first; k < first + count; ++k)
        sum = plus(sum, times(x(i, k), static_cast<float>(w.code(j, k))));
      total = plus(total, times(sum, scale));
      total = plus(total, times(sum_of_16(part), minimum));
    } else {
      constexpr bool scaled = std::is_same_v<Inputs, dynamic_int8_groups>;
      const float input_scale = scaled ? scale_of(part) : row_scale;
      std::int64_t sum = 0, inputs = 0;
      for (index k = first; k < first + count; ++k) {
        const int code = code_of(x(i, k), input_scale);
        sum += std::int64_t{code} * w.code(j, k);
        inputs += code;
      }
      const float last = scaled ? input_scale : 1.0F;
      total = plus(total, times(times(static_cast<float>(sum), scale), last));
      total = plus(total, times(times(static_cast<float>(inputs), minimum), last));
    }
  }
  return std::is_same_v<Inputs, dynamic_int8> ? times(total, row_scale) : total;
}

template <class S>
class minimum_linear_test : public testing::Test {};
using schemes = testing::Types<uint4_grouped_minimum<32>, scheme<uint8, per_row, real_minimum>,
                               scheme<uint3, grouped<24>, real_minimum, power_of_two>>;
TYPED_TEST_SUITE(minimum_linear_test, schemes);

/// Weights whose minima are of both signs, with groups of one value among them.
row_matrix<float> weights(index n, index k) {
  row_matrix<float> w = random_reals(n, k, 2);
  w.row(n / 2).array() += 5.0F;
  w.row(n - 1).setConstant(-0.3F);
  return w;
}

template <class S, class Inputs, class Archs = arch::list<arch::native>>
void expect_formula() {
  for (const auto& extents : {std::array<index, 3>{1, 1, 1},
                              {1, 200, 70},
                              {2, 64, 17},
                              {3, 33, 16},
                              {5, 130, 20},
                              {14, 96, 35},
                              {27, 50, 3}}) {
    const index m = extents[0], k = extents[1], n = extents[2];
    const row_matrix<float> x = random_reals(m, k, 1);
    const auto q = quantize<S>(weights(n, k));
    const Eigen::VectorXf bias = random_reals(1, n, 3).row(0).transpose();
    row_matrix<float> y = row_matrix<float>::Constant(m, n, 99.0F), of_threads = y;
    const auto check = [&]<class Arch>() {
      linear<S, Inputs, Arch> layer(q, bias);
      layer(x, y);
      for (index i = 0; i < m; ++i) {
        for (index j = 0; j < n; ++j) {
          ASSERT_EQ(y(i, j), plus(expected<Inputs>(x, q, i, j), bias[j]))
              << Arch::name << " m=" << m << " k=" << k << " n=" << n << ": " << i << ", " << j;
        }
      }
    };
    if constexpr (std::is_same_v<Archs, arch::compiled> && !std::is_same_v<Inputs, float_inputs>) {
      arch::compiled::for_each(check);
    } else {
      check.template operator()<arch::native>();
    }
    if constexpr (!std::is_same_v<Inputs, float_inputs>) {
      const linear<S, Inputs> layer(q, bias);
      linear_scratch scratch = layer.make_scratch(3);
      layer(x, of_threads, scratch, thread_executor{3});
      EXPECT_EQ(of_threads, y);
    }
  }
}

TYPED_TEST(minimum_linear_test, equals_its_formula_to_the_bit) {
  expect_formula<TypeParam, dynamic_int8>();
  expect_formula<TypeParam, dynamic_int8_groups>();
  expect_formula<TypeParam, float_inputs>();
}

TEST(minimum_linear, has_the_same_bits_on_every_arch) {
  expect_formula<uint4_grouped_minimum<32>, dynamic_int8, arch::compiled>();
  expect_formula<uint4_grouped_minimum<32>, dynamic_int8_groups, arch::compiled>();
}

/// Against dequantized weights, in double.
TYPED_TEST(minimum_linear_test, is_close_to_the_product_of_dequantized_weights) {
  const row_matrix<float> x = random_reals(4, 200, 5);
  for (const float size : {1.0F, 1e-30F, 1e20F}) {
    const auto q = quantize<TypeParam>((weights(20, 200) * size).eval());
    const row_matrix<double> w = dequantize(q).template cast<double>();
    const row_matrix<double> exact = x.cast<double>() * w.transpose();
    const row_matrix<double> sizes = x.cast<double>().cwiseAbs() * w.cwiseAbs().transpose();
    // Codes and minima may cancel, so the magnitude of both counts.
    const double largest = 10.0 * 200 * double{size};
    row_matrix<float> y(4, 20);
    const auto check = [&](auto&& layer, double share) {
      layer(x, y);
      for (index i = 0; i < y.size(); ++i)
        ASSERT_NEAR(y.data()[i], exact.data()[i], share * (sizes.data()[i] + largest)) << i;
    };
    check(linear<TypeParam>(q), 0x1p-7);
    check(linear<TypeParam, dynamic_int8_groups>(q), 0x1p-7);
    check(linear<TypeParam, float_inputs>(q), 0x1p-11);
  }
}

/// Scales that 16 bits of each cannot hold stand before the minima.
TEST(minimum_linear, is_accurate_for_very_different_scales) {
  using S = uint4_grouped_minimum<32>;
  row_matrix<float> w = random_reals(40, 96, 6);
  for (index j = 0; j < w.rows(); ++j)
    w.row(j) *= std::ldexp(1.0F, static_cast<int>(j % 5) * 20 - 40);
  const auto q = quantize<S>(w);
  const row_matrix<float> x = random_reals(3, 96, 7);
  row_matrix<float> y(3, 40);
  linear<S> layer(q);
  layer(x, y);
  for (index i = 0; i < 3; ++i) {
    for (index j = 0; j < 40; ++j) ASSERT_EQ(y(i, j), expected<dynamic_int8>(x, q, i, j));
  }
}

/// Rows whose codes do not fit the memory of a call: some groups at a time, or pieces of one group.
TEST(minimum_linear, accepts_rows_that_do_not_fit_the_stack) {
  const auto check = [&]<class S, class Inputs>(index k) {
    const row_matrix<float> x = random_reals(2, k, 8);
    const auto q = quantize<S>(random_reals(37, k, 9));
    linear<S, Inputs> layer(q);
    row_matrix<float> y(2, 37);
    layer(x, y);
    for (index i = 0; i < 2; ++i) {
      for (index j = 0; j < 37; ++j) ASSERT_EQ(y(i, j), expected<Inputs>(x, q, i, j)) << k;
    }
  };
  check.template operator()<uint4_grouped_minimum<32>, dynamic_int8>(20000);
  check.template operator()<uint4_grouped_minimum<32>, dynamic_int8_groups>(20000);
  check.template operator()<scheme<uint8, per_row, real_minimum>, dynamic_int8>(30000);
  check.template operator()<scheme<uint8, per_row, real_minimum>, dynamic_int8_groups>(30000);
}

TEST(minimum_linear, takes_one_more_float_for_each_group) {
  const row_matrix<float> w = random_reals(64, 256, 1);
  const index bias = 64 * 4;
  EXPECT_EQ((linear<uint4_grouped_minimum<32>>(w).bytes()) - bias, 64 * 256 / 2 + 64 * 8 * 6);
  EXPECT_EQ((linear<uint4_grouped_minimum<32>, float_inputs>(w).bytes()) - bias,
            64 * 256 / 2 + 64 * 8 * 6);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(minimum_linear, refuses_weights_whose_totals_could_overflow_float) {
  using S = uint4_grouped_minimum<32>;
  const auto sentence = [](float value) {
    const row_matrix<float> w = row_matrix<float>::Constant(2, 64, value);
    return tests::sentence_of([&] { linear<S> layer(w); });
  };
  EXPECT_EQ(sentence(1e34F), "no error");
  EXPECT_EQ(sentence(-1e35F),
            "fewbit: linear: largest sum of row 0 of weights by codes of inputs is " +
                detail::text(64 * 127 * double{1e35F}) + ", expected at most " +
                detail::text(FLT_MAX));
}
#endif

}  // namespace ops_linear_minimum_test
}  // namespace fewbit
