#include "fewbit/gemm/int8/walk_by_proof.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/gemm/int8/multiply.hpp"
#include "fewbit/gemm/stages.hpp"
#include "support/codes.hpp"
#include "support/kernels.hpp"

namespace fewbit { namespace gemm_int8_walk_by_proof_test {

#if FEWBIT_HAS_AVX2

using gemm::saturation_proof;
using tests::random_codes;
using tests::wide_product;

/// The range of activations given at packing. Their u8 form has 7 bits.
template <class Lhs>
constexpr index seven_bits = std::is_signed_v<Lhs> ? 63 : 127;

template <class Lhs>
class product_by_proof_test : public testing::Test {
 public:
  using weights = gemm::int8_weights<Lhs, gemm::default_kernel<Lhs, arch::avx2>>;
  using tile_type = typename weights::kernel_type::tile;
  static constexpr index full = gemm::largest_code<Lhs>;

  /// Random weights that have the proof and are as large as the proof allows.
  static row_matrix<std::int8_t> weights_of(saturation_proof p, index n, index k,
                                            std::uint32_t seed) {
    const auto random = random_codes<std::int8_t>(n, k, seed);
    const int most = p == saturation_proof::none ? 128 : p == saturation_proof::pairs ? 64 : 32;
    return random.unaryExpr([=](std::int8_t code) {
      return static_cast<std::int8_t>(std::clamp(int{code}, -most, std::min(most, 127)));
    });
  }

  /// Random activations, or all the smallest, or all the largest.
  static std::vector<row_matrix<Lhs>> activations(index m, index k, index largest) {
    row_matrix<Lhs> random = random_codes<Lhs>(m, k, 77);
    const auto low = static_cast<Lhs>(std::is_signed_v<Lhs> ? -largest - 1 : 0);
    for (index i = 0; i < random.size(); ++i)
      random.data()[i] = std::clamp(random.data()[i], low, static_cast<Lhs>(largest));
    return {random, row_matrix<Lhs>::Constant(m, k, static_cast<Lhs>(largest)),
            row_matrix<Lhs>::Constant(m, k, low)};
  }

