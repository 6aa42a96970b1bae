#include "fewbit/gemm/whole_rows.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <random>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"

namespace fewbit {
namespace {

/// Codes of both sides, and scales that lose nothing when they are packed.
struct sample {
  row_matrix<std::int8_t> a;
  row_matrix<std::uint8_t> w;
  std::vector<float> scales;
  std::vector<std::uint8_t> zeros;
};

sample random_sample(index m, index n, index k, int bits) {
  std::mt19937 random(static_cast<unsigned>(m * 31 + n * 7 + k));
  const auto below = [&](unsigned bound) { return (random() >> 8) % bound; };
  sample made{row_matrix<std::int8_t>(m, k), row_matrix<std::uint8_t>(n, k), {}, {}};
  for (index i = 0; i < m * k; ++i)
    made.a.data()[i] = static_cast<std::int8_t>(static_cast<int>(below(255)) - 127);
  for (index i = 0; i < n * k; ++i) made.w.data()[i] = static_cast<std::uint8_t>(below(1U << bits));
  for (index j = 0; j < n; ++j) {
    made.scales.push_back(static_cast<float>(2049 + 2 * below(1023)) * 0x1p-15F);
    made.zeros.push_back(static_cast<std::uint8_t>(below(1U << bits)));
  }
  return made;
}

/// Sums in 64 bits, each times its scale, rounded once.
row_matrix<float> expected(const sample& s, int bits, bool is_affine) {
  row_matrix<float> c(s.a.rows(), s.w.rows());
  for (index i = 0; i < c.rows(); ++i) {
    for (index j = 0; j < c.cols(); ++j) {
      const auto row = static_cast<std::size_t>(j);
      const int zero = is_affine ? s.zeros[row] : 1 << (bits - 1);
      std::int64_t sum = 0;
      for (index k = 0; k < s.a.cols(); ++k)
        sum += std::int64_t{s.a(i, k)} * (s.w(j, k) * (bits == 1 ? 2 : 1) - zero);
      c(i, j) = static_cast<float>(sum) * s.scales[row];
    }
  }
  return c;
}

/// Codes of a row as grouped_lhs asks for them.
struct plain_row {
  const std::int8_t* codes;

  template <class V>
  V operator()(index k) const noexcept {
    return arch::load<V>(codes + k);
  }
};

template <class W, class E = inline_executor>
row_matrix<float> product(const W& w, const row_matrix<std::int8_t>& a, index workers = 1,
                          const E& executor = {}) {
  aligned_buffer<std::byte> memory(gemm::grouped_lhs<W>::bytes(w, a.rows()));
  gemm::grouped_lhs<W> lhs(w, a.rows(), memory.data());
  for (index r = 0; r < lhs.padded_rows(); ++r)
    lhs.fill_row(r, plain_row{r < a.rows() ? a.data() + r * a.cols() : nullptr});
  row_matrix<float> c = row_matrix<float>::Constant(a.rows(), w.n(), 99.0F);
  workspace scratch(gemm::whole_rows_scratch_bytes(w), workers);
  gemm::multiply_whole_rows(lhs, w, c, gemm::raw{}, scratch, executor);
  return c;
}

template <int Bits, class Arch>
gemm::grouped_weights<Bits, Arch> packed(const sample& s, bool is_affine) {
  if (is_affine) return {s.w, 0, s.scales, s.zeros};
  return {s.w, 0, s.scales, 1 << (Bits - 1)};
}

/// All widths on every arch.
void expect_equal(index m, index n, index k) {
  const auto with_bits = [&]<int Bits>() {
    const sample s = random_sample(m, n, k, Bits);
    for (const bool is_affine : {false, true}) {
      const row_matrix<float> c = expected(s, Bits, is_affine);
      arch::compiled::for_each([&]<class Arch>() {
        EXPECT_EQ((product(packed<Bits, Arch>(s, is_affine), s.a)), c)
            << Bits << " bits, " << Arch::name << ", affine " << is_affine << ", m=" << m
            << " n=" << n << " k=" << k;
      });
    }
  };
  with_bits.template operator()<1>();
  with_bits.template operator()<2>();
  with_bits.template operator()<3>();
  with_bits.template operator()<4>();
  with_bits.template operator()<8>();
}

TEST(multiply_whole_rows, equals_sums_of_integers_on_every_remainder) {
  for (const index m : {1, 2, 3, 5, 8, 12, 16}) expect_equal(m, 67, 45);
  for (const index n : {1, 4, 15, 16, 17, 33, 64, 81}) expect_equal(3, n, 32);
  for (const index k : {1, 7, 8, 33, 100}) expect_equal(9, 17, k);
}

/// Panels that are expanded, and the rows and panels beside them.
TEST(multiply_whole_rows, equals_sums_of_integers_for_many_rows) {
  for (const index m : {39, 40, 43, 80}) expect_equal(m, 49, 34);
  expect_equal(41, 16, 300);
  expect_equal(41, 70, 1);
}

TEST(multiply_whole_rows, depends_neither_on_workers_nor_on_threads) {
  const sample s = random_sample(60, 150, 50, 4);
  const auto w = packed<4, arch::native>(s, false);
  const row_matrix<float> c = expected(s, 4, false);
  for (const index workers : {1, 2, 5, 20}) EXPECT_EQ(product(w, s.a, workers), c) << workers;
  EXPECT_EQ(product(w, s.a, 4, thread_executor{3}), c);
}

/// All codes extreme at the deepest row there may be.
TEST(multiply_whole_rows, is_exact_at_its_deepest) {
  constexpr index k = gemm::grouped_weights<4>::max_depth;
  const sample s{row_matrix<std::int8_t>::Constant(1, k, -127),
                 row_matrix<std::uint8_t>::Constant(1, k, 15),
                 {1.0F},
                 {0}};
  const float most = static_cast<float>(-127LL * 15 * k);
  arch::compiled::for_each([&]<class Arch>() {
    EXPECT_EQ((product(packed<4, Arch>(s, true), s.a)(0, 0)), most) << Arch::name;
  });
}

}  // namespace
}  // namespace fewbit
