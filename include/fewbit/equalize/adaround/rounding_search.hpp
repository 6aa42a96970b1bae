#pragma once
/// The search of AdaRound in some rows of weights: soft bits, their cost, and Adam's steps. Read
/// before: adaround.hpp, which has the formulas.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/random.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/input_products.hpp"
#include "fewbit/equalize/portable_functions.hpp"
#include "fewbit/equalize/strips.hpp"
#include "fewbit/quant/group_choices.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// How adaround searches.
struct adaround_options {
  index steps = 2000;         ///< of Adam
  double rate = 1e-2;         ///< of Adam
  double lambda = 1.0;        ///< weight of the second term
  bool is_normalized = true;  ///< false: the loss is trace(...) / rows, as in the paper
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The schemes that adaround accepts: integers with a scale and a zero point.
template <class S>
concept AdaroundScheme = IntegerScheme<S> && !S::is_random && !S::has_minimum;

namespace detail {

/// u = clip(1.2 sigmoid(v) - 0.1, 0, 1), and its derivative.
struct soft_bit {
  double u;
  double slope;  ///< 0 where u is clipped

  explicit soft_bit(double v) noexcept {
    const double sigmoid = 1.0 / (1.0 + portable_exp(-v));
    const double stretched = arch::rounded(1.2 * sigmoid) - 0.1;
    u = std::min(std::max(stretched, 0.0), 1.0);
    slope = stretched > 0.0 && stretched < 1.0
                ? arch::rounded(1.2 * arch::rounded(sigmoid * (1.0 - sigmoid)))
                : 0.0;
  }

  /// The v of a fraction: u is then the fraction.
  [[nodiscard]] static double of_fraction(double fraction) noexcept {
    return -portable_log(1.2 / (fraction + 0.1) - 1.0);
  }
};

/// cos(pi t) for t of 0 to 1.
[[nodiscard]] inline double portable_cos_pi(double t) noexcept {
  static constexpr double series[] = {
      1.0,          -1.0 / 6,        1.0 / 120,          -1.0 / 5040,
      1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800.0, -1.0 / 1307674368000.0};
  const double x = arch::rounded(3.14159265358979323846 * (0.5 - t));  // sin x = cos(pi t)
  return arch::rounded(x * polynomial(series, arch::rounded(x * x)));
}

/// beta at a step: 20 after the first fifth, 2 at the end; 0 before, where the second term is off.
[[nodiscard]] inline double adaround_beta(index step, index steps) noexcept {
  const double start = 0.2 * static_cast<double>(steps);
  const double at = static_cast<double>(step);
  if (at < start) return 0.0;
  return 2.0 + arch::rounded(9.0 * (1.0 + portable_cos_pi((at - start) /
                                                          (static_cast<double>(steps) - start))));
}

/// 1 - |2 u - 1|^beta, and its derivative.
struct rounding_cost {
  double cost;
  double slope;

  rounding_cost(double u, double beta) noexcept {
    const double distance = arch::rounded(2.0 * u) - 1.0;
    const double power = portable_pow(std::abs(distance), beta - 1.0);
    cost = 1.0 - arch::rounded(std::abs(distance) * power);
    slope = arch::rounded(-2.0 * beta * power) * (distance < 0.0 ? -1.0 : 1.0);
  }
};

/// H in full: strips of columns with all their rows.
class full_products {
 public:
  static constexpr int width = strip_width;

  explicit full_products(const input_products& h)
      : size_(whole_strips<width>(h.inputs())), values_(size_ * size_) {
    for (index i = 0; i < h.inputs(); ++i) {
      for (index j = 0; j < h.inputs(); ++j) {
        values_[(j / width * size_ + i) * width + j % width] = h(i, j);
      }
    }
  }

  [[nodiscard]] index size() const noexcept { return size_; }
  [[nodiscard]] index strips() const noexcept { return size_ / width; }
  [[nodiscard]] const double* row(index strip, index i) const noexcept {
    return values_.data() + (strip * size_ + i) * width;
  }

 private:
  index size_;
  aligned_buffer<double> values_;
};

/// The rows of a tile: their floors, their v and Adam's moments.
template <AdaroundScheme S>
class rounding_search {
 public:
  static constexpr int width = strip_width;
  static constexpr index tile = tile_rows<width>;

  rounding_search(const matrix_ref& w, const group_choices<S>& choices, const full_products& h,
                  index first)
      : w_(w),
        choices_(choices),
        h_(h),
        first_(first),
        count_(std::min(tile, w.rows() - first)),
        cells_(static_cast<std::size_t>(count_ * w.cols())),
        errors_(tile * h.size()),
        products_(tile * h.size()) {
    for (index i = 0; i < count_; ++i) {
      for (index c = 0; c < w.cols(); ++c) cell_at(i, c) = make_cell(i, c);
    }
  }

