#include "fewbit/gemm/few_bits/multiply_grouped.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/gemm/stages.hpp"
#include "support/archs.hpp"

namespace fewbit { namespace gemm_few_bits_multiply_grouped_test {

/// All data of a product: codes, scales of few bits, zero points.
struct sample {
  row_matrix<std::int8_t> a;
  row_matrix<std::uint8_t> w;
  index group;
  std::vector<float> scales;
  std::vector<std::uint8_t> zeros;
  bool is_affine;
  int value_of_one;  // what a code of 1 counts

  [[nodiscard]] index groups() const { return (w.cols() + group - 1) / group; }
  [[nodiscard]] std::size_t at(index j, index g) const {
    return static_cast<std::size_t>(j * groups() + g);
  }
};

struct shape {
  index m, n, k, group;
};

sample random_sample(const shape& s, int bits, bool is_affine, unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](unsigned bound) { return (random() >> 8) % bound; };
  const unsigned codes = 1U << bits;
  sample made{row_matrix<std::int8_t>(s.m, s.k),
              row_matrix<std::uint8_t>(s.n, s.k),
              s.group,
              {},
              {},
              is_affine,
              bits == 1 ? 2 : 1};
  for (index i = 0; i < made.a.size(); ++i)
    made.a.data()[i] = static_cast<std::int8_t>(static_cast<int>(below(255)) - 127);
  for (index i = 0; i < made.w.size(); ++i)
    made.w.data()[i] = static_cast<std::uint8_t>(below(codes));
  for (index i = 0; i < s.n * made.groups(); ++i) {
    made.scales.push_back(static_cast<float>(2049 + 2 * below(1023)) * 0x1p-15F);
    made.zeros.push_back(static_cast<std::uint8_t>(is_affine ? below(codes) : codes / 2));
  }
  return made;
}

/// The formula: sums of groups in 64 bits, scaled and added one by one, each operation rounded.
row_matrix<float> expected(const sample& s) {
  row_matrix<float> c(s.a.rows(), s.w.rows());
  for (index i = 0; i < c.rows(); ++i) {
    for (index j = 0; j < c.cols(); ++j) {
      float total = 0.0F;
      for (index g = 0; g < s.groups(); ++g) {
        std::int64_t sum = 0;
        for (index k = g * s.group; k < std::min(s.w.cols(), (g + 1) * s.group); ++k)
          sum += std::int64_t{s.a(i, k)} * (s.w(j, k) * s.value_of_one - s.zeros[s.at(j, g)]);
        volatile float product = static_cast<float>(sum) * s.scales[s.at(j, g)];
        total = static_cast<float>(double{total} + double{product});
      }
      c(i, j) = total;
    }
  }
  return c;
}

/// The codes of a row as grouped_lhs reads them.
struct plain_row {
  const std::int8_t* codes;

