// expect: a codebook takes real scales and the nearest level
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return sizeof(scheme<codebook<4>, per_row, symmetric, power_of_two>); }
