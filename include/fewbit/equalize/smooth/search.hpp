#pragma once
/// The search of smooth.hpp for one group of layers. Private to it.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/core/executor.hpp"
#include "fewbit/equalize/channels.hpp"
#include "fewbit/equalize/network/float_layer.hpp"
#include "fewbit/equalize/network/input_codes.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The factors found for the layers that read some channels.
struct smoothing {
  Eigen::VectorXf
      factors;  ///< s: x is divided and weights multiplied by them; all 1 if not smoothed
  bool is_smoothed = false;    ///< false: no exponent has a smaller error than no smoothing
  double exponent = 0.0;       ///< the best one, if is_smoothed
  double error_before = 0.0;   ///< |y - y_hat|^2 / |y|^2 over the sample, without smoothing
  double error = 0.0;          ///< with these factors
  std::vector<double> errors;  ///< of each exponent tried
};

namespace detail {

/// Extremes of the input channels, and some rows of inputs.
struct smoothing_data {
  Eigen::VectorXf lo;  // of each channel; empty before the first rows
  Eigen::VectorXf hi;
  row_matrix<float> sample;

  [[nodiscard]] Eigen::VectorXf amax() const { return lo.cwiseAbs().cwiseMax(hi.cwiseAbs()); }

  /// Column j of x is channel j % channels.
  void observe(const row_matrix<float>& x, index channels) {
    const Eigen::Map<const row_matrix<float>> pixels(x.data(), x.size() / channels, channels);
    const Eigen::VectorXf least = pixels.colwise().minCoeff(), most = pixels.colwise().maxCoeff();
    lo = lo.size() == 0 ? least : Eigen::VectorXf(lo.cwiseMin(least));
    hi = hi.size() == 0 ? most : Eigen::VectorXf(hi.cwiseMax(most));
  }
  /// Adds at most `rows` rows of x to the sample, at equal distances.
  void keep(const row_matrix<float>& x, index rows) {
    const index count = std::min(rows, x.rows()), old = sample.rows();
    if (count < 1) return;
    sample.conservativeResize(old + count, x.cols());
    for (index i = 0; i < count; ++i) sample.row(old + i) = x.row(i * x.rows() / count);
  }
};

/// The codes of x / s under X: one range from the extremes of the channels, or a scale per row.
template <IntegerScheme X>
input_codes codes_of_smoothed(const smoothing_data& data, const Eigen::VectorXf& s) {
  if constexpr (std::is_same_v<typename X::granularity, per_row>) {
    return codes_by_row<typename X::storage>();
  } else {
    return codes_of<X>(
        range{(data.lo.array() / s.array()).minCoeff(), (data.hi.array() / s.array()).maxCoeff()});
  }
}

/// 1 / s for each input channel of a layer: s is repeated for a linear layer of several pixels.
inline Eigen::VectorXf inverse_factors(const network_layer& l, const Eigen::VectorXf& s) {
  return s.cwiseInverse().replicate(l.input_channels() / s.size(), 1);
}

/// Finds the exponent whose factors give the smallest error of the outputs of some layers with the
/// same inputs.
template <Scheme S, IntegerScheme X, Executor E>
class smoothing_search {
 public:
  smoothing_search(std::vector<network_layer> layers, const smoothing_data& data, const E& executor)
      : layers_(std::move(layers)), data_(data), executor_(executor) {
    amax_ = Eigen::VectorXf::Zero(data.lo.size());
    for (const network_layer& l : layers_) {
      amax_ = amax_.cwiseMax(input_ranges(l, amax_.size()));
      outputs_.emplace_back();
      float_sums(l, l.weights, l.bias, input_codes{}, data.sample, outputs_.back(), executor);
    }
  }

  /// @param factors  factors(amax of x, amax of weights, exponent)
  template <class Factors>
  smoothing best(const std::vector<double>& exponents, const Factors& factors) {
    smoothing found;
    found.factors = Eigen::VectorXf::Ones(amax_.size());
    found.error_before = found.error = error_with(found.factors);
    for (const double exponent : exponents) {
      Eigen::VectorXf s = factors(data_.amax(), amax_, exponent);
      found.errors.push_back(error_with(s));
      if (!(found.errors.back() < found.error)) continue;
      found.factors = std::move(s);
      found.is_smoothed = true;
      found.exponent = exponent;
      found.error = found.errors.back();
    }
    return found;
  }

 private:
  double error_with(const Eigen::VectorXf& s) const {
    const input_codes codes = codes_of_smoothed<X>(data_, s);
    double error = 0.0, signal = 0.0;
    row_matrix<float> y;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      network_layer l = layers_[i];
      scale_inputs(l, s);
      l.input_factors = inverse_factors(l, s);
      const row_matrix<float> weights = dequantize(quantize<S>(l.weights));
      float_sums(l, weights, l.bias, codes, data_.sample, y, executor_);
      for (index j = 0; j < y.size(); ++j) {
        const double real = outputs_[i].data()[j], difference = real - y.data()[j];
        error += difference * difference;
        signal += real * real;
      }
    }
    return signal == 0.0 ? error : error / signal;
  }

  std::vector<network_layer> layers_;
  const smoothing_data& data_;
  const E& executor_;
  Eigen::VectorXf amax_;
  std::vector<row_matrix<float>> outputs_;
};

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
