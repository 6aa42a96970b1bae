// expect: the first choice of a scheme is a storage
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() { return sizeof(scheme<per_row, int8>); }
