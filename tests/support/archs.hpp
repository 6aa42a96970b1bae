#pragma once
/// The instruction sets for typed tests.

#include <gtest/gtest.h>

#include <string>

#include "fewbit/arch/all.hpp"

namespace fewbit::tests {

namespace detail {

template <class List>
struct archs_of;
template <class... Archs>
struct archs_of<arch::list<Archs...>> {
  using type = testing::Types<Archs...>;
};

}  // namespace detail

using archs = detail::archs_of<arch::compiled>::type;

/// Names typed tests after the instruction set.
struct arch_names {
  template <class Arch>
  static std::string GetName(int) {
    return Arch::name;
  }
};

}  // namespace fewbit::tests
