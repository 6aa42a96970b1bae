#pragma once
/// What all layers have in common: options, memory and calls. Each kind of layer adds only its
/// product.
///
///     linear<int8_per_row> layer(weights, bias);   // quantizes and packs; holds bytes() of memory
///     layer(x, y);                                 // works in 16 KiB of stack, allocates nothing
///
///     layer.reserve(128);                          // its own memory for 128 rows at a time
///     layer(x, y);                                 // faster; one thread at a time
///
///     layer_scratch scratch;                       // memory of the caller, for several layers:
///     for (const auto& l : layers) l.reserve(scratch, threads, rows);
///     layer(x, y, scratch, executor);              // `threads` workers; any number of callers,
///                                                  // each with its own scratch
///
///     const auto codes = q.prepare(x, scratch);    // inputs of several layers are quantized once
///     q(codes, queries);                           // (ops/inputs.hpp)
///     k(codes, keys);
///
///     layer.save(writer, "fc");                    // to a file, and back without a copy of the
///     auto same = decltype(layer)::load(file, "fc");   // weights (io/packed_file.hpp)
///
/// | call                           | works in              | const | rows at a time                 |
/// |--------------------------------|-----------------------|-------|--------------------------------|
/// | layer(x, y)                    | reserve(rows)         | no    | rows                           |
/// | layer(x, y), nothing reserved  | 16 KiB of stack       | yes   | what fits; if not even one row |
/// |                                |                       |       | fits, chunks of k of one row   |
/// | layer(x, y, scratch, executor) | reserve(scratch, ...) | yes   | what fits the scratch memory   |
///
/// Each call takes floats, prepared inputs or, if inputs are static, codes. All calls give the same
/// bits, allocate nothing and throw nothing. A call through a const layer never uses the memory of
/// reserve(rows), so that any number of threads may make it.
/// Read before: ops/inputs.hpp, ops/output.hpp. Read next: ops/linear.hpp (which layers there are).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/epilogue.hpp"
#include "fewbit/ops/inputs.hpp"
#include "fewbit/ops/integer_only.hpp"
#include "fewbit/ops/output.hpp"
#include "fewbit/ops/parts/checks.hpp"
#include "fewbit/ops/saved_layer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The largest number of rows that are multiplied together. 128 rows of k = 1024 codes stay in a
/// cache of 256 KiB.
inline constexpr index rows_at_a_time = 128;

/// Bytes of the buffer of a call without reserved memory, for products whose loops need less than 5
/// KiB of stack in addition.
inline constexpr index usual_stack_bytes = 11 * 1024;

/// Bytes of the scales of some rows, rounded up to whole cache lines.
[[nodiscard]] inline index scale_bytes(index rows) noexcept {
  return (rows * index{sizeof(float)} + 63) / 64 * 64;
}

/// Fails unless bias is empty or has one finite number per channel.
template <class Vector>
void expect_valid_bias(const char* layer, const Vector& bias, index channels) {
  if (bias.size() == 0) return;
  expect_equal(layer, "length of bias", bias.size(), channels);
  for (index i = 0; i < bias.size(); ++i) {
    if (!is_finite(bias[i])) fail(layer, item("bias", i), bias[i], "a finite number");
  }
}

template <class Vector>
[[nodiscard]] aligned_buffer<float> bias_or_zeros(const Vector& bias, index channels) {
  aligned_buffer<float> values(channels);
  for (index i = 0; i < bias.size(); ++i) values.data()[i] = bias[i];
  return values;
}

