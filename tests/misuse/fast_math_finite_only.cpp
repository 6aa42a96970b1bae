// expect only: -ffast-math breaks the promise of equal bits
// flags: -ffinite-math-only
#include "fewbit/fewbit.hpp"

int main() {
  const fewbit::row_matrix<float> w = fewbit::row_matrix<float>::Ones(2, 64);
  fewbit::linear<fewbit::int4_grouped<32>> layer(w);
  return 0;
}
