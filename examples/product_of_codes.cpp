// Products of 8-bit codes without a layer. Stages of the library convert the sums to codes, and a
// stage of your own computes floats. Both epilogues process the sums while they are in registers.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fewbit/fewbit.hpp>
#include <vector>

using namespace fewbit;

/// value if it is positive, else value / 128.
struct leaky_relu : gemm::stage {
  template <class V>  // float, or a vector of floats: neighbouring columns of one row
  V operator()(const V& value, const gemm::at&) const noexcept {
    return arch::select(value > V(0.0F), value, arch::rounded(V(value * V(0.0078125F))));
  }
};

int main() {
  const row_matrix<std::int8_t> codes = row_matrix<std::int8_t>::Random(40, 100);
  const row_matrix<std::uint8_t> a = row_matrix<std::uint8_t>::Random(7, 100);
  const std::vector<std::int32_t> bias(40, 1000);
  const std::vector<float> scales(40, 0.001F);
  row_matrix<std::int8_t> out(7, 40);
  row_matrix<float> real(7, 40);

  const auto packed = gemm::pack_int8<std::uint8_t>(codes);  // once; codes: int8, n x k
  gemm::multiply(a, packed, out,                             // a: uint8, m x k; out: int8, m x n
                 gemm::add_bias{bias.data()} | gemm::relu{} | gemm::requantize<xnn_fp32>{scales} |
                     gemm::to_int8{-5});  // the zero point of out

  gemm::multiply(a, packed, real,
                 gemm::to_float{} | gemm::scale_columns{scales.data()} | leaky_relu{});

  int different = 0;
  for (Eigen::Index i = 0; i < a.rows(); ++i) {
    for (Eigen::Index j = 0; j < codes.rows(); ++j) {
      int sum = 0;
      for (Eigen::Index k = 0; k < a.cols(); ++k) sum += a(i, k) * codes(j, k);
      const float scaled = static_cast<float>(sum) * 0.001F;
      const float step = std::nearbyint(static_cast<float>(std::max(sum + 1000, 0)) * 0.001F);
      if (out(i, j) != std::clamp(static_cast<int>(step) - 5, -128, 127)) ++different;
      if (real(i, j) != (scaled > 0.0F ? scaled : scaled / 128)) ++different;
    }
  }
  std::printf("%d outputs differ from plain loops\n", different);
  return different == 0 ? 0 : 1;
}
