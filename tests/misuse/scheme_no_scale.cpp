// expect: the fourth choice of a scheme is a scale
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return sizeof(scheme<int8, per_row, symmetric, half_away>); }
