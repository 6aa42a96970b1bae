#pragma once
/// The same products by gemmlowp, on one thread. gemmlowp multiplies u8 by u8 and adds an offset to
/// each. It packs both operands in each call. Signed codes become code + 128 with the offset -128
/// before the timed calls.

#if defined(__AVX2__)
// Without this macro, AVX2 builds get the kernel for SSE 4.1.
#define GEMMLOWP_ENABLE_AVX2
#endif
#include <public/gemmlowp.h>

#include <cstdint>
#include <tuple>
#include <type_traits>

#include "fewbit/core/types.hpp"

namespace fewbit::benchmarks {

template <class Operands>
class gemmlowp_product {
 public:
  using operands = Operands;

  explicit gemmlowp_product(operands& data)
      : data_(data), a_(as_unsigned(data.a)), w_(as_unsigned(data.w)) {
    context_.set_max_num_threads(1);
  }

  /// C^T = W A^T, because the kernels of gemmlowp write column-major results.
  void operator()() {
    using gemmlowp::MapOrder;
    const int m = static_cast<int>(a_.rows()), n = static_cast<int>(w_.rows());
    const int k = static_cast<int>(a_.cols());
    const gemmlowp::MatrixMap<const std::uint8_t, MapOrder::RowMajor> lhs(w_.data(), n, k, k);
    const gemmlowp::MatrixMap<const std::uint8_t, MapOrder::ColMajor> rhs(a_.data(), k, m, k);
    gemmlowp::MatrixMap<std::int32_t, MapOrder::ColMajor> result(data_.c.data(), n, m, n);
    gemmlowp::GemmWithOutputPipeline<std::uint8_t, std::int32_t,
                                     gemmlowp::DefaultL8R8BitDepthParams>(
        &context_, lhs, rhs, &result, offset<std::int8_t>, offset<typename operands::lhs>,
        std::tuple<>());
  }

 private:
  template <class Code>
  static constexpr int offset = std::is_same_v<Code, std::int8_t> ? -128 : 0;

  template <class Code>
  static row_matrix<std::uint8_t> as_unsigned(const row_matrix<Code>& codes) {
    return codes.unaryExpr(
        [](Code code) { return static_cast<std::uint8_t>(code - offset<Code>); });
  }

  operands& data_;
  row_matrix<std::uint8_t> a_;
  row_matrix<std::uint8_t> w_;
  gemmlowp::GemmContext context_;
};

}  // namespace fewbit::benchmarks
