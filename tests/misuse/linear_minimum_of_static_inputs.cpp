// expect: weights with minima (real_minimum) take dynamic_int8
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

int main() { linear<uint4_grouped_minimum<32>, static_uint8> layer; }
