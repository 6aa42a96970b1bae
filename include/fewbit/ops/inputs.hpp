#pragma once
/// What a layer does to its inputs before it multiplies them, and inputs that several layers share.
///
///     layer_scratch scratch;
///     const auto codes = prepare(x, scratch);   // once: x becomes int8 codes and a scale per row
///     q(codes, queries);                        // then each layer of k = x.cols() inputs reads
///     k(codes, keys);                           // them: no layer quantizes x again
///     v(codes, values);
///
/// | inputs               | code of x                      | scale of x                     |
/// |----------------------|--------------------------------|--------------------------------|
/// | dynamic_int8         | rne(x / scale), -127 .. 127    | max|row| / 127, at each call   |
/// | dynamic_int8_groups  | the same                       | max|group| / 127, at each call |
/// | static_int8, _uint8  | rne(x / scale) + zero point    | given when the layer is made   |
/// | binary_inputs,       | one to eight bits              | one per row, at each call      |
/// | ternary_inputs,      | (ops/linear/bit_inputs.hpp)    |                                |
/// | few_bit_inputs<B>,   |                                |                                |
/// | unsigned_inputs<B>   |                                |                                |
/// | float_inputs         | none: x stays float            | none                           |
///
/// Layers share prepared inputs if they have the same kind of inputs and the same k. Their weights
/// may differ: linear<int8_per_row>, linear<int4_grouped<32>> and linear<ttq> all read
/// prepared_inputs<dynamic_int8>. In addition, dynamic_int8_groups need groups of the same size,
/// and static inputs need the same parameters. Read next: ops/layer.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/quant/arrays.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/row_in_registers.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Inputs are quantized at each call, each row symmetrically with the scale max|row| / 127.
struct dynamic_int8 {
  using code = std::int8_t;
  static constexpr bool is_static = false;
};

/// As dynamic_int8, but with the scale max|group| / 127 for each group of a row whose weights share
/// a scale: a large input makes only the codes of its own group coarser. For layers of weights in
/// groups (ops/linear/grouped.hpp).
struct dynamic_int8_groups {
  using code = std::int8_t;
  static constexpr bool is_static = false;
};

/// Inputs are quantized with parameters that are known beforehand, for example from a calibrator.
template <class Code>
struct static_codes {
  using code = Code;
  static constexpr bool is_static = true;
};
using static_int8 = static_codes<std::int8_t>;
using static_uint8 = static_codes<std::uint8_t>;

/// Inputs stay float; only weights are quantized (ops/linear/float_inputs.hpp).
struct float_inputs {
  using code = float;
};

/// Inputs become codes of one or a few bits at each call, each row with its own scale
/// (ops/linear/bit_inputs.hpp has the formulas). They are multiplied as bit planes
/// (ops/linear/bit_planes.hpp).
struct binary_inputs {
  using code = std::int8_t;
};
struct ternary_inputs {
  using code = std::int8_t;
};

/// The scale of a row is max|x| / (2^(Bits - 1) - 1) or, without signs, max(x) / (2^Bits - 1).
template <int Bits, bool Signed = true>
struct few_bit_inputs {
  static_assert(Bits >= (Signed ? 2 : 1) && Bits <= 8,
                "fewbit: few_bit_inputs have 2 to 8 bits, or 1 to 8 if they are unsigned");
  using code = std::conditional_t<Signed, std::int8_t, std::uint8_t>;
  static constexpr int largest = (1 << (Signed ? Bits - 1 : Bits)) - 1;
};
template <int Bits>
using unsigned_inputs = few_bit_inputs<Bits, false>;

/// Scratch memory of layers. Only one thread at a time may use it. layer::reserve() sets its size.
/// Layers that are called one after the other may share it.
struct layer_scratch {
  workspace rows;     ///< codes, scales and sums of the rows that are multiplied together
  workspace workers;  ///< one slot for each worker of a product
  workspace inputs;   ///< what prepare() writes
};

namespace detail {

/// Rows of floats.
struct float_rows {
  static constexpr bool are_codes = false;
  const float* data;
  index stride;