  template <class V>
  V operator()(index k) const noexcept {
    return arch::load<V>(codes + k);
  }
};

template <class W, class E = inline_executor>
row_matrix<float> product(const W& w, const row_matrix<std::int8_t>& a, const E& executor = {}) {
  aligned_buffer<std::byte> memory(gemm::grouped_lhs<W>::bytes(w, a.rows()));
  gemm::grouped_lhs<W> lhs(w, a.rows(), memory.data());
  EXPECT_GE(lhs.padded_rows(), a.rows());
  for (index r = 0; r < lhs.padded_rows(); ++r)
    lhs.fill_row(r, plain_row{r < a.rows() ? a.data() + r * a.cols() : nullptr});
  row_matrix<float> c = row_matrix<float>::Constant(a.rows(), w.n(), 99.0F);
  gemm::multiply_grouped(lhs, w, c, gemm::raw{}, executor);
  return c;
}

template <int Bits, class Arch>
gemm::grouped_weights<Bits, Arch> packed(const sample& s) {
  if (s.is_affine) return {s.w, s.group, s.scales, s.zeros};
  return {s.w, s.group, s.scales, 1 << (Bits - 1)};
}

/// Compares all widths on every arch with one expectation.
void expect_equal(const shape& s, bool is_affine) {
  const auto with_bits = [&]<int Bits>() {
    const sample made = random_sample(s, Bits, is_affine, 7);
    const row_matrix<float> c = expected(made);
    tests::archs_here::for_each([&]<class Arch>() {
      EXPECT_EQ((product(packed<Bits, Arch>(made), made.a)), c)
          << Arch::name << " bits=" << Bits << " m=" << s.m << " n=" << s.n << " k=" << s.k
          << " group=" << s.group << " affine=" << is_affine;
    });
  };
  with_bits.template operator()<1>();
  with_bits.template operator()<2>();
  with_bits.template operator()<3>();
  with_bits.template operator()<4>();
  with_bits.template operator()<8>();
}

TEST(multiply_grouped, equals_its_formula_for_all_groups) {
  for (const index group : {1, 7, 8, 12, 32, 64, 128}) {
    for (const bool is_affine : {false, true}) expect_equal({3, 18, 150, group}, is_affine);
  }
  expect_equal({3, 18, 150, 150}, true);
}

TEST(multiply_grouped, equals_its_formula_for_all_heights) {
  for (index m = 1; m <= 26; ++m) expect_equal({m, 5, 64, 32}, m % 2 == 0);
}

TEST(multiply_grouped, equals_its_formula_for_all_widths) {
  for (const index n : {1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 130})
    expect_equal({2, n, 40, 32}, n % 2 == 0);
}

TEST(multiply_grouped, equals_its_formula_for_all_depths) {
  for (index k = 1; k <= 70; ++k) expect_equal({2, 5, k, 32}, k % 2 == 0);
}

/// Scales that 16 bits each cannot hold: far apart by groups or by rows, subnormal, or 0.
TEST(multiply_grouped, equals_its_formula_for_scales_far_apart) {
  const float sizes[] = {1.0F, 0x1.7p-40F, 0x1p30F, 0.0F, 0x1.3p-120F, 0x1.4p-141F, 0x1p-149F};
  const auto check = [&]<int Bits>(const shape& s, bool is_affine, bool by_rows) {
    sample made = random_sample(s, Bits, is_affine, 5);
    for (index j = 0; j < s.n; ++j) {
      for (index g = 0; g < made.groups(); ++g)
        made.scales[made.at(j, g)] = sizes[(by_rows ? j : j + 3 * g) % 7];
    }
    const row_matrix<float> c = expected(made);
    tests::archs_here::for_each([&]<class Arch>() {
      const auto w = packed<Bits, Arch>(made);
      ASSERT_TRUE(w.is_wide());
      EXPECT_EQ(product(w, made.a), c) << Arch::name << " bits=" << Bits << " m=" << s.m
                                       << " affine=" << is_affine << " by rows=" << by_rows;
    });
  };
  for (const index m : {1, 2, 3, 13}) {
    for (const bool is_affine : {false, true}) {
      for (const bool by_rows : {false, true}) {
        check.template operator()<1>({m, 130, 75, 32}, is_affine, by_rows);
        check.template operator()<3>({m, 35, 75, 32}, is_affine, by_rows);
        check.template operator()<4>({m, 130, 75, 32}, is_affine, by_rows);
        check.template operator()<8>({m, 35, 75, 32}, is_affine, by_rows);
      }
    }
  }
}

/// Extreme codes in groups of the maximum depth.
TEST(multiply_grouped, is_exact_for_extreme_codes) {
  const auto check = [&]<int Bits, class Arch>(int a, int w, int zero, index depth) {
    sample s{row_matrix<std::int8_t>::Constant(1, depth, static_cast<std::int8_t>(a)),
             row_matrix<std::uint8_t>::Constant(1, depth, static_cast<std::uint8_t>(w)),
             depth,
             {1.0F},
             {static_cast<std::uint8_t>(zero)},
             true,
             Bits == 1 ? 2 : 1};
    EXPECT_EQ((product(packed<Bits, Arch>(s), s.a)), expected(s))
        << Arch::name << " " << Bits << " " << a << " " << w << " " << zero;
  };
  tests::archs_here::for_each([&]<class Arch>() {
    for (const int a : {-127, 127}) {
      for (const bool low : {false, true}) {
        check.template operator()<1, Arch>(a, low ? 0 : 1, low ? 2 : 0, 70000);
        check.template operator()<2, Arch>(a, low ? 0 : 3, low ? 3 : 0, 50000);
        check.template operator()<3, Arch>(a, low ? 0 : 7, low ? 7 : 0, 40000);
        check.template operator()<4, Arch>(a, low ? 0 : 15, low ? 15 : 0, 40000);
        check.template operator()<8, Arch>(a, low ? 0 : 255, low ? 255 : 0, 66311);
      }
    }
  });
}

/// The total of weights of code 0 with the largest zero point, `depth` of them in one group with
/// one scale.
template <int Bits, class Arch>
float total_of_zeros(int a, index depth, float scale) {
  using weights = gemm::grouped_weights<Bits, Arch>;
  const row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Zero(1, depth);
  const std::vector<float> scales = {scale};
  const weights w(codes, 0, scales, weights::largest_value + 1);
  return product(w, row_matrix<std::int8_t>::Constant(1, depth, static_cast<std::int8_t>(a)))(0, 0);
}

/// Sums around 22 bits, the largest that a float holds in addition to 1.5 * 2^23.
TEST(multiply_grouped, is_exact_for_sums_around_22_bits) {
  const auto check = [&]<int Bits, class Arch>(int zero) {
    const index deepest = (index{1} << 22) / (127 * zero);
    for (index depth = deepest - 1; depth <= deepest + 2; ++depth) {
      for (const int a : {-127, 127}) {
        EXPECT_EQ((total_of_zeros<Bits, Arch>(a, depth, 0.5F)),
                  0.5F * static_cast<float>(-a * zero * depth))
            << Arch::name << " bits=" << Bits << " depth=" << depth;
      }
    }
  };
  tests::archs_here::for_each([&]<class Arch>() {
    check.template operator()<1, Arch>(3);
    check.template operator()<2, Arch>(4);
    check.template operator()<3, Arch>(8);
    check.template operator()<4, Arch>(16);
    check.template operator()<8, Arch>(256);
  });
}

TEST(multiply_grouped, is_exact_for_the_smallest_and_largest_scales) {
  tests::archs_here::for_each([]<class Arch>() {
    for (const int exponent : {-137, -130, -126, 0, 103, 104, 105, 115}) {
      const float scale = std::ldexp(1.0F, exponent);
      EXPECT_EQ((total_of_zeros<4, Arch>(-1, 32, scale)), 512.0F * scale)
          << Arch::name << " 2^" << exponent;
      EXPECT_EQ((total_of_zeros<4, Arch>(0, 32, scale)), 0.0F) << Arch::name << " 2^" << exponent;
    }
  });
}

TEST(multiply_grouped, depends_neither_on_threads_nor_on_rows) {
  const sample s = random_sample({13, 300, 96, 32}, 4, false, 1);
  const auto w = packed<4, arch::native>(s);
  const row_matrix<float> whole = product(w, s.a);
  EXPECT_EQ(product(w, s.a, thread_executor{3}), whole);
  for (index i = 0; i < 13; ++i) EXPECT_EQ(product(w, s.a.row(i).eval()), whole.row(i)) << i;
}

template <class Arch>
class multiply_codes_by_groups_test : public testing::Test {};

TYPED_TEST_SUITE(multiply_codes_by_groups_test, tests::archs, tests::arch_names);

/// 29 rows of 8192 codes are several blocks.
TYPED_TEST(multiply_codes_by_groups_test, equals_multiply_grouped_in_any_slots_and_threads) {
  const auto check = [](const sample& s, const auto& w) {
    const row_matrix<float> wanted = product(w, s.a);
    const auto expect_equal = [&](index slots, const auto& executor) {
      workspace scratch(gemm::scratch_bytes(w, s.a.rows()), slots);
      row_matrix<float> c = row_matrix<float>::Constant(s.a.rows(), w.n(), 99.0F);
      gemm::multiply(s.a, w, c, gemm::raw{}, scratch, executor);
      EXPECT_EQ(c, wanted) << "slots=" << slots << " m=" << s.a.rows() << " n=" << w.n();
    };
    expect_equal(1, inline_executor{});
    expect_equal(3, inline_executor{});
    expect_equal(1, thread_executor{2});
    expect_equal(3, thread_executor{2});
  };
  const shape shapes[] = {{1, 70, 75, 32}, {13, 5, 75, 32}, {29, 18, 8192, 128}};
  for (const shape& shape : shapes) {
    for (const bool is_affine : {false, true}) {
      const sample s = random_sample(shape, 4, is_affine, 3);
      check(s, packed<4, TypeParam>(s));
    }
    const sample s = random_sample(shape, 2, false, 3);
    const std::vector<float> minima(s.scales.rbegin(), s.scales.rend());
    check(s, gemm::pack_grouped<2, TypeParam>(s.w, s.group, s.scales, minima));
  }
}

/// Scratch memory that holds a block of rows is enough for any number of rows.
TEST(multiply_codes_by_groups, needs_scratch_memory_for_one_block_of_rows) {
  const sample s = random_sample({29, 18, 8192, 128}, 4, false, 3);
  const auto w = packed<4, arch::native>(s);
  EXPECT_LE(gemm::scratch_bytes(w, 1), gemm::scratch_bytes(w));
  EXPECT_LE(gemm::scratch_bytes(w), 512 * 1024);
  workspace scratch(gemm::scratch_bytes(w));
  row_matrix<float> c(29, 18), without_scratch(29, 18);
  gemm::multiply(s.a, w, c, gemm::raw{}, scratch);
  gemm::multiply(s.a, w, without_scratch);
  EXPECT_EQ(c, expected(s));
  EXPECT_EQ(without_scratch, expected(s));
}

TEST(multiply_codes_by_groups, writes_into_blocks_and_accepts_no_rows) {
  const sample s = random_sample({3, 21, 64, 32}, 4, true, 1);
  const auto w = packed<4, arch::native>(s);
  workspace scratch(gemm::scratch_bytes(w), 2);
  row_matrix<float> c = row_matrix<float>::Constant(5, 30, 7.0F);
  gemm::multiply(s.a, w, c.block(1, 2, 3, 21), gemm::raw{}, scratch);
  row_matrix<float> wanted = row_matrix<float>::Constant(5, 30, 7.0F);
  wanted.block(1, 2, 3, 21) = expected(s);
  EXPECT_EQ(c, wanted);
  row_matrix<float> none(0, 21);
  gemm::multiply(row_matrix<std::int8_t>(0, 64), w, none, gemm::raw{}, scratch);
}

TEST(multiply_codes_by_groups, terminates_if_shapes_or_scratch_memory_do_not_fit) {
  const sample s = random_sample({2, 21, 64, 32}, 4, true, 1);
  const auto w = packed<4, arch::native>(s);
  workspace scratch(gemm::scratch_bytes(w)), small(16);
  row_matrix<float> few(2, 20), c(2, 21);
  EXPECT_DEATH(gemm::multiply(s.a, w, few, gemm::raw{}, scratch),
               "multiply: c.cols.. is 20, expected 21");
  EXPECT_DEATH(gemm::multiply(s.a, w, c, gemm::raw{}, small), "multiply: scratch");
}

TEST(multiply_grouped, writes_the_epilogue_of_each_total_into_blocks) {
  const sample s = random_sample({3, 21, 64, 32}, 4, true, 1);
  const auto w = packed<4, arch::native>(s);
  using lhs_type = gemm::grouped_lhs<gemm::grouped_weights<4>>;
  aligned_buffer<std::byte> memory(lhs_type::bytes(w, 3));
  lhs_type lhs(w, 3, memory.data());
  for (index r = 0; r < lhs.padded_rows(); ++r)
    lhs.fill_row(r, plain_row{r < 3 ? s.a.data() + r * 64 : nullptr});
  row_matrix<std::int8_t> c = row_matrix<std::int8_t>::Constant(5, 30, 7);
  gemm::multiply_grouped(lhs, w, c.block(1, 2, 3, 21), gemm::to_codes<std::int8_t>(0.01F, 3));
  const row_matrix<float> totals = expected(s);
  row_matrix<std::int8_t> wanted = row_matrix<std::int8_t>::Constant(5, 30, 7);
  for (index i = 0; i < 3; ++i) {
    for (index j = 0; j < 21; ++j) {
      const double code = std::nearbyint(totals(i, j) * 0.01F) + 3;
      wanted(i + 1, j + 2) = static_cast<std::int8_t>(std::fmin(std::fmax(code, -128), 127));
    }
  }
  EXPECT_EQ(c, wanted);
}

TEST(multiply_grouped, writes_vectors_and_terminates_on_wrong_shapes) {
  const sample s = random_sample({1, 21, 64, 32}, 4, true, 1);
  const auto w = packed<4, arch::native>(s);
  aligned_buffer<std::byte> memory(gemm::grouped_lhs<gemm::grouped_weights<4>>::bytes(w, 1));
  gemm::grouped_lhs<gemm::grouped_weights<4>> lhs(w, 1, memory.data());
  lhs.fill_row(0, plain_row{s.a.data()});
  row_matrix<float> few(1, 20), rows(2, 21);
  EXPECT_DEATH(gemm::multiply_grouped(lhs, w, few),
               "multiply_grouped: c.cols.. is 20, expected 21");
  EXPECT_DEATH(gemm::multiply_grouped(lhs, w, rows), "multiply_grouped: c.rows.. is 2, expected 1");
  Eigen::VectorXf y(21);
  gemm::multiply_grouped(lhs, w, y);
  EXPECT_EQ(y.transpose(), expected(s).row(0));
}

}  // namespace gemm_few_bits_multiply_grouped_test
}  // namespace fewbit
