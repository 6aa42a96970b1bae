#pragma once
/// The linear layer without floats: linear<S, integer_only<In, Out, Mode>>. Codes in, codes out;
/// the factor S_in * S_w / S_out is a fixed-point multiplier.
///
///     linear<int8_per_row, integer_only<std::int8_t>> layer(weights, bias, input, {output});
///     layer(codes, out);
///
/// Read before: ops/integer_output.hpp (how sums become codes), ops/layer.hpp (calls and memory).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/gemm/multiply_block.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/gemm/sum_of_codes.hpp"
#include "fewbit/ops/integer_weights.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/int8.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Weights of linear<S, integer_only<...>>, and their product with codes.
template <Scheme S, class Inputs, class Arch>
class integer_product {
  static_assert(!S::has_minimum && !CodebookScheme<S>,
                "fewbit: integer layers take integer weights with a scale for each row or matrix");
  static_assert(scale_depth<typename S::granularity> == 0,
                "fewbit: integer layers take one scale for each output or more");
  using code = typename Inputs::code;
  using kernel_type = gemm::default_kernel<code, Arch>;

 public:
  static constexpr const char* name = "linear";
  static constexpr index most_rows = rows_at_a_time;
  static constexpr index stack_bytes = gemm::row_chunk_bytes;
  static constexpr bool owns_outputs = true;
  using inputs_type = Inputs;
  using weights_type =
      std::conditional_t<stays_packed<S>, gemm::few_bit_weights<S::storage::bits, Arch>,
                         gemm::int8_weights<code, kernel_type>>;
  using output_type = typename integer_parts<S, Inputs>::output_type;

  integer_product() = default;

  integer_product(const quantized_matrix<S>& weights, std::span<const std::int32_t> bias,
                  const quant_params& input_params, output_type output)
      : input_params_(input_params), output_(std::move(output)) {
    using limits = std::numeric_limits<code>;
    expect_multipliable<S>();
    expect_not_empty(name, "weights", weights.rows(), weights.cols());
    expect_valid_params(name, "input_params", input_params, limits::min(), limits::max());
    expect(weights.cols() <= weights_type::max_depth, name, "number of inputs", weights.cols(),
           "at most " + std::to_string(weights_type::max_depth));
    expect_channels(name, output_, bias, weights.rows());
    const row_matrix<std::int8_t> codes = signed_codes(weights);
    const std::int32_t zero = input_params.zero_point;
    set_biases(
        name, output_, bias, [&](index c) { return sums_of_channel(weights, codes, c); }, zero,
        farthest_input<code>(zero));
    zeros_ = zeros_of_channels(weights);
    if constexpr (stays_packed<S>) {
      weights_ = weights_type(codes, -S::storage::min);
    } else {
      weights_ = weights_type(codes);
    }
  }

