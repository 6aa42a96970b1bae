#pragma once
/// The interface between translation units built with different -m flags: raw pointers and untagged
/// types of fewbit.

#include <cstddef>
#include <cstdint>

namespace two_units {

inline constexpr std::ptrdiff_t rows = 7;
inline constexpr std::ptrdiff_t cols = 37;
inline constexpr std::ptrdiff_t depth = 131;

struct problem {
  const std::uint8_t* activations;  // rows x depth
  const std::int8_t* weights;       // cols x depth
  const float* bias;                // cols
  float scale;
};

struct unit {
  const char* name;
  const char* arch;
  /// Exact sums, and scaled floats computed by vectors and one by one; rows x cols each.
  void (*multiply)(const problem& p, std::int32_t* sums, float* scaled, float* one_by_one);
  /// Fails with an error of the library.
  void (*fail)();
  /// Functions that compute and must differ between units: pack_bits, and the multiply of the
  /// scalar kernel.
  const void* pack_bits;
  const void* scalar_product;
  /// A function of the untagged namespace, which must be the same in all units.
  const void* untagged;
};

}  // namespace two_units
