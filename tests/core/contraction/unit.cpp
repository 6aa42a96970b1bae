// Compiled twice: in one unit the compiler may fuse a product with the sum that follows it, in the
// other unit it may not. The build gives namespace fewbit a different name in each unit, so that
// the linker keeps both.

#include "core/contraction/unit.hpp"

#include <bit>
#include <cstdint>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/fixed_point.hpp"
#include "fewbit/core/random.hpp"

namespace {

namespace arch = fewbit::arch;

template <class V>
void multiply_add(const float* a, const float* b, const float* c, std::uint64_t* bits) {
  constexpr int lanes = sizeof(V) / sizeof(float);
  for (int i = 0; i < contraction::count; i += lanes) {
    const V sum = arch::rounded(arch::load<V>(a + i) * arch::load<V>(b + i)) + arch::load<V>(c + i);
    float stored[sizeof(V) / sizeof(float)];
    arch::store(stored, sum);
    for (int j = 0; j < lanes; ++j) bits[i + j] = std::bit_cast<std::uint32_t>(stored[j]);
  }
}

}  // namespace

void FEWBIT_TEST_COMPUTE(const float* a, const float* b, const float* c, std::uint64_t* bits) {
  using namespace contraction;
  const auto at = [&](row r) { return bits + r * count; };
  multiply_add<float>(a, b, c, at(scalar));
  multiply_add<arch::vec<float, 4>>(a, b, c, at(lanes_4));
  multiply_add<arch::vec<float, 5>>(a, b, c, at(lanes_5));
  multiply_add<arch::vec<float, 8>>(a, b, c, at(lanes_8));
  multiply_add<arch::vec<float, 16>>(a, b, c, at(lanes_16));
  // In a separate loop, because a product that has another use is not fused.
  for (int i = 0; i < count; ++i) {
    at(unguarded)[i] = std::bit_cast<std::uint32_t>(a[i] * b[i] + c[i]);
  }
  for (int i = 0; i < count; ++i) {
    const double third = 1.0 / 3;
    at(wide_scalar)[i] = std::bit_cast<std::uint64_t>(arch::rounded(a[i] * third) + c[i]);
    at(rounded_product)[i] = static_cast<std::uint32_t>(arch::round_to_int(a[i] * b[i]));
    at(requantized)[i] = static_cast<std::uint32_t>(
        fewbit::xnn_fp32::apply(i * 7919, b[i] * 0x1p-12F, -128.0F, 127.0F));
    at(quantile)[i] = std::bit_cast<std::uint64_t>(fewbit::inverse_normal_cdf((i + 0.5) / count));
    at(drawn)[i] = std::bit_cast<std::uint32_t>(fewbit::normal({1, 2}, i));
  }
}
