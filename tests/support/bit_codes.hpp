#pragma once
/// Codes of the bit-plane formats, and the units for tests of their products.

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/gemm/bit_planes/formats.hpp"
#include "fewbit/gemm/bit_planes/lhs.hpp"
#include "support/archs.hpp"
#include "support/odd_units.hpp"

namespace fewbit::tests {

/// All codes of a format, lowest first.
template <class F>
std::vector<typename F::code> codes_of() {
  std::vector<typename F::code> codes;
  for (int code = -300; code <= 300; ++code) {
    if (F::takes(code)) codes.push_back(static_cast<typename F::code>(code));
  }
  return codes;
}

/// Uniform over all codes of F, from a generator whose sequence the C++ standard defines.
template <class F>
row_matrix<typename F::code> random_codes_of(index rows, index cols, std::uint32_t seed) {
  const auto codes = codes_of<F>();
  std::mt19937 random(seed);
  row_matrix<typename F::code> m(rows, cols);
  for (index i = 0; i < m.size(); ++i) m.data()[i] = codes[random() % codes.size()];
  return m;
}

/// Number of words of sign_bits that a unit stores as parities: three, plus a multiple of four.
template <class Unit>
index parities_among(index words) {
  if (Unit::least_parities == 0 || words < Unit::least_parities) return 0;
  return 3 + (words - 3) / 4 * 4;
}

/// A W^T of any codes in 64 bits.
template <class A, class W>
row_matrix<std::int64_t> wide_product_of(const A& a, const W& w) {
  return a.template cast<std::int64_t>() * w.template cast<std::int64_t>().transpose();
}

template <class Arch>
struct arch_bits {
  using type = gemm::default_bit_unit<Arch>;
  static std::string name() { return Arch::name; }
};

/// Units with odd sizes that do not divide the sizes of test matrices; one row reads two panels at
/// a time.
template <int Lanes, int Rows, int Registers>
struct odd_bits {
  struct type : arch::reference_bits<Lanes, Rows, Registers> {
    static constexpr int streams = 2;
  };
  static std::string name() {
    return "reference_" + std::to_string(Lanes) + "x" + std::to_string(Rows) + "x" +
           std::to_string(Registers);
  }
};

using odd_bit_units = arch::list<odd_bits<1, 1, 1>, odd_bits<3, 3, 2>>;

namespace detail {

template <class Odd, class List>
struct bit_units_of;
template <class... Odd, class... Archs>
struct bit_units_of<arch::list<Odd...>, arch::list<Archs...>> {
  using type = testing::Types<arch_bits<Archs>..., Odd...>;
};

}  // namespace detail

using bit_units = detail::bit_units_of<odd_bit_units, archs_here>::type;

/// The units that a test with long compile time is compiled for.
using bit_units_here =
    std::conditional_t<odd_units_here, detail::bit_units_of<odd_bit_units, arch::list<>>::type,
                       detail::bit_units_of<arch::list<>, archs_here>::type>;

/// Names typed tests after the unit.
struct bit_unit_names {
  template <class U>
  static std::string GetName(int) {
    return U::name();
  }
};

}  // namespace fewbit::tests
