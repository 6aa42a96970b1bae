#pragma once
/// The linear layer whose weights stand in groups and stay as they are stored, 1 to 8 bits each.
///
/// This is linear<S, dynamic_int8> and linear<S, dynamic_int8_groups> of all grouped schemes. A
/// product of few rows takes as long as reading its weights, and these are 4.5 bits each where 4
/// bits stand in groups of 32: scales are rounded to 12 significant bits when weights are packed
/// (gemm::short_scales); those of whole rows are few, and ops/linear/int8.hpp keeps them as they
/// are. A scale may be 0: its weights are 0.
/// Read next: gemm/few_bits/multiply_grouped.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "fewbit/core/executor.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/few_bits/multiply_grouped.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/grouped_weights.hpp"
#include "fewbit/ops/linear/output.hpp"
#include "fewbit/ops/linear/weight_table.hpp"
#include "fewbit/quant/arrays.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Codes of a row of floats, as grouped_lhs asks for them; after the last comes the first again.
struct encoded_row {
  const float* x;
  index length;
  const row_quantizer<std::int8_t>& quantizer;

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(index k) const noexcept {
    const index begin = k < length ? k : k - length;
    return quantizer.encode(arch::load<arch::rebind<V, float>>(x + begin));
  }
};

/// A row of floats whose groups have scales of their own.
struct scaled_groups {
  const float* x;  ///< nullptr: a row of zeros

  struct group {
    const float* x;
    float scale;
    row_quantizer<std::int8_t> quantizer;

    template <class V>
    FEWBIT_ALWAYS_INLINE V operator()(index k) const noexcept {
      return quantizer.encode(arch::load<arch::rebind<V, float>>(x + k));
    }
  };

  /// Columns begin .. end - 1.
  [[nodiscard]] group of_group(index begin, index end) const noexcept {
    const float scale = dynamic_scale(begin < end ? finite_amax(x + begin, end - begin) : 0.0F);
    return {x, scale, {{scale, 0}, -127, 127}};
  }
};

/// What layers have in common that quantize rows of inputs at each call and multiply them by stored
/// weights: all but the way to these.
///
/// @tparam Copies  how often each row of inputs stands along a row of weights, in groups of its
///                 length
/// @tparam Scaled  whether each group of inputs has a scale of its own, and not each row
template <class Weights, int Copies = 1, bool Scaled = false>
class layer_of_stored {
  static_assert(!Scaled || Copies == 1, "fewbit: groups of inputs that stand twice have no scale");

 public:
  using weights_type = Weights;

  [[nodiscard]] index inputs() const noexcept { return weights_.k() / Copies; }
  [[nodiscard]] index outputs() const noexcept { return weights_.n(); }
  [[nodiscard]] const linear_options& options() const noexcept { return options_; }

  /// Y = X W^T + bias, with the layer's own scratch memory: one call at a time.
  ///
  /// @param x  m x k floats. A NaN counts as 0, an infinity as the last code of its side
  /// @param y  m x n, no part of x; floats, or std::int8_t / std::uint8_t codes under
  ///           options().output_params, which must be given with a zero point that is one of them
  /// Both are row-major, or compile-time vectors, each one row. If they do not fit the layer or
  /// each other, the program ends (core/operands.hpp).
  template <class X, class Y>
  void operator()(const X& x, Y&& y) noexcept {
    std::as_const (*this)(x, y, scratch_);
  }

