// expect: the third choice of a scheme is a zero point
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return sizeof(scheme<int8, per_row, power_of_two>); }