  /// @param weight  of the loss
  void run(const adaround_options& options, double weight) {
    double decay_1 = 1.0, decay_2 = 1.0;
    for (index step = 0; step < options.steps; ++step) {
      multiply_errors();
      const double beta = adaround_beta(step, options.steps);
      decay_1 *= 0.9;
      decay_2 *= 0.999;
      for (index i = 0; i < count_; ++i) {
        for (index c = 0; c < w_.cols(); ++c) {
          cell& x = cell_at(i, c);
          const soft_bit bit(x.v);
          // products_ holds -(W - W') H; the derivative of the loss by W' is twice that.
          double slope = arch::rounded(2.0 * weight * *place(products_, i, c) * x.scale);
          if (!x.moves(bit.u)) slope = 0.0;
          if (beta > 0.0) slope += arch::rounded(options.lambda * rounding_cost(bit.u, beta).slope);
          x.move(arch::rounded(slope * bit.slope), options.rate, 1.0 - decay_1, 1.0 - decay_2);
        }
      }
    }
  }

  /// Writes the codes of the rows. Counts undecided ones.
  index write(row_matrix<typename S::code>& codes) const {
    index undecided = 0;
    for (index i = 0; i < count_; ++i) {
      for (index c = 0; c < w_.cols(); ++c) {
        const cell& x = cells_[static_cast<std::size_t>(i * w_.cols() + c)];
        const double u = soft_bit(x.v).u;
        undecided += u > 0.0 && u < 1.0 ? 1 : 0;
        codes(first_ + i, c) = static_cast<typename S::code>(x.code(x.v >= 0.0 ? 1.0 : 0.0));
      }
    }
    return undecided;
  }

 private:
  /// One weight. Codes are clipped: its value stays in the range of the scheme.
  struct cell {
    double floor;
    double zero;
    double scale;
    double v;
    double moment = 0.0;
    double square = 0.0;

    [[nodiscard]] double code(double u) const noexcept {
      return std::min(std::max(floor + u + zero, double{S::code_min}), double{S::code_max});
    }
    /// Whether the value follows u.
    [[nodiscard]] bool moves(double u) const noexcept { return code(u) == floor + u + zero; }
    void move(double slope, double rate, double seen_1, double seen_2) noexcept {
      moment = arch::rounded(0.9 * moment) + arch::rounded((1.0 - 0.9) * slope);
      square = arch::rounded(0.999 * square) +
               arch::rounded((1.0 - 0.999) * arch::rounded(slope * slope));
      v -= arch::rounded(rate * (moment / seen_1) / (std::sqrt(square / seen_2) + 1e-8));
    }
  };

  [[nodiscard]] cell& cell_at(index i, index c) noexcept {
    return cells_[static_cast<std::size_t>(i * w_.cols() + c)];
  }
  [[nodiscard]] double* place(aligned_buffer<double>& m, index i, index c) noexcept {
    return m.data() + (c / width * tile + i) * width + c % width;
  }

  [[nodiscard]] cell make_cell(index i, index c) const noexcept {
    const auto g = static_cast<std::size_t>(S::granularity::scale_of(first_ + i, c, w_.cols()));
    const double scale = choices_.scales[g];
    double zero = 0.0;
    if constexpr (S::is_affine) zero = choices_.zero_points[g];
    const double quotient = double{w_(first_ + i, c)} / scale;
    const double below = std::floor(quotient);
    return {below, zero, scale, soft_bit::of_fraction(quotient - below)};
  }

  /// errors = W - W', products = -errors H.
  void multiply_errors() {
    for (index i = 0; i < count_; ++i) {
      for (index c = 0; c < w_.cols(); ++c) {
        const cell& x = cell_at(i, c);
        *place(errors_, i, c) =
            double{w_(first_ + i, c)} - arch::rounded((x.code(soft_bit(x.v).u) - x.zero) * x.scale);
      }
    }
    std::fill(products_.begin(), products_.end(), 0.0);
    for (index s = 0; s < h_.strips(); ++s) {
      subtract_products<width, 1>(
          h_.strips(), width, [&](index q) { return errors_.data() + q * tile * width; },
          [&](index q) { return h_.row(s, q * width); }, products_.data() + s * tile * width);
    }
  }

  const matrix_ref& w_;
  const group_choices<S>& choices_;
  const full_products& h_;
  index first_;
  index count_;
  std::vector<cell> cells_;
  aligned_buffer<double> errors_;    ///< [strip][row][column]
  aligned_buffer<double> products_;  ///< the same order
};

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
