#pragma once
/// The linear layer of weights in groups, with one scale for each group: linear<S, dynamic_int8>
/// and linear<S, dynamic_int8_groups> of all grouped schemes. Weights stay as they are stored, 1 to
/// 8 bits each.
///
///     linear<int4_grouped<32>> layer(weights, bias);                      // 4.5 bits a weight
///     linear<int4_grouped<32>, dynamic_int8_groups> finer(weights, bias); // groups of x
///
/// A product of few rows takes as long as reading its weights. Weights of 4 bits in groups of 32
/// take 4.5 bits each: scales are rounded to 12 significant bits when weights are packed
/// (gemm::short_scales), by at most 2^-12 of their value. Halves have 11 bits and are kept; so are
/// minima. A scale may be 0; its weights are then 0. ops/linear/int8.hpp has layers with one scale
/// for each row, which is not rounded.
///
/// A layer can also be made from packed weights, which may be views of a mapped file or of flash:
///
///     std::vector<std::byte> image(layer.weights().image_bytes());    // once: written to a file
///     layer.weights().write_image(image);
///     using packed = linear<int4_grouped<32>>::weights_type;
///     linear<int4_grouped<32>> mapped(packed::view(bytes), bias);     // copies no weight
///
/// Read before: ops/layer.hpp (calls and memory). Read next: gemm/few_bits/multiply_grouped.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "fewbit/core/executor.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/few_bits/multiply_grouped.hpp"
#include "fewbit/gemm/few_bits/partial_totals.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/gemm/sum_of_codes.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/grouped_weights.hpp"
#include "fewbit/ops/linear/scheme_layer.hpp"
#include "fewbit/ops/linear/weight_table.hpp"
#include "fewbit/quant/arrays.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Codes of a row of floats, as grouped_lhs reads them. After the last code, the row is read again
/// from its first code.
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

/// The same for a row of codes.
struct copied_row {
  const std::int8_t* codes;
  index length;

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(index k) const noexcept {
    return arch::load<V>(codes + (k < length ? k : k - length));
  }
};

/// A row of floats with one scale for each group.
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

/// The same for a row of codes.
struct copied_groups {
  const std::int8_t* codes;  ///< nullptr: a row of zeros
  const float* scales;       // of each group
  index depth;               // of a group

  struct group {
    const std::int8_t* codes;
    float scale;

    template <class V>
    FEWBIT_ALWAYS_INLINE V operator()(index k) const noexcept {
      return arch::load<V>(codes + k);
    }
  };

  [[nodiscard]] group of_group(index begin, index end) const noexcept {
    return {codes, begin < end ? scales[begin / depth] : dynamic_scale(0.0F)};
  }
};

/// How the rows of a source are read: overloads for other sources are in gathered_rows.hpp.
/// `row` may be nullptr, a row of zeros.
inline encoded_row encoded(const float_rows& /*x*/, const float* row, index length,
                           const row_quantizer<std::int8_t>& quantizer) noexcept {
  return {row, length, quantizer};
}
inline copied_row copied(const code_rows<std::int8_t>& /*x*/, const std::int8_t* row,
                         index length) noexcept {
  return {row, length};
}
inline scaled_groups scaled(const float_rows& /*x*/, const float* row) noexcept { return {row}; }
/// Quantizes columns begin .. begin + count - 1 of the first row, with their own scale.
inline row_encoder<dynamic_int8> group_encoder(const float_rows& x, index begin,
                                               index count) noexcept {
  return {x.row(0) + begin, count};
}

/// Stored weights and their product with rows of 8-bit codes.
///
/// @tparam Weights  gemm::grouped_weights
/// @tparam Copies   the input row is repeated this often along k, in groups of its length (2 for
///                  two-scale ternary weights)
/// @tparam Scaled   whether each group of inputs has its own scale; otherwise each row has one
///          scale
template <class Weights, int Copies = 1, bool Scaled = false>
class stored_product {
  static_assert(!Scaled || Copies == 1, "fewbit: repeated inputs have one scale for each row");

 public:
  static constexpr const char* name = "linear";
  static constexpr index most_rows = rows_at_a_time;
  static constexpr index stack_bytes = usual_stack_bytes;
  using inputs_type = std::conditional_t<Scaled, dynamic_int8_groups, dynamic_int8>;
  using weights_type = Weights;

  stored_product() = default;
  explicit stored_product(Weights&& weights) noexcept : weights_(std::move(weights)) {}

