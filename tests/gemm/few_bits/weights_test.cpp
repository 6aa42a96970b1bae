#include "fewbit/gemm/few_bits/weights.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "support/archs.hpp"
#include "support/narrow.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace gemm_few_bits_weights_test {

using tests::for_each_width, tests::largest_value_of, tests::random_weights;

template <class Arch>
class few_bit_weights_test : public testing::Test {};

TYPED_TEST_SUITE(few_bit_weights_test, tests::archs, tests::arch_names);

template <int Bits, class Arch>
index wrong_weights(const gemm::few_bit_weights<Bits, Arch>& packed,
                    const row_matrix<std::int8_t>& w) {
  index wrong = 0;
  for (index j = 0; j < w.rows(); ++j) {
    std::int32_t sum = 0;
    for (index i = 0; i < w.cols(); ++i) {
      sum += w(j, i);
      if (packed.weight(j, i) != w(j, i)) ++wrong;
    }
    if (packed.column_sums()[j] != sum) ++wrong;
  }
  return wrong;
}

TYPED_TEST(few_bit_weights_test, keep_all_weights_at_odd_lengths_with_any_zero_point) {
  for_each_width([]<int Bits>() {
    using packed_type = gemm::few_bit_weights<Bits, TypeParam>;
    constexpr index cols = packed_type::unit::cols;
    for (const index n : {index{1}, cols - 1, cols + 1, 9 * cols + 3}) {
      for (const index k : {1, 3, 15, 33, 67}) {
        for (const int zero : {0, packed_type::default_zero_point, largest_value_of(Bits) + 1}) {
          SCOPED_TRACE(testing::Message()
                       << "bits=" << Bits << " n=" << n << " k=" << k << " zero=" << zero);
          const auto w = random_weights(n, k, Bits, zero, 1);
          EXPECT_EQ(wrong_weights(packed_type(w, zero), w), 0);
        }
      }
    }
  });
}

TYPED_TEST(few_bit_weights_test, are_zero_after_the_last_weight) {
  for_each_width([]<int Bits>() {
    using packed_type = gemm::few_bit_weights<Bits, TypeParam>;
    const packed_type packed(random_weights(1, 5, Bits, 0, 1), 0);
    for (index j = 0; j < packed.panels().padded_n(); ++j) {
      for (index i = 0; i < packed_type::chunk_codes; ++i) {
        if (j < 1 && i < 5) continue;
        ASSERT_EQ(packed.weight(j, i), 0) << j << " " << i;
      }
    }
  });
}

TYPED_TEST(few_bit_weights_test, need_few_bytes_more_than_their_bits) {
  for_each_width([]<int Bits>() {
    const index n = 384, k = 1024;
    const auto w = random_weights(n, k, Bits, 0, 1);
    const gemm::few_bit_weights<Bits, TypeParam> packed(w, 0);
    EXPECT_EQ(packed.n(), n);
    EXPECT_EQ(packed.k(), k);
    EXPECT_EQ(packed.zero_point(), 0);
    EXPECT_LE(packed.bytes(), n * k * Bits / 8 + 4 * n);
  });
}

TYPED_TEST(few_bit_weights_test, hold_the_same_bytes_with_any_executor) {
  for_each_width([]<int Bits>() {
    using packed_type = gemm::few_bit_weights<Bits, TypeParam>;
    const auto w = random_weights(150, 37, Bits, packed_type::default_zero_point, 1);
    const packed_type one(w);
    const packed_type same[] = {gemm::pack_few_bits<Bits, TypeParam>(w),
                                gemm::pack_few_bits<Bits, TypeParam>(
                                    w, packed_type::default_zero_point, thread_executor{2})};
    for (const packed_type& other : same) {
      ASSERT_EQ(other.bytes(), one.bytes());
      const index codes = one.panels().padded_n() / packed_type::unit::cols * one.panel_bytes();
      EXPECT_TRUE(std::equal(one.panel(0), one.panel(0) + codes, other.panel(0)));
      EXPECT_TRUE(std::equal(one.column_sums(), one.column_sums() + 150, other.column_sums()));
    }
  });
}