/// What a layer needs from its product.
///
/// visit_parts(self, parts)
///                     lists what the product is made of (ops/parts.hpp)
/// stack_bytes         bytes of the buffer of a call without reserved memory
/// memory_bytes(rows)  bytes of layer_scratch::rows for up to `rows` rows
/// worker_bytes(rows)  bytes of a slot of layer_scratch::workers; 0 if the product uses none
/// runs_one_row_on_stack()
///                     (optional) whether one row is faster on the stack than in reserved memory
/// owns_outputs        (optional) if true, the product holds bias and options itself, for outputs
///                     that are not one channel for each column, or not made of floats
/// takes_one_row(), one_row(x, y, stages, memory), parts_on_stack(x, y, stages, memory)
///                     (optional) one row, whose outputs are at y, if takes_one_row(); and what
///                     run_on_stack does with any number of rows otherwise
/// run(x, y, stages, memory, workers, executor)
///                     the product of y.rows <= most_rows rows. x is float_rows or code_rows, y is
///                     output_rows; `stages` convert totals to outputs (output_stages). There
///                     are no stages if the product owns its outputs
/// run_on_stack(x, y, stages, memory)
///                     the product of any number of rows, in stack_bytes of memory; same bits
template <class P>
concept LayerProduct = requires(const P& p, index rows) {
  { P::name } -> std::convertible_to<const char*>;
  typename P::inputs_type;
  { P::most_rows } -> std::convertible_to<index>;
  { P::stack_bytes } -> std::convertible_to<index>;
  { p.inputs() } noexcept -> std::same_as<index>;
  { p.outputs() } noexcept -> std::same_as<index>;
  { p.bytes() } noexcept -> std::same_as<index>;
  { p.memory_bytes(rows) } noexcept -> std::same_as<index>;
  { p.worker_bytes(rows) } noexcept -> std::same_as<index>;
};

/// Whether a product holds bias and output options itself.
template <class P>
concept OwnsOutputs = requires { requires P::owns_outputs; };

}  // namespace detail

/// @tparam Product  weights and their product with rows of inputs (detail::LayerProduct)
template <class Product>
class layer {
  static_assert(detail::LayerProduct<Product>);
  static constexpr const char* name = Product::name;

 public:
  /// The kind of inputs: dynamic_int8, float_inputs ... Layers with the same kind can share
  /// prepared inputs.
  using inputs_type = typename Product::inputs_type;
  using weights_type = typename Product::weights_type;
  using product_type = Product;

  /// Number of inputs, k.
  [[nodiscard]] index inputs() const noexcept { return product_.inputs(); }
  /// Number of outputs, n.
  [[nodiscard]] index outputs() const noexcept { return product_.outputs(); }
  /// Layers of integers alone have none.
  [[nodiscard]] const layer_options& options() const noexcept
    requires(!detail::are_integer_only<inputs_type>)
  {
    if constexpr (detail::OwnsOutputs<Product>) {
      return product_.options();
    } else {
      return options_;
    }
  }
  /// The packed weights; those of each group for a convolution.
  [[nodiscard]] const auto& weights() const noexcept { return product_.weights(); }
  /// Scale and zero point of static inputs.
  [[nodiscard]] const quant_params& input_params() const noexcept
    requires detail::StaticInputs<inputs_type>
  {
    return product_.input_params();
  }
  /// The windows of a convolution.
  [[nodiscard]] const auto& shape() const noexcept
    requires requires(const Product& p) { p.shape(); }
  {
    return product_.shape();
  }

  /// Bytes that the layer holds: packed weights, scales, zero points and bias. Weights that view
  /// memory of the caller count too (weights().owns_memory()). Memory of reserve(rows) does not.
  [[nodiscard]] index bytes() const noexcept { return product_.bytes() + bias_.bytes(); }

  /// Y = X W^T + bias, in the memory of reserve(rows) or, if nothing is reserved, on the stack.
  ///
  /// @param x  m x k floats or prepared inputs; for static inputs codes as well
  /// @param y  m x n, must not overlap x; floats, or std::int8_t or std::uint8_t codes. Codes need
  ///           options().output_params with a zero point that is one of these codes
  /// Both are row-major, or compile-time vectors, which are one row each. If shapes do not fit, the
  /// error handler is called and the program terminates (core/operands.hpp).
  template <class X, class Y>
  void operator()(const X& x, Y&& y) noexcept {
    if (memory_.rows.slots() == 0) return std::as_const(*this)(x, y);
    std::as_const (*this)(x, y, memory_);
  }

