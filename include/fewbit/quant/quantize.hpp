#pragma once
/// Real numbers to codes and back.
///
///     auto q = quantize<int4_grouped<32>>(w);            // scales from the data
///     auto q = quantize<int8_affine>(x, params);         // scales given, from calibration
///     auto q = quantize<ternary_per_row, ternary_twn>(w);  // another rule for the scales
///     auto q = quantize<codebook_per_row<4>>(w, levels);   // levels given; else learned from w
///     row_matrix<float> w_hat = dequantize(q);
///
/// code = clamp(round(x / scale) + zero_point, code_min, code_max), with a true division; the clamp
/// comes before the conversion to integer, so that any x / scale is defined.
/// x_hat = (code - zero_point) * scale. Of a codebook the code is that of the level nearest to
/// x / scale, and x_hat = level * scale. Results do not depend on the executor or the processor.
/// Read next: metrics.hpp (what was lost), modes.hpp (the formulas of other libraries).

#include "fewbit/begin.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/random.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/level_rule.hpp"
#include "fewbit/quant/magnitude_rule.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/range.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The scale covers all data of its group: max|x|, or min and max when affine (choose_params).
struct full_range {
  template <Storage St>
  static constexpr bool fits = St::is_integer;
};

namespace detail {

template <Storage St>
struct default_rule_of {
  using type = full_range;
};
template <>
struct default_rule_of<binary> {
  using type = mean_magnitude;
};
template <>
struct default_rule_of<ternary> {
  using type = ternary_optimum;
};

}  // namespace detail

/// full_range for integer storages, mean_magnitude for binary, ternary_optimum for ternary; for a
/// codebook lloyd_max, once codebook/lloyd_max.hpp is included.
template <Scheme S>
using default_rule = typename detail::default_rule_of<typename S::storage>::type;

/// A rule that can choose the scales of S.
template <class R, class S>
concept RuleFor = R::template fits<typename S::storage>;

namespace detail {

using matrix_ref = Eigen::Ref<const row_matrix<float>>;

inline const float* row_of(const matrix_ref& w, index r) noexcept {
  return w.data() + r * w.outerStride();
}

/// Fails unless w has elements and all are finite.
inline void expect_finite(const char* function, const char* argument, const matrix_ref& w) {
  expect_elements(function, argument, w);
  for (index r = 0; r < w.rows(); ++r) {
    const float* x = row_of(w, r);
    bool all = true;
    for (index c = 0; c < w.cols(); ++c) all &= is_finite(x[c]);
    if (all) continue;
    index c = 0;
    while (is_finite(x[c])) ++c;
    fail(function, element(argument, r, c), x[c], "a finite number");
  }
}

/// Smallest and largest of n > 0 finite values, merged into r.
inline void widen(range& r, const float* x, index n) noexcept {
  using vec = arch::vec<float, arch::native_lanes<float>>;
  index i = 0;
  if (n >= vec::lanes) {
    vec lo = vec::load(x);
    vec hi = lo;
    for (i = vec::lanes; i + vec::lanes <= n; i += vec::lanes) {
      const vec v = vec::load(x + i);
      lo = arch::min(lo, v);
      hi = arch::max(hi, v);
    }
    for (int lane = 0; lane < vec::lanes; ++lane) r = hull(r, {lo[lane], hi[lane]});
  }
  for (index rest = n % vec::lanes; rest > 0; --rest, ++i) r = hull(r, {x[i], x[i]});
}

inline range range_of(const matrix_ref& w, const rectangle& b) noexcept {
  const float first = w(b.row, b.col);
  range r{first, first};
  for (index i = b.row; i < b.row + b.rows; ++i) widen(r, row_of(w, i) + b.col, b.cols);
  return r;
}

/// |w| of a block in row order.
inline std::vector<float> magnitudes_of(const matrix_ref& w, const rectangle& b) {
  std::vector<float> magnitudes;
  magnitudes.reserve(static_cast<std::size_t>(b.rows * b.cols));
  for (index r = b.row; r < b.row + b.rows; ++r) {
    for (index c = b.col; c < b.col + b.cols; ++c) magnitudes.push_back(std::abs(w(r, c)));
  }
  return magnitudes;
}

/// What the groups of a matrix have chosen, indexed as scale_of says.
template <Scheme S>
struct group_choices {
  std::vector<float> scales;
  std::vector<typename S::code> zero_points;  ///< affine schemes
  std::vector<float> thresholds;              ///< ternary and binary schemes

