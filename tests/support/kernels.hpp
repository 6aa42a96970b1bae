#pragma once
/// The kernels for typed tests: every instruction set with both types of activations, and
/// reference kernels with odd tile sizes.

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <type_traits>

#include "fewbit/gemm/int8/kernel.hpp"
#include "support/archs.hpp"
#include "support/odd_units.hpp"

namespace fewbit::tests {

template <class Arch, class Lhs>
struct arch_kernel : gemm::default_kernel<Lhs, Arch> {
  using type = gemm::default_kernel<Lhs, Arch>;
  static std::string name() {
    return std::string(Arch::name) + (std::is_signed_v<Lhs> ? "_s8" : "_u8");
  }
};

template <class Lhs, int Rows, int Cols, int Depth, int Offset>
struct odd_kernel {
  using type = gemm::reference_kernel<Lhs, gemm::tile_shape<Rows, Cols, Depth>, Offset>;
  using lhs = Lhs;
  static std::string name() {
    return "reference_" + std::to_string(Rows) + "x" + std::to_string(Cols) + "x" +
           std::to_string(Depth) + "_offset" + std::to_string(Offset);
  }
};

/// A kernel with several rows per unit, narrow panels, or activations with an offset. It tests on
/// every machine what i8mm and dotprod need.
template <class Lhs, class Unit, int RowRegisters, int ColRegisters, int Narrow>
struct unit_kernel {
  using type = gemm::kernel<Lhs, Unit, RowRegisters, ColRegisters, Narrow>;
  using lhs = Lhs;
  static std::string name() {
    return "unit_" + std::to_string(Unit::rows) + "x" + std::to_string(Unit::cols) + "x" +
           std::to_string(Unit::depth) + "_offset" + std::to_string(Unit::lhs_offset);
  }
};

using odd_kernels = arch::list<
    odd_kernel<std::uint8_t, 1, 1, 1, 0>, odd_kernel<std::int8_t, 3, 5, 7, -128>,
    odd_kernel<std::int8_t, 8, 1, 2, 0>,
    unit_kernel<std::int8_t, arch::reference_unit<std::int8_t, 3, 2, 5>, 2, 3, 1>,
    unit_kernel<std::uint8_t, arch::reference_unit<std::uint8_t, 2, 2, 8>, 2, 4, 2>,
    unit_kernel<std::uint8_t, arch::reference_unit<std::uint8_t, 1, 3, 4, 128>, 2, 2, 1>>;

namespace detail {

template <class Odd, class List>
struct kernels_of;
template <class... Odd, class... Archs>
struct kernels_of<arch::list<Odd...>, arch::list<Archs...>> {
  using type = testing::Types<arch_kernel<Archs, std::uint8_t>...,
                              arch_kernel<Archs, std::int8_t>..., Odd...>;
};

}  // namespace detail

using kernels = detail::kernels_of<odd_kernels, archs_here>::type;

/// The kernels that a test with long compile time is compiled for: those of instruction sets, or,
/// in a separate program, the odd kernels, which are the same for all instruction sets.
using kernels_here =
    std::conditional_t<odd_units_here, detail::kernels_of<odd_kernels, arch::list<>>::type,
                       detail::kernels_of<arch::list<>, archs_here>::type>;

/// Position of the i-th code of a step, for units that reorder the codes of a step.
template <class Unit>
std::size_t lhs_position(std::size_t i) {
  if constexpr (requires { Unit::lhs_position; }) {
    constexpr std::size_t depth = Unit::depth;
    return i / depth * depth + static_cast<std::size_t>(Unit::lhs_position[i % depth]);
  } else {
    return i;
  }
}

/// Names typed tests after the kernel.
struct kernel_names {
  template <class K>
  static std::string GetName(int) {
    return K::name();
  }
};

}  // namespace fewbit::tests
