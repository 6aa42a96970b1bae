#pragma once
/// A linear layer that rotates its inputs before it quantizes them, and the measurement that tells
/// whether this pays.
///
///     const hadamard_rotation turn(k, 1);
///     const rotation_gain gain = measure_rotation<int4_per_row, int8_per_row>(w, x, turn);
///     if (gain.pays()) {
///       rotated_linear<linear<int4_per_row>> layer(turn, w, bias);
///       layer(x, y);                                    // y = (x Q) quantized, times (W Q)^T
///     }
///
/// Weights are rotated once, inputs at each call. Read before: hadamard.hpp. A rotation that the
/// layer before can hold costs nothing at run time: rotate the rows of its weights and its bias, if
/// no activation lies between.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/hadamard.hpp"
#include "fewbit/equalize/input_products.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// The signal-to-noise ratio of the outputs of a quantized layer, in dB.
struct rotation_gain {
  double plain_db = 0.0;
  double rotated_db = 0.0;

  /// Whether rotated inputs are better by at least `least_db`.
  [[nodiscard]] bool pays(double least_db = 0.0) const noexcept {
    return rotated_db > plain_db + least_db;
  }
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// |Q(x) Q(w)^T - x w^T|^2, as |E Q(w)^T + x D^T|^2 with the errors E of x and D of w.
template <Scheme WeightScheme, Scheme InputScheme, class E>
[[nodiscard]] double quantization_noise(const matrix_ref& w, const matrix_ref& x,
                                        const E& executor) {
  const index k = w.cols();
  row_matrix<float> inputs(x.rows(), 2 * k), weights(w.rows(), 2 * k);
  inputs.leftCols(k) = dequantize(quantize<InputScheme>(x, executor), executor) - x;
  inputs.rightCols(k) = x;
  weights.leftCols(k) = dequantize(quantize<WeightScheme>(w, executor), executor);
  weights.rightCols(k) = weights.leftCols(k) - w;
  input_products products(2 * k);
  products.add(inputs, executor);
  return products.squared_error(weights, executor);
}

/// The ratio in dB. Infinity without noise.
[[nodiscard]] inline double ratio_db(double signal, double noise) noexcept {
  if (noise == 0.0) return std::numeric_limits<double>::infinity();
  return 10.0 * std::log10(signal / noise);
}

}  // namespace detail

/// Measures the outputs of a layer with quantized weights and inputs, plain and rotated.
///
/// @tparam InputScheme  how inputs are quantized: int8_per_row is what dynamic_int8 does
/// @param w             n x k
/// @param x             inputs of the layer, m x k
/// @throws fewbit::error if w or x is empty, not finite, or has another width than the rotation
template <Scheme WeightScheme, Scheme InputScheme = scheme<int8, per_row>,
          Executor E = inline_executor>
  requires(!WeightScheme::is_random && !InputScheme::is_random)
[[nodiscard]] rotation_gain measure_rotation(const Eigen::Ref<const row_matrix<float>>& w,
                                             const Eigen::Ref<const row_matrix<float>>& x,
                                             const hadamard_rotation& rotation,
                                             const E& executor = {}) {
  const char* function = "measure_rotation";
  detail::expect_finite(function, "w", w);
  detail::expect_finite(function, "x", x);
  detail::expect_equal(function, "w.cols()", w.cols(), rotation.size());
  detail::expect_equal(function, "x.cols()", x.cols(), rotation.size());
  input_products products(x.cols());
  products.add(x, executor);
  const double signal = products.squared_error(w, executor);
  const auto noise = [&](const row_matrix<float>& weights, const row_matrix<float>& inputs) {
    return detail::quantization_noise<WeightScheme, InputScheme>(weights, inputs, executor);
  };
  return {detail::ratio_db(signal, noise(w, x)),
          detail::ratio_db(
              signal, noise(rotation.rotate_rows(w, executor), rotation.rotate_rows(x, executor)))};
}

/// Scratch memory of a rotated_linear: rotated inputs, and the memory of the layer within.
struct rotated_scratch {
  row_matrix<float> inputs;
  layer_scratch layer;
};

