// Checks that the Eigen of the host is used and no other one on this machine. The stand-in Eigen of
// the host defines a macro.
#include <fewbit/core/types.hpp>

#if !defined(STAND_IN_EIGEN)
#error "this is another Eigen than the host's"
#endif

int main() { return fewbit::row_matrix<float>::Zero(2, 3).size() == 6 ? 0 : 1; }
