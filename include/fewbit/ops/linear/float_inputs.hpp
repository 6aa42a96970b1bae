#pragma once
/// The linear layer whose inputs stay float: linear<S, float_inputs>.
///
///     linear<int4_grouped<32>, float_inputs> layer(weights, bias);
///
/// Use it for few rows at a time, if the memory traffic of weights is the limit. Weights stay as
/// they are stored: 4.5 bits each for 4 bits in groups of 32 (gemm/few_bits/grouped_weights.hpp).
/// Each code becomes a float in registers. Within a group the sum runs over k in order, and product
/// and sum are rounded separately, so results are the same bits on every processor. If a row of
/// inputs is so large that the sum of a group could overflow, codes are multiplied by a power of
/// two, and totals by the inverse. So outputs stay finite if the scale of the group is small
/// enough. With many rows an integer product is several times faster. Read before: ops/layer.hpp.
/// Read next: arch/code_values.hpp, arch/level_values.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/arch/code_values.hpp"
#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/level_values.hpp"
#include "fewbit/arch/memory.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/gemm/few_bits/multiply_grouped.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/grouped_weights.hpp"
#include "fewbit/ops/linear/scheme_layer.hpp"
#include "fewbit/ops/linear/weight_table.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The sum of n inputs times `unit`, a power of two. It is the factor of the minimum of a group.
/// Each of 16 partial sums adds every 16th input, and the partial sums are added in order. So the
/// bits are the same on every processor.
[[nodiscard]] inline float sum_in_units(const float* x, index n, float unit) noexcept {
  constexpr int parts = 16, lanes = arch::native_lanes<float>;
  using vec = arch::vec<float, lanes>;
  vec sums[parts / lanes] = {};
  index i = 0;
  for (; i + parts <= n; i += parts) {
#pragma GCC unroll 4
    for (int j = 0; j < parts / lanes; ++j)
      sums[j] += arch::rounded(vec(vec::load(x + i + j * lanes) * vec(unit)));
  }
  float part[parts];
  for (int j = 0; j < parts / lanes; ++j) sums[j].store(&part[j * lanes]);
  for (index j = 0; i + j < n; ++j) part[j] += arch::rounded(x[i + j] * unit);
  float sum = 0.0F;
  for (const float p : part) sum += p;
  return sum;
}

/// The values of stored codes before their scale: code - zero point.
template <class Weights, bool Affine>
struct counted_codes {
  static constexpr int lanes = Weights::unit::cols;
  /// 1-bit codes arrive as their values, 0 or 2, and are expanded as 2-bit codes.
  using values = arch::code_values<std::max(Weights::bits, 2), lanes, Affine>;
  float unit;

  /// The values of the codes of a group. `tail` points to the scales of the group.
  FEWBIT_ALWAYS_INLINE values values_of(const Weights& w, const std::uint8_t* tail) const noexcept {
    if constexpr (Affine) {
      arch::vec<std::uint8_t, lanes> kept;
      std::memcpy(&kept.data, tail + 2 * lanes, sizeof(kept.data));
      return values(arch::convert<float>(arch::convert<std::int32_t>(kept)), unit);
    } else {
      return values(w.stored_zero() + Weights::unit::offset, unit);
    }
  }
};

/// The same for a codebook: the values are levels.
template <class Weights>
struct listed_codes {
  using values = arch::level_values<std::max(Weights::bits, 2), Weights::unit::cols>;
  /// Entries of the list for one code: a 1-bit code arrives as 0 or 2.
  static constexpr index step = Weights::bits == 1 ? 2 : 1;
  const float* levels;  // values::list_size

  FEWBIT_ALWAYS_INLINE values values_of(const Weights& /*w*/,
                                        const std::uint8_t* /*tail*/) const noexcept {
    return values(levels);
  }
};

