// expect only: fewbit needs C++20, compile with -std=c++20 or later
// flags: -std=c++14
#include "fewbit/fewbit.hpp"

int main() {
  const fewbit::row_matrix<float> w = fewbit::row_matrix<float>::Ones(2, 64);
  fewbit::linear<fewbit::int4_grouped<32>> layer(w);
  return 0;
}
