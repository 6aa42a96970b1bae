#pragma once
/// Measures the error of quantization: the distance between a matrix and its approximation.
///
///     const error_report e = measure_error(w, quantize<int8_per_row>(w));
///     e.sqnr_db;
///
/// One pass in double computes all figures, summed in row order, so results repeat to the bit. Each
/// sum keeps its rounding errors and adds them at the end (compensated summation): an outlier or
/// terms of both signs cost no precision. A double holds the square of every float. The short names
/// (mse, sqnr_db, ...) return one figure each.

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// The error of an approximation w_hat of w, with e = w - w_hat.
struct error_report {
  double mse = 0;        ///< mean e^2
  double sqnr_db = 0;    ///< 10 log10(sum w^2 / sum e^2); +inf if e = 0
  double cosine = 0;     ///< w . w_hat / (|w| |w_hat|); 1 if both are 0, 0 if one is
  double max_error = 0;  ///< max |e|
  double clipped_share =
      0;  ///< share of elements outside the codes (clipped_share); 0 without codes
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// A sum of doubles with its rounding errors (compensated summation). Source: Neumaier 1974,
/// "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen".
class careful_sum {
 public:
  void add(double x) noexcept {
    const double next = sum_ + x;
    const bool is_smaller = std::abs(x) <= std::abs(sum_);
    const double kept = is_smaller ? sum_ : x;
    const double added = is_smaller ? x : sum_;
    lost_ += (kept - next) + added;
    sum_ = next;
  }
  [[nodiscard]] double value() const noexcept { return sum_ + lost_; }

 private:
  double sum_ = 0;
  double lost_ = 0;
};

/// The sums behind an error_report.
struct error_sums {
  careful_sum error;
  careful_sum reference;
  careful_sum approximation;
  careful_sum product;
  double largest = 0;

  void add(float w, float w_hat) noexcept {
    const double a = w;
    const double b = w_hat;
    const double e = a - b;
    // Products of two floats are exact in double, so contraction cannot change them; e * e is not.
    error.add(arch::rounded(e * e));
    reference.add(a * a);
    approximation.add(b * b);
    product.add(a * b);
    largest = std::abs(e) > largest ? std::abs(e) : largest;
  }

  [[nodiscard]] error_report report(index count) const noexcept {
    const double errors = error.value();
    const double w = reference.value();
    const double w_hat = approximation.value();
    error_report r;
    r.mse = errors / static_cast<double>(count);
    r.sqnr_db =
        errors == 0.0 ? std::numeric_limits<double>::infinity() : 10.0 * std::log10(w / errors);
    const double norms = std::sqrt(w) * std::sqrt(w_hat);
    const bool both_zero = w == 0.0 && w_hat == 0.0;
    r.cosine = both_zero ? 1.0 : norms == 0.0 ? 0.0 : product.value() / norms;
    r.max_error = largest;
    return r;
  }
};

/// Fails unless w has elements, all finite, and codes `q` have its shape.
template <Scheme S>
void expect_comparable(const char* function, const char* argument, const matrix_ref& w,
                       const quantized_matrix<S>& q) {
  expect_same_shape(function, argument, w.rows(), w.cols(), q.rows(), q.cols());
  expect_finite(function, "w", w);
}

/// Whether x is more than half a step below the value of the first code or above that of the last
/// one. The bounds have a slack for the rounding of a quotient, so amax itself never counts.
template <Scheme S>
[[nodiscard]] bool is_clipped(float x, float scale, int zero_point, float minimum) noexcept {
  const double step = scale;
  const double slack = 0.5 * step + std::abs(double{x}) * 0x1p-22;
  const double lowest = (S::code_min - zero_point) * step + double{minimum};
  const double highest = (S::code_max - zero_point) * step + double{minimum};
  return double{x} > highest + slack || double{x} < lowest - slack;
}

/// The same for levels, where half a step is half the distance between the two outermost levels.
[[nodiscard]] inline bool is_outside(float x, float scale, std::span<const float> levels) noexcept {
  const double step = scale;
  const double slack = std::abs(double{x}) * 0x1p-22;
  const std::size_t last = levels.size() - 1;
  const double below = (double{levels[1]} - double{levels[0]}) / 2;
  const double above = (double{levels[last]} - double{levels[last - 1]}) / 2;
  return double{x} > (levels[last] + above) * step + slack ||
         double{x} < (levels[0] - below) * step - slack;
}

/// The figures of two matrices. Error sentences name `function`, and `argument` for the second
/// matrix.
[[nodiscard]] inline error_report error_between(const char* function, const char* argument,
                                                const matrix_ref& w,
                                                const matrix_ref& approximation) {
  expect_same_shape(function, argument, w.rows(), w.cols(), approximation.rows(),
                    approximation.cols());
  expect_finite(function, "w", w);
  expect_finite(function, argument, approximation);
  error_sums sums;
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) sums.add(w(r, c), approximation(r, c));
  }
  return sums.report(w.size());
}

