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
/// | int8 codes, inputs of 8 bits        | the same with int8_per_row instead of S         |
/// | int8 codes, inputs of 16 bits       | two products of 8 bits (digit_product.hpp)      |
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

#include "fewbit/equalize/integer_network/code_product.hpp"
#include "fewbit/equalize/integer_network/digit_product.hpp"
#include "fewbit/equalize/network/simulate.hpp"
#include "fewbit/ops/inputs.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// @tparam S  scheme of the weights; integers in groups cannot be weights of convolutions
/// @tparam X  scheme of fixed inputs: int8 or uint8 per tensor
template <IntegerScheme S, IntegerScheme X = int8_per_tensor>
class integer_network {
  static constexpr const char* function = "integer_network";
  using inputs_of_x = static_codes<typename X::storage::code>;
  using product = detail::code_product<S, inputs_of_x>;
  using int8_product = detail::code_product<int8_per_row, inputs_of_x>;
  /// Each type once. std::monostate: the layer is computed in float.
  using integer_layer = std::conditional_t<
      std::is_same_v<product, int8_product>,
      std::variant<std::monostate, product, detail::digit_product>,
      std::variant<std::monostate, product, detail::digit_product, int8_product>>;

 public:
  /// No layers.
  integer_network() = default;

  /// @param plan        its weights, biases and codes of inputs; it need not outlive this object
  /// @param codes       of each layer; 0 x 0: see int8_codes
  /// @param int8_codes  of each layer, or no matrices: the weights of layers with more bits than S,
  ///                    or with inputs of 16 bits; 0 x 0: the layer stays in float
  /// @throws fewbit::error if their number or shapes are not those of the layers, if codes of
  ///         groups belong to a convolution, or if codes of another S than int8_per_row get inputs
  ///         of 16 bits; the sentence has the layer
  integer_network(const simulation& plan, const std::vector<quantized_matrix<S>>& codes,
                  const std::vector<quantized_matrix<int8_per_row>>& int8_codes = {}) {
    detail::expect_equal(function, "number of matrices of codes", static_cast<index>(codes.size()),
                         plan.size());
    if (!int8_codes.empty()) {
      detail::expect_equal(function, "number of matrices of int8 codes",
                           static_cast<index>(int8_codes.size()), plan.size());
    }
    const quantized_matrix<int8_per_row> none;
    for (index i = 0; i < plan.size(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      layers_.push_back(make(plan, i, codes[at], int8_codes.empty() ? none : int8_codes[at]));
    }
  }

  [[nodiscard]] index size() const noexcept { return static_cast<index>(layers_.size()); }
  /// Whether layer i, 0 .. size() - 1, is computed in integers.
  [[nodiscard]] bool is_integer(index i) const noexcept { return (*this)[i].integers.index() != 0; }
  /// Bytes of the weights of layer i.
  [[nodiscard]] index bytes(index i) const {
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
  [[nodiscard]] index bytes() const {
    index sum = 0;
    for (index i = 0; i < size(); ++i) sum += bytes(i);
    return sum;
  }

  /// Computes the layers. The function refers to this object.
  ///
  /// It throws fewbit::error if x does not fit the layer, or if y is x.
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
  /// float are not saved: they belong to the user's code. With inputs of 16 bits, the product of
  /// digits is saved (digit_product.hpp); scale of inputs and bias are in the plan.
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

  static one_layer make(const simulation& plan, index i, const quantized_matrix<S>& codes,
                        const quantized_matrix<int8_per_row>& int8_codes) {
    one_layer made;
    made.real = plan.layers()[i];
    made.real.weights = plan.weights(i);
    made.real.bias = plan.bias(i);
    made.inputs = made.real.inputs();
    made.outputs = made.real.outputs();
    made.codes = plan[i].inputs;
    if (made.codes.mode == input_mode::as_float) return made;
    if (codes.rows() != 0) {
      pack(codes, made);
    } else if (int8_codes.rows() != 0) {
      pack(int8_codes, made);
    }
    return made;
  }

  template <Scheme T>
  static void pack(const quantized_matrix<T>& codes, one_layer& made) {
    network_layer& l = made.real;
    if (codes.rows() != l.channels() || codes.cols() != l.depth()) {
      detail::fail(function, detail::of_layer("codes", l.name),
                   detail::shape_text(codes.rows(), codes.cols()),
                   detail::shape_text(l.channels(), l.depth()));
    }
    if (!made.codes.is_wide()) {
      made.integers = detail::code_product<T, inputs_of_x>(function, l, l.bias, codes, made.codes);
    } else if constexpr (std::is_same_v<T, int8_per_row>) {
      made.integers = detail::digit_product(l, l.bias, codes, made.codes);
    } else {
      detail::fail(function, detail::of_layer("codes", l.name), "not int8_per_row",
                   "int8 codes, because the inputs have 16 bits");
    }
    l.weights.resize(l.channels(), 0);
  }

  template <Executor E>
  static void run(const one_layer& l, const row_matrix<float>& x, row_matrix<float>& y,
                  const E& executor) {
    detail::expect_not_in_place(function, l.real.name, x, y);
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

  template <class Product, Executor E>
  static void run_integers(const Product& product, const one_layer& l, const row_matrix<float>& x,
                           row_matrix<float>& y, const E& executor) {
    y.resize(x.rows(), l.outputs);
    if (l.real.input_factors.size() == 0) {
      product.run(x, y, executor);
    } else {
      row_matrix<float> scaled = x;
      detail::scale_channels(l.real.input_factors, scaled.data(), scaled.size());
      product.run(scaled, y, executor);
    }
    detail::activate_pixels(l.real, y.data(), y.size() / l.real.channels());
  }

  std::vector<one_layer> layers_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
