#pragma once
/// Weights of one to four bits, stored in about bits / 8 bytes each. They are packed once.
///
/// The order is [panel][chunk]. A panel is unit::cols rows of W side by side; arch/stored_unit.hpp
/// describes a chunk. Codes of rows from n on and of columns from k on are 0.
///
/// Example: W is 2 x 5, 4 bits, zero point 8, the scalar unit. A code is w + 8. A panel has 8
/// columns; a chunk has 8 codes of k in 32 bytes. Byte 4 c + d holds the codes k = d (low half) and
/// k = d + 4 (high half) of column c. Bytes 8 .. 31 are 0.
///
///     W = |  1  2  3  4  5 |      codes  9 10 11 12 13      bytes  D9 0A 0B 0C    column 0
///         | -1 -2 -3 -4 -5 |             7  6  5  4  3             37 06 05 04    column 1
///
/// Read next: gemm/few_bits/multiply.hpp (the product).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "fewbit/arch/all.hpp"
#include "fewbit/arch/stored_unit.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/int8/kernel.hpp"
#include "fewbit/gemm/int8/panel_layout.hpp"
#include "fewbit/gemm/weights_image.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// W (n x k, one output channel per row) in `Bits` bits each, for activations of 8 bits, signed or
/// unsigned.
///
/// A weight is the value of its code minus the zero point. The value of a code is the code itself;
/// with one bit it is 0 or 2.
///
/// | bits | weights with the default zero point       |
/// |------|-------------------------------------------|
/// | 1    | -1, 1 (zero point 0: 0, 2; 2: -2, 0)      |
/// | 2    | -2 .. 1, so also ternary weights          |
/// | 3    | -4 .. 3                                   |
/// | 4    | -8 .. 7                                   |
///
/// Memory: n * k * Bits / 8 bytes, padded to whole chunks and registers, and one int32 per column.
///
/// @tparam Bits  1, 2, 3 or 4
/// @tparam Arch  the instruction set that multiplies
template <int Bits, class Arch = arch::native>
class few_bit_weights : public viewable_weights<few_bit_weights<Bits, Arch>> {
  static_assert(Bits >= 1 && Bits <= 4, "fewbit: narrow weights have 1, 2, 3 or 4 bits");
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  using layout = arch::stored_layout<Bits>;

 public:
  using unit = arch::stored_unit<Arch, Bits>;
  using panels_type = panel_layout<default_kernel<std::uint8_t, Arch>>;

  /// The value of the largest code.
  static constexpr int largest_value = Bits == 1 ? 2 : (1 << Bits) - 1;
  static constexpr int default_zero_point = 1 << (Bits - 1);

  /// The deepest k whose sums fit int32 with any zero point: k * 255 * max|w| <= 2^31 - 1.
  static constexpr index max_depth =
      std::numeric_limits<std::int32_t>::max() / (255 * (largest_value + 1));

  /// Number of codes of a column in a chunk, and of bytes in a chunk of a panel.
  static constexpr index chunk_codes = index{4} * layout::steps;
  static constexpr index chunk_bytes = index{4} * unit::cols * layout::registers;

  /// Weights of 0 x 0.
  few_bit_weights() noexcept = default;

  /// Packs W.
  ///
  /// @param w           n x k; an expression or a column-major matrix is evaluated once
  /// @param zero_point  0 .. largest_value + 1; weights are -zero_point .. largest_value -
  ///                    zero_point, with one bit only the first and the last of these
  /// @param executor    packs the panels; the result does not depend on it
  /// @throws fewbit::error if zero_point or a weight is out of range, or if k is above max_depth
  template <Executor E = inline_executor>
  explicit few_bit_weights(const Eigen::Ref<const row_matrix<std::int8_t>>& w,
                           int zero_point = default_zero_point, const E& executor = {}) {
    fewbit::detail::expect_data("few_bit_weights", "w", w);
    fewbit::detail::expect(zero_point >= 0 && zero_point <= largest_value + 1, "few_bit_weights",
                           "zero_point", zero_point, "0 to " + std::to_string(largest_value + 1));
    fewbit::detail::expect(w.cols() <= max_depth, "few_bit_weights", "depth", w.cols(),
                           "at most " + std::to_string(max_depth));
    expect_weights(w, zero_point);
    panels_ = panels_type(w.rows());
    k_ = w.cols();
    zero_point_ = zero_point;
    bytes_ = aligned_buffer<std::uint8_t>(bytes_of_codes());
    sums_ = aligned_buffer<std::int32_t>(panels_.padded_n());
    executor.for_each((n() + unit::cols - 1) / unit::cols, [&](index panel) {
      for (index j = panel * unit::cols; j < std::min(n(), (panel + 1) * unit::cols); ++j)
        put_row(j, w.data() + j * w.outerStride());
    });
  }

  [[nodiscard]] index n() const noexcept { return panels_.n(); }
  [[nodiscard]] index k() const noexcept { return k_; }
  [[nodiscard]] int zero_point() const noexcept { return zero_point_; }

