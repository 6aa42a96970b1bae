// expect: the codes of a codebook have 1, 2, 3, 4 or 8 bits
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return codebook<5>::max; }
