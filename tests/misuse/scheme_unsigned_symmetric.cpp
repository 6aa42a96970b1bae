// expect: an unsigned storage needs the affine zero point
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return scheme<uint8, per_row>::code_max; }