  /// w(j, i), exactly as packed.
  [[nodiscard]] int weight(index j, index i) const noexcept {
    const std::uint8_t* chunk = panel(j / unit::cols) + i / chunk_codes * chunk_bytes;
    const auto step = static_cast<int>(i % chunk_codes / 4);
    return layout::get(chunk, register_bytes, step, static_cast<int>(j % unit::cols * 4 + i % 4)) -
           zero_point_;
  }

  /// The panels of the kernel that weights are expanded for. Each has one or several stored panels.
  [[nodiscard]] const panels_type& panels() const noexcept { return panels_; }

  /// Number of chunks of a column.
  [[nodiscard]] index chunks() const noexcept { return (k_ + chunk_codes - 1) / chunk_codes; }
  [[nodiscard]] index panel_bytes() const noexcept { return chunks() * chunk_bytes; }
  /// The stored codes of the columns from p * unit::cols on.
  [[nodiscard]] const std::uint8_t* panel(index p) const noexcept {
    return bytes_.data() + p * panel_bytes();
  }

  /// The sum over k of w(j, k) for each column j of C, padded to whole panels.
  [[nodiscard]] const std::int32_t* column_sums() const noexcept { return sums_.data(); }

  /// Bytes held, or referred to by a view: codes and sums.
  [[nodiscard]] index bytes() const noexcept { return bytes_.bytes() + sums_.bytes(); }

 private:
  friend class viewable_weights<few_bit_weights>;
  using kernel_type = default_kernel<std::uint8_t, Arch>;

  static constexpr detail::image_form form_of_image{
      "few_bit_weights",
      2,
      1,
      {{{"number of bits of a weight", Bits},
        {"number of columns of a stored panel", unit::cols},
        {"number of columns of a panel", kernel_type::tile::cols},
        {"number of columns of a narrow panel", kernel_type::edge_cols},
        {"number of kinds of proofs", detail::Proving<typename kernel_type::unit> ? 2 : 0}}}};

  [[nodiscard]] detail::image_parameters parameters_of_image() const noexcept {
    return {zero_point_};
  }

  void read_parameters(const detail::image_reader& in) {
    in.expect_range("depth", in.k(), 1, max_depth);
    zero_point_ = static_cast<int>(in.parameter(0, "zero_point", 0, largest_value + 1));
    panels_ = panels_type(in.n());
    k_ = in.k();
  }

  template <class Self, class F>
  static void for_each_array(Self& self, const F& f) {
    f(self.bytes_, self.bytes_of_codes());
    f(self.sums_, self.panels_.padded_n());
  }

  [[nodiscard]] index bytes_of_codes() const noexcept {
    return panels_.padded_n() / unit::cols * panel_bytes();
  }

  static constexpr int register_bytes = 4 * unit::cols;

  static void expect_weights(const Eigen::Ref<const row_matrix<std::int8_t>>& w, int zero_point) {
    constexpr int step = Bits == 1 ? 2 : 1;
    for (index j = 0; j < w.rows(); ++j) {
      for (index i = 0; i < w.cols(); ++i) {
        const int value = w(j, i) + zero_point;
        if (value >= 0 && value <= largest_value && value % step == 0) continue;
        fewbit::detail::fail("few_bit_weights", fewbit::detail::element("w", j, i), int{w(j, i)},
                             std::to_string(-zero_point) + (Bits == 1 ? " or " : " to ") +
                                 std::to_string(largest_value - zero_point));
      }
    }
  }

  /// Packs row j and computes its sum.
  void put_row(index j, const std::int8_t* w) noexcept {
    std::uint8_t* chunk = bytes_.writable() + j / unit::cols * panel_bytes();
    const int column = static_cast<int>(j % unit::cols);
    std::int32_t sum = 0;
    for (index first = 0; first < k_; first += chunk_codes, chunk += chunk_bytes) {
      const int count = static_cast<int>(std::min(chunk_codes, k_ - first));
      for (int i = 0; i < count; ++i) {
        const int value = w[first + i] + zero_point_;
        layout::put(chunk, register_bytes, i / 4, column * 4 + i % 4,
                    static_cast<std::uint8_t>(Bits == 1 ? value / 2 : value));
        sum += w[first + i];
      }
    }
    sums_.writable()[j] = sum;
  }

  panels_type panels_;
  index k_ = 0;
  int zero_point_ = default_zero_point;
  stored_array<std::uint8_t> bytes_;
  stored_array<std::int32_t> sums_;
};

/// Packs W in `Bits` bits for an instruction set: `pack_few_bits<4>(w)`.
///
/// @param w           n x k weights, as in the constructor of few_bit_weights
/// @param zero_point  0 .. largest_value + 1
/// @param executor    packs the panels; the result does not depend on it
/// @throws fewbit::error if w has no rows or no columns, and as the constructor of few_bit_weights
template <int Bits, class Arch = arch::native, Executor Workers = inline_executor>
[[nodiscard]] few_bit_weights<Bits, Arch> pack_few_bits(
    const Eigen::Ref<const row_matrix<std::int8_t>>& w,
    int zero_point = few_bit_weights<Bits, Arch>::default_zero_point,
    const Workers& executor = {}) {
  fewbit::detail::expect_elements("pack_few_bits", "w", w);
  return few_bit_weights<Bits, Arch>(w, zero_point, executor);
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
