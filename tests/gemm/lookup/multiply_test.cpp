#include "fewbit/gemm/lookup/multiply.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>

#include "fewbit/core/executor_adapters.hpp"
#include "support/bit_codes.hpp"
#include "support/epilogue_oracle.hpp"
#include "support/table_units.hpp"

namespace fewbit { namespace gemm_lookup_multiply_test {

using gemm::binary_bits, gemm::ternary_bits, gemm::signed_bits, gemm::unsigned_bits;
using tests::random_codes_of, tests::wide_product_of;

template <class U>
class table_product_test : public testing::Test {
 public:
  using unit_type = typename U::type;

  template <class A, class W>
  static row_matrix<std::int32_t> product(const row_matrix<typename A::code>& a,
                                          const row_matrix<typename W::code>& w) {
    const gemm::table_weights<A, W, unit_type> packed(w);
    row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Constant(a.rows(), w.rows(), 12345);
    workspace scratch(gemm::scratch_bytes(packed));
    gemm::multiply(a, packed, c, gemm::raw{}, scratch);
    return c;
  }

  static std::set<index> extents(index t) {
    return {1, t - 1 > 0 ? t - 1 : 1, t, t + 1, 2 * t + 1};
  }

  /// Products of the first m rows of A and the first n rows of W are a corner of one large product.
  template <class A, class W>
  static void expect_exact() {
    const index most_m = 2 * unit_type::rows + 1, most_n = 2 * unit_type::lanes + 1;
    for (const index k : {1, 3, 4, 7, 8, 9, 64, 65, 2047, 2048, 2049, 4096 + 3}) {
      const auto a = random_codes_of<A>(most_m, k, 1);
      const auto w = random_codes_of<W>(most_n, k, 2);
      const row_matrix<std::int64_t> expected = wide_product_of(a, w);
      for (const index m : extents(unit_type::rows)) {
        for (const index n : extents(unit_type::lanes)) {
          SCOPED_TRACE(testing::Message() << "m=" << m << " n=" << n << " k=" << k);
          const auto c = product<A, W>(a.topRows(m), w.topRows(n));
          EXPECT_EQ(c.template cast<std::int64_t>().eval(), expected.topLeftCorner(m, n).eval());
        }
      }
    }
  }

