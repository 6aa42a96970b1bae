// expect: the codes of a codebook have 1 to 8 bits
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return codebook<9>::max; }
