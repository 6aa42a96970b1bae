// expect: nothing, this compiles
#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"

static_assert(fewbit::RowMajorDense<fewbit::row_matrix<float>, float>);

int main() { return fewbit::arch::vec<int, 4>(0)[0]; }
