// A whole network in integers: convolution, pool and linear layer, built from float weights. Some
// batches run in float and calibrate the activations. Then images and activations are 8-bit codes.

#include <cstdint>
#include <cstdio>
#include <fewbit/fewbit.hpp>
#include <fewbit/ops/conv2d.hpp>
#include <fewbit/ops/linear/integer.hpp>
#include <fewbit/ops/pool2d.hpp>

using namespace fewbit;
using matrix = row_matrix<float>;

matrix random_matrix(Eigen::Index rows, Eigen::Index cols, float deviation, std::uint64_t seed) {
  const auto element = [=](auto r, auto c) { return deviation * normal({seed}, r * cols + c); };
  return matrix::NullaryExpr(rows, cols, element);
}

// The network in float. An image is a row of 16 x 16 pixels of 4 channels (NHWC).
struct float_values {
  matrix pool, y;

  float_values(const matrix& x, const matrix& w1, const matrix& w2) {
    pool.setZero(x.rows(), 7 * 7 * 8);
    for (int window = 0; window < 14 * 14; ++window) {
      const int row = window / 14, col = window % 14;
      matrix conv = matrix::Zero(x.rows(), 8);
      for (int tap = 0; tap < 9; ++tap) {
        const int pixel = (row + tap / 3) * 16 + col + tap % 3;
        conv += x.middleCols(pixel * 4, 4) * w1.middleCols(tap * 4, 4).transpose();
      }
      auto largest = pool.middleCols((row / 2 * 7 + col / 2) * 8, 8);
      largest = largest.cwiseMax(conv).eval();  // pool starts at 0, so this is also the relu
    }
    y = pool * w2.transpose();
  }
};

int main() {
  const matrix w1 = random_matrix(8, 3 * 3 * 4, 0.2F, 1);  // out x (kernel row, column, channel)
  const matrix w2 = random_matrix(10, 7 * 7 * 8, 0.05F, 2);
  const Eigen::VectorXf no_bias;
  const matrix batches[] = {random_matrix(64, 1024, 1.0F, 3), random_matrix(64, 1024, 1.0F, 4)};
  const matrix x = random_matrix(32, 1024, 1.0F, 5);
  row_matrix<std::uint8_t> images(32, 1024), conv_out(32, 1568), pool_out(32, 392), y(32, 10);

  histogram_observer seen_x, seen_pool, seen_y;
  for (const matrix& batch : batches) {
    const float_values real(batch, w1, w2);
    seen_x.observe(batch), seen_pool.observe(real.pool), seen_y.observe(real.y);
  }
  const auto params = [](const histogram_observer& seen) {
    return choose_params<uint8_affine>(seen.range(by_mse{}, clip::affine));
  };
  const quant_params px = params(seen_x), ph = params(seen_pool), py = params(seen_y);

  using integers = integer_only<std::uint8_t>;  // codes in, codes out
  const conv2d<int8_per_row, integers> conv(
      quantize<int8_per_row>(w1), {16, 16, 4}, {.kernel = {3, 3}}, no_bias, px,
      {.output_params = ph, .bounds = {.lowest = ph.zero_point}});  // lowest: relu
  const max_pool2d<std::uint8_t> pool(
      placed_window("pool", {14, 14, 8}, {.kernel = {2, 2}, .stride = {2, 2}}));
  const linear<int8_per_row, integers> classify(quantize<int8_per_row>(w2), no_bias, ph, {py});

  quantize_with<onnx, std::uint8_t>(x, images, px);
  conv(images, conv_out);
  pool(conv_out, pool_out);
  classify(pool_out, y);

  const matrix real = (y.cast<float>().array() - static_cast<float>(py.zero_point)) * py.scale;
  const double db = sqnr_db(float_values(x, w1, w2).y, real);
  std::printf("outputs  %.1f dB above their error\n", db);
  return db > 20.0 ? 0 : 1;
}
