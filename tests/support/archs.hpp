#pragma once
/// The instruction sets for typed tests: all that are compiled. A program that defines
/// FEWBIT_TEST_ARCHS tests that list of support/emulated_archs.hpp instead.

#include <gtest/gtest.h>

#include <string>

#include "fewbit/arch/all.hpp"
#if defined(FEWBIT_TEST_ARCHS)
#include "support/emulated_archs.hpp"
#endif

namespace fewbit::tests {

#if defined(FEWBIT_TEST_ARCHS)
using archs_here = FEWBIT_TEST_ARCHS;
inline constexpr bool emulated_here = true;
#else
using archs_here = arch::compiled;
inline constexpr bool emulated_here = false;
#endif

namespace detail {

template <class List>
struct archs_of;
template <class... Archs>
struct archs_of<arch::list<Archs...>> {
  using type = testing::Types<Archs...>;
};

}  // namespace detail

using archs = detail::archs_of<archs_here>::type;

/// Names typed tests after the instruction set.
struct arch_names {
  template <class Arch>
  static std::string GetName(int) {
    return Arch::name;
  }
};

}  // namespace fewbit::tests
