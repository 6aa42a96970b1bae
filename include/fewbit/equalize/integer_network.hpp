#pragma once
/// The layers of a simulation as integer layers of ops/: ready to run and to save.
///
///     std::vector<quantized_matrix<int8_per_row>> codes;        // of each layer
///     ...
///     const integer_network<int8_per_row> net(plan, codes);     // plan: simulation
///     const row_matrix<float> logits = forward(images, net.compute());
///
/// | plan of a layer                     | becomes                                         |
/// |-------------------------------------|-------------------------------------------------|
/// | codes, inputs of input_mode::fixed  | linear or conv2d <S, static inputs of X's type> |
/// | codes, inputs of input_mode::by_row | linear or conv2d <S, dynamic_int8>              |
/// | no codes, or inputs as floats       | computed in float with the weights of the plan  |
///
/// Layers read and write floats, because the user's code between them does. A depthwise layer is a
/// conv2d with as many groups as channels; ops/depthwise_conv2d.hpp is faster where codes go in and
/// out. At a tie, a code of an input can differ by one from the simulation's, because layers
/// multiply by 1 / scale. Read before: network/simulate.hpp. Read next: search/quantize_within.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "fewbit/equalize/network/simulate.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Schemes whose codes conv2d takes.
template <class S>
concept ConvScheme = Scheme<S> && S::storage::bits <= 8 &&
                     (std::is_same_v<typename S::granularity, per_row> ||
                      std::is_same_v<typename S::granularity, per_tensor>);

/// One layer in integers, or none of them: then the layer is computed in float.
template <Scheme S, class Static>
struct integer_layer_of {
  using type = std::variant<std::monostate, linear<S, Static>, linear<S>>;
};
template <ConvScheme S, class Static>
struct integer_layer_of<S, Static> {
  using type =
      std::variant<std::monostate, linear<S, Static>, linear<S>, conv2d<S, Static>, conv2d<S>>;
};

}  // namespace detail

/// @tparam S  scheme of the weights; integers in groups cannot be weights of convolutions
/// @tparam X  scheme of fixed inputs: int8 or uint8 per tensor
template <IntegerScheme S, IntegerScheme X = int8_per_tensor>
class integer_network {
  static constexpr const char* function = "integer_network";
  using inputs_of_x = static_codes<typename X::storage::code>;
  using integer_layer = typename detail::integer_layer_of<S, inputs_of_x>::type;

 public:
  /// No layers.
  integer_network() = default;

  /// @param plan   its weights, biases and codes of inputs; it need not outlive this object
  /// @param codes  of each layer; 0 x 0: the layer stays in float
  /// @throws fewbit::error if their number or shapes are not those of the layers, or if codes of
  ///         groups belong to a convolution; the sentence has the layer
  integer_network(const simulation& plan, const std::vector<quantized_matrix<S>>& codes) {
    detail::expect_equal(function, "number of matrices of codes", static_cast<index>(codes.size()),
                         plan.size());
    for (index i = 0; i < plan.size(); ++i)
      layers_.push_back(make(plan, i, codes[static_cast<std::size_t>(i)]));
  }

  [[nodiscard]] index size() const noexcept { return static_cast<index>(layers_.size()); }
  /// Whether layer i, 0 .. size() - 1, is computed in integers.
  [[nodiscard]] bool is_integer(index i) const noexcept { return (*this)[i].integers.index() != 0; }
  /// Bytes of the weights of layer i.
  [[nodiscard]] index bytes(index i) const noexcept {
    return std::visit(
        [&](const auto& layer) -> index {
          if constexpr (std::is_same_v<decltype(layer), const std::monostate&>) {
            return (*this)[i].real.weights.size() * index{sizeof(float)};
          } else {
            return layer.bytes();
          }
        },
        (*this)[i].integers);
  }
  /// Bytes of the weights of all layers.
  [[nodiscard]] index bytes() const noexcept {
    index sum = 0;
    for (index i = 0; i < size(); ++i) sum += bytes(i);
    return sum;
  }

  /// Computes the layers. The function refers to this object.
  ///
  /// It throws fewbit::error if x does not fit the layer.
  template <Executor E = inline_executor>
  [[nodiscard]] compute_function compute(const E& executor = {}) const& {
    return [this, executor](index layer, const row_matrix<float>& x, row_matrix<float>& y) {
      detail::expect_layer_index(function, layer, size());
      run((*this)[layer], x, y, executor);
    };
  }
  template <Executor E = inline_executor>
  compute_function compute(const E& executor = {}) const&& = delete;

