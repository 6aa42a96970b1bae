#pragma once
/// The linear layer of integer weights with a scale for each row: linear<S> and, for any weights,
/// linear<S, static_int8> and linear<S, static_uint8>.
///
/// Weights are codebooks or have any scheme of up to 8 bits. A scale belongs to a row or, if inputs
/// are static, to a group. Sums of codes are exact in int32; scales are applied to them afterwards.
/// Weights of up to four bits stay packed. To learn a codebook from float weights, include
/// codebook/lloyd_max.hpp. Read before: ops/layer.hpp (calls and memory), quant/arrays.hpp (how X
/// becomes codes). Read next: ops/linear/grouped.hpp (weights in groups with dynamic_int8).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "fewbit/core/executor.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/few_bits/multiply.hpp"
#include "fewbit/gemm/few_bits/partial_sums.hpp"
#include "fewbit/gemm/int8/multiply.hpp"
#include "fewbit/gemm/int8/one_row.hpp"
#include "fewbit/gemm/int8/partial_sums.hpp"
#include "fewbit/gemm/multiply_block.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/gemm/sum_of_codes.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/scheme_layer.hpp"
#include "fewbit/ops/linear/weight_table.hpp"
#include "fewbit/quant/arrays.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/row_in_registers.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Applies the scales of a block of k to its integer sum: so_far + (sum - zero_W * sum of X -
/// zero_X * (sum of W - depth * zero_W)) * scale.
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
    if constexpr (AffineWeights) {
      return with_row_sum(so_far, sum, row_sums[where.row * blocks + block], block, where);
    } else {
      return with_row_sum(so_far, sum, 0, block, where);
    }
  }

  /// The same, for a block of X whose codes add up to `row_sum`.
  template <class T, class V>
  FEWBIT_ALWAYS_INLINE T with_row_sum(const T& so_far, const V& sum,
                                      [[maybe_unused]] std::int32_t row_sum, index block,
                                      const gemm::at& where) const noexcept {
    V value = sum;
    if constexpr (AffineWeights) {
      const V zero = where.template columns<V>(zero_points + block * channels);
      value = arch::subtract_wrapping(value, arch::multiply_wrapping(V(row_sum), zero));
    }
    if constexpr (AffineInputs) {
      value = arch::subtract_wrapping(value,
                                      where.template columns<V>(input_offsets + block * channels));
    }
    const T scale = where.template columns<T>(scales + block * channels);
    return so_far + arch::rounded(T(arch::convert<float>(value) * scale));
  }
};

/// The same as the first stage of an epilogue, for layers whose k is one block.
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

/// Whether weights stay packed: they have 1 to 4 bits, and no row has more than one scale.
template <Scheme S>
inline constexpr bool stays_packed =
    !CodebookScheme<S> && S::storage::bits <= 4 && scale_depth<typename S::granularity> == 0;

/// Fails unless packed weights that were read are n x k and those of S.
///
/// @param block  codes of k that share a scale
template <Scheme S, class W>
void expect_packed(const char* place, const W& w, index n, index k, index block) {
  expect_equal(place, "number of rows of weights", w.n(), n);
  expect_equal(place, "number of columns of weights", w.k(), k);
  if constexpr (requires { w.zero_point(); }) {
    expect_equal(place, "zero point of weights", w.zero_point(), -S::storage::min);
  } else {
    using lhs = typename W::kernel_type::lhs;
    expect_equal(place, "block_depth of weights", w.layout().block_depth(), block);
    expect_equal(place, "largest_activation of weights", w.largest_activation(),
                 index{gemm::largest_code<lhs>});
  }
}

/// Weights of linear<S, Inputs>, and their product.
template <Scheme S, class Inputs, class Arch>
class int8_product {
  static_assert(!S::has_minimum,
                "fewbit: weights with minima (real_minimum) take dynamic_int8, "
                "dynamic_int8_groups or float_inputs");

