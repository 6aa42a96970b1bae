// expect: ternary and binary codes are symmetric; they take no other zero point
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return scheme<ternary, per_row, affine>::code_max; }
