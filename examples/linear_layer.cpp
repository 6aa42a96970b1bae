// Quantizes the weights of a float layer to 4 bits once, and calls the layer often.

#include <cstdint>
#include <cstdio>
#include <fewbit/fewbit.hpp>

using matrix = fewbit::row_matrix<float>;

matrix random_matrix(Eigen::Index rows, Eigen::Index cols, std::uint64_t seed) {
  const auto element = [=](auto r, auto c) { return fewbit::normal({seed}, r * cols + c); };
  return matrix::NullaryExpr(rows, cols, element);
}

int main() {
  const matrix weights = random_matrix(1024, 512, 1);  // 1024 outputs, 512 inputs
  const Eigen::VectorXf bias = random_matrix(1024, 1, 2);
  const matrix inputs = random_matrix(32, 512, 3);

  const auto codes = fewbit::quantize<fewbit::int4_grouped<32>>(weights);
  fewbit::linear<fewbit::int4_grouped<32>> layer(codes, bias);  // once: packs the codes
  matrix outputs(32, 1024);
  layer(inputs, outputs);  // often: no allocation, no exception

  const matrix exact = (inputs * weights.transpose()).rowwise() + bias.transpose();
  std::printf("weights  %td bytes instead of %td\n", codes.storage_bytes(), weights.size() * 4);
  std::printf("outputs  %.1f dB above their error\n", fewbit::sqnr_db(exact, outputs));
}
