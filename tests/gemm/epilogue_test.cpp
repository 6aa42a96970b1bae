#include "fewbit/gemm/epilogue.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fewbit { namespace gemm_epilogue_test {

using gemm::at;

template <class V>
class at_test : public testing::Test {};
using widths = testing::Types<arch::vec<float, 4>, arch::vec<float, 16>, arch::vec<std::int32_t, 5>,
                              arch::vec<std::int32_t, 8>, arch::vec<std::int8_t, 4>,
                              arch::vec<std::uint8_t, 16>>;
TYPED_TEST_SUITE(at_test, widths);

template <class T>
std::vector<T> count_up(std::size_t n) {
  std::vector<T> values;
  for (std::size_t i = 0; i < n; ++i) values.push_back(static_cast<T>(i % 100 + 1));
  return values;
}

/// The values end with the columns of C, so that a sanitizer detects reads after them.
TYPED_TEST(at_test, columns_reads_only_valid_columns) {
  using lane = arch::lane<TypeParam>;
  constexpr int lanes = TypeParam::lanes;
  const std::vector<lane> values = count_up<lane>(4096 / sizeof(lane));
  const auto size = static_cast<index>(values.size());
  for (int valid = 0; valid <= lanes; ++valid) {
    const at where{3, size - valid, valid};
    const auto v = where.template columns<TypeParam>(values.data());
    for (int i = 0; i < lanes; ++i) {
      const auto inside = static_cast<std::size_t>(size - valid + i);
      EXPECT_EQ(v[i], i < valid ? values[inside] : lane{0}) << "lane " << i << " of " << valid;
    }
  }
}

TYPED_TEST(at_test, store_columns_writes_only_valid_columns) {
  using lane = arch::lane<TypeParam>;
  constexpr int lanes = TypeParam::lanes;
  const std::vector<lane> from = count_up<lane>(lanes);
  const auto v = TypeParam::load(from.data());
  for (int valid = 0; valid <= lanes; ++valid) {
    const auto count = static_cast<std::size_t>(valid);
    std::vector<lane> at_the_end(7 + count, lane{0});
    at{0, 7, valid}.store_columns(v, at_the_end.data());
    std::vector<lane> expected(7, lane{0});
    expected.insert(expected.end(), from.begin(), from.begin() + valid);
    EXPECT_EQ(at_the_end, expected) << valid << " columns";

    std::vector<lane> inside(7 + 2 * lanes, lane{0});
    at{0, 7, valid}.store_columns(v, inside.data());
    expected.resize(inside.size(), lane{0});
    EXPECT_EQ(inside, expected) << valid << " columns";
  }
}

TEST(at, passes_single_numbers) {
  std::vector<float> values = {1.5F, 2.5F, 3.5F};
  EXPECT_EQ((at{0, 2, 1}.columns<float>(values.data())), 3.5F);
  at{0, 1, 1}.store_columns(9.0F, values.data());
  EXPECT_EQ(values, (std::vector<float>{1.5F, 9.0F, 3.5F}));
}

struct times_ten : gemm::stage {
  template <class V>
  V operator()(const V& value, const at&) const noexcept {
    return value * V(10);
  }
};

struct plus_column : gemm::stage {
  template <class V>
  V operator()(const V& value, const at& where) const noexcept {
    return value + V(static_cast<std::int32_t>(where.col));
  }
};

struct may_throw : gemm::stage {
  template <class V>
  V operator()(const V& value, const at&) const {
    return value;
  }
};

TEST(chain, applies_stages_from_left_to_right_at_their_positions) {
  const at where{0, 7, 4};
  EXPECT_EQ((times_ten{} | plus_column{})(3, where), 37);
  EXPECT_EQ((plus_column{} | times_ten{})(3, where), 100);
  EXPECT_EQ((times_ten{} | times_ten{} | plus_column{})(3, where), 307);
  EXPECT_EQ((times_ten{} | (times_ten{} | plus_column{}))(3, where), 307);
  const auto v = (times_ten{} | plus_column{})(arch::vec<std::int32_t, 4>(3), where);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(v[i], 37);
}

TEST(chain, is_an_epilogue_if_all_stages_are) {
  static_assert(gemm::Epilogue<decltype(times_ten{} | plus_column{}), std::int32_t>);
  static_assert(!gemm::Epilogue<decltype(times_ten{} | plus_column{}), float>);
  static_assert(!gemm::Epilogue<may_throw, std::int32_t>);
  static_assert(!gemm::Epilogue<decltype(may_throw{} | times_ten{}), std::int32_t>);
  static_assert(!gemm::Epilogue<decltype(times_ten{} | may_throw{}), std::int32_t>);
  static_assert(!gemm::Stage<int>);
}

}  // namespace gemm_epilogue_test
}  // namespace fewbit
