#pragma once
/// Softmax of rows of codes: y = exp(x) / sum of exp(x) over the row.
///
///     const softmax<std::int8_t> op(1000, x_scale);          // once: TFLite's fixed point
///     op(x, y);                                              // often: a row for each distribution
///     const table_softmax<std::uint8_t> table(1000, x_scale, y_params);
///
/// | operator                            | y                         | same bits as                   |
/// |-------------------------------------|---------------------------|--------------------------------|
/// | softmax<int8_t>, softmax<uint8_t>   | 8 bits, steps of 1/256    | TFLite, arm_softmax_s8, _u8    |
/// | softmax<int8_t, int16_t>            | 16 bits, steps of 1/65536 | TFLite, arm_softmax_s8_s16     |
/// | softmax<int16_t> (softmax16.hpp)    | 16 bits, steps of 1/32768 | TFLite, arm_softmax_s16        |
/// | table_softmax                       | 8 bits, any scale         | onnxruntime's QLinearSoftmax   |
///
/// An 8-bit code has 256 exponentials relative to the largest code of its row. They are computed
/// once, when the operator is made. A row then needs its maximum, a sum of table entries, and a
/// table of 256 results.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "fewbit/arch/byte_lookup.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/fixed_functions.hpp"
#include "fewbit/ops/code_blocks.hpp"
#include "fewbit/ops/code_table.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// How differences of codes become exponents in fixed point. x - max is multiplied by `multiplier`;
/// the result is in Q5 with 26 fractional bits.
struct softmax_params {
  fixed_multiplier multiplier;
  /// Codes further below the maximum of a row become 0. In TFLite and CMSIS-NN it is DIFF_MIN.
  std::int32_t least_difference = -255;

  friend bool operator==(const softmax_params&, const softmax_params&) = default;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The largest code of a row.
template <class T>
[[nodiscard]] T largest_code_of(index count, const T* x) noexcept {
  using codes = arch::vec<T, arch::native_lanes<T>>;
  T largest = x[0];
  if (count >= codes::lanes) {
    codes most = codes::load(x);
    for (index i = codes::lanes; i < count; i += codes::lanes)
      most = arch::max(most, codes::load(x + std::min(i, count - codes::lanes)));
    return arch::max_of_lanes(most);
  }
  for (index i = 1; i < count; ++i) largest = std::max(largest, x[i]);
  return largest;
}

/// Calls f(first row, number of rows) for groups of rows.
template <class E, class F>
void for_each_row_group(index rows, index cols, const E& executor, const F& f) noexcept {
  const index group = (codes_per_task + cols - 1) / cols;
  executor.for_each((rows + group - 1) / group,
                    [&](index i) { f(i * group, std::min(group, rows - i * group)); });
}

/// Row sums of 256 numbers. The last belongs to the largest code of a row, the one before to the
/// code before, and so on.
template <int Rows, class T, class Number>
void sum_of_entries(const Number* entries, index count, const T* x, index stride,
                    const T (&largest)[Rows], Number (&sums)[Rows]) noexcept {
  Number total[Rows] = {};
  const Number* entry_of_zero[Rows];  // codes are indices from here
  for (int r = 0; r < Rows; ++r) entry_of_zero[r] = entries + 255 - largest[r];
  for (index i = 0; i < count; ++i) {
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) total[r] = total[r] + entry_of_zero[r][x[r * stride + i]];
  }
  for (int r = 0; r < Rows; ++r) sums[r] = total[r];
}

/// y = x + raise modulo 256.
inline void raise_codes(index count, std::uint8_t raise, const std::uint8_t* x,
                        std::uint8_t* y) noexcept {
  using codes = arch::vec<std::uint8_t, arch::native_lanes<std::uint8_t>>;
  for_each_step<codes::lanes>(
      count,
      [&](std::uint8_t* to, const std::uint8_t* from) {
        codes(codes::load(from) + codes(raise)).store(to);
      },
      y, x);
}