 public:
  static constexpr const char* name = "linear";
  static constexpr index most_rows = rows_at_a_time;
  static constexpr index stack_bytes = usual_stack_bytes;
  /// Whether one row has a path of its own, without blocks of k and expanded weights.
  static constexpr bool has_one_row = scale_depth<typename S::granularity> == 0 && !stays_packed<S>;
  using inputs_type = Inputs;
  using input_code = typename Inputs::code;
  using weights_type =
      std::conditional_t<stays_packed<S>, gemm::few_bit_weights<S::storage::bits, Arch>,
                         gemm::int8_weights<input_code, gemm::default_kernel<input_code, Arch>>>;

  int8_product() = default;

  explicit int8_product(const quantized_matrix<S>& weights, const quant_params& input_params = {})
      : input_params_(input_params) {
    expect_multipliable<S>();
    expect_not_empty("linear", "weights", weights.rows(), weights.cols());
    expect_valid_params("linear", "input_params", input_params, input_min, input_max);
    expect_depth(weights.cols());
    if constexpr (!Inputs::is_static) expect_finite_totals(weights, input_max);
    const row_matrix<std::int8_t> codes = signed_codes(weights);
    weights_ = weights_type(codes, stays_packed<S> ? -S::storage::min : block_depth);
    set_row_fits();
    scales_ = block_table<float>(weights, [&](index j, index c) {
      return Inputs::is_static ? product_scale(weights, codes, j, c)
                               : signed_code_scale(weights, j, c);
    });
    if constexpr (S::is_affine) {
      zero_points_ = block_table<std::int32_t>(
          weights, [&](index j, index c) { return weights.zero_point(j, c) - code_shift<S>; });
    }
    if constexpr (Inputs::is_static) {
      input_offsets_ = block_table<std::int32_t>(weights, [&](index j, index c) {
        const index depth = depth_from(c);
        const int zero = weights.zero_point(j, c) - code_shift<S>;
        return input_params.zero_point *
               (gemm::sum_of_codes(codes.data() + j * codes.cols() + c, depth) -
                static_cast<int>(depth) * zero);
      });
    }
  }

