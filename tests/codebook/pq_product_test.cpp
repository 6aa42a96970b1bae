#include "fewbit/codebook/pq_product.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/core/workspace.hpp"
#include "support/archs.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace codebook_pq_product_test {

using code_matrix = row_matrix<std::uint8_t>;
using tests::random_reals;

product_quantizer random_quantizer(index parts, index centroids, index width) {
  std::vector<row_matrix<float>> all;
  for (index p = 0; p < parts; ++p) {
    all.push_back(random_reals(centroids, width, static_cast<std::uint32_t>(p + 1)));
  }
  return product_quantizer(all);
}

code_matrix random_codes(index n, index parts, index centroids) {
  std::mt19937 random(7);
  code_matrix codes(n, parts);
  for (index i = 0; i < codes.size(); ++i) {
    codes.data()[i] = static_cast<std::uint8_t>(random() % static_cast<unsigned>(centroids));
  }
  return codes;
}

/// Tables of some rows, in memory filled with other values.
template <class Weights>
struct tables_of {
  tables_of(const Weights& w, const row_matrix<float>& x)
      : memory(pq_lhs<Weights>::bytes(w, x.rows())), lhs(w, x.rows(), memory.slot(0)) {
    std::fill_n(memory.slot(0), memory.bytes_per_slot(), std::byte{0x5A});
    for (index r = 0; r < x.rows(); ++r) lhs.fill_row(r, x.data() + r * x.cols());
  }
  workspace memory;
  pq_lhs<Weights> lhs;
};

template <class Arch>
class pq_product_test : public testing::Test {
 public:
  /// Compares sums with plain sums of bytes, and floats with products in double.
  template <int Bits>
  static void expect_product(index m, index n, index parts, index width, index missing = 0) {
    SCOPED_TRACE(testing::Message() << "bits=" << Bits << " m=" << m << " n=" << n << " parts="
                                    << parts << " width=" << width << " missing=" << missing);
    using weights = pq_weights<Bits, Arch>;
    constexpr index centroids = weights::centroids;
    const index k = parts * width - missing;
    const product_quantizer pq = random_quantizer(parts, centroids, width);
    const code_matrix codes = random_codes(n, parts, centroids);
    const weights w(pq, codes, k);
    const row_matrix<float> x = random_reals(m, k, 3);
    const tables_of<weights> tables(w, x);
    row_matrix<std::int32_t> sums(m, n);
    row_matrix<float> y(m, n);
    multiply_pq(tables.lhs, w, sums, gemm::raw{});
    multiply_pq(tables.lhs, w, y, tables.lhs.to_float());
    const row_matrix<double> decoded = pq.decode(codes).leftCols(k).template cast<double>();
    for (index i = 0; i < m; ++i) {
      EXPECT_LE(tables.lhs.error_bound(i),
                0.51 * static_cast<double>(parts) * double{tables.lhs.scale(i)} + 1e-3);
      for (index j = 0; j < n; ++j) {
        std::int32_t want = 0;
        for (index p = 0; p < parts; ++p) {
          want += tables.lhs.tables()[i][p * centroids + codes(j, p)];
        }
        ASSERT_EQ(sums(i, j), want) << i << ", " << j;
        const double exact = x.row(i).template cast<double>().dot(decoded.row(j));
        const double lost = 1e-6 * static_cast<double>(k) * 12;  // rounding of float entries
        ASSERT_NEAR(double{y(i, j)}, exact, tables.lhs.error_bound(i) + lost) << i << ", " << j;
      }
    }
  }
};
TYPED_TEST_SUITE(pq_product_test, tests::archs, tests::arch_names);

TYPED_TEST(pq_product_test, every_number_of_parts) {
  for (const index parts : {1, 2, 7, 8, 9, 255, 256, 257, 513}) {
    this->template expect_product<4>(1, 65, parts, 2);
    this->template expect_product<8>(1, 65, parts, 1);
  }
}

TYPED_TEST(pq_product_test, every_number_of_weight_rows) {
  for (const index n : {1, 31, 32, 33, 63, 64, 255, 256, 257, 511, 512, 513, 1025}) {
    this->template expect_product<4>(1, n, 9, 3);
    this->template expect_product<8>(1, n, 9, 3);
  }
}

TYPED_TEST(pq_product_test, every_number_of_input_rows) {
  for (index m = 2; m <= 8; ++m) {
    this->template expect_product<4>(m, 70, 261, 1);
    this->template expect_product<8>(m, 70, 9, 1);
  }
}

