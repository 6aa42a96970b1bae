#include "fewbit/formats/ggml_quantize.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "formats/ggml_oracle.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace formats_ggml_quantize_test {

using tests::bytes;
using tests::variant;

template <class B>
bytes bytes_of(const B& block) {
  bytes b(sizeof(B));
  std::memcpy(b.data(), &block, sizeof(B));
  return b;
}

template <class Mode>
constexpr variant variant_of() {
  return std::is_same_v<Mode, ggml_ref>   ? variant::ref
         : std::is_same_v<Mode, ggml_x86> ? variant::x86
                                          : variant::neon;
}

bytes oracle(q8_0, const float* x, variant v) { return tests::oracle_q8_0(x, v); }
bytes oracle(q5_0, const float* x, variant) { return tests::oracle_q5_0(x); }
bytes oracle(q4_0, const float* x, variant) { return tests::oracle_q4_0(x); }
bytes oracle(q4_1, const float* x, variant) { return tests::oracle_q4_1(x); }

template <class B, class Mode>
void expect_oracle(const std::vector<float>& x) {
  const auto count = static_cast<index>(x.size()) / 32;
  std::vector<B> blocks(static_cast<std::size_t>(count));
  quantize_row<B, Mode>(x.data(), count, blocks.data());
  for (index i = 0; i < count; ++i) {
    ASSERT_EQ(bytes_of(blocks[static_cast<std::size_t>(i)]),
              oracle(B{}, x.data() + 32 * i, variant_of<Mode>()))
        << B::name << " " << Mode::name << ", block " << i << " of " << count;
  }
}

TEST(ggml_quantize, has_the_bytes_of_the_formulas) {
  const std::vector<float> x = tests::hard_floats(6000, 1);
  expect_oracle<q8_0, ggml_ref>(x);
  expect_oracle<q8_0, ggml_x86>(x);
  expect_oracle<q8_0, ggml_neon>(x);
  expect_oracle<q5_0, ggml_ref>(x);
  expect_oracle<q4_0, ggml_ref>(x);
  expect_oracle<q4_0, ggml_x86>(x);
  expect_oracle<q4_1, ggml_neon>(x);
}

TEST(ggml_quantize, any_number_of_blocks) {
  for (const int count : {1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 65, 127, 128, 145}) {
    const std::vector<float> x = tests::hard_floats(count, static_cast<unsigned>(count));
    expect_oracle<q8_0, ggml_ref>(x);
    expect_oracle<q8_0, ggml_x86>(x);
    expect_oracle<q4_0, ggml_ref>(x);
  }
}

/// Blocks of zeros, blocks of one constant, and blocks that contain both +max and -max.
TEST(ggml_quantize, blocks_of_zeros_and_of_ties) {
  for (const float first : {0.0F, -0.0F, 3.0F, -3.0F}) {
    for (const std::size_t at : {0U, 5U, 15U, 16U, 30U}) {
      std::vector<float> x(32 * 40, 0.0F);
      for (std::size_t i = 0; i < x.size(); i += 32) {
        x[i + at] = first;
        x[i + at + 1] = -first;
      }
      expect_oracle<q8_0, ggml_ref>(x);
      expect_oracle<q4_0, ggml_ref>(x);
      expect_oracle<q5_0, ggml_ref>(x);
      expect_oracle<q4_1, ggml_ref>(x);
    }
  }
}

TEST(ggml_quantize, the_three_modes_differ) {
  const std::vector<float> x = tests::hard_floats(8000, 2);
  std::vector<q8_0> ref(8000), x86(8000), neon(8000);
  quantize_row<q8_0, ggml_ref>(x.data(), 8000, ref.data());
  quantize_row<q8_0, ggml_x86>(x.data(), 8000, x86.data());
  quantize_row<q8_0, ggml_neon>(x.data(), 8000, neon.data());
  EXPECT_FALSE(ref == x86);
  EXPECT_FALSE(x86 == neon);
  EXPECT_FALSE(neon == ref);
}

