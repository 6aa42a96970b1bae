#pragma once
/// Float products by OpenBLAS, on one thread. OpenBLAS packs both operands in each call.
/// openblas_get_corename names the kernels in use; the environment variable OPENBLAS_CORETYPE
/// selects others.

#include <cblas.h>

#include <string>

#include "fewbit/core/types.hpp"

namespace fewbit::benchmarks {

template <class Operands>
class openblas_product {
 public:
  using operands = Operands;

  explicit openblas_product(operands& data) : data_(data) { openblas_set_num_threads(1); }

  void operator()() {
    const auto m = static_cast<blasint>(data_.a.rows()), n = static_cast<blasint>(data_.w.rows());
    const auto k = static_cast<blasint>(data_.a.cols());
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0F, data_.a.data(), k,
                data_.w.data(), k, 0.0F, data_.c.data(), n);
  }

  static std::string label() { return openblas_get_corename(); }

 private:
  operands& data_;
};

}  // namespace fewbit::benchmarks
