#pragma once
/// An executor that runs the last part first: results must not depend on the order.

#include "fewbit/core/types.hpp"

namespace fewbit::tests {

struct reverse_executor {
  template <class F>
  void for_each(index n, F&& f) const {
    for (index i = n; i-- > 0;) f(i);
  }
};

}  // namespace fewbit::tests