/// With scales of 1 or 2 the codes equal the values, so that the expected bytes are easy to check.
TEST(ggml_quantize, layout) {
  float x[32];
  q8_0 b8;
  for (int j = 0; j < 32; ++j) x[j] = static_cast<float>(j == 9 ? -127 : j - 3);
  quantize_row(x, 1, &b8);
  EXPECT_EQ(b8.d[0] | b8.d[1] << 8, 0x3C00);
  for (int j = 0; j < 32; ++j) EXPECT_EQ(b8.qs[j], j == 9 ? -127 : j - 3);
  q4_0 b4;
  for (int j = 0; j < 32; ++j) x[j] = static_cast<float>((j < 16 ? j : 31 - j) - 8);
  quantize_row(x, 1, &b4);
  EXPECT_EQ(b4.d[0] | b4.d[1] << 8, 0x3C00);
  for (int j = 0; j < 16; ++j) EXPECT_EQ(b4.qs[j], j | (15 - j) << 4);
  q4_1 b1;
  for (int j = 0; j < 32; ++j) x[j] = static_cast<float>((j < 16 ? j : 31 - j) * 2 + 3);
  quantize_row(x, 1, &b1);
  EXPECT_EQ(b1.d[0] | b1.d[1] << 8, 0x4000);
  EXPECT_EQ(b1.m[0] | b1.m[1] << 8, 0x4200);
  for (int j = 0; j < 16; ++j) EXPECT_EQ(b1.qs[j], j | (15 - j) << 4);
  q5_0 b5;
  for (int j = 0; j < 32; ++j) x[j] = static_cast<float>(16 - j);
  quantize_row(x, 1, &b5);
  EXPECT_EQ(b5.d[0] | b5.d[1] << 8, 0xBC00);
  for (int j = 0; j < 16; ++j) EXPECT_EQ(b5.qs[j], j * 17);
  EXPECT_EQ(b5.qh[0] | b5.qh[1] << 8 | b5.qh[2] << 16, 0xFF0000);
  EXPECT_EQ(b5.qh[3], 0xFF);
}

template <class B>
double error_in_steps(const row_matrix<float>& w, const block_matrix<B>& q, int steps) {
  const row_matrix<float> w_hat = dequantize(q);
  double worst = 0.0;
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); c += 32) {
      const auto x = w.row(r).segment(c, 32);
      const float width = B::has_minimum ? x.maxCoeff() - x.minCoeff() : x.cwiseAbs().maxCoeff();
      const double step = width / static_cast<float>(steps);
      worst = std::max(worst, (x - w_hat.row(r).segment(c, 32)).cwiseAbs().maxCoeff() / step);
    }
  }
  return worst;
}

TEST(ggml_quantize, matrices_are_decoded_within_a_step) {
  const row_matrix<float> w = tests::random_reals(9, 96, 1);
  const auto by_threads = quantize_blocks<q4_0>(w, thread_executor{3});
  EXPECT_EQ(by_threads, quantize_blocks<q4_0>(w));
  EXPECT_EQ(by_threads.blocks_per_row(), 3);
  EXPECT_LT(error_in_steps(w, quantize_blocks<q8_0>(w), 127), 0.6);
  EXPECT_LT(error_in_steps(w, quantize_blocks<q5_0>(w), 16), 1.1);
  EXPECT_LT(error_in_steps(w, by_threads, 8), 1.1);
  EXPECT_LT(error_in_steps(w, quantize_blocks<q4_1>(w), 15), 0.6);
  EXPECT_EQ((quantize_blocks<q8_0, ggml_x86>(w.row(4)).blocks()[2]),
            (quantize_blocks<q8_0, ggml_x86>(w).row(4)[2]));
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(ggml_quantize, names_bad_arguments) {
  row_matrix<float> w = tests::random_reals(2, 64, 1);
  const auto sentence = [](const auto& m) {
    return tests::sentence_of([&] { return quantize_blocks<q8_0>(m); });
  };
  EXPECT_EQ(sentence(w.leftCols(33)),
            "fewbit: quantize_blocks: number of columns is 33, expected a multiple of 32");
  w(1, 40) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(sentence(w), "fewbit: quantize_blocks: w(1, 40) is nan, expected a finite number");
  w(1, 40) = 127.0F * 65504.0F;
  EXPECT_EQ(sentence(w), "no error");
  w(1, 40) = 127.0F * 65520.0F;
  EXPECT_EQ(
      sentence(w),
      "fewbit: quantize_blocks: w(1, 40) is 8.32104e+06, expected a number whose block has a d "
      "within half precision, 65504");
  const auto refused = [&](float x, const auto& make) {
    w(1, 40) = x;
    return tests::sentence_of([&] { return make(w); });
  };
  for (const float x : {1e30F, -1e30F, 3.4e38F, -3.4e38F}) {
    const std::string blamed = "fewbit: quantize_blocks: w(1, 40) is " + detail::text(x);
    const auto is_blamed = [&](const std::string& s) { return s.rfind(blamed, 0) == 0; };
    EXPECT_TRUE(is_blamed(refused(x, [](const auto& m) { return quantize_blocks<q8_0>(m); })));
    EXPECT_TRUE(is_blamed(refused(x, [](const auto& m) { return quantize_blocks<q4_0>(m); })));
    EXPECT_TRUE(is_blamed(refused(x, [](const auto& m) { return quantize_blocks<q5_0>(m); })));
    EXPECT_TRUE(is_blamed(refused(x, [](const auto& m) { return quantize_blocks<q4_1>(m); })));
  }
  EXPECT_EQ(refused(-70000.0F, [](const auto& m) { return quantize_blocks<q4_1>(m); }),
            "fewbit: quantize_blocks: w(1, 40) is -70000, expected a number within half precision, "
            "65504");
}
#endif

}  // namespace formats_ggml_quantize_test
}  // namespace fewbit
