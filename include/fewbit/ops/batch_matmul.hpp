#pragma once
/// Products of two matrices of codes that are both activations: attention scores, attention times
/// values.
///
///     batch_matmul<std::int8_t> op(k, n, a_params, b_params, y_params, {.b_is_transposed = true});
///     auto scratch = op.make_scratch();                                     // once
///     op(a, b, y, scratch);                                                 // often
///
/// b is copied to scratch memory in each call, in the order in which the loop reads it. Products
/// with weights, which are packed once, are ops/linear.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "fewbit/arch/products.hpp"
#include "fewbit/arch/transpose.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/fixed_point.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/ops/code_blocks.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// Choices of batch_matmul.
struct matmul_options {
  /// b is n x k; otherwise k x n.
  bool b_is_transposed = false;
  /// Codes that outputs are clamped to.
  code_bounds bounds = {};
};

/// Factors and zero points of batch_matmul, where they were computed elsewhere.
struct matmul_params {
  fixed_multiplier factor;  ///< S_a * S_b / S_y
  std::int32_t a_zero = 0;
  std::int32_t b_zero = 0;
  std::int32_t y_zero = 0;

  friend bool operator==(const matmul_params&, const matmul_params&) = default;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Memory of batch_matmul: b in the order of the loop, and rows of a for each worker.
struct matmul_scratch {
  workspace packed;
  workspace workers;
};

/// y = clamp(Mode(sum over k of (a - a_zero) * (b - b_zero), factor) + y_zero, lowest, highest)
///
/// a is m x k, y is m x n, b is k x n or n x k. Several products are computed in one call if b has
/// `batches` times as many rows; a and y then have batches * m rows, and the parts belong together
/// in order. Sums of 8-bit codes are exact in int32. Sums of 16-bit codes are exact in int64 and
/// requantized by requantize_int64 (core/fixed_point.hpp), whatever the mode.
/// Source: TFLite's kernel BatchMatMul; CMSIS-NN arm_batch_matmul_s8 and _s16.
///
/// @tparam T     std::int8_t, std::uint8_t or std::int16_t (zero points 0)
/// @tparam Mode  a mode of core/fixed_point.hpp
template <Code T, FixedPointMode Mode = tflite_double>
class batch_matmul {
  static constexpr const char* name = "batch_matmul";
  static constexpr bool is_wide = sizeof(T) == 2;
  using ints = detail::code_ints;
  using pairs = arch::vec<std::int16_t, 2 * ints::lanes>;
  static constexpr int lanes = ints::lanes;  // columns of a panel
  static constexpr int rows_at_once = 8;
  static constexpr index block = 240;  // codes of k whose products of 16 and 8 bits fit int32

 public:
  /// @throws fewbit::error unless k is 1 to 33,000, n is 1 or more, scales are positive, zero
  ///         points are codes, S_a * S_b / S_y is less than 2^30 (2^7 for 16-bit codes), and
  ///         bounds hold a code
  batch_matmul(index k, index n, const quant_params& a, const quant_params& b,
               const quant_params& y, const matmul_options& options = {}) {
    detail::expect_code_params<T>(name, "a_params", a);
    detail::expect_code_params<T>(name, "b_params", b);
    detail::expect_code_params<T>(name, "y_params", y);
    const double factor = double{a.scale} * double{b.scale} / double{y.scale};
    if (!(factor < (is_wide ? 0x1p7 : 0x1p30))) {
      detail::fail(name, "a_params.scale * b_params.scale / y_params.scale", factor,
                   is_wide ? "less than 2^7" : "less than 2^30");
    }
    set(k, n, {Mode::multiplier(factor), a.zero_point, b.zero_point, y.zero_point}, options);
  }

  /// @throws fewbit::error as above, or if the mantissa is negative or the exponent not -31 to 30
  ///         (7 for 16-bit codes)
  batch_matmul(index k, index n, const matmul_params& params, const matmul_options& options = {}) {
    detail::expect_multiplier(name, "params.factor", params.factor, -31, is_wide ? 7 : 30);
    detail::expect_code_zero<T>(name, "params.a_zero", params.a_zero);
    detail::expect_code_zero<T>(name, "params.b_zero", params.b_zero);
    detail::expect_code_zero<T>(name, "params.y_zero", params.y_zero);
    set(k, n, params, options);
  }

