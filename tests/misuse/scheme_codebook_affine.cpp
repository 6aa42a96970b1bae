// expect: the levels of a codebook stand where they stand
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return scheme<codebook<4>, per_row, affine>::code_max; }
