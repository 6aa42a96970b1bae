#pragma once
/// The products of gemmlowp, one thread. It multiplies u8 by u8 and adds an offset to each operand.
/// It packs both operands in each call, because it cannot pack ahead. Signed codes are converted to
/// code + 128 before timing and have the offset -128.

#if defined(__AVX2__)
// Without this macro, AVX2 builds use the SSE 4.1 kernel.
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

  /// Computes C^T = W A^T, because its kernels write results in column order.
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
