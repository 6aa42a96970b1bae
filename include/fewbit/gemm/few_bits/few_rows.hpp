#pragma once
/// A few rows and weights of few bits, which are expanded in registers. Memory limits the speed.
///
///     sum over k of a * w  =  sum of s * value  -  zero point * (sum of s)  +  offset * (sum of w)
///
/// where s = a - offset is signed. offset is 128 if activations are unsigned, else 0. Units of up
/// to four bits are exact for s = -128 too: 2 * 8 * 7 * 128 fits int16. Activations are copied
/// once, in the order [tile][step][row][4].

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/stored_unit.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/few_bits/weights.hpp"
#include "fewbit/gemm/int8/epilogue_registers.hpp"
#include "fewbit/gemm/parts.hpp"
#include "fewbit/gemm/sum_of_codes.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {
namespace detail {

/// Number of rows that are processed together.
template <class Arch>
inline constexpr int few_rows_tile_rows = arch::stored_unit<Arch, 4>::rows;

/// The largest number of rows for which weights are expanded in registers: two tiles if tiles are
/// high, else one. Time on a Sapphire Rapids, weights of 2 bits, as a share of the time with
/// expanded weights:
///
/// | m, n, k      | AVX512-VNNI, tiles of 12 rows, to chunks | AVX2, tiles of 4 rows, to windows |
/// |--------------|------------------------------------------|-----------------------------------|
/// | 24,1024,4096 | 0.95                                     |                                   |
/// | 24,512,4608  | 1.10                                     |                                   |
/// | 24,1024,1024 | 0.96                                     |                                   |
/// | 36,1024,4096 | 1.02                                     |                                   |
/// | 36,512,4608  | 1.13                                     |                                   |
/// | 48,1024,4096 | 1.07                                     |                                   |
/// | 48,1024,1024 | 1.01                                     |                                   |
/// | 4,1024,1024  |                                          | 0.86                              |
/// | 8,1024,1024  |                                          | 1.09                              |
/// | 16,1024,1024 |                                          | 1.25                              |
///
/// With AVX2 the share is a tenth less for weights of 4 bits.
template <class Arch>
inline constexpr index most_few_rows =
    (few_rows_tile_rows<Arch> > 4 ? 2 : 1) * few_rows_tile_rows<Arch>;

/// Number of panels of a tile of R rows.
template <int R>
inline constexpr int few_rows_tile_panels = R <= 2 ? few_rows_streams : 2;

/// Some rows of activations in the order of the loop, and the initial values of their sums, in
/// scratch memory. Tiles have few_rows_tile_rows rows. The height of the last tile is the remaining
/// number of rows, rounded up to a power of two. Missing rows are zero.
template <class Lhs, int Bits, class Arch>
class few_bit_lhs {
  using weights = few_bit_weights<Bits, Arch>;
  static constexpr index most = few_rows_tile_rows<Arch>;
  static constexpr bool is_unsigned = std::is_unsigned_v<Lhs>;

 public:
  /// Bytes of memory for up to `rows` rows, at most most_few_rows.
  [[nodiscard]] static index bytes(const weights& w, index rows) noexcept {
    const index last = rows % most, full = rows - last;
    const index padded = full + static_cast<index>(std::bit_ceil(static_cast<std::size_t>(last)));
    const index filled = std::min(last == 0 ? full : padded, most_few_rows<Arch>);
    return most_few_rows<Arch> * index{sizeof(std::int32_t)} + filled * depth(w);
  }

  few_bit_lhs(const Lhs* a, index stride, index rows, const weights& w, std::byte* memory) noexcept
      : depth_(depth(w)),
        rows_(rows),
        starts_(reinterpret_cast<std::int32_t*>(memory)),
        codes_(reinterpret_cast<std::int8_t*>(starts_ + most_few_rows<Arch>)) {
    for (index t = 0; t < tiles(); ++t) {
      for (index r = 0; r < height(t); ++r) {
        const index row = t * most + r, count = row < rows ? w.k() : 0;
        const Lhs* from = a + row * stride;
        copy_row(from, count, codes_ + t * most * depth_ + r * 4, height(t) * 4);
        const auto moved = static_cast<std::int32_t>(is_unsigned ? 128 * count : 0);
        starts_[row] = -w.zero_point() * (sum_of_codes(from, count) - moved);
      }
    }
  }

  [[nodiscard]] index tiles() const noexcept { return (rows_ + most - 1) / most; }
  /// Number of rows of tile t, including rows of zeros.
  [[nodiscard]] index height(index t) const noexcept {
    const auto rest = static_cast<std::size_t>(std::min(most, rows_ - t * most));
    return std::min(static_cast<index>(std::bit_ceil(rest)), most);
  }
  /// The codes of tile t, [step][row][4].
  [[nodiscard]] const std::int8_t* codes(index t) const noexcept {
    return codes_ + t * most * depth_;
  }
  [[nodiscard]] const std::int32_t* starts(index t) const noexcept { return starts_ + t * most; }

 private:
  static index depth(const weights& w) noexcept { return w.chunks() * weights::chunk_codes; }

  /// Copies codes, four every `stride` bytes.
  void copy_row(const Lhs* from, index count, std::int8_t* to, index stride) const noexcept {
    const std::uint32_t moved = is_unsigned ? 0x80808080U : 0U;
    index k = 0;
    for (; k + 4 <= count; k += 4, to += stride) {
      std::uint32_t quad;
      std::memcpy(&quad, from + k, 4);
      quad ^= moved;
      std::memcpy(to, &quad, 4);
    }
    for (; k < depth_; k += 4, to += stride) {
      for (index d = 0; d < 4; ++d) {
        const int code = k + d < count ? from[k + d] - (is_unsigned ? 128 : 0) : 0;
        to[d] = static_cast<std::int8_t>(code);
      }
    }
  }

