// A network of two layers in integers: calibrated, quantized, and run from codes to codes.
//
// The first layer reads float inputs and writes 8-bit codes after a ReLU. The second layer reads
// these codes and writes floats. No float activation is stored between them.

#include <cstdint>
#include <cstdio>
#include <fewbit/fewbit.hpp>
#include <vector>

using namespace fewbit;
using matrix = row_matrix<float>;

matrix random_matrix(Eigen::Index rows, Eigen::Index cols, std::uint64_t seed) {
  const auto element = [=](auto r, auto c) { return normal({seed}, r * cols + c); };
  return matrix::NullaryExpr(rows, cols, element);
}

// The float network: max(x W1^T + b1, 0), then W2.
matrix hidden_of(const matrix& x, const matrix& w1, const Eigen::VectorXf& b1) {
  return ((x * w1.transpose()).rowwise() + b1.transpose()).cwiseMax(0.0F);
}

int main() {
  const matrix w1 = random_matrix(256, 128, 1), w2 = random_matrix(10, 256, 2);
  const Eigen::VectorXf b1 = random_matrix(256, 1, 3), b2 = random_matrix(10, 1, 4);

  std::vector<matrix> batches;
  for (std::uint64_t seed = 100; seed < 108; ++seed)
    batches.push_back(random_matrix(32, 128, seed));

  histogram_observer seen_x, seen_hidden;
  for (const matrix& x : batches) {
    seen_x.observe(x);
    seen_hidden.observe(hidden_of(x, w1, b1));
  }
  const auto x_params = choose_params<uint8_affine>(seen_x.range(by_mse{}, clip::affine));
  const auto hidden_params = choose_params<uint8_affine>(seen_hidden.range(by_mse{}, clip::affine));

  const linear_options codes_out{.relu = true, .output_params = hidden_params};
  linear<int8_per_row, static_uint8> first(w1, b1, x_params, codes_out);
  linear<int8_per_row, static_uint8> second(w2, b2, hidden_params);

  const matrix x = random_matrix(32, 128, 5);
  row_matrix<std::uint8_t> hidden(32, 256);
  matrix y(32, 10);
  first(x, hidden);   // floats in, codes out
  second(hidden, y);  // codes in, floats out

  const matrix exact = (hidden_of(x, w1, b1) * w2.transpose()).rowwise() + b2.transpose();
  const double db = sqnr_db(exact, y);
  std::printf("outputs  %.1f dB above their error\n", db);
  return db > 20.0 ? 0 : 1;
}
