#pragma once
/// Figures of the inputs of a layer: histogram with thresholds, dead channels, clipped values, the
/// error of their codes.
///
/// Read before: errors.hpp, equalize/network/input_codes.hpp. Read next: diagnose.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fewbit/calib/histogram_observer.hpp"
#include "fewbit/calib/threshold.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/diagnose/errors.hpp"
#include "fewbit/diagnose/report.hpp"
#include "fewbit/equalize/network/float_layer.hpp"
#include "fewbit/equalize/network/input_codes.hpp"
#include "fewbit/equalize/network/layer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The real numbers that codes cover: half a step more than the values of the outermost codes.
struct covered_range {
  double lo;
  double hi;
};

[[nodiscard]] inline covered_range covered_by(const input_codes& codes) noexcept {
  const double scale = codes.params.scale;
  const double zero = codes.params.zero_point;
  return {(codes.lowest - zero - 0.5) * scale, (codes.highest - zero + 0.5) * scale};
}

/// Input channels that are always 0 although the layer relies on them.
struct dead_inputs {
  index first = -1;
  index count = 0;
};

/// Mean square of the weights that multiply an input channel.
[[nodiscard]] inline double weight_power(const network_layer& l, index channel) {
  const auto mean_square = [](const auto& w) { return double{w.squaredNorm()} / double(w.size()); };
  if (l.kind == layer_kind::linear) return mean_square(l.weights.col(channel));
  const index channels = l.image.channels;
  if (l.kind == layer_kind::depthwise_conv2d) {
    const index copies = l.channels() / channels;
    return mean_square(l.weights.middleRows(channel * copies, copies));
  }
  const index of_group = channels / l.groups;
  const index rows = l.channels() / l.groups;
  const index first_row = channel / of_group * rows;
  double sum = 0;
  for (index c = channel % of_group; c < l.depth(); c += of_group) {
    sum += mean_square(l.weights.col(c).segment(first_row, rows));
  }
  return sum * static_cast<double>(of_group) / static_cast<double>(l.depth());
}

/// The least mean square, as a share of the median of all channels, of weights that a layer relies
/// on. Weight decay shrinks the weights of inputs that were dead in training: in ResNet-20 they
/// have 0.0001 to 0.0005 of the median, and all others at least 0.02.
inline constexpr double least_weight_power = 0.005;

/// The least numbers of values of a channel, and of rows, that tell whether it is dead. After a
/// relu, many channels are 0 in a few rows, or in all pixels of a few images.
inline constexpr std::uint64_t least_dead_values = 32;
inline constexpr index least_dead_rows = 8;

/// The bars of a histogram, at most 64 in the used bins.
[[nodiscard]] inline report_histogram bars_of(const histogram& h) {
  constexpr index most_bars = 64;
  index first = 0;
  index last = h.bins();
  while (first < last && h.count(first) == 0) ++first;
  while (last > first && h.count(last - 1) == 0) --last;
  first = std::min(first, h.zero);
  const index per_bar = std::max<index>(1, (last - first + most_bars - 1) / most_bars);
  report_histogram bars;
  bars.lo = h.edge(first);
  for (index i = first; i < last; i += per_bar) {
    bars.counts.push_back(h.count_of(i, std::min(i + per_bar, last)));
  }
  const auto bins = static_cast<double>(static_cast<index>(bars.counts.size()) * per_bar);
  bars.hi = bars.lo + bins * h.width;
  return bars;
}

class input_figures {
 public:
  input_figures() = default;
  explicit input_figures(const network_layer& l)
      : factors_(&l.input_factors),
        errors_(1),
        is_alive_(static_cast<std::size_t>(l.input_channels()), false) {}

  /// Adds inputs of the float network, which are finite.
  void add(const row_matrix<float>& x, const input_codes* codes) {
    const row_matrix<float> scaled = numbers_of_codes(x);
    values_.observe(scaled);
    rows_ += x.rows();
    for (index r = 0; r < x.rows(); ++r) {
      for (index c = 0; c < x.cols(); ++c) {
        if (x(r, c) != 0.0F) is_alive_[static_cast<std::size_t>(c) % is_alive_.size()] = true;
      }
    }
    if (codes == nullptr || codes->mode == input_mode::as_float) return;
    row_matrix<float> x_hat = scaled;
    codes->apply(x_hat);
    errors_.add(scaled, x_hat);
    outside_ += count_outside(scaled, *codes);
  }