/// Totals of R rows of floats by the columns of P panels of stored weights. Codes is counted_codes
/// or listed_codes.
template <class Weights, int R, int P, class Codes>
class float_tile {
  using unit = typename Weights::unit;
  static constexpr int bits = Weights::bits;
  static constexpr int lanes = unit::cols;
  static constexpr index chunk_codes = Weights::chunk_codes;

 public:
  using reals = arch::vec<float, lanes>;

  FEWBIT_ALWAYS_INLINE float_tile(const Weights& w, const Codes& meaning, index panel,
                                  const float* x, index stride) noexcept {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) clear(totals_[p]);
    const std::uint8_t* codes = w.panel(panel);
    for (index g = 0; g < w.groups(); ++g) {
      add_group(w, meaning, codes, w.depth_of(g), x, stride);
      codes += w.chunks_of(g) * Weights::chunk_bytes + w.tail_bytes();
      x += w.depth_of(g);
    }
  }

  FEWBIT_ALWAYS_INLINE const reals (&totals(int p) const noexcept)[R] { return totals_[p]; }

  FEWBIT_ALWAYS_INLINE void scale(float factor) noexcept {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
        totals_[p][r] = arch::rounded(reals(totals_[p][r] * reals(factor)));
    }
  }

 private:
  using words = arch::vec<std::uint32_t, lanes>;
  using values = typename Codes::values;

  FEWBIT_ALWAYS_INLINE void add_group(const Weights& w, const Codes& meaning,
                                      const std::uint8_t* codes, index depth, const float* x,
                                      index stride) noexcept {
    const index next_panel = w.panel_bytes();
    const std::uint8_t* tail =
        codes + (depth + chunk_codes - 1) / chunk_codes * Weights::chunk_bytes;
    const values first = meaning.values_of(w, tail);
    const values second = meaning.values_of(w, tail + (P - 1) * next_panel);
    reals sums[P][R];
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) clear(sums[p]);
    index k = 0;
    for (; k + chunk_codes <= depth; k += chunk_codes, codes += Weights::chunk_bytes) {
      add_chunk(sums[0], codes, first, x + k, stride);
      if constexpr (P == 2) add_chunk(sums[1], codes + next_panel, second, x + k, stride);
    }
    if (k < depth) {
      // Zeros do not change a sum, because no sum is -0.
      float rest[R * chunk_codes] = {};
      for (int r = 0; r < R; ++r)
        std::copy_n(x + r * stride + k, depth - k, &rest[r * chunk_codes]);
      add_chunk(sums[0], codes, first, &rest[0], chunk_codes);
      if constexpr (P == 2) add_chunk(sums[1], codes + next_panel, second, &rest[0], chunk_codes);
    }
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      const reals scale = w.template scales_at<reals>(tail + p * next_panel);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) totals_[p][r] += arch::rounded(reals(sums[p][r] * scale));
    }
    if constexpr (Weights::has_minimum) {
      for (int r = 0; r < R; ++r) {
        const reals sum(sum_in_units(x + r * stride, depth, meaning.unit));
#pragma GCC unroll 2
        for (int p = 0; p < P; ++p) {
          const reals minimum = w.template minima_at<reals>(tail + p * next_panel);
          totals_[p][r] += arch::rounded(reals(sum * minimum));
        }
      }
    }
  }

  /// Adds a chunk of one panel.
  FEWBIT_ALWAYS_INLINE static void add_chunk(reals (&sums)[R], const std::uint8_t* codes,
                                             const values& value, const float* x,
                                             index stride) noexcept {
    if constexpr (R <= 2) gemm::prefetch_grouped_weights<Weights>(codes);
    const arch::stored_chunk<bits, lanes> chunk(codes);
#pragma GCC unroll 8
    for (int step = 0; step < arch::stored_layout<bits>::steps; ++step) {
      words bytes = chunk.step(step);
      if constexpr (unit::offset == 128) bytes = bytes ^ words(0x80808080U);
#pragma GCC unroll 4
      for (int d = 0; d < 4; ++d) {
        const reals weight = value(bytes >> words(arch::byte_shift<std::uint32_t>(d)));
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
          sums[r] += arch::rounded(reals(reals(x[r * stride + step * 4 + d]) * weight));
      }
    }
  }

  FEWBIT_ALWAYS_INLINE static void clear(reals (&of_rows)[R]) noexcept {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) of_rows[r] = reals(0.0F);
  }

  reals totals_[P][R];
};

