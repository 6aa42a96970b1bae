#pragma once
/// Float products by Eigen, on one thread. Eigen packs both operands in each call.

#include "fewbit/core/types.hpp"

namespace fewbit::benchmarks {

template <class Operands>
class eigen_product {
 public:
  using operands = Operands;

  explicit eigen_product(operands& data) : data_(data) {}

  void operator()() { data_.c.noalias() = data_.a * data_.w.transpose(); }

 private:
  operands& data_;
};

}  // namespace fewbit::benchmarks
