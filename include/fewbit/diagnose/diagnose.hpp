#pragma once
/// Measures a quantized network layer by layer, finds its faults and says what to do.
///
///     simulation plan(layers);
///     plan.quantize_weights<int4_per_row>();
///     plan.quantize_inputs<int8_per_tensor>(seen);            // of observe_inputs
///     quantized_network network = as_planned(plan);
///     network.weights = measure_weights<int4_per_row>(layers);
///     network.calibrated = calibrated_inputs(seen);
///     const network_report report = diagnose(layers, forward, batches, network);
///     write_report("report.html", report);                    // io/report_file.hpp
///
/// Each batch passes twice. In float, each layer is also computed quantized on the same inputs,
/// which gives its own error. In the quantized network errors add up: the error that arrives at a
/// layer, and the error of its outputs with all errors before.
/// Memory: the inputs and outputs of all layers for one batch.
/// Read before: report.hpp, equalize/network.hpp. Read next: sensitivity.hpp, page.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/calib/histogram_observer.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/diagnose/errors.hpp"
#include "fewbit/diagnose/findings.hpp"
#include "fewbit/diagnose/input_figures.hpp"
#include "fewbit/diagnose/inspect.hpp"
#include "fewbit/diagnose/report.hpp"
#include "fewbit/diagnose/weights.hpp"
#include "fewbit/equalize/network.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// What calibration saw of the inputs of a layer.
struct calibrated_input {
  index calls = 0;
  range seen;  ///< of the numbers that codes stand for; not used if calls is 0
};

/// A quantized network as diagnose() sees it.
struct quantized_network {
  compute_function compute;                  ///< the quantized layers, simulated or in integers
  std::vector<weight_figures> weights;       ///< one for each layer, or none
  std::vector<input_codes> inputs;           ///< codes of the inputs of each layer, or none
  std::vector<calibrated_input> calibrated;  ///< one for each layer, or none
  /// Layers whose time is compared with float. They read the inputs of the float network; their
  /// outputs are ignored. Empty: no times.
  compute_function timed;
};

/// A network that computes as a simulation plans.
/// @param plan  must live as long as the result
[[nodiscard]] inline quantized_network as_planned(const simulation& plan) {
  quantized_network network;
  network.compute = plan.compute();
  for (index i = 0; i < plan.size(); ++i) network.inputs.push_back(plan[i].inputs);
  return network;
}
quantized_network as_planned(simulation&&) = delete;

/// What observers saw, for quantized_network::calibrated.
template <Observer O>
[[nodiscard]] std::vector<calibrated_input> calibrated_inputs(const observed_layers<O>& seen) {
  std::vector<calibrated_input> all(seen.observers.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].calls = seen.calls[i];
    if (seen.calls[i] > 0) all[i].seen = seen.observers[i].range();
  }
  return all;
}

namespace detail {

/// The time of a layer. The fastest batch counts, because other programs slow some batches down.
class layer_time {
 public:
  void start() { start_ = clock::now(); }
  void stop() { of_batch_ += std::chrono::duration<double>(clock::now() - start_).count(); }
  void end_batch(index rows) {
    if (of_batch_ > 0) per_row_ = std::min(per_row_, of_batch_ / static_cast<double>(rows));
    of_batch_ = 0;
  }
  /// Seconds of a pass over `rows` rows.
  [[nodiscard]] double of(std::uint64_t rows) const { return per_row_ * static_cast<double>(rows); }

 private:
  using clock = std::chrono::steady_clock;
  clock::time_point start_;
  double of_batch_ = 0;
  double per_row_ = std::numeric_limits<double>::max();
};

/// What is known of a layer while batches pass.
struct layer_sums {
  index calls = 0;
  std::uint64_t rows = 0;
  channel_errors own;
  channel_errors total;
  channel_errors arriving;
  input_figures inputs;
  layer_time in_float;
  layer_time timed;
};

/// The two passes over each batch.
template <Executor E>
class diagnosis {
 public:
  diagnosis(const layer_list& layers, const forward_function& forward,
            const quantized_network& network, network_report& report, const E& executor)
      : layers_(layers), forward_(forward), network_(network), report_(report) {
    for (const network_layer& l : layers) {
      layer_sums& s = sums_.emplace_back();
      s.own = channel_errors(l.channels());
      s.total = channel_errors(l.channels());
      s.arriving = channel_errors(l.input_channels());
      s.inputs = input_figures(l);
    }
    in_float_ = float_compute(layers, executor);
  }