  [[nodiscard]] const float* row(index r) const noexcept { return data + r * stride; }
  [[nodiscard]] float_rows from(index r) const noexcept { return {row(r), stride}; }
};

/// Rows of codes and, unless inputs are static, their scales.
template <class Code>
struct code_rows {
  static constexpr bool are_codes = true;
  const Code* data;
  index stride;
  const float* scales = nullptr;  // [row][group]
  index scales_per_row = 0;

  [[nodiscard]] const Code* row(index r) const noexcept { return data + r * stride; }
  [[nodiscard]] const float* scales_of(index r) const noexcept {
    return scales + r * scales_per_row;
  }
  [[nodiscard]] code_rows from(index r) const noexcept {
    return {row(r), stride, scales == nullptr ? nullptr : scales_of(r), scales_per_row};
  }
};

/// Quantizes one row of floats, some codes at a time. row_encoder<Inputs> encode(x, n) finds the
/// scale; encode(first, count, codes) writes the codes of x[first] .. x[first + count - 1].
template <class Inputs>
class row_encoder;

/// A number of codes rounded up to a whole number of registers of any instruction set. The memory
/// of a single prepared row has so many codes, so that layers read it in whole registers.
[[nodiscard]] constexpr index padded(index count) noexcept { return (count + 63) & ~index{63}; }

template <>
class row_encoder<dynamic_int8> {
 public:
  FEWBIT_ALWAYS_INLINE row_encoder(const float* x, index n) noexcept
      : x_(x), scale_(dynamic_scale(finite_amax(x, n))), quantizer_({scale_, 0}, -127, 127) {}

  [[nodiscard]] float scale() const noexcept { return scale_; }
  void operator()(index first, index count, std::int8_t* codes) const noexcept {
    quantizer_(x_ + first, count, codes);
  }
  [[nodiscard]] const row_quantizer<std::int8_t>& quantizer() const noexcept { return quantizer_; }

 private:
  const float* x_;
  float scale_;
  row_quantizer<std::int8_t> quantizer_;
};

template <class Code>
class row_encoder<static_codes<Code>> {
  using limits = std::numeric_limits<Code>;

 public:
  row_encoder(const float* x, const quant_params& params) noexcept
      : x_(x), quantizer_(params, limits::min(), limits::max()) {}

  void operator()(index first, index count, Code* codes) const noexcept {
    quantizer_(x_ + first, count, codes);
  }

 private:
  const float* x_;
  row_quantizer<Code> quantizer_;
};

/// Codes of one row with one scale. A row of floats is quantized, some codes at a time; a row of
/// codes is read in place.
template <class Inputs, class Source>
class row_codes {
  using code = typename Inputs::code;

 public:
  row_codes(const float_rows& x, index k) noexcept : encode_(x.data, k) {}

  [[nodiscard]] float scale() const noexcept { return encode_.scale(); }
  /// Codes first .. first + count - 1; `memory` has room for them.
  const code* operator()(index first, index count, code* memory) const noexcept {
    encode_(first, count, memory);
    return memory;
  }

 private:
  row_encoder<Inputs> encode_;
};

template <class Inputs>
class row_codes<Inputs, code_rows<typename Inputs::code>> {
  using code = typename Inputs::code;

 public:
  row_codes(const code_rows<code>& x, index /*k*/) noexcept : x_(x) {}

  [[nodiscard]] float scale() const noexcept { return *x_.scales; }
  const code* operator()(index first, index /*count*/, code* /*memory*/) const noexcept {
    return x_.data + first;
  }

 private:
  code_rows<code> x_;
};

struct prepared_access;

}  // namespace detail

/// Codes and scales of inputs, as layers read them. This is a view: it is valid until the scratch
/// memory is used for other prepared inputs, grows or is destroyed.
template <class Inputs>
class prepared_inputs {
 public:
  using inputs_type = Inputs;
  using code = typename Inputs::code;