  /// Adds inputs of the quantized network.
  void count_saturated(const row_matrix<float>& x, const input_codes* codes) {
    if (codes == nullptr || codes->mode != input_mode::fixed) return;
    saturated_ += count_outside(numbers_of_codes(x), *codes);
  }

  [[nodiscard]] dead_inputs dead(const network_layer& l) const {
    dead_inputs found;
    if (rows_ < least_dead_rows || values_.count() < least_dead_values * is_alive_.size())
      return found;
    const bool any_dead = std::find(is_alive_.begin(), is_alive_.end(), false) != is_alive_.end();
    if (!any_dead) return found;
    std::vector<double> powers;
    for (index c = 0; c < l.input_channels(); ++c) powers.push_back(weight_power(l, c));
    std::vector<double> sorted = powers;
    std::sort(sorted.begin(), sorted.end());
    const double least = least_weight_power * sorted[sorted.size() / 2];
    for (std::size_t c = 0; c < powers.size(); ++c) {
      if (is_alive_[c] || powers[c] == 0 || powers[c] < least) continue;
      if (found.count++ == 0) found.first = static_cast<index>(c);
    }
    return found;
  }

  void write(const input_codes* codes, layer_figures& f) const {
    if (values_.count() == 0) return;
    const bool is_fixed = codes != nullptr && codes->mode == input_mode::fixed;
    if (!errors_.is_empty()) f.inputs_db = errors_.db();
    if (is_fixed) {
      f.inputs_clipped = static_cast<double>(outside_) / static_cast<double>(values_.count());
      f.saturated = saturated_;
    }
    if (values_.range().amax() == 0.0F) return;
    f.inputs = bars_of(values_.snapshot(clip::affine));
    f.inputs.marks = marks(codes);
  }

 private:
  [[nodiscard]] row_matrix<float> numbers_of_codes(const row_matrix<float>& x) const {
    row_matrix<float> scaled = x;
    if (factors_->size() != 0) scale_channels(*factors_, scaled.data(), scaled.size());
    return scaled;
  }

  [[nodiscard]] static std::uint64_t count_outside(const row_matrix<float>& x,
                                                   const input_codes& codes) noexcept {
    if (codes.mode != input_mode::fixed) return 0;
    const covered_range covered = covered_by(codes);
    std::uint64_t count = 0;
    for (index i = 0; i < x.size(); ++i) {
      const double value = x.data()[i];
      const double slack = std::abs(value) * 0x1p-22;  // of the rounding of a quotient
      count += value > covered.hi + slack || value < covered.lo - slack ? 1 : 0;
    }
    return count;
  }

  /// What the methods of calibration would choose, and what is in use.
  [[nodiscard]] std::vector<report_mark> marks(const input_codes* codes) const {
    const auto amax_of = [](const range& r) { return double{r.amax()}; };
    std::vector<report_mark> all = {
        {"max", amax_of(values_.range(by_max{}))},
        {"99.99 %", amax_of(values_.range(by_percentile{}))},
        {"entropy", amax_of(values_.range(by_entropy{}))},
        {"MSE", amax_of(values_.range(by_mse{}))},
    };
    if (codes == nullptr || codes->mode != input_mode::fixed) return all;
    const double scale = codes->params.scale;
    const double zero = codes->params.zero_point;
    const double lo = (codes->lowest - zero) * scale;
    const bool has_negative = values_.range(by_max{}, clip::affine).lo < 0.0F;
    if (has_negative && lo < 0) all.push_back({"in use", lo});
    all.push_back({"in use", (codes->highest - zero) * scale});
    return all;
  }

  const Eigen::VectorXf* factors_ = nullptr;
  channel_errors errors_;
  std::vector<bool> is_alive_;
  histogram_observer values_;
  index rows_ = 0;
  std::uint64_t outside_ = 0;
  std::uint64_t saturated_ = 0;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