  /// Extreme sums: the lowest and the highest codes, by themselves and by each other.
  template <class A, class W>
  static void expect_exact_at_extremes() {
    const auto a_codes = tests::codes_of<A>();
    const auto w_codes = tests::codes_of<W>();
    const index k = 8 * 256 * 2 + 5;
    for (const auto a : {a_codes.front(), a_codes.back()}) {
      for (const auto w : {w_codes.front(), w_codes.back()}) {
        const auto c = product<A, W>(row_matrix<typename A::code>::Constant(2, k, a),
                                     row_matrix<typename W::code>::Constant(3, k, w));
        EXPECT_EQ(c,
                  (row_matrix<std::int32_t>::Constant(2, 3, static_cast<std::int32_t>(k) * a * w)))
            << int{a} << " " << int{w};
      }
    }
  }
};

TYPED_TEST_SUITE(table_product_test, tests::table_units_here, tests::table_unit_names);

TYPED_TEST(table_product_test, of_int8_by_signs_equals_the_wide_integer_product) {
  this->template expect_exact<signed_bits<8>, binary_bits>();
}

TYPED_TEST(table_product_test, of_int8_by_ternary_codes_equals_the_wide_integer_product) {
  this->template expect_exact<signed_bits<8>, ternary_bits>();
}

TYPED_TEST(table_product_test, of_two_bits_equals_the_wide_integer_product) {
  this->template expect_exact<unsigned_bits<2>, signed_bits<2>>();
}

/// Every number of parts, and every number of bits of a part.
TYPED_TEST(table_product_test, is_exact_for_extreme_codes) {
  this->template expect_exact_at_extremes<signed_bits<8>, ternary_bits>();
  this->template expect_exact_at_extremes<unsigned_bits<8>, binary_bits>();
  this->template expect_exact_at_extremes<unsigned_bits<7>, binary_bits>();
  this->template expect_exact_at_extremes<signed_bits<6>, binary_bits>();
  this->template expect_exact_at_extremes<signed_bits<5>, binary_bits>();
  this->template expect_exact_at_extremes<unsigned_bits<4>, signed_bits<2>>();
  this->template expect_exact_at_extremes<unsigned_bits<1>, gemm::sign_bits<2>>();
}

/// Every index of a table.
TYPED_TEST(table_product_test, is_exact_on_all_patterns_of_eight) {
  row_matrix<std::int8_t> all(256, 8);
  for (index i = 0; i < 256; ++i) {
    for (index k = 0; k < 8; ++k) all(i, k) = (i >> k & 1) != 0 ? std::int8_t{-1} : std::int8_t{1};
  }
  const auto a = random_codes_of<signed_bits<8>>(5, 8, 1);
  EXPECT_EQ((this->template product<signed_bits<8>, binary_bits>(a, all)),
            wide_product_of(a, all).template cast<std::int32_t>().eval());
}

TYPED_TEST(table_product_test, accepts_empty_operands) {
  const row_matrix<std::int8_t> none(0, 5), some = random_codes_of<binary_bits>(3, 5, 1);
  EXPECT_EQ((this->template product<signed_bits<8>, binary_bits>(none, some).size()), 0);
  EXPECT_EQ((this->template product<signed_bits<8>, binary_bits>(some, none).size()), 0);
  const row_matrix<std::int8_t> flat(3, 0);
  EXPECT_EQ((this->template product<signed_bits<8>, binary_bits>(flat, flat)),
            (row_matrix<std::int32_t>::Zero(3, 3)));
}

/// One block of k and several, one tile of rows and several.
TYPED_TEST(table_product_test, applies_an_epilogue_to_each_sum) {
  using unit = typename TestFixture::unit_type;
  using format = gemm::unsigned_bits<2>;
  using weights = gemm::signed_bits<2>;
  for (const index k : {70, 2100}) {
    for (const index n : {index{1}, index{unit::lanes}, 3 * index{unit::lanes} + 1}) {
      const auto w = random_codes_of<weights>(n, k, 5);
      const tests::epilogue_cases cases(n);
      const gemm::table_weights<format, weights, unit> packed(w);
      for (const index m : {1, unit::rows + 1}) {
        SCOPED_TRACE(testing::Message() << "m=" << m << " n=" << n << " k=" << k);
        const auto a = random_codes_of<format>(m, k, 6);
        const auto sums = wide_product_of(a, w);
        const auto check = [&]<class Out>(Out none, const auto& epilogue) {
          const auto expected = tests::applied_to_each<Out>(sums, epilogue);
          for (const index slots : {1, 3}) {
            row_matrix<Out> c = row_matrix<Out>::Constant(m, n, none);
            workspace scratch(gemm::scratch_bytes(packed), slots);
            gemm::multiply(a, packed, c, epilogue, scratch);
            EXPECT_EQ(c, expected) << slots << " slots";
          }
        };
        check(std::int8_t{77}, cases.to_codes());
        check(77.0F, cases.to_reals());
      }
    }
  }
}

TYPED_TEST(table_product_test, reads_and_writes_only_inside_blocks) {
  using unit = typename TestFixture::unit_type;
  const index m = unit::rows + 2, n = unit::lanes + 1, k = 70;
  const auto big_a = random_codes_of<signed_bits<8>>(m + 4, k + 9, 1);
  const auto w = random_codes_of<ternary_bits>(n, k, 2);
  const auto a = big_a.block(1, 3, m, k);
  const gemm::table_weights<signed_bits<8>, ternary_bits, unit> packed(w);
  workspace scratch(gemm::scratch_bytes(packed));
  row_matrix<std::int32_t> big_c = row_matrix<std::int32_t>::Constant(m + 2, n + 5, 777);
  gemm::multiply(a, packed, big_c.block(1, 2, m, n), gemm::raw{}, scratch);
  EXPECT_EQ(big_c.block(1, 2, m, n).template cast<std::int64_t>().eval(), wide_product_of(a, w));
  big_c.block(1, 2, m, n).setConstant(777);
  EXPECT_EQ(big_c, (row_matrix<std::int32_t>::Constant(m + 2, n + 5, 777)));
}

TYPED_TEST(table_product_test, does_not_depend_on_slots_or_threads) {
  using unit = typename TestFixture::unit_type;
  const index n = 3 * unit::lanes + 1, k = 2051;
  const auto w = random_codes_of<ternary_bits>(n, k, 3);
  const gemm::table_weights<signed_bits<8>, ternary_bits, unit> packed(w);
  for (const index m : {index{1}, index{3}, index{4 * unit::rows + 1}}) {
    const auto a = random_codes_of<signed_bits<8>>(m, k, 4);
    const row_matrix<std::int32_t> expected = wide_product_of(a, w).template cast<std::int32_t>();
    for (const index slots : {1, 2, 3, 7}) {
      workspace scratch(gemm::scratch_bytes(packed), slots);
      row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Zero(m, n);
      gemm::multiply(a, packed, c, gemm::raw{}, scratch, thread_executor{2});
      EXPECT_EQ(c, expected) << "m=" << m << " slots=" << slots;
    }
  }
}

TEST(table_product, does_not_throw) {
  const auto w =
      gemm::pack_table<signed_bits<8>, binary_bits>(random_codes_of<binary_bits>(3, 4, 1));
  const auto a = random_codes_of<signed_bits<8>>(2, 4, 2);
  row_matrix<std::int32_t> c(2, 3);
  workspace scratch(gemm::scratch_bytes(w));
  static_assert(noexcept(gemm::multiply(a, w, c, gemm::raw{}, scratch)));
}

TEST(table_product, terminates_on_wrong_shapes) {
  using format = gemm::signed_bits<2>;
  using codes = row_matrix<std::int8_t>;
  const gemm::table_weights<format, format> w(codes::Constant(5, 70, -1));
  workspace scratch(gemm::scratch_bytes(w)), none;
  const codes a = codes::Constant(2, 70, 1);
  row_matrix<std::int32_t> c(2, 4), right(2, 5);
  EXPECT_DEATH(gemm::multiply(codes::Constant(2, 7, 1).eval(), w, right, gemm::raw{}, scratch),
               "fewbit: multiply: a.cols.. is 7, expected 70");
  EXPECT_DEATH(gemm::multiply(a, w, c, gemm::raw{}, scratch),
               "fewbit: multiply: c.cols.. is 4, expected 5");
  EXPECT_DEATH(gemm::multiply(a, w, right, gemm::raw{}, none),
               "fewbit: multiply: scratch.slots.. is 0");
}

}  // namespace gemm_lookup_multiply_test
}  // namespace fewbit
