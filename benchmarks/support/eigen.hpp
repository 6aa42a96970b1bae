#pragma once
/// The float product of Eigen, one thread. It packs its operands in each call.

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
