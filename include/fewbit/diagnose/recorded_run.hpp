#pragma once
/// Two runs of a network compared call by call: where does the second go wrong first?
///
///     const recorded_run a = record_run(layers, forward, inputs, float_compute(layers));
///     const recorded_run b = record_run(layers, forward, inputs, integers);
///     const run_comparison c = compare_runs(a, b);
///     if (c.first_wrong >= 0) print(c.sentence());
///
/// A run is a list of calls with their outputs, so the run of another program, read from its files,
/// is filled by hand. Memory: the outputs of all calls.
/// Read before: equalize/network/compute.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/diagnose/errors.hpp"
#include "fewbit/diagnose/page/numbers.hpp"
#include "fewbit/equalize/network/compute.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The outputs of one call of a layer.
struct recorded_call {
  std::string layer;
  row_matrix<float> outputs;
};

/// The calls of a network, in their order.
using recorded_run = std::vector<recorded_call>;

/// Runs forward once and keeps the outputs of all calls.
/// @throws fewbit::error if the forward calls no layer
[[nodiscard]] inline recorded_run record_run(const layer_list& layers,
                                             const forward_function& forward,
                                             const row_matrix<float>& inputs,
                                             const compute_function& compute) {
  recorded_run run;
  forward(inputs, [&](index layer, const row_matrix<float>& x, row_matrix<float>& y) {
    detail::expect_layer_index("record_run", layer, layers.size());
    compute(layer, x, y);
    run.push_back({layers[layer].name, y});
  });
  detail::expect(!run.empty(), "record_run", "number of calls", 0, "at least 1");
  return run;
}

/// How a call differs.
struct call_difference {
  std::string layer;
  double sqnr_db = 0;    ///< of all outputs; -infinity if one is NaN or infinite in one run only
  double max_error = 0;  ///< the largest |y - y_hat|
  index row = -1;        ///< where it is; -1 if all outputs are equal
  index col = -1;
};

/// What compare_runs() returns.
struct run_comparison {
  std::vector<call_difference> calls;
  index first_wrong = -1;  ///< the first call whose SQNR is below the limit; -1 if there is none
  double least_db = 0;     ///< the limit

  /// "layer 'conv2' (call 1) goes wrong first: 3.1 dB, the largest error is 2.50 in row 3, column
  /// 17"
  [[nodiscard]] std::string sentence() const {
    if (first_wrong < 0) {
      return "no call is below " + detail::fixed_text(least_db, 1) + " dB";
    }
    const call_difference& c = calls[static_cast<std::size_t>(first_wrong)];
    return "layer '" + c.layer + "' (call " + std::to_string(first_wrong) +
           ") goes wrong first: " + detail::fixed_text(c.sqnr_db, 1) +
           " dB, the largest error is " + detail::short_text(c.max_error) + " in row " +
           std::to_string(c.row) + ", column " + std::to_string(c.col);
  }
};

namespace detail {

/// Numbers that are not finite are equal if they are the same infinity, or both NaN.
[[nodiscard]] inline call_difference difference_of(const recorded_call& a, const recorded_call& b) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  call_difference d;
  d.layer = a.layer;
  double signal = 0;
  double noise = 0;
  for (index r = 0; r < a.outputs.rows(); ++r) {
    for (index c = 0; c < a.outputs.cols(); ++c) {
      const float y = a.outputs(r, c);
      const float y_hat = b.outputs(r, c);
      const bool both_finite = is_finite(y) && is_finite(y_hat);
      const bool same = y == y_hat || (y != y && y_hat != y_hat);
      const double error = same ? 0 : both_finite ? std::abs(double{y_hat} - double{y}) : infinity;
      if (is_finite(y)) signal += double{y} * double{y};
      noise += arch::rounded(error * error);
      if (!(error > d.max_error)) continue;
      d.max_error = error;
      d.row = r;
      d.col = c;
    }
  }
  d.sqnr_db = std::isinf(noise) ? -infinity : decibels_of(signal, noise);
  return d;
}

inline void expect_same_calls(const recorded_run& reference, const recorded_run& other) {
  constexpr const char* function = "compare_runs";
  expect(!reference.empty(), function, "number of calls of reference", 0, "at least 1");
  expect(!other.empty(), function, "number of calls of other", 0, "at least 1");
  const std::size_t both = std::min(reference.size(), other.size());
  for (std::size_t i = 0; i < both; ++i) {
    const recorded_call& a = reference[i];
    const recorded_call& b = other[i];
    const std::string call = "call " + text(i) + " of other";
    if (a.layer != b.layer) {
      fail(function, call, "of layer '" + b.layer + "'", "of layer '" + a.layer + "'");
    }
    if (a.outputs.rows() == b.outputs.rows() && a.outputs.cols() == b.outputs.cols()) continue;
    fail(function, of_layer("outputs of " + call, a.layer),
         shape_text(b.outputs.rows(), b.outputs.cols()),
         shape_text(a.outputs.rows(), a.outputs.cols()));
  }
  expect_equal(function, "number of calls of other", other.size(), reference.size());
}

}  // namespace detail

/// The differences of `other` from `reference`, call by call.
///
/// @param least_db  a call whose SQNR is below it is wrong; 20 dB are an error of 10 %
/// @throws fewbit::error if a run is empty, if they call different layers, or if outputs have
///         different shapes; the sentence has the call and the layer
[[nodiscard]] inline run_comparison compare_runs(const recorded_run& reference,
                                                 const recorded_run& other, double least_db = 20) {
  detail::expect(std::isfinite(least_db), "compare_runs", "least_db", least_db, "a finite number");
  detail::expect_same_calls(reference, other);
  run_comparison result;
  result.least_db = least_db;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    result.calls.push_back(detail::difference_of(reference[i], other[i]));
    const bool is_wrong = result.calls.back().sqnr_db < least_db;
    if (is_wrong && result.first_wrong < 0) result.first_wrong = static_cast<index>(i);
  }
  return result;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
