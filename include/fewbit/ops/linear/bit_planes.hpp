#pragma once
/// The linear layer of a few bits on both sides: linear<S, binary_inputs>, linear<S,
/// ternary_inputs>, linear<S, few_bit_inputs<B>> and linear<S, unsigned_inputs<B>>.
///
///     linear<binary_per_row, binary_inputs> xnor(weights, bias);     // XNOR-Net
///     linear<binary_per_row, ternary_inputs> tbn(weights, bias);     // ternary by binary
///     linear<int2_per_row, unsigned_inputs<2>> w2a2(weights, bias);  // after a ReLU
///
/// Codes of both sides are bit planes. Products count bits; products of two bits by two bits use
/// tables if that is faster. Sums are exact for every k. Fewer bits take less time. Read before:
/// ops/layer.hpp (calls and memory), ops/linear/bit_inputs.hpp (rows to codes). Read next:
/// gemm/bit_planes/formats.hpp, gemm/bit_planes/multiply.hpp, gemm/lookup/multiply.hpp.
/// Sources: XNOR-Net, arXiv:1603.05279; TBN, Wan et al. 2018, ECCV; DoReFa-Net, arXiv:1606.06160.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "fewbit/core/executor.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/bit_planes/formats.hpp"
#include "fewbit/gemm/bit_planes/multiply.hpp"
#include "fewbit/gemm/bit_planes/partial_sums.hpp"
#include "fewbit/gemm/bit_planes/weights.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/lookup/multiply.hpp"
#include "fewbit/gemm/lookup/partial_sums.hpp"
#include "fewbit/gemm/lookup/weights.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear/bit_inputs.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/scheme_layer.hpp"
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

/// The formats of inputs and of weights of a storage. Codes -1, 0 and 1 use the formats with the
/// fastest product. All other codes use two's complement.
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

/// Formats of up to two bits that an instruction set multiplies faster by tables.
template <class Lhs, class Rhs, class Arch>
concept MultipliedByTables = gemm::TwosComplement<Lhs> && gemm::TwosComplement<Rhs> &&
                             Lhs::planes <= 2 && Rhs::planes <= 2 && gemm::table_beats_planes<Arch>;

/// The type of the weights of a pair of formats.
template <class Lhs, class Rhs, class Arch>
struct bit_weights {
  using type = gemm::plane_weights<Lhs, Rhs, gemm::default_bit_unit<Arch>>;
};
template <class Lhs, class Rhs, class Arch>
  requires MultipliedByTables<Lhs, Rhs, Arch>
struct bit_weights<Lhs, Rhs, Arch> {
  using type = gemm::table_weights<Lhs, Rhs, gemm::default_table_unit<Arch>>;
};

/// Weights of linear<S, Inputs> in bit planes or as indices into tables, and their product.
template <Scheme S, BitInputs Inputs, class Arch>
class bit_product_of_layer {
  static_assert(S::storage::bits <= 8, "fewbit: operators take weights of up to 8 bits");
  static_assert(!CodebookScheme<S>,
                "fewbit: a layer of bit planes takes integers; levels of a codebook are floats");
  static_assert(!S::is_affine && !S::has_minimum,
                "fewbit: a layer of bit planes takes symmetric weights, which have no zero points");
  static_assert(scale_depth<typename S::granularity> == 0,
                "fewbit: a layer of bit planes takes one scale for each row of weights, or fewer");
  using pair = bit_pair<Inputs, typename S::storage>;
  using lhs_format = typename pair::lhs;
  using rhs_format = typename pair::rhs;
  static constexpr bool is_by_tables = MultipliedByTables<lhs_format, rhs_format, Arch>;

 public:
  static constexpr const char* name = "linear";
  static constexpr index most_rows = 64;
  /// The loop of bit planes keeps further sums on the stack, so this is less than
  /// usual_stack_bytes.
  static constexpr index stack_bytes = 7 * 1024 + 512;
  using inputs_type = Inputs;
  using input_code = typename Inputs::code;
  using weights_type = typename bit_weights<lhs_format, rhs_format, Arch>::type;

  bit_product_of_layer() = default;