/// The loop over rows of softmax by entries: four rows at a time, so that sums of floats, which
/// are added in the order of the codes, do not wait for each other.
///
/// @param entries  as sum_of_entries
/// @param results  results(sum, y) writes the 256 results of a row, in the order of the entries
template <class T, class Out, class Number, class X, class Y, class E, class F>
void softmax_rows(const std::array<Number, 256>& entries, const X& x, Y& y, const E& executor,
                  const F& results) noexcept {
  const index cols = x.cols(), x_stride = x.outerStride(), y_stride = y.outerStride();
  for_each_row_group(x.rows(), cols, executor, [&](index first, index rows) {
    const auto run = [&]<int Rows>(index row) {
      const T* from = x.data() + row * x_stride;
      T largest[Rows];
      Number sums[Rows];
      for (int r = 0; r < Rows; ++r) largest[r] = largest_code_of(cols, from + r * x_stride);
      sum_of_entries<Rows>(entries.data(), cols, from, x_stride, largest, sums);
      for (int r = 0; r < Rows; ++r) {
        Out* to = y.data() + (row + r) * y_stride;
        const T* codes = from + r * x_stride;
        alignas(64) Out table[256];
        results(sums[r], &table[0]);
        if constexpr (sizeof(Out) == 1) {
          raise_codes(cols, static_cast<std::uint8_t>(255 - largest[r]),
                      reinterpret_cast<const std::uint8_t*>(codes),
                      reinterpret_cast<std::uint8_t*>(to));
          look_up_bytes(arch::byte_lookup(reinterpret_cast<const std::uint8_t*>(&table[0])), cols,
                        reinterpret_cast<const std::uint8_t*>(to),
                        reinterpret_cast<std::uint8_t*>(to));
        } else {
          for (index i = 0; i < cols; ++i) to[i] = table[255 - largest[r] + codes[i]];
        }
      }
    };
    index row = first;
    for (; row + 4 <= first + rows; row += 4) run.template operator()<4>(row);
    for (; row < first + rows; ++row) run.template operator()<1>(row);
  });
}

/// The checks of a call of softmax.
template <class X, class Y>
FEWBIT_ALWAYS_INLINE void expect_softmax_call(const char* name, index classes, const X& x,
                                              const Y& y) noexcept {
  expect_shapes({name, "x", "y"}, x, y, classes, classes);
}

inline void expect_classes(const char* name, index classes, index most) {
  expect(classes >= 1 && classes <= most, name, "classes", classes, "1 to " + std::to_string(most));
}

}  // namespace detail

/// Softmax in fixed point, without floats in a call.
///
///     e(d) = exp(d * multiplier)  in Q0.31, of d = x - max, 0 if d < least_difference
///     s    = sum of e(d) / 2^12, rounded
///     y    = clamp(round(e(d) * (1 / s)) + lowest code)
///
/// y has the lowest code as its zero point and steps of 2^-bits.
/// Source: TFLite's kernel Softmax; CMSIS-NN arm_nn_softmax_common_s8.
///
/// @tparam In, Out  std::int8_t or std::uint8_t; Out also std::int16_t
template <Code In, Code Out = In>
class softmax {
  static_assert(ByteCode<In>, "fewbit: include fewbit/ops/softmax16.hpp for inputs of 16 bits");
  static constexpr const char* name = "softmax";
  static constexpr int least = std::numeric_limits<Out>::min();
  static constexpr int bits = 8 * int{sizeof(Out)};

 public:
  /// @param classes  length of a row
  /// @param x_scale  of the inputs, which may have any zero point
  /// @param beta     exp(beta * x) is computed
  /// @throws fewbit::error unless classes are 1 to 4095 and beta * x_scale is 2^-26 or more
  explicit softmax(index classes, float x_scale, double beta = 1.0)
      : softmax(classes, params_of(x_scale, beta)) {}

  /// Parameters that were computed elsewhere.
  /// @throws fewbit::error unless classes are 1 to 4095, the multiplier's mantissa is not negative,
  ///         its exponent is 0 to 31 and least_difference <= 0
  softmax(index classes, const softmax_params& params) : classes_(classes), params_(params) {
    detail::expect_classes(name, classes, 4095);
    detail::expect_multiplier(name, "params.multiplier", params.multiplier, 0, 31);
    detail::expect(params.least_difference <= 0, name, "params.least_difference",
                   params.least_difference, "0 or less");
    for (int d = 0; d < 256; ++d) {
      const std::int32_t shifted = detail::shift_left(-d, params.multiplier.exponent);
      const std::int32_t x =
          saturating_rounding_doubling_high_mul(shifted, params.multiplier.mantissa);
      const bool counts = -d >= params.least_difference;
      const auto at = static_cast<std::size_t>(255 - d);
      exps_[at] = counts ? fixed_exp_of_negative<5>(x) : 0;
      addends_[at] = rounding_divide_by_pot(exps_[at], 12);
    }
  }

  [[nodiscard]] index classes() const noexcept { return classes_; }
  [[nodiscard]] const softmax_params& params() const noexcept { return params_; }

