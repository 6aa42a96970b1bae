// expect: fail_range
#include "fewbit/ops/qmn.hpp"

using namespace fewbit;

constexpr std::int8_t weights[8] = {}, bias[1] = {};
constexpr q7_conv2d layer({8, 8, 1}, {.kernel = {3, 3}}, {weights, bias});
