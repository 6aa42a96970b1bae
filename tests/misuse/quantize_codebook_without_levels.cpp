// expect: lloyd_max of codebook/lloyd_max.hpp, which is to be included
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return quantize<codebook_per_row<4>>(row_matrix<float>::Ones(1, 1)).code(0, 0); }