/// y = (x Q) (W Q)^T + bias, by a layer of weights W Q.
///
/// @tparam Linear  linear<...> for float inputs
template <class Linear>
class rotated_linear {
 public:
  /// @param weights  n x k; `more` are further arguments of Linear: bias, parameters, options
  /// @throws fewbit::error if weights are not as wide as the rotation, or as Linear does
  template <class... More>
  rotated_linear(hadamard_rotation rotation, const Eigen::Ref<const row_matrix<float>>& weights,
                 const More&... more)
      : rotation_(std::move(rotation)), layer_(turned(rotation_, weights), more...) {
    reserve(1);
  }

  [[nodiscard]] index inputs() const noexcept { return layer_.inputs(); }
  [[nodiscard]] index outputs() const noexcept { return layer_.outputs(); }
  [[nodiscard]] const hadamard_rotation& rotation() const noexcept { return rotation_; }
  /// The layer of rotated inputs.
  [[nodiscard]] const Linear& layer() const noexcept { return layer_; }
  /// Bytes of the layer and the signs. Memory of reserve(rows) does not count.
  [[nodiscard]] index bytes() const noexcept {
    return layer_.bytes() + rotation_.size() * index{sizeof(float)};
  }

  /// Allocates memory for `rows` rows at a time; 1 at first.
  /// @throws fewbit::error unless rows >= 1
  void reserve(index rows) { reserve(memory_, 1, rows); }

  /// Grows scratch memory to what this layer needs for `workers` threads and `rows` rows at a time.
  /// @throws fewbit::error unless workers >= 1 and rows >= 1
  void reserve(rotated_scratch& scratch, index workers = 1,
               index rows = detail::rows_at_a_time) const {
    layer_.reserve(scratch.layer, workers, rows);
    if (scratch.inputs.rows() >= rows && scratch.inputs.cols() >= inputs()) return;
    scratch.inputs.resize(std::max(scratch.inputs.rows(), rows),
                          std::max(scratch.inputs.cols(), inputs()));
  }

  /// Y = (X Q) (W Q)^T + bias in the memory of reserve(rows). Does not allocate or throw. If shapes
  /// do not fit, the error handler is called and the program terminates.
  ///
  /// @param x  m x k floats
  /// @param y  m x n, as the layer within takes it; must not overlap x
  template <class X, class Y>
  void operator()(const X& x, Y&& y) noexcept {
    std::as_const (*this)(x, y, memory_);
  }

  /// The same in the caller's scratch memory, from reserve(scratch).
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, rotated_scratch& scratch,
                  const E& executor = {}) const noexcept {
    static_assert(DenseRows<X, float>, "fewbit: a rotated layer reads rows of floats in place");
    const auto& from = detail::rows_of(x);
    auto&& to = detail::rows_of(y);
    detail::expect_shapes({"rotated_linear", "x", "y"}, x, y, inputs(), outputs());
    const index most = scratch.inputs.rows();
    if (most < 1 || scratch.inputs.cols() < inputs()) [[unlikely]] {
      detail::stop(
          "fewbit: rotated_linear: scratch.inputs is %lld x %lld, expected at least 1 x %lld",
          static_cast<long long>(most), static_cast<long long>(scratch.inputs.cols()),
          static_cast<long long>(inputs()));
    }
    for (index first = 0; first < from.rows(); first += most) {
      const index count = std::min(most, from.rows() - first);
      executor.for_each(count, [&](index r) {
        rotation_.rotate(from.data() + (first + r) * from.outerStride(),
                         scratch.inputs.data() + r * scratch.inputs.cols());
      });
      layer_(scratch.inputs.topLeftCorner(count, inputs()), to.middleRows(first, count),
             scratch.layer, executor);
    }
  }

 private:
  [[nodiscard]] static row_matrix<float> turned(const hadamard_rotation& rotation,
                                                const detail::matrix_ref& weights) {
    detail::expect_equal("rotated_linear", "weights.cols()", weights.cols(), rotation.size());
    return rotation.rotate_rows(weights);
  }

  hadamard_rotation rotation_;
  Linear layer_;
  rotated_scratch memory_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
