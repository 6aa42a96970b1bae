#pragma once
/// Codes of the formats of bit planes, and the units their products are tested on.

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/gemm/bit_planes/formats.hpp"
#include "fewbit/gemm/bit_planes/lhs.hpp"
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

/// Uniform over all codes of F, from a generator whose sequence the standard fixes.
template <class F>
row_matrix<typename F::code> random_codes_of(index rows, index cols, std::uint32_t seed) {
  const auto codes = codes_of<F>();
  std::mt19937 random(seed);
  row_matrix<typename F::code> m(rows, cols);
  for (index i = 0; i < m.size(); ++i) m.data()[i] = codes[random() % codes.size()];
  return m;
}

/// How many of the words of sign_bits a unit stores as parities: three and then whole fours.
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

/// Units that divide nothing; one row reads two panels at a time.
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

using bit_units = detail::bit_units_of<odd_bit_units, arch::compiled>::type;

/// What a dear program is compiled for.
using bit_units_here =
    std::conditional_t<odd_units_here, detail::bit_units_of<odd_bit_units, arch::list<>>::type,
                       detail::bit_units_of<arch::list<>, arch::compiled>::type>;

/// Names of typed tests: the unit's.
struct bit_unit_names {
  template <class U>
  static std::string GetName(int) {
    return U::name();
  }
};

}  // namespace fewbit::tests