/// The example at the head of the header.
TEST(few_bit_weights, hold_the_bytes_of_the_documented_example) {
  row_matrix<std::int8_t> w(2, 5);
  w << 1, 2, 3, 4, 5, -1, -2, -3, -4, -5;
  const auto packed = gemm::pack_few_bits<4, arch::scalar>(w);
  std::vector<int> expected = {0xD9, 0x0A, 0x0B, 0x0C, 0x37, 0x06, 0x05, 0x04};
  expected.resize(32, 0);
  EXPECT_EQ(std::vector<int>(packed.panel(0), packed.panel(0) + 32), expected);
  EXPECT_EQ(packed.column_sums()[0], 15);
  EXPECT_EQ(packed.column_sums()[1], -15);
  EXPECT_EQ(packed.bytes(), 32 + 8 * 4);
}

TEST(few_bit_weights, accept_column_major_weights_and_an_executor) {
  const auto w = random_weights(70, 37, 2, 1, 1);
  const Eigen::Matrix<std::int8_t, Eigen::Dynamic, Eigen::Dynamic> column_major = w;
  EXPECT_EQ(wrong_weights(gemm::few_bit_weights<2>(column_major, 1, thread_executor{2}), w), 0);
}

TEST(few_bit_weights, may_be_empty) {
  EXPECT_EQ(gemm::few_bit_weights<2>().n(), 0);
  EXPECT_EQ(gemm::few_bit_weights<2>(row_matrix<std::int8_t>(0, 5)).bytes(), 0);
  EXPECT_EQ(gemm::few_bit_weights<2>(row_matrix<std::int8_t>(3, 0)).column_sums()[2], 0);
}

#if FEWBIT_HAS_EXCEPTIONS
template <int Bits>
std::string sentence_of_packing(const row_matrix<std::int8_t>& w, int zero_point) {
  return tests::sentence_of([&] { return gemm::few_bit_weights<Bits>(w, zero_point); });
}

TEST(pack_few_bits, refuses_weights_without_elements) {
  EXPECT_EQ(
      tests::sentence_of([] { return gemm::pack_few_bits<2>(row_matrix<std::int8_t>(0, 5)); }),
      "fewbit: pack_few_bits: w is 0 x 5, expected at least one row and one column");
}

TEST(few_bit_weights, refuse_a_weight_of_more_bits) {
  row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Constant(3, 5, 1);
  w(2, 4) = 2;
  EXPECT_EQ(sentence_of_packing<2>(w, 2),
            "fewbit: few_bit_weights: w(2, 4) is 2, expected -2 to 1");
  EXPECT_EQ(sentence_of_packing<2>(w, 1), "no error");
  w(0, 3) = -2;
  EXPECT_EQ(sentence_of_packing<2>(w, 1),
            "fewbit: few_bit_weights: w(0, 3) is -2, expected -1 to 2");
  w.setConstant(-1);
  w(1, 0) = 0;
  EXPECT_EQ(sentence_of_packing<1>(w, 1),
            "fewbit: few_bit_weights: w(1, 0) is 0, expected -1 or 1");
}

TEST(few_bit_weights, refuse_a_zero_point_that_is_not_a_code) {
  const row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Zero(1, 1);
  EXPECT_EQ(sentence_of_packing<2>(w, -1),
            "fewbit: few_bit_weights: zero_point is -1, expected 0 to 4");
  EXPECT_EQ(sentence_of_packing<4>(w, 17),
            "fewbit: few_bit_weights: zero_point is 17, expected 0 to 16");
}

TEST(few_bit_weights, refuse_a_depth_that_could_overflow_int32) {
  const index most = gemm::few_bit_weights<4>::max_depth;
  EXPECT_EQ(most, 526344);  // 526344 * 255 * 16 <= 2^31 - 1
  const row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Zero(1, most + 1);
  EXPECT_EQ(sentence_of_packing<4>(w.leftCols(most), 8), "no error");
  EXPECT_EQ(sentence_of_packing<4>(w, 8),
            "fewbit: few_bit_weights: depth is 526345, expected at most 526344");
}
#endif

}  // namespace gemm_few_bits_weights_test
}  // namespace fewbit
