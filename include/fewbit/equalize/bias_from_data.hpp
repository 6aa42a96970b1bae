#pragma once
/// Corrects the biases of a simulation by calibration data.
///
///     simulation plan(layers);
///     plan.quantize_weights<int4_per_row>();
///     correct_biases_by_data(plan, forward, batches);
///
/// The mean of each output channel before the activation is compared in float and in the
/// simulation, and the difference is subtracted from the bias. Layers are corrected in the order of
/// their calls, each with all earlier ones corrected.
///
/// Cost: one run of forward in float and one in the simulation for each layer. If there is one
/// batch and each layer is called once, a single run corrects all layers. Memory: some 30 bytes for
/// each output channel.
///
/// Source: Nagel et al. 2019, arXiv:1906.04721, section 4.2 and appendix D (empirical correction).
/// Read before: bias_correction.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "fewbit/equalize/network/simulate.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// What correct_biases_by_data did.
struct bias_report {
  std::vector<Eigen::VectorXf> shifts;  ///< subtracted from each bias; empty: layer not called
  index runs = 0;                       ///< of forward over all batches, also those in float
  bool cancelled = false;               ///< no bias was changed
};

namespace detail {

/// The mean of each output channel, in double.
class channel_means {
 public:
  void add(const row_matrix<float>& y, index channels) {
    if (sums_.size() == 0) sums_.setZero(channels);
    const Eigen::Map<const row_matrix<float>> pixels(y.data(), y.size() / channels, channels);
    for (index p = 0; p < pixels.rows(); ++p) sums_ += pixels.row(p).transpose().cast<double>();
    count_ += pixels.rows();
  }
  [[nodiscard]] bool is_empty() const noexcept { return count_ == 0; }
  [[nodiscard]] Eigen::VectorXd means() const { return sums_ / static_cast<double>(count_); }

 private:
  Eigen::VectorXd sums_;
  index count_ = 0;
};

/// The passes of correct_biases_by_data.
template <Executor E>
class bias_corrector {
 public:
  bias_corrector(const char* function, const simulation& plan, const forward_function& forward,
                 const input_batches& batches, const progress_function& progress, const E& executor)
      : function_(function),
        plan_(plan),
        forward_(forward),
        batches_(batches),
        progress_(progress),
        executor_(executor),
        real_(static_cast<std::size_t>(plan.size())),
        calls_(real_.size(), 0) {
    for (index i = 0; i < plan.size(); ++i) {
      biases.push_back(plan.bias(i));
      if (biases.back().size() == 0) biases.back().setZero(plan.layers()[i].channels());
    }
    report.shifts.resize(real_.size());
  }

  /// Corrects all layers that are called; false if cancelled.
  bool run() {
    if (!run_in_float()) return false;
    const bool once = batches_.count() == 1 &&
                      std::all_of(calls_.begin(), calls_.end(), [](index n) { return n <= 1; });
    total_ = batches_.count() * (1 + (once ? 1 : static_cast<index>(order_.size())));
    if (once) return run_corrected([this](index layer, auto& y) { correct_in_place(layer, y); });
    for (const index target : order_) {
      channel_means means;
      const auto watch = [&](index layer, const row_matrix<float>& y) {
        if (layer == target) means.add(y, channels(layer));
      };
      if (!run_corrected(watch)) return false;
      if (!means.is_empty()) shift(target, means);
    }
    return true;
  }

  std::vector<Eigen::VectorXf> biases;
  bias_report report;

 private:
  [[nodiscard]] index channels(index layer) const { return plan_.layers()[layer].channels(); }

  /// Records the mean outputs of each layer in float, and the order of the calls.
  bool run_in_float() {
    const compute_function compute = [this](index layer, const row_matrix<float>& x,
                                            row_matrix<float>& y) {
      expect_layer_index(function_, layer, plan_.size());
      const network_layer& l = plan_.layers()[layer];
      expect_layer_call(function_, l, x, y);
      expect_finite_in_layer(function_, l.name, "x", x);
      float_sums(l, l.weights, l.bias, input_codes{}, x, y, executor_);
      expect_finite_in_layer(function_, l.name, "y", y);
      if (calls_[static_cast<std::size_t>(layer)]++ == 0) order_.push_back(layer);
      real_[static_cast<std::size_t>(layer)].add(y, l.channels());
      activate_pixels(l, y.data(), y.size() / l.channels());
    };
    return run_all(compute);
  }

  /// Runs the simulation with the biases so far. Calls watch(layer, y) before the activation.
  template <class Watch>
  bool run_corrected(const Watch& watch) {
    const compute_function compute = [&](index layer, const row_matrix<float>& x,
                                         row_matrix<float>& y) {
      expect_layer_index(function_, layer, plan_.size());
      const network_layer& l = plan_.layers()[layer];
      const Eigen::VectorXf& bias = biases[static_cast<std::size_t>(layer)];
      expect_layer_call(function_, l, x, y);
      expect_planned_shapes(function_, l, plan_.weights(layer), bias);
      float_sums(l, plan_.weights(layer), bias, plan_[layer].inputs, x, y, executor_);
      expect_finite_in_layer(function_, l.name, "y", y);
      watch(layer, y);
      activate_pixels(l, y.data(), y.size() / l.channels());
    };
    return run_all(compute);
  }

  bool run_all(const compute_function& compute) {
    const pass_step step{function_, report.runs * batches_.count(), total_};
    if (!run_batches(forward_, compute, batches_, progress_, step)) return false;
    ++report.runs;
    return true;
  }

  void shift(index layer, const channel_means& means) {
    const auto i = static_cast<std::size_t>(layer);
    report.shifts[i] = (means.means() - real_[i].means()).template cast<float>();
    biases[i] -= report.shifts[i];
  }

  void correct_in_place(index layer, row_matrix<float>& y) {
    channel_means means;
    means.add(y, channels(layer));
    shift(layer, means);
    Eigen::Map<row_matrix<float>>(y.data(), y.size() / channels(layer), channels(layer))
        .rowwise() -= report.shifts[static_cast<std::size_t>(layer)].transpose();
  }

  const char* function_;
  const simulation& plan_;
  const forward_function& forward_;
  const input_batches& batches_;
  const progress_function& progress_;
  const E& executor_;
  std::vector<channel_means> real_;
  std::vector<index> calls_;
  std::vector<index> order_;
  index total_ = 0;
};

}  // namespace detail

/// Corrects the biases of all layers that forward calls.
///
/// @param progress  its total is 0 during the first run, when the number of runs is not known
/// @param executor  runs the layers
/// @throws fewbit::error if there is no batch, if a batch is empty, if weights or bias of the
///         simulation do not fit their layer, or if a number is not finite; the sentence has the
///         layer. The simulation is then unchanged.
template <Executor E = inline_executor>
bias_report correct_biases_by_data(simulation& plan, const forward_function& forward,
                                   const input_batches& batches,
                                   const progress_function& progress = {}, const E& executor = {}) {
  detail::bias_corrector<E> corrector("correct_biases_by_data", plan, forward, batches, progress,
                                      executor);
  corrector.report.cancelled = !corrector.run();
  if (corrector.report.cancelled) return std::move(corrector.report);
  for (index i = 0; i < plan.size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (corrector.report.shifts[at].size() == 0) continue;
    plan[i].bias = std::move(corrector.biases[at]);
    plan[i].has_bias = true;
  }
  return std::move(corrector.report);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
