// On some processors the compiler may fuse a product with the sum that follows it. The library
// prevents this with arch::rounded. Two units with the same source must give equal bits.

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "core/contraction/unit.hpp"
#include "support/sanitized.hpp"

namespace core_contraction_test {

using contraction::count;
namespace tests = fewbit::tests;

bool processor_can_fuse() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("fma") != 0;
#else
  return true;
#endif
}

class contraction_test : public testing::Test {
 protected:
  void SetUp() override {
    if (!processor_can_fuse()) GTEST_SKIP() << "this processor has no fused multiply-add";
    // Numbers above 1 with full precision. c is minus the rounded product, so that a fused sum is
    // the rounding error and a plain sum is zero.
    std::vector<float> a, b, c;
    std::uint32_t state = 1;
    const auto next = [&] {
      state = state * 1664525 + 1013904223;
      return 1.0F + static_cast<float>(state >> 8) * 0x1p-13F;
    };
    for (int i = 0; i < count; ++i) {
      a.push_back(next());
      b.push_back(next());
      volatile const float product = a.back() * b.back();
      c.push_back(-product);
    }
    contraction::compute_plain(a.data(), b.data(), c.data(), plain_.data());
    contraction::compute_fused(a.data(), b.data(), c.data(), fused_.data());
  }

  int different(contraction::row r) const {
    int result = 0;
    for (int i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(r * count + i);
      result += plain_[at] != fused_[at];
    }
    return result;
  }

 private:
  std::vector<std::uint64_t> plain_ = std::vector<std::uint64_t>(contraction::rows * count);
  std::vector<std::uint64_t> fused_ = std::vector<std::uint64_t>(contraction::rows * count);
};

// If the compiler never fused, the next test would prove nothing.
TEST_F(contraction_test, the_compiler_fuses_unguarded_sums) {
  if (tests::sanitized) GTEST_SKIP() << "clang fuses nothing that its sanitizers watch";
  EXPECT_GT(different(contraction::unguarded), count / 2);
}

TEST_F(contraction_test, guarded_sums_have_equal_bits) {
  for (int r = contraction::scalar; r < contraction::rows; ++r) {
    EXPECT_EQ(different(static_cast<contraction::row>(r)), 0) << "row " << r;
  }
}

}  // namespace core_contraction_test
