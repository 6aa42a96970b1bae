#pragma once
/// The steps of quantize_within, one after the other. Private to it.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/calib/entropy.hpp"
#include "fewbit/calib/histogram_observer.hpp"
#include "fewbit/calib/mse.hpp"
#include "fewbit/calib/percentile.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/diagnose/sensitivity.hpp"
#include "fewbit/equalize/adaround_pass.hpp"
#include "fewbit/equalize/bias_from_data.hpp"
#include "fewbit/equalize/cross_layer.hpp"
#include "fewbit/equalize/gptq_pass.hpp"
#include "fewbit/equalize/network.hpp"
#include "fewbit/equalize/smooth.hpp"
#include "fewbit/search/ladder/state.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

template <IntegerScheme S, IntegerScheme X, Executor E>
class ladder {
  static constexpr const char* function = "quantize_within";
  using state = ladder_state<S>;
  using observed = observed_layers<histogram_observer>;
  struct calibrator {
    const char* name;
    std::function<void(simulation&, const observed&)> apply;
  };

 public:
  ladder(const layer_list& layers, const forward_function& forward,
         const input_batches& calibration, const metric_function& metric, double allowed_loss,
         const within_options& options, const progress_function& progress, const E& executor)
      : forward_(forward),
        calibration_(calibration),
        metric_(metric),
        allowed_loss_(allowed_loss),
        options_(options),
        progress_(progress),
        executor_(executor),
        best_(layers) {
    expect(layers.size() >= 1, function, "number of layers", layers.size(), "at least 1");
    expect(static_cast<bool>(forward), function, "forward", "empty", "a callable");
    expect(static_cast<bool>(metric), function, "metric", "empty", "a callable");
    expect(allowed_loss >= 0 && allowed_loss <= std::numeric_limits<double>::max(), function,
           "allowed_loss", allowed_loss, "a finite number, at least 0");
    expect_batches(function, calibration);
    (void)place_all(function, layers, options.links);
    (void)place_all(function, layers, options.groups);
    float_metric_ = finite_metric(function, "metric with all layers in float", metric_,
                                  float_compute(*best_.layers, executor_));
  }

  void climb() {
    calibrate_from_float();
    if (options_.correct_biases) {
      attempt("bias correction", [this](state& s) { return correct_biases(s); });
    }
    if (!options_.links.empty()) {
      attempt("equalization", [this](state& s) { return equalize(s); });
    }
    if (!options_.groups.empty()) attempt("smoothing", [this](state& s) { return smooth(s); });
    if constexpr (is_within_row<typename S::granularity>) {
      if (options_.gptq) {
        attempt("GPTQ", [this](state& s) { return compensate(s, false); });
        attempt("GPTQ, columns by activation", [this](state& s) { return compensate(s, true); });
      }
      if constexpr (AdaroundScheme<S>) {
        if (options_.adaround) attempt("AdaRound", [this](state& s) { return search_rounding(s); });
      }
      if (options_.correct_biases && !best_.has_corrected_biases) {
        attempt("bias correction again", [this](state& s) { return correct_biases(s); });
      }
    }
    if (options_.mixed_precision && !is_met() && !cancelled_) raise_precision();
  }

  [[nodiscard]] state& best() noexcept { return best_; }
  [[nodiscard]] const std::vector<ladder_step>& steps() const noexcept { return steps_; }
  [[nodiscard]] double float_metric() const noexcept { return float_metric_; }
  [[nodiscard]] bool is_cancelled() const noexcept { return cancelled_; }
  [[nodiscard]] bool is_met() const noexcept {
    return !steps_.empty() && best_.metric >= float_metric_ - allowed_loss_;
  }

 private:
  /// The methods that choose ranges of inputs, the cheapest first.
  static std::vector<calibrator> calibrators() {
    const auto by = [](const auto& method) {
      return [method](simulation& plan, const observed& seen) {
        plan.quantize_inputs<X>(seen, method, X::is_affine ? clip::affine : clip::symmetric);
      };
    };
    return {{"max", [](simulation& plan, const observed& seen) { plan.quantize_inputs<X>(seen); }},
            {"percentile 99.99", by(by_percentile{99.99})},
            {"percentile 99.999", by(by_percentile{99.999})},
            {"percentile 99.9", by(by_percentile{99.9})},
            {"entropy", by(by_entropy{})},
            {"mse", by(by_mse{})}};
  }

  /// Weights rounded to nearest, and the ranges of inputs that give the best metric.
  void calibrate_from_float() {
    state rounded = best_;
    round_weights(rounded);
    if (options_.inputs != ladder_inputs::calibrated) {
      attempt("rounding", [&](state& s) {
        s = rounded;
        return set_inputs(s);
      });
      return;
    }
    const observed seen = observe(rounded);
    if (cancelled_) return;
    const std::vector<calibrator> methods = calibrators();
    for (std::size_t i = 0; i < methods.size(); ++i) {
      attempt(methods[i].name, [&](state& s) {
        s = rounded;
        s.calibrator = i;
        methods[i].apply(s.plan, seen);
        return true;
      });
    }
  }

  /// Histograms of the inputs of all layers. Their full ranges become those of the state.
  observed observe(state& s) {
    observed seen = observe_inputs<histogram_observer>(*s.layers, forward_, calibration_,
                                                       histogram_observer{}, progress_, executor_);
    cancelled_ = cancelled_ || seen.cancelled;
    s.ranges.clear();
    for (std::size_t i = 0; i < seen.observers.size() && !seen.cancelled; ++i)
      s.ranges.push_back(seen.calls[i] == 0 ? range{} : seen.observers[i].range());
    return seen;
  }

