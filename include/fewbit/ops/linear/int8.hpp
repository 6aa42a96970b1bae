#pragma once
/// The linear layer: Y = X W^T + bias with quantized weights, and activations quantized or not.
///
///     linear<int8_per_row> dynamic(weights, bias);                // X quantized at each call
///     linear<int8_per_row, static_uint8> fixed(weights, bias, p); // X quantized with calibrated p
///     linear<int8_per_row, float_inputs> real(weights, bias);     // weights alone are quantized
///     linear<binary_per_row, binary_inputs> xnor(weights, bias);  // X one bit each
///     dynamic(inputs, outputs);                                   // no allocation, no exception
///
/// Weights may have any scheme of up to 8 bits whose scales do not vary along a row, or vary by
/// groups. Here the real numbers of quant/ meet the integers of gemm/: sums of codes are exact in
/// int32, and scales are applied to them afterwards. This file has the layer of rows with a scale
/// each, whose weights of up to four bits stay packed, of static inputs by weights in groups, and
/// of codebooks; others specialise it. Codebooks that are to be learned from float weights need
/// codebook/lloyd_max.hpp. Read next: quant/arrays.hpp (how X becomes codes),
/// ops/linear/grouped.hpp (dynamic_int8 by weights in groups), ops/linear/float_inputs.hpp
/// (float_inputs), ops/linear/bit_planes.hpp (binary_inputs and others of few bits).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "fewbit/core/executor.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/few_bits/multiply.hpp"
#include "fewbit/gemm/int8/multiply.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/gemm/sum_of_codes.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/output.hpp"
#include "fewbit/ops/linear/weight_table.hpp"
#include "fewbit/quant/arrays.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Scales of a block of k applied to its integer sum:
/// so_far + (sum - zero_W * sum of X - zero_X * (sum of W - depth * zero_W)) * scale.
template <bool AffineWeights, bool AffineInputs>
struct scale_blocks_stage : gemm::block_stage {
  using total = float;

  index channels;
  index blocks;
  const float* scales;                // [block][channel]
  const std::int32_t* zero_points;    // [block][channel], of W
  const std::int32_t* input_offsets;  // [block][channel], zero_point(X) * (...)
  const std::int32_t* row_sums;       // [row][block], of X

  template <class T, class V>
  FEWBIT_ALWAYS_INLINE T operator()(const T& so_far, const V& sum, index block,
                                    const gemm::at& where) const noexcept {
    V value = sum;
    if constexpr (AffineWeights) {
      const V zero = where.template columns<V>(zero_points + block * channels);
      const V moved = arch::multiply_wrapping(V(row_sums[where.row * blocks + block]), zero);
      value = arch::subtract_wrapping(value, moved);
    }
    if constexpr (AffineInputs) {
      value = arch::subtract_wrapping(value,
                                      where.template columns<V>(input_offsets + block * channels));
    }
    const T scale = where.template columns<T>(scales + block * channels);
    return so_far + arch::rounded(T(arch::convert<float>(value) * scale));
  }
};

/// The same as the first stage of an epilogue, where all of k is one block.
template <class Blocks>
struct scale_sums : gemm::stage {
  Blocks blocks;

  explicit scale_sums(const Blocks& b) noexcept : blocks(b) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, float> operator()(const V& sum,
                                                         const gemm::at& where) const noexcept {
    return blocks(arch::rebind<V, float>(0.0F), sum, 0, where);
  }
};

/// Weights of up to four bits stay packed where sums take all of a row.
template <Scheme S>
inline constexpr bool stays_packed =
    !CodebookScheme<S> && S::storage::bits <= 4 && scale_depth<typename S::granularity> == 0;

}  // namespace detail

