// Products of bit planes of every pair of widths, on every arch, with the most extreme codes.

#include <gtest/gtest.h>

#include <utility>

#include "fewbit/gemm/bit_planes/multiply.hpp"
#include "support/bit_codes.hpp"

namespace fewbit { namespace gemm_every_bit_width_test {

/// Rows of the lowest code, of the highest code, of both alternately, and of random codes.
template <class F>
row_matrix<typename F::code> extreme_codes(index rows, index k, std::uint32_t seed) {
  const auto codes = tests::codes_of<F>();
  row_matrix<typename F::code> m = tests::random_codes_of<F>(rows, k, seed);
  m.row(0).setConstant(codes.front());
  m.row(1).setConstant(codes.back());
  for (index i = 0; i < k; ++i) m(2, i) = i % 3 == 0 ? codes.front() : codes.back();
  return m;
}

/// Compiled once, not for every pair of widths.
void expect_equal(const row_matrix<std::int32_t>& c, const row_matrix<std::int64_t>& expected,
                  const char* arch) {
  EXPECT_EQ(c.cast<std::int64_t>().eval(), expected) << arch;
}

template <class A, class W>
void expect_exact() {
  const index k = 67;
  const auto a = extreme_codes<A>(4, k, 1);
  const auto w = extreme_codes<W>(5, k, 2);
  const row_matrix<std::int64_t> expected = tests::wide_product_of(a, w);
  arch::compiled::for_each([&]<class Arch>() {
    row_matrix<std::int32_t> c(a.rows(), w.rows());
    gemm::multiply(gemm::to_planes<A, Arch>(a), gemm::pack_planes<A, W, Arch>(w), c);
    expect_equal(c, expected, Arch::name);
  });
}

/// Calls f for widths 1 to 8 on both sides.
template <template <int> class A, template <int> class W>
void expect_exact_at_every_width() {
  [&]<int... i>(std::integer_sequence<int, i...>) {
    (
        [&] {
          SCOPED_TRACE(testing::Message() << i / 8 + 1 << " by " << i % 8 + 1 << " bits");
          expect_exact<A<i / 8 + 1>, W<i % 8 + 1>>();
        }(),
        ...);
  }(std::make_integer_sequence<int, 64>());
}

TEST(every_bit_width, unsigned_by_signed) {
  expect_exact_at_every_width<gemm::unsigned_bits, gemm::signed_bits>();
}

TEST(every_bit_width, signed_by_signed) {
  expect_exact_at_every_width<gemm::signed_bits, gemm::signed_bits>();
}

TEST(every_bit_width, unsigned_by_unsigned) {
  expect_exact_at_every_width<gemm::unsigned_bits, gemm::unsigned_bits>();
}

TEST(every_bit_width, signed_by_unsigned) {
  expect_exact_at_every_width<gemm::signed_bits, gemm::unsigned_bits>();
}

TEST(every_bit_width, signs_by_signs) {
  expect_exact_at_every_width<gemm::sign_bits, gemm::sign_bits>();
}

TEST(every_bit_width, ternary_by_integers) {
  expect_exact<gemm::unsigned_bits<8>, gemm::ternary_bits>();
  expect_exact<gemm::signed_bits<4>, gemm::ternary_bits>();
  expect_exact<gemm::ternary_bits, gemm::signed_bits<4>>();
}

}  // namespace gemm_every_bit_width_test
}  // namespace fewbit