  [[nodiscard]] index k() const noexcept { return k_; }
  [[nodiscard]] index n() const noexcept { return n_; }
  [[nodiscard]] const matmul_params& params() const noexcept { return params_; }
  [[nodiscard]] bool b_is_transposed() const noexcept { return is_transposed_; }

  /// Grows scratch memory to what a call needs with so many workers.
  /// @throws fewbit::error unless workers >= 1
  void reserve(matmul_scratch& scratch, index workers = 1) const {
    detail::expect_workers(name, workers, row_bytes());
    scratch.packed.reserve(packed_bytes());
    scratch.workers.reserve(row_bytes(), workers);
  }
  [[nodiscard]] matmul_scratch make_scratch(index workers = 1) const {
    matmul_scratch scratch;
    reserve(scratch, workers);
    return scratch;
  }

  /// @param a  batches * m rows of k codes
  /// @param b  k rows of n codes for each batch, or n rows of k codes if it is transposed; one
  ///           batch serves any number of rows of a
  /// @param y  batches * m rows of n codes; no part of a or b
  /// @param executor  runs some panels of b, then some rows at a time; results depend neither on it
  ///                  nor on the number of slots
  /// If shapes do not fit or scratch memory is too small, the error handler is called and the
  /// program terminates.
  template <class A, class B, class Y, Executor E = inline_executor>
  void operator()(const A& a, const B& b, Y&& y, matmul_scratch& scratch,
                  const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<T, T, Y, A, B>()) {
      detail::expect_shapes({name, "a", "y"}, a, y, k_, n_);
      detail::expect_cols(name, "b", b, is_transposed_ ? k_ : n_);
      const auto& from_a = detail::rows_of(a);
      const auto& from_b = detail::rows_of(b);
      auto&& to = detail::rows_of(y);
      const index rows_of_b = is_transposed_ ? n_ : k_;
      const index batches = std::max(from_b.rows() / rows_of_b, index{1});
      detail::expect_rows(name, "b", b, batches * rows_of_b);
      const index m = to.rows() / batches;
      detail::expect_rows(name, "a", a, batches * m);
      detail::expect_room(name, "scratch.packed", scratch.packed, packed_bytes());
      detail::expect_room(name, "scratch.workers", scratch.workers, row_bytes());
      if (m == 0) return;
      auto* packed = reinterpret_cast<std::int16_t*>(scratch.packed.slot(0));
      for (index batch = 0; batch < batches; ++batch) {
        const T* b_codes = from_b.data() + batch * rows_of_b * from_b.outerStride();
        executor.for_each(panels(),
                          [&](index p) { pack(b_codes, from_b.outerStride(), p, packed); });
        const index tiles = (m + rows_at_once - 1) / rows_at_once;
        const index parts = std::min(scratch.workers.slots(), tiles);
        executor.for_each(parts, [&](index part) {
          auto* rows = reinterpret_cast<std::int16_t*>(scratch.workers.slot(part));
          for (index tile = part; tile < tiles; tile += parts) {
            const index first = batch * m + tile * rows_at_once;
            const index count = std::min(index{rows_at_once}, m - tile * rows_at_once);
            multiply_rows(from_a.data() + first * from_a.outerStride(), from_a.outerStride(), count,
                          packed, rows, to.data() + first * to.outerStride(), to.outerStride());
          }
        });
      }
    }
  }

 private:
  void set(index k, index n, const matmul_params& params, const matmul_options& options) {
    constexpr index most = 33000;  // times 255 * 255 it fits int32
    detail::expect(k >= 1 && k <= most, name, "k", k, "1 to " + std::to_string(most));
    detail::expect(n >= 1, name, "n", n, "1 or more");
    k_ = k;
    n_ = n;
    params_ = params;
    is_transposed_ = options.b_is_transposed;
    output_ = {name, params.y_zero, options.bounds};
  }

