#pragma once
/// The sweep of GPTQ over the columns of some rows of weights.
///
/// Let H + damping = R R^T with R upper triangular, in the order in which columns are quantized,
/// and D = W - Q. When column j comes, its working copy is
///
///     w_j + sum over i < j of D_i R(i, j) / R(j, j)
///
/// This is the weight that GPTQ's updates w_k -= (w_j - q_j) / U(j, j) * U(j, k) produce, because
/// U, the Cholesky factor of the inverse of H, is the inverse of R. No inverse is computed here.
/// The loss of column j is ((working copy - q_j) R(j, j))^2.
///
/// R is stored as the lower factor L of the matrix in reversed order (cholesky.hpp): column j of
/// the sweep is column size - 1 - j of L. Rows of weights do not depend on each other. Each element
/// is a sum in the order of the sweep, whatever the width of strips. Read before: strips.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/gptq/group_rule.hpp"
#include "fewbit/equalize/strips.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// What the rows of a sweep share.
template <Scheme S, int Width>
struct sweep_plan {
  using params = typename group_rule<S>::params;

  const matrix_ref& w;
  const triangle_strips<Width>& factor;
  std::span<const index> order;  ///< order[t]: the column of weights that is quantized at step t
  const group_rule<S>& rule;
  scale_rule scales;
  index group;  ///< columns of a group that is chosen from the working copy; 0: none
  std::vector<params>& chosen;  ///< of all groups, in the order of granularity::scale_of
  row_matrix<typename S::code>& codes;
  std::vector<double>& losses;    ///< of each row
  std::vector<double>& squares;   ///< of each row: sum of added[t] * D_t^2
  std::span<const double> added;  ///< what was added to the diagonal of H, by step
};

/// Rows of a sweep that share a thread.
inline constexpr index sweep_rows = 64;

/// Bytes of the memory of a sweep.
template <int Width>
[[nodiscard]] constexpr index sweep_bytes(index size, index group) noexcept {
  return sweep_rows * (size + (group / Width + 2) * Width + 2 * group) * index{sizeof(double)};
}

template <Scheme S, int Width>
class sweep {
 public:
  /// @param first  the first of the rows
  sweep(const sweep_plan<S, Width>& plan, index first)
      : plan_(plan),
        first_(first),
        count_(std::min(sweep_rows, plan.w.rows() - first)),
        tiles_((count_ + tile - 1) / tile),
        errors_(tiles_ * tile * size()),
        slots_(plan.group / Width + 2),
        sums_(tiles_ * tile * slots_ * Width),
        done_(static_cast<std::size_t>(plan.factor.strips()), 0) {}

  void run() {
    const index steps = plan_.w.cols();
    for (index t = 0; t < steps; ++t) {
      const index s = strip_of(t);
      if (t == 0 || strip_of(t - 1) != s) bring_up_to(s, t);
      if (plan_.group > 0 && t % plan_.group == 0)
        choose_groups(t, std::min(t + plan_.group, steps));
      quantize_column(t);
    }
  }

 private:
  static constexpr index tile = tile_rows<Width>;

  [[nodiscard]] index size() const noexcept { return plan_.factor.size(); }
  /// The column of the factor of step t, and its strip.
  [[nodiscard]] index column_of(index t) const noexcept { return size() - 1 - t; }
  [[nodiscard]] index strip_of(index t) const noexcept { return column_of(t) / Width; }

  /// Q - W of the rows in the columns of a strip: [row][column].
  [[nodiscard]] double* errors(index strip) noexcept {
    return errors_.data() + strip * tiles_ * tile * Width;
  }
  /// The sums of D_i R(i, j) for the columns j of a strip: [row][column]. Slots are reused.
  [[nodiscard]] double* sums(index strip) noexcept {
    return sums_.data() + strip % slots_ * tiles_ * tile * Width;
  }
  [[nodiscard]] const double* factor_row(index strip, index column) const noexcept {
    return plan_.factor.at(strip, column);
  }

  /// Adds the products of steps done .. t - 1 to the sums of a strip. They start at 0.
  void bring_up_to(index s, index t) {
    index& done = done_[static_cast<std::size_t>(s)];
    if (done == 0) std::fill_n(sums(s), tiles_ * tile * Width, 0.0);
    while (done < t) {
      const index from = column_of(done), strip = from / Width;
      const index last = std::max(column_of(t - 1), strip * Width);
      const bool is_whole = from == strip * Width + Width - 1 && last == strip * Width;
      if (is_whole) {
        const index strips =
            strip - column_of(t - 1) / Width + (column_of(t - 1) % Width == 0 ? 1 : 0);
        add_strips(s, strip, strips);
        done += strips * Width;
      } else {
        add_part(s, strip, from, from - last + 1);
        done += from - last + 1;
      }
    }
  }