/// Weights of linear<S, float_inputs> as they are stored, and their product.
template <Scheme S, class Arch>
class float_product {
  static_assert(std::is_same_v<Arch, arch::native>,
                "fewbit: a layer with float inputs runs on arch::native alone");

 public:
  static constexpr const char* name = "linear";
  static constexpr index most_rows = std::numeric_limits<index>::max();
  static constexpr index stack_bytes = 64;  // not used
  using inputs_type = float_inputs;
  using weights_type = grouped_weights_of<S, Arch>;

  float_product() = default;

  explicit float_product(const quantized_matrix<S>& weights) {
    expect_multipliable<S>();
    expect_not_empty("linear", "weights", weights.rows(), weights.cols());
    weights_ = pack_grouped<Arch>(weights);
    if constexpr (CodebookScheme<S>) list_levels(weights.levels());
  }

  [[nodiscard]] index inputs() const noexcept { return weights_.k(); }
  [[nodiscard]] index outputs() const noexcept { return weights_.n(); }
  [[nodiscard]] const weights_type& weights() const noexcept { return weights_; }
  [[nodiscard]] index bytes() const noexcept {
    return weights_.bytes() + levels_.size() * index{sizeof(float)};
  }

  /// A codebook is saved as its levels, without their repetitions.
  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    parts.weights("weights", self.weights_);
    if constexpr (Parts::loads) expect_weights_of<S>(parts.place(), self.weights_);
    if constexpr (CodebookScheme<S>) {
      constexpr index count = index{1} << S::storage::bits;
      std::vector<float> levels;
      for (index i = 0; i < count && !self.levels_.empty(); ++i)
        levels.push_back(self.levels_[i * codes_type::step]);
      parts.array("levels", levels, count, finite_number{});
      if constexpr (Parts::loads) self.list_levels(levels);
    }
  }
  [[nodiscard]] index memory_bytes(index /*rows*/) const noexcept { return 0; }
  [[nodiscard]] index worker_bytes(index /*rows*/) const noexcept { return 0; }

  template <class Out, class Stages, class E>
  void run(const float_rows& x, const output_rows<Out>& y, const Stages& stages,
           std::byte* /*memory*/, workspace& /*workers*/, const E& executor) const noexcept {
    const gemm::totals_writer<Out, Stages> to{y.data, y.stride, 0, y.rows, y.cols, stages};
    const index panels = weights_.panels();
    const bool any_large = has_large(x, 0, y.rows);
    executor.for_each((panels + 1) / 2, [&](index pair) {
      const auto multiply_rows = [&](const row_run& rows) {
        if (2 * pair + 1 < panels) {
          multiply<2>(x, rows, 2 * pair, to);
        } else {
          multiply<1>(x, rows, 2 * pair, to);
        }
      };
      if (!any_large) return multiply_rows({0, y.rows, false});
      for (index row = 0; row < y.rows; ++row)
        multiply_rows({row, row + 1, has_large(x, row, row + 1)});
    });
  }

  template <class Out, class Stages>
  void run_on_stack(const float_rows& x, const output_rows<Out>& y, const Stages& stages,
                    std::byte* memory) const noexcept {
    workspace none;
    run(x, y, stages, memory, none, inline_executor{});
  }

 private:
  using codes_type = std::conditional_t<CodebookScheme<S>, listed_codes<weights_type>,
                                        counted_codes<weights_type, S::is_affine>>;

  /// Rows begin .. end - 1 of the inputs, all of the same kind.
  struct row_run {
    index begin, end;
    bool are_large;
  };

  /// The list of a codebook: its levels, repeated as often as the unit needs.
  void list_levels(std::span<const float> levels) {
    levels_ = aligned_buffer<float>(2 * list_size());
    for (index i = 0; i < list_size(); ++i) {
      const auto code = static_cast<std::size_t>(i / codes_type::step);
      levels_[i] = levels[code % levels.size()];
      levels_[list_size() + i] = levels_[i] * small_unit();
    }
  }

  static constexpr index list_size() noexcept { return codes_type::values::list_size; }

  [[nodiscard]] FEWBIT_ALWAYS_INLINE codes_type meaning(bool is_large) const noexcept {
    if constexpr (CodebookScheme<S>) {
      return {levels_.data() + (is_large ? list_size() : 0)};
    } else {
      return {is_large ? small_unit() : 1.0F};
    }
  }

  /// A power of two that is at most 1 / (largest sum of a group if all inputs are 1).
  [[nodiscard]] float small_unit() const noexcept {
    const index most =
        weights_.depth_of(0) * (CodebookScheme<S> ? 1 : index{weights_type::largest_value} + 1);
    return 1.0F / static_cast<float>(std::bit_ceil(static_cast<std::uint64_t>(most)));
  }

  /// Whether the sum of a group could overflow float in one of rows begin .. end - 1.
  [[nodiscard]] bool has_large(const float_rows& x, index begin, index end) const noexcept {
    const float most = 0x1p127F * small_unit();
    for (index row = begin; row < end; ++row) {
      if (finite_amax(x.data + row * x.stride, inputs()) > most) return true;
    }
    return false;
  }

  /// Multiplies some rows by Count panels. One or two rows are multiplied by both panels at the
  /// same time, because each addition waits for the one before it.
  template <int Count, class Out>
  void multiply(const float_rows& x, const row_run& rows, index panel,
                const Out& out) const noexcept {
    index row = rows.begin;
    const auto take = [&]<int R>() {
      constexpr int side_by_side = R <= 2 ? Count : 1;
      for (; row + R <= rows.end; row += R) {
        for (index p = panel; p < panel + Count; p += side_by_side)
          tile<R, side_by_side>(x.data + row * x.stride, x.stride, rows.are_large, p, row, out);
      }
    };
    take.template operator()<8>();
    take.template operator()<4>();
    take.template operator()<2>();
    take.template operator()<1>();
  }

  template <int R, int P, class Out>
  void tile(const float* x, index stride, bool is_large, index panel, index row,
            const Out& out) const noexcept {
    float_tile<weights_type, R, P, codes_type> tile(weights_, meaning(is_large), panel, x, stride);
    if (is_large) [[unlikely]]
      tile.scale(1.0F / small_unit());
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      out.write(tile.totals(p), row, (panel + p) * weights_type::unit::cols);
    }
  }

  weights_type weights_;
  aligned_buffer<float> levels_;  // levels, then levels times small_unit()
};

}  // namespace detail

/// A linear layer of n outputs and k float inputs (ops/layer.hpp has the calls). Its calls use no
/// scratch memory.
///
/// y(i, j) = sum over groups g of rne(s(j, g) * (sum over k in g of x(i, k) * (w_code(j, k) -
/// w_zero(j, g)))) + bias(j), where s is the weight scale rounded to 12 significant bits, by at
/// most 2^-12 of its value; halves are kept. For a codebook the level of w_code replaces the
/// difference. Weights with minima add rne((sum over k in g of x(i, k)) * minimum(j, g)) after each
/// group. A NaN or an infinity in x gives what IEEE arithmetic gives.
template <Scheme S, class Arch>
class linear<S, float_inputs, Arch>
    : public detail::scheme_layer<S, detail::float_product<S, Arch>>,
      public detail::saved_layer<linear<S, float_inputs, Arch>> {
 public:
  using detail::scheme_layer<S, detail::float_product<S, Arch>>::scheme_layer;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
