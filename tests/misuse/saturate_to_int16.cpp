// expect: codes are std::int8_t or std::uint8_t
#include "fewbit/gemm/stages.hpp"

using namespace fewbit;

int main() { return gemm::saturate<std::int16_t>{}(5, gemm::at{0, 0, 1}); }