/// The same for codes.
template <Scheme S>
[[nodiscard]] error_report error_between(const char* function, const char* argument,
                                         const matrix_ref& w, const quantized_matrix<S>& q) {
  expect_comparable(function, argument, w, q);
  return error_between(function, argument, w, matrix_ref(dequantize(q)));
}

template <Scheme S>
[[nodiscard]] double share_of_clipped(const matrix_ref& w, const quantized_matrix<S>& q) noexcept {
  index clipped = 0;
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      if constexpr (CodebookScheme<S>) {
        clipped += is_outside(w(r, c), q.scale(r, c), q.levels()) ? 1 : 0;
      } else {
        clipped +=
            is_clipped<S>(w(r, c), q.scale(r, c), q.zero_point(r, c), q.minimum(r, c)) ? 1 : 0;
      }
    }
  }
  return static_cast<double>(clipped) / static_cast<double>(w.size());
}

}  // namespace detail

/// All figures of the error of `approximation`, compared with `w`.
/// @throws fewbit::error if `w` is empty, the shapes differ, or a value is not finite
[[nodiscard]] inline error_report measure_error(
    const Eigen::Ref<const row_matrix<float>>& w,
    const Eigen::Ref<const row_matrix<float>>& approximation) {
  return detail::error_between("measure_error", "approximation", w, approximation);
}

/// The share of the elements of `w` that lie outside the codes of `q`: more than half a step below
/// the value of the first code of their group, or above that of the last one. For a codebook half a
/// step is half the distance between the two outermost levels. The share is 0 for scales that cover
/// all data. Ternary and binary scales are means, so some elements always lie outside. Under scale
/// 0 every element counts that is not 0, or not the minimum under real_minimum.
/// @throws fewbit::error if `w` is empty or not finite, or the shapes differ
template <Scheme S>
[[nodiscard]] double clipped_share(const Eigen::Ref<const row_matrix<float>>& w,
                                   const quantized_matrix<S>& q) {
  detail::expect_comparable("clipped_share", "q", w, q);
  return detail::share_of_clipped(w, q);
}

/// All figures of the error of dequantize(q), compared with `w`.
/// @throws fewbit::error as above
template <Scheme S>
[[nodiscard]] error_report measure_error(const Eigen::Ref<const row_matrix<float>>& w,
                                         const quantized_matrix<S>& q) {
  error_report r = detail::error_between("measure_error", "q", w, q);
  r.clipped_share = detail::share_of_clipped(w, q);
  return r;
}

/// One figure of measure_error, as the next three functions.
/// @throws fewbit::error as measure_error does; the sentence names this function
template <class Approximation>
[[nodiscard]] double mse(const Eigen::Ref<const row_matrix<float>>& w,
                         const Approximation& approximation) {
  return detail::error_between("mse", "approximation", w, approximation).mse;
}
/// Signal to noise in decibels.
template <class Approximation>
[[nodiscard]] double sqnr_db(const Eigen::Ref<const row_matrix<float>>& w,
                             const Approximation& approximation) {
  return detail::error_between("sqnr_db", "approximation", w, approximation).sqnr_db;
}
/// The cosine of the angle between both.
template <class Approximation>
[[nodiscard]] double cosine(const Eigen::Ref<const row_matrix<float>>& w,
                            const Approximation& approximation) {
  return detail::error_between("cosine", "approximation", w, approximation).cosine;
}
/// The largest magnitude of an error.
template <class Approximation>
[[nodiscard]] double max_error(const Eigen::Ref<const row_matrix<float>>& w,
                               const Approximation& approximation) {
  return detail::error_between("max_error", "approximation", w, approximation).max_error;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
