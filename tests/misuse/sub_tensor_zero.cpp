// expect: sub_tensor<G> needs at least one row in a block
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return static_cast<int>(scheme<int4, sub_tensor<0>>::granularity::size); }