  explicit group_choices(index count) : scales(static_cast<std::size_t>(count)) {
    if constexpr (S::is_affine) zero_points.resize(static_cast<std::size_t>(count));
    if constexpr (!S::is_integer && !CodebookScheme<S>) {
      thresholds.resize(static_cast<std::size_t>(count));
    }
  }

  void set(index i, const quant_params& p) noexcept {
    scales[static_cast<std::size_t>(i)] = p.scale;
    if constexpr (S::is_affine) {
      zero_points[static_cast<std::size_t>(i)] = static_cast<typename S::code>(p.zero_point);
    }
  }
  void set(index i, const magnitude_choice& m) noexcept {
    scales[static_cast<std::size_t>(i)] = m.scale;
    thresholds[static_cast<std::size_t>(i)] = m.threshold;
  }
};

/// Scale and zero point of neighbouring elements that share them.
struct shared_params {
  float scale;
  std::int32_t zero;

  template <class V>
  FEWBIT_ALWAYS_INLINE V scale_at(index /*i*/) const noexcept {
    return V(scale);
  }
  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, std::int32_t> zero_at(index /*i*/) const noexcept {
    return arch::rebind<V, std::int32_t>(zero);
  }
};

/// Scale and zero point of neighbouring elements that each have their own; without `zeros` all are
/// 0.
template <class Code>
struct column_params {
  const float* scales;
  const Code* zeros;

  template <class V>
  FEWBIT_ALWAYS_INLINE V scale_at(index i) const noexcept {
    return arch::load<V>(scales + i);
  }
  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, std::int32_t> zero_at(index i) const noexcept {
    if (zeros == nullptr) return arch::rebind<V, std::int32_t>(0);
    return arch::convert<std::int32_t>(arch::load<arch::rebind<V, Code>>(zeros + i));
  }
};

/// Cuts columns [first, last) of row r into stretches with one parameter source each and calls
/// f(column, length, params).
template <Scheme S, class F>
FEWBIT_ALWAYS_INLINE void for_each_stretch(index r, index first, index last, index cols,
                                           std::span<const float> scales,
                                           std::span<const typename S::code> zeros, const F& f) {
  using granularity = typename S::granularity;
  if constexpr (std::is_same_v<granularity, per_col>) {
    f(first, last - first,
      column_params<typename S::code>{scales.data() + first,
                                      S::is_affine ? zeros.data() + first : nullptr});
  } else {
    const index run = granularity::run(cols);
    for (index c = first; c < last;) {
      const index run_end = (c / run + 1) * run;
      const index end = run_end < last ? run_end : last;
      const auto g = static_cast<std::size_t>(granularity::scale_of(r, c, cols));
      std::int32_t zero = 0;
      if constexpr (S::is_affine) zero = zeros[g];
      f(c, end - c, shared_params{scales[g], zero});
      c = end;
    }
  }
}

/// Random numbers of the elements from position `first` on.
struct element_draws {
  generator source;
  index first;

