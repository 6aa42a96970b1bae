#pragma once
/// What element-wise operators on codes share: the checks of operands, blocks of codes for an
/// executor, loops over registers, and the last step from int32 to codes.
///
/// Operands of element-wise operators are matrices of any one shape. Read next: ops/add.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/fixed_point.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/ops/integer_output.hpp"
#include "fewbit/ops/output.hpp"
#include "fewbit/quant/array_pieces.hpp"
#include "fewbit/quant/params.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// std::int8_t, std::uint8_t or std::int16_t.
template <class T>
concept Code = std::is_same_v<T, std::int8_t> || std::is_same_v<T, std::uint8_t> ||
               std::is_same_v<T, std::int16_t>;

namespace detail {

/// Whether an operator can read all of X as codes of type In and write Y as codes of type Out, in
/// place. If not, the compiler prints one sentence.
template <class In, class Out, class Y, class... X>
[[nodiscard]] consteval bool takes_codes() {
  constexpr bool reads = (DenseRows<X, In> && ...);
  static_assert(reads,
                "fewbit: an operator reads codes where they lie: a row_matrix of the type of code "
                "that the operator is made for, a row-major Map or block of one, or a vector, "
                "which is one row; copy others to a row_matrix first");
  constexpr bool writes = MutableDenseRows<Y, Out>;
  static_assert(writes,
                "fewbit: an operator writes codes where they stay: a row_matrix of the type of "
                "code that the operator is made for, a row-major Map or block of one, or a vector, "
                "which is one row; it must not be const");
  return reads && writes;
}

/// Terminates the program unless `a` has the rows and columns of `like`.
template <class A, class Like>
FEWBIT_ALWAYS_INLINE void expect_same_shape(const char* function, const char* name, const A& a,
                                            const Like& like) noexcept {
  const auto& rows = rows_of(like);
  expect_rows(function, name, a, rows.rows());
  expect_cols(function, name, a, rows.cols());
}

/// The same, except that b may be one row, which serves all rows. Returns the distance of rows of
/// b.
template <class B, class Like>
FEWBIT_ALWAYS_INLINE index row_step_of(const char* function, const B& b,
                                       const Like& like) noexcept {
  const auto& rows = rows_of(b);
  if (rows.rows() != 1) expect_rows(function, "b", b, rows_of(like).rows());
  expect_cols(function, "b", b, rows_of(like).cols());
  return rows.rows() == 1 ? 0 : rows.outerStride();
}

/// Fails unless the scale is normal and the zero point is a code. 16-bit codes have zero point 0,
/// as in TFLite and CMSIS-NN.
template <class T>
void expect_code_params(const char* function, const char* argument, const quant_params& p) {
  using limits = std::numeric_limits<T>;
  expect_valid_params(function, argument, p, sizeof(T) == 1 ? int{limits::min()} : 0,
                      sizeof(T) == 1 ? int{limits::max()} : 0);
}

/// Fails unless `zero` is a code; 0 if codes have 16 bits.
template <class T>
void expect_code_zero(const char* function, const char* argument, std::int32_t zero) {
  using limits = std::numeric_limits<T>;
  expect_zero_point(function, argument, zero, sizeof(T) == 1 ? int{limits::min()} : 0,
                    sizeof(T) == 1 ? int{limits::max()} : 0);
}

/// Fails unless the mantissa is not negative and the exponent is from `least` to `most`.
inline void expect_multiplier(const char* function, const std::string& argument,
                              const fixed_multiplier& m, int least, int most) {
  if (m.mantissa < 0) fail(function, argument + ".mantissa", m.mantissa, "0 or more");
  if (m.exponent < least || m.exponent > most)
    fail(function, argument + ".exponent", m.exponent, interval(least, most));
}

/// Number of codes that an executor's task processes at least.
inline constexpr index codes_per_task = 16384;

/// Calls f(row, first column, number of columns) for blocks that cover rows x cols codes. If the
/// rows are `joined`, they are treated as one row.
template <class E, class F>
void for_each_block(index rows, index cols, bool joined, const E& executor, const F& f) noexcept {
  if (rows == 0 || cols == 0) return;
  if (joined) {
    cols *= rows;
    rows = 1;
  }
  if (cols >= codes_per_task) {
    const index blocks = cols / codes_per_task;
    executor.for_each(rows * blocks, [&](index i) {
      const index row = i / blocks, first = i % blocks * codes_per_task;
      f(row, first, i % blocks == blocks - 1 ? cols - first : codes_per_task);
    });
  } else {
    const index group = (codes_per_task + cols - 1) / cols;
    executor.for_each((rows + group - 1) / group, [&](index i) {
      const index end = std::min(rows, (i + 1) * group);
      for (index row = i * group; row < end; ++row) f(row, 0, cols);
    });
  }
}

/// Whether the rows of a matrix follow one another without gaps.
template <class A>
[[nodiscard]] bool are_joined(const A& a) noexcept {
  return a.rows() <= 1 || a.outerStride() == a.cols();
}

/// Calls run(count, x, y) for pieces of codes that follow one another, of all codes of x and y.
/// Terminates the program unless y has the shape of x.
template <class X, class Y, class E, class F>
FEWBIT_ALWAYS_INLINE void for_codes_of(const char* function, const X& x, Y& y, const E& executor,
                                       const F& run) noexcept {
  expect_same_shape(function, "y", y, x);
  const auto& from = rows_of(x);
  auto&& to = rows_of(y);
  for_each_block(to.rows(), to.cols(), are_joined(from) && are_joined(to), executor,
                 [&](index row, index first, index count) {
                   run(count, from.data() + row * from.outerStride() + first,
                       to.data() + row * to.outerStride() + first);
                 });
}

/// The same of two inputs: run(count, a, b, y). b may be one row, which serves all rows.
template <class A, class B, class Y, class E, class F>
FEWBIT_ALWAYS_INLINE void for_codes_of(const char* function, const A& a, const B& b, Y& y,
                                       const E& executor, const F& run) noexcept {
  const index b_step = row_step_of(function, b, a);
  expect_same_shape(function, "y", y, a);
  const auto& from_a = rows_of(a);
  const auto& from_b = rows_of(b);
  auto&& to = rows_of(y);
  const bool joined = are_joined(from_a) && b_step == to.cols() && are_joined(to);
  for_each_block(to.rows(), to.cols(), joined, executor, [&](index row, index first, index count) {
    run(count, from_a.data() + row * from_a.outerStride() + first,
        from_b.data() + row * b_step + first, to.data() + row * to.outerStride() + first);
  });
}

/// int32 in one register.
using code_ints = arch::vec<std::int32_t, arch::native_lanes<std::int32_t>>;
/// Codes that loops process at once: four registers of int32.
inline constexpr int codes_at_once = 4 * code_ints::lanes;

/// A register of int32 from codes in memory.
template <class T>
FEWBIT_ALWAYS_INLINE code_ints load_ints(const T* p) noexcept {
  const auto codes = arch::vec<T, code_ints::lanes>::load(p);
  if constexpr (sizeof(T) == 1) {
    return arch::bits_as<std::int32_t>(arch::widened(codes));
  } else {
    return arch::convert<std::int32_t>(codes);
  }
}

/// Codes that steps of AtOnce codes read. The rest at the end is copied, and followed by zeros.
template <class T, int AtOnce>
struct step_source {
  const T* data;
  alignas(64) T rest[AtOnce] = {};

