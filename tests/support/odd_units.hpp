#pragma once
/// Whether this program tests the units with odd tile sizes instead of the units of instruction
/// sets. Odd units do not depend on the flags, so one program is enough for them.

#ifndef FEWBIT_TEST_ODD_UNITS
#define FEWBIT_TEST_ODD_UNITS 0
#endif

namespace fewbit::tests {

inline constexpr bool odd_units_here = FEWBIT_TEST_ODD_UNITS != 0;

}  // namespace fewbit::tests