  index depth_;
  index rows_;
  std::int32_t* starts_;
  std::int8_t* codes_;
};

/// Multiplies all rows by some panels.
template <class Lhs, int Bits, class Arch, class Out, class E>
class few_rows_product {
  using weights = few_bit_weights<Bits, Arch>;
  using unit = typename weights::unit;
  using ints = typename unit::accumulator;
  static constexpr bool is_unsigned = std::is_unsigned_v<Lhs>;
  static constexpr int cols = unit::cols;

 public:
  few_rows_product(const few_bit_lhs<Lhs, Bits, Arch>& a, const weights& w,
                   const output_rectangle<Out>& c, const E& epilogue) noexcept
      : a_(a), w_(w), c_(c), epilogue_(epilogue) {}

  /// Panels begin .. end - 1.
  void panels(index begin, index end) const noexcept {
    const index length = (end - begin) / few_rows_streams;
    const bool is_apart = c_.rows <= most_rows_apart;
    const index stride = is_apart ? length : 1, next = is_apart ? 1 : few_rows_streams;
    for (index i = 0; i < length; ++i) all_rows<few_rows_streams>(begin + i * next, stride);
    for (index p = begin + few_rows_streams * length; p < end; ++p) all_rows<1>(p, 0);
  }

 private:
  /// Multiplies all rows by Count panels. The first is `panel`; they are `stride` panels apart.
  template <int Count>
  void all_rows(index panel, index stride) const noexcept {
    for (index t = 0; t < a_.tiles(); ++t) {
      with_power_of_two_height<unit::rows>(a_.height(t), [&](auto height) {
        constexpr int rows = decltype(height)::value;
        constexpr int step = std::min(Count, few_rows_tile_panels<rows>);
        for (int p = 0; p < Count; p += step) tile<rows, step>(t, panel + p * stride, stride);
      });
    }
  }

  /// Multiplies R rows by P panels.
  template <int R, int P>
  void tile(index t, index panel, index stride) const noexcept {
    const std::uint8_t* from[P];
    ints sums[P][R];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      from[p] = w_.panel(panel + p * stride);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) sums[p][r] = ints(a_.starts(t)[r]);
    }
    const std::int8_t* a = a_.codes(t);
    for (index i = 0; i < w_.chunks(); ++i) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        if constexpr (R <= 4) {
#pragma GCC unroll 4
          for (index line = 0; line < weights::chunk_bytes; line += arch::cache_line)
            arch::prefetch_to_l1(from[p] + few_rows_ahead + line);
        }
        unit::add_chunk(sums[p], a, from[p]);
        from[p] += weights::chunk_bytes;
      }
      a += weights::chunk_codes * R;
    }
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) store_tile(t, panel + p * stride, sums[p]);
  }

  template <int R>
  void store_tile(index t, index panel, const ints (&sums)[R]) const noexcept {
    alignas(64) std::int32_t rows[R * cols];
    const index col = panel * cols, row = t * unit::rows;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      ints total = sums[r];
      if constexpr (is_unsigned) {
        const ints of_weights = ints::load(w_.column_sums() + col);
        total = arch::add_wrapping(total, arch::multiply_wrapping(of_weights, ints(128)));
      }
      total.store(rows + r * cols);
    }
    apply_epilogue_to_rows<lanes>(
        &rows[0], cols,
        output_rectangle<Out>{c_.data, c_.stride, row, col, std::min(index{R}, c_.rows - row),
                              std::min(index{cols}, c_.cols - col)},
        epilogue_);
  }

  static constexpr int lanes = epilogue_lanes<default_kernel<Lhs, Arch>>;

  const few_bit_lhs<Lhs, Bits, Arch>& a_;
  const weights& w_;
  output_rectangle<Out> c_;
  const E& epilogue_;
};

/// Part `part` of `parts` parts of C. The parts are of columns.
template <class Lhs, int Bits, class Arch, class Out, class E>
void multiply_few_rows(const Lhs* a, index a_stride, const few_bit_weights<Bits, Arch>& w,
                       const output_rectangle<Out>& c, const E& epilogue, index part, index parts,
                       std::byte* scratch) noexcept {
  constexpr index cols = few_bit_weights<Bits, Arch>::unit::cols;
  const index panels = (c.cols + cols - 1) / cols;
  const few_bit_lhs<Lhs, Bits, Arch> rows(a, a_stride, c.rows, w, scratch);
  few_rows_product<Lhs, Bits, Arch, Out, E>(rows, w, c, epilogue)
      .panels(panels * part / parts, panels * (part + 1) / parts);
}

}  // namespace detail

/// The product of a few rows in memory of the caller, for layers without a workspace.
///
/// @tparam Lhs  std::int8_t or std::uint8_t, the codes of the activations
template <class Lhs, int Bits, class Arch>
struct product_of_few_rows {
  using weights = few_bit_weights<Bits, Arch>;

  /// The largest number of rows of a call.
  static constexpr index most_rows = detail::most_few_rows<Arch>;

  /// Bytes of memory for up to `rows` rows.
  [[nodiscard]] static index bytes(const weights& w, index rows) noexcept {
    return detail::few_bit_lhs<Lhs, Bits, Arch>::bytes(w, rows);
  }

  /// C = epilogue(A W^T), for the rows of C that `c` names. Rows of A are `stride` codes apart.
  ///
  /// @param memory  bytes(w, c.rows) bytes, aligned to 4
  template <class Out, class E>
  static void multiply(const Lhs* a, index stride, const weights& w, const output_rectangle<Out>& c,
                       const E& epilogue, std::byte* memory) noexcept {
    detail::multiply_few_rows(a, stride, w, c, epilogue, 0, 1, memory);
  }
};

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
