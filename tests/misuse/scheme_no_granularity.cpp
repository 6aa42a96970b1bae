// expect: the second choice of a scheme is a granularity
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return sizeof(scheme<int8, affine>); }
