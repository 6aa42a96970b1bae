#pragma once
/// Products of int16 codes, for instruction sets whose 8-bit products are made of 16-bit ones: what
/// a transformed convolution multiplies (ops/conv2d/winograd.hpp).
///
/// Weights are [panel][step of 2 codes of k][column][2]. A panel has tile::cols columns; the last
/// one has as few registers as hold the rest. Sums are int32 and wrap.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/int8/kernel.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"
#include "fewbit/gemm/int8/row_tiles.hpp"
#include "fewbit/gemm/int8/saturation_proof.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// Whether an instruction set multiplies 8-bit codes as int16.
template <class Arch>
concept MultipliesWideCodes = detail::Proving<typename default_kernel<std::uint8_t, Arch>::unit>;

/// n x k weights of int16, k even.
template <MultipliesWideCodes Arch>
class wide_weights {
  using kernel_type = default_kernel<std::uint8_t, Arch>;
  using dots = typename kernel_type::unit::widened;

 public:
  static constexpr index panel_cols = kernel_type::tile::cols;

  wide_weights() = default;

  /// @param value  value(column, k) is an int16
  template <class F>
  wide_weights(index n, index k, const F& value) : n_(n), k_(k) {
    aligned_buffer<std::int16_t> codes(number_of_codes());
    for (index j = 0; j < n; ++j) {
      const index first = j / panel_cols * panel_cols, width = width_at(first);
      for (index i = 0; i < k; ++i)
        codes[first * k + i / 2 * 2 * width + (j - first) * 2 + i % 2] = value(j, i);
    }
    codes_ = std::move(codes);
  }

  /// Lists the codes of n x k weights (ops/parts.hpp).
  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts, const std::string& name, index n, index k) {
    if constexpr (Parts::loads) {
      self.n_ = n;
      self.k_ = k;
    }
    parts.array(name, self.codes_, self.number_of_codes());
  }

  [[nodiscard]] index n() const noexcept { return n_; }
  [[nodiscard]] index bytes() const noexcept { return codes_.bytes(); }
  /// The columns of the panel that starts at `col`, rounded up to whole registers.
  [[nodiscard]] index width_at(index col) const noexcept {
    return std::min(panel_cols, (n_ - col + dots::cols - 1) / dots::cols * dots::cols);
  }

  /// sums(i, j) = sum over k of a(i, k) * W(col + j, k), for the columns of the panel at `col`.
  ///
  /// @param stride  codes from one row of a to the next
  /// @param sums    panel_cols numbers from one row to the next
  void multiply(const std::int16_t* a, index stride, index rows, index col,
                std::int32_t* sums) const noexcept {
    const index width = width_at(col);
    if (width == panel_cols) {
      multiply_panel<kernel_type::col_registers>(a, stride, rows, col, sums);
    } else {
      multiply_narrow<kernel_type::col_registers - 1>(width / dots::cols, a, stride, rows, col,
                                                      sums);
    }
  }

 private:
  [[nodiscard]] index number_of_codes() const noexcept {
    return (n_ + dots::cols - 1) / dots::cols * dots::cols * k_;
  }

  template <int Registers>
  void multiply_narrow(index registers, const std::int16_t* a, index stride, index rows, index col,
                       std::int32_t* sums) const noexcept {
    if constexpr (Registers > 1) {
      if (registers < Registers)
        return multiply_narrow<Registers - 1>(registers, a, stride, rows, col, sums);
    }
    multiply_panel<Registers>(a, stride, rows, col, sums);
  }

  template <int Registers>
  void multiply_panel(const std::int16_t* a, index stride, index rows, index col,
                      std::int32_t* sums) const noexcept {
    constexpr int most = kernel_type::row_registers;
    detail::for_each_height<kernel_type>(rows, [&](index first, index height, index count) {
      const detail::tile_run<dots> run{
          a + first * stride, stride, codes_.data() + col * k_, 0, k_, nullptr, nullptr, count, 1};
      const detail::store_sums<dots> sink{sums + first * panel_cols, panel_cols};
      detail::prefetcher nothing;
      detail::sum_rows<dots, most, Registers>(height, run, 0, nothing, sink);
    });
  }

  index n_ = 0;
  index k_ = 0;
  stored_array<std::int16_t> codes_;
};

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
