#pragma once
/// The function that each unit of the contraction test defines. Only raw pointers pass between
/// units.

#include <cstdint>

namespace contraction {

/// One row of results per case, `count` results each, as bits.
enum row {
  unguarded,
  scalar,
  lanes_4,
  lanes_5,
  lanes_8,
  lanes_16,
  wide_scalar,
  rounded_product,
  requantized,
  quantile,
  drawn,
  rows
};

inline constexpr int count = 4000;  // whole vectors of 4, 5, 8 and 16 lanes

using compute = void(const float* a, const float* b, const float* c, std::uint64_t* bits);
compute compute_plain;
compute compute_fused;

}  // namespace contraction
