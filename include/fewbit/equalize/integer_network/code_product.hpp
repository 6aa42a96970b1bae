#pragma once
/// One layer of a network as an integer layer of ops/, whatever its kind and inputs. Private to
/// integer_network.hpp.

#include "fewbit/begin.hpp"

#include <string>
#include <type_traits>
#include <variant>

#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/equalize/network/input_codes.hpp"
#include "fewbit/equalize/network/layer.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Schemes whose codes conv2d takes.
template <class S>
concept ConvScheme = Scheme<S> && S::storage::bits <= 8 &&
                     (std::is_same_v<typename S::granularity, per_row> ||
                      std::is_same_v<typename S::granularity, per_tensor>);

template <Scheme S, class Static>
struct integer_layer_of {
  using type = std::variant<linear<S, Static>, linear<S>>;
};
template <ConvScheme S, class Static>
struct integer_layer_of<S, Static> {
  using type = std::variant<linear<S, Static>, linear<S>, conv2d<S, Static>, conv2d<S>>;
};

/// Groups of the convolution that computes a layer.
[[nodiscard]] inline index conv_groups(const network_layer& l) noexcept {
  return l.kind == layer_kind::depthwise_conv2d ? l.image.channels : l.groups;
}

/// @tparam Static  fixed inputs
template <Scheme S, class Static>
class code_product {
 public:
  /// @param inputs  input_mode::fixed or input_mode::by_row
  code_product(const char* function, const network_layer& l, const Eigen::VectorXf& bias,
               const quantized_matrix<S>& codes, const input_codes& inputs) {
    const bool is_fixed = inputs.mode == input_mode::fixed;
    if (l.kind == layer_kind::linear) {
      if (is_fixed) {
        layer_ = linear<S, Static>(codes, bias, inputs.params);
      } else {
        layer_ = linear<S>(codes, bias);
      }
      return;
    }
    if constexpr (ConvScheme<S>) {
      if (is_fixed) {
        layer_ = conv2d<S, Static>(codes, l.image, l.window, bias, inputs.params, layer_options{},
                                   conv_groups(l));
      } else {
        layer_ = conv2d<S>(codes, l.image, l.window, bias, layer_options{}, conv_groups(l));
      }
    } else {
      fail(function, of_layer("codes", l.name), "in groups",
           "a scale for each row, because the layer is a convolution");
    }
  }

  [[nodiscard]] index bytes() const {
    return std::visit([](const auto& layer) { return layer.bytes(); }, layer_);
  }

  /// y has the rows of x and the outputs of the layer as columns. No activation.
  template <Executor E>
  void run(const row_matrix<float>& x, row_matrix<float>& y, const E& executor) const {
    std::visit(
        [&](const auto& layer) {
          layer_scratch scratch = layer.make_scratch(1, x.rows());
          layer(x, y, scratch, executor);
        },
        layer_);
  }

  template <class Writer>
  void save(Writer& to, const std::string& name) const {
    std::visit([&](const auto& layer) { layer.save(to, name); }, layer_);
  }

 private:
  typename integer_layer_of<S, Static>::type layer_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
