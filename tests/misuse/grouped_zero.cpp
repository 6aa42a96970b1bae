// expect: grouped<G> needs at least one column in a group
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return static_cast<int>(scheme<int4, grouped<0>>::granularity::size); }
