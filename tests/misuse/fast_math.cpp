// expect: -ffast-math breaks the promise of equal bits
// flags: -ffast-math
#include "fewbit/config.hpp"

int main() { return 0; }
