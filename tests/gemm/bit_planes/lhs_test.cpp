#include "fewbit/gemm/bit_planes/lhs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

#include "support/bit_codes.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace gemm_bit_planes_lhs_test {

using tests::parities_among, tests::random_codes_of;

template <class F>
constexpr bool is_sign = false;
template <int Bits>
constexpr bool is_sign<gemm::sign_bits<Bits>> = true;

template <class U>
class plane_lhs_test : public testing::Test {
 public:
  using unit_type = typename U::type;

  template <class F>
  static index wrong_bits(index m, index k) {
    const auto a = random_codes_of<F>(m, k, 1);
    const gemm::plane_lhs<F, unit_type> planes(a);
    const index words = (k + 63) / 64;
    const index parities = is_sign<F> ? parities_among<unit_type>(words) : 0;
    index wrong = 0;
    for (index r = 0; r < m; ++r) {
      const index first = r / unit_type::rows * unit_type::rows;
      const index height = std::min(index{unit_type::rows}, m - first);
      for (int p = 0; p < F::planes; ++p) {
        for (index i = 0; i < 64 * words; ++i) {
          const std::uint64_t* word =
              planes.group(first) + (p * words + i / 64) * height + (r - first);
          const bool follows = i >= 64 && i / 64 < parities;
          const std::uint64_t bits = *word ^ (follows ? word[-height] : 0);
          const int expected = i < k ? F::stored(a(r, i)) >> p & 1 : 0;
          if (static_cast<int>(bits >> i % 64 & 1) != expected) ++wrong;
        }
      }
    }
    return wrong;
  }
};

TYPED_TEST_SUITE(plane_lhs_test, tests::bit_units, tests::bit_unit_names);

/// 200 codes are 4 words. 2111 codes are 33 words: parities, if the unit has them, and words
/// without parities.
TYPED_TEST(plane_lhs_test, are_ordered_by_group_plane_word_and_row) {
  for (const index m : {1, 2, 3, 4, 5, 9}) {
    for (const index k : {0, 1, 63, 64, 65, 200, 2111}) {
      SCOPED_TRACE(testing::Message() << "m=" << m << " k=" << k);
      EXPECT_EQ((this->template wrong_bits<gemm::binary_bits>(m, k)), 0);
      EXPECT_EQ((this->template wrong_bits<gemm::ternary_bits>(m, k)), 0);
      EXPECT_EQ((this->template wrong_bits<gemm::unsigned_bits<8>>(m, k)), 0);
      EXPECT_EQ((this->template wrong_bits<gemm::sign_bits<8>>(m, k)), 0);
    }
  }
}

TYPED_TEST(plane_lhs_test, count_the_nonzeros_of_ternary_rows) {
  using unit = typename TestFixture::unit_type;
  const auto a = random_codes_of<gemm::ternary_bits>(5, 131, 2);
  const gemm::plane_lhs<gemm::ternary_bits, unit> planes(a);
  for (index r = 0; r < a.rows(); ++r)
    EXPECT_EQ(*planes.nonzeros(r), a.row(r).cast<int>().cwiseAbs().sum());
}

TEST(plane_lhs, report_their_extents_and_bytes) {
  const auto planes = gemm::to_planes<gemm::unsigned_bits<3>>(
      random_codes_of<gemm::unsigned_bits<3>>(7, 65, 1).eval());
  EXPECT_EQ(planes.m(), 7);
  EXPECT_EQ(planes.k(), 65);
  EXPECT_EQ(planes.bytes(), 7 * 3 * 16);
}

TEST(plane_lhs, accept_expressions_and_column_major_codes) {
  const auto a = random_codes_of<gemm::binary_bits>(3, 70, 1);
  const Eigen::Matrix<std::int8_t, Eigen::Dynamic, Eigen::Dynamic> column_major = a;
  const auto expected = gemm::to_planes<gemm::binary_bits>(a);
  for (const auto& planes : {gemm::to_planes<gemm::binary_bits>(column_major),
                             gemm::to_planes<gemm::binary_bits>((-(-a)).eval())}) {
    EXPECT_TRUE(std::equal(planes.group(0), planes.group(0) + 3 * 2, expected.group(0)));
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(plane_lhs, refuse_a_code_of_another_format) {
  row_matrix<std::int8_t> a = row_matrix<std::int8_t>::Ones(3, 70);
  a(2, 65) = 0;
  EXPECT_EQ(tests::sentence_of([&] { return gemm::to_planes<gemm::binary_bits>(a); }),
            "fewbit: to_planes: a(2, 65) is 0, expected -1 or 1");
  a(1, 3) = 2;
  EXPECT_EQ(tests::sentence_of([&] { return gemm::to_planes<gemm::ternary_bits>(a); }),
            "fewbit: to_planes: a(1, 3) is 2, expected -1, 0 or 1");
  EXPECT_EQ(tests::sentence_of([&] { return gemm::to_planes<gemm::sign_bits<2>>(a); }),
            "fewbit: to_planes: a(1, 3) is 2, expected odd, -3 to 3");
  EXPECT_EQ(tests::sentence_of([&] { return gemm::to_planes<gemm::signed_bits<2>>(a); }),
            "fewbit: to_planes: a(1, 3) is 2, expected -2 to 1");
}
#endif

}  // namespace gemm_bit_planes_lhs_test
}  // namespace fewbit
