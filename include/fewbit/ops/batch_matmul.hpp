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

#include "fewbit/arch/products.hpp"
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
  static constexpr int rows_at_once = 4;
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
    const auto zero = static_cast<std::int16_t>(params_.b_zero);
    if (cols < lanes || k_ % 2 != 0) std::fill_n(to, lanes * depth() * 2, std::int16_t{0});
    const index row_step = is_transposed_ ? 1 : stride, col_step = is_transposed_ ? stride : 1;
    const T* from = b + first * col_step;
    for (index i = 0; i < k_; ++i) {
      std::int16_t* pair = to + i / 2 * lanes * 2 + i % 2;
      for (index j = 0; j < cols; ++j)
        pair[2 * j] = static_cast<std::int16_t>(from[i * row_step + j * col_step] - zero);
    }
  }

  /// Rows of a: [pair of k][row][2], minus the zero point. Of 16-bit codes first the high bytes of
  /// all, then the low bytes.
  void copy_rows(const T* a, index stride, index count, std::int16_t* rows) const noexcept {
    std::fill_n(rows, row_bytes() / index{sizeof(std::int16_t)}, std::int16_t{0});
    const index low = depth() * rows_at_once * 2;
    for (index r = 0; r < count; ++r) {
      for (index i = 0; i < k_; ++i) {
        const index at = (i / 2 * rows_at_once + r) * 2 + i % 2;
        const int code = a[r * stride + i];
        if constexpr (is_wide) {
          rows[at] = static_cast<std::int16_t>(code >> 8);
          rows[low + at] = static_cast<std::int16_t>(code & 0xFF);
        } else {
          rows[at] = static_cast<std::int16_t>(code - params_.a_zero);
        }
      }
    }
  }

  void multiply_rows(const T* a, index stride, index count, const std::int16_t* packed,
                     std::int16_t* rows, T* y, index y_stride) const noexcept {
    copy_rows(a, stride, count, rows);
    for (index p = 0; p < panels(); ++p) {
      const std::int16_t* panel = packed + p * lanes * depth() * 2;
      const index cols = std::min(index{lanes}, n_ - p * lanes);
      T* to = y + p * lanes;
      if constexpr (is_wide) {
        multiply_wide(rows, panel, count, cols, to, y_stride);
      } else {
        ints sums[rows_at_once];
        add_products(rows, panel, depth(), sums);
        for (index r = 0; r < count; ++r) {
          const ints scaled = apply_multiplier<Mode>(sums[r], params_.factor);
          for (index j = 0; j < cols; ++j)
            to[r * y_stride + j] = output_(scaled[static_cast<int>(j)]);
        }
      }
    }
  }

  /// sums[r][j] = the sum over pairs of rows[r] * panel[j].
  static void add_products(const std::int16_t* rows, const std::int16_t* panel, index count,
                           ints (&sums)[rows_at_once]) noexcept {
    ints total[rows_at_once];
    for (ints& t : total) t = ints(0);
    for (index i = 0; i < count; ++i, rows += rows_at_once * 2, panel += lanes * 2) {
      const pairs b = pairs::load(panel);
#pragma GCC unroll 4
      for (int r = 0; r < rows_at_once; ++r) {
        std::int32_t pair = 0;
        std::memcpy(&pair, rows + 2 * r, sizeof(pair));
        total[r] = arch::add_pair_products(total[r], twice(pair), b);
      }
    }
    for (int r = 0; r < rows_at_once; ++r) sums[r] = total[r];
  }

  /// A pair in all lanes.
  FEWBIT_ALWAYS_INLINE static pairs twice(std::int32_t pair) noexcept {
    const ints both(pair);
    pairs v;
    std::memcpy(&v.data, &both.data, sizeof(v.data));
    return v;
  }

  void multiply_wide(const std::int16_t* rows, const std::int16_t* panel, index count, index cols,
                     T* y, index y_stride) const noexcept {
    std::int64_t total[rows_at_once][lanes] = {};
    const index low = depth() * rows_at_once * 2;
    for (index first = 0; first < depth(); first += block / 2) {
      const index pairs_of_block = std::min(block / 2, depth() - first);
      ints high_sums[rows_at_once], low_sums[rows_at_once];
      const std::int16_t* from = rows + first * rows_at_once * 2;
      add_products(from, panel + first * lanes * 2, pairs_of_block, high_sums);
      add_products(from + low, panel + first * lanes * 2, pairs_of_block, low_sums);
      for (int r = 0; r < rows_at_once; ++r) {
        for (int j = 0; j < lanes; ++j)
          total[r][j] += std::int64_t{high_sums[r][j]} * 256 + low_sums[r][j];
      }
    }
    for (index r = 0; r < count; ++r) {
      for (index j = 0; j < cols; ++j) {
        const std::int32_t scaled = requantize_int64(total[r][j], params_.factor);
        y[r * y_stride + j] = output_(scaled);
      }
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
