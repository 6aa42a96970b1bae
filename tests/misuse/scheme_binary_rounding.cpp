// expect: ternary and binary codes are chosen by sign and magnitude; they take no rounding
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return scheme<binary, per_row, symmetric, real_scale, half_away>::code_max; }
