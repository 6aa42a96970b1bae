// A host program with all warnings. It defines the macros of windows.h, X11, Arduino and curses
// before it includes the library by -I. It uses many parts of the library, so that templates are
// instantiated. At the end its macros must be unchanged.

#include "host_macros.hpp"

#include "every_header.hpp"

#include "host_macros_kept.hpp"

namespace {

using reals = fewbit::row_matrix<float>;
using extent = fewbit::row_matrix<float>::Index;

reals numbers(extent rows, extent cols) {
  return reals::NullaryExpr(rows, cols, [](extent r, extent c) {
    return static_cast<float>((7 * r + 5 * c) % 23 - 11) / 16.0F;
  });
}

template <class Layer>
int call(Layer layer) {
  const reals x = numbers(3, 64);
  reals y(3, 16);
  layer(x, y);
  return y.allFinite() ? 0 : 1;
}

int layers() {
  using namespace fewbit;
  const reals w = numbers(16, 64);
  const Eigen::VectorXf bias = numbers(16, 1);
  const quant_params params{0.01F, 128};
  int failures = 0;
  failures += call(linear<int8_per_row>(w, bias));
  failures += call(linear<uint8_affine_per_row>(w, bias));
  failures += call(linear<int8_per_row, static_uint8>(w, bias, params));
  failures += call(linear<int8_per_row, float_inputs>(w, bias));
  failures += call(linear<int4_grouped<32>>(w, bias));
  failures += call(linear<int4_grouped<32>, dynamic_int8_groups>(w, bias));
  failures += call(linear<int4_grouped<32>, float_inputs>(w, bias));
  failures += call(linear<int2_per_row, unsigned_inputs<2>>(w, bias));
  failures += call(linear<binary_per_row, binary_inputs>(w, bias));
  failures += call(linear<binary_per_row, ternary_inputs>(w, bias));
  failures += call(linear<codebook_per_row<4>, float_inputs>(quantize<codebook_per_row<4>>(w)));
  failures += call(linear<pq<4, 4>>(w));
  return failures;
}

int code_count() {
  using namespace fewbit;
  const reals w = numbers(16, 64);
  int failures = 0;
  failures += dequantize(quantize<int16_per_row>(w)).isApprox(w, 1e-3F) ? 0 : 1;
  failures += dequantize(quantize<uint4_grouped<32>>(w)).isApprox(w, 0.2F) ? 0 : 1;
  failures += dequantize(quantize<int8_power_of_two>(w)).isApprox(w, 0.1F) ? 0 : 1;
  failures += dequantize(quantize_ttq(w)).rows() == 16 ? 0 : 1;
  const Eigen::VectorXf importance = numbers(64, 1).cwiseAbs();
  failures +=
      sqnr_db(w, dequantize(weighted_quantize<int4_grouped<32>>(w, {importance.data(), 64}))) > 0
          ? 0
          : 1;
  failures += clipped_share(w, quantize<int8_per_row>(w)) <= 1 ? 0 : 1;

  std::vector<std::int8_t> array(100);
  quantize_array(w.data(), 100, quant_params{0.01F, 0}, array.data());
  std::vector<float> back(100);
  dequantize_array(array.data(), 100, quant_params{0.01F, 0}, back.data());

  const row_matrix<std::int8_t> signs = row_matrix<std::int8_t>::Constant(16, 100, -1);
  row_matrix<std::int32_t> sums(16, 16);
  gemm::multiply(signs, gemm::pack_int8<std::int8_t>(signs), sums);
  failures += sums(3, 5) == 100 ? 0 : 1;
  const auto planes = gemm::pack_planes<gemm::binary_bits, gemm::binary_bits>(signs);
  gemm::multiply(gemm::to_planes<gemm::binary_bits>(signs), planes, sums);
  failures += sums(3, 5) == 100 ? 0 : 1;

  const std::vector<std::int32_t> bias(16, 10);
  const std::vector<float> factors(16, 0.02F);
  row_matrix<std::int8_t> out(16, 16);
  gemm::multiply(
      signs, gemm::pack_int8<std::int8_t>(signs), out,
      gemm::add_bias(bias.data()) | gemm::requantize<xnn_fp32>(factors) | gemm::to_int8{-5});
  return failures;
}

int calibration() {
  using namespace fewbit;
  const reals w = numbers(16, 64);
  histogram_observer seen;
  seen.observe(w);
  int failures = 0;
  failures += seen.range(by_entropy{}, clip::affine).hi > 0 ? 0 : 1;
  failures += seen.range(by_mse{}, clip::affine).hi > 0 ? 0 : 1;
  failures += seen.range(by_percentile{99.9}, clip::affine).hi > 0 ? 0 : 1;
  max_observer widest;
  widest.observe(w);
  moving_average_observer average;
  average.observe(w);
  per_channel<max_observer> channels(64);
  channels.observe(w);
  failures += channels.ranges().size() == 64 ? 0 : 1;
  failures += histogram_observer::from_text(seen.to_text()).to_text() == seen.to_text() ? 0 : 1;
  return failures;
}

int by_name() {
  using namespace fewbit;
  const reals w = numbers(16, 64);
  const reals points = numbers(300, 8);
  int failures = 0;
  failures += kmeans(points, 4).centroids.rows() == 4 ? 0 : 1;
  failures += optimal_kmeans_1d(numbers(100, 1), 4).centroids.rows() == 4 ? 0 : 1;
  failures += quantize<codebook_per_row<4>, lloyd_max>(w).rows() == 16 ? 0 : 1;

  pq_options options;
  options.parts = 2;
  options.bits = 4;
  const product_quantizer pq = train_product_quantizer(points, options);
  const row_matrix<std::uint8_t> codes = pq.encode(points);
  failures += find_nearest(pq, packed_codes<>(pq, codes), points, 1).numbers.rows() == 300 ? 0 : 1;
  rotation_options rotation;
  rotation.pq = options;
  failures += train_rotated_quantizer(points, rotation).decode(codes).rows() == 300 ? 0 : 1;

  failures += to_quantized(quantize_blocks<q4_0>(w)).rows() == 16 ? 0 : 1;
  failures += to_quantized(quantize_blocks<q8_0>(w)).rows() == 16 ? 0 : 1;
  const auto nibbles = to_matmul_nbits<32>(quantize<uint4_grouped<32>>(w));
  failures += from_matmul_nbits<32>(nibbles).rows() == 16 ? 0 : 1;
  return failures;
}

}  // namespace

int main() {
  const int failures = layers() + code_count() + calibration() + by_name();
  std::printf("%d failures\n", failures);
  return failures;
}
