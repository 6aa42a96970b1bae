// expect: a layer of bit planes takes integers; levels of a codebook are floats
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

int main() { linear<codebook_per_row<2>, binary_inputs> layer(row_matrix<float>::Ones(1, 1)); }
