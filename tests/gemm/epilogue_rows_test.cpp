#include "fewbit/gemm/epilogue_rows.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace fewbit { namespace gemm_epilogue_rows_test {

constexpr int lanes = arch::native_lanes<std::int32_t>;
constexpr index most_cols = 9 * lanes + 3;
constexpr index rows = 3;

struct tables {
  std::vector<std::int32_t> sums, bias;
  std::vector<float> factors;

  tables() {
    std::mt19937 random(5);
    for (index i = 0; i < rows * most_cols; ++i)
      sums.push_back(static_cast<std::int32_t>(random()) >> (random() % 24));
    for (index j = 0; j < most_cols + 2; ++j) {
      bias.push_back(static_cast<std::int32_t>(random() % 3000) - 1500);
      factors.push_back(static_cast<float>(random() % 1000) / 50000.0F);
    }
  }
};

/// Every width of C, inside a larger matrix. Each element equals the epilogue of one number, and
/// other elements do not change.
template <class Out, class MakeEpilogue>
void check(const MakeEpilogue& make) {
  const tables t;
  for (index cols = 0; cols <= most_cols; ++cols) {
    // The arrays end with the columns, so that a sanitizer detects reads after them.
    const std::vector<std::int32_t> bias(t.bias.begin(), t.bias.begin() + cols + 2);
    const std::vector<float> factors(t.factors.begin(), t.factors.begin() + cols + 2);
    const auto epilogue = make(bias, factors);
    row_matrix<Out> c = row_matrix<Out>::Constant(rows + 2, cols + 4, Out{77});
    row_matrix<Out> expected = c;
    const gemm::output_rectangle<Out> to{c.data(), c.outerStride(), 1, 2, rows, cols};
    gemm::apply_epilogue_to_rows<lanes>(t.sums.data(), most_cols, to, epilogue);
    for (index i = 0; i < rows; ++i) {
      for (index j = 0; j < cols; ++j) {
        const std::int32_t sum = t.sums[static_cast<std::size_t>(i * most_cols + j)];
        expected(i + 1, j + 2) = epilogue(sum, gemm::at{i + 1, j + 2, 1});
      }
    }
    ASSERT_EQ(c, expected) << cols << " columns";
  }
}

TEST(apply_epilogue_to_rows, writes_the_epilogue_of_each_sum) {
  check<std::int32_t>([](const auto&, const auto&) { return gemm::raw{}; });
  check<float>([](const auto&, const auto& factors) {
    return gemm::to_float{} | gemm::scale_columns(factors.data());
  });
}

TEST(apply_epilogue_to_rows, narrows_four_registers_like_one) {
  check<std::int8_t>([](const auto&, const auto&) { return gemm::to_int8{-9}; });
  check<std::uint8_t>([](const auto& bias, const auto& factors) {
    return gemm::add_bias(bias.data()) | gemm::requantize<xnn_fp32>(factors) | gemm::to_uint8{100};
  });
  check<std::int8_t>([](const auto& bias, const auto& factors) {
    return gemm::add_bias(bias.data()) | gemm::requantize<xnn_fp32>(factors) | gemm::to_int8{3} |
           gemm::clamp_to<std::int8_t>(-5, 90);
  });
}

TEST(leading_bias, is_the_first_stage_of_an_epilogue) {
  const std::int32_t bias[] = {5, 6};
  const auto whole = gemm::add_bias(&bias[0]) | gemm::relu{} | gemm::to_int8{};
  using found = gemm::leading_bias<std::remove_const_t<decltype(whole)>>;
  static_assert(found::found);
  EXPECT_EQ(found::bias(whole), &bias[0]);
  const gemm::at where{0, 1, 1};
  for (const std::int32_t sum : {-400, -6, 0, 7, 400})
    EXPECT_EQ(found::rest(whole)(sum + bias[1], where), whole(sum, where));
  static_assert(!gemm::leading_bias<decltype(gemm::relu{} | gemm::add_bias(&bias[0]))>::found);
}

}  // namespace gemm_epilogue_rows_test
}  // namespace fewbit
