#pragma once
/// Whether this program tests the odd units, whose tiles divide nothing, instead of those of
/// instruction sets. The former are the same everywhere and need one program only.

#ifndef FEWBIT_TEST_ODD_UNITS
#define FEWBIT_TEST_ODD_UNITS 0
#endif

namespace fewbit::tests {

inline constexpr bool odd_units_here = FEWBIT_TEST_ODD_UNITS != 0;

}  // namespace fewbit::tests
