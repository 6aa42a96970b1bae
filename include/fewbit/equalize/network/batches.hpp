#pragma once
/// Calibration inputs, and the progress of long work.
///
///     input_batches all = {images_in_rows};                          // some matrices
///     input_batches some(8, [&](index i) { return read_batch(i); }); // one at a time
///
/// Read before: compute.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <utility>
#include <vector>

#include "fewbit/core/error.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/equalize/network/compute.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Inputs of a network, a batch at a time, so that only one batch need be in memory. Passes read
/// the batches several times and expect the same numbers each time.
class input_batches {
 public:
  /// No batches. Passes refuse them.
  input_batches() = default;
  /// @param batch  batch(i) returns batch i of 0 .. count - 1
  /// @throws fewbit::error if `batch` is empty although there are batches
  input_batches(index count, std::function<row_matrix<float>(index)> batch)
      : count_(count), batch_(std::move(batch)) {
    detail::expect(count < 1 || static_cast<bool>(batch_), "input_batches", "batch", "empty",
                   "a callable");
  }
  /// Batches in memory.
  input_batches(std::vector<row_matrix<float>> batches)  // NOLINT: the same, in memory
      : count_(static_cast<index>(batches.size())),
        batch_([kept = std::move(batches)](index i) { return kept[static_cast<std::size_t>(i)]; }) {
  }
  input_batches(std::initializer_list<row_matrix<float>> batches)
      : input_batches(std::vector<row_matrix<float>>(batches)) {}

  [[nodiscard]] index count() const noexcept { return count_; }
  [[nodiscard]] row_matrix<float> operator[](index i) const { return batch_(i); }

 private:
  index count_ = 0;
  std::function<row_matrix<float>(index)> batch_;
};

/// How far a long function is.
struct pass_step {
  const char* what;  ///< e.g. "observe_inputs"
  index done;
  index total;
};

/// Called between the steps of long work. The work is cancelled if it returns false. An empty
/// function never cancels.
using progress_function = std::function<bool(const pass_step&)>;

namespace detail {

inline bool may_continue(const progress_function& progress, const pass_step& step) {
  return !progress || progress(step);
}

inline void expect_batches(const char* function, const input_batches& batches) {
  expect(batches.count() >= 1, function, "number of calibration batches", batches.count(),
         "at least 1");
}

/// Batch i.
/// @throws fewbit::error if it is empty or a number is not finite
inline row_matrix<float> checked_batch(const char* function, const input_batches& batches,
                                       index i) {
  row_matrix<float> batch = batches[i];
  expect_finite(function, ("calibration batch " + text(i)).c_str(), batch);
  return batch;
}

/// Runs forward over all batches; false if it was cancelled.
///
/// @param step     what, and how much was done before; `done` grows by one for each batch
/// @param outputs  outputs(i, y) receives the outputs of batch i
template <class Outputs>
bool run_batches(const forward_function& forward, const compute_function& compute,
                 const input_batches& batches, const progress_function& progress, pass_step step,
                 const Outputs& outputs) {
  expect(static_cast<bool>(forward), step.what, "forward", "empty", "a callable");
  expect_batches(step.what, batches);
  for (index i = 0; i < batches.count(); ++i, ++step.done) {
    if (!may_continue(progress, step)) return false;
    outputs(i, forward(checked_batch(step.what, batches, i), compute));
  }
  return true;
}
inline bool run_batches(const forward_function& forward, const compute_function& compute,
                        const input_batches& batches, const progress_function& progress,
                        const pass_step& step) {
  return run_batches(forward, compute, batches, progress, step,
                     [](index, const row_matrix<float>&) {});
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
