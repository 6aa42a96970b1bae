#pragma once
/// Products by Eigen, on one thread, in float or int32. Eigen packs both operands in each call.

#include <cstdint>

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

/// The product of 8-bit codes in int32. Weights become int32 before the timed calls, activations in
/// each call.
template <class Operands>
class eigen_int_product {
 public:
  using operands = Operands;

  explicit eigen_int_product(operands& data)
      : data_(data), a_(data.a.rows(), data.a.cols()), w_(data.w.template cast<std::int32_t>()) {}

  void operator()() {
    a_ = data_.a.template cast<std::int32_t>();
    data_.c.noalias() = a_ * w_.transpose();
  }

 private:
  operands& data_;
  row_matrix<std::int32_t> a_;
  row_matrix<std::int32_t> w_;
};

}  // namespace fewbit::benchmarks