  explicit step_source(const T* codes) noexcept : data(codes) {}

  FEWBIT_ALWAYS_INLINE const T* at(index i, index count) noexcept {
    if (count - i >= AtOnce) [[likely]]
      return data + i;
    std::memcpy(&rest[0], data + i, static_cast<std::size_t>(count - i) * sizeof(T));
    return &rest[0];
  }
};

/// Calls step(y, x...) for each AtOnce codes. A step that is not full reads and writes buffers. y
/// may be one of x. There is one call, so that the compiler inlines the step.
template <int AtOnce, class F, class Out, class... Sources>
FEWBIT_ALWAYS_INLINE void run_steps(index count, const F& step, Out* y,
                                    Sources&&... sources) noexcept {
  alignas(64) Out rest[AtOnce];
  for (index i = 0; i < count; i += AtOnce) {
    const bool is_full = count - i >= AtOnce;
    step(is_full ? y + i : &rest[0], sources.at(i, count)...);
    if (!is_full) [[unlikely]]
      std::memcpy(y + i, &rest[0], static_cast<std::size_t>(count - i) * sizeof(Out));
  }
}

template <int AtOnce = codes_at_once, class F, class Out, class... In>
FEWBIT_ALWAYS_INLINE void for_each_step(index count, const F& step, Out* y,
                                        const In*... x) noexcept {
  run_steps<AtOnce>(count, step, y, step_source<In, AtOnce>(x)...);
}

/// clamp(value + zero_point, lowest, highest) as codes: the last step of integer operators.
template <class Out>
class code_output {
 public:
  code_output() = default;

  /// @throws fewbit::error if bounds hold no code of Out
  code_output(const char* function, std::int32_t zero_point, const code_bounds& bounds)
      : zero_point_(zero_point), bounds_(bounds_of<Out>(function, bounds)) {}

  [[nodiscard]] std::int32_t zero_point() const noexcept { return zero_point_; }
  [[nodiscard]] const code_bounds& bounds() const noexcept { return bounds_; }

  /// One code, for tables and rests.
  [[nodiscard]] Out operator()(std::int32_t value) const noexcept {
    return static_cast<Out>(
        std::clamp(value, bounds_.lowest - zero_point_, bounds_.highest - zero_point_) +
        zero_point_);
  }

  /// The codes of one register.
  FEWBIT_ALWAYS_INLINE arch::vec<Out, code_ints::lanes> operator()(
      const code_ints& values) const noexcept {
    const code_ints low(bounds_.lowest - zero_point_), high(bounds_.highest - zero_point_);
    return arch::convert<Out>(code_ints(arch::clamp(values, low, high) + code_ints(zero_point_)));
  }

  FEWBIT_ALWAYS_INLINE void store(const code_ints (&values)[4], Out* y) const noexcept {
    if constexpr (sizeof(Out) == 1) {
      using codes = arch::vec<Out, codes_at_once>;
      arch::clamp(arch::saturated<Out>(values, zero_point_),
                  codes(static_cast<Out>(bounds_.lowest)), codes(static_cast<Out>(bounds_.highest)))
          .store(y);
    } else {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) (*this)(values[i]).store(y + i * code_ints::lanes);
    }
  }

 private:
  std::int32_t zero_point_ = 0;
  code_bounds bounds_{std::numeric_limits<Out>::min(), std::numeric_limits<Out>::max()};
};

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