  [[nodiscard]] index inputs() const noexcept { return weights_.k() / Copies; }
  [[nodiscard]] index outputs() const noexcept { return weights_.n(); }
  [[nodiscard]] const Weights& weights() const noexcept { return weights_; }
  [[nodiscard]] index input_group() const noexcept { return weights_.group(); }
  [[nodiscard]] index bytes() const noexcept { return weights_.bytes(); }

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    parts.weights("weights", self.weights_);
    if constexpr (Parts::loads && Copies > 1) {
      expect_equal(parts.place(), "number of columns of weights", self.weights_.k(),
                   Copies * self.weights_.group());
      expect(self.weights_.is_affine(), parts.place(), "zero point of weights", "one for all",
             "one for each group");
    }
  }

  /// Scales of the rows, then their codes.
  [[nodiscard]] index memory_bytes(index rows) const noexcept {
    return scale_bytes(rows) + lhs::bytes(weights_, rows);
  }
  [[nodiscard]] index worker_bytes(index /*rows*/) const noexcept { return 0; }

  template <class Source, class Out, class Stages, class E>
  void run(const Source& x, const output_rows<Out>& y, const Stages& rest, std::byte* memory,
           workspace& /*workers*/, const E& executor) const noexcept {
    auto* scales = reinterpret_cast<float*>(memory);
    lhs a(weights_, y.rows, memory + scale_bytes(y.rows));
    executor.for_each(a.padded_rows(), [&](index r) {
      const auto* row = r < y.rows ? x.row(r) : nullptr;
      if constexpr (Source::are_codes && Scaled) {
        a.fill_row(r, copied_groups{row, x.scales_of(r < y.rows ? r : 0), weights_.group()});
      } else if constexpr (Source::are_codes) {
        a.fill_row(r, copied(x, row, inputs()));
        if (r < y.rows) scales[r] = *x.scales_of(r);
      } else if constexpr (Scaled) {
        a.fill_row(r, scaled(x, row));
      } else {
        const float scale = dynamic_scale(r < y.rows ? finite_amax(row, inputs()) : 0.0F);
        const row_quantizer<std::int8_t> quantizer({scale, 0}, -127, 127);
        a.fill_row(r, encoded(x, row, inputs(), quantizer));
        if (r < y.rows) scales[r] = scale;
      }
    });
    gemm::multiply_grouped(a, weights_, y.matrix(), with_row_scales(scales, rest), executor);
  }

  template <class Source, class Out, class Stages>
  void run_on_stack(const Source& x, const output_rows<Out>& y, const Stages& rest,
                    std::byte* memory) const noexcept {
    index rows = std::min(y.rows, most_rows);
    while (rows > 0 && memory_bytes(rows) > stack_bytes) rows /= 2;
    workspace none;
    for (index first = 0; rows > 0 && first < y.rows; first += rows) {
      run(x.from(first), y.part(first, std::min(rows, y.rows - first)), rest, memory, none,
          inline_executor{});
    }
    for (index r = 0; rows == 0 && r < y.rows; ++r) {
      if (weights_.is_affine()) {
        row_by_groups<true>(x.from(r), y.part(r, 1), rest, memory);
      } else {
        row_by_groups<false>(x.from(r), y.part(r, 1), rest, memory);
      }
    }
  }

 private:
  using lhs = gemm::grouped_lhs<Weights, Scaled>;
  /// Number of columns whose totals and sums are on the stack.
  static constexpr index cols_on_stack = 512;

  template <class Stages>
  // NOLINTNEXTLINE(bugprone-exception-escape): stages were checked when the layer was made
  [[nodiscard]] static auto with_row_scales([[maybe_unused]] const float* scales,
                                            const Stages& rest) noexcept {
    if constexpr (Scaled) {
      return rest;
    } else {
      return gemm::scale_rows(scales) | rest;
    }
  }

  /// Codes of one row, some codes of one group at a time.
  template <class Source>
  class group_codes {
   public:
    group_codes(const Source& x, const Weights& w) noexcept
        : x_(x), w_(w), row_(x, w.k() / Copies) {}

    /// The scale of the row, and the scale of group g.
    [[nodiscard]] float scale() const noexcept { return row_.scale(); }
    [[nodiscard]] float scale(index g) const noexcept {
      if constexpr (Source::are_codes) {
        return x_.scales[g];
      } else {
        return of_group(g).scale();
      }
    }

    /// Writes codes first .. first + count - 1 of group g, and zeros up to whole chunks; returns
    /// the sum of the codes.
    std::int32_t put(index g, index first, index count, std::int8_t* to) const noexcept {
      const index begin = g * w_.group() + first;
      const std::int8_t* codes = to;
      if constexpr (Scaled && !Source::are_codes) {
        of_group(g)(first, count, to);
      } else {
        const index length = w_.k() / Copies;
        codes = row_(begin < length ? begin : begin - length, count, to);
      }
      if (codes != to) std::copy_n(codes, count, to);
      const index whole = (count + Weights::chunk_codes - 1) / Weights::chunk_codes;
      std::fill(to + count, to + whole * Weights::chunk_codes, std::int8_t{0});
      return gemm::sum_of_codes(to, count);
    }

   private:
    [[nodiscard]] auto of_group(index g) const noexcept {
      return group_encoder(x_, g * w_.group(), w_.depth_of(g));
    }

    const Source& x_;
    const Weights& w_;
    row_codes<dynamic_int8, Source> row_;
  };

  /// The initial value of the sums of a group, as in grouped_lhs::starts().
  [[nodiscard]] std::int32_t start_of(std::int32_t sum) const noexcept {
    if (weights_.is_affine()) return -sum;
    return arch::add_wrapping(arch::multiply_wrapping(-sum, weights_.stored_zero()),
                              weights_.sum_zero());
  }

  /// Bytes from one group of a panel to the next.
  [[nodiscard]] index group_stride() const noexcept {
    return weights_.chunks_of(0) * Weights::chunk_bytes + weights_.tail_bytes();
  }

  /// Multiplies one row whose codes do not fit the stack: some groups at a time, or pieces of one
  /// group.
  template <bool Affine, class Source, class Out, class Stages>
  void row_by_groups(const Source& x, const output_rows<Out>& y, const Stages& rest,
                     std::byte* memory) const noexcept {
    constexpr int lanes = arch::native_lanes<float>;
    auto* totals = reinterpret_cast<float*>(memory);
    std::byte* room = memory + cols_on_stack * index{sizeof(float)};
    const group_codes<Source> codes(x, weights_);
    const float scale = codes.scale();
    const auto stages = with_row_scales(&scale, rest);
    for (index col = 0; col < outputs(); col += cols_on_stack) {
      const index col_end = std::min(outputs(), col + cols_on_stack);
      std::fill_n(totals, cols_on_stack, 0.0F);
      if (groups_together() > 0) {
        add_whole_groups<Affine>(codes, col, col_end, room, totals);
      } else {
        add_groups_in_pieces<Affine>(codes, col, col_end, room, totals);
      }
      gemm::apply_epilogue_to_rows<lanes>(
          totals, cols_on_stack,
          gemm::output_rectangle<Out>{y.data, y.stride, 0, col, 1, col_end - col}, stages);
    }
  }

  static constexpr index room_bytes = stack_bytes - cols_on_stack * index{sizeof(float)};

  /// Groups whose codes, starts, scales and sums fit room_bytes.
  [[nodiscard]] index groups_together() const noexcept {
    constexpr index numbers = Weights::has_minimum ? 3 : 2;
    return room_bytes /
           (weights_.chunks_of(0) * Weights::chunk_codes + numbers * index{sizeof(float)});
  }

  template <bool Affine, class Codes>
  void add_whole_groups(const Codes& codes, index col, index col_end, std::byte* room,
                        float* totals) const noexcept {
    using partial = gemm::partial_totals<Weights, Affine, Scaled>;
    static_assert(cols_on_stack % partial::cols == 0);
    const index together = groups_together();
    auto* starts = reinterpret_cast<std::int32_t*>(room);
    auto* scales = reinterpret_cast<float*>(starts + together);
    [[maybe_unused]] float* lhs_sums = scales + together;
    auto* copies =
        reinterpret_cast<std::int8_t*>(scales + together * (Weights::has_minimum ? 2 : 1));
    for (index g = 0; g < weights_.groups(); g += together) {
      const index end = std::min(weights_.groups(), g + together);
      std::int8_t* to = copies;
      for (index i = g; i < end; ++i) {
        const std::int32_t sum = codes.put(i, 0, weights_.depth_of(i), to);
        starts[i - g] = start_of(sum);
        if constexpr (Weights::has_minimum) lhs_sums[i - g] = static_cast<float>(sum);
        if constexpr (Scaled) scales[i - g] = codes.scale(i);
        to += weights_.chunks_of(i) * Weights::chunk_codes;
      }
      for (index j = col; j < col_end; j += partial::cols) {
        const std::uint8_t* from = weights_.panel(j / partial::cols) + g * group_stride();
        partial::add_groups(weights_, g, end, from, copies, starts, scales, totals + (j - col),
                            lhs_sums);
      }
    }
  }

  template <bool Affine, class Codes>
  void add_groups_in_pieces(const Codes& codes, index col, index col_end, std::byte* room,
                            float* totals) const noexcept {
    using partial = gemm::partial_totals<Weights, Affine, Scaled>;
    constexpr index piece = (room_bytes - cols_on_stack * index{sizeof(std::int32_t)}) /
                            Weights::chunk_codes * Weights::chunk_codes;
    auto* sums = reinterpret_cast<std::int32_t*>(room);
    auto* copies = reinterpret_cast<std::int8_t*>(sums + cols_on_stack);
    for (index g = 0; g < weights_.groups(); ++g) {
      const auto for_each_panel = [&](const auto& f) {
        for (index j = col; j < col_end; j += partial::cols)
          f(weights_.panel(j / partial::cols) + g * group_stride(), j - col);
      };
      std::fill_n(sums, cols_on_stack, 0);
      std::int32_t sum = 0;
      for (index k = 0; k < weights_.depth_of(g); k += piece) {
        const index count = std::min(piece, weights_.depth_of(g) - k);
        sum += codes.put(g, k, count, copies);
        const index chunks = (count + Weights::chunk_codes - 1) / Weights::chunk_codes;
        for_each_panel([&](const std::uint8_t* from, index j) {
          const index first = k / Weights::chunk_codes * Weights::chunk_bytes;
          partial::add_chunks(copies, chunks, from + first, sums + j);
        });
      }
      float scale = 1.0F;
      if constexpr (Scaled) scale = codes.scale(g);
      for_each_panel([&](const std::uint8_t* from, index j) {
        const std::uint8_t* tail = from + weights_.chunks_of(g) * Weights::chunk_bytes;
        partial::end_group(weights_, start_of(sum), scale, tail, sums + j, totals + j,
                           static_cast<float>(sum));
      });
    }
  }

  Weights weights_;
};

