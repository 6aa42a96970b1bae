#include "fewbit/gemm/apply_epilogue.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/gemm/stages.hpp"

namespace fewbit { namespace gemm_apply_epilogue_test {

struct tables {
  row_matrix<std::int32_t> sums;
  std::vector<std::int32_t> bias;
  std::vector<float> factors;

  tables(index m, index n) : sums(m, n) {
    std::mt19937 random(5);
    for (index i = 0; i < sums.size(); ++i)
      sums.data()[i] = static_cast<std::int32_t>(random()) >> (random() % 24);
    for (index j = 0; j < n; ++j) {
      bias.push_back(static_cast<std::int32_t>(random() % 3000) - 1500);
      factors.push_back(static_cast<float>(random() % 1000) / 50000.0F);
    }
  }
};

/// Compares with the epilogue of one number at a time, with and without stores that bypass the
/// caches, with rows of C on cache lines and off them.
template <class Out, class MakeEpilogue>
void check(index m, index n, const MakeEpilogue& make) {
  const tables t(m, n);
  const auto epilogue = make(t);
  row_matrix<Out> expected(m, n);
  for (index i = 0; i < m; ++i) {
    for (index j = 0; j < n; ++j) expected(i, j) = epilogue(t.sums(i, j), gemm::at{i, j, 1});
  }
  for (const index stride : {n, (n + 63) / 64 * 64 + 64}) {
    for (const index streaming : {index{0}, index{1} << 40}) {
      aligned_buffer<Out> out(m * stride + 1);
      const gemm::output_rectangle<Out> c{out.data(), stride, 0, 0, m, n};
      gemm::detail::apply_epilogue(t.sums.data(), n, c, epilogue, streaming, inline_executor{});
      const Eigen::Map<const row_matrix<Out>, 0, Eigen::OuterStride<>> got(
          out.data(), m, n, Eigen::OuterStride<>(stride));
      ASSERT_EQ(got, expected) << m << " x " << n << " by " << stride;
      for (index i = 0; i < m; ++i)
        for (index j = n; j < stride; ++j) ASSERT_EQ(out[i * stride + j], Out{0});
    }
  }
}

TEST(apply_epilogue, applies_the_epilogue_to_each_sum) {
  for (const index n : {1, 15, 16, 63, 64, 65, 128, 200, 1024}) {
    for (const index m : {1, 3, 70}) {
      check<std::int8_t>(m, n, [](const tables& t) {
        return gemm::add_bias(t.bias.data()) | gemm::requantize<xnn_fp32>(t.factors) |
               gemm::to_int8{-9};
      });
      check<float>(m, n, [](const tables& t) {
        return gemm::to_float{} | gemm::scale_columns(t.factors.data());
      });
    }
  }
}

TEST(apply_epilogue, accepts_matrices) {
  const tables t(4, 30);
  row_matrix<std::uint8_t> c(4, 30);
  const auto epilogue = gemm::add_bias(t.bias.data()) | gemm::to_uint8{3};
  gemm::apply_epilogue(t.sums, c, epilogue);
  EXPECT_EQ(c(3, 29), epilogue(t.sums(3, 29), gemm::at{3, 29, 1}));
}

}  // namespace gemm_apply_epilogue_test
}  // namespace fewbit
