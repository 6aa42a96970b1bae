#pragma once
/// XNNPACK on one thread: its operators, and the product of s8 codes to s8 codes by its fully
/// connected operator, with weights packed before the timed calls.
///
/// XNNPACK selects its kernels by the processor features that cpuinfo reports, and has no option
/// for it. A program built without AVX-512 should measure kernels without AVX-512, so this header
/// then clears the AVX-512 features in cpuinfo.

#include <cpuinfo.h>
#include <xnnpack.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::benchmarks {

inline void expect_success(xnn_status status, const char* what) {
  if (status == xnn_status_success) return;
  std::fprintf(stderr, "%s failed with status %d\n", what, static_cast<int>(status));
  std::abort();
}

inline void initialize_xnnpack() {
  cpuinfo_initialize();
#if defined(__x86_64__) && !defined(__AVX512F__)
  cpuinfo_isa.avx512f = cpuinfo_isa.avx512bw = cpuinfo_isa.avx512dq = false;
  cpuinfo_isa.avx512vl = cpuinfo_isa.avx512vnni = false;
#endif
  expect_success(xnn_initialize(nullptr), "xnn_initialize");
}

/// Owns an operator that was created and set up.
class xnnpack_operator {
 public:
  void operator()() { xnn_run_operator(operator_.get(), nullptr); }

 protected:
  void own(xnn_operator_t created) { operator_.reset(created); }
  [[nodiscard]] xnn_operator_t get() const { return operator_.get(); }

 private:
  struct deleter {
    void operator()(xnn_operator_t o) const { xnn_delete_operator(o); }
  };

  std::unique_ptr<xnn_operator, deleter> operator_;
};

/// One factor for all channels, because this operator has no factors per channel.
template <class Operands>
class xnnpack_product : public xnnpack_operator {
 public:
  using operands = Operands;

  explicit xnnpack_product(operands& data)
      : input_(data.a.size() + XNN_EXTRA_BYTES / index{sizeof(std::int8_t)}) {
    initialize_xnnpack();
    const auto m = static_cast<std::size_t>(data.a.rows());
    const auto n = static_cast<std::size_t>(data.w.rows());
    const auto k = static_cast<std::size_t>(data.a.cols());
    std::memcpy(input_.data(), data.a.data(), m * k);
    xnn_operator_t created = nullptr;
    expect_success(xnn_create_fully_connected_nc_qs8(
                       k, n, k, n, /*input zero point*/ 0, data.factors.front(),
                       /*kernel scale*/ 1.0F, data.w.data(), data.bias.data(), operands::zero_point,
                       /*output scale*/ 1.0F, operands::lowest, operands::highest, 0, &created),
                   "xnn_create_fully_connected_nc_qs8");
    own(created);
    expect_success(xnn_setup_fully_connected_nc_qs8(created, m, input_.data(), data.c.data(),
                                                    /*threadpool*/ nullptr),
                   "xnn_setup_fully_connected_nc_qs8");
  }

 private:
  aligned_buffer<std::int8_t> input_;
};

}  // namespace fewbit::benchmarks