  explicit bit_product_of_layer(const quantized_matrix<S>& weights) {
    expect_not_empty("linear", "weights", weights.rows(), weights.cols());
    expect(weights.cols() <= weights_type::max_depth, "linear", "number of inputs", weights.cols(),
           "at most " + std::to_string(weights_type::max_depth));
    expect_finite_totals(weights, lhs_format::largest);
    weights_ = weights_type(signed_codes(weights).template cast<typename weights_type::code>());
    scales_ = block_table<float>(weights, [&](index j, index c) { return weights.scale(j, c); });
  }

  [[nodiscard]] index inputs() const noexcept { return weights_.k(); }
  [[nodiscard]] index outputs() const noexcept { return weights_.n(); }
  [[nodiscard]] const weights_type& weights() const noexcept { return weights_; }
  [[nodiscard]] index bytes() const noexcept { return weights_.bytes() + scales_.bytes(); }

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    parts.weights("weights", self.weights_);
    parts.array("scales", self.scales_, self.outputs(), scale_number{});
  }

  /// Scales of the rows, then their codes.
  [[nodiscard]] index memory_bytes(index rows) const noexcept {
    return scale_bytes(rows) + rows * inputs();
  }
  [[nodiscard]] index worker_bytes(index rows) const noexcept {
    return gemm::scratch_bytes(weights_, rows);
  }

  template <class Source, class Out, class Stages, class E>
  void run(const Source& x, const output_rows<Out>& y, const Stages& rest, std::byte* memory,
           workspace& workers, const E& executor) const noexcept {
    if constexpr (Source::are_codes) {
      multiply(x, y, rest, workers, executor);
    } else {
      auto* scales = reinterpret_cast<float*>(memory);
      auto* codes = reinterpret_cast<input_code*>(memory + scale_bytes(y.rows));
      const index k = inputs();
      executor.for_each(y.rows, [&](index r) {
        const row_encoder<Inputs> encode(x.row(r), k);
        encode(0, k, codes + r * k);
        scales[r] = encode.scale();
      });
      multiply(code_rows<input_code>{codes, k, scales, 1}, y, rest, workers, executor);
    }
  }

  template <class Source, class Out, class Stages>
  void run_on_stack(const Source& x, const output_rows<Out>& y, const Stages& rest,
                    std::byte* memory) const noexcept {
    if constexpr (is_by_tables) {
      for (index r = 0; r < y.rows; ++r) row_by_tables(x.from(r), y.part(r, 1), rest, memory);
    } else {
      using plane_rows = gemm::plane_rows<lhs_format, unit>;
      constexpr index room = stack_bytes - codes_bytes;
      const index rows = std::min(room / plane_rows::bytes(1, inputs()), index{unit::rows});
      for (index first = 0; rows > 0 && first < y.rows; first += rows)
        rows_by_planes(x.from(first), y.part(first, std::min(rows, y.rows - first)), rest, memory);
      for (index r = 0; rows == 0 && r < y.rows; ++r)
        row_by_words(x.from(r), y.part(r, 1), rest, memory);
    }
  }

 private:
  using unit = typename weights_type::unit;
  static constexpr int lanes = arch::native_lanes<std::int32_t>;
  /// Number of codes of a row that are computed at a time on the stack: whole words of planes.
  static constexpr index codes_bytes = 1024;
  /// Number of columns whose sums are on the stack.
  static constexpr index sums_on_stack = 512;

  [[nodiscard]] auto stages_of(const float* scales, const auto& rest) const noexcept {
    return gemm::to_float{} | gemm::scale_columns(scales_.data()) | gemm::scale_rows(scales) | rest;
  }

  template <class Out, class Stages, class E>
  void multiply(const code_rows<input_code>& x, const output_rows<Out>& y, const Stages& rest,
                workspace& workers, const E& executor) const noexcept {
    const Eigen::Map<const row_matrix<input_code>, 0, Eigen::OuterStride<>> a(
        x.data, y.rows, inputs(), Eigen::OuterStride<>(x.stride));
    gemm::multiply(a, weights_, y.matrix(), stages_of(x.scales, rest), workers, executor);
  }

  /// Multiplies a group of rows whose planes fit the memory.
  template <class Source, class Out, class Stages>
  void rows_by_planes(const Source& x, const output_rows<Out>& y, const Stages& rest,
                      std::byte* memory) const noexcept {
    float scales[unit::rows];
    auto* codes = reinterpret_cast<input_code*>(memory);
    gemm::plane_rows<lhs_format, unit> planes(memory + codes_bytes, y.rows, inputs());
    for (index r = 0; r < y.rows; ++r) {
      const row_codes<Inputs, Source> row(x.from(r), inputs());
      scales[r] = row.scale();
      for (index k = 0; k < inputs(); k += codes_bytes) {
        const index count = std::min(codes_bytes, inputs() - k);
        planes.put(r, k, count, row(k, count, codes));
      }
    }
    planes.finish();
    planes.multiply(weights_, y.data, y.stride, stages_of(&scales[0], rest));
  }

  /// Multiplies one row whose planes do not fit, some words of k at a time.
  template <class Source, class Out, class Stages>
  void row_by_words(const Source& x, const output_rows<Out>& y, const Stages& rest,
                    std::byte* memory) const noexcept {
    using plane_rows = gemm::plane_rows<lhs_format, unit>;
    using partial = gemm::partial_sums<weights_type>;
    static_assert(codes_bytes + sums_on_stack * 4 + 8 * codes_bytes / 8 + 64 <= stack_bytes);
    auto* codes = reinterpret_cast<input_code*>(memory);
    auto* sums = reinterpret_cast<std::int32_t*>(memory + codes_bytes);
    std::byte* words = memory + codes_bytes + sums_on_stack * index{sizeof(std::int32_t)};
    const row_codes<Inputs, Source> row(x, inputs());
    by_columns(row, y, rest, sums, [&](index col, index col_end) {
      for (index k = 0; k < inputs(); k += codes_bytes) {
        const index count = std::min(codes_bytes, inputs() - k);
        plane_rows planes(words, 1, count);
        planes.put(0, 0, count, row(k, count, codes));
        partial::add(planes, weights_, k, count, col, col_end, sums);
      }
    });
  }

  template <class Source, class Out, class Stages>
  void row_by_tables(const Source& x, const output_rows<Out>& y, const Stages& rest,
                     std::byte* memory) const noexcept {
    using partial = gemm::partial_sums<weights_type>;
    static_assert(sums_on_stack % partial::cols == 0);
    static_assert(partial::depth + sums_on_stack * 4 + partial::table_bytes <= stack_bytes);
    auto* codes = reinterpret_cast<input_code*>(memory);
    auto* sums = reinterpret_cast<std::uint32_t*>(memory + partial::depth);
    auto* tables = reinterpret_cast<std::uint8_t*>(sums + sums_on_stack);
    const row_codes<Inputs, Source> row(x, inputs());
    by_columns(row, y, rest, reinterpret_cast<std::int32_t*>(sums), [&](index col, index col_end) {
      for (index k = 0; k < inputs(); k += partial::depth) {
        const index count = std::min(partial::depth, inputs() - k);
        partial::add(row(k, count, codes), weights_, k, count, col, col_end, tables, sums);
      }
    });
  }

  /// For some columns at a time: sets the sums to 0, calls add(col, col_end), and writes the
  /// outputs.
  template <class Row, class Out, class Stages, class F>
  void by_columns(const Row& row, const output_rows<Out>& y, const Stages& rest, std::int32_t* sums,
                  const F& add) const noexcept {
    const float scale = row.scale();
    const auto stages = stages_of(&scale, rest);
    for (index col = 0; col < outputs(); col += sums_on_stack) {
      const index col_end = std::min(outputs(), col + sums_on_stack);
      std::fill_n(sums, sums_on_stack, 0);
      add(col, col_end);
      const gemm::output_rectangle<Out> to{y.data, y.stride, 0, col, 1, col_end - col};
      gemm::apply_epilogue_to_rows<lanes>(sums, sums_on_stack, to, stages);
    }
  }

  weights_type weights_;
  stored_array<float> scales_;
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
class linear<S, Inputs, Arch>
    : public detail::scheme_layer<S, detail::bit_product_of_layer<S, Inputs, Arch>>,
      public detail::saved_layer<linear<S, Inputs, Arch>> {
 public:
  using input_code = typename Inputs::code;
  using detail::scheme_layer<S, detail::bit_product_of_layer<S, Inputs, Arch>>::scheme_layer;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
