// expect: real_minimum needs an unsigned storage
#include "fewbit/quant/quantize.hpp"

using bad = fewbit::scheme<fewbit::int4, fewbit::per_row, fewbit::real_minimum>;
static_assert(bad::code_max > 0);
