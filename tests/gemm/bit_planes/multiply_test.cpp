#include "fewbit/gemm/bit_planes/multiply.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "fewbit/core/executor_adapters.hpp"
#include "support/bit_codes.hpp"
#include "support/epilogue_oracle.hpp"
#include "support/sanitized.hpp"

namespace fewbit { namespace gemm_bit_planes_multiply_test {

using gemm::binary_bits, gemm::ternary_bits;
using tests::random_codes_of, tests::wide_product_of;

template <class U>
class multiply_bits_test : public testing::Test {
 public:
  using unit_type = typename U::type;
  static constexpr index cols = index{unit_type::lanes} * unit_type::registers;

  template <class A, class W>
  using weights = gemm::plane_weights<A, W, unit_type>;

  /// Both forms of activations: planes, and codes.
  template <class A, class W>
  static row_matrix<std::int32_t> product(const row_matrix<typename A::code>& a,
                                          const row_matrix<typename W::code>& w) {
    const weights<A, W> packed(w);
    row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Constant(a.rows(), w.rows(), 12345);
    row_matrix<std::int32_t> of_codes = c;
    gemm::multiply(gemm::plane_lhs<A, unit_type>(a), packed, c);
    workspace scratch(gemm::scratch_bytes(packed));
    gemm::multiply(a, packed, of_codes, gemm::raw{}, scratch);
    EXPECT_EQ(c, of_codes);
    return c;
  }

  static std::set<index> extents(index t) {
    return {1, t - 1 > 0 ? t - 1 : 1, t, t + 1, 2 * t + 1};
  }

  /// Products of the first m rows of A and the first n rows of W are a corner of one large product.
  template <class A, class W>
  static void expect_exact_on_every_remainder(index k) {
    const index most_m = 2 * unit_type::rows + 1, most_n = 2 * cols + 1;
    const auto a = random_codes_of<A>(most_m, k, 1);
    const auto w = random_codes_of<W>(most_n, k, 2);
    const row_matrix<std::int64_t> expected = wide_product_of(a, w);
    for (const index m : extents(unit_type::rows)) {
      for (const index n : extents(cols)) {
        SCOPED_TRACE(testing::Message() << "m=" << m << " n=" << n << " k=" << k);
        const auto c = product<A, W>(a.topRows(m), w.topRows(n));
        EXPECT_EQ(c.template cast<std::int64_t>().eval(), expected.topLeftCorner(m, n).eval());
      }
    }
  }

