// A first program of a user: quantizes, and catches the error of a bad input.
#include <cmath>
#include <fewbit/fewbit.hpp>
#include <string>

int main() {
  static_assert(__cplusplus >= 202002L);
  fewbit::row_matrix<float> weights = fewbit::row_matrix<float>::Ones(2, 3);
  const auto codes = fewbit::quantize<fewbit::int8_per_row>(weights);
  if (!fewbit::dequantize(codes).isApprox(weights)) return 1;

  weights(1, 2) = std::nanf("");
  try {
    (void)fewbit::quantize<fewbit::int8_per_row>(weights);
  } catch (const fewbit::error& e) {
    return std::string(e.what()).starts_with("fewbit: quantize: ") ? 0 : 2;
  }
  return 3;
}