  [[nodiscard]] index inputs() const noexcept { return weights_.k(); }
  [[nodiscard]] index outputs() const noexcept { return weights_.n(); }
  [[nodiscard]] const weights_type& weights() const noexcept { return weights_; }
  [[nodiscard]] const quant_params& input_params() const noexcept { return input_params_; }
  [[nodiscard]] index bytes() const noexcept {
    index proofs = 0;
    if constexpr (!stays_packed<S>) proofs = weights_.proof_bytes();
    return weights_.bytes() + proofs + scales_.bytes() + zero_points_.bytes() +
           input_offsets_.bytes();
  }

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    visit_params(self.input_params_, parts);
    parts.weights("weights", self.weights_);
    if constexpr (Parts::loads) {
      self.expect_parts(parts.place());
      self.set_row_fits();
    }
    const index sums = self.outputs() * scale_blocks<S>(self.inputs());
    parts.array("scales", self.scales_, sums, scale_number{});
    if constexpr (S::is_affine) {
      constexpr number_between codes{S::storage::min - code_shift<S>,
                                     S::storage::max - code_shift<S>};
      parts.array("zero_points", self.zero_points_, sums, codes);
    }
    if constexpr (Inputs::is_static) parts.array("input_offsets", self.input_offsets_, sums);
  }

  [[nodiscard]] index memory_bytes(index rows) const noexcept { return layout(rows).bytes; }
  [[nodiscard]] index worker_bytes(index rows) const noexcept {
    return std::max(gemm::scratch_bytes(weights_, rows), index{1});
  }

  template <class Source, class Out, class Stages, class E>
  void run(const Source& x, const output_rows<Out>& y, const Stages& rest, std::byte* memory,
           workspace& workers, const E& executor) const noexcept {
    const row_layout place = layout(y.rows);
    auto* scales = reinterpret_cast<float*>(memory + place.scales);
    std::int32_t* sums = nullptr;
    if constexpr (S::is_affine) sums = reinterpret_cast<std::int32_t*>(memory + place.sums);
    if constexpr (Source::are_codes) {
      executor.for_each(S::is_affine ? y.rows : 0, [&](index r) { sum_row(x.row(r), r, sums); });
      multiply(x, y, rest, x.scales, sums, workers, executor);
    } else {
      auto* codes = reinterpret_cast<input_code*>(memory);
      const index k = inputs();
      executor.for_each(y.rows, [&](index r) {
        const auto encode = encoder_of(x.row(r));
        encode(0, k, codes + r * k);
        if constexpr (!Inputs::is_static) scales[r] = encode.scale();
        sum_row(codes + r * k, r, sums);
      });
      multiply(code_rows<input_code>{codes, k}, y, rest, scales, sums, workers, executor);
    }
  }

  template <class Source, class Out, class Stages>
  FEWBIT_ALWAYS_INLINE void run_on_stack(const Source& x, const output_rows<Out>& y,
                                         const Stages& rest, std::byte* memory) const noexcept {
    if constexpr (stays_packed<S>) {
      const index rows = packed_rows_on_stack(y.rows);
      for (index first = 0; rows > 0 && first < y.rows; first += rows) {
        packed_rows(x.from(first), y.part(first, std::min(rows, y.rows - first)), rest, memory);
      }
      for (index r = 0; rows == 0 && r < y.rows; ++r)
        packed_row_by_chunks(x.from(r), y.part(r, 1), rest, memory);
    } else {
      if constexpr (has_one_row) {
        if (y.rows == 1 && takes_one_row()) return one_row(x, y.data, rest, memory);
      }
      parts_on_stack(x, y, rest, memory);
    }
  }

  /// Whether one_row has the memory that it needs.
  [[nodiscard]] bool takes_one_row() const noexcept
    requires has_one_row
  {
    return row_fits_;
  }

  /// One row, in stack_bytes of memory.
  template <class Source, class Out, class Stages>
    requires has_one_row
  FEWBIT_ALWAYS_INLINE void one_row(const Source& x, Out* y, const Stages& rest,
                                    std::byte* memory) const noexcept {
    const index k = inputs();
    float scale = input_params_.scale;
    std::int32_t row_sum = 0;
    const auto product = [&](const auto& row) FEWBIT_INLINE_LAMBDA {
      gemm::multiply_row(row, weights_, {}, y,
                         scale_sums(blocks_of(&row_sum)) | with_row_scales(&scale, rest),
                         memory + stack_layout::padded(k));
    };
    if constexpr (Source::are_codes) {
      if constexpr (!Inputs::is_static) scale = *x.scales_of(0);
      if constexpr (S::is_affine) row_sum = gemm::sum_of_codes(x.row(0), k);
      if constexpr (Inputs::is_static) {
        product(x.row(0));
      } else {  // a prepared row
        product(gemm::padded_row<input_code>{x.row(0)});
      }
    } else {
      using form = gemm::row_form<weights_type>;
      auto* codes = reinterpret_cast<typename form::code*>(memory);
      // Where most short rows are written in the form of the unit, others take the code of long
      // ones: a third copy of the code for short rows would be the largest part of this layer.
      constexpr bool writes_units = TakesInts<typename kernel_type::unit> && !S::is_affine;
      const auto to_codes = [&] {
        const quant_params params{scale, input_params_.zero_point - form::offset};
        if constexpr (Inputs::is_static && writes_units) {
          encode_long_static_row(x.row(0), k, params, codes);
        } else if constexpr (Inputs::is_static) {
          encode_static_row(x.row(0), k, params, codes);
        } else if constexpr (writes_units) {
          scale = encode_any_dynamic_row(x.row(0), k, codes);
        } else {
          static_assert(form::offset == -middle_code<typename form::code>);
          scale = encode_dynamic_row(x.row(0), k, codes);
        }
        return codes;
      };
      if constexpr (writes_units) {
        const auto copy = [&](auto unit, auto* to) FEWBIT_INLINE_LAMBDA {
          using form_of = decltype(unit);
          if (takes_ints<form_of>(k)) {
            if constexpr (Inputs::is_static) {
              return encode_static_unit_row<form_of, input_code>(x.row(0), k, input_params_, to);
            } else {
              scale = encode_dynamic_unit_row<form_of>(x.row(0), k, to);
              if (scale > 0.0F) [[likely]]
                return;
            }
          }
          gemm::copy_padded_row<form_of>(to_codes(), k, to);
        };
        product(gemm::written_row{copy, to_codes});
      } else {
        to_codes();
        if constexpr (S::is_affine) {
          row_sum = gemm::sum_of_codes(codes, k) + form::offset * static_cast<std::int32_t>(k);
        }
        product(form{codes});
      }
    }
  }

  /// Any number of rows. A separate function keeps the code of one row short.
  template <class Source, class Out, class Stages>
  [[gnu::noinline]] void parts_on_stack(const Source& x, const output_rows<Out>& y,
                                        const Stages& rest, std::byte* memory) const noexcept {
    const stack_layout place(y.rows, inputs(), Source::are_codes);
    for (index first = 0; first < y.rows; first += place.rows) {
      const index count = std::min(place.rows, y.rows - first);
      rows_on_stack(x.from(first), y.part(first, count), rest, memory, place);
    }
  }

  /// Whether one row is multiplied on the stack even if there is memory for it: the weights are so
  /// small that preparing another walk takes longer than the product.
  [[nodiscard]] bool runs_one_row_on_stack() const noexcept {
    if constexpr (has_one_row) {
      constexpr index small = 64 * 1024;
      return weights_.bytes() <= small && row_fits_;
    } else {
      return false;
    }
  }

 private:
  static constexpr int input_min =
      Inputs::is_static ? std::numeric_limits<input_code>::min() : -127;
  static constexpr int input_max = std::numeric_limits<input_code>::max();
  static constexpr index block_depth = scale_depth<typename S::granularity>;
  using blocks_type = scale_blocks_stage<S::is_affine, Inputs::is_static>;
  using kernel_type = gemm::default_kernel<input_code, Arch>;
  using partial = gemm::partial_sums<gemm::int8_weights<input_code, kernel_type>>;
  static constexpr int lanes = partial::lanes;
  /// Number of sums on the stack, in 4 KiB: int32 sums and, if k has blocks, as many float totals.
  static constexpr index sums_on_stack = block_depth == 0 ? 1024 : 512;
  static constexpr index sums_bytes = 4096;

  /// Fails unless the largest possible sums over k fit int32: those of (x - x_zero) * (w - w_zero),
  /// and those of x * w, which the kernel computes.
  void expect_depth(index k, const char* function = "linear") const {
    const int zero = input_params_.zero_point;
    const int x_most = std::max(input_max - zero, zero - input_min);
    const index most =
        std::min(weights_type::max_depth, index{std::numeric_limits<std::int32_t>::max()} /
                                              (x_most * largest_signed_code<S>));
    const index depth = block_depth == 0 ? k : std::min(k, block_depth);
    expect(depth <= most, function, "number of inputs", k, "at most " + std::to_string(most));
  }

  /// Fails unless weights that were read are those of the scheme.
  void expect_parts(const char* place) const {
    expect_valid_params(place, "input_params", input_params_, input_min, input_max);
    expect_depth(inputs(), place);
    expect_packed<S>(place, weights_, outputs(), inputs(),
                     block_depth == 0 ? inputs() : std::min(block_depth, inputs()));
  }

  /// Weight scale times the scale of static inputs; 0 if all weights of the group are 0.
  [[nodiscard]] float product_scale(const quantized_matrix<S>& weights,
                                    const row_matrix<std::int8_t>& codes, index j, index c) const {
    constexpr float least = 0x1p-138F;  // 12 significant bits
    const int zero = weights.zero_point(j, c) - code_shift<S>;
    const auto group = codes.row(j).segment(c, std::min(depth_from(c), codes.cols() - c));
    const float scale = signed_code_scale(weights, j, c);
    if (scale == 0.0F || (group.template cast<int>().array() == zero).all()) return 0.0F;
    const float product = scale * input_params_.scale;
    const auto fail = [&](const char* want) {
      detail::fail("linear", "scale of " + element("weights", j, c) + " times input scale", product,
                   want);
    };
    if (!is_finite(product)) fail("a finite number");
    if (product < least) fail("at least 2^-138");
    return product;
  }

  /// Depth of the block of k that begins at c.
  [[nodiscard]] index depth_from(index c) const noexcept {
    return block_depth == 0 ? inputs() : std::min(block_depth, inputs() - c);
  }

  /// Byte offsets in scratch memory. The codes are at 0.
  struct row_layout {
    index scales, sums, bytes;
  };
  [[nodiscard]] row_layout layout(index rows) const noexcept {
    const index codes = (rows * inputs() + 63) / 64 * 64;
    const index scales = codes + rows * index{sizeof(float)};
    const index sums = S::is_affine ? rows * scale_blocks<S>(inputs()) : 0;
    return {codes, scales, scales + sums * index{sizeof(std::int32_t)}};
  }

  [[nodiscard]] row_encoder<Inputs> encoder_of(const float* x) const noexcept {
    if constexpr (Inputs::is_static) {
      return {x, input_params_};
    } else {
      return {x, inputs()};
    }
  }

  /// Sums the codes of each block of row r, if weights have zero points.
  void sum_row(const input_code* codes, index r, std::int32_t* sums) const noexcept {
    if constexpr (S::is_affine) {
      const index blocks = scale_blocks<S>(inputs());
      for (index b = 0; b < blocks; ++b) {
        const index c = b * block_depth;
        sums[r * blocks + b] = gemm::sum_of_codes(codes + c, depth_from(c));
      }
    }
  }

  [[nodiscard]] blocks_type blocks_of(const std::int32_t* row_sums) const noexcept {
    blocks_type blocks;
    blocks.channels = outputs();
    blocks.blocks = scale_blocks<S>(inputs());
    blocks.scales = scales_.data();
    blocks.zero_points = zero_points_.data();
    blocks.input_offsets = input_offsets_.data();
    blocks.row_sums = row_sums;
    return blocks;
  }

  /// The stages that follow the sums of blocks of k. `scales` are the scales of the rows of dynamic
  /// inputs.
  template <class Stages>
  // NOLINTNEXTLINE(bugprone-exception-escape): stages were checked when the layer was made
  [[nodiscard]] static auto with_row_scales([[maybe_unused]] const float* scales,
                                            const Stages& rest) noexcept {
    if constexpr (Inputs::is_static) {
      return rest;
    } else {
      return gemm::scale_rows(scales) | rest;
    }
  }

  template <class Out, class Stages, class E>
  void multiply(const code_rows<input_code>& x, const output_rows<Out>& y, const Stages& rest,
                const float* scales, const std::int32_t* sums, workspace& workers,
                const E& executor) const noexcept {
    const Eigen::Map<const row_matrix<input_code>, 0, Eigen::OuterStride<>> a(
        x.data, y.rows, inputs(), Eigen::OuterStride<>(x.stride));
    const blocks_type blocks = blocks_of(sums);
    const auto stages = with_row_scales(scales, rest);
    if constexpr (block_depth != 0) {
      gemm::multiply(a, weights_, y.matrix(), stages, workers, executor, blocks);
    } else if constexpr (stays_packed<S>) {
      gemm::multiply(a, weights_, y.matrix(), scale_sums(blocks) | stages, workers, executor);
    } else {
      gemm::multiply_rows(a, weights_, y.matrix(), scale_sums(blocks) | stages, workers, executor);
    }
  }

  /// One comparison of a call instead of several.
  void set_row_fits() noexcept {
    if constexpr (has_one_row) {
      const index codes = stack_layout::padded(inputs());
      row_fits_ = codes + gemm::row_scratch_bytes(weights_) <= stack_bytes;
    }
  }

  /// The order of the buffer on the stack: sums, then codes of some rows, then a copy of a chunk of
  /// these codes in the order of the kernel. If the codes of all of k fit, they are computed once;
  /// otherwise codes are computed chunk by chunk.
  struct stack_layout {
    static constexpr index room = stack_bytes - sums_bytes;

    index rows;
    index chunk;   // codes of k
    index stride;  // codes from one row to the next
    index cols;    // columns whose sums fit
    bool keeps_codes;

    stack_layout(index m, index k, bool are_codes) noexcept
        : rows(std::min(m, partial::most_rows)), chunk(k) {
      const auto bytes = [&](index r, index count) {
        return (are_codes ? 0 : r * padded(count)) + partial::scratch_bytes(r, count);
      };
      while (rows > 1 && bytes(rows, k) > room) --rows;
      keeps_codes = bytes(rows, k) <= room;
      while (bytes(rows, chunk) > room) chunk = std::max(chunk / 2, index{64}) / 64 * 64;
      stride = padded(chunk);
      cols = sums_on_stack / (rows * partial::cols) * partial::cols;
      static_assert(partial::most_rows * partial::cols <= sums_on_stack);
      static_assert(64 % partial::depth == 0);
    }

    static index padded(index count) noexcept { return (count + 63) & ~index{63}; }
  };

  /// Multiplies y.rows <= place.rows rows by all columns, place.cols columns at a time.
  template <class Source, class Out, class Stages>
  void rows_on_stack(const Source& x, const output_rows<Out>& y, const Stages& rest,
                     std::byte* memory, const stack_layout& place) const noexcept {
    float scales[partial::most_rows];
    auto* sums = reinterpret_cast<std::int32_t*>(memory);
    auto* totals = reinterpret_cast<float*>(sums + sums_on_stack);
    auto* codes = reinterpret_cast<input_code*>(memory + sums_bytes);
    std::byte* copied = memory + sums_bytes + (Source::are_codes ? 0 : place.rows * place.stride);
    for (index r = 0; r < y.rows; ++r) {
      if constexpr (!Inputs::is_static) scales[r] = scale_of(x, r);
      if constexpr (!Source::are_codes) {
        if (place.keeps_codes) encode(x, r, scales[r], 0, inputs(), codes + r * place.stride);
      }
    }
    const auto stages = with_row_scales(&scales[0], rest);
    for (index col = 0; col < outputs(); col += place.cols) {
      const index col_end = std::min(outputs(), col + place.cols);
      const gemm::output_rectangle<Out> to{y.data, y.stride, 0, col, y.rows, col_end - col};
      if constexpr (block_depth != 0) std::fill_n(totals, y.rows * place.cols, 0.0F);
      std::int32_t row_sums[partial::most_rows];
      for (index block = 0; block < weights_.layout().blocks(); ++block) {
        std::fill_n(sums, y.rows * place.cols, 0);
        std::fill_n(&row_sums[0], y.rows, 0);
        const index begin = block * weights_.layout().block_depth();
        const index depth = weights_.layout().depth_of(block);
        for (index k = 0; k < depth; k += place.chunk) {
          const index count = std::min(place.chunk, depth - k);
          const auto part = chunk_of(x, y.rows, &scales[0], begin + k, count, codes, place);
          if constexpr (S::is_affine) {
            for (index r = 0; r < y.rows; ++r)
              row_sums[r] += gemm::sum_of_codes(part.row(r), count);
          }
          partial::add(part.data, part.stride, y.rows, weights_, {block, k, count}, col, col_end,
                       copied, sums, place.cols);
        }
        if constexpr (block_depth != 0)
          add_block(to, block, sums, &row_sums[0], totals, place.cols);
      }
      if constexpr (block_depth == 0) {
        gemm::apply_epilogue_to_rows<lanes>(sums, place.cols, to,
                                            scale_sums(blocks_of(&row_sums[0])) | stages);
      } else {
        gemm::apply_epilogue_to_rows<lanes>(totals, place.cols, to, stages);
      }
    }
  }

  /// totals(i, j) += the scaled sums of block `block`.
  template <class Out>
  void add_block(const gemm::output_rectangle<Out>& c, index block, const std::int32_t* sums,
                 const std::int32_t* row_sums, float* totals, index stride) const noexcept {
    using floats = arch::vec<float, lanes>;
    using ints = arch::vec<std::int32_t, lanes>;
    const blocks_type blocks = blocks_of(nullptr);
    for (index r = 0; r < c.rows; ++r) {
      for (index j = 0; j < c.cols; j += lanes) {
        const index i = r * stride + j;
        const gemm::at where{r, c.col + j, static_cast<int>(std::min(index{lanes}, c.cols - j))};
        blocks
            .with_row_sum(floats::load(totals + i), ints::load(sums + i), row_sums[r], block, where)
            .store(totals + i);
      }
    }
  }

  template <class Source>
  [[nodiscard]] float scale_of(const Source& x, index r) const noexcept {
    if constexpr (Source::are_codes) {
      return *x.scales_of(r);
    } else {
      return dynamic_scale(finite_amax(x.row(r), inputs()));
    }
  }

  /// Codes first .. first + count - 1 of row r.
  void encode(const float_rows& x, index r, [[maybe_unused]] float scale, index first, index count,
              input_code* codes) const noexcept {
    quant_params params = input_params_;
    if constexpr (!Inputs::is_static) params.scale = scale;
    row_quantizer<input_code>(params, input_min, input_max)(x.row(r) + first, count, codes);
  }

  /// The same for some rows. Floats are quantized to `codes`; existing codes are read in place.
  template <class Source>
  [[nodiscard]] code_rows<input_code> chunk_of(const Source& x, index rows, const float* scales,
                                               index first, index count, input_code* codes,
                                               const stack_layout& place) const noexcept {
    if constexpr (Source::are_codes) {
      return {x.data + first, x.stride};
    } else {
      if (place.keeps_codes) return {codes + first, place.stride};
      for (index r = 0; r < rows; ++r)
        encode(x, r, scales[r], first, count, codes + r * place.stride);
      return {codes, place.stride};
    }
  }

  /// The number of rows whose codes and copies fit the stack, for packed weights; 0 if not even one
  /// row fits.
  [[nodiscard]] index packed_rows_on_stack(index m) const noexcept {
    if constexpr (stays_packed<S>) {
      index rows = std::min(m, few_rows::most_rows);
      const auto bytes = [&] {
        return rows * (inputs() + 2 * index{sizeof(float)}) + 64 + few_rows::bytes(weights_, rows);
      };
      while (rows > 0 && bytes() > stack_bytes) --rows;
      return rows;
    }
    return 0;
  }
  using few_rows = gemm::product_of_few_rows<input_code, std::min(S::storage::bits, 4), Arch>;

  template <class Source, class Out, class Stages>
  void packed_rows(const Source& x, const output_rows<Out>& y, const Stages& rest,
                   std::byte* memory) const noexcept {
    std::byte* scratch = memory + (few_rows::bytes(weights_, y.rows) + 63) / 64 * 64;
    auto* scales = reinterpret_cast<float*>(scratch);
    auto* row_sums = reinterpret_cast<std::int32_t*>(scales + y.rows);
    auto* codes = reinterpret_cast<input_code*>(row_sums + y.rows);
    code_rows<input_code> a{codes, inputs()};
    if constexpr (Source::are_codes) a = x;
    for (index r = 0; r < y.rows; ++r) {
      if constexpr (!Inputs::is_static) scales[r] = scale_of(x, r);
      if constexpr (!Source::are_codes) encode(x, r, scales[r], 0, inputs(), codes + r * inputs());
      sum_row(a.row(r), r, row_sums);
    }
    const auto stages = scale_sums(blocks_of(row_sums)) | with_row_scales(scales, rest);
    const gemm::output_rectangle<Out> to{y.data, y.stride, 0, 0, y.rows, y.cols};
    few_rows::multiply(a.data, a.stride, weights_, to, stages, memory);
  }

  template <class Source, class Out, class Stages>
  void packed_row_by_chunks(const Source& x, const output_rows<Out>& y, const Stages& rest,
                            std::byte* memory) const noexcept {
    static_assert(gemm::row_chunk_bytes <= stack_bytes);
    float scale = 1.0F;
    if constexpr (!Inputs::is_static) scale = scale_of(x, 0);
    const auto codes = [&](index k, index count, input_code* to) -> const input_code* {
      if constexpr (Source::are_codes) {
        return x.data + k;
      } else {
        encode(x, 0, scale, k, count, to);
        return to;
      }
    };
    std::int32_t row_sum = 0;
    gemm::multiply_row_in_chunks<input_code>(
        weights_, codes, y.data, scale_sums(blocks_of(&row_sum)) | with_row_scales(&scale, rest),
        memory, S::is_affine ? &row_sum : nullptr);
  }

  weights_type weights_;
  stored_array<float> scales_;
  stored_array<std::int32_t> zero_points_;
  stored_array<std::int32_t> input_offsets_;
  quant_params input_params_;
  bool row_fits_ = false;  // whether the codes of one row and their copy fit stack_bytes
};

}  // namespace detail

