// expect: requantize takes a rounding mode of core/fixed_point.hpp
#include "fewbit/gemm/stages.hpp"

using namespace fewbit;

struct my_mode {};

void misuse(const std::int32_t* mantissas, const std::int32_t* exponents) {
  (void)gemm::requantize<my_mode>(mantissas, exponents);
}