  [[nodiscard]] index rows() const noexcept { return rows_; }
  [[nodiscard]] index cols() const noexcept { return cols_; }
  /// The codes of row r.
  [[nodiscard]] const code* row(index r) const noexcept { return source_.row(r); }
  /// The scale of row r, or of its group `group` for dynamic_int8_groups.
  [[nodiscard]] float scale(index r, index group = 0) const noexcept
    requires(!std::is_same_v<Inputs, float_inputs>)
  {
    if constexpr (requires { requires Inputs::is_static; }) {
      return params_.scale;
    } else {
      return source_.scales_of(r)[group];
    }
  }
  /// Scale and zero point of static inputs.
  [[nodiscard]] const quant_params& params() const noexcept { return params_; }
  /// Number of codes of a row that share a scale.
  [[nodiscard]] index group() const noexcept { return group_; }

 private:
  friend struct detail::prepared_access;
  using source = std::conditional_t<std::is_same_v<Inputs, float_inputs>, detail::float_rows,
                                    detail::code_rows<code>>;

  prepared_inputs(const source& from, index rows, index cols, index group,
                  const quant_params& params) noexcept
      : source_(from), rows_(rows), cols_(cols), group_(group), params_(params) {}

  source source_;
  index rows_;
  index cols_;
  index group_;
  quant_params params_;
};

namespace detail {

template <class X>
inline constexpr bool are_prepared = false;
template <class Inputs>
inline constexpr bool are_prepared<prepared_inputs<Inputs>> = true;

template <class Inputs>
concept StaticInputs = requires { requires Inputs::is_static; };

/// Inputs with one scale for each row, which is computed from the row.
template <class Inputs>
concept RowScaledInputs = !StaticInputs<Inputs> && !std::is_same_v<Inputs, float_inputs> &&
                          !std::is_same_v<Inputs, dynamic_int8_groups>;

/// Byte offsets of prepared inputs in scratch memory. The scales are at 0, the codes follow.
struct prepared_layout {
  index codes;
  index bytes;

  prepared_layout(index rows, index cols, index scales_per_row) noexcept
      : codes((rows * scales_per_row * index{sizeof(float)} + 63) & ~index{63}),
        bytes(codes + padded(rows * cols)) {}
};

/// Writes all codes of a row and returns their scale.
template <class Inputs>
[[gnu::noinline]] float encode_row(const float* x, index k, typename Inputs::code* codes) noexcept {
  const row_encoder<Inputs> encode(x, k);
  encode(0, k, codes);
  return encode.scale();
}

struct prepared_access {
  template <class Inputs>
  [[nodiscard]] static const auto& source(const prepared_inputs<Inputs>& x) noexcept {
    return x.source_;
  }

  /// Calls encode(row, codes, scales, alone) for each row of x. `alone` is a constant: whether x is
  /// one row of at least one input, whose memory has padded(k) codes.
  template <class Inputs, class X, class E, class F>
  [[nodiscard]] static prepared_inputs<Inputs> make(const X& x, index group, index scales_per_row,
                                                    const quant_params& params,
                                                    layer_scratch& scratch, const E& executor,
                                                    const F& encode) {
    using code = typename Inputs::code;
    const index rows = x.rows(), cols = x.cols();
    const prepared_layout place(rows, cols, scales_per_row);
    scratch.inputs.reserve(place.bytes);
    auto* scales = reinterpret_cast<float*>(scratch.inputs.slot(0));
    auto* codes = reinterpret_cast<code*>(scratch.inputs.slot(0) + place.codes);
    if (rows == 1 && cols > 0) {
      encode(x.data(), codes, scales, std::true_type{});
    } else {
      executor.for_each(rows, [&](index r) {
        encode(x.data() + r * x.outerStride(), codes + r * cols, scales + r * scales_per_row,
               std::false_type{});
      });
    }
    return {{codes, cols, scales, scales_per_row}, rows, cols, group, params};
  }

  template <class X>
  [[nodiscard]] static prepared_inputs<float_inputs> view(const X& x) noexcept {
    return {{x.data(), x.outerStride()}, x.rows(), x.cols(), x.cols(), {}};
  }
};

/// True if prepare can read X in place. Otherwise the compiler reports one sentence.
template <class X>
[[nodiscard]] consteval bool can_prepare() {
  static_assert(
      DenseRows<X, float>,
      "fewbit: prepare reads inputs in place: as a row_matrix of float, a row-major Map or "
      "block of one, or a vector, which is one row; copy other operands to a row_matrix first");
  return DenseRows<X, float>;
}

}  // namespace detail