  [[nodiscard]] index inputs() const noexcept { return weights_.k(); }
  [[nodiscard]] index outputs() const noexcept { return weights_.n(); }
  [[nodiscard]] const weights_type& weights() const noexcept { return weights_; }
  [[nodiscard]] const quant_params& input_params() const noexcept { return input_params_; }
  [[nodiscard]] index bytes() const noexcept {
    index proofs = 0;
    if constexpr (!stays_packed<S>) proofs = weights_.proof_bytes();
    return weights_.bytes() + proofs + output_.bytes() + zeros_.bytes();
  }

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    using limits = std::numeric_limits<code>;
    visit_params(self.input_params_, parts);
    parts.weights("weights", self.weights_);
    if constexpr (Parts::loads) {
      expect_valid_params(parts.place(), "input_params", self.input_params_, limits::min(),
                          limits::max());
      expect_packed<S>(parts.place(), self.weights_, self.outputs(), self.inputs(), self.inputs());
      expect(self.inputs() <= weights_type::max_depth, parts.place(), "number of inputs",
             self.inputs(), "at most " + std::to_string(weights_type::max_depth));
    }
    visit_zeros<S>(self.zeros_, parts, self.outputs());
    output_type::visit_parts(self.output_, parts, self.outputs());
  }

  /// Sums of the rows of codes, if weights have zero points.
  [[nodiscard]] index memory_bytes(index rows) const noexcept {
    return S::is_affine ? rows * index{sizeof(std::int32_t)} : 1;
  }
  [[nodiscard]] index worker_bytes(index rows) const noexcept {
    return std::max(gemm::scratch_bytes(weights_, rows), index{1});
  }

  template <class Out, class E>
  void run(const code_rows<code>& x, const output_rows<Out>& y, std::byte* memory,
           workspace& workers, const E& executor) const noexcept {
    auto* sums = reinterpret_cast<std::int32_t*>(memory);
    if constexpr (S::is_affine) {
      executor.for_each(y.rows, [&](index r) { sums[r] = gemm::sum_of_codes(x.row(r), inputs()); });
    }
    const Eigen::Map<const row_matrix<code>, 0, Eigen::OuterStride<>> a(
        x.data, y.rows, inputs(), Eigen::OuterStride<>(x.stride));
    with_stages(sums, [&](const auto& stages) {
      gemm::multiply(a, weights_, y.matrix(), stages, workers, executor);
    });
  }

  /// A row at a time, k in chunks.
  template <class Out>
  void run_on_stack(const code_rows<code>& x, const output_rows<Out>& y,
                    std::byte* memory) const noexcept {
    for (index r = 0; r < y.rows; ++r) {
      std::int32_t row_sum = 0;
      with_stages(&row_sum, [&](const auto& stages) {
        gemm::multiply_row_in_chunks<code>(
            weights_, [row = x.row(r)](index k, index, code*) { return row + k; },
            y.data + r * y.stride, stages, memory, S::is_affine ? &row_sum : nullptr);
      });
    }
  }

 private:
  /// Calls f(stages); row_sums are those of the codes, for weights with zero points.
  template <class F>
  // NOLINTNEXTLINE(bugprone-exception-escape): stages were checked when the layer was made
  FEWBIT_ALWAYS_INLINE void with_stages([[maybe_unused]] const std::int32_t* row_sums,
                                        const F& f) const noexcept {
    if constexpr (S::is_affine) {
      f(gemm::subtract_outer(row_sums, zeros_.data()) | output_.stages());
    } else {
      f(output_.stages());
    }
  }

  weights_type weights_;
  quant_params input_params_;
  stored_array<std::int32_t> zeros_;
  output_type output_;
};

}  // namespace detail

/// y(i, j) = clamp(round(T * factor(j)) + zero_point), T the exact integer sum of
/// (x_code - x_zero) * (w_code - w_zero) + bias(j). Weights of 1 to 4 bits stay packed.
///
/// @tparam S     integers of up to 8 bits, a scale for each row or matrix
/// @tparam In    std::int8_t, std::uint8_t, or std::int16_t (ops/integer16.hpp)
/// @tparam Mode  rounding mode of core/fixed_point.hpp
template <Scheme S, class In, class Out, class Mode, class Arch>
class linear<S, integer_only<In, Out, Mode>, Arch>
    : public layer<detail::integer_product<S, integer_only<In, Out, Mode>, Arch>>,
      public detail::saved_layer<linear<S, integer_only<In, Out, Mode>, Arch>> {
  using kind = integer_only<In, Out, Mode>;
  using product = detail::integer_product<S, kind, Arch>;
  using base = layer<product>;
  using parts = detail::integer_parts<S, kind>;
  static constexpr const char* name = product::name;

 public:
  /// 0 x 0.
  linear() = default;

  /// @param bias  real numbers, one for each output or none; they become multiples of S_in * S_w
  /// @throws fewbit::error if weights are empty, if bias has another length or is not finite, if a
  ///         parameter is no scale or zero point, if Mode cannot hold a factor, or if a sum could
  ///         leave int32
  linear(const quantized_matrix<S>& weights, const Eigen::Ref<const Eigen::VectorXf>& bias,
         const quant_params& input_params, const integer_options& options)
      : linear(weights, parts::bias(name, weights, bias, input_params), input_params, options) {}
  /// @param bias  multiples of S_in * S_w, one for each output or none
  linear(const quantized_matrix<S>& weights, std::span<const std::int32_t> bias,
         const quant_params& input_params, const integer_options& options)
      : base(product(weights, bias, input_params,
                     parts::output(name, weights, input_params, options))) {}
  /// With multipliers that were computed elsewhere, one for each output. Scales of weights and
  /// outputs are not used. The zero point of outputs may lie up to 127 outside the codes.
  linear(const quantized_matrix<S>& weights, std::span<const std::int32_t> bias,
         std::span<const fixed_multiplier> multipliers, std::int32_t input_zero_point,
         const integer_options& options)
      : base(product(weights, bias, quant_params{1.0F, input_zero_point},
                     parts::output(name, multipliers, options))) {}
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