  void add(const row_matrix<float>& inputs) {
    calls_.clear();
    is_broken_ = false;
    batch_rows_ = inputs.rows();
    forward_(inputs, [this](index layer, const row_matrix<float>& x, row_matrix<float>& y) {
      call_in_float(layer, x, y);
    });
    if (!is_broken_) {
      next_ = 0;
      forward_(inputs, [this](index layer, const row_matrix<float>& x, row_matrix<float>& y) {
        call_quantized(layer, x, y);
      });
      if (!is_broken_ && next_ != calls_.size()) {
        fail(function, "number of calls of the quantized network", next_, calls_.size());
      }
    }
    for (layer_sums& s : sums_) {
      s.in_float.end_batch(inputs.rows());
      s.timed.end_batch(inputs.rows());
    }
    rows_ += static_cast<std::uint64_t>(inputs.rows());
  }

  /// Writes the figures of all batches to the report.
  void finish() {
    report_.rows = rows_;
    for (index i = 0; i < layers_.size(); ++i) {
      const layer_sums& s = sums_[static_cast<std::size_t>(i)];
      layer_figures& f = report_.layers[static_cast<std::size_t>(i)];
      if (!s.own.is_empty()) {
        f.own_db = s.own.db();
        f.noisiest_row = s.own.noisiest();
        f.constant_error = s.own.constant_share();
      }
      if (!s.total.is_empty()) {
        f.output_db = s.total.db();
        f.arriving_db = s.arriving.db();
      }
      s.inputs.write(codes_of_layer(i), f);
      if (network_.timed && s.calls > 0) {
        f.float_seconds = s.in_float.of(rows_);
        f.quantized_seconds = s.timed.of(rows_);
      }
      find_faults(i, s);
    }
  }

 private:
  static constexpr const char* function = "diagnose";
  enum class layer_side : std::uint8_t { inputs, outputs };

  struct call {
    index layer;
    row_matrix<float> x;
    row_matrix<float> y;
  };

  [[nodiscard]] const input_codes* codes_of_layer(index i) const {
    return network_.inputs.empty() ? nullptr : &network_.inputs[static_cast<std::size_t>(i)];
  }

  void call_in_float(index layer, const row_matrix<float>& x, row_matrix<float>& y) {
    expect_layer_index(function, layer, layers_.size());
    layer_sums& s = sums_[static_cast<std::size_t>(layer)];
    s.in_float.start();
    in_float_(layer, x, y);
    s.in_float.stop();
    if (is_broken_ || !expect_sound(layer, x, layer_side::inputs, false)) return;
    s.calls += 1;
    s.rows += static_cast<std::uint64_t>(x.rows());
    s.inputs.add(x, codes_of_layer(layer));
    row_matrix<float> y_hat;
    network_.compute(layer, x, y_hat);
    expect_outputs(layer, y, y_hat);
    if (!expect_sound(layer, y, layer_side::outputs, false)) return;
    if (is_sound(layer, y_hat, layer_side::outputs, true)) s.own.add(y, y_hat);
    if (network_.timed) {
      row_matrix<float> ignored;
      s.timed.start();
      network_.timed(layer, x, ignored);
      s.timed.stop();
    }
    calls_.push_back({layer, x, y});
  }

  void call_quantized(index layer, const row_matrix<float>& x, row_matrix<float>& y) {
    expect_layer_index(function, layer, layers_.size());
    const bool is_expected = next_ < calls_.size() && calls_[next_].layer == layer;
    if (!is_broken_ && !is_expected) {
      fail(function, "call " + text(next_) + " of the quantized network",
           "of layer '" + layers_[layer].name + "'",
           next_ < calls_.size()
               ? "of layer '" + layers_[calls_[next_].layer].name + "', as in float"
               : std::string("the end, as in float"));
    }
    network_.compute(layer, x, y);
    if (is_broken_ || !expect_sound(layer, x, layer_side::inputs, true)) return;
    const call& in_float = calls_[next_++];
    expect_outputs(layer, in_float.y, y);
    layer_sums& s = sums_[static_cast<std::size_t>(layer)];
    s.arriving.add(in_float.x, x);
    s.inputs.count_saturated(x, codes_of_layer(layer));
    if (is_sound(layer, y, layer_side::outputs, true)) s.total.add(in_float.y, y);
  }