/// A linear layer of n outputs and k inputs.
///
/// Weights of 1 to 4 bits stay so (gemm/few_bits/weights.hpp) if a scale is that of a row or more,
/// others are multiplied as bytes, and so are the levels of a codebook. Scales are the floats of
/// quantize(), not rounded. A weight scale may be 0: its weights are 0.
///
/// @tparam S       scheme of the weights; with dynamic inputs a codebook, or a scale for a row or
///                 more
/// @tparam Inputs  dynamic_int8, static_int8 or static_uint8
/// @tparam Arch    instruction set, for comparing; programs leave it alone
///
/// y(i, j) = sum over blocks b of rne(float(T) * s(b, j)) [* s_x(i) if dynamic] + bias(j), where T
/// is the exact integer sum over block b of (x_code - x_zero) * (w_code - w_zero), and s is the
/// weight scale, times the input scale if static. The float operations are in that order,
/// uncontracted, so results are the same bits everywhere. Of a codebook w_code is the level itself,
/// rne(127 * level), which is off by 1/254 of the scale at most, s the weight scale / 127, and a
/// weight takes a byte here; float_inputs keep levels and few bits.
template <LinearWeights S, class Inputs, class Arch>
class linear {
  static_assert(!S::has_minimum,
                "fewbit: weights with minima (real_minimum) take dynamic_int8, "
                "dynamic_int8_groups or float_inputs");
  static_assert(Scheme<S>,
                "fewbit: a layer of product quantization takes dynamic_int8 or float_inputs");
  static_assert(!std::is_same_v<Inputs, dynamic_int8_groups>,
                "fewbit: dynamic_int8_groups take weights in groups, as those of int4_grouped<32>");

 public:
  using input_code = typename Inputs::code;
  using weights_type =
      std::conditional_t<detail::stays_packed<S>, gemm::few_bit_weights<S::storage::bits, Arch>,
                         gemm::int8_weights<input_code, gemm::default_kernel<input_code, Arch>>>;

  /// 0 x 0.
  linear() = default;

  /// Quantizes and packs float weights, n x k; bias has n values or none.
  /// @throws fewbit::error if weights are empty or not finite, or as the other constructor does
  explicit linear(const Eigen::Ref<const row_matrix<float>>& weights,
                  const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                  const linear_options& options = {})
    requires(!Inputs::is_static)
      : linear(detail::quantized_weights<S>(weights), bias, options) {}
  linear(const Eigen::Ref<const row_matrix<float>>& weights,
         const Eigen::Ref<const Eigen::VectorXf>& bias, const quant_params& input_params,
         const linear_options& options = {})
    requires(Inputs::is_static)
      : linear(detail::quantized_weights<S>(weights), bias, input_params, options) {}

  /// Packs quantized weights.
  /// @throws fewbit::error if weights are empty, if bias has another length or is not finite, if a
  ///         parameter is no scale or zero point, if k is so deep that a sum could leave int32, or
  ///         if scales are so large that a total could leave float, whatever the scale of dynamic
  ///         inputs; with static inputs if a weight scale times that of the inputs is no float of
  ///         12 significant bits
  explicit linear(const quantized_matrix<S>& weights,
                  const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                  const linear_options& options = {})
    requires(!Inputs::is_static)
      : linear(weights, bias, quant_params{}, options, 0) {}
  linear(const quantized_matrix<S>& weights, const Eigen::Ref<const Eigen::VectorXf>& bias,
         const quant_params& input_params, const linear_options& options = {})
    requires(Inputs::is_static)
      : linear(weights, bias, input_params, options, 0) {}

  [[nodiscard]] index inputs() const noexcept { return weights_.k(); }
  [[nodiscard]] index outputs() const noexcept { return weights_.n(); }
  [[nodiscard]] const quant_params& input_params() const noexcept { return input_params_; }
  [[nodiscard]] const linear_options& options() const noexcept { return options_; }

