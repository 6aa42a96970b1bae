// expect: this rule does not fit the storage
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return quantize<int8_per_row, ternary_twn>(row_matrix<float>::Ones(1, 1)).code(0, 0); }
