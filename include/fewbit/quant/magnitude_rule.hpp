#pragma once
/// Rules that choose the scale of a binary or ternary group from its magnitudes.
///
/// A binary code is a sign; a ternary code is a sign or 0. A rule chooses the scale alpha and, for
/// ternary codes, the threshold: smaller weights become 0. A rule is a type, so
/// `quantize<ternary_per_row, ternary_twn>(w)` names it.
/// Read next: quantize.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <span>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/scale.hpp"
#include "fewbit/quant/storage.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Elements with |w| >= threshold get the code of their sign, the others get 0. Binary codes ignore
/// the threshold. A ternary group of zeros has these defaults. A ternary threshold is at least
/// 2^-127: smaller magnitudes are nearer to 0 than to the smallest scale, 2^-126.
struct magnitude_choice {
  float scale = 1.0F;
  float threshold = std::numeric_limits<float>::infinity();
};

namespace detail {

/// Magnitudes below this are nearer to 0 than to any scale.
inline constexpr float least_kept = min_scale / 2;

}  // namespace detail

/// alpha = mean|w|, which minimises |w - alpha sign(w)|^2. The relative error is 1 - (sum|w|)^2 /
/// (n sum w^2); for Gaussian weights 1 - 2/pi. A mean below 2^-126 becomes 0 or 2^-126, whichever
/// is nearer. A group of zeros has scale 0, because no binary code means 0. Rastegari et al. 2016,
/// arXiv:1603.05279 (XNOR-Net).
struct mean_magnitude {
  template <Storage St>
  static constexpr bool fits = std::is_same_v<St, binary>;

  [[nodiscard]] static magnitude_choice choose(std::span<float> magnitudes) noexcept {
    double sum = 0.0;
    for (const float m : magnitudes) sum += double{m};
    const double mean = sum / static_cast<double>(magnitudes.size());
    if (mean < double{min_scale} / 2) return {0.0F, 0.0F};
    return {real_scale::round_step(mean), 0.0F};
  }
};

/// Minimises |w - alpha t|^2 exactly over alpha and t in {-1, 0, 1}^n. The k largest magnitudes
/// keep their sign, alpha is their mean, and k maximises (sum of the k largest)^2 / k. Equal
/// magnitudes get equal codes. For Gaussian weights the relative error is .19017 and the threshold
/// .612 sigma.
///
/// Only cuts between different magnitudes are tried. Within a run of equal magnitudes the objective
/// falls and then rises in k, so its maximum is at one end of the run. Where the mean is below
/// 2^-126, alpha is 2^-126 and k is the best for that scale.
struct ternary_optimum {
  template <Storage St>
  static constexpr bool fits = std::is_same_v<St, ternary>;

  [[nodiscard]] static magnitude_choice choose(std::span<float> magnitudes) {
    std::sort(magnitudes.begin(), magnitudes.end(), std::greater<>());
    if (magnitudes.empty() || magnitudes[0] == 0.0F) return {};
    magnitude_choice best = {min_scale, detail::least_kept};
    double best_gain = 0.0;
    double sum = 0.0;
    for (std::size_t i = 0; i < magnitudes.size() && magnitudes[i] > 0.0F; ++i) {
      sum += double{magnitudes[i]};
      const bool cut = i + 1 == magnitudes.size() || magnitudes[i + 1] < magnitudes[i];
      const auto k = static_cast<double>(i + 1);
      constexpr double least = min_scale;
      const double mean = sum / k;
      const double gain = mean < least ? least * (2.0 * sum - k * least) : sum * sum / k;
      if (cut && gain > best_gain) {
        best_gain = gain;
        best = {real_scale::round_step(mean), magnitudes[i]};
      }
    }
    return best;
  }
};

/// Delta = 0.7 mean|w|, alpha = mean of the |w| > Delta. Needs no sort. For Gaussian weights the
/// relative error is .19162. Li et al. 2016, arXiv:1605.04711 (TWN).
struct ternary_twn {
  template <Storage St>
  static constexpr bool fits = ternary_optimum::fits<St>;

  [[nodiscard]] static magnitude_choice choose(std::span<float> magnitudes) noexcept {
    double sum = 0.0;
    for (const float m : magnitudes) sum += double{m};
    const double delta = 0.7 * (sum / static_cast<double>(magnitudes.size()));
    double kept = 0.0;
    index count = 0;
    float smallest = std::numeric_limits<float>::infinity();
    for (const float m : magnitudes) {
      if (double{m} <= delta) continue;
      kept += double{m};
      ++count;
      smallest = m < smallest ? m : smallest;
    }
    if (count == 0) return {};
    return {real_scale::round_step(kept / static_cast<double>(count)),
            std::max(smallest, detail::least_kept)};
  }
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
