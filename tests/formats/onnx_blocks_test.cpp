#include "fewbit/formats/onnx_blocks.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "fewbit/quant/quantize.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace formats_onnx_blocks_test {

/// Random codes, scales of both signs and zero points.
matmul_nbits random_inputs(index n, index k, index size, bool has_zeros, unsigned seed) {
  std::mt19937 random(seed);
  const index blocks = (k + size - 1) / size;
  matmul_nbits w{n, k, {}, {}, {}};
  for (index i = 0; i < n * blocks * size / 2; ++i)
    w.codes.push_back(static_cast<std::uint8_t>(random()));
  for (index i = 0; i < n * blocks; ++i)
    w.scales.push_back(static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 999.5F +
                       1e-5F);
  for (index i = 0; has_zeros && i < n * ((blocks + 1) / 2); ++i)
    w.zero_points.push_back(static_cast<std::uint8_t>(random()));
  return w;
}

/// Value (r, c) by the formula of the operator.
float value_of(const matmul_nbits& w, index size, index r, index c) {
  const index blocks = (w.k + size - 1) / size, b = c / size;
  const auto nibble = [](const std::vector<std::uint8_t>& v, index row_start, index i) {
    const int byte = v[static_cast<std::size_t>(row_start + i / 2)];
    return i % 2 == 0 ? byte % 16 : byte / 16;
  };
  const int code = nibble(w.codes, r * blocks * size / 2, c);
  const int zero = w.zero_points.empty() ? 8 : nibble(w.zero_points, r * ((blocks + 1) / 2), b);
  return static_cast<float>(code - zero) * w.scales[static_cast<std::size_t>(r * blocks + b)];
}

template <index G>
void expect_values(const matmul_nbits& w) {
  const auto q = from_matmul_nbits<G>(w);
  const row_matrix<float> values = dequantize(q);
  for (index r = 0; r < w.n; ++r) {
    for (index c = 0; c < w.k; ++c) ASSERT_EQ(values(r, c), value_of(w, G, r, c)) << r << " " << c;
  }
  const matmul_nbits same = to_matmul_nbits<G>(q);
  EXPECT_EQ(from_matmul_nbits<G>(same), q);
  for (index r = 0; r < w.n; ++r) {
    for (index c = 0; c < w.k; ++c) ASSERT_EQ(value_of(same, G, r, c), value_of(w, G, r, c));
  }
}

TEST(onnx_blocks, keep_every_value_in_both_directions) {
  for (const bool has_zeros : {true, false}) {
    for (const index k : {1, 15, 16, 17, 64, 100, 256, 300, 513}) {
      SCOPED_TRACE(k);
      expect_values<16>(random_inputs(3, k, 16, has_zeros, 1));
      expect_values<32>(random_inputs(3, k, 32, has_zeros, 2));
      expect_values<64>(random_inputs(3, k, 64, has_zeros, 3));
      expect_values<128>(random_inputs(3, k, 128, has_zeros, 4));
      expect_values<256>(random_inputs(3, k, 256, has_zeros, 5));
    }
  }
}

TEST(onnx_blocks, weights_without_zero_points_are_restored) {
  matmul_nbits w = random_inputs(4, 96, 32, false, 6);
  w.scales[5] = 0.0F;
  std::fill(w.codes.begin() + 5 * 16, w.codes.begin() + 6 * 16, std::uint8_t{0x88});
  const auto q = from_matmul_nbits<32>(w);
  EXPECT_TRUE(dequantize(q).row(1).segment(64, 32).isZero(0.0F));
  const matmul_nbits back = to_matmul_nbits<32>(q, zero_point_input::implied);
  EXPECT_EQ(back.codes, w.codes);
  EXPECT_EQ(back.scales, w.scales);
  EXPECT_TRUE(back.zero_points.empty());
  EXPECT_EQ(to_matmul_nbits<32>(q).zero_points.size(), 8U);
}

TEST(onnx_blocks, quantized_weights_with_zero_points_are_restored) {
  row_matrix<float> w = tests::random_reals(5, 90, 7);
  w.row(2).setZero();
  const auto q = quantize<uint4_grouped<16>>(w);
  EXPECT_EQ(from_matmul_nbits<16>(to_matmul_nbits(q)), q);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(onnx_blocks, names_bad_arguments) {
  const matmul_nbits good = random_inputs(2, 70, 32, true, 8);
  const auto sentence = [&](auto&& change) {
    matmul_nbits w = good;
    change(w);
    return tests::sentence_of([&] { return from_matmul_nbits<32>(w); });
  };
  const std::string from = "fewbit: from_matmul_nbits: ";
  EXPECT_EQ(sentence([](auto&) {}), "no error");
  EXPECT_EQ(sentence([](auto& w) { w.n = 0; }),
            from + "shape is 0 x 70, expected at least one row and one column");
  EXPECT_EQ(sentence([](auto& w) { w.k = -1; }),
            from + "shape is 2 x -1, expected at least one row and one column");
  EXPECT_EQ(sentence([](auto& w) { w.scales.pop_back(); }),
            from + "length of scales is 5, expected 2 times 3");
  EXPECT_EQ(sentence([](auto& w) { w.codes.pop_back(); }),
            from + "length of codes is 95, expected 2 times 48");
  EXPECT_EQ(sentence([](auto& w) { w.zero_points.pop_back(); }),
            from + "length of zero_points is 3, expected 2 times 2");
  EXPECT_EQ(sentence([](auto& w) { w.k = std::numeric_limits<index>::max(); }),
            from + "length of scales is 6, expected 2 times 288230376151711744");
  EXPECT_EQ(sentence([](auto& w) { w.scales[4] = std::numeric_limits<float>::infinity(); }),
            from + "scale of block(1, 1) is inf, expected a finite number");
  EXPECT_EQ(
      sentence([](auto& w) { w.scales[4] = 0.0F; }),
      from +
          "scale of block(1, 1) is 0, expected a number other than 0, because codes differ from "
          "the zero point");
  EXPECT_EQ(tests::sentence_of([&] {
              return to_matmul_nbits(quantize<uint4_grouped<16>>(row_matrix<float>::Ones(1, 20)),
                                     zero_point_input::implied);
            }),
            "fewbit: to_matmul_nbits: zero point of block(0, 0) is 0, expected 7 or 8");
}
#endif

}  // namespace formats_onnx_blocks_test
}  // namespace fewbit