  [[nodiscard]] index depth() const noexcept { return (k_ + 1) / 2; }  // pairs
  [[nodiscard]] index panels() const noexcept { return (n_ + lanes - 1) / lanes; }
  [[nodiscard]] index packed_bytes() const noexcept {
    return panels() * lanes * depth() * index{2 * sizeof(std::int16_t)};
  }
  /// A tile of rows as 16-bit numbers; 16-bit codes as two such numbers.
  [[nodiscard]] index row_bytes() const noexcept {
    return depth() * rows_at_once * index{2 * sizeof(std::int16_t)} * (is_wide ? 2 : 1);
  }

  /// Panel p: [pair of k][column][2], minus the zero point; zeros beyond k and n.
  void pack(const T* b, index stride, index p, std::int16_t* packed) const noexcept {
    std::int16_t* to = packed + p * lanes * depth() * 2;
    const index first = p * lanes, cols = std::min(index{lanes}, n_ - first);
    const T* from = b + first * (is_transposed_ ? stride : 1);
    index done = 0;
    if (cols == lanes) {
      done = is_transposed_ ? pack_columns(from, stride, to) : pack_rows(from, stride, to);
    } else {
      std::fill_n(to, lanes * depth() * 2, std::int16_t{0});
    }
    const index row_step = is_transposed_ ? 1 : stride, col_step = is_transposed_ ? stride : 1;
    if (k_ % 2 != 0) std::fill_n(to + (depth() - 1) * lanes * 2, lanes * 2, std::int16_t{0});
    for (index i = done; i < k_; ++i) {
      std::int16_t* pair = to + i / 2 * lanes * 2 + i % 2;
      for (index j = 0; j < cols; ++j) {
        pair[2 * j] = static_cast<std::int16_t>(from[i * row_step + j * col_step] - params_.b_zero);
      }
    }
  }

  /// Whole pairs of rows of b. Returns the number of rows.
  index pack_rows(const T* from, index stride, std::int16_t* to) const noexcept {
    using halves = arch::vec<std::int16_t, lanes>;
    const halves zero(static_cast<std::int16_t>(params_.b_zero));
    index i = 0;
    for (; i + 2 <= k_; i += 2, from += 2 * stride, to += 2 * lanes) {
      const auto even = arch::convert<std::int16_t>(arch::vec<T, lanes>::load(from)) - zero;
      const auto odd = arch::convert<std::int16_t>(arch::vec<T, lanes>::load(from + stride)) - zero;
      arch::interleaved<0>(even, odd).store(to);
      arch::interleaved<1>(even, odd).store(to + lanes);
    }
    return i;
  }

  /// Whole squares of `lanes` columns and as many pairs. Returns the number of codes of a column.
  index pack_columns(const T* from, index stride, std::int16_t* to) const noexcept {
    const pairs zero(static_cast<std::int16_t>(params_.b_zero));
    index i = 0;
    for (; i + 2 * lanes <= k_; i += 2 * lanes, from += 2 * lanes) {
      ints words[lanes];
      for (int j = 0; j < lanes; ++j) {
        const pairs codes =
            arch::convert<std::int16_t>(arch::vec<T, 2 * lanes>::load(from + j * stride)) - zero;
        std::memcpy(&words[j].data, &codes.data, sizeof(words[j].data));
      }
      arch::transpose(words);
      for (const ints& word : words) {
        std::memcpy(to, &word.data, sizeof(word.data));
        to += 2 * lanes;
      }
    }
    return i;
  }

  /// Rows of a, minus the zero point, padded to whole pairs. Rows of 16-bit codes become two rows:
  /// the high bytes, and `rows_at_once` rows later the low bytes.
  void copy_rows(const T* a, index stride, index count, std::int16_t* rows) const noexcept {
    const index padded = 2 * depth();
    for (index r = 0; r < count; ++r, a += stride, rows += padded) {
      if constexpr (is_wide) {
        std::int16_t* low = rows + rows_at_once * padded;
        for (index i = 0; i < k_; ++i) {
          rows[i] = static_cast<std::int16_t>(a[i] >> 8);
          low[i] = static_cast<std::int16_t>(a[i] & 0xFF);
        }
        if (k_ < padded) low[k_] = 0;
      } else {
        index i = 0;
        const pairs zero(static_cast<std::int16_t>(params_.a_zero));
        for (; i + 2 * lanes <= k_; i += 2 * lanes) {
          const auto codes = arch::vec<T, 2 * lanes>::load(a + i);
          pairs(arch::convert<std::int16_t>(codes) - zero).store(rows + i);
        }
        for (; i < k_; ++i) rows[i] = static_cast<std::int16_t>(a[i] - params_.a_zero);
      }
      if (k_ < padded) rows[k_] = 0;
    }
  }

