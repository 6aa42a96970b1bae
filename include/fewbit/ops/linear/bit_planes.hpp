#pragma once
/// The linear layer of a few bits on both sides: linear<S, binary_inputs> and its kin.
///
///     linear<binary_per_row, binary_inputs> xnor(weights, bias);     // XNOR-Net
///     linear<binary_per_row, ternary_inputs> tbn(weights, bias);     // ternary by binary
///     linear<int2_per_row, unsigned_inputs<2>> w2a2(weights, bias);  // after a ReLU
///
/// Codes of both sides are bit planes, multiplied by counting bits or, two bits by two where that
/// is faster, through tables: exact at every length, and the cheaper the fewer bits there are. Read
/// before: ops/linear/bit_inputs.hpp (rows to codes). Read next: gemm/bit_planes/formats.hpp,
/// gemm/bit_planes/multiply.hpp, gemm/lookup/multiply.hpp.
/// Sources: XNOR-Net, arXiv:1603.05279; TBN, Wan et al. 2018, ECCV; DoReFa-Net, arXiv:1606.06160.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "fewbit/core/executor.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/bit_planes/formats.hpp"
#include "fewbit/gemm/bit_planes/multiply.hpp"
#include "fewbit/gemm/bit_planes/weights.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/lookup/multiply.hpp"
#include "fewbit/gemm/lookup/weights.hpp"
#include "fewbit/ops/linear/bit_inputs.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/output.hpp"
#include "fewbit/ops/linear/weight_table.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

template <class Inputs>
inline constexpr bool are_bit_inputs = false;
template <>
inline constexpr bool are_bit_inputs<binary_inputs> = true;
template <>
inline constexpr bool are_bit_inputs<ternary_inputs> = true;
template <int Bits, bool Signed>
inline constexpr bool are_bit_inputs<few_bit_inputs<Bits, Signed>> = true;

/// Inputs that become bit planes.
template <class Inputs>
concept BitInputs = are_bit_inputs<Inputs>;

/// The formats in which inputs and weights of a storage meet: codes of -1, 0 and 1 go by the
/// cheapest product there is for both, all others by two's complement.
template <class Inputs, Storage St>
struct bit_pair {
  using lhs = gemm::signed_bits<2>;
  using rhs = gemm::signed_bits<St::bits>;
};
template <class Inputs>
struct bit_pair<Inputs, ternary> {
  using lhs = gemm::ternary_bits;
  using rhs = gemm::ternary_bits;
};
template <>
struct bit_pair<binary_inputs, binary> {
  using lhs = gemm::binary_bits;
  using rhs = gemm::binary_bits;
};
template <>
struct bit_pair<ternary_inputs, binary> {
  using lhs = gemm::ternary_bits;
  using rhs = gemm::binary_bits;
};
template <int Bits, bool Signed, class St>
struct few_bit_pair {
  using lhs = std::conditional_t<Signed, gemm::signed_bits<Bits>, gemm::unsigned_bits<Bits>>;
  using rhs = gemm::signed_bits<std::max(St::bits, 2)>;
};
template <int Bits, bool Signed, Storage St>
struct bit_pair<few_bit_inputs<Bits, Signed>, St> : few_bit_pair<Bits, Signed, St> {};
template <int Bits, bool Signed>
struct bit_pair<few_bit_inputs<Bits, Signed>, ternary> : few_bit_pair<Bits, Signed, ternary> {};

/// Formats of two bits that an instruction set multiplies faster by tables.
template <class Lhs, class Rhs, class Arch>
concept MultipliedByTables = gemm::TwosComplement<Lhs> && gemm::TwosComplement<Rhs> &&
                             Lhs::planes <= 2 && Rhs::planes <= 2 && gemm::table_beats_planes<Arch>;

/// How the weights of a pair of formats are kept.
template <class Lhs, class Rhs, class Arch>
struct bit_weights {
  using type = gemm::plane_weights<Lhs, Rhs, gemm::default_bit_unit<Arch>>;
};
template <class Lhs, class Rhs, class Arch>
  requires MultipliedByTables<Lhs, Rhs, Arch>
struct bit_weights<Lhs, Rhs, Arch> {
  using type = gemm::table_weights<Lhs, Rhs, gemm::default_table_unit<Arch>>;
};

}  // namespace detail

/// A linear layer of n outputs and k inputs that become codes of a few bits at each call.
///
/// @tparam S       symmetric scheme of the weights, of up to 8 bits, with scales per row or coarser
/// @tparam Inputs  binary_inputs, ternary_inputs, few_bit_inputs<B> or unsigned_inputs<B>
///
/// y(i, j) = rne(rne(float(T) * s(j)) * s_x(i)) + bias(j), where T is the exact integer sum over k
/// of x_code * w_code, s the weight scale and s_x(i) the scale of row i. The float operations are
/// in that order, uncontracted, so results are the same bits everywhere.
template <Scheme S, class Inputs, class Arch>
  requires detail::BitInputs<Inputs>
