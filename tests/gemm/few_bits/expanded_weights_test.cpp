#include "fewbit/gemm/few_bits/expanded_weights.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/gemm/int8/weights.hpp"
#include "support/archs.hpp"
#include "support/narrow.hpp"

namespace fewbit { namespace gemm_few_bits_expanded_weights_test {

using tests::random_weights;

template <class Arch>
class expanded_weights_test : public testing::Test {
 public:
  /// Number of weights of columns first .. last - 1 that are not in the order of int8_weights.
  template <class Expanded, class Packed>
  static index misplaced(const Expanded& window, const Packed& packed, index first, index last) {
    index wrong = 0;
    constexpr index depth = Packed::unit::depth;
    for (index col = first; col < last; col += window.panel_cols(col)) {
      const index width = packed.panel_cols(col);
      if (window.panel_cols(col) != width) ++wrong;
      for (index at = 0; at < width * packed.layout().padded(); ++at) {
        const index j = col + at / depth % width, k = at / depth / width * depth + at % depth;
        if (j >= packed.n() || k >= packed.k()) continue;
        if (window.panel(col)[at] != packed.panel(col)[at]) ++wrong;
      }
    }
    return wrong;
  }

  template <int Bits, class Lhs>
  static void expect_as_packed(index n, index k) {
    SCOPED_TRACE(testing::Message() << "bits=" << Bits << " n=" << n << " k=" << k);
    const auto w = random_weights(n, k, Bits, 1, 1);
    const gemm::few_bit_weights<Bits, Arch> narrow(w, 1);
    const auto packed = gemm::pack_int8<Lhs, Arch>(w);
    using expanded = gemm::detail::expanded_weights<Lhs, Arch>;
    aligned_buffer<std::byte> memory(expanded::bytes_for(narrow));
    expanded window(narrow, memory.data());
    for (index first = 0; first < n;) {
      const index end = window.expand(narrow, first, n);
      ASSERT_GT(end, first);
      EXPECT_EQ(window.n(), end - first);
      EXPECT_LE(window.bytes(), memory.size());
      EXPECT_EQ(misplaced(window, packed, first, end), 0);
      first = end;
    }
    EXPECT_EQ(window.layout().padded(), packed.layout().padded());
    EXPECT_EQ(window.wide_cols(), packed.wide_cols());
  }
};

TYPED_TEST_SUITE(expanded_weights_test, tests::archs, tests::arch_names);

TYPED_TEST(expanded_weights_test, have_the_order_of_packed_weights) {
  constexpr index tile = gemm::default_kernel<std::uint8_t, TypeParam>::tile::cols;
  tests::for_each_width([]<int Bits>() {
    for (const index n : {index{1}, tile - 1, tile, 2 * tile + 1}) {
      for (index k = 1; k <= 67; k += 3) {
        TestFixture::template expect_as_packed<Bits, std::uint8_t>(n, k);
        TestFixture::template expect_as_packed<Bits, std::int8_t>(n, k);
      }
    }
  });
}

TYPED_TEST(expanded_weights_test, are_cut_into_windows_of_whole_panels) {
  constexpr index tile = gemm::default_kernel<std::uint8_t, TypeParam>::tile::cols;
  const index deep = gemm::detail::expanded_bytes / tile / 2 + 1;
  TestFixture::template expect_as_packed<2, std::int8_t>(3 * tile + 1, deep);
}

}  // namespace gemm_few_bits_expanded_weights_test
}  // namespace fewbit
