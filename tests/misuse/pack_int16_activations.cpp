// expect: activations are std::uint8_t or std::int8_t
#include "fewbit/gemm/int8/weights.hpp"

using namespace fewbit;

void misuse(const row_matrix<std::int8_t>& w) { (void)gemm::pack_int8<std::int16_t>(w); }