  /// Adds the products of whole strips `strip`, strip - 1, ...
  void add_strips(index s, index strip, index strips) {
    subtract_products_of_tiles<Width, -1>(
        tiles_, strips,
        [&](index q, index i) { return errors(strip - q) + i * tile * Width + Width - 1; },
        [&](index q) { return factor_row(s, (strip - q) * Width + Width - 1); }, sums(s));
  }

  /// Adds the products of columns from, from - 1, ... of one strip.
  void add_part(index s, index strip, index from, index columns) {
    for (index i = 0; i < tiles_; ++i) {
      subtract_products<Width, -1>(
          1, columns, [&](index) { return errors(strip) + i * tile * Width + from % Width; },
          [&](index) { return factor_row(s, from); }, sums(s) + i * tile * Width);
    }
  }

  void quantize_column(index t) {
    const index s = strip_of(t), p = column_of(t), j = p % Width;
    const index column = plan_.order[static_cast<std::size_t>(t)];
    const double* row = factor_row(s, p);
    const double pivot = row[j], added = plan_.added[static_cast<std::size_t>(t)];
    for (index i = 0; i < count_; ++i) {
      const index r = first_ + i;
      double* sum = sums(s) + i * Width;
      const double w = double{plan_.w(r, column)};
      const double copy = w + sum[j] / pivot;
      const auto& p_of = plan_.chosen[static_cast<std::size_t>(
          S::granularity::scale_of(r, column, plan_.w.cols()))];
      const auto code = plan_.rule.encode(static_cast<float>(copy), p_of);
      const double q = double{plan_.rule.value(code, p_of)};
      const double error = q - w, loss = (copy - q) * pivot;
      plan_.codes(r, column) = code;
      plan_.losses[static_cast<std::size_t>(r)] += arch::rounded(loss * loss);
      plan_.squares[static_cast<std::size_t>(r)] +=
          arch::rounded(added * arch::rounded(error * error));
      errors(s)[i * Width + j] = error;
      subtract_row<Width>(error, row, sum);
    }
    done_[static_cast<std::size_t>(s)] = t + 1;
  }

  /// Chooses the parameters of the groups of steps t .. end - 1, one for each row, from the working
  /// copies: the weights that cost least after the columns quantized so far.
  void choose_groups(index t, index end) {
    for (index s = strip_of(t); s >= strip_of(end - 1); --s) bring_up_to(s, t);
    std::vector<double> rest(static_cast<std::size_t>(slots_ * Width));
    std::vector<float> copies(static_cast<std::size_t>(end - t));
    std::vector<double> weights;
    for (index u = t; u < end; ++u) {
      const double pivot = factor_row(strip_of(u), column_of(u))[column_of(u) % Width];
      weights.push_back(arch::rounded(pivot * pivot));
    }
    for (index i = 0; i < count_; ++i) {
      copy_sums(t, end, i, rest);
      for (index u = t; u < end; ++u) {
        const index p = column_of(u), own = p / Width;
        const double* row = factor_row(own, p);
        const double shift =
            rest[static_cast<std::size_t>(own % slots_ * Width + p % Width)] / row[p % Width];
        for (index s = own; s >= strip_of(end - 1); --s) {
          subtract_row<Width>(shift, factor_row(s, p), rest.data() + s % slots_ * Width);
        }
        const index column = plan_.order[static_cast<std::size_t>(u)];
        copies[static_cast<std::size_t>(u - t)] =
            static_cast<float>(double{plan_.w(first_ + i, column)} + shift);
      }
      const index g = S::granularity::scale_of(first_ + i, t, plan_.w.cols());
      plan_.chosen[static_cast<std::size_t>(g)] =
          choose_group(plan_.rule, plan_.scales, copies, weights);
    }
  }

  /// Copies the sums of row i for the strips of steps t .. end - 1.
  void copy_sums(index t, index end, index i, std::vector<double>& to) {
    for (index s = strip_of(t); s >= strip_of(end - 1); --s) {
      std::copy_n(sums(s) + i * Width, Width, to.data() + s % slots_ * Width);
    }
  }

  const sweep_plan<S, Width>& plan_;
  index first_;
  index count_;
  index tiles_;
  aligned_buffer<double> errors_;
  index slots_;
  aligned_buffer<double> sums_;
  std::vector<index> done_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
