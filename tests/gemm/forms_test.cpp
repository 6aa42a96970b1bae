/// Every form of weights has the same three calls: pack_<form>, scratch_bytes and multiply.

#include <gtest/gtest.h>

#include <concepts>
#include <cstdint>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/gemm/multiply.hpp"
#include "support/archs.hpp"
#include "support/bit_codes.hpp"

namespace fewbit { namespace gemm_forms_test {

using tests::random_codes_of, tests::wide_product_of;
using int8_bits = gemm::signed_bits<8>;

/// What a caller of any form relies on.
template <class W, class A, class C, class E>
concept WeightsOfAnyForm =
    requires(const W& w, const A& a, C& c, const E& epilogue, workspace& scratch) {
      { w.n() } -> std::same_as<index>;
      { w.k() } -> std::same_as<index>;
      { w.bytes() } -> std::same_as<index>;
      { gemm::scratch_bytes(w) } -> std::same_as<index>;
      { gemm::scratch_bytes(w, index{1}) } -> std::same_as<index>;
      gemm::multiply(a, w, c, epilogue, scratch, inline_executor{});
      gemm::multiply(a, w, c, epilogue);
    };

/// Half of a sum or total, plus 1, exact for the sums below.
struct half_plus_one : gemm::stage {
  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, float> operator()(const V& sum,
                                                         const gemm::at&) const noexcept {
    using reals = arch::rebind<V, float>;
    return reals(reals(arch::convert<float>(sum) * reals(0.5F)) + reals(1.0F));
  }
};

/// A W^T by one form, in several slots and threads.
template <class W>
void expect_product(const row_matrix<std::int8_t>& a, const W& w, const row_matrix<float>& wanted) {
  static_assert(WeightsOfAnyForm<W, row_matrix<std::int8_t>, row_matrix<float>, half_plus_one>);
  EXPECT_EQ(w.n(), wanted.cols());
  EXPECT_EQ(w.k(), a.cols());
  const auto expect_equal = [&](index slots, const auto& executor) {
    workspace scratch(gemm::scratch_bytes(w), slots);
    row_matrix<float> c = row_matrix<float>::Constant(wanted.rows(), wanted.cols(), 99.0F);
    gemm::multiply(a, w, c, half_plus_one{}, scratch, executor);
    EXPECT_EQ(c, wanted) << "slots=" << slots;
  };
  expect_equal(1, inline_executor{});
  expect_equal(3, thread_executor{2});
}

template <class Arch>
class forms_test : public testing::Test {};

TYPED_TEST_SUITE(forms_test, tests::archs, tests::arch_names);

TYPED_TEST(forms_test, all_equal_the_product_in_64_bits_through_the_same_calls) {
  const thread_executor executor{2};
  for (const index m : {1, 14}) {
    SCOPED_TRACE(m);
    const row_matrix<std::int8_t> a =
        random_codes_of<int8_bits>(m, 75, 1).array().max(std::int8_t{-127});
    const auto w = random_codes_of<gemm::ternary_bits>(70, 75, 2);
    const row_matrix<float> wanted =
        (wide_product_of(a, w).template cast<float>().array() * 0.5F + 1.0F).matrix();
    const row_matrix<std::uint8_t> codes =
        (w.template cast<int>().array() + 2).template cast<std::uint8_t>();
    const std::vector<float> scales(70 * 3, 1.0F);

    expect_product(a, gemm::pack_int8<std::int8_t, TypeParam>(w, 0, 127, executor), wanted);
    expect_product(a, gemm::pack_few_bits<2, TypeParam>(w, 2, executor), wanted);
    expect_product(a, gemm::pack_grouped<2, TypeParam>(codes, 32, scales, 2, executor), wanted);
    expect_product(a, gemm::pack_planes<int8_bits, gemm::ternary_bits, TypeParam>(w, executor),
                   wanted);
    expect_product(a, gemm::pack_table<int8_bits, gemm::ternary_bits, TypeParam>(w, executor),
                   wanted);
  }
}

}  // namespace gemm_forms_test
}  // namespace fewbit
