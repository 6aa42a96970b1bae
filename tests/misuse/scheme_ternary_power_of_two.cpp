// expect: a power-of-two scale needs an integer storage
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return scheme<ternary, per_row, symmetric, power_of_two>::code_max; }
