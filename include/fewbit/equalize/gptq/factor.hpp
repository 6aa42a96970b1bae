#pragma once
/// The order in which GPTQ takes the inputs of a layer, and the factor of H + damping in the
/// reverse of that order. Read before: cholesky.hpp. Read next: sweep.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/cholesky.hpp"
#include "fewbit/equalize/input_products.hpp"
#include "fewbit/equalize/strips.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// H + damping in the reversed order of a sweep, and its factor.
template <int Width>
class sweep_factor {
 public:
  sweep_factor(const input_products& h, bool by_size)
      : h_(h), order_(static_cast<std::size_t>(h.inputs())), added_(order_.size()) {
    std::iota(order_.begin(), order_.end(), index{0});
    if (by_size) {
      std::stable_sort(order_.begin(), order_.end(),
                       [&](index a, index b) { return h(a, a) > h(b, b); });
    }
    for (index j = 0; j < h.inputs(); ++j) {
      if (h(j, j) == 0.0) {
        dead_.push_back(j);
      } else {
        mean_ += h(j, j);
      }
    }
    const auto live = static_cast<double>(h.inputs()) - static_cast<double>(dead_.size());
    mean_ = live > 0.0 ? mean_ / live : 1.0;
  }

  /// Factors H + share * mean of H(j, j). A dead input gets that mean on the diagonal.
  template <class E, class GoOn>
  factor_end factor(double share, const E& executor, const GoOn& go_on) {
    damping_ = arch::rounded(share * mean_);
    for (std::size_t t = 0; t < order_.size(); ++t) {
      added_[t] = damping_ + (h_(order_[t], order_[t]) == 0.0 ? mean_ : 0.0);
    }
    factor_ = triangle_strips<Width>(whole_strips<Width>(h_.inputs()));
    executor.for_each(factor_.strips(), [&](index s) { fill(s); });
    return factor_in_place(factor_, executor, go_on);
  }

  /// The input of column p of the factor.
  [[nodiscard]] index input_of(index p) const noexcept {
    const index t = factor_.size() - 1 - p;
    return order_[static_cast<std::size_t>(t)];
  }
  [[nodiscard]] const triangle_strips<Width>& lower() const noexcept { return factor_; }
  [[nodiscard]] std::span<const index> order() const noexcept { return order_; }
  [[nodiscard]] std::span<const double> added() const noexcept { return added_; }
  [[nodiscard]] const std::vector<index>& dead() const noexcept { return dead_; }
  [[nodiscard]] double damping() const noexcept { return damping_; }
  /// R(j, j)^2 of each input: the loss of an error of 1 in its weight.
  [[nodiscard]] std::vector<double> squared_pivots() const {
    std::vector<double> all(order_.size());
    for (std::size_t t = 0; t < order_.size(); ++t) {
      const index p = factor_.size() - 1 - static_cast<index>(t);
      const double pivot = factor_(p, p);
      all[static_cast<std::size_t>(order_[t])] = arch::rounded(pivot * pivot);
    }
    return all;
  }

 private:
  /// Columns before the first input belong to the padding: there the matrix is 1.
  void fill(index s) noexcept {
    const index padding = factor_.size() - h_.inputs();
    for (index p = s * Width; p < factor_.size(); ++p) {
      double* row = factor_.at(s, p);
      for (index j = 0; j < Width; ++j) {
        const index c = s * Width + j;
        if (p < padding || c < padding) {
          row[j] = p == c ? 1.0 : 0.0;
        } else {
          row[j] = h_(input_of(p), input_of(c));
          if (p == c) row[j] += added_[static_cast<std::size_t>(factor_.size() - 1 - p)];
        }
      }
    }
  }

  const input_products& h_;
  std::vector<index> order_;
  std::vector<double> added_;  ///< to the diagonal, by step
  std::vector<index> dead_;
  double mean_ = 0.0;
  double damping_ = 0.0;
  triangle_strips<Width> factor_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
