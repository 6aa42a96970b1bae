#pragma once
/// A linear layer whose weights have their columns in another order than the inputs, as GPTQ sorts
/// them by activation order: gathered_linear<S>.
///
///     const auto down = load_checkpoint<uint4_grouped<128>>(file, "model.layers.0.mlp.down_proj");
///     gathered_linear<uint4_grouped<128>> layer(down.order, down.weights, down.bias);
///     layer(x, y);                            // x(i, order[c]) belongs to column c of the weights
///
/// The layer reads the inputs in that order while it quantizes them. It has the calls and the bits
/// of linear<S> for inputs whose columns were put into the order before; it costs 4 bytes for each
/// input. Inputs are dynamic_int8 or dynamic_int8_groups. Prepared inputs of dynamic_int8 are in
/// the order of the inputs, so layers with several orders can share them.
/// Read before: ops/linear/grouped.hpp, ops/layer.hpp. Read next: io/checkpoint.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/gathered_rows.hpp"
#include "fewbit/ops/linear/grouped.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// A copy of an order of k inputs. Fails unless it is empty or has each input once.
[[nodiscard]] inline aligned_buffer<std::uint32_t> checked_order(std::span<const index> order,
                                                                 index k) {
  if (order.empty()) return {};
  constexpr const char* function = "gathered_linear";
  expect_equal(function, "length of order", static_cast<index>(order.size()), k);
  expect(k <= std::numeric_limits<std::uint32_t>::max(), function, "number of inputs", k,
         "at most 4294967295");
  aligned_buffer<std::uint32_t> copy(k);
  aligned_buffer<std::uint8_t> has(k);
  for (index c = 0; c < k; ++c) {
    const index input = order[static_cast<std::size_t>(c)];
    if (input < 0 || input >= k) {
      fail(function, item("order", c), input, "0 to " + std::to_string(k - 1));
    }
    if (has.data()[input] != 0) {
      fail(function, item("order", c), input, "another input, because this one is there already");
    }
    has.data()[input] = 1;
    copy.data()[c] = static_cast<std::uint32_t>(input);
  }
  return copy;
}

/// The product of weights in groups with inputs in an order.
template <class Product>
class gathered_product : public Product {
 public:
  gathered_product() = default;
  gathered_product(std::span<const index> order, Product&& product)
      : Product(std::move(product)), order_(checked_order(order, Product::inputs())) {}

  [[nodiscard]] std::span<const std::uint32_t> order() const noexcept {
    return {order_.data(), static_cast<std::size_t>(order_.size())};
  }
  [[nodiscard]] index bytes() const noexcept {
    return Product::bytes() + order_.size() * index{sizeof(std::uint32_t)};
  }

  template <class Source, class Out, class Stages, class E>
  void run(const Source& x, const output_rows<Out>& y, const Stages& rest, std::byte* memory,
           workspace& workers, const E& executor) const noexcept {
    const Product& inner = *this;
    read(x, [&](const auto& from) { inner.run(from, y, rest, memory, workers, executor); });
  }

  template <class Source, class Out, class Stages>
  void run_on_stack(const Source& x, const output_rows<Out>& y, const Stages& rest,
                    std::byte* memory) const noexcept {
    const Product& inner = *this;
    read(x, [&](const auto& from) { inner.run_on_stack(from, y, rest, memory); });
  }

 private:
  /// Calls f with the inputs in the order of columns.
  template <class Source, class F>
  FEWBIT_ALWAYS_INLINE void read(const Source& x, const F& f) const noexcept {
    static_assert(!Source::are_codes || std::is_same_v<typename Product::inputs_type, dynamic_int8>,
                  "fewbit: gathered_linear takes prepared inputs of dynamic_int8 alone, because "
                  "the groups of dynamic_int8_groups depend on the order");
    if (order_.empty()) return f(x);
    f(gathered_rows<Source>{x, order_.data()});
  }

  aligned_buffer<std::uint32_t> order_;
};

template <Scheme S, class Inputs, class Arch>
using gathered_grouped_product = gathered_product<grouped_product<S, Inputs, Arch>>;

}  // namespace detail

/// The formula is that of linear<S, Inputs> (ops/linear/grouped.hpp) with x(i, order[c]) in place
/// of x(i, c).
template <Scheme S, detail::DynamicInt8 Inputs = dynamic_int8, class Arch = arch::native>
  requires detail::MultipliedAsStored<S>
class gathered_linear : public layer<detail::gathered_grouped_product<S, Inputs, Arch>> {
  using inner = detail::grouped_product<S, Inputs, Arch>;
  using product = detail::gathered_grouped_product<S, Inputs, Arch>;

 public:
  /// 0 x 0.
  gathered_linear() = default;

  /// Packs quantized weights, n x k.
  ///
  /// @param order  the input of each column of the weights, each of 0 .. k - 1 once; empty: columns
  ///               are in the order of inputs
  /// @throws fewbit::error if `order` is another one, or as linear<S, Inputs>
  gathered_linear(std::span<const index> order, const quantized_matrix<S>& weights,
                  const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                  const linear_options& options = {})
      : layer<product>(product(order, inner(weights)), bias, options) {}

  /// Takes weights that are packed already, as linear<S, Inputs> does.
  gathered_linear(std::span<const index> order, typename inner::weights_type weights,
                  const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                  const linear_options& options = {})
      : layer<product>(product(order, inner(detail::checked_weights<S>(std::move(weights)))), bias,
                       options) {}
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
