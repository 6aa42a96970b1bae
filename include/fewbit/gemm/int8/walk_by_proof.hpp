#pragma once
/// The walk over C in which each tile uses the fastest dots that are proven exact.
///
/// Sums come from gemm/int8/sums_by_proof.hpp; here they go to the epilogue. Small neighbouring
/// panels are processed together, so that C is written row by row.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/int8/epilogue_registers.hpp"
#include "fewbit/gemm/int8/lhs_by_proof.hpp"
#include "fewbit/gemm/int8/panels_by_proof.hpp"
#include "fewbit/gemm/int8/row_tiles.hpp"
#include "fewbit/gemm/int8/sums_by_proof.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

template <class Weights, class Out, class Epilogue>
class walk_by_proof {
  using kernel_type = typename Weights::kernel_type;
  using lhs_type = typename kernel_type::lhs;
  using tile = typename kernel_type::tile;
  using summing = sums_by_proof<Weights>;
  static constexpr index max_rows = lhs_by_proof<kernel_type>::max_rows;

 public:
  /// Scratch bytes of one worker for a C of `rows` rows.
  static index scratch_bytes(const Weights& w, index rows = max_rows) noexcept {
    return sums_bytes(w, rows) + summing::scratch_bytes(w, rows);
  }

  walk_by_proof(const lhs_type* a, index a_stride, const Weights& w, const output_rectangle<Out>& c,
                const Epilogue& epilogue, std::byte* scratch) noexcept
      : a_(a),
        a_stride_(a_stride),
        w_(w),
        c_(c),
        epilogue_(epilogue),
        sums_(reinterpret_cast<std::int32_t*>(scratch)),
        summing_(w, c.rows, scratch + sums_bytes(w, c.rows)) {}

  /// Multiplies rows row_begin .. row_end - 1 by columns col_begin .. col_end - 1.
  void rows(index row_begin, index row_end, index col_begin, index col_end) const noexcept {
    const index count = row_end - row_begin;
    const index blocks = (count + max_rows - 1) / max_rows;
    const index most =
        blocks == 0 ? 1
                    : ((count + blocks - 1) / blocks + tile::rows - 1) / tile::rows * tile::rows;
    index useless = 0;
    for (index row = row_begin; row < row_end; row += most) {
      const block_of_rows b =
          by_proof().prepare(a_ + row * a_stride_, a_stride_, row, std::min(most, row_end - row),
                             col_begin, col_end, useless);
      for (index col = col_begin; col < col_end;) {
        col = multiply_strip(b, col, col_end);
      }
    }
  }

 private:
  [[nodiscard]] const panels_by_proof<Weights>& by_proof() const noexcept {
    return summing_.by_proof();
  }

  static index sums_bytes(const Weights& w, index rows) noexcept {
    constexpr index most = proof_finished_panels * tile::cols;
    const index of_block = summing::buffer_rows(rows) * std::min(w.padded_n(), most);
    const index of_slice = std::min(summing::buffer_rows(rows) * w.padded_n(), proof_buffered_sums);
    return std::max(of_block, of_slice) * index{sizeof(std::int32_t)};
  }

  /// Multiplies some columns from `col` on. Returns the column after them.
  index multiply_strip(const block_of_rows& b, index col, index col_end) const noexcept {
    if (by_proof().can_stream(b.rows, col, col_end)) {
      const index end = summing_.stream_row(col, col_end, sums_);
      store_slice(b, summing::all_rows(b, sums_, end - col), col);
      return end;
    }
    panel_group p = by_proof().panels_at(b, col, col_end);
    if constexpr (std::is_same_v<Epilogue, raw>) {
      // The edge of C may cut the last panel, which is then multiplied alone.
      if (p.along > 1 && p.col + p.cols() > c_.cols) --p.along;
      if (p.col + p.cols() <= c_.cols) {
        summing_.sum(b, p, summing::all_rows(b, c_.data + b.row * c_.stride + p.col, c_.stride));
        return p.col + p.cols();
      }
    }
    if (p.along >= proof_finished_panels) {
      p.along -= p.along % proof_finished_panels;
      row_by_row(b, p);
      return p.col + p.cols();
    }
    return panel_by_panel(b, col, col_end);
  }

  /// Some rows at a time, so that their sums stay in L1.
  void row_by_row(const block_of_rows& b, const panel_group& p) const noexcept {
    const index most = std::max(proof_buffered_sums / p.cols() / tile::rows, index{1});
    const index tiles = row_tiles<kernel_type>(b.rows);
    for (index begin = 0; begin < tiles; begin += most) {
      const index end = std::min(begin + most, tiles);
      const index first = row_of_tile<kernel_type>(b.rows, begin);
      const row_slice s{begin, end,     first, row_of_tile<kernel_type>(b.rows, end) - first,
                        sums_, p.cols()};
      summing_.sum(b, p, s);
      store_slice(b, s, p.col);
    }
  }

  /// Number of panels whose sums go to the epilogue together: as many as fill its registers.
  index panel_by_panel(const block_of_rows& b, index col, index col_end) const noexcept {
    index cols = 0;
    for (int i = 0; i < proof_finished_panels && col + cols < col_end; ++i)
      cols += w_.panel_cols(col + cols);
    for (index done = 0; done < cols;) {
      const panel_group p = by_proof().panels_at(b, col + done, col + cols);
      summing_.sum(b, p, summing::all_rows(b, sums_ + done, cols));
      done += p.cols();
    }
    store_slice(b, summing::all_rows(b, sums_, cols), col);
    return col + cols;
  }

  void store_slice(const block_of_rows& b, const row_slice& s, index col) const noexcept {
    apply_epilogue_to_rows<epilogue_lanes<kernel_type>>(
        s.sums, s.stride,
        output_rectangle<Out>{c_.data, c_.stride, b.row + s.first, col, s.rows,
                              std::min(s.stride, c_.cols - col)},
        epilogue_);
  }

  const lhs_type* a_;
  index a_stride_;
  const Weights& w_;
  const output_rectangle<Out>& c_;
  const Epilogue& epilogue_;
  std::int32_t* sums_;
  summing summing_;
};

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
