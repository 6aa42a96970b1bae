// expect: real_minimum needs groups within a row
#include "fewbit/quant/quantize.hpp"

using bad = fewbit::scheme<fewbit::uint4, fewbit::per_tensor, fewbit::real_minimum>;
static_assert(bad::code_max > 0);