  /// @param x  rows of classes() codes
  /// @param y  as many rows; may be x if both have one type
  /// @param executor  runs some rows at a time; results do not depend on it
  /// If shapes do not fit, the error handler is called and the program terminates.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<In, Out, Y, X>()) {
      detail::expect_softmax_call(name, classes_, x, y);
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      detail::softmax_rows<In, Out>(addends_, from, to, executor,
                                    [&](std::int32_t sum, Out* results) { scale(sum, results); });
    }
  }

 private:
  static softmax_params params_of(float x_scale, double beta) {
    const double real = beta * double{x_scale} * 0x1p26;
    if (!(real >= 1.0 && real <= std::numeric_limits<double>::max())) {
      detail::fail(name, "beta * x_scale", beta * double{x_scale},
                   "a finite number of at least 2^-26");
    }
    const fixed_multiplier m = detail::nearest_multiplier(name, std::min(real, 2147483647.0));
    const double radius = std::floor(31.0 * 0x1p26 / std::ldexp(1.0, m.exponent));
    return {m, -static_cast<std::int32_t>(radius)};
  }

  /// The results of the 256 exponentials of a row with that sum.
  void scale(std::int32_t sum, Out* results) const noexcept {
    using detail::code_ints;
    const int zeros = std::countl_zero(static_cast<std::uint32_t>(sum));
    const auto normal = static_cast<std::uint32_t>(sum) << (zeros & 31);
    const std::int32_t reciprocal =
        fixed_one_over_one_plus(static_cast<std::int32_t>(normal - 0x80000000U));
    const int shift = 12 - zeros + 31 - bits;
    // Numbers below 2^31 divided by 2^32 or more round to 0.
    const code_ints factor(shift > 31 ? 0 : reciprocal), places(shift & 31);
    const code_ints lowest(least), highest(std::numeric_limits<Out>::max());
    for (int d = 0; d < 256; d += code_ints::lanes) {
      const code_ints exps = code_ints::load(exps_.data() + d);
      const code_ints scaled =
          rounding_divide_by_pot(saturating_rounding_doubling_high_mul(factor, exps), places);
      arch::convert<Out>(arch::clamp(code_ints(scaled + lowest), lowest, highest))
          .store(results + d);
    }
  }

  index classes_;
  softmax_params params_;
  std::array<std::int32_t, 256> exps_{};
  std::array<std::int32_t, 256> addends_{};
};

/// Softmax by a table of 256 floats, as onnxruntime's QLinearSoftmax computes it:
///
///     e(d) = float(exp((d + shift) * x_scale)), d = x - max
///     y    = rne(e(d) * floor(1 / y_scale) / sum of e(d)) + y_zero
///
/// `shift` keeps the sum far from the largest float. uint8 saturates at 255; int8 keeps the low
/// 8 bits, so that 128 becomes -128. Sums are added in the order of the codes.
///
/// @tparam T  std::int8_t or std::uint8_t
template <ByteCode T>
class table_softmax {
  static constexpr const char* name = "table_softmax";

 public:
  /// @param classes  length of a row
  /// @throws fewbit::error unless classes are 1 or more, scales are positive, y.scale is at most 1
  ///         and y.zero_point is a code
  table_softmax(index classes, float x_scale, const quant_params& y)
      : classes_(classes), zero_(y.zero_point), steps_(std::floor(1.0F / y.scale)) {
    detail::expect_classes(name, classes, std::numeric_limits<std::int32_t>::max());
    detail::expect_code_params<T>(name, "x_params", {x_scale, T{}});
    detail::expect_code_params<T>(name, "y_params", y);
    detail::expect(y.scale <= 1.0F, name, "y_params.scale", y.scale, "at most 1");
    const double scale = double{x_scale};
    const double room =
        std::log(double{std::numeric_limits<float>::max() / static_cast<float>(classes)}) - 5.0;
    const double shift = std::max(0.0, room) / scale;
    for (int d = 0; d < 256; ++d) {
      exps_[static_cast<std::size_t>(255 - d)] =
          static_cast<float>(std::exp((static_cast<double>(-d) + shift) * scale));
    }
  }

  [[nodiscard]] index classes() const noexcept { return classes_; }

  /// As softmax.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<T, T, Y, X>()) {
      detail::expect_softmax_call(name, classes_, x, y);
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      detail::softmax_rows<T, T>(exps_, from, to, executor,
                                 [&](float sum, T* results) { scale(sum, results); });
    }
  }

 private:
  void scale(float sum, T* results) const noexcept {
    using detail::code_ints;
    using floats = arch::rebind<code_ints, float>;
    for (int d = 0; d < 256; d += code_ints::lanes) {
      const floats scaled = arch::rounded(floats(floats::load(exps_.data() + d) * floats(steps_)));
      // No quotient exceeds steps_, but the product may be infinite.
      const floats quotient = arch::min(floats(scaled / floats(sum)), floats(steps_));
      code_ints code = arch::nearest_int(quotient) + code_ints(zero_);
      if constexpr (!std::is_signed_v<T>) code = arch::min(code, code_ints(255));
      arch::convert<T>(code).store(results + d);
    }
  }

  index classes_;
  std::int32_t zero_;
  float steps_;
  std::array<float, 256> exps_{};
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
