#include "fewbit/gemm/int8/lhs.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "support/codes.hpp"
#include "support/kernels.hpp"

namespace fewbit { namespace gemm_int8_lhs_test {

template <class K>
class prepared_lhs_test : public testing::Test {
 public:
  using kernel = typename K::type;
  using unit = typename kernel::unit;
  using prepared = gemm::detail::int8_lhs<kernel>;
  using layout_type = gemm::depth_layout<unit::depth>;

  /// The code at position `k` of block `block` of row `row`, as the unit reads it.
  static int code(const prepared& lhs, index row, index block, index k) {
    const auto view = lhs.from(row / unit::rows);
    if (unit::in_place) return view.codes[block * view.block_stride + k];
    const index step = k / unit::depth;
    const auto at = static_cast<std::size_t>((step * unit::rows + row % unit::rows) * unit::depth +
                                             k % unit::depth);
    return view
        .codes[block * view.block_stride + static_cast<index>(tests::lhs_position<unit>(at))];
  }

  /// Rows of `k` codes, `stride` apart, in `depth`-deep blocks.
  static void check(index rows, index k, index stride, index block_depth) {
    using lhs = typename kernel::lhs;
    SCOPED_TRACE(testing::Message() << rows << " rows of " << k << ", stride " << stride
                                    << ", blocks of " << block_depth);
    const auto random = tests::random_codes<lhs>(rows, stride, 3);
    // The last row ends with its codes, so that a sanitizer detects reads after them.
    const std::vector<lhs> a(random.data(), random.data() + (rows - 1) * stride + k);
    const layout_type layout(k, block_depth);
    std::vector<std::byte> scratch(static_cast<std::size_t>(prepared::bytes(layout)),
                                   std::byte{0x55});
    const prepared block(a.data(), stride, rows, layout, scratch.data());
    for (index row = 0; row < rows; ++row) {
      for (index b = 0; b < layout.blocks(); ++b) {
        for (index i = 0; i < layout.depth_of(b); ++i) {
          const auto from = static_cast<std::size_t>(row * stride + b * layout.block_depth() + i);
          ASSERT_EQ(code(block, row, b, i), a[from] - unit::lhs_offset)
              << "row " << row << " block " << b << " code " << i;
        }
        for (index i = layout.depth_of(b); i < prepared::depth(layout, b); ++i)
          ASSERT_EQ(code(block, row, b, i), 0) << "row " << row << " padding " << i;
      }
    }
  }
};

TYPED_TEST_SUITE(prepared_lhs_test, tests::kernels, tests::kernel_names);

TYPED_TEST(prepared_lhs_test, has_every_code_minus_the_offset) {
  for (const index k : {1, 4, 5, 24, 63, 64, 65, 130, 1024}) {
    this->check(3, k, k, 0);
    this->check(5, k, k + 3, 0);
  }
}

TYPED_TEST(prepared_lhs_test, pads_each_block_of_depth) {
  this->check(3, 30, 30, 7);
  this->check(2, 33, 40, 16);
}

TYPED_TEST(prepared_lhs_test, has_scratch_memory_for_a_block_of_rows) {
  using fixture = TestFixture;
  for (const index k : {1, 64, 3000}) {
    const typename fixture::layout_type layout(k, 0);
    for (const index bytes : {index{0}, index{1} << 30}) {
      const index rows = fixture::prepared::rows_per_block(layout, bytes);
      EXPECT_GE(rows, fixture::kernel::tile::rows);
      EXPECT_EQ(rows % fixture::kernel::tile::rows, 0);
      this->check(rows, k, k, 0);
    }
  }
}

}  // namespace gemm_int8_lhs_test
}  // namespace fewbit