  /// Whether all numbers are finite. Only the first such finding is kept: others follow from it.
  [[nodiscard]] bool is_sound(index layer, const row_matrix<float>& m, layer_side side,
                              bool is_quantized) {
    const matrix_position at = first_not_finite(m);
    if (at.is_none()) return true;
    const bool is_new =
        std::none_of(report_.findings.begin(), report_.findings.end(), [](const finding& f) {
          return f.kind == fault::inputs_not_finite || f.kind == fault::outputs_not_finite;
        });
    if (!is_new) return false;
    const network_layer& l = layers_[layer];
    const index row = at.row + (m.rows() == batch_rows_ ? static_cast<index>(rows_) : 0);
    const float value = m(at.row, at.col);
    report_.findings.push_back(
        side == layer_side::inputs
            ? inputs_not_finite(layer, row, at.col % l.input_channels(), value, is_quantized)
            : outputs_not_finite(layer, row, at.col % l.channels(), value, is_quantized));
    return false;
  }

  /// The same. The rest of a batch that is not sound is left out, because everything that follows
  /// has such numbers, too.
  [[nodiscard]] bool expect_sound(index layer, const row_matrix<float>& m, layer_side side,
                                  bool is_quantized) {
    is_broken_ = !is_sound(layer, m, side, is_quantized);
    return !is_broken_;
  }

  void expect_outputs(index layer, const row_matrix<float>& y,
                      const row_matrix<float>& y_hat) const {
    if (y.rows() == y_hat.rows() && y.cols() == y_hat.cols()) return;
    fail(function, of_layer("outputs of the quantized network", layers_[layer].name),
         shape_text(y_hat.rows(), y_hat.cols()), shape_text(y.rows(), y.cols()));
  }

  void find_faults(index i, const layer_sums& s) {
    if (!network_.calibrated.empty()) {
      const calibrated_input& c = network_.calibrated[static_cast<std::size_t>(i)];
      if (c.calls == 0 || c.seen.amax() == 0.0F) {
        report_.findings.push_back(not_excited(i, c.calls));
      }
    }
    if (s.calls == 0) {
      if (network_.calibrated.empty() && rows_ > 0 && !is_broken_)
        report_.findings.push_back(never_called(i));
      return;
    }
    const dead_inputs dead = s.inputs.dead(layers_[i]);
    if (dead.count > 0) {
      report_.findings.push_back(
          dead_input(i, dead.first, dead.count, layers_[i].input_channels(), s.rows));
    }
  }

  const layer_list& layers_;
  const forward_function& forward_;
  const quantized_network& network_;
  network_report& report_;
  compute_function in_float_;
  std::vector<layer_sums> sums_;
  std::vector<call> calls_;  // of the float network on this batch
  std::size_t next_ = 0;
  bool is_broken_ = false;
  index batch_rows_ = 0;
  std::uint64_t rows_ = 0;
};

inline void expect_one_per_layer(const char* argument, std::size_t got, index layers) {
  if (got == 0 || static_cast<index>(got) == layers) return;
  fail("diagnose", argument, static_cast<index>(got), text(layers) + ", one for each layer, or 0");
}

}  // namespace detail

/// Measures `network` on all batches, and ranks what it finds.
///
/// A batch may hold a NaN, or a layer may make one: the report then names the first layer that
/// reads or writes one, and the rest of the batch is left out of the figures.
///
/// @param progress  called before each batch; the report is marked as cancelled if it returns false
/// @param executor  runs the float layers. The report does not depend on it, except for times
/// @throws fewbit::error if there is no batch, if network.compute is empty, if a list of `network`
///         has another length than `layers`, or if the quantized network calls other layers than
///         the float network
template <Executor E = inline_executor>
[[nodiscard]] network_report diagnose(const layer_list& layers, const forward_function& forward,
                                      const input_batches& batches,
                                      const quantized_network& network,
                                      const progress_function& progress = {},
                                      const E& executor = {}) {
  constexpr const char* function = "diagnose";
  detail::expect(static_cast<bool>(forward), function, "forward", "empty", "a callable");
  detail::expect(static_cast<bool>(network.compute), function, "network.compute", "empty",
                 "a callable");
  detail::expect(batches.count() >= 1, function, "number of batches", batches.count(),
                 "at least 1");
  detail::expect_one_per_layer("number of network.weights", network.weights.size(), layers.size());
  detail::expect_one_per_layer("number of network.inputs", network.inputs.size(), layers.size());
  detail::expect_one_per_layer("number of network.calibrated", network.calibrated.size(),
                               layers.size());
  network_report report = detail::inspected({layers.begin(), layers.end()}, network.weights);
  detail::diagnosis<E> pass(layers, forward, network, report, executor);
  for (index i = 0; i < batches.count(); ++i) {
    report.cancelled = !detail::may_continue(progress, {function, i, batches.count()});
    if (report.cancelled) break;
    const row_matrix<float> batch = batches[i];
    detail::expect_extents(function, ("batch " + detail::text(i)).c_str(), batch);
    pass.add(batch);
  }
  pass.finish();
  rank(report);
  return report;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
