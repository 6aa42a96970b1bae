#pragma once
/// Sums of the errors of a layer over many calls, all at once and by channel.
///
/// All sums are in double, in the order of the numbers, and products are not contracted, so results
/// repeat to the bit. Read next: diagnose.hpp, recorded_run.hpp.

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// 10 log10(signal / noise); +infinity without noise.
[[nodiscard]] inline double decibels_of(double signal, double noise) noexcept {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (noise == 0) return infinity;
  return signal == 0 ? -infinity : 10 * std::log10(signal / noise);
}

/// Errors of y_hat as an approximation of y, whose columns are pixels of channels.
class channel_errors {
 public:
  channel_errors() = default;
  explicit channel_errors(index channels) : sums_(static_cast<std::size_t>(channels)) {}

  /// Both have the same shape and are finite; columns are a multiple of the channels.
  void add(const row_matrix<float>& y, const row_matrix<float>& y_hat) noexcept {
    const std::size_t channels = sums_.size();
    for (index r = 0; r < y.rows(); ++r) {
      for (index c = 0; c < y.cols(); ++c) {
        const double value = y(r, c);
        const double error = double{y_hat(r, c)} - value;
        sum& s = sums_[static_cast<std::size_t>(c) % channels];
        s.signal += value * value;  // the square of a float is exact
        s.noise += arch::rounded(error * error);
        s.shift += error;
      }
    }
    count_ += y.size() / static_cast<index>(channels);
  }

  [[nodiscard]] bool is_empty() const noexcept { return count_ == 0; }
  [[nodiscard]] double db() const noexcept { return decibels_of(signal(), noise()); }

  /// The channel with the largest sum of squared errors; -1 without errors.
  [[nodiscard]] index noisiest() const noexcept {
    index worst = -1;
    double most = 0;
    for (std::size_t c = 0; c < sums_.size(); ++c) {
      if (!(sums_[c].noise > most)) continue;
      most = sums_[c].noise;
      worst = static_cast<index>(c);
    }
    return worst;
  }

  /// The share of the squared errors that the mean error of each channel explains.
  [[nodiscard]] double constant_share() const noexcept {
    double constant = 0;
    for (const sum& s : sums_) constant += arch::rounded(s.shift * s.shift);
    const double all = noise() * static_cast<double>(count_);
    return all == 0 ? 0 : constant / all;
  }

 private:
  struct sum {
    double signal = 0;
    double noise = 0;
    double shift = 0;
  };

  [[nodiscard]] double signal() const noexcept {
    double total = 0;
    for (const sum& s : sums_) total += s.signal;
    return total;
  }
  [[nodiscard]] double noise() const noexcept {
    double total = 0;
    for (const sum& s : sums_) total += s.noise;
    return total;
  }

  std::vector<sum> sums_;
  index count_ = 0;  // numbers of each channel
};

/// A position in a matrix.
struct matrix_position {
  index row = -1;
  index col = -1;

  [[nodiscard]] bool is_none() const noexcept { return row < 0; }
};

/// The first number that is not finite.
[[nodiscard]] inline matrix_position first_not_finite(const row_matrix<float>& x) noexcept {
  for (index r = 0; r < x.rows(); ++r) {
    for (index c = 0; c < x.cols(); ++c) {
      if (!is_finite(x(r, c))) return {r, c};
    }
  }
  return {};
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