  template <class A, class W>
  static void expect_exact() {
    for (const index k : {1, 7, 63, 64, 65, 127, 511, 512, 513, 4096 + 3})
      expect_exact_on_every_remainder<A, W>(k);
  }
};

TYPED_TEST_SUITE(multiply_bits_test, tests::bit_units_here, tests::bit_unit_names);

TYPED_TEST(multiply_bits_test, of_binary_codes_equals_the_wide_integer_product) {
  this->template expect_exact<binary_bits, binary_bits>();
}

TYPED_TEST(multiply_bits_test, of_ternary_codes_equals_the_wide_integer_product) {
  this->template expect_exact<ternary_bits, ternary_bits>();
}

TYPED_TEST(multiply_bits_test, of_ternary_by_binary_codes_equals_the_wide_integer_product) {
  this->template expect_exact<ternary_bits, binary_bits>();
}

TYPED_TEST(multiply_bits_test, of_two_bits_equals_the_wide_integer_product) {
  this->template expect_exact<gemm::unsigned_bits<2>, gemm::signed_bits<2>>();
}

TYPED_TEST(multiply_bits_test, of_signs_equals_the_wide_integer_product) {
  this->template expect_exact<gemm::sign_bits<2>, gemm::sign_bits<3>>();
}

/// A tile of each height, with parities and words after them.
TYPED_TEST(multiply_bits_test, is_exact_at_every_height) {
  using unit = typename TestFixture::unit_type;
  const index k = 64 * 33 - 5;
  const auto w = random_codes_of<gemm::sign_bits<2>>(TestFixture::cols + 1, k, 1);
  for (index m = 1; m <= unit::rows; ++m) {
    const auto a = random_codes_of<binary_bits>(m, k, 2);
    EXPECT_EQ((this->template product<binary_bits, gemm::sign_bits<2>>(a, w)),
              wide_product_of(a, w).template cast<std::int32_t>().eval());
  }
}

/// Panels that one row reads side by side, several times, then one panel, then narrow panels.
TYPED_TEST(multiply_bits_test, is_exact_for_one_row_by_many_panels) {
  const index n = 5 * TestFixture::cols + TestFixture::cols / 2 + 1;
  for (const index k : {65, 64 * 33 - 5}) {
    const auto a = random_codes_of<binary_bits>(1, k, 1);
    const auto w = random_codes_of<binary_bits>(n, k, 2);
    const auto t = random_codes_of<ternary_bits>(1, k, 3);
    EXPECT_EQ((this->template product<binary_bits, binary_bits>(a, w)),
              wide_product_of(a, w).template cast<std::int32_t>().eval());
    EXPECT_EQ((this->template product<ternary_bits, binary_bits>(t, w)),
              wide_product_of(t, w).template cast<std::int32_t>().eval());
  }
}

/// Every k, and all sign patterns of eight codes.
TYPED_TEST(multiply_bits_test, is_exact_at_every_length) {
  for (index k = 0; k <= 257; k += tests::sanitized ? 5 : 1) {
    const auto a = random_codes_of<ternary_bits>(2, k, 1);
    const auto w = random_codes_of<binary_bits>(3, k, 2);
    const auto t = random_codes_of<ternary_bits>(3, k, 3);
    const auto wide = [&](const auto& x, const auto& y) {
      return wide_product_of(x, y).template cast<std::int32_t>().eval();
    };
    EXPECT_EQ((this->template product<binary_bits, binary_bits>(w, w)), wide(w, w)) << k;
    EXPECT_EQ((this->template product<ternary_bits, binary_bits>(a, w)), wide(a, w)) << k;
    EXPECT_EQ((this->template product<ternary_bits, ternary_bits>(a, t)), wide(a, t)) << k;
  }
}

TYPED_TEST(multiply_bits_test, is_exact_on_all_sign_patterns_of_eight) {
  row_matrix<std::int8_t> all(256, 8);
  for (index i = 0; i < 256; ++i) {
    for (index k = 0; k < 8; ++k) all(i, k) = (i >> k & 1) != 0 ? std::int8_t{-1} : std::int8_t{1};
  }
  EXPECT_EQ((this->template product<binary_bits, binary_bits>(all, all)),
            wide_product_of(all, all).template cast<std::int32_t>().eval());
}

TYPED_TEST(multiply_bits_test, accepts_empty_operands) {
  const row_matrix<std::int8_t> none(0, 5), some = random_codes_of<binary_bits>(3, 5, 1);
  EXPECT_EQ((this->template product<binary_bits, binary_bits>(none, some).size()), 0);
  EXPECT_EQ((this->template product<binary_bits, binary_bits>(some, none).size()), 0);
  const row_matrix<std::int8_t> flat(3, 0);
  const row_matrix<std::int32_t> zero = row_matrix<std::int32_t>::Zero(3, 3);
  EXPECT_EQ((this->template product<binary_bits, binary_bits>(flat, flat)), zero);
  EXPECT_EQ((this->template product<ternary_bits, ternary_bits>(flat, flat)), zero);
  EXPECT_EQ((this->template product<ternary_bits, binary_bits>(flat, flat)), zero);
}

TYPED_TEST(multiply_bits_test, reads_and_writes_only_inside_blocks) {
  using unit = typename TestFixture::unit_type;
  const index m = unit::rows + 2, n = TestFixture::cols + unit::lanes + 1, k = 70;
  const auto big_a = random_codes_of<ternary_bits>(m + 4, k + 9, 1);
  const auto w = random_codes_of<ternary_bits>(n, k, 2);
  const auto a = big_a.block(1, 3, m, k);
  const gemm::plane_weights<ternary_bits, ternary_bits, unit> packed(w);
  workspace scratch(gemm::scratch_bytes(packed));
  row_matrix<std::int32_t> big_c = row_matrix<std::int32_t>::Constant(m + 2, n + 5, 777);
  gemm::multiply(a, packed, big_c.block(1, 2, m, n), gemm::raw{}, scratch);
  EXPECT_EQ(big_c.block(1, 2, m, n).template cast<std::int64_t>().eval(), wide_product_of(a, w));
  big_c.block(1, 2, m, n).setConstant(777);
  EXPECT_EQ(big_c, (row_matrix<std::int32_t>::Constant(m + 2, n + 5, 777)));
}

/// Several blocks of rows and pieces of columns. Two rows at each end of a block represent all
/// rows.
TYPED_TEST(multiply_bits_test, does_not_depend_on_slots_or_threads) {
  using unit = typename TestFixture::unit_type;
  const index n = 5 * TestFixture::cols + 1, k = 2051;
  const auto w = random_codes_of<binary_bits>(n, k, 3);
  const gemm::plane_weights<ternary_bits, binary_bits, unit> packed(w);
  for (const index m : {index{1}, index{3}, index{400}}) {
    const auto a = random_codes_of<ternary_bits>(m, k, 4);
    const gemm::plane_lhs<ternary_bits, unit> planes(a);
    row_matrix<std::int32_t> expected(m, n);
    gemm::multiply(planes, packed, expected);
    for (const index i : {index{0}, index{191}, index{192}, m - 1}) {
      if (i >= m) continue;
      EXPECT_EQ(expected.row(i).template cast<std::int64_t>().eval(),
                wide_product_of(a.row(i).eval(), w).row(0).eval());
    }
    row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Zero(m, n);
    gemm::multiply(planes, packed, c, gemm::raw{}, thread_executor{2});
    EXPECT_EQ(c, expected) << "m=" << m;
    for (const index slots : {1, 2, 3, 7}) {
      workspace scratch(gemm::scratch_bytes(packed), slots);
      c.setZero();
      gemm::multiply(a, packed, c, gemm::raw{}, scratch, thread_executor{2});
      EXPECT_EQ(c, expected) << "m=" << m << " slots=" << slots;
    }
  }
}

/// Few columns and many, so that one row has several runs of panels and a strip has several panels.
/// At the larger k a strip has one panel. One tile of rows and several.
TYPED_TEST(multiply_bits_test, applies_an_epilogue_to_each_sum) {
  using unit = typename TestFixture::unit_type;
  for (const index n : {index{unit::lanes} + 1, 2 * TestFixture::cols + 3, index{2500}}) {
    const index k = n == 2 * TestFixture::cols + 3 ? 4099 : 131;
    const auto w = random_codes_of<ternary_bits>(n, k, 5);
    const tests::epilogue_cases cases(n);
    const gemm::plane_weights<ternary_bits, ternary_bits, unit> packed(w);
    for (const index m : {1, 2, unit::rows + 1}) {
      SCOPED_TRACE(testing::Message() << "m=" << m << " n=" << n);
      const auto a = random_codes_of<ternary_bits>(m, k, 6);
      const auto sums = wide_product_of(a, w);
      const auto check = [&]<class Out>(Out none, const auto& epilogue) {
        const auto expected = tests::applied_to_each<Out>(sums, epilogue);
        row_matrix<Out> c = row_matrix<Out>::Constant(m, n, none);
        gemm::multiply(gemm::plane_lhs<ternary_bits, unit>(a), packed, c, epilogue);
        EXPECT_EQ(c, expected);
        c.setConstant(none);
        workspace scratch(gemm::scratch_bytes(packed), 3);
        gemm::multiply(a, packed, c, epilogue, scratch);
        EXPECT_EQ(c, expected);
      };
      check(std::int8_t{77}, cases.to_codes());
      check(77.0F, cases.to_reals());
    }
  }
}

TYPED_TEST(multiply_bits_test, is_exact_at_the_deepest_sum) {
  using unit = typename TestFixture::unit_type;
  using packed = gemm::plane_weights<gemm::unsigned_bits<8>, gemm::signed_bits<8>, unit>;
  const index k = packed::max_depth;
  const row_matrix<std::uint8_t> a = row_matrix<std::uint8_t>::Constant(1, k, 255);
  const row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Constant(2, k, -128);
  const auto c = this->template product<gemm::unsigned_bits<8>, gemm::signed_bits<8>>(a, w);
  EXPECT_EQ(c(0, 1), static_cast<std::int32_t>(std::int64_t{255} * -128 * k));
}

/// An executor that cannot throw, so that only the product itself could throw.
TEST(multiply_bits, does_not_throw) {
  const auto w = gemm::pack_planes<binary_bits, binary_bits>(random_codes_of<binary_bits>(3, 4, 1));
  const auto a = random_codes_of<binary_bits>(2, 4, 2);
  const auto planes = gemm::to_planes<binary_bits>(a);
  row_matrix<std::int32_t> c(2, 3);
  workspace scratch(gemm::scratch_bytes(w));
  static_assert(noexcept(gemm::multiply(planes, w, c)));
  static_assert(noexcept(gemm::multiply(a, w, c, gemm::raw{}, scratch)));
  gemm::multiply(a, w, c, gemm::raw{}, scratch);
  EXPECT_EQ(c.cast<std::int64_t>().eval(),
            wide_product_of(a, random_codes_of<binary_bits>(3, 4, 1)));
}

TEST(multiply_bits, accepts_vectors_and_terminates_on_wrong_shapes) {
  using format = gemm::binary_bits;
  using codes = row_matrix<std::int8_t>;
  using sums = row_matrix<std::int32_t>;
  const auto w = gemm::pack_planes<format, format>(codes::Constant(5, 70, -1));
  workspace scratch(gemm::scratch_bytes(w)), none;
  const codes a = codes::Constant(2, 70, 1);
  sums c(2, 4), right(2, 5);
  EXPECT_DEATH(gemm::multiply(codes::Constant(2, 7, 1).eval(), w, right, gemm::raw{}, scratch),
               "fewbit: multiply: a.cols.. is 7, expected 70");
  EXPECT_DEATH(gemm::multiply(a, w, c, gemm::raw{}, scratch),
               "fewbit: multiply: c.cols.. is 4, expected 5");
  EXPECT_DEATH(gemm::multiply(a, w, right, gemm::raw{}, none),
               "fewbit: multiply: scratch.slots.. is 0");
  const auto planes = gemm::to_planes<format>(a);
  EXPECT_DEATH(gemm::multiply(planes, w, c), "fewbit: multiply: c.cols.. is 4, expected 5");
  EXPECT_DEATH(gemm::multiply(planes, w, sums(1, 5)),
               "fewbit: multiply: c.rows.. is 1, expected 2");
  EXPECT_DEATH(gemm::multiply(gemm::to_planes<format>(a.leftCols(9).eval()), w, right),
               "fewbit: multiply: a.k.. is 9, expected 70");
  Eigen::VectorXi y(5);
  gemm::multiply(Eigen::Matrix<std::int8_t, 70, 1>::Constant(1).eval(), w, y, gemm::raw{}, scratch);
  EXPECT_EQ(y, Eigen::VectorXi::Constant(5, -70));
}

}  // namespace gemm_bit_planes_multiply_test
}  // namespace fewbit