  /// Saves the integer layers, each under its name (ops/saved_layer.hpp). Activations and layers in
  /// float are not saved: they belong to the user's code.
  /// @param to  for example a packed_writer
  template <class Writer>
  void save(Writer& to) const {
    for (const one_layer& l : layers_) {
      std::visit(
          [&](const auto& layer) {
            if constexpr (!std::is_same_v<decltype(layer), const std::monostate&>)
              layer.save(to, l.real.name);
          },
          l.integers);
    }
  }

 private:
  struct one_layer {
    network_layer real;  ///< with 0 columns of weights if the layer has integers
    index inputs = 0;
    index outputs = 0;
    input_codes codes{};  ///< of a layer in float
    integer_layer integers{};
  };

  [[nodiscard]] const one_layer& operator[](index i) const noexcept {
    return layers_[static_cast<std::size_t>(i)];
  }

  static one_layer make(const simulation& plan, index i, const quantized_matrix<S>& codes) {
    one_layer made;
    made.real = plan.layers()[i];
    made.real.weights = plan.weights(i);
    made.real.bias = plan.bias(i);
    made.inputs = made.real.inputs();
    made.outputs = made.real.outputs();
    made.codes = plan[i].inputs;
    if (codes.rows() == 0 || made.codes.mode == input_mode::as_float) return made;
    const network_layer& l = made.real;
    if (codes.rows() != l.channels() || codes.cols() != l.depth()) {
      detail::fail(function, detail::of_layer("codes", l.name),
                   detail::shape_text(codes.rows(), codes.cols()),
                   detail::shape_text(l.channels(), l.depth()));
    }
    pack(codes, made);
    made.real.weights.resize(l.channels(), 0);
    return made;
  }

  static void pack(const quantized_matrix<S>& codes, one_layer& made) {
    const network_layer& l = made.real;
    const bool is_fixed = made.codes.mode == input_mode::fixed;
    if (l.kind == layer_kind::linear) {
      if (is_fixed) {
        made.integers = linear<S, inputs_of_x>(codes, l.bias, made.codes.params);
      } else {
        made.integers = linear<S>(codes, l.bias);
      }
      return;
    }
    if constexpr (detail::ConvScheme<S>) {
      const index groups = l.kind == layer_kind::depthwise_conv2d ? l.image.channels : l.groups;
      if (is_fixed) {
        made.integers = conv2d<S, inputs_of_x>(codes, l.image, l.window, l.bias, made.codes.params,
                                               layer_options{}, groups);
      } else {
        made.integers = conv2d<S>(codes, l.image, l.window, l.bias, layer_options{}, groups);
      }
    } else {
      detail::fail(function, detail::of_layer("codes", l.name), "in groups",
                   "a scale for each row, because the layer is a convolution");
    }
  }

  template <Executor E>
  static void run(const one_layer& l, const row_matrix<float>& x, row_matrix<float>& y,
                  const E& executor) {
    if (x.rows() < 1 || x.cols() != l.inputs) {
      detail::fail(function, detail::of_layer("x", l.real.name),
                   detail::shape_text(x.rows(), x.cols()),
                   "at least one row of " + detail::text(l.inputs) + " columns");
    }
    std::visit(
        [&](const auto& layer) {
          if constexpr (std::is_same_v<decltype(layer), const std::monostate&>) {
            detail::product_in_float(l.real, l.real.weights, l.real.bias, l.codes, x, y, executor);
          } else {
            run_integers(layer, l, x, y, executor);
          }
        },
        l.integers);
  }

  template <class Layer, Executor E>
  static void run_integers(const Layer& layer, const one_layer& l, const row_matrix<float>& x,
                           row_matrix<float>& y, const E& executor) {
    y.resize(x.rows(), l.outputs);
    layer_scratch scratch = layer.make_scratch(1, x.rows());
    if (l.real.input_factors.size() == 0) {
      layer(x, y, scratch, executor);
    } else {
      row_matrix<float> scaled = x;
      detail::scale_channels(l.real.input_factors, scaled.data(), scaled.size());
      layer(scaled, y, scratch, executor);
    }
    detail::activate_pixels(l.real, y.data(), y.size() / l.real.channels());
  }

  std::vector<one_layer> layers_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
