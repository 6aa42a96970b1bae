// expect: a layer of product quantization takes dynamic_int8 or float_inputs
#include "fewbit/ops/linear.hpp"
#include "fewbit/ops/linear/pq.hpp"

using namespace fewbit;

void misuse(const row_matrix<float>& w) { linear<pq<4, 4>, static_uint8> layer(w); }
