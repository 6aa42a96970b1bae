// expect: only stochastic rounding takes a generator
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() {
  return quantize<int8_per_row>(row_matrix<float>::Ones(1, 1), generator{1}).code(0, 0);
}