  /// The same on the stack.
  template <class X, class Y>
  void operator()(const X& x, Y&& y) const noexcept {
    if constexpr (takes<X, Y>()) {
      expect_call(x, y);
      if (outputs() == 0) return;
      auto&& to = detail::rows_of(y);
      if constexpr (has_one_row) {
        if (to.rows() == 1) return row_on_stack<source_type<X>>(source_of(x), to.data());
      }
      run_on_stack(source_of(x), rows_to(to));
    }
  }

  /// The same in the caller's scratch memory, from make_scratch() or reserve(). If not even one row
  /// fits, the error handler is called and the program terminates.
  ///
  /// @param executor  runs the parts of this call; results do not depend on it. If it throws,
  ///                  std::terminate is called.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, layer_scratch& scratch,
                  const E& executor = {}) const noexcept {
    if constexpr (takes<X, Y>()) {
      expect_call(x, y);
      if (outputs() == 0) return;
      auto&& to = detail::rows_of(y);
      run(source_of(x), rows_to(to), scratch, executor);
    }
  }

  /// Allocates memory inside the layer for `rows` rows at a time. A call with more rows multiplies
  /// them in several parts. The memory never shrinks.
  /// @throws fewbit::error unless rows >= 1
  void reserve(index rows) { reserve(memory_, 1, rows); }

  /// Grows scratch memory to what this layer needs for `workers` threads and `rows` rows at a time.
  /// Layers that are called one after the other may share scratch memory.
  /// @throws fewbit::error unless workers >= 1 and rows >= 1
  void reserve(layer_scratch& scratch, index workers = 1,
               index rows = detail::rows_at_a_time) const {
    detail::expect(rows >= 1, name, "rows", rows, "at least 1");
    const index most = std::min(rows, index{Product::most_rows});
    detail::expect_workers(name, workers, product_.worker_bytes(most));
    if (outputs() == 0) return;
    scratch.rows.reserve(product_.memory_bytes(most));
    if (const index bytes = product_.worker_bytes(most); bytes > 0)
      scratch.workers.reserve(bytes, workers);
  }

  /// Returns new scratch memory of the size that reserve() sets.
  [[nodiscard]] layer_scratch make_scratch(index workers = 1,
                                           index rows = detail::rows_at_a_time) const {
    layer_scratch scratch;
    reserve(scratch, workers, rows);
    return scratch;
  }

  /// prepare() for the inputs of this layer (ops/inputs.hpp).
  template <class X, Executor E = inline_executor>
  [[nodiscard]] prepared_inputs<inputs_type> prepare(const X& x, layer_scratch& scratch,
                                                     const E& executor = {}) const {
    if constexpr (detail::StaticInputs<inputs_type>) {
      return fewbit::prepare<inputs_type>(x, product_.input_params(), scratch, executor);
    } else if constexpr (std::is_same_v<inputs_type, dynamic_int8_groups>) {
      return fewbit::prepare<inputs_type>(x, product_.input_group(), scratch, executor);
    } else {
      return fewbit::prepare<inputs_type>(x, scratch, executor);
    }
  }

  /// Grows scratch.inputs to what prepare() needs for up to `rows` rows.
  /// @throws fewbit::error unless rows >= 1
  void reserve_inputs(layer_scratch& scratch, index rows) const {
    detail::expect(rows >= 1, name, "rows", rows, "at least 1");
    index scales = 1;
    if constexpr (std::is_same_v<inputs_type, dynamic_int8_groups>) {
      const index group = std::max(product_.input_group(), index{1});
      scales = (inputs() + group - 1) / group;
    }
    if constexpr (!std::is_same_v<inputs_type, float_inputs>)
      scratch.inputs.reserve(detail::prepared_layout(rows, inputs(), scales).bytes);
  }

 protected:
  /// 0 x 0.
  layer() = default;

  /// @throws fewbit::error if bias has another length than outputs or is not finite, or if
  ///         output_params are not a valid scale and zero point
  layer(Product&& product, const Eigen::Ref<const Eigen::VectorXf>& bias,
        const layer_options& options)
      : product_(std::move(product)), options_(options) {
    detail::expect_valid_bias(name, bias, outputs());
    detail::expect_valid_options(name, options);
    bias_ = detail::bias_or_zeros(bias, outputs());
  }

  explicit layer(Product&& product)
    requires detail::OwnsOutputs<Product>
      : product_(std::move(product)) {}

 private:
  friend struct detail::parts_access;
  using code =
      std::conditional_t<detail::StaticInputs<inputs_type>, typename inputs_type::code, float>;

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    Product::visit_parts(self.product_, parts);
    if constexpr (!detail::OwnsOutputs<Product>) {
      parts.array("bias", self.bias_, self.outputs(), detail::finite_number{});
      detail::visit_options(self.options_, parts);
      if constexpr (Parts::loads) detail::expect_valid_options(parts.place(), self.options_);
    }
  }

  template <class X, class Y>
  [[nodiscard]] static consteval bool takes() {
    if constexpr (detail::are_prepared<X>) {
      constexpr bool is_same = std::is_same_v<X, prepared_inputs<inputs_type>>;
      static_assert(
          is_same,
          "fewbit: prepared inputs are of another kind than the inputs of this layer; use "
          "prepare<typename Layer::inputs_type>() or layer.prepare()");
      return is_same && detail::takes_operands<row_matrix<float>, Y>();
    } else if constexpr (detail::are_integer_only<inputs_type>) {
      return fewbit::detail::reads_in_place<X, code>() &&
             fewbit::detail::writes_in_place<Y, typename inputs_type::out>();
    } else {
      return detail::takes_operands<X, Y, code>();
    }
  }

  template <class X, class Y>
  FEWBIT_ALWAYS_INLINE void expect_call(const X& x, const Y& y) const noexcept {
    if constexpr (detail::are_integer_only<inputs_type>) {
      return detail::expect_shapes({name, "x", "y"}, x, y, inputs(), outputs());
    } else {
      detail::expect_call(name, x, y, inputs(), outputs(), options());
    }
    if constexpr (detail::are_prepared<X>) {
      if constexpr (detail::StaticInputs<inputs_type>) {
        if (x.params() != product_.input_params()) [[unlikely]] {
          detail::stop("fewbit: %s: x.params() is scale %g and zero point %d, expected %g and %d",
                       name, double{x.params().scale}, x.params().zero_point,
                       double{product_.input_params().scale}, product_.input_params().zero_point);
        }
      } else if constexpr (std::is_same_v<inputs_type, dynamic_int8_groups>) {
        detail::expect_extent(name, "", "x", ".group()", x.group(), product_.input_group());
      }
    }
  }

  /// Rows of floats or codes. Those of prepared inputs are not copied: a copy in wide registers
  /// would wait until prepare() has written its members to the cache.
  template <class X>
  [[nodiscard]] FEWBIT_ALWAYS_INLINE static decltype(auto) source_of(const X& x) noexcept {
    if constexpr (detail::are_prepared<X>) {
      return detail::prepared_access::source(x);
    } else {
      const auto& rows = detail::rows_of(x);
      if constexpr (DenseRows<X, float>) {
        return detail::float_rows{rows.data(), rows.outerStride()};
      } else {
        return detail::code_rows<code>{rows.data(), rows.outerStride()};
      }
    }
  }

  template <class Y>
  [[nodiscard]] static detail::output_rows<scalar_of<Y>> rows_to(Y& y) noexcept {
    return {y.data(), y.outerStride(), y.rows(), y.cols()};
  }

  /// Whether so many rows fit scratch memory.
  [[nodiscard]] bool fit(const layer_scratch& scratch, index rows) const noexcept {
    return scratch.rows.slots() > 0 &&
           product_.memory_bytes(rows) <= scratch.rows.bytes_per_slot() &&
           product_.worker_bytes(rows) <= scratch.workers.bytes_per_slot();
  }

  /// The number of rows that fit scratch memory, if `most` rows do not fit. Terminates the program
  /// if not even one row fits.
  [[nodiscard, gnu::cold, gnu::noinline]] index rows_that_fit(const layer_scratch& scratch,
                                                              index most) const noexcept {
    detail::expect_room(name, "scratch.rows", scratch.rows, product_.memory_bytes(1));
    if (const index bytes = product_.worker_bytes(1); bytes > 0)
      detail::expect_room(name, "scratch.workers", scratch.workers, bytes);
    index low = 1, high = most;  // `low` rows fit, `high` rows do not
    while (high - low > 1) {
      const index middle = (low + high) / 2;
      (fit(scratch, middle) ? low : high) = middle;
    }
    return low;
  }

  /// This is a separate function, so that calls without reserved memory are short.
  template <class Source, class Out, class E>
  [[gnu::noinline]] void run(const Source& x, const detail::output_rows<Out>& y,
                             layer_scratch& scratch, const E& executor) const noexcept {
    if (y.rows == 0) return;
    if constexpr (requires { product_.runs_one_row_on_stack(); }) {
      if (y.rows == 1 && product_.runs_one_row_on_stack()) {
        if constexpr (has_one_row) {
          return row_on_stack<source_argument<Source>>(x, y.data);
        } else {
          return run_on_stack(x, y);
        }
      }
    }
    index most = std::min(y.rows, index{Product::most_rows});
    if (!fit(scratch, most)) [[unlikely]]
      most = rows_that_fit(scratch, most);
    const auto each_part = [&](const auto&... stages) {
      for (index first = 0; first < y.rows; first += most) {
        product_.run(x.from(first), y.part(first, std::min(most, y.rows - first)), stages...,
                     scratch.rows.slot(0), scratch.workers, executor);
      }
    };
    if constexpr (detail::OwnsOutputs<Product>) {
      each_part();
    } else {
      each_part(detail::output_stages<Out>(bias_.data(), options_));
    }
  }

  static constexpr bool has_one_row = requires { requires Product::has_one_row; };

  /// Floats are passed in registers, codes with their scales where they are.
  template <class Source>
  using source_argument = std::conditional_t<Source::are_codes, const Source&, Source>;
  template <class X>
  using source_type =
      source_argument<std::remove_cvref_t<decltype(source_of(std::declval<const X&>()))>>;

  /// One row.
  template <class Source, class Out>
  [[gnu::noinline]] void row_on_stack(Source x, Out* y) const noexcept {
    if (!product_.takes_one_row()) [[unlikely]]
      return run_on_stack(x, detail::output_rows<Out>{y, outputs(), 1, outputs()});
    alignas(64) std::byte memory[Product::stack_bytes];
    product_.one_row(x, y, detail::output_stages<Out>(bias_.data(), options_), &memory[0]);
  }

  /// This is a separate function, so that calls with reserved memory have no buffer on the stack.
  template <class Source, class Out>
  [[gnu::noinline]] void run_on_stack(const Source& x,
                                      const detail::output_rows<Out>& y) const noexcept {
    if (y.rows == 0) return;
    alignas(64) std::byte memory[Product::stack_bytes];
    if constexpr (detail::OwnsOutputs<Product>) {
      product_.run_on_stack(x, y, &memory[0]);
    } else if constexpr (has_one_row) {
      product_.parts_on_stack(x, y, detail::output_stages<Out>(bias_.data(), options_), &memory[0]);
    } else {
      product_.run_on_stack(x, y, detail::output_stages<Out>(bias_.data(), options_), &memory[0]);
    }
  }

  Product product_;
  stored_array<float> bias_;
  layer_options options_;
  layer_scratch memory_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
