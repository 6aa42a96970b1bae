#pragma once
/// The network of a user: a list of layers and a callable `forward(inputs, compute)`.
///
///     layer_list layers(...);
///     forward_function forward = [&, conv1 = layers.find("conv1"), head = layers.find("head")](
///         const row_matrix<float>& inputs, const compute_function& compute) {
///       row_matrix<float> x, y;
///       compute(conv1, inputs, x);
///       ...                                  // adds, concatenations, attention: the user's code
///       compute(head, x, y);
///       return y;
///     };
///     const row_matrix<float> logits = forward(images, float_compute(layers));
///
/// There is no graph. The library exchanges `compute`, and so observes, simulates or times each
/// layer. Read before: layer_list.hpp. Read next: observe.hpp, simulate.hpp.

#include "fewbit/begin.hpp"

#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "fewbit/core/executor.hpp"
#include "fewbit/equalize/network/float_layer.hpp"
#include "fewbit/equalize/network/layer_list.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Computes layer `layer` of a list: reads x, resizes and writes y. x and y are different matrices.
using compute_function =
    std::function<void(index layer, const row_matrix<float>& x, row_matrix<float>& y)>;

/// Computes the outputs of a network. It calls `compute` wherever a layer is computed. It may call
/// a layer several times, or not at all.
using forward_function = std::function<row_matrix<float>(const row_matrix<float>& inputs,
                                                         const compute_function& compute)>;

/// The quality of a network whose layers are computed by `compute`; larger is better. A metric runs
/// the user's forward over the user's test data.
using metric_function = std::function<double(const compute_function& compute)>;

namespace detail {

inline void expect_layer_index(const char* function, index layer, index count) {
  expect(layer >= 0 && layer < count, function, "position of a layer", layer,
         "0 to " + text(count - 1));
}

/// Fails if a layer would write the matrix that it reads.
inline void expect_not_in_place(const char* function, const std::string& layer,
                                const row_matrix<float>& x, const row_matrix<float>& y) {
  if (&x == &y) fail(function, of_layer("y", layer), "x", "another matrix");
}

/// Fails unless x has rows, and as many columns as a layer has inputs, and y is another matrix.
inline void expect_layer_call(const char* function, const network_layer& l,
                              const row_matrix<float>& x, const row_matrix<float>& y) {
  expect_not_in_place(function, l.name, x, y);
  if (x.rows() < 1) fail(function, of_layer("number of rows of x", l.name), x.rows(), "at least 1");
  if (x.cols() != l.inputs()) {
    fail(function, of_layer("number of columns of x", l.name), x.cols(), l.inputs());
  }
}

/// The value of a metric; `what` names it in the sentence.
/// @throws fewbit::error if it is NaN or infinite
inline double finite_metric(const char* function, const std::string& what,
                            const metric_function& metric, const compute_function& compute) {
  const double value = metric(compute);
  if (!(std::abs(value) <= std::numeric_limits<double>::max())) {
    fail(function, what, value, "a finite number");
  }
  return value;
}

}  // namespace detail

/// Computes a layer in float: patches and Eigen products. The bits depend on the instruction set of
/// the build, as those of all float products of Eigen, and not on the executor.
///
/// @param x         rows of l.inputs() numbers
/// @param y         becomes x.rows() x l.outputs()
/// @param executor  runs blocks of rows of x
/// @throws fewbit::error if x has no row or another number of columns, or y is x; the sentence has
///         the layer
template <Executor E = inline_executor>
void compute_in_float(const network_layer& l, const row_matrix<float>& x, row_matrix<float>& y,
                      const E& executor = {}) {
  detail::expect_layer_call("compute_in_float", l, x, y);
  detail::product_in_float(l, l.weights, l.bias, input_codes{}, x, y, executor);
}

/// Computes each layer in float.
///
/// @param layers  must live as long as the function
template <Executor E = inline_executor>
[[nodiscard]] compute_function float_compute(const layer_list& layers, const E& executor = {}) {
  return [&layers, executor](index layer, const row_matrix<float>& x, row_matrix<float>& y) {
    detail::expect_layer_index("float_compute", layer, layers.size());
    const network_layer& l = layers[layer];
    detail::expect_layer_call("float_compute", l, x, y);
    detail::product_in_float(l, l.weights, l.bias, input_codes{}, x, y, executor);
  };
}
template <Executor E = inline_executor>
compute_function float_compute(layer_list&&, const E& = {}) = delete;

/// Calls after(layer, x, y) when a layer has been computed.
///
/// @param after  a callable of the signature of compute_function whose y is const
template <class After>
[[nodiscard]] compute_function watching(compute_function compute, After after) {
  return [compute = std::move(compute), after = std::move(after)](
             index layer, const row_matrix<float>& x, row_matrix<float>& y) mutable {
    compute(layer, x, y);
    after(layer, x, std::as_const(y));
  };
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