  /// The same with the caller's scratch memory, from make_scratch() or reserve(); any number of
  /// threads may call at once, each with its own. If it is too small, the program ends. The
  /// executor shares out the work of this one call. If it throws, std::terminate is called.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, linear_scratch& scratch,
                  const E& executor = {}) const noexcept {
    if constexpr (takes_operands<X, Y>()) {
      expect_call(name, x, y, inputs(), outputs(), options_);
      if (outputs() == 0) return;
      expect_room(name, "scratch.rows", scratch.rows, row_bytes());
      const auto& from = rows_of(x);
      auto&& to = rows_of(y);
      for (index first = 0; first < from.rows(); first += rows_at_a_time) {
        const index count = std::min(rows_at_a_time, from.rows() - first);
        run_rows(from, to, first, count, scratch, executor);
      }
    }
  }

  /// Grows scratch memory to what this layer needs with an executor of `workers` threads. Layers
  /// that are called one after the other may share one.
  /// @throws fewbit::error unless workers >= 1
  void reserve(linear_scratch& scratch, index workers = 1) const {
    expect(workers >= 1, name, "workers", workers, "at least 1");
    scratch.rows.reserve(row_bytes());
  }

  /// Scratch memory of its own, as reserve() makes it.
  [[nodiscard]] linear_scratch make_scratch(index workers = 1) const {
    linear_scratch scratch;
    reserve(scratch, workers);
    return scratch;
  }

  /// Bytes held by the packed weights, their scales and zero points, and the bias.
  [[nodiscard]] index bytes() const noexcept {
    return weights_.bytes() + bias_.size() * index{sizeof(float)};
  }

 protected:
  layer_of_stored() = default;

  /// @throws fewbit::error if bias has another length or is not finite, or if an output parameter
  ///         is no scale or zero point
  layer_of_stored(Weights&& weights, const Eigen::Ref<const Eigen::VectorXf>& bias,
                  const linear_options& options)
      : weights_(std::move(weights)), options_(options) {
    expect_valid_bias(name, bias, outputs());
    expect_valid_options(name, options);
    bias_ = bias_or_zeros(bias, outputs());
    scratch_ = make_scratch();
  }

  /// What the user calls it.
  static constexpr const char* name = Copies == 1 ? "linear" : "two_scale_linear";

 private:
  using lhs = gemm::grouped_lhs<Weights, Scaled>;

  /// Scales of the rows, then their codes.
  [[nodiscard]] index row_bytes() const noexcept {
    constexpr index rows = rows_at_a_time;
    return outputs() == 0 ? 0 : rows * index{sizeof(float)} + lhs::bytes(weights_, rows);
  }

  template <class X, class Y, class E>
  void run_rows(const X& x, Y& y, index first, index count, linear_scratch& scratch,
                const E& executor) const noexcept {
    std::byte* memory = scratch.rows.slot(0);
    auto* scales = reinterpret_cast<float*>(memory);
    lhs a(weights_, count, memory + rows_at_a_time * index{sizeof(float)});
    executor.for_each(a.padded_rows(), [&](index r) {
      const float* row = r < count ? x.data() + (first + r) * x.outerStride() : nullptr;
      if constexpr (Scaled) {
        a.fill_row(r, scaled_groups{row});
      } else {
        const float scale = dynamic_scale(r < count ? finite_amax(row, inputs()) : 0.0F);
        const row_quantizer<std::int8_t> quantizer({scale, 0}, -127, 127);
        a.fill_row(r, encoded_row{row, inputs(), quantizer});
        if (r < count) scales[r] = scale;
      }
    });
    with_output_stages<gemm::detail::scalar_of<Y>>(bias_.data(), options_, [&](const auto& rest) {
      auto to = y.middleRows(first, count);
      if constexpr (Scaled) {
        gemm::multiply_grouped(a, weights_, to, rest, executor);
      } else {
        gemm::multiply_grouped(a, weights_, to, gemm::scale_rows(scales) | rest, executor);
      }
    });
  }

  Weights weights_;
  aligned_buffer<float> bias_;
  linear_options options_;
  linear_scratch scratch_;
};

/// The layer of a scheme.
template <Scheme S, class Inputs, class Arch>
using layer_of_scheme =
    layer_of_stored<grouped_weights_of<S, Arch>, 1, std::is_same_v<Inputs, dynamic_int8_groups>>;

/// Inputs that become 8-bit codes at each call.
template <class Inputs>
concept DynamicInt8 =
    std::is_same_v<Inputs, dynamic_int8> || std::is_same_v<Inputs, dynamic_int8_groups>;

}  // namespace detail

/// A linear layer of n outputs and k inputs that are quantized at each call.
///
/// y(i, j) = s_x(i) * (sum over groups g of rne(float(T) * s(j, g))) + bias(j), where T is the
/// exact integer sum over group g of x_code * (w_code - w_zero), s the weight scale rounded to 12
/// significant bits and s_x(i) = max|x(i)| / 127 of the finite inputs. The float operations are in
/// that order, uncontracted, so results are the same bits everywhere.
///
/// Weights with minima (real_minimum) add rne(float(sum of x_code over g) * minimum(j, g)) to the
/// sum over groups, after the product of each group.
///
/// With dynamic_int8_groups y(i, j) = sum over g of rne(rne(float(T) * s(j, g)) * s_x(i, g)), plus
/// bias(j), where s_x(i, g) = max|x(i)| / 127 of the finite inputs of group g.
template <Scheme S, detail::DynamicInt8 Inputs, class Arch>
  requires detail::MultipliedAsStored<S>
class linear<S, Inputs, Arch> : public detail::layer_of_scheme<S, Inputs, Arch> {
 public:
  /// 0 x 0.
  linear() = default;

  /// Quantizes and packs float weights, n x k; bias has n values or none.
  /// @throws fewbit::error if weights are empty or not finite, or as the other constructor does
  explicit linear(const Eigen::Ref<const row_matrix<float>>& weights,
                  const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                  const linear_options& options = {})
      : linear(detail::quantized_weights<S>(weights), bias, options) {}

  /// Packs quantized weights.
  /// @throws fewbit::error if weights are empty, if bias has another length or is not finite, if an
  ///         output parameter is no scale or zero point, if groups are so deep that a sum could
  ///         leave int32, or if scales are so large that a total could leave float, whatever the
  ///         inputs
  explicit linear(const quantized_matrix<S>& weights,
                  const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                  const linear_options& options = {})
      : detail::layer_of_scheme<S, Inputs, Arch>(detail::pack_for_int8<Arch>(weights), bias,
                                                 options) {}
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