  /// Y = X W^T + bias, with the layer's own scratch memory: one call at a time.
  ///
  /// @param x  m x k floats; for static inputs codes (input_code) as well
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
    using code = std::conditional_t<Inputs::is_static, input_code, float>;
    if constexpr (detail::takes_operands<X, Y, code>()) {
      detail::expect_call("linear", x, y, inputs(), outputs(), options_);
      if (outputs() == 0) return;
      detail::expect_room("linear", "scratch.rows", scratch.rows, layout().bytes);
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      for (index first = 0; first < from.rows(); first += detail::rows_at_a_time) {
        const index count = std::min(detail::rows_at_a_time, from.rows() - first);
        run_rows(from, to, first, count, scratch, executor);
      }
    }
  }

  /// Grows scratch memory to what this layer needs with an executor of `workers` threads. Layers
  /// that are called one after the other may share one.
  /// @throws fewbit::error unless workers >= 1
  void reserve(linear_scratch& scratch, index workers = 1) const {
    detail::expect(workers >= 1, "linear", "workers", workers, "at least 1");
    scratch.rows.reserve(layout().bytes);
    scratch.workers.reserve(gemm::scratch_bytes(weights_), workers);
  }

  /// Scratch memory of its own, as reserve() makes it.
  [[nodiscard]] linear_scratch make_scratch(index workers = 1) const {
    linear_scratch scratch;
    reserve(scratch, workers);
    return scratch;
  }

  /// Bytes held by the packed weights, scales and zero points.
  [[nodiscard]] index bytes() const noexcept {
    return weights_.bytes() + (scales_.size() + bias_.size()) * index{sizeof(float)} +
           (zero_points_.size() + input_offsets_.size()) * index{sizeof(std::int32_t)};
  }

 private:
  static constexpr int input_min =
      Inputs::is_static ? std::numeric_limits<input_code>::min() : -127;
  static constexpr int input_max = std::numeric_limits<input_code>::max();
  static constexpr index block_depth = detail::scale_depth<typename S::granularity>;

  linear(const quantized_matrix<S>& weights, const Eigen::Ref<const Eigen::VectorXf>& bias,
         const quant_params& input_params, const linear_options& options, int)
      : input_params_(input_params), options_(options) {
    detail::expect_multipliable<S>();
    detail::expect_not_empty("linear", "weights", weights.rows(), weights.cols());
    detail::expect_valid_bias("linear", bias, weights.rows());
    detail::expect_valid_params("linear", "input_params", input_params, input_min, input_max);
    detail::expect_valid_options("linear", options);
    expect_depth(weights.cols());
    if constexpr (!Inputs::is_static) detail::expect_finite_totals(weights, input_max);
    const row_matrix<std::int8_t> codes = detail::signed_codes(weights);
    weights_ = weights_type(codes, detail::stays_packed<S> ? -S::storage::min : block_depth);
    bias_ = detail::bias_or_zeros(bias, weights.rows());
    scales_ = detail::block_table<float>(weights, [&](index j, index c) {
      return Inputs::is_static ? product_scale(weights, codes, j, c)
                               : detail::signed_code_scale(weights, j, c);
    });
    if constexpr (S::is_affine) {
      zero_points_ = detail::block_table<std::int32_t>(weights, [&](index j, index c) {
        return weights.zero_point(j, c) - detail::code_shift<S>;
      });
    }
    if constexpr (Inputs::is_static) {
      input_offsets_ = detail::block_table<std::int32_t>(weights, [&](index j, index c) {
        const index depth = depth_from(c);
        const int zero = weights.zero_point(j, c) - detail::code_shift<S>;
        return input_params.zero_point *
               (gemm::sum_of_codes(codes.data() + j * codes.cols() + c, depth) -
                static_cast<int>(depth) * zero);
      });
    }
    scratch_ = make_scratch();
  }

  /// The deepest sum of (x - x_zero) * (w - w_zero), both as large as codes allow, must fit int32,
  /// and so must the sum of x * w that the kernel takes.
  void expect_depth(index k) const {
    const int zero = input_params_.zero_point;
    const int x_most = std::max(input_max - zero, zero - input_min);
    const index most =
        std::min(weights_type::max_depth, index{std::numeric_limits<std::int32_t>::max()} /
                                              (x_most * detail::largest_signed_code<S>));
    const index depth = block_depth == 0 ? k : std::min(k, block_depth);
    detail::expect(depth <= most, "linear", "number of inputs", k,
                   "at most " + std::to_string(most));
  }

  /// Weight scale times input scale of static inputs; 0 where no code counts.
  [[nodiscard]] float product_scale(const quantized_matrix<S>& weights,
                                    const row_matrix<std::int8_t>& codes, index j, index c) const {
    constexpr float least = 0x1p-138F;  // 12 significant bits
    const int zero = weights.zero_point(j, c) - detail::code_shift<S>;
    const auto group = codes.row(j).segment(c, std::min(depth_from(c), codes.cols() - c));
    const float scale = detail::signed_code_scale(weights, j, c);
    if (scale == 0.0F || (group.template cast<int>().array() == zero).all()) return 0.0F;
    const float product = scale * input_params_.scale;
    const auto fail = [&](const char* want) {
      detail::fail("linear", "scale of " + detail::element("weights", j, c) + " times input scale",
                   product, want);
    };
    if (!detail::is_finite(product)) fail("a finite number");
    if (product < least) fail("at least 2^-138");
    return product;
  }

  /// Depth of the block of k that begins at c.
  [[nodiscard]] index depth_from(index c) const noexcept {
    return block_depth == 0 ? inputs() : std::min(block_depth, inputs() - c);
  }

  /// Where things stand in scratch.rows, in bytes.
  struct row_layout {
    index scales, sums, bytes;
  };
  [[nodiscard]] row_layout layout() const noexcept {
    constexpr index rows = detail::rows_at_a_time;
    const index codes = (rows * inputs() + 63) / 64 * 64;
    const index scales = codes + rows * index{sizeof(float)};
    const index sums = S::is_affine ? rows * detail::scale_blocks<S>(inputs()) : 0;
    return {codes, scales, scales + sums * index{sizeof(std::int32_t)}};
  }

  template <class X, class Y, class E>
  void run_rows(const X& x, Y& y, index first, index count, linear_scratch& scratch,
                const E& executor) const noexcept {
    const row_layout place = layout();
    std::byte* memory = scratch.rows.slot(0);
    auto* scales = reinterpret_cast<float*>(memory + place.scales);
    std::int32_t* sums = nullptr;
    if constexpr (S::is_affine) sums = reinterpret_cast<std::int32_t*>(memory + place.sums);
    if constexpr (RowMajorDense<X, float>) {
      auto* codes = reinterpret_cast<input_code*>(memory);
      executor.for_each(count, [&](index r) {
        const float* row = x.data() + (first + r) * x.outerStride();
        scales[r] = encode_row(row, codes + r * inputs());
        sum_row(codes + r * inputs(), r, sums);
      });
      const Eigen::Map<const row_matrix<input_code>> a(codes, count, inputs());
      multiply(a, y, first, scales, sums, scratch.workers, executor);
    } else {
      const auto a = x.middleRows(first, count);
      executor.for_each(S::is_affine ? count : 0,
                        [&](index r) { sum_row(a.data() + r * a.outerStride(), r, sums); });
      multiply(a, y, first, scales, sums, scratch.workers, executor);
    }
  }

  /// Codes of one row; answers its scale.
  float encode_row(const float* x, input_code* codes) const noexcept {
    quant_params params = input_params_;
    if constexpr (!Inputs::is_static) {
      params.scale = detail::dynamic_scale(detail::finite_amax(x, inputs()));
    }
    detail::row_quantizer<input_code>(params, input_min, input_max)(x, inputs(), codes);
    return params.scale;
  }

  /// Sums of each block of row r, for the zero points of the weights.
  void sum_row(const input_code* codes, index r, std::int32_t* sums) const noexcept {
    if constexpr (S::is_affine) {
      const index blocks = detail::scale_blocks<S>(inputs());
      for (index b = 0; b < blocks; ++b) {
        const index c = b * block_depth;
        sums[r * blocks + b] = gemm::sum_of_codes(codes + c, depth_from(c));
      }
    }
  }

  template <class A, class Y, class E>
  void multiply(const A& a, Y& y, index first, const float* scales, const std::int32_t* sums,
                workspace& workers, const E& executor) const noexcept {
    const auto finish = [&](const auto& stages) {
      detail::scale_blocks_stage<S::is_affine, Inputs::is_static> blocks;
      blocks.channels = outputs();
      blocks.blocks = detail::scale_blocks<S>(inputs());
      blocks.scales = scales_.data();
      blocks.zero_points = zero_points_.data();
      blocks.input_offsets = input_offsets_.data();
      blocks.row_sums = sums;
      auto c = y.middleRows(first, a.rows());
      if constexpr (block_depth == 0) {
        gemm::multiply(a, weights_, c, detail::scale_sums(blocks) | stages, workers, executor);
      } else {
        gemm::multiply(a, weights_, c, stages, workers, executor, blocks);
      }
    };
    detail::with_output_stages<gemm::detail::scalar_of<Y>>(
        bias_.data(), options_, [&](const auto& rest) {
          if constexpr (Inputs::is_static) {
            finish(rest);
          } else {
            finish(gemm::scale_rows(scales) | rest);
          }
        });
  }

  weights_type weights_;
  aligned_buffer<float> bias_;
  aligned_buffer<float> scales_;
  aligned_buffer<std::int32_t> zero_points_;
  aligned_buffer<std::int32_t> input_offsets_;
  quant_params input_params_;
  linear_options options_;
  linear_scratch scratch_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