  template <class V>
  FEWBIT_ALWAYS_INLINE V at(index i) const noexcept {
    if constexpr (arch::is_vec<V>) {
      return uniform_lanes<V::lanes>(source, first + i);
    } else {
      return uniform(source, first + i);
    }
  }
};

template <IntegerScheme S, class V, class Params>
FEWBIT_ALWAYS_INLINE arch::rebind<V, typename S::code> encode(const V& x, const Params& params,
                                                              const element_draws& draws,
                                                              index i) noexcept {
  using integers = arch::rebind<V, std::int32_t>;
  const integers zero = params.template zero_at<V>(i);
  const V lo = arch::convert<float>(integers(integers(S::code_min) - zero));
  const V hi = arch::convert<float>(integers(integers(S::code_max) - zero));
  const V quotient = arch::clamp(V(x / params.template scale_at<V>(i)), lo, hi);
  integers rounded;
  if constexpr (S::is_random) {
    rounded = S::rounding::round(quotient, draws.at<V>(i));
  } else {
    rounded = S::rounding::round(quotient);
  }
  return arch::convert<typename S::code>(integers(rounded + zero));
}

template <IntegerScheme S, class Params>
void encode_stretch(const float* x, index n, const Params& params, const element_draws& draws,
                    typename S::code* out) noexcept {
  using vec = arch::vec<float, arch::native_lanes<float>>;
  using codes = arch::rebind<vec, typename S::code>;
  index i = 0;
  for (; i + vec::lanes <= n; i += vec::lanes) {
    arch::store<codes>(out + i, encode<S>(vec::load(x + i), params, draws, i));
  }
  for (; i < n; ++i) out[i] = encode<S>(x[i], params, draws, i);
}

/// Columns that are encoded at a time: whole bytes of any storage.
inline constexpr index encode_chunk = 256;

template <IntegerScheme S>
void encode_row(const matrix_ref& w, index r, const group_choices<S>& choices, const generator& g,
                std::uint8_t* bytes) noexcept {
  std::array<typename S::code, encode_chunk> codes;
  const float* x = row_of(w, r);
  for (index c = 0; c < w.cols(); c += encode_chunk) {
    const index end = w.cols() - c < encode_chunk ? w.cols() : c + encode_chunk;
    for_each_stretch<S>(r, c, end, w.cols(), choices.scales, choices.zero_points,
                        [&](index first, index n, const auto& params) {
                          const element_draws draws{g, r * w.cols() + first};
                          encode_stretch<S>(x + first, n, params, draws,
                                            codes.data() + (first - c));
                        });
    pack_codes<typename S::storage>(codes.data(), end - c, bytes + c * S::storage::bits / 8);
  }
}

template <Scheme S>
  requires(!S::is_integer && !CodebookScheme<S>)
void encode_row(const matrix_ref& w, index r, const group_choices<S>& choices,
                const generator& /*g*/, std::uint8_t* bytes) noexcept {
  using code = typename S::code;
  std::array<code, encode_chunk> codes;
  const float* x = row_of(w, r);
  for (index c = 0; c < w.cols(); c += encode_chunk) {
    const index end = w.cols() - c < encode_chunk ? w.cols() : c + encode_chunk;
    for (index i = c; i < end; ++i) {
      auto& out = codes[static_cast<std::size_t>(i - c)];
      if constexpr (S::storage::bits == 1) {
        out = x[i] < 0.0F ? code{-1} : code{1};
      } else {
        const auto group = static_cast<std::size_t>(S::granularity::scale_of(r, i, w.cols()));
        const float threshold = choices.thresholds[group];
        out = static_cast<code>(int{x[i] >= threshold} - int{x[i] <= -threshold});
      }
    }
    pack_codes<typename S::storage>(codes.data(), end - c, bytes + c * S::storage::bits / 8);
  }
}

template <Scheme S, class E>
quantized_matrix<S> encode_matrix(const matrix_ref& w, group_choices<S>&& choices,
                                  const generator& g, const E& executor) {
  auto q = quantized_matrix_access::make<S>(w.rows(), w.cols());
  executor.for_each(w.rows(), [&](index r) {
    encode_row<S>(w, r, choices, g, quantized_matrix_access::row(q, r));
  });
  quantized_matrix_access::set_params(q, std::move(choices.scales), std::move(choices.zero_points));
  return q;
}

/// `function` is what the user called, here and below.
template <Scheme S, class Rule, class E>
quantized_matrix<S> quantize_by_rule(const char* function, const matrix_ref& w, const generator& g,
                                     const E& executor) {
  static_assert(RuleFor<Rule, S>,
                "fewbit: this rule does not fit the storage: full_range is for integers, "
                "mean_magnitude for binary, ternary_optimum and ternary_twn for ternary");
  expect_finite(function, "w", w);
  const index count = S::granularity::count(w.rows(), w.cols());
  group_choices<S> choices(count);
  executor.for_each(count, [&](index i) {
    const rectangle b = S::granularity::group(i, w.rows(), w.cols());
    if constexpr (std::is_same_v<Rule, full_range>) {
      choices.set(i, choose_params<S>(range_of(w, b)));
    } else {
      std::vector<float> magnitudes = magnitudes_of(w, b);
      choices.set(i, Rule::choose(magnitudes));
    }
  });
  return encode_matrix<S>(w, std::move(choices), g, executor);
}

template <IntegerScheme S, class E>
quantized_matrix<S> quantize_by_params(const char* function, const matrix_ref& w,
                                       std::span<const quant_params> params, const generator& g,
                                       const E& executor) {
  expect_finite(function, "w", w);
  const index count = S::granularity::count(w.rows(), w.cols());
  expect_equal(function, "number of params", static_cast<index>(params.size()), count);
  group_choices<S> choices(count);
  for (index i = 0; i < count; ++i) {
    const quant_params& p = params[static_cast<std::size_t>(i)];
    constexpr int lo = S::is_affine ? S::storage::min : 0;
    constexpr int hi = S::is_affine ? S::storage::max : 0;
    expect_valid_scale<S>(function, item("params", i) + ".scale", p.scale);
    expect_zero_point(function, item("params", i) + ".zero_point", p.zero_point, lo, hi);
    choices.set(i, p);
  }
  return encode_matrix<S>(w, std::move(choices), g, executor);
}

/// The scale of a group of a codebook: its largest magnitude, so that quotients are -1 to 1, but at
/// least 2^-126.
[[nodiscard]] inline float codebook_scale(const range& r) noexcept {
  return real_scale::round_step(double{r.amax()});
}

/// Scales before levels are known; settle_smallest_scales follows.
template <CodebookScheme S, class E>
[[nodiscard]] std::vector<float> codebook_scales(const matrix_ref& w, const E& executor) {
  std::vector<float> scales(static_cast<std::size_t>(S::granularity::count(w.rows(), w.cols())));
  executor.for_each(static_cast<index>(scales.size()), [&](index i) {
    const rectangle b = S::granularity::group(i, w.rows(), w.cols());
    scales[static_cast<std::size_t>(i)] = codebook_scale(range_of(w, b));
  });
  return scales;
}

/// The nearest of 2^Bits levels in ascending order; on a midpoint the lower one.
template <int Bits>
class nearest_level {
 public:
  explicit nearest_level(std::span<const float> levels) noexcept {
    for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
      bounds_[i] = rounded_down((double{levels[i]} + double{levels[i + 1]}) / 2);
    }
  }

  [[nodiscard]] std::uint8_t operator()(float x) const noexcept {
    std::size_t code = 0;
    for (std::size_t step = std::size_t{1} << (Bits - 1); step > 0; step /= 2) {
      code += bounds_[code + step - 1] < x ? step : 0;
    }
    return static_cast<std::uint8_t>(code);
  }

 private:
  /// The largest float up to x; a float is above the one if and only if it is above the other.
  static float rounded_down(double x) noexcept {
    const auto nearest = static_cast<float>(x);
    return double{nearest} > x ? std::nextafter(nearest, -2.0F) : nearest;
  }

  std::array<float, (std::size_t{1} << Bits) - 1> bounds_{};
};

/// The scale of group b, whose scale is 2^-126 so far. A group of zeros gets 1 if 0 is a level,
/// else 0; another group gets 0 if that leaves the smaller squared error.
template <int Bits>
[[nodiscard]] float smallest_scale(const matrix_ref& w, const rectangle& b,
                                   std::span<const float> levels,
                                   const nearest_level<Bits>& nearest) noexcept {
  double error = 0.0;
  double squares = 0.0;
  for (index r = b.row; r < b.row + b.rows; ++r) {
    for (index c = b.col; c < b.col + b.cols; ++c) {
      const double quotient = double{w(r, c)} / double{min_scale};
      const double e = quotient - double{levels[nearest(static_cast<float>(quotient))]};
      error += arch::rounded(e * e);
      squares += arch::rounded(quotient * quotient);
    }
  }
  if (squares == 0.0) return error == 0.0 ? 1.0F : 0.0F;
  return error <= squares ? min_scale : 0.0F;
}

template <CodebookScheme S, class E>
void settle_smallest_scales(const matrix_ref& w, std::span<const float> levels,
                            const nearest_level<S::storage::bits>& nearest,
                            std::vector<float>& scales, const E& executor) {
  executor.for_each(static_cast<index>(scales.size()), [&](index i) {
    float& scale = scales[static_cast<std::size_t>(i)];
    if (scale > min_scale) return;
    scale = smallest_scale(w, S::granularity::group(i, w.rows(), w.cols()), levels, nearest);
  });
}

template <CodebookScheme S>
void encode_row(const matrix_ref& w, index r, std::span<const float> scales,
                const nearest_level<S::storage::bits>& nearest, std::uint8_t* bytes) noexcept {
  std::array<typename S::code, encode_chunk> codes;
  const float* x = row_of(w, r);
  for (index c = 0; c < w.cols(); c += encode_chunk) {
    const index end = w.cols() - c < encode_chunk ? w.cols() : c + encode_chunk;
    for_each_stretch<S>(
        r, c, end, w.cols(), scales, {}, [&](index first, index n, const auto& params) {
          for (index i = 0; i < n; ++i) {
            const float scale = params.template scale_at<float>(i);
            const float divisor = scale == 0.0F ? min_scale : scale;
            codes[static_cast<std::size_t>(first - c + i)] = nearest(x[first + i] / divisor);
          }
        });
    pack_codes<typename S::storage>(codes.data(), end - c, bytes + c * S::storage::bits / 8);
  }
}

template <CodebookScheme S, class E>
quantized_matrix<S> encode_by_levels(const matrix_ref& w, std::vector<float>&& scales,
                                     std::vector<float>&& levels, const E& executor) {
  auto q = quantized_matrix_access::make<S>(w.rows(), w.cols());
  const nearest_level<S::storage::bits> nearest(levels);
  settle_smallest_scales<S>(w, levels, nearest, scales, executor);
  executor.for_each(w.rows(), [&](index r) {
    encode_row<S>(w, r, scales, nearest, quantized_matrix_access::row(q, r));
  });
  quantized_matrix_access::set_levels(q, std::move(scales), std::move(levels));
  return q;
}

/// A rule of level_rule.hpp, or one that learns from w and its scales.
template <CodebookScheme S, class Rule, class E>
quantized_matrix<S> quantize_by_rule(const char* function, const matrix_ref& w,
                                     const generator& /*g*/, const E& executor) {
  static_assert(RuleFor<Rule, S>,
                "fewbit: this rule does not fit the storage: a codebook takes those of "
                "level_rule.hpp, or lloyd_max of codebook/lloyd_max.hpp, which is to be included");
  expect_finite(function, "w", w);
  std::vector<float> scales = codebook_scales<S>(w, executor);
  if constexpr (requires { Rule::template learn<S>(w, scales, executor); }) {
    std::vector<float> levels = Rule::template learn<S>(w, scales, executor);
    return encode_by_levels<S>(w, std::move(scales), std::move(levels), executor);
  } else {
    const auto fixed = Rule::template levels<S::storage::bits>();
    return encode_by_levels<S>(w, std::move(scales), {fixed.begin(), fixed.end()}, executor);
  }
}

template <Scheme S>
constexpr void expect_no_generator() {
  static_assert(!S::is_random,
                "fewbit: stochastic rounding takes a generator: quantize<S>(w, generator{seed})");
}
template <Scheme S>
constexpr void expect_generator() {
  static_assert(S::is_random, "fewbit: only stochastic rounding takes a generator");
}

/// All that quantize() takes, for functions of other names.
template <Scheme S, class Rule = default_rule<S>, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize_as(const char* function, const matrix_ref& w,
                                              const E& executor = {}) {
  expect_no_generator<S>();
  return quantize_by_rule<S, Rule>(function, w, generator{}, executor);
}
template <Scheme S, class Rule = default_rule<S>, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize_as(const char* function, const matrix_ref& w,
                                              const generator& g, const E& executor = {}) {
  expect_generator<S>();
  return quantize_by_rule<S, Rule>(function, w, g, executor);
}
template <IntegerScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize_as(const char* function, const matrix_ref& w,
                                              std::span<const quant_params> params,
                                              const E& executor = {}) {
  expect_no_generator<S>();
  return quantize_by_params<S>(function, w, params, generator{}, executor);
}
template <IntegerScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize_as(const char* function, const matrix_ref& w,
                                              std::span<const quant_params> params,
                                              const generator& g, const E& executor = {}) {
  expect_generator<S>();
  return quantize_by_params<S>(function, w, params, g, executor);
}
template <IntegerScheme S, Executor E = inline_executor>
  requires std::is_same_v<typename S::granularity, per_tensor>
[[nodiscard]] quantized_matrix<S> quantize_as(const char* function, const matrix_ref& w,
                                              const quant_params& params, const E& executor = {}) {
  return quantize_as<S>(function, w, std::span<const quant_params>(&params, 1), executor);
}
template <CodebookScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize_as(const char* function, const matrix_ref& w,
                                              std::span<const float> levels,
                                              const E& executor = {}) {
  expect_finite(function, "w", w);
  expect_valid_levels<S::storage::bits>(function, levels);
  return encode_by_levels<S>(w, codebook_scales<S>(w, executor), {levels.begin(), levels.end()},
                             executor);
}

}  // namespace detail

/// Quantizes `w` under scheme S with scales chosen from the data.
///
/// @tparam Rule     how the scale of a group is chosen: by default full_range for integer storages,
///                  mean_magnitude for binary, ternary_optimum for ternary; how the levels are
///                  chosen for a codebook, by default lloyd_max
/// @param w         rows = output channels, cols = inputs; an expression or a column-major matrix
///                  is evaluated once into a temporary
/// @param executor  runs the groups, then the rows
/// @return          codes in [S::code_min, S::code_max] and one scale for each group
/// @throws fewbit::error if `w` is empty or holds a NaN or an infinity
///
/// A group of zeros gets scale 1 and codes that stand for 0; where no code does, under binary and
/// under a codebook without a level 0, scale 0. sign(0) = sign(-0) = +1.
/// Any other scale is at least 2^-126, so that data smaller than half of that become 0. A group
/// that this scale would make worse than 0, where no code stands for 0, gets scale 0, too.
/// Sources: Wu et al. 2020, arXiv:2004.09602 (integers); magnitude_rule.hpp for the others.
template <Scheme S, class Rule = default_rule<S>, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           const E& executor = {}) {
  return detail::quantize_as<S, Rule>("quantize", w, executor);
}

/// The same for schemes with stochastic rounding. Element (r, c) uses number r * cols + c of the
/// generator, so equal generators give equal codes; advance its counter between calls.
template <Scheme S, class Rule = default_rule<S>, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           const generator& g, const E& executor = {}) {
  return detail::quantize_as<S, Rule>("quantize", w, g, executor);
}

/// Quantizes `w` with given parameters, one for each group in the order of granularity::scale_of;
/// integer storages only.
///
/// @throws fewbit::error if `w` is empty or not finite, if the number of parameters is wrong, a
///         scale is not a finite positive number (a power of two if S says so), or a zero point is
///         no code (must be 0 if S is symmetric)
template <IntegerScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           std::span<const quant_params> params,
                                           const E& executor = {}) {
  return detail::quantize_as<S>("quantize", w, params, executor);
}

/// Quantizes `w` with the one scale and zero point of a per_tensor scheme.
template <IntegerScheme S, Executor E = inline_executor>
  requires std::is_same_v<typename S::granularity, per_tensor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           const quant_params& params, const E& executor = {}) {
  return detail::quantize_as<S>("quantize", w, params, executor);
}

/// Quantizes `w` with given levels; codebooks only. The scale of a group is its max|w|.
///
/// @param levels  2^bits finite numbers of -1 to 1 in ascending order; some may be equal
/// @throws fewbit::error if `w` is empty or not finite, or levels are none
template <CodebookScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           std::span<const float> levels, const E& executor = {}) {
  return detail::quantize_as<S>("quantize", w, levels, executor);
}

/// Given parameters and stochastic rounding.
template <IntegerScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           std::span<const quant_params> params, const generator& g,
                                           const E& executor = {}) {
  return detail::quantize_as<S>("quantize", w, params, g, executor);
}

namespace detail {

template <class Code, class Params>
void decode_stretch(const Code* codes, index n, const Params& params, float* out) noexcept {
  using vec = arch::vec<float, arch::native_lanes<float>>;
  constexpr float largest = std::numeric_limits<float>::max();
  const auto decode = [&]<class V>(index i) {
    const auto code = arch::convert<std::int32_t>(arch::load<arch::rebind<V, Code>>(codes + i));
    using integers = arch::rebind<V, std::int32_t>;
    const integers steps = code - params.template zero_at<V>(i);
    const V value = arch::convert<float>(steps) * params.template scale_at<V>(i);
    arch::store<V>(out + i, arch::clamp(value, V(-largest), V(largest)));
  };
  index i = 0;
  for (; i + vec::lanes <= n; i += vec::lanes) decode.template operator()<vec>(i);
  for (; i < n; ++i) decode.template operator()<float>(i);
}

template <CodebookScheme S>
void decode_row(const quantized_matrix<S>& q, index r, float* out) noexcept {
  std::array<typename S::code, encode_chunk> codes;
  const std::span<const float> levels = q.levels();
  const std::uint8_t* bytes = q.bytes().data() + r * q.row_bytes();
  for (index c = 0; c < q.cols(); c += encode_chunk) {
    const index end = q.cols() - c < encode_chunk ? q.cols() : c + encode_chunk;
    unpack_codes<typename S::storage>(bytes + c * S::storage::bits / 8, end - c, codes.data());
    for_each_stretch<S>(r, c, end, q.cols(), q.scales(), {},
                        [&](index first, index n, const auto& params) {
                          for (index i = 0; i < n; ++i) {
                            const auto code = codes[static_cast<std::size_t>(first - c + i)];
                            out[first + i] = levels[code] * params.template scale_at<float>(i);
                          }
                        });
  }
}

template <Scheme S>
void decode_row(const quantized_matrix<S>& q, index r, float* out) noexcept {
  std::array<typename S::code, encode_chunk> codes;
  const std::uint8_t* bytes = q.bytes().data() + r * q.row_bytes();
  for (index c = 0; c < q.cols(); c += encode_chunk) {
    const index end = q.cols() - c < encode_chunk ? q.cols() : c + encode_chunk;
    unpack_codes<typename S::storage>(bytes + c * S::storage::bits / 8, end - c, codes.data());
    for_each_stretch<S>(r, c, end, q.cols(), q.scales(), q.zero_points(),
                        [&](index first, index n, const auto& params) {
                          decode_stretch(codes.data() + (first - c), n, params, out + first);
                        });
  }
}

}  // namespace detail

/// The reals that the codes stand for: (code - zero_point) * scale, or level * scale. A product
/// that is larger than the largest float becomes that, with its sign.
template <Scheme S, Executor E = inline_executor>
[[nodiscard]] row_matrix<float> dequantize(const quantized_matrix<S>& q, const E& executor = {}) {
  row_matrix<float> w(q.rows(), q.cols());
  executor.for_each(q.rows(), [&](index r) { detail::decode_row(q, r, w.data() + r * q.cols()); });
  return w;
}

/// What is left of `w` after quantization: dequantize(quantize<S>(w, more...)), where `more` is
/// whatever that quantize takes (executor, generator, parameters).
/// @throws fewbit::error as that quantize does, by the name fake_quantize
template <Scheme S, class... More>
[[nodiscard]] row_matrix<float> fake_quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                              const More&... more) {
  return dequantize(detail::quantize_as<S>("fake_quantize", w, more...));
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
