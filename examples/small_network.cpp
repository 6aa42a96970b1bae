// A whole network in integers: convolution, pool and linear layer, built from float weights.
//
// Some batches run in float and calibrate the activations. Then images and activations are 8-bit
// codes: no float is computed between the codes of the pixels and the codes of the outputs.

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

// The float network. An image is a row of 16 x 16 pixels of 4 channels (NHWC).
struct float_values {
  matrix pool, y;

  float_values(const matrix& x, const matrix& w1, const matrix& w2) {
    pool.setZero(x.rows(), 8 * 8 * 8);
    for (int row = 0; row < 16; ++row) {
      for (int col = 0; col < 16; ++col) {
        matrix conv = matrix::Zero(x.rows(), 8);
        for (int tap = 0; tap < 9; ++tap) {
          const int v = row + tap / 3 - 1, h = col + tap % 3 - 1;
          if (v < 0 || v > 15 || h < 0 || h > 15) continue;
          conv += x.middleCols((v * 16 + h) * 4, 4) * w1.middleCols(tap * 4, 4).transpose();
        }
        auto cell = pool.middleCols((row / 2 * 8 + col / 2) * 8, 8);
        cell = cell.cwiseMax(conv).eval();  // the first value is 0: relu and maximum
      }
    }
    y = pool * w2.transpose();
  }
};

int main() {
  const matrix w1 = random_matrix(8, 3 * 3 * 4, 0.2F, 1);  // out x (kernel row, column, channel)
  const matrix w2 = random_matrix(10, 8 * 8 * 8, 0.05F, 2);
  const Eigen::VectorXf no_bias;

  histogram_observer seen_x, seen_pool, seen_y;
  for (std::uint64_t batch = 10; batch < 18; ++batch) {
    const matrix x = random_matrix(32, 1024, 1.0F, batch);
    const float_values real(x, w1, w2);
    seen_x.observe(x), seen_pool.observe(real.pool), seen_y.observe(real.y);
  }
  const auto params = [](const histogram_observer& seen) {
    return choose_params<uint8_affine>(seen.range(by_mse{}, clip::affine));
  };
  const quant_params px = params(seen_x), ph = params(seen_pool), py = params(seen_y);

  using integers = integer_only<std::uint8_t>;  // codes in, codes out
  const conv2d<int8_per_row, integers> conv(
      quantize<int8_per_row>(w1), {16, 16, 4}, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}, no_bias,
      px, {.output_params = ph, .bounds = {.lowest = ph.zero_point}});  // lowest: relu
  const max_pool2d<std::uint8_t> pool(
      placed_window("pool", {16, 16, 8}, {.kernel = {2, 2}, .stride = {2, 2}}));
  const linear<int8_per_row, integers> classify(quantize<int8_per_row>(w2), no_bias, ph,
                                                {.output_params = py});

  const matrix x = random_matrix(32, 1024, 1.0F, 3);
  row_matrix<std::uint8_t> images(32, 1024), hidden(32, 2048), pooled(32, 512), y(32, 10);
  quantize_with<onnx, std::uint8_t>(x, images, px);
  conv(images, hidden);
  pool(hidden, pooled);
  classify(pooled, y);

  const matrix real = (y.cast<float>().array() - static_cast<float>(py.zero_point)) * py.scale;
  const double db = sqnr_db(float_values(x, w1, w2).y, real);
  std::printf("outputs  %.1f dB above their error\n", db);
  return db > 20.0 ? 0 : 1;
}
