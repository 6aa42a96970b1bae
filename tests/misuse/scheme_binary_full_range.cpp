// expect: ternary and binary codes are symmetric; they take no other zero point
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return scheme<binary, per_row, symmetric_full>::code_max; }