/// Quantizes inputs once, for all layers with this kind of inputs and k = x.cols(). A layer gives
/// the same bits for prepared inputs as for x.
///
/// @tparam Inputs   dynamic_int8, or inputs of a few bits; include ops/linear.hpp for these
/// @param x         m x k floats: a row_matrix, a row-major Map or block, or a vector, which is
///                  one row
/// @param scratch   scratch.inputs holds the codes (m k bytes) and the scales (4 m bytes), each
///                  rounded up to a multiple of 64. If it is too small, it grows, which allocates
///                  memory
/// @param executor  quantizes several rows at once
/// @throws fewbit::error if there are more codes than memory can hold
template <class Inputs = dynamic_int8, class X, Executor E = inline_executor>
  requires detail::RowScaledInputs<Inputs>
[[nodiscard]] prepared_inputs<Inputs> prepare(const X& x, layer_scratch& scratch,
                                              const E& executor = {}) {
  static_assert(detail::can_prepare<X>());
  const auto& rows = detail::rows_of(x);
  const index k = rows.cols();
  return detail::prepared_access::make<Inputs>(
      rows, k, 1, {}, scratch, executor,
      [k](const float* row, typename Inputs::code* codes, float* scale, auto alone) {
        if constexpr (std::is_same_v<Inputs, dynamic_int8> && decltype(alone)::value) {
          *scale = detail::encode_dynamic_row(row, k, codes);
        } else {
          *scale = detail::encode_row<Inputs>(row, k, codes);
        }
      });
}

/// The same for dynamic_int8_groups: each group of `group` inputs of a row has one scale. The last
/// group may be smaller.
/// @throws fewbit::error also if group is less than 1
template <class Inputs, class X, Executor E = inline_executor>
  requires std::is_same_v<Inputs, dynamic_int8_groups>
[[nodiscard]] prepared_inputs<Inputs> prepare(const X& x, index group, layer_scratch& scratch,
                                              const E& executor = {}) {
  static_assert(detail::can_prepare<X>());
  detail::expect(group >= 1, "prepare", "group", group, "at least 1");
  const auto& rows = detail::rows_of(x);
  const index k = rows.cols();
  return detail::prepared_access::make<Inputs>(
      rows, group, (k + group - 1) / group, {}, scratch, executor,
      [k, group](const float* row, std::int8_t* codes, float* scales, auto) {
        for (index c = 0; c < k; c += group) {
          const index count = std::min(group, k - c);
          const detail::row_encoder<dynamic_int8> encode(row + c, count);
          encode(0, count, codes + c);
          scales[c / group] = encode.scale();
        }
      });
}

/// The same for static_int8 and static_uint8 under the parameters of a layer.
///
/// @param params  layer.input_params(); layers with other parameters cannot read the codes
template <class Inputs, class X, Executor E = inline_executor>
  requires detail::StaticInputs<Inputs>
[[nodiscard]] prepared_inputs<Inputs> prepare(const X& x, const quant_params& params,
                                              layer_scratch& scratch, const E& executor = {}) {
  static_assert(detail::can_prepare<X>());
  const auto& rows = detail::rows_of(x);
  const index k = rows.cols();
  return detail::prepared_access::make<Inputs>(
      rows, k, 0, params, scratch, executor,
      [&](const float* row, typename Inputs::code* codes, float*, auto alone) {
        if constexpr (decltype(alone)::value) {
          detail::encode_static_row(row, k, params, codes);
        } else {
          detail::row_encoder<Inputs>(row, params)(0, k, codes);
        }
      });
}

/// The same for float_inputs: returns a view of x, because these inputs have no codes.
template <class Inputs, class X, Executor E = inline_executor>
  requires std::is_same_v<Inputs, float_inputs>
[[nodiscard]] prepared_inputs<Inputs> prepare(const X& x, layer_scratch& /*scratch*/,
                                              const E& /*executor*/ = {}) {
  static_assert(detail::can_prepare<X>());
  return detail::prepared_access::view(detail::rows_of(x));
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
