// expect: the fifth choice of a scheme is a rounding
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return sizeof(scheme<int8, per_row, symmetric, real_scale, affine>); }
