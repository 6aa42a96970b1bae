#pragma once
/// Sums of 8-bit codes: what a zero point of one operand asks of the other.

#include <cstdint>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm {

/// The sum of `count` codes, exact up to 2^23 of them.
template <class Code>
[[nodiscard]] std::int32_t sum_of_codes(const Code* codes, index count) noexcept {
  static_assert(sizeof(Code) == 1);
  using bytes = arch::vec<Code, arch::native_lanes<std::int32_t>>;
  arch::rebind<bytes, std::int32_t> sums(0);
  index k = 0;
  for (; k + bytes::lanes <= count; k += bytes::lanes) {
    sums += arch::convert<std::int32_t>(bytes::load(codes + k));
  }
  std::int32_t sum = arch::sum_of_lanes(sums);
  for (; k < count; ++k) sum += codes[k];
  return sum;
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm
