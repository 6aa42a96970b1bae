#pragma once
/// What quantization cost: the distance between a matrix and its approximation.
///
///     const error_report e = measure_error(w, quantize<int8_per_row>(w));
///     e.sqnr_db;
///
/// All figures come from one pass in double, summed in row order, so that they repeat to the bit.
/// The short names (mse, sqnr_db, ...) are for those who want one figure.

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit::inline FEWBIT_VERSION_NAMESPACE {

/// With w the reference, w_hat the approximation and e = w - w_hat:
struct error_report {
  double mse = 0;            ///< mean e^2
  double sqnr_db = 0;        ///< 10 log10(sum w^2 / sum e^2); +inf if e = 0
  double cosine = 0;         ///< w . w_hat / (|w| |w_hat|); 1 if both are 0, 0 if one is
  double max_error = 0;      ///< max |e|
  double clipped_share = 0;  ///< share of elements outside what the codes cover; 0 without codes
};

}  // namespace fewbit::inline FEWBIT_VERSION_NAMESPACE

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The sums behind an error_report.
struct error_sums {
  double error = 0;
  double reference = 0;
  double approximation = 0;
  double product = 0;
  double largest = 0;

  void add(float w, float w_hat) noexcept {
    const double a = w;
    const double b = w_hat;
    const double e = a - b;
    // A product of two floats is exact in double and cannot be hurt by contraction; e * e can.
    error += arch::rounded(e * e);
    reference += a * a;
    approximation += b * b;
    product += a * b;
    largest = std::abs(e) > largest ? std::abs(e) : largest;
  }

  [[nodiscard]] error_report report(index count) const noexcept {
    error_report r;
    r.mse = error / static_cast<double>(count);
    r.sqnr_db = error == 0.0 ? std::numeric_limits<double>::infinity()
                             : 10.0 * std::log10(reference / error);
    const double norms = std::sqrt(reference) * std::sqrt(approximation);
    const bool both_zero = reference == 0.0 && approximation == 0.0;
    r.cosine = both_zero ? 1.0 : norms == 0.0 ? 0.0 : product / norms;
    r.max_error = largest;
    return r;
  }
};

inline void expect_same_shape(index rows, index cols, index got_rows, index got_cols) {
  if (rows == got_rows && cols == got_cols) return;
  fail("measure_error", "approximation", text(got_rows) + " x " + text(got_cols),
       text(rows) + " x " + text(cols));
}

/// Whether x lies more than half a step beyond the values of the first and last code. The quotient
/// is allowed its rounding errors, so that amax itself never counts.
template <Scheme S>
[[nodiscard]] bool is_clipped(float x, float scale, int zero_point) noexcept {
  const double quotient = double{x} / double{scale};
  const double slack = 0.5 + std::abs(quotient) * 0x1p-22;
  return quotient > S::code_max - zero_point + slack || quotient < S::code_min - zero_point - slack;
}

/// The same for levels: more than half the distance to its neighbour beyond the first or last one.
[[nodiscard]] inline bool is_outside(float x, float scale, std::span<const float> levels) noexcept {
  const double quotient = double{x} / double{scale};
  const double slack = std::abs(quotient) * 0x1p-22;
  const std::size_t last = levels.size() - 1;
  const double below = (double{levels[1]} - double{levels[0]}) / 2;
  const double above = (double{levels[last]} - double{levels[last - 1]}) / 2;
  return quotient > levels[last] + above + slack || quotient < levels[0] - below - slack;
}

}  // namespace detail

/// @throws fewbit::error if `w` is empty, the shapes differ, or a value is not finite
[[nodiscard]] inline error_report measure_error(
    const Eigen::Ref<const row_matrix<float>>& w,
    const Eigen::Ref<const row_matrix<float>>& approximation) {
  detail::expect_same_shape(w.rows(), w.cols(), approximation.rows(), approximation.cols());
  detail::expect_finite("measure_error", "w", w);
  detail::expect_finite("measure_error", "approximation", approximation);
  detail::error_sums sums;
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) sums.add(w(r, c), approximation(r, c));
  }
  return sums.report(w.size());
}

/// Share of the elements of `w` that the codes of `q` cannot reach: more than half a step beyond
/// the value of the first or last code of their group; for a codebook half a step is half the
/// distance from that to the next. 0 for scales that cover all data; ternary and binary scales are
/// means and always clip.
template <Scheme S>
[[nodiscard]] double clipped_share(const Eigen::Ref<const row_matrix<float>>& w,
                                   const quantized_matrix<S>& q) {
  detail::expect_same_shape(w.rows(), w.cols(), q.rows(), q.cols());
  detail::expect_finite("measure_error", "w", w);
  index clipped = 0;
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      if constexpr (CodebookScheme<S>) {
        clipped += detail::is_outside(w(r, c), q.scale(r, c), q.levels()) ? 1 : 0;
      } else {
        clipped += detail::is_clipped<S>(w(r, c), q.scale(r, c), q.zero_point(r, c)) ? 1 : 0;
      }
    }
  }
  return static_cast<double>(clipped) / static_cast<double>(w.size());
}

/// All figures of codes made from `w`.
template <Scheme S>
[[nodiscard]] error_report measure_error(const Eigen::Ref<const row_matrix<float>>& w,
                                         const quantized_matrix<S>& q) {
  error_report r = measure_error(w, dequantize(q));
  r.clipped_share = clipped_share(w, q);
  return r;
}

/// @throws fewbit::error as measure_error does, as do the next three
template <class Approximation>
[[nodiscard]] double mse(const Eigen::Ref<const row_matrix<float>>& w, const Approximation& a) {
  return measure_error(w, a).mse;
}
template <class Approximation>
[[nodiscard]] double sqnr_db(const Eigen::Ref<const row_matrix<float>>& w, const Approximation& a) {
  return measure_error(w, a).sqnr_db;
}
template <class Approximation>
[[nodiscard]] double cosine(const Eigen::Ref<const row_matrix<float>>& w, const Approximation& a) {
  return measure_error(w, a).cosine;
}
template <class Approximation>
[[nodiscard]] double max_error(const Eigen::Ref<const row_matrix<float>>& w,
                               const Approximation& a) {
  return measure_error(w, a).max_error;
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE

#include "fewbit/end.hpp"