  static void expect_exact(const row_matrix<std::int8_t>& w, index m, index largest = full) {
    const weights packed(w, 0, inline_executor{}, largest);
    workspace scratch(gemm::scratch_bytes(packed));
    for (const auto& a : activations(m, w.cols(), largest)) {
      row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Constant(m, w.rows(), 12345);
      gemm::multiply(a, packed, c, gemm::raw{}, scratch);
      ASSERT_EQ(c.template cast<std::int64_t>().eval(), wide_product(a, w))
          << "m=" << m << " n=" << w.rows() << " k=" << w.cols() << " largest " << largest
          << " a(0, 0)=" << int{a(0, 0)};
    }
  }
};

struct lhs_names {
  template <class Lhs>
  static std::string GetName(int) {
    return std::is_signed_v<Lhs> ? "s8" : "u8";
  }
};

using lhs_types = testing::Types<std::uint8_t, std::int8_t>;
TYPED_TEST_SUITE(product_by_proof_test, lhs_types, lhs_names);

constexpr saturation_proof proofs[] = {saturation_proof::none, saturation_proof::pairs,
                                       saturation_proof::fours};

TYPED_TEST(product_by_proof_test, is_exact_on_every_remainder) {
  using tile = typename TestFixture::tile_type;
  constexpr index t = tile::rows, cols = tile::cols, few = gemm::detail::few_rows;
  for (const saturation_proof p : proofs) {
    for (const index m : {index{1}, t - 1, t, t + 1, 2 * t + 1, few + 1, few + t}) {
      for (const index n : {index{1}, cols - 1, cols, cols + 1, 2 * cols + 1, 8 * cols + 9}) {
        for (const index k : {1, 3, 4, 5, 8, 9, 16, 31, 67})
          this->expect_exact(this->weights_of(p, n, k, 5), m);
      }
    }
  }
}

TYPED_TEST(product_by_proof_test, is_exact_over_several_chunks_of_k) {
  for (const saturation_proof p : proofs) {
    for (const index k : {511, 512, 513, 1024, 1027, 1540, 2049}) {
      this->expect_exact(this->weights_of(p, 25, k, 6), 7);
      this->expect_exact(this->weights_of(p, 25, k, 6), gemm::detail::few_rows + 2);
      this->expect_exact(this->weights_of(p, 9, k, 7), 2);
    }
  }
}

/// Weights above proof_far_bytes, which one row reads several panels at a time: every number of
/// panels that can remain, narrow panels, parts of turns and steps of k.
TYPED_TEST(product_by_proof_test, is_exact_for_one_row_of_far_weights) {
  using tile = typename TestFixture::tile_type;
  constexpr index streams = gemm::detail::row_streams, k = 9000;
  const auto check = [this](index panels, index rest, saturation_proof p) {
    const index n = panels * tile::cols + (rest == 3 ? 8 : 0);
    ASSERT_GE(n * k, gemm::detail::proof_far_bytes);
    this->expect_exact(this->weights_of(p, n, k + rest - k % 32, 11), 1);
  };
  for (const index panels : {streams + 1, 2 * streams - 1, 2 * streams})
    check(panels, 0, saturation_proof::none);
  for (const index rest : {1, 3, 4, 28, 31}) check(streams + 1, rest, saturation_proof::none);
  for (const saturation_proof p : {saturation_proof::pairs, saturation_proof::fours})
    check(streams + 1, 3, p);
}

/// So many rows that the last of equal blocks has a single one, which streams far weights.
TYPED_TEST(product_by_proof_test, is_exact_if_the_last_block_is_one_row_of_far_weights) {
  using tile = typename TestFixture::tile_type;
  constexpr index m = 47 * gemm::detail::row_tiles_by_proof * tile::rows + 1, n = 8192, k = 128;
  const auto w = this->weights_of(saturation_proof::fours, n, k, 13);
  const typename TestFixture::weights packed(w);
  ASSERT_GE(packed.bytes(), gemm::detail::proof_far_bytes);
  const auto a = random_codes<TypeParam>(m, k, 14);
  row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Constant(m, tile::cols, 12345);
  workspace scratch(gemm::scratch_bytes(packed));
  const gemm::output_rectangle<std::int32_t> all{c.data(), tile::cols, 0, 0, m, tile::cols};
  const gemm::raw epilogue;
  const gemm::detail::walk_by_proof<typename TestFixture::weights, std::int32_t, gemm::raw> walk(
      a.data(), k, packed, all, epilogue, scratch.slot(0));
  walk.rows(0, m, 0, tile::cols);
  EXPECT_EQ(c.bottomRows(2).template cast<std::int64_t>().eval(),
            wide_product(a.bottomRows(2), w.topRows(index{tile::cols})));
}

/// The number of rows from which on weights are widened instead of cutting activations in halves.
TYPED_TEST(product_by_proof_test, is_exact_around_the_number_of_few_rows) {
  for (const index m :
       {gemm::detail::few_rows - 1, gemm::detail::few_rows, gemm::detail::few_rows + 1, index{2}}) {
    for (const index k : {28, 32, 36, 63, 64, 513, 544, 1061}) {
      for (const saturation_proof p : proofs) this->expect_exact(this->weights_of(p, 41, k, 12), m);
    }
  }
}

TYPED_TEST(product_by_proof_test, is_exact_for_the_largest_codes) {
  for (const int code : {-128, 127}) {
    for (const index k : {31, 32, 64, 1100}) {
      const auto w = row_matrix<std::int8_t>::Constant(33, k, static_cast<std::int8_t>(code));
      for (const index m : {1, 4, 12, 13}) this->expect_exact(w, m);
    }
  }
}

TYPED_TEST(product_by_proof_test, is_exact_over_several_blocks_of_rows) {
  for (const saturation_proof p : proofs) {
    for (const index m : {143, 144, 145, 433}) {
      this->expect_exact(this->weights_of(p, 33, 20, 8), m);
      this->expect_exact(this->weights_of(p, 25, 600, 9), m);
    }
  }
}

/// One four of weights anywhere, with the largest sum that the proof allows, and then with one
/// more.
TYPED_TEST(product_by_proof_test, is_exact_at_the_limit_of_each_proof) {
  const auto of = [](std::initializer_list<int> codes) {
    row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Zero(3, 17);
    index k = 0;
    for (const int code : codes) w(1, k++) = static_cast<std::int8_t>(code);
    return w;
  };
  const auto proven = [](const row_matrix<std::int8_t>& w) {
    return typename TestFixture::weights(w).proven(0);
  };
  const struct {
    row_matrix<std::int8_t> w;
    saturation_proof expected;
  } cases[] = {
      {of({127, 1}), saturation_proof::fours},
      {of({127, 2}), saturation_proof::none},
      {of({0, 0, 1, 127}), saturation_proof::fours},
      {of({0, 0, 2, 127}), saturation_proof::none},
      {of({-128, 0}), saturation_proof::fours},
      {of({-128, -1}), saturation_proof::none},
      {of({64, 0, 0, 0, 1, 63}), saturation_proof::fours},
      {of({64, 0, 0, 0, 1, 64}), saturation_proof::pairs},
      {of({-64, 0, 0, 0, -1, -63}), saturation_proof::fours},
      {of({-64, 0, 0, 0, -1, -64}), saturation_proof::pairs},
      {of({0, 0, 127, 1, 0, 0, 127, 1}), saturation_proof::pairs},
      {of({-128, 127, 0, 0, 0, 1, 0, 0}), saturation_proof::fours},
  };
  for (const auto& [w, expected] : cases) {
    EXPECT_EQ(proven(w), expected) << w.row(1).template cast<int>();
    for (const index m : {1, 3, 5}) this->expect_exact(w, m);
  }
}

/// A four of weights in one block, multiplied by `activation` where weights have the sign of the
/// sum; all other activations are the smallest. Sums at and behind both ends of int16.
TYPED_TEST(product_by_proof_test, is_exact_at_the_limit_of_each_block) {
  const struct {
    std::initializer_list<int> w;  // codes 0, 1, 4, 5 of k
    int pairs, fours;              // limits
  } cases[] = {
      {{76, 75, 0, 0}, 217, 217},         // 217 * 151 = 32767
      {{64, 64, 64, 64}, 255, 127},       // 128 * 256 = 32768
      {{127, 127, 127, 127}, 129, 64},    // 129 * 254 = 32766, 65 * 508 = 33020
      {{-128, -128, 0, 0}, 128, 128},     // 128 * -256 = -32768
      {{-127, -38, -128, -38}, 197, 98},  // 99 * -331 = -32769
      {{-128, -128, -128, -128}, 128, 64},
  };
  constexpr index m = gemm::detail::few_rows + 1;  // tiles of three and of two rows
  for (const auto& [codes, pairs, fours] : cases) {
    for (const index k : {64, 130}) {
      const index at = k == 64 ? 8 : 72;
      row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Zero(30, k);
      index i = 0;
      for (const int code : codes)
        w(13, at + i / 2 * 4 + i % 2) = static_cast<std::int8_t>(code), ++i;
      w.row(29).setConstant(-128);  // another panel has no proof
      const typename TestFixture::weights packed(w);
      EXPECT_EQ(packed.limits(0).pairs[at / 64], pairs);
      EXPECT_EQ(packed.limits(0).fours[at / 64], fours);
      workspace scratch(gemm::scratch_bytes(packed));
      for (const int activation : {fours - 1, fours, fours + 1, pairs, pairs + 1}) {
        constexpr int low = std::numeric_limits<TypeParam>::min();
        row_matrix<TypeParam> a =
            row_matrix<TypeParam>::Constant(m, k, static_cast<TypeParam>(low));
        for (index j = 0; j < 6; ++j)
          a.col(at + j).setConstant(static_cast<TypeParam>(low + std::min(activation, 255)));
        row_matrix<std::int32_t> c(m, 30);
        gemm::multiply(a, packed, c, gemm::raw{}, scratch);
        ASSERT_EQ(c.template cast<std::int64_t>().eval(), wide_product(a, w))
            << activation << " k=" << k;
      }
    }
  }
}

/// Activations of many kinds: rows with small and with large codes, blocks of k with large ones,
/// rows around a zero point, and none but the extremes, so that a search for proofs ends.
template <class Lhs>
row_matrix<Lhs> activations_of_kind(int kind, index m, index k) {
  row_matrix<Lhs> a = random_codes<Lhs>(m, k, static_cast<std::uint32_t>(5 + kind));
  const auto random = random_codes<std::uint8_t>(m, k, 99);
  constexpr int low = std::numeric_limits<Lhs>::min();
  for (index r = 0; r < m; ++r) {
    for (index i = 0; i < k; ++i) {
      const int x = random(r, i);
      const int code = kind == 0   ? (x & 1) * 255
                       : kind == 1 ? static_cast<int>((r / 3 + i / 64) % 3) * 80 + x % 50
                       : kind == 2 ? 100 + x % (r % 7 == 3 ? 120 : 40)
                       : kind == 3 ? (i / 64 % 4 == 1 ? x : x % 60)
                                   : (r > m / 2 ? (x & 1) * 255 : x % 60);
      a(r, i) = static_cast<Lhs>(low + code);
    }
  }
  return a;
}

TYPED_TEST(product_by_proof_test, is_exact_where_blocks_of_k_have_different_dots) {
  for (const index n : {7, 16, 24, 33, 70}) {
    for (const index k : {27, 64, 100, 144, 580, 1100}) {
      row_matrix<std::int8_t> w = random_codes<std::int8_t>(n, k, 3);
      for (index j = 0; j < n; ++j) {  // neighbouring panels differ in their small blocks
        for (index i = 0; i < k; ++i) {
          if ((i / 64 + j / 8) % 3 == 0) w(j, i) /= 3;
        }
      }
      const typename TestFixture::weights packed(w);
      workspace scratch(gemm::scratch_bytes(packed));
      for (const index m : {3, 8, 13, 14, 15, 47, 145, 301}) {
        if (m > 100 && n != 33) continue;  // 33 columns have panels of all widths
        for (int kind = 0; kind < 5; ++kind) {
          const auto a = activations_of_kind<TypeParam>(kind, m, k);
          row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Constant(m, n, 12345);
          gemm::multiply(a, packed, c, gemm::raw{}, scratch);
          ASSERT_EQ(c.template cast<std::int64_t>().eval(), wide_product(a, w))
              << "m=" << m << " n=" << n << " k=" << k << " kind " << kind;
        }
      }
    }
  }
}

/// Only the first row tile has proofs, so the search ends. The rows after it are in int16 alone,
/// also in blocks of k and in panels whose weights are proven for all activations.
TYPED_TEST(product_by_proof_test, is_exact_where_the_search_ends_beside_panels_with_proofs) {
  using tile = typename TestFixture::tile_type;
  constexpr int low = std::numeric_limits<TypeParam>::min();
  for (const saturation_proof last : proofs) {
    for (const index panels : {1, 4}) {
      for (const index k : {200, 512, 1100}) {
        const index wide = panels * tile::cols, n = wide + (panels == 1 ? 0 : 8);
        row_matrix<std::int8_t> w = this->weights_of(saturation_proof::none, n, k, 21);
        w.leftCols(64).setConstant(1);
        w.bottomRows(n - wide) = this->weights_of(last, n - wide, k, 22);
        const typename TestFixture::weights packed(w);
        EXPECT_EQ(packed.limits(0).pairs[0], 255);
        workspace scratch(gemm::scratch_bytes(packed));
        for (const index m : {14, 60, 150}) {
          auto a = random_codes<TypeParam>(m, k, 23);
          for (index i = 0; i < a.size(); ++i)
            a.data()[i] = static_cast<TypeParam>(low + (a.data()[i] % 2 == 0 ? 0 : 255));
          a.topRows(index{tile::rows}).setConstant(static_cast<TypeParam>(low + 3));
          row_matrix<std::int32_t> c = row_matrix<std::int32_t>::Constant(m, n, 12345);
          gemm::multiply(a, packed, c, gemm::raw{}, scratch);
          ASSERT_EQ(c.template cast<std::int64_t>().eval(), wide_product(a, w))
              << "m=" << m << " n=" << n << " k=" << k;
        }
      }
    }
  }
}

/// The weights and activations of the test before have blocks of all three kinds.
TYPED_TEST(product_by_proof_test, finds_blocks_of_all_proofs) {
  constexpr index n = 24, k = 580, m = 48;
  row_matrix<std::int8_t> w = random_codes<std::int8_t>(n, k, 3);
  for (index i = 0; i < k; ++i) {
    if (i / 64 % 3 == 0) w.col(i) /= 3;
  }
  const typename TestFixture::weights packed(w);
  const auto a = activations_of_kind<TypeParam>(1, m, k);
  int seen[3] = {};
  for (index r = 0; r < m; r += 3) {
    const int least = a.middleRows(r, 3).minCoeff();
    for (index b = 0; b * 64 < k; ++b) {
      const int most = a.block(r, b * 64, 3, std::min(index{64}, k - b * 64)).maxCoeff();
      const gemm::detail::block_limits limits{packed.limits(0).pairs[b], packed.limits(0).fours[b]};
      ++seen[static_cast<int>(limits.proof(most - least))];
    }
  }
  for (const int count : seen) EXPECT_GT(count, 0);
}

TYPED_TEST(product_by_proof_test, uses_the_proof_of_each_panel) {
  using tile = typename TestFixture::tile_type;
  for (const index k : {40, 530, 1100}) {
    row_matrix<std::int8_t> w(7 * tile::cols + 9, k);
    for (index first = 0, i = 0; first < w.rows(); first += tile::cols, ++i) {
      const index count = std::min(index{tile::cols}, w.rows() - first);
      w.middleRows(first, count) = this->weights_of(proofs[i * 5 % 7 % 3], count, k, 3);
    }
    const typename TestFixture::weights packed(w);
    for (index i = 0; i < 7; ++i)
      EXPECT_EQ(packed.proven(i * tile::cols), proofs[i * 5 % 7 % 3]) << "panel " << i;
    for (const index m : {1, 2, 5, 150}) this->expect_exact(w, m);
  }
}

TYPED_TEST(product_by_proof_test, proves_more_panels_for_small_activations) {
  constexpr index small = seven_bits<TypeParam>;
  for (const index k : {17, 1100}) {
    const auto any = this->weights_of(saturation_proof::none, 30, k, 4);
    const auto half = this->weights_of(saturation_proof::pairs, 30, k, 4);
    using packed = typename TestFixture::weights;
    EXPECT_EQ(packed(any).proven(0), saturation_proof::none);
    EXPECT_EQ(packed(any, 0, inline_executor{}, small).proven(0), saturation_proof::pairs);
    EXPECT_EQ(packed(half).proven(0), saturation_proof::pairs);
    EXPECT_EQ(packed(half, 0, inline_executor{}, small).proven(0), saturation_proof::fours);
    for (const index m : {1, 4}) {
      this->expect_exact(any, m, small);
      this->expect_exact(half, m, small);
      this->expect_exact(any, m, 5);
      this->expect_exact(any, m, 0);
    }
  }
}

TYPED_TEST(product_by_proof_test, passes_sums_of_all_proofs_to_the_epilogue) {
  for (const saturation_proof p : proofs) {
    for (const index k : {12, 530}) {
      for (const index n : {9, 100, 210}) {
        const auto w = this->weights_of(p, n, k, 2);
        std::vector<std::int32_t> bias;
        for (index j = 0; j < n; ++j) bias.push_back(static_cast<std::int32_t>(j - 9));
        for (const index m : {1, 8, 150}) {
          const row_matrix<TypeParam> a = this->activations(m, k, TestFixture::full)[0];
          row_matrix<std::int8_t> c(m, n);
          gemm::multiply(a, typename TestFixture::weights(w), c,
                         gemm::add_bias(bias.data()) | gemm::to_int8{5});
          row_matrix<std::int64_t> sums = wide_product(a, w);
          for (index j = 0; j < n; ++j) sums.col(j).array() += j - 4;
          const row_matrix<std::int8_t> expected =
              sums.cwiseMax(-128).cwiseMin(127).template cast<std::int8_t>();
          ASSERT_EQ(c, expected) << "m=" << m << " n=" << n << " k=" << k;
        }
      }
    }
  }
}

TYPED_TEST(product_by_proof_test, uses_no_proofs_if_k_has_blocks) {
  const auto w = this->weights_of(saturation_proof::fours, 30, 64, 1);
  const typename TestFixture::weights packed(w, 32);
  EXPECT_EQ(packed.proven(0), saturation_proof::none);
  const auto a = random_codes<TypeParam>(5, 64, 2);
  row_matrix<std::int32_t> c(5, 30);
  gemm::multiply(a, packed, c);
  EXPECT_EQ(c.template cast<std::int64_t>().eval(), wide_product(a, w));
}

/// total = 3 total + sum detects a block that is missing, repeated or in the wrong order.
struct weigh_blocks : gemm::block_stage {
  using total = std::int32_t;
  template <class V>
  V operator()(const V& so_far, const V& sum, index, const gemm::at&) const noexcept {
    return so_far * V(3) + sum;
  }
};

/// A few rows with blocks of k widen weights in registers, many rows widen whole panels.
TYPED_TEST(product_by_proof_test, passes_blocks_of_k_to_the_block_stage_for_any_number_of_rows) {
  constexpr index n = 33, k = 40;
  const auto w = this->weights_of(saturation_proof::none, n, k, 1);
  for (const index depth : {7, 32}) {
    const typename TestFixture::weights packed(w, depth);
    workspace scratch(gemm::scratch_bytes(packed));
    for (const index m : {1, 2, 3, 12, 13, 47, 48, 49, 145}) {
      const row_matrix<TypeParam> a = random_codes<TypeParam>(m, k, 2);
      row_matrix<std::int64_t> expected = row_matrix<std::int64_t>::Zero(m, n);
      for (index first = 0; first < k; first += depth) {
        const index count = std::min(depth, k - first);
        expected = 3 * expected + wide_product(a.middleCols(first, count).eval(),
                                               w.middleCols(first, count).eval());
      }
      row_matrix<std::int32_t> c(m, n);
      gemm::multiply(a, packed, c, gemm::raw{}, scratch, inline_executor{}, weigh_blocks{});
      ASSERT_EQ(c.template cast<std::int64_t>().eval(), expected) << "m=" << m << " by " << depth;
    }
  }
}

#else

TEST(walk_by_proof, is_for_avx2) { GTEST_SKIP() << "no unit of this build has proofs"; }

#endif

}  // namespace gemm_int8_walk_by_proof_test
}  // namespace fewbit