  /// The inputs of a ladder without calibrated ranges.
  bool set_inputs(state& s) const {
    if (options_.inputs == ladder_inputs::by_row) {
      for (index i = 0; i < s.plan.size(); ++i) s.plan[i].inputs = codes_by_row<int8>();
    }
    return true;
  }

  bool correct_biases(state& s) const {
    s.has_corrected_biases = true;
    return !correct_biases_by_data(s.plan, forward_, calibration_, progress_, executor_).cancelled;
  }

  bool equalize(state& s) {
    layer_list changed = *s.layers;
    equalize_layers(changed, options_.links);
    return start_again(s, std::move(changed));
  }

  bool smooth(state& s) {
    layer_list changed = *s.layers;
    smoothing_options how;
    how.progress = progress_;
    const auto report =
        smooth_layers<S, X>(changed, forward_, calibration_, options_.groups, how, executor_);
    return !report.cancelled && start_again(s, std::move(changed));
  }

  /// Rounds changed layers and repeats the steps that were kept.
  bool start_again(state& s, layer_list changed) {
    s.layers = std::make_shared<const layer_list>(std::move(changed));
    s.plan = simulation(*s.layers);
    round_weights(s);
    if (options_.inputs == ladder_inputs::calibrated) {
      const observed seen = observe(s);
      if (cancelled_) return false;
      calibrators()[s.calibrator].apply(s.plan, seen);
    } else {
      set_inputs(s);
    }
    return !s.has_corrected_biases || correct_biases(s);
  }

  /// Takes the codes that a pass found.
  template <class Report>
  bool take_codes(state& s, Report done) const {
    if (done.cancelled) return false;
    for (auto& l : done.layers) {
      s.plan[l.layer].weights = dequantize(l.weights, executor_);
      s.plan[l.layer].has_bias = false;
      s.codes[static_cast<std::size_t>(l.layer)] = std::move(l.weights);
    }
    return !s.has_corrected_biases || correct_biases(s);
  }

  /// New codes by GPTQ for all layers.
  bool compensate(state& s, bool by_activation)
    requires is_within_row<typename S::granularity>
  {
    gptq_options<S> options;
    options.activation_order = by_activation;
    simulation plan = with_float_weights(s);
    return take_codes(s, gptq_pass<S>(plan, forward_, calibration_, options, progress_, executor_));
  }

  /// New codes by AdaRound for all layers.
  bool search_rounding(state& s)
    requires is_within_row<typename S::granularity>
  {
    simulation plan = with_float_weights(s);
    return take_codes(s, adaround_pass<S>(plan, forward_, calibration_, s.codes, options_.rounding,
                                          progress_, executor_));
  }

  /// Gives the most sensitive layers int8 weights if S has fewer bits, then inputs of 16 bits, and
  /// then leaves them in float, until the metric is within the loss.
  void raise_precision() {
    const layer_sensitivity cost =
        measure_sensitivity(*best_.layers, metric_, best_.plan.compute(), progress_, executor_);
    cancelled_ = cancelled_ || cost.measured < best_.plan.size();
    std::vector<index> order(best_.codes.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<index>(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](index a, index b) { return cost.loss(a) > cost.loss(b); });
    if (S::storage::bits < 8) raise_in_order(order, layer_precision::int8_weights, "' in int8");
    if (options_.inputs != ladder_inputs::as_float)
      raise_in_order(order, layer_precision::int16_inputs, "' with inputs of 16 bits");
    raise_in_order(order, layer_precision::in_float, "' in float");
  }

  void raise_in_order(const std::vector<index>& order, layer_precision to, const char* how) {
    for (const index layer : order) {
      if (is_met() || cancelled_) return;
      attempt(
          "layer '" + (*best_.layers)[layer].name + how,
          [&](state& s) {
            raise_layer(s, layer, to, options_.inputs);
            return true;
          },
          true);
    }
  }

  /// Changes a copy of the best state and keeps it if its metric is better.
  /// @param change   change(state) returns false if it was cancelled
  /// @param is_sure  keeps it in any case
  template <class Change>
  void attempt(const std::string& what, const Change& change, bool is_sure = false) {
    if (cancelled_ || (options_.stops_when_met && is_met())) return;
    const auto done = static_cast<index>(steps_.size());
    const auto start = std::chrono::steady_clock::now();
    state tried = best_;
    if (!may_continue(progress_, {what.c_str(), done, 0}) || !change(tried)) {
      cancelled_ = true;
      return;
    }
    tried.metric =
        finite_metric(function, "metric with " + what, metric_, tried.plan.compute(executor_));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const double before = steps_.empty() ? float_metric_ : best_.metric;
    const bool is_kept = is_sure || steps_.empty() || tried.metric > best_.metric;
    steps_.push_back({what, tried.metric, tried.metric - before, seconds.count(), is_kept});
    if (is_kept) best_ = std::move(tried);
  }

  const forward_function& forward_;
  const input_batches& calibration_;
  const metric_function& metric_;
  double allowed_loss_;
  const within_options& options_;
  const progress_function& progress_;
  const E& executor_;
  state best_;
  std::vector<ladder_step> steps_;
  double float_metric_ = 0;
  bool cancelled_ = false;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
