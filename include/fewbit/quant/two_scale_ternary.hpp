#pragma once
/// Ternary codes with one scale for 1 and another for -1: TTQ.
///
///     const auto q = quantize_ttq(w);            // threshold .05 max|w| of each row
///     const row_matrix<float> w_hat = dequantize(q);
///
/// | code | w_hat           |
/// |------|-----------------|
/// | 1    | positive_scale  |
/// | 0    | 0               |
/// | -1   | -negative_scale |
///
/// Source: Zhu et al. 2016, arXiv:1612.01064 (TTQ). The paper starts from such scales and trains
/// them; here both are the best for the codes. Read next: ops/linear/two_scale.hpp.

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scale.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// rows x cols codes of -1, 0 and 1, and two scales for each row.
class two_scale_ternary {
 public:
  /// 0 x 0, without scales.
  two_scale_ternary() = default;

  /// Copies codes and scales that were made elsewhere, for example by training.
  ///
  /// @param codes     rows x cols of -1, 0 and 1
  /// @param positive  for each row, the value of code 1: a finite number of at least 2^-126
  /// @param negative  for each row, minus the value of code -1: a finite number of at least 2^-126
  /// @throws fewbit::error with the first bad value and its position
  two_scale_ternary(const Eigen::Ref<const row_matrix<std::int8_t>>& codes,
                    std::span<const float> positive, std::span<const float> negative)
      : positive_((expect_valid(codes, positive, negative), codes), positive),
        negative_(negative.begin(), negative.end()) {}

  [[nodiscard]] index rows() const noexcept { return positive_.rows(); }
  [[nodiscard]] index cols() const noexcept { return positive_.cols(); }
  [[nodiscard]] int code(index r, index c) const noexcept { return positive_.code(r, c); }
  [[nodiscard]] float positive_scale(index r) const noexcept { return positive_.scale(r, 0); }
  [[nodiscard]] float negative_scale(index r) const noexcept {
    return negative_[static_cast<std::size_t>(r)];
  }

  /// Writes the cols() codes of row r to `out`.
  void unpack_row(index r, std::int8_t* out) const noexcept { positive_.unpack_row(r, out); }

  /// Bytes of this matrix in a file: codes, and 4 for each scale.
  [[nodiscard]] index storage_bytes() const noexcept {
    return positive_.storage_bytes() + static_cast<index>(negative_.size() * sizeof(float));
  }

 private:
  static void expect_valid(const Eigen::Ref<const row_matrix<std::int8_t>>& codes,
                           std::span<const float> positive, std::span<const float> negative) {
    constexpr const char* function = "two_scale_ternary";
    detail::expect_elements(function, "codes", codes);
    const auto expect_scales = [&](const std::string& name, std::span<const float> scales) {
      detail::expect_equal(function, ("number of " + name).c_str(),
                           static_cast<index>(scales.size()), codes.rows());
      for (index r = 0; r < codes.rows(); ++r) {
        detail::expect_positive_scale(function, detail::item(name, r),
                                      scales[static_cast<std::size_t>(r)]);
      }
    };
    expect_scales("positive scales", positive);
    expect_scales("negative scales", negative);
    for (index r = 0; r < codes.rows(); ++r) {
      for (index c = 0; c < codes.cols(); ++c) {
        const std::int8_t code = codes(r, c);
        if (code < -1 || code > 1) {
          detail::fail(function, detail::element("codes", r, c), int{code},
                       detail::interval(-1, 1));
        }
      }
    }
  }

  quantized_matrix<ternary_per_row> positive_;  // codes, and the scales of code 1
  std::vector<float> negative_;
};

namespace detail {

/// Codes and scales of one row of n weights.
struct ternary_row {
  float positive = 1.0F;
  float negative = 1.0F;

  ternary_row(const float* w, index n, double threshold, std::int8_t* codes) noexcept {
    double largest = 0.0;
    for (index c = 0; c < n; ++c) largest = std::fmax(largest, std::fabs(double{w[c]}));
    const double delta = threshold * largest;
    double sums[2] = {}, counts[2] = {};
    for (index c = 0; c < n; ++c) {
      const double size = std::fabs(double{w[c]});
      const bool keeps = size > delta && size >= double{least_kept};
      codes[c] = keeps ? static_cast<std::int8_t>(w[c] < 0.0F ? -1 : 1) : std::int8_t{0};
      if (codes[c] == 0) continue;
      sums[codes[c] < 0] += size;
      counts[codes[c] < 0] += 1.0;
    }
    if (counts[0] > 0.0) positive = real_scale::round_step(sums[0] / counts[0]);
    if (counts[1] > 0.0) negative = real_scale::round_step(sums[1] / counts[1]);
  }
};

}  // namespace detail

/// Quantizes each row of `w` to ternary codes with two scales. A weight gets the code of its sign
/// if
/// |w| > threshold * max|w|, else 0. positive_scale is the mean of the weights with
/// code 1, negative_scale the mean magnitude of those with code -1. These scales give the least
/// squared error for the codes. A sign without weights has scale 1. Every scale is at least 2^-126.
/// A weight that is nearer to 0 than to 2^-126 gets code 0.
///
/// @param threshold  0 <= threshold < 1
/// @throws fewbit::error if `w` is empty or holds a NaN or an infinity, or if `threshold` is out of
///         range
[[nodiscard]] inline two_scale_ternary quantize_ttq(const Eigen::Ref<const row_matrix<float>>& w,
                                                    double threshold = 0.05) {
  detail::expect_finite("quantize_ttq", "w", w);
  detail::expect(threshold >= 0.0 && threshold < 1.0, "quantize_ttq", "threshold", threshold,
                 "at least 0 and less than 1");
  row_matrix<std::int8_t> codes(w.rows(), w.cols());
  std::vector<float> positive, negative;
  for (index r = 0; r < w.rows(); ++r) {
    const detail::ternary_row row(detail::row_of(w, r), w.cols(), threshold,
                                  codes.data() + r * w.cols());
    positive.push_back(row.positive);
    negative.push_back(row.negative);
  }
  return {codes, positive, negative};
}

/// The real numbers that the codes stand for, rows() x cols().
[[nodiscard]] inline row_matrix<float> dequantize(const two_scale_ternary& q) {
  row_matrix<float> w(q.rows(), q.cols());
  for (index r = 0; r < q.rows(); ++r) {
    for (index c = 0; c < q.cols(); ++c) {
      const int code = q.code(r, c);
      w(r, c) = code == 0 ? 0.0F : code > 0 ? q.positive_scale(r) : -q.negative_scale(r);
    }
  }
  return w;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
