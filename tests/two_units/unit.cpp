// Compiled once per set of -m flags. FEWBIT_TEST_UNIT names the unit.

#include "two_units/unit.hpp"

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/bits.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/gemm/epilogue.hpp"
#include "fewbit/gemm/int8/multiply.hpp"
#include "fewbit/gemm/int8/weights.hpp"

#define FEWBIT_TEST_TEXT_OF(name) #name
#define FEWBIT_TEST_TEXT(name) FEWBIT_TEST_TEXT_OF(name)

namespace two_units::FEWBIT_TEST_UNIT {

namespace gemm = fewbit::gemm;
namespace arch = fewbit::arch;

// sum * scale + bias. Some units have instructions that could fuse it.
struct scale_and_bias : gemm::stage {
  float scale;
  const float* bias;

  scale_and_bias(float s, const float* b) noexcept : scale(s), bias(b) {}

  template <class V>
  arch::rebind<V, float> operator()(const V& sum, const gemm::at& where) const noexcept {
    using floats = arch::rebind<V, float>;
    const floats product = arch::convert<float>(sum) * floats(scale);
    return arch::rounded(product) + where.columns<floats>(bias);
  }
};

template <class T>
using input = Eigen::Map<const fewbit::row_matrix<T>>;

template <class T>
using output = Eigen::Map<fewbit::row_matrix<T>>;

void multiply(const problem& p, std::int32_t* sums, float* scaled, float* one_by_one) {
  const input<std::int8_t> w(p.weights, cols, depth);
  const input<std::uint8_t> a(p.activations, rows, depth);
  const auto packed = gemm::pack_int8<std::uint8_t>(w);
  gemm::multiply(a, packed, output<std::int32_t>(sums, rows, cols), gemm::raw{});
  const scale_and_bias epilogue(p.scale, p.bias);
  gemm::multiply(a, packed, output<float>(scaled, rows, cols), epilogue);
  for (fewbit::index i = 0; i < rows * cols; ++i) {
    one_by_one[i] = epilogue(sums[i], gemm::at{i / cols, i % cols, 1});
  }
}

/// The product of the scalar kernel. Only the tag makes its name differ between flags.
const void* scalar_product() {
  using kernel = gemm::default_kernel<std::uint8_t, arch::scalar>;
  using a = input<std::uint8_t>;
  using c = output<std::int32_t>;
  using function =
      void(const a&, const gemm::int8_weights<std::uint8_t, kernel>&, c&&, const gemm::raw&);
  return reinterpret_cast<const void*>(
      static_cast<function*>(&gemm::multiply<std::uint8_t, kernel, a, c, gemm::raw>));
}

void fail() { fewbit::detail::fail("unit", "name", FEWBIT_TEST_TEXT(FEWBIT_TEST_UNIT), "none"); }

extern const unit description;
const unit description{
    FEWBIT_TEST_TEXT(FEWBIT_TEST_UNIT),
    arch::native::name,
    &multiply,
    &fail,
    reinterpret_cast<const void*>(&fewbit::pack_bits<4, std::int8_t>),
    scalar_product(),
    reinterpret_cast<const void*>(&fewbit::abort_with_message),
};

}  // namespace two_units::FEWBIT_TEST_UNIT
