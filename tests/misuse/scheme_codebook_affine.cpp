// expect: the levels of a codebook are fixed
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return scheme<codebook<4>, per_row, affine>::code_max; }