  void multiply_rows(const T* a, index stride, index count, const std::int16_t* packed,
                     std::int16_t* rows, T* y, index y_stride) const noexcept {
    copy_rows(a, stride, count, rows);
    for (index p = 0; p < panels(); ++p) {
      const std::int16_t* panel = packed + p * lanes * depth() * 2;
      const index cols = std::min(index{lanes}, n_ - p * lanes);
      T* to = y + p * lanes;
      index r = 0;
      for (; r + 8 <= count; r += 8)
        multiply_tile<8>(rows + r * 2 * depth(), panel, cols, to + r * y_stride, y_stride);
      for (; r + 4 <= count; r += 4)
        multiply_tile<4>(rows + r * 2 * depth(), panel, cols, to + r * y_stride, y_stride);
      for (; r < count; ++r)
        multiply_tile<1>(rows + r * 2 * depth(), panel, cols, to + r * y_stride, y_stride);
    }
  }

  template <int Rows>
  void multiply_tile(const std::int16_t* rows, const std::int16_t* panel, index cols, T* y,
                     index y_stride) const noexcept {
    if constexpr (is_wide) {
      multiply_wide<Rows>(rows, panel, cols, y, y_stride);
    } else {
      ints sums[Rows];
      add_products<Rows>(rows, 2 * depth(), panel, depth(), sums);
      for (int r = 0; r < Rows; ++r, y += y_stride) {
        const auto codes = output_(apply_multiplier<Mode>(sums[r], params_.factor));
        if (cols == lanes) {
          codes.store(y);
        } else {
          for (index j = 0; j < cols; ++j) y[j] = codes[static_cast<int>(j)];
        }
      }
    }
  }

  /// sums[r][j] = the sum over pairs of row r * column j of the panel.
  template <int Rows>
  static void add_products(const std::int16_t* rows, index stride, const std::int16_t* panel,
                           index count, ints (&sums)[Rows]) noexcept {
    ints total[Rows];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) total[r] = ints(0);
    for (index i = 0; i < count; ++i, rows += 2, panel += lanes * 2) {
      const pairs b = pairs::load(panel);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        std::int32_t pair = 0;
        std::memcpy(&pair, rows + r * stride, sizeof(pair));
        total[r] = arch::add_pair_products(total[r], twice(pair), b);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) sums[r] = total[r];
  }

  /// A pair in all lanes.
  FEWBIT_ALWAYS_INLINE static pairs twice(std::int32_t pair) noexcept {
    const ints both(pair);
    pairs v;
    std::memcpy(&v.data, &both.data, sizeof(v.data));
    return v;
  }

  template <int Rows>
  void multiply_wide(const std::int16_t* rows, const std::int16_t* panel, index cols, T* y,
                     index y_stride) const noexcept {
    std::int64_t total[Rows][lanes] = {};
    const index stride = 2 * depth(), low = rows_at_once * stride;
    for (index first = 0; first < depth(); first += block / 2) {
      const index count = std::min(block / 2, depth() - first);
      ints high_sums[Rows], low_sums[Rows];
      add_products<Rows>(rows + 2 * first, stride, panel + first * lanes * 2, count, high_sums);
      add_products<Rows>(rows + low + 2 * first, stride, panel + first * lanes * 2, count,
                         low_sums);
      for (int r = 0; r < Rows; ++r) {
        for (int j = 0; j < lanes; ++j)
          total[r][j] += std::int64_t{high_sums[r][j]} * 256 + low_sums[r][j];
      }
    }
    for (int r = 0; r < Rows; ++r) {
      for (index j = 0; j < cols; ++j)
        y[r * y_stride + j] = output_(requantize_int64(total[r][j], params_.factor));
    }
  }

  index k_ = 1;
  index n_ = 1;
  matmul_params params_;
  bool is_transposed_ = false;
  detail::code_output<T> output_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
