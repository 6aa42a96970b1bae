#pragma once
/// Layers with quantized weights and inputs, simulated in float.
///
///     simulation plan(layers);                                  // all in float
///     plan.quantize_weights<int8_per_row>();                    // all layers
///     plan[head].weights = fake_quantize<int4_grouped<32>>(layers[head].weights);
///     plan.quantize_inputs<int8_per_tensor>(seen, by_max{});    // observed ranges
///     const double accuracy = metric(plan.compute());
///
/// Products of codes and scales are computed in float, so the results are those of integer layers
/// up to the rounding of floats. Read before: observe.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <vector>

#include "fewbit/equalize/network/observe.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A layer in a simulation.
struct simulated_layer {
  row_matrix<float> weights;  ///< those that codes stand for; empty: the weights of the layer
  Eigen::VectorXf bias;       ///< used if has_bias; otherwise the bias of the layer is used
  bool has_bias = false;
  input_codes inputs{};
};

namespace detail {

/// Fails unless the weights and the bias of a plan have the shapes of those of the layer.
inline void expect_planned_shapes(const char* function, const network_layer& l,
                                  const row_matrix<float>& weights, const Eigen::VectorXf& bias) {
  if (weights.rows() != l.weights.rows() || weights.cols() != l.weights.cols()) {
    fail(function, of_layer("weights", l.name), shape_text(weights.rows(), weights.cols()),
         shape_text(l.weights.rows(), l.weights.cols()));
  }
  if (bias.size() != 0 && bias.size() != l.channels())
    fail(function, of_layer("length of bias", l.name), bias.size(), l.channels());
}

}  // namespace detail

/// How each layer of a list is simulated.
class simulation {
 public:
  /// All layers in float.
  /// @param layers  must live as long as the simulation and its compute functions
  explicit simulation(const layer_list& layers)
      : layers_(&layers), plan_(static_cast<std::size_t>(layers.size())) {}
  explicit simulation(layer_list&&) = delete;

  [[nodiscard]] const layer_list& layers() const noexcept { return *layers_; }
  [[nodiscard]] index size() const noexcept { return static_cast<index>(plan_.size()); }
  [[nodiscard]] simulated_layer& operator[](index i) noexcept {
    return plan_[static_cast<std::size_t>(i)];
  }
  [[nodiscard]] const simulated_layer& operator[](index i) const noexcept {
    return plan_[static_cast<std::size_t>(i)];
  }
  /// The weights that a layer is computed with.
  [[nodiscard]] const row_matrix<float>& weights(index i) const noexcept {
    return (*this)[i].weights.size() != 0 ? (*this)[i].weights : layers()[i].weights;
  }
  /// The bias that a layer is computed with; may be empty.
  [[nodiscard]] const Eigen::VectorXf& bias(index i) const noexcept {
    return (*this)[i].has_bias ? (*this)[i].bias : layers()[i].bias;
  }

  /// Quantizes the weights of one layer, or of all, under scheme S.
  template <Scheme S, class Rule = default_rule<S>>
  void quantize_weights(index i) {
    (*this)[i].weights = dequantize(quantize<S, Rule>(layers()[i].weights));
  }
  template <Scheme S, class Rule = default_rule<S>>
  void quantize_weights() {
    for (index i = 0; i < size(); ++i) quantize_weights<S, Rule>(i);
  }

  /// Quantizes the inputs of all layers under scheme S by observed ranges. The arguments are passed
  /// to the range() of each observer.
  /// @throws fewbit::error if a layer was not called; the sentence has the layer
  template <IntegerScheme S, class O, class... Arguments>
  void quantize_inputs(const observed_layers<O>& seen, const Arguments&... arguments) {
    constexpr const char* function = "simulation::quantize_inputs";
    detail::expect_equal(function, "number of observers", static_cast<index>(seen.observers.size()),
                         size());
    std::vector<input_codes> chosen;
    for (index i = 0; i < size(); ++i) {
      const network_layer& l = layers()[i];
      if (seen.calls[static_cast<std::size_t>(i)] == 0) {
        detail::fail(function, detail::of_layer("number of calls", l.name), 0, "at least 1");
      }
      chosen.push_back(
          codes_of<S>(seen.observers[static_cast<std::size_t>(i)].range(arguments...)));
    }
    for (index i = 0; i < size(); ++i) (*this)[i].inputs = chosen[static_cast<std::size_t>(i)];
  }

  /// Computes the layers as the plan says. Later changes of the plan have effect, too.
  ///
  /// The function throws fewbit::error if x, or weights or bias of the plan, do not fit the layer,
  /// or if y is x.
  template <Executor E = inline_executor>
  [[nodiscard]] compute_function compute(const E& executor = {}) const& {
    return [this, executor](index layer, const row_matrix<float>& x, row_matrix<float>& y) {
      constexpr const char* function = "simulation::compute";
      detail::expect_layer_index(function, layer, size());
      const network_layer& l = layers()[layer];
      detail::expect_layer_call(function, l, x, y);
      detail::expect_planned_shapes(function, l, weights(layer), bias(layer));
      detail::product_in_float(l, weights(layer), bias(layer), (*this)[layer].inputs, x, y,
                               executor);
    };
  }
  template <Executor E = inline_executor>
  compute_function compute(const E& executor = {}) const&& = delete;

 private:
  const layer_list* layers_;
  std::vector<simulated_layer> plan_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