/// A linear layer of n outputs and k inputs (ops/layer.hpp has the calls).
///
/// Weights of 1 to 4 bits stay packed (gemm/few_bits/weights.hpp) if no row has more than one
/// scale. All other weights, and the levels of a codebook, are multiplied as bytes. Scales are the
/// floats of quantize(), not rounded. A weight scale may be 0; its weights are then 0.
///
/// @tparam S       scheme of the weights. With dynamic inputs: a codebook, or a scheme without
///                 groups
/// @tparam Inputs  dynamic_int8, static_int8 or static_uint8
/// @tparam Arch    instruction set; other than the default only for comparisons
///
/// y(i, j) = sum over blocks b of rne(float(T) * s(b, j)) [* s_x(i) if dynamic] + bias(j). T is the
/// exact integer sum over block b of (x_code - x_zero) * (w_code - w_zero). s is the weight scale,
/// times the input scale if inputs are static. The float operations are in that order,
/// uncontracted, so results are the same bits everywhere. The code of a codebook weight is the
/// level itself, rne(127 * level), whose error is at most 1/254 of the scale. Then s is the weight
/// scale / 127, and a weight takes a byte. linear<S, float_inputs> keeps levels exact and stores
/// codes of few bits.
template <LinearWeights S, class Inputs, class Arch>
class linear : public detail::scheme_layer<S, detail::int8_product<S, Inputs, Arch>>,
               public detail::saved_layer<linear<S, Inputs, Arch>> {
  static_assert(
      Scheme<S>,
      "fewbit: a layer of product quantization takes dynamic_int8 or float_inputs, a layer of ttq "
      "takes dynamic_int8");
  static_assert(!std::is_same_v<Inputs, dynamic_int8_groups>,
                "fewbit: dynamic_int8_groups take weights in groups, as those of int4_grouped<32>");

 public:
  using input_code = typename Inputs::code;
  using detail::scheme_layer<S, detail::int8_product<S, Inputs, Arch>>::scheme_layer;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