/// The product of weights of a scheme.
template <Scheme S, class Inputs, class Arch>
class grouped_product : public stored_product<grouped_weights_of<S, Arch>, 1,
                                              std::is_same_v<Inputs, dynamic_int8_groups>> {
  using base =
      stored_product<grouped_weights_of<S, Arch>, 1, std::is_same_v<Inputs, dynamic_int8_groups>>;

 public:
  grouped_product() = default;
  explicit grouped_product(const quantized_matrix<S>& weights)
      : base(pack_for_int8<Arch>(weights)) {}
  explicit grouped_product(typename base::weights_type weights) : base(std::move(weights)) {}

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    base::visit_parts(self, parts);
    if constexpr (Parts::loads) expect_weights_of<S>(parts.place(), self.weights());
  }
};

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
/// With dynamic_int8_groups, y(i, j) = sum over g of rne(rne(float(T) * s(j, g)) * s_x(i, g)), plus
/// bias(j), where s_x(i, g) = max|x(i)| / 127 of the finite inputs of group g.
template <Scheme S, detail::DynamicInt8 Inputs, class Arch>
  requires detail::MultipliedAsStored<S>
class linear<S, Inputs, Arch>
    : public detail::scheme_layer<S, detail::grouped_product<S, Inputs, Arch>>,
      public detail::saved_layer<linear<S, Inputs, Arch>> {
  using product = detail::grouped_product<S, Inputs, Arch>;
  using base = detail::scheme_layer<S, product>;

 public:
  using detail::scheme_layer<S, product>::scheme_layer;

  /// Takes weights that are packed already. They may be a view of memory of the caller, for example
  /// of an image that weights().write_image() wrote (gemm/weights_image.hpp); the layer then holds
  /// its bias only.
  /// @throws fewbit::error if weights are empty or are not those of S, if bias has another length
  ///         or is not finite, if an output parameter is no scale or zero point, or if scales are
  ///         so large that a total of the largest codes could leave float
  explicit linear(typename product::weights_type weights,
                  const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                  const linear_options& options = {})
      : base(product(detail::checked_weights<S>(std::move(weights))), bias, options) {}
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
