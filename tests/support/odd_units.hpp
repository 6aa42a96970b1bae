#pragma once
/// Whether this program tests the units with odd tile sizes instead of the units of instruction
/// sets. Odd units are the same for all flags, so one program tests them.

#ifndef FEWBIT_TEST_ODD_UNITS
#define FEWBIT_TEST_ODD_UNITS 0
#endif

namespace fewbit::tests {

inline constexpr bool odd_units_here = FEWBIT_TEST_ODD_UNITS != 0;

}  // namespace fewbit::tests