TYPED_TEST(pq_product_test, coordinates_missing_from_the_last_part) {
  for (const index missing : {1, 2, 3}) {
    this->template expect_product<4>(2, 20, 3, 4, missing);
    this->template expect_product<8>(2, 20, 1, 4, missing);
  }
}

/// All bytes are 255, with more parts than a 16-bit sum holds.
TYPED_TEST(pq_product_test, largest_sums_fit) {
  const auto check = [&]<int Bits>() {
    using weights = pq_weights<Bits, TypeParam>;
    row_matrix<float> centroids = row_matrix<float>::Ones(weights::centroids, 1);
    centroids(0, 0) = 0.0F;
    const product_quantizer pq(std::vector<row_matrix<float>>(600, centroids));
    const weights w(pq, code_matrix::Ones(70, 600));
    const tables_of<weights> tables(w, row_matrix<float>::Ones(5, 600));
    row_matrix<std::int32_t> sums(5, 70);
    multiply_pq(tables.lhs, w, sums, gemm::raw{});
    EXPECT_EQ(sums, row_matrix<std::int32_t>::Constant(5, 70, 600 * 255));
  };
  check.template operator()<4>();
  check.template operator()<8>();
}

TYPED_TEST(pq_product_test, has_the_bits_of_the_scalar_arch) {
  const row_matrix<float> x = random_reals(5, 300, 4);
  const auto check = [&]<int Bits>() {
    const product_quantizer pq = random_quantizer(100, index{1} << Bits, 3);
    const code_matrix codes = random_codes(77, 100, index{1} << Bits);
    const pq_weights<Bits, TypeParam> w(pq, codes);
    const pq_weights<Bits, arch::scalar> plain(pq, codes);
    row_matrix<float> y(5, 77), want(5, 77);
    const tables_of<pq_weights<Bits, TypeParam>> tables(w, x);
    const tables_of<pq_weights<Bits, arch::scalar>> plain_tables(plain, x);
    multiply_pq(tables.lhs, w, y, tables.lhs.to_float(), thread_executor{3});
    multiply_pq(plain_tables.lhs, plain, want, plain_tables.lhs.to_float());
    EXPECT_EQ(y, want);
  };
  check.template operator()<4>();
  check.template operator()<8>();
}

/// The bytes by the rule of entry_tables.hpp, from products in double.
TEST(pq_product, bytes_are_within_half_a_step_of_products) {
  const product_quantizer pq = random_quantizer(5, 16, 3);
  const pq_weights<4> w(pq, random_codes(2, 5, 16));
  const row_matrix<float> x = random_reals(2, 15, 9);
  const tables_of<pq_weights<4>> tables(w, x);
  for (index r = 0; r < 2; ++r) {
    double offset = 0.0, spread = 0.0;
    for (index p = 0; p < 5; ++p) {
      const Eigen::VectorXd entries =
          pq.centroids(p).cast<double>() * x.row(r).segment(3 * p, 3).cast<double>().transpose();
      offset += entries.minCoeff();
      spread = std::max(spread, entries.maxCoeff() - entries.minCoeff());
      for (index q = 0; q < 16; ++q) {
        EXPECT_NEAR(entries[q] - entries.minCoeff(),
                    double{tables.lhs.scale(r)} * tables.lhs.tables()[r][16 * p + q],
                    double{tables.lhs.scale(r)} * (0.5 + 0x1p-11));
      }
    }
    EXPECT_NEAR(tables.lhs.scale(r), spread / 255, 1e-5 * spread);
    EXPECT_NEAR(tables.lhs.offset(r), offset, 1e-5 * (1 + std::abs(offset)));
  }
}

TEST(pq_product, rows_that_are_not_finite_become_nan) {
  const product_quantizer pq = random_quantizer(4, 16, 2);
  const pq_weights<4> w(pq, random_codes(20, 4, 16));
  row_matrix<float> x = random_reals(5, 8, 2);
  x(1, 7) = std::numeric_limits<float>::quiet_NaN();
  x(2, 0) = -std::numeric_limits<float>::infinity();
  x(3, 3) = 3e38F;  // overflows when multiplied by a centroid
  const tables_of<pq_weights<4>> tables(w, x);
  row_matrix<float> y(5, 20);
  multiply_pq(tables.lhs, w, y, tables.lhs.to_float());
  for (index j = 0; j < 20; ++j) {
    EXPECT_TRUE(detail::is_finite(y(0, j)) && detail::is_finite(y(4, j)));
    for (const index i : {1, 2, 3}) EXPECT_NE(y(i, j), y(i, j)) << i;
  }
}