class linear<S, Inputs, Arch> {
  static_assert(S::storage::bits <= 8, "fewbit: operators take weights of up to 8 bits");
  static_assert(!CodebookScheme<S>,
                "fewbit: a layer of bit planes takes integers; the levels of a codebook are none");
  static_assert(!S::is_affine && !S::has_minimum,
                "fewbit: a layer of bit planes takes symmetric weights, which have no zero points");
  static_assert(detail::scale_depth<typename S::granularity> == 0,
                "fewbit: a layer of bit planes takes one scale for each row of weights, or fewer");
  using pair = detail::bit_pair<Inputs, typename S::storage>;

 public:
  using input_code = typename Inputs::code;
  using weights_type =
      typename detail::bit_weights<typename pair::lhs, typename pair::rhs, Arch>::type;

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
  ///         output parameter is no scale or zero point, if k is so deep that a sum could leave
  ///         int32, or if scales are so large that a total could leave float, whatever the inputs
  explicit linear(const quantized_matrix<S>& weights,
                  const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                  const linear_options& options = {})
      : options_(options) {
    detail::expect_not_empty("linear", "weights", weights.rows(), weights.cols());
    detail::expect_valid_bias("linear", bias, weights.rows());
    detail::expect_valid_options("linear", options);
    detail::expect(weights.cols() <= weights_type::max_depth, "linear", "number of inputs",
                   weights.cols(), "at most " + std::to_string(weights_type::max_depth));
    detail::expect_finite_totals(weights, pair::lhs::largest);
    weights_ =
        weights_type(detail::signed_codes(weights).template cast<typename weights_type::code>());
    scales_ =
        detail::block_table<float>(weights, [&](index j, index c) { return weights.scale(j, c); });
    bias_ = detail::bias_or_zeros(bias, weights.rows());
    scratch_ = make_scratch();
  }

  [[nodiscard]] index inputs() const noexcept { return weights_.k(); }
  [[nodiscard]] index outputs() const noexcept { return weights_.n(); }
  [[nodiscard]] const linear_options& options() const noexcept { return options_; }

  /// Y = X W^T + bias, with the layer's own scratch memory: one call at a time.
  ///
  /// @param x  m x k floats
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
    if constexpr (detail::takes_operands<X, Y>()) {
      detail::expect_call("linear", x, y, inputs(), outputs(), options_);
      if (outputs() == 0) return;
      detail::expect_room("linear", "scratch.rows", scratch.rows, layout().bytes);
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      for (index first = 0; first < from.rows(); first += rows_of_sums) {
        run_rows(from, to, first, std::min(rows_of_sums, from.rows() - first), scratch, executor);
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

  /// Bytes held by the packed weights, scales and bias.
  [[nodiscard]] index bytes() const noexcept {
    return weights_.bytes() + (scales_.size() + bias_.size()) * index{sizeof(float)};
  }

 private:
  /// Rows whose sums are kept: 64 rows of 4096 outputs are 1 MiB.
  static constexpr index rows_of_sums = 64;
  static constexpr int lanes = arch::native_lanes<std::int32_t>;

  /// Where things stand in scratch.rows, in bytes. A register is read at the end of each row of
  /// sums.
  struct row_layout {
    index sums, codes, bytes;
  };
  [[nodiscard]] row_layout layout() const noexcept {
    const index sums = rows_of_sums * index{sizeof(float)};
    const index codes = sums + (rows_of_sums * outputs() + lanes) * index{sizeof(std::int32_t)};
    return {sums, codes, codes + rows_of_sums * inputs()};
  }

  template <class X, class Y, class E>
  void run_rows(const X& x, Y& y, index first, index count, linear_scratch& scratch,
                const E& executor) const noexcept {
    const row_layout place = layout();
    std::byte* memory = scratch.rows.slot(0);
    auto* scales = reinterpret_cast<float*>(memory);
    auto* sums = reinterpret_cast<std::int32_t*>(memory + place.sums);
    auto* codes = reinterpret_cast<input_code*>(memory + place.codes);
    executor.for_each(count, [&](index r) {
      const float* row = x.data() + (first + r) * x.outerStride();
      scales[r] = detail::encode_row(Inputs{}, row, inputs(), codes + r * inputs());
    });
    gemm::multiply(Eigen::Map<const row_matrix<input_code>>(codes, count, inputs()), weights_,
                   Eigen::Map<row_matrix<std::int32_t>>(sums, count, outputs()), gemm::raw{},
                   scratch.workers, executor);
    using out = gemm::detail::scalar_of<Y>;
    out* to = y.data() + first * y.outerStride();
    detail::with_output_stages<out>(bias_.data(), options_, [&](const auto& rest) {
      const auto stages =
          gemm::to_float{} | gemm::scale_columns(scales_.data()) | gemm::scale_rows(scales) | rest;
      executor.for_each(count, [&](index r) {
        const gemm::detail::out_view<out> row{to, y.outerStride(), r, 0, 1, outputs()};
        gemm::detail::apply_to_rows<lanes>(sums + r * outputs(), outputs(), row, stages);
      });
    });
  }

  weights_type weights_;
  aligned_buffer<float> scales_;
  aligned_buffer<float> bias_;
  linear_options options_;
  linear_scratch scratch_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
