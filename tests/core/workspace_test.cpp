#include "fewbit/core/workspace.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <set>
#include <string>

#include "support/sentence.hpp"

namespace core_workspace_test {

using fewbit::index;
using fewbit::workspace;

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

TEST(workspace, is_empty_at_first) {
  const workspace scratch;
  EXPECT_EQ(scratch.slots(), 0);
  EXPECT_EQ(scratch.bytes_per_slot(), 0);
}

TEST(workspace, slots_share_no_line_and_start_at_different_offsets_of_a_page) {
  for (index bytes : {0, 1, 64, 65, 127, 128, 4032, 4096, 8192, 12345}) {
    workspace scratch(bytes, 64);
    std::set<std::uintptr_t> offsets;
    for (index i = 0; i < 64; ++i) {
      EXPECT_EQ(address(scratch.slot(i)) % 64, 0U);
      offsets.insert(address(scratch.slot(i)) % 4096);
      std::memset(scratch.slot(i), static_cast<int>(i), static_cast<std::size_t>(bytes));
      if (i > 0) {
        EXPECT_GE(scratch.slot(i) - scratch.slot(i - 1), bytes > 0 ? bytes : 64);
      }
    }
    EXPECT_EQ(offsets.size(), 64U) << bytes;
    for (index i = 0; i < 64 && bytes > 0; ++i) {
      EXPECT_EQ(scratch.slot(i)[0], std::byte(i));
      EXPECT_EQ(scratch.slot(i)[bytes - 1], std::byte(i));
    }
  }
}

TEST(workspace, grows_in_each_extent_and_never_shrinks) {
  workspace scratch(100, 2);
  scratch.reserve(50, 8);
  EXPECT_EQ(scratch.bytes_per_slot(), 100);
  EXPECT_EQ(scratch.slots(), 8);
  scratch.reserve(1000);
  EXPECT_EQ(scratch.bytes_per_slot(), 1000);
  EXPECT_EQ(scratch.slots(), 8);
  for (index i = 0; i < 8; ++i) std::memset(scratch.slot(i), static_cast<int>(i), 1000);
  for (index i = 0; i < 8; ++i) EXPECT_EQ(scratch.slot(i)[999], std::byte(i));
}

TEST(workspace, keeps_its_memory_while_it_is_large_enough) {
  workspace scratch(1000, 4);
  const std::byte* memory = scratch.slot(0);
  scratch.reserve(1000, 4);
  scratch.reserve(10, 1);
  scratch.reserve(1001, 4);  // the same lines
  EXPECT_EQ(scratch.slot(0), memory);
  EXPECT_EQ(scratch.bytes_per_slot(), 1001);
}

#if FEWBIT_HAS_EXCEPTIONS
std::string sentence_of_reserve(workspace& scratch, index bytes, index slots) {
  return fewbit::tests::sentence_of([&] { scratch.reserve(bytes, slots); });
}

TEST(workspace, refuses_impossible_sizes_and_stays_unchanged) {
  workspace scratch(100, 2);
  const std::byte* memory = scratch.slot(0);
  constexpr index most = std::numeric_limits<index>::max();
  EXPECT_EQ(sentence_of_reserve(scratch, -1, 1),
            "fewbit: workspace: bytes_per_slot is -1, expected 0 to 9223372036854775679");
  EXPECT_EQ(sentence_of_reserve(scratch, most, 1),
            "fewbit: workspace: bytes_per_slot is 9223372036854775807, expected 0 to "
            "9223372036854775679");
  EXPECT_EQ(sentence_of_reserve(scratch, 64, -3),
            "fewbit: workspace: slots is -3, expected 0 to 48038396025285290");
  EXPECT_EQ(sentence_of_reserve(scratch, 1000, most),
            "fewbit: workspace: slots is 9223372036854775807, expected 0 to 8477364004462110");
  EXPECT_EQ(sentence_of_reserve(scratch, most / 4 * 3, 1),
            "fewbit: workspace: bytes_per_slot is 6917529027641081853, expected less with 2 slots");
  EXPECT_EQ(scratch.slot(0), memory);
  EXPECT_EQ(scratch.slots(), 2);
  EXPECT_EQ(scratch.bytes_per_slot(), 100);
}
#endif

}  // namespace core_workspace_test