TEST(pq_product, is_within_its_bound_for_inputs_of_all_magnitudes) {
  const product_quantizer pq = random_quantizer(4, 16, 2);
  const code_matrix codes = random_codes(20, 4, 16);
  const pq_weights<4> w(pq, codes);
  for (const float size : {0.0F, 1e-44F, 1e-30F, 1e30F}) {
    const row_matrix<float> x = size * random_reals(1, 8, 2);
    const tables_of<pq_weights<4>> tables(w, x);
    row_matrix<float> y(1, 20);
    multiply_pq(tables.lhs, w, y, tables.lhs.to_float());
    const row_matrix<double> want = x.cast<double>() * pq.decode(codes).cast<double>().transpose();
    for (index j = 0; j < 20; ++j) {
      EXPECT_NEAR(double{y(0, j)}, want(0, j),
                  tables.lhs.error_bound(0) + 1e-4 * double{size} + 1e-44);
    }
  }
}

TEST(pq_product, a_shared_codebook_is_stored_once) {
  const row_matrix<float> centroids = random_reals(256, 2, 1);
  const product_quantizer same(std::vector<row_matrix<float>>(10, centroids));
  const code_matrix codes = random_codes(30, 10, 256);
  const pq_weights<8> shared(same, codes);
  EXPECT_TRUE(shared.is_shared());
  EXPECT_EQ(shared.columns(9), shared.columns(0));
  const pq_weights<8> own(random_quantizer(10, 256, 2), codes);
  EXPECT_FALSE(own.is_shared());
  EXPECT_EQ(own.bytes() - shared.bytes(), 9 * 256 * 2 * 4);
  const row_matrix<float> x = random_reals(1, 20, 2);
  const tables_of<pq_weights<8>> tables(shared, x);
  row_matrix<float> y(1, 30);
  multiply_pq(tables.lhs, shared, y, tables.lhs.to_float());
  const row_matrix<double> want = x.cast<double>() * same.decode(codes).cast<double>().transpose();
  for (index j = 0; j < 30; ++j) {
    EXPECT_NEAR(double{y(0, j)}, want(0, j), tables.lhs.error_bound(0) + 1e-3);
  }
}

TYPED_TEST(pq_product_test, returns_the_packed_codes) {
  const code_matrix codes = random_codes(300, 11, 16);
  const pq_weights<4, TypeParam> w4(random_quantizer(11, 16, 1), codes);
  const pq_weights<8, TypeParam> w8(random_quantizer(11, 256, 1), codes);
  for (index j = 0; j < 300; ++j) {
    for (index p = 0; p < 11; ++p) {
      ASSERT_EQ(w4.code(j, p), codes(j, p));
      ASSERT_EQ(w8.code(j, p), codes(j, p));
    }
  }
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(pq_product, weights_reject_bad_input) {
  const product_quantizer pq = random_quantizer(3, 16, 2);
  code_matrix codes = random_codes(5, 3, 16);
  const auto sentence = [&](const auto& f) { return tests::sentence_of(f); };
  EXPECT_EQ(sentence([&] { return pq_weights<4>(pq, codes, 5); }), "no error");
  EXPECT_EQ(sentence([&] { return pq_weights<4>(pq, codes, 4); }),
            "fewbit: pq_weights: k is 4, expected 5 to 6");
  EXPECT_EQ(sentence([&] { return pq_weights<4>(pq, codes, 7); }),
            "fewbit: pq_weights: k is 7, expected 5 to 6");
  EXPECT_EQ(sentence([&] { return pq_weights<8>(pq, codes); }),
            "fewbit: pq_weights: pq.bits() is 4, expected 8");
  EXPECT_EQ(sentence([&] { return pq_weights<4>(pq, codes.leftCols(2)); }),
            "fewbit: pq_weights: codes.cols() is 2, expected 3");
  codes(2, 1) = 16;
  EXPECT_EQ(sentence([&] { return pq_weights<4>(pq, codes); }),
            "fewbit: pq_weights: codes(2, 1) is 16, expected 0 to 15");
}

#endif

}  // namespace codebook_pq_product_test
}  // namespace fewbit
