// expect: stochastic rounding takes a generator
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() {
  using rounded_at_random = scheme<int8, per_row, symmetric, real_scale, stochastic>;
  return quantize<rounded_at_random>(row_matrix<float>::Ones(1, 1)).code(0, 0);
}
