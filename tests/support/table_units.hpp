#pragma once
/// The units for tests of products by tables: those of all instruction sets, and units
/// with odd tile sizes.

#include <gtest/gtest.h>

#include <string>
#include <type_traits>

#include "fewbit/gemm/lookup/weights.hpp"
#include "support/archs.hpp"
#include "support/odd_units.hpp"

namespace fewbit::tests {

template <class Arch>
struct arch_table {
  using type = gemm::default_table_unit<Arch>;
  static std::string name() { return Arch::name; }
};

template <int Lanes, int Rows>
struct odd_table {
  using type = arch::reference_table<Lanes, Rows>;
  static std::string name() {
    return "reference_" + std::to_string(Lanes) + "x" + std::to_string(Rows);
  }
};

using odd_table_units = arch::list<odd_table<4, 1>, odd_table<12, 3>>;

namespace detail {

template <class Odd, class List>
struct table_units_of;
template <class... Odd, class... Archs>
struct table_units_of<arch::list<Odd...>, arch::list<Archs...>> {
  using type = testing::Types<arch_table<Archs>..., Odd...>;
};

}  // namespace detail

using table_units = detail::table_units_of<odd_table_units, archs_here>::type;

/// The units that a test with long compile time is compiled for.
using table_units_here =
    std::conditional_t<odd_units_here, detail::table_units_of<odd_table_units, arch::list<>>::type,
                       detail::table_units_of<arch::list<>, archs_here>::type>;

/// Names typed tests after the unit.
struct table_unit_names {
  template <class U>
  static std::string GetName(int) {
    return U::name();
  }
};

}  // namespace fewbit::tests
