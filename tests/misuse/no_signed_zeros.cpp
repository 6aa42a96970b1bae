// expect only: -fno-signed-zeros lets results depend on the sign of a zero
// flags: -fno-signed-zeros
#include "fewbit/config.hpp"

int main() { return 0; }
