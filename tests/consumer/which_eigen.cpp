// Checks that fewbit uses the Eigen of the host, whose stand-in defines a macro, and no other Eigen.
#include <fewbit/core/types.hpp>

#if !defined(STAND_IN_EIGEN)
#error "this is another Eigen than the host's"
#endif

int main() { return fewbit::row_matrix<float>::Zero(2, 3).size() == 6 ? 0 : 1; }
