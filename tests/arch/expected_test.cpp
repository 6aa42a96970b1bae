// Checks that the build compiled the instruction sets that it was configured for. Otherwise a
// preset could pass although it tests the wrong code.

#include <gtest/gtest.h>

#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "fewbit/arch/arch.hpp"

namespace arch_expected_test {

std::vector<std::string> expected_names() {
  std::vector<std::string> names;
  std::istringstream list(FEWBIT_EXPECT_ARCHS);
  for (std::string name; std::getline(list, name, ',');) names.push_back(name);
  return names;
}

std::vector<std::string> compiled_names() {
  std::vector<std::string> names;
  fewbit::arch::compiled::for_each([&]<class Arch>() { names.emplace_back(Arch::name); });
  return names;
}

TEST(expected, every_named_arch_is_compiled_and_the_last_one_is_native) {
  if (expected_names().empty()) GTEST_SKIP() << "FEWBIT_EXPECT_ARCHS is empty";
  EXPECT_EQ(compiled_names(), expected_names());
  EXPECT_EQ(fewbit::arch::native::name, expected_names().back());
}

TEST(expected, scalar_is_always_compiled) { EXPECT_EQ(compiled_names().front(), "scalar"); }

/// .ci/run reads this line, to say which instruction sets ran.
TEST(expected, names_are_printed) {
  std::cout << "instruction sets:";
  for (const std::string& name : compiled_names()) std::cout << " " << name;
  std::cout << std::endl;
}

}  // namespace arch_expected_test
