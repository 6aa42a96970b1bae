#include "fewbit/codebook/packed_codes.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "support/archs.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace codebook_packed_codes_test {

using code_matrix = row_matrix<std::uint8_t>;

product_quantizer quantizer(index parts, index codes) {
  return product_quantizer(std::vector<row_matrix<float>>(static_cast<std::size_t>(parts),
                                                          row_matrix<float>::Ones(codes, 1)));
}

/// Tables of some queries, with the padding that sum_lookups needs.
struct byte_tables {
  byte_tables(int queries, index parts, index codes, std::uint32_t seed) {
    std::mt19937 random(seed);
    for (int q = 0; q < queries; ++q) {
      all.emplace_back(static_cast<std::size_t>((parts + 7) / 8 * 8 * codes));
      for (index i = 0; i < parts * codes; ++i) {
        all.back()[static_cast<std::size_t>(i)] =
            static_cast<std::uint8_t>(seed == 0 ? 255 : random());
      }
    }
    for (const auto& t : all) pointers.push_back(t.data());
  }
  std::vector<std::vector<std::uint8_t>> all;
  std::vector<const std::uint8_t*> pointers;
};

template <class Arch>
class packed_codes_test : public testing::Test {
 public:
  static void expect_sums(index k, index parts, index n, int queries, std::uint32_t seed) {
    SCOPED_TRACE(testing::Message()
                 << "k=" << k << " parts=" << parts << " n=" << n << " queries=" << queries);
    std::mt19937 random(7);
    code_matrix codes(n, parts);
    for (index i = 0; i < codes.size(); ++i) {
      codes.data()[i] = static_cast<std::uint8_t>(random() % static_cast<unsigned>(k));
    }
    const packed_codes<Arch> packed(quantizer(parts, k), codes);
    const byte_tables tables(queries, parts, k, seed);
    const index stride = packed.blocks() * packed.points_per_block();
    std::vector<std::uint16_t> sums(static_cast<std::size_t>(queries * stride));
    packed.sum_lookups(tables.pointers.data(), queries, 0, packed.blocks(), sums.data(), stride);
    for (int q = 0; q < queries; ++q) {
      for (index i = 0; i < n; ++i) {
        int want = 0;
        for (index p = 0; p < parts; ++p) {
          ASSERT_EQ(packed.code(i, p), codes(i, p)) << i << ", " << p;
          want +=
              tables
                  .all[static_cast<std::size_t>(q)][static_cast<std::size_t>(p * k + codes(i, p))];
        }
        ASSERT_EQ(sums[static_cast<std::size_t>(q * stride + i)], want) << q << ", " << i;
      }
    }
  }
};
TYPED_TEST_SUITE(packed_codes_test, tests::archs, tests::arch_names);

TYPED_TEST(packed_codes_test, sums_table_entries) {
  for (const index k : {16, 256}) {
    for (const index parts : {1, 2, 7, 8, 9, 17}) {
      for (const index n : {1, 15, 16, 17, 63, 64, 65, 255, 256, 257, 513}) {
        this->expect_sums(k, parts, n, 1, 5);
      }
    }
  }
}

TYPED_TEST(packed_codes_test, several_queries_at_once) {
  for (const index k : {16, 256}) {
    for (int queries = 1; queries <= 8; ++queries) this->expect_sums(k, 9, 65, queries, 6);
  }
}

TYPED_TEST(packed_codes_test, largest_sums_fit) {
  for (const index k : {16, 256}) {
    for (const int queries : {1, 4, 8}) this->expect_sums(k, 256, 65, queries, 0);
  }
}

TYPED_TEST(packed_codes_test, blocks_from_the_middle) {
  for (const index k : {16, 256}) {
    code_matrix codes(600, 3);
    for (index i = 0; i < codes.size(); ++i) codes.data()[i] = static_cast<std::uint8_t>(i % 13);
    const packed_codes<TypeParam> packed(quantizer(3, k), codes);
    const byte_tables tables(1, 3, k, 9);
    std::vector<std::uint16_t> all(
        static_cast<std::size_t>(packed.blocks() * packed.points_per_block()));
    packed.sum_lookups(tables.pointers.data(), 1, 0, packed.blocks(), all.data(), 0);
    std::vector<std::uint16_t> one(static_cast<std::size_t>(packed.points_per_block()));
    packed.sum_lookups(tables.pointers.data(), 1, 1, 1, one.data(), 0);
    EXPECT_TRUE(std::equal(one.begin(), one.end(), all.begin() + packed.points_per_block()));
  }
}

TEST(packed_codes, shapes) {
  const packed_codes<> packed(quantizer(3, 16), code_matrix::Zero(77, 3));
  EXPECT_EQ(packed.points(), 77);
  EXPECT_EQ(packed.parts(), 3);
  EXPECT_EQ(packed.bits(), 4);
  EXPECT_GE(packed.blocks() * packed.points_per_block(), 77);
  EXPECT_EQ(packed_codes<>(quantizer(3, 16), code_matrix(0, 3)).blocks(), 0);
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(packed_codes, rejects_bad_input) {
  code_matrix codes = code_matrix::Zero(5, 3);
  const auto sentence = [&](index parts, index k) {
    return tests::sentence_of([&] { return packed_codes<>(quantizer(parts, k), codes); });
  };
  EXPECT_EQ(sentence(3, 16), "no error");
  EXPECT_EQ(sentence(4, 16), "fewbit: packed_codes: codes.cols() is 3, expected 4");
  EXPECT_EQ(sentence(257, 16), "fewbit: packed_codes: pq.parts() is 257, expected at most 256");
  codes(4, 1) = 16;
  EXPECT_EQ(sentence(3, 16), "fewbit: packed_codes: codes(4, 1) is 16, expected 0 to 15");
  EXPECT_EQ(sentence(3, 256), "no error");
}

#endif

}  // namespace codebook_packed_codes_test
}  // namespace fewbit
