#pragma once
/// Sums of 8-bit codes. The zero point of one operand is multiplied by the sums of the other.

#include "fewbit/begin.hpp"

#include <cstdint>

#include "fewbit/arch/byte_sums.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// The sum of `count` codes, exact for up to 2^23 codes.
template <class Code>
[[nodiscard]] std::int32_t sum_of_codes(const Code* codes, index count) noexcept {
  static_assert(sizeof(Code) == 1);
  return arch::sum_of_bytes(codes, count);
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
