// What a user's first program does: include, fail on bad input, use Eigen.
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"

int main() {
  static_assert(__cplusplus >= 202002L);
  const fewbit::row_matrix<float> m = fewbit::row_matrix<float>::Ones(2, 3);
  try {
    fewbit::detail::expect_equal("consumer", "sum", m.sum(), 7.0F);
  } catch (const fewbit::error&) {
    return 0;
  }
  return 1;
}
