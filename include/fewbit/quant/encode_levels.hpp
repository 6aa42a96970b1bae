#pragma once
/// Computes codes of codebooks: the place of the level nearest to x / scale.
///
/// The scale of a group is its largest magnitude, so quotients are in [-1, 1]. Read next:
/// quantize.hpp.

#include "fewbit/begin.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/element_params.hpp"
#include "fewbit/quant/group_choices.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/range.hpp"
#include "fewbit/quant/scale.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The scales of quantize() for a codebook before levels are known: for each group max|w|, at least
/// 2^-126. quantize() may then replace 2^-126 by 0 or 1, once it has the levels.
///
/// @param w  finite, at least one element
template <CodebookScheme S, class E>
[[nodiscard]] std::vector<float> codebook_scales(const detail::matrix_ref& w, const E& executor) {
  std::vector<float> scales(static_cast<std::size_t>(S::granularity::count(w.rows(), w.cols())));
  executor.for_each(static_cast<index>(scales.size()), [&](index i) {
    const rectangle b = S::granularity::group(i, w.rows(), w.cols());
    scales[static_cast<std::size_t>(i)] =
        real_scale::round_step(double{detail::range_of(w, b).amax()});
  });
  return scales;
}

namespace detail {

/// The nearest of 2^Bits levels in ascending order; at a midpoint the lower one.
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
  /// The largest float <= x. A float is above it if and only if it is above x.
  static float rounded_down(double x) noexcept {
    const auto nearest = static_cast<float>(x);
    return double{nearest} > x ? std::nextafter(nearest, -2.0F) : nearest;
  }

  std::array<float, (std::size_t{1} << Bits) - 1> bounds_{};
};

/// The scale of a group b without magnitudes above 2^-126. Zeros get scale 1 if 0 is a level, else
/// 0. Other values get scale 2^-126, or 0 if that gives a smaller squared error.
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
        r, c, end, w.cols(), {scales}, [&](index first, index n, const auto& params) {
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

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
