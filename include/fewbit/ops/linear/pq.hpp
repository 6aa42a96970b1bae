#pragma once
/// The linear layer whose weights are codes of a product quantizer: linear<pq<Width, Bits>>.
///
///     linear<pq<4, 4>> layer(weights, bias);     // once: 1 bit for each weight, by k-means
///     linear<pq<4, 4>> other(pq, codes, bias);   // or from given codebooks and codes
///     layer(inputs, outputs);                    // often: no allocation, no exception
///     linear<pq<4, 4>, float_inputs> real(weights, bias);   // by tables of floats, not of bytes
///
/// | weights  | bits of a weight | centroids                | error of Gaussian weights | rate |
/// |----------|------------------|--------------------------|---------------------------|------|
/// | pq<4, 4> | 1                | 16 for each 4 columns    | 0.338                     | 3.0  |
/// | pq<8, 8> | 1                | 256 for the whole matrix | 0.299                     | 2.8  |
/// | pq<2, 4> | 2                | 16 for each 2 columns    | 0.107                     | 1.7  |
/// | pq<4, 8> | 2                | 256 for the whole matrix | 0.093                     | 1.6  |
/// | pq<1, 4> | 4                | 16 for each column       |                           | 0.9  |
///
/// The error is the squared error of 4096 x 32 weights, as a share of the sum of their squares. The
/// rate is relative to int4_grouped<32>, for 1 row of inputs by 4096 x 4096 weights from memory on
/// a Sapphire Rapids. Memory traffic limits both. Tables take 30 to 70 of 190 to 400 microseconds.
/// With 16 rows of inputs pq<2, 4> is as fast as int4_grouped<32>; with 32 rows pq<4, 4> is 1.9
/// times as fast.
///
/// Use it if the memory traffic of weights is the limit: for one row of inputs, or a few. A row of
/// inputs gives tables of its products with all centroids. Codes of weights are indices into these
/// tables; weights are never decoded (codebook/pq_product.hpp). Codes of 8 bits are fast with
/// AVX512-VBMI. Elsewhere each code is a load, and 8-bit codes of 1 bit per weight take as long as
/// int4_grouped<32>. Include this header by name. Read before: ops/layer.hpp. Read next:
/// codebook/output_aware.hpp (codebooks that minimize the error of outputs, not that of weights).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "fewbit/codebook/entry_tables.hpp"
#include "fewbit/codebook/packed_codes.hpp"
#include "fewbit/codebook/pq_float_product.hpp"
#include "fewbit/codebook/pq_product.hpp"
#include "fewbit/codebook/pq_weights.hpp"
#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/weight_table.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Weights in parts of Width neighbouring columns, with a code of Bits bits for each part.
template <index Width, int Bits>
struct pq {
  static_assert(Width >= 1, "fewbit: a part of pq has one column or more");
  static_assert(Bits == 4 || Bits == 8, "fewbit: codes of pq have 4 or 8 bits");
  static constexpr index width = Width;
  static constexpr int bits = Bits;

  /// Its name in files.
  [[nodiscard]] static std::string text() {
    return "pq:" + std::to_string(Width) + ":" + std::to_string(Bits);
  }
};

namespace detail {

template <index Width, int Bits>
inline constexpr bool are_weights_without_scheme<pq<Width, Bits>> = true;

/// Weights, with columns of zeros added up to a whole part.
template <index Width>
[[nodiscard]] row_matrix<float> whole_parts(const matrix_ref& weights) {
  row_matrix<float> whole =
      row_matrix<float>::Zero(weights.rows(), (weights.cols() + Width - 1) / Width * Width);
  whole.leftCols(weights.cols()) = weights;
  return whole;
}

/// Weights by codes of a product quantizer.
template <class Weights>
class pq_product {
 public:
  static constexpr const char* name = "linear";
  static constexpr index stack_bytes = usual_stack_bytes;
  /// Tables belong to the centroids of a layer, so layers can share only the floats.
  using inputs_type = float_inputs;
  using weights_type = Weights;

  [[nodiscard]] index inputs() const noexcept { return weights_.k(); }
  [[nodiscard]] index outputs() const noexcept { return weights_.n(); }
  [[nodiscard]] const Weights& weights() const noexcept { return weights_; }
  [[nodiscard]] index bytes() const noexcept { return weights_.bytes(); }
  [[nodiscard]] index worker_bytes(index /*rows*/) const noexcept { return 0; }

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    using own = std::conditional_t<std::is_const_v<Self>, const pq_product, pq_product>;
    Weights::visit_parts(static_cast<own&>(self).weights_, parts);
  }

 protected:
  using layout = typename Weights::layout;
  using unit = typename Weights::unit;
  static constexpr index centroids = Weights::centroids;
  /// Columns whose sums are on the stack.
  static constexpr index cols_on_stack = 1024;
  static_assert(cols_on_stack % layout::points_per_block == 0);

  pq_product() = default;
  explicit pq_product(Weights&& weights) noexcept : weights_(std::move(weights)) {}

  /// The outputs of one row, some columns at a time. Sums start at 0. add(col, cols, first, parts)
  /// adds some parts to them, at most `together`, and write(col, cols) writes the outputs.
  template <class T, class Add, class Write>
  void sum_by_parts(index together, T* sums, const Add& add, const Write& write) const noexcept {
    for (index col = 0; col < outputs(); col += cols_on_stack) {
      const index cols = std::min(outputs() - col, cols_on_stack);
      std::fill_n(sums, cols_on_stack, T{0});
      for (index first = 0; first < weights_.parts(); first += together)
        add(col, cols, first, std::min(together, weights_.parts() - first));
      write(col, cols);
    }
  }

  Weights weights_;
};

/// The product by tables of bytes.
template <int Bits, class Arch>
class pq_by_bytes : public pq_product<pq_weights<Bits, Arch>> {
  using base = pq_product<pq_weights<Bits, Arch>>;
  using base::centroids, base::cols_on_stack, base::weights_;
  using typename base::layout, typename base::unit;
  using lhs = pq_lhs<typename base::weights_type>;

 public:
  using typename base::weights_type;
  static constexpr index most_rows = lhs::most_rows;

  pq_by_bytes() = default;
  explicit pq_by_bytes(weights_type&& weights) noexcept : base(std::move(weights)) {}

  [[nodiscard]] index memory_bytes(index rows) const noexcept { return lhs::bytes(weights_, rows); }

  template <class Out, class Stages, class E>
  void run(const float_rows& x, const output_rows<Out>& y, const Stages& stages, std::byte* memory,
           workspace& /*workers*/, const E& executor) const noexcept {
    lhs a(weights_, y.rows, memory);
    for (index r = 0; r < y.rows; ++r) a.fill_row(r, x.row(r), executor);
    multiply_pq(a, weights_, y.matrix(), a.to_float() | stages, executor);
  }

  template <class Out, class Stages>
  void run_on_stack(const float_rows& x, const output_rows<Out>& y, const Stages& stages,
                    std::byte* memory) const noexcept {
    for (index r = 0; r < y.rows; ++r) row_on_stack(x.row(r), y.part(r, 1), stages, memory);
  }

 private:
  /// Bytes of the tables of the parts that are summed together. A 16-bit sum holds at most
  /// most_summed_parts of them.
  static constexpr index table_bytes = 4096;
  static constexpr index parts_together = std::min(table_bytes / centroids, most_summed_parts);
  static_assert(parts_together % table_padding == 0);
  static_assert((centroids + cols_on_stack) * 4 + table_bytes + layout::points_per_block * 2 <=
                base::stack_bytes);

  /// Scale and offset of the tables of a row, as pq_lhs::fill_row finds them.
  struct table_scale {
    float scale;
    float offset;
  };
  [[nodiscard]] table_scale scale_of(const float* x, float* values) const noexcept {
    if (!has_finite_products(weights_, x)) return {1.0F, std::numeric_limits<float>::quiet_NaN()};
    float extent = 0.0F;
    double offset = 0.0;
    for (index p = 0; p < weights_.parts(); ++p) {
      const auto [least, most] = fill_products(weights_, x, p, values);
      extent = std::max(extent, most - least);
      offset += double{least};
    }
    return {entry_scale(extent), static_cast<float>(offset)};
  }

  /// Multiplies some columns and some parts at a time. Each run of columns computes the tables
  /// again.
  template <class Out, class Stages>
  void row_on_stack(const float* x, const output_rows<Out>& y, const Stages& stages,
                    std::byte* memory) const noexcept {
    auto* values = reinterpret_cast<float*>(memory);
    auto* totals = reinterpret_cast<std::int32_t*>(values + centroids);
    auto* sums = reinterpret_cast<std::uint16_t*>(totals + cols_on_stack);
    auto* tables = reinterpret_cast<std::uint8_t*>(sums + layout::points_per_block);
    const table_scale of_row = scale_of(x, values);
    const bool is_finite = of_row.offset == of_row.offset;
    const auto add = [&](index col, index cols, index first, index parts) {
      if (!is_finite) return;
      std::fill_n(tables, table_bytes, std::uint8_t{0});
      for (index p = 0; p < parts; ++p) {
        const float least = fill_products(weights_, x, first + p, values).least;
        entries_to_bytes(values, centroids, least, of_row.scale, tables + p * centroids);
      }
      add_parts(col, cols, first, parts, tables, sums, totals);
    };
    this->sum_by_parts(parts_together, totals, add, [&](index col, index cols) {
      gemm::apply_epilogue_to_rows<arch::native_lanes<std::int32_t>>(
          totals, cols_on_stack, gemm::output_rectangle<Out>{y.data, y.stride, 0, col, 1, cols},
          from_lookups(&of_row.scale, &of_row.offset) | stages);
    });
  }

  /// totals[j] += the table entries of parts first .. first + parts - 1 of row col + j.
  void add_parts(index col, index cols, index first, index parts, const std::uint8_t* tables,
                 std::uint16_t* sums, std::int32_t* totals) const noexcept {
    for (index j = 0; j < cols; j += layout::points_per_block) {
      const std::uint8_t* codes = weights_.block((col + j) / layout::points_per_block) +
                                  first / unit::parts * layout::stride;
      sum_block<unit>(&tables, 1, codes, layout::rows(parts), sums, layout::points_per_block);
      for (index i = 0; i < layout::points_per_block; ++i) totals[j + i] += sums[i];
    }
  }
};

/// The product by tables of floats.
template <int Bits>
class pq_by_floats : public pq_product<pq_float_weights<Bits>> {
  using base = pq_product<pq_float_weights<Bits>>;
  using base::centroids, base::cols_on_stack, base::weights_;
  using typename base::layout, typename base::unit;

 public:
  using typename base::weights_type;
  static constexpr index most_rows = std::numeric_limits<index>::max();

  pq_by_floats() = default;
  explicit pq_by_floats(weights_type&& weights) noexcept : base(std::move(weights)) {}

  [[nodiscard]] index memory_bytes(index /*rows*/) const noexcept {
    return pq_float_bytes(weights_);
  }

  template <class Out, class Stages, class E>
  void run(const float_rows& x, const output_rows<Out>& y, const Stages& stages, std::byte* memory,
           workspace& /*workers*/, const E& executor) const noexcept {
    const Eigen::Map<const row_matrix<float>, 0, Eigen::OuterStride<>> rows(
        x.data, y.rows, this->inputs(), Eigen::OuterStride<>(x.stride));
    multiply_pq_floats(rows, weights_, y.matrix(), stages, memory, executor);
  }

  template <class Out, class Stages>
  void run_on_stack(const float_rows& x, const output_rows<Out>& y, const Stages& stages,
                    std::byte* memory) const noexcept {
    for (index r = 0; r < y.rows; ++r) row_on_stack(x.row(r), y.part(r, 1), stages, memory);
  }

 private:
  static constexpr index entries_on_stack = 1024;
  static constexpr index parts_together = entries_on_stack / centroids;
  static_assert(parts_together % unit::parts == 0);
  static_assert((entries_on_stack + cols_on_stack + layout::points_per_block) * 4 <=
                base::stack_bytes);

  /// Multiplies some columns and some parts at a time. Each run of columns computes the entries
  /// again.
  template <class Out, class Stages>
  void row_on_stack(const float* x, const output_rows<Out>& y, const Stages& stages,
                    std::byte* memory) const noexcept {
    auto* entries = reinterpret_cast<float*>(memory);
    float* sums = entries + entries_on_stack;
    float* in_order = sums + cols_on_stack;
    const auto add = [&](index col, index cols, index first, index parts) {
      std::fill_n(entries, entries_on_stack, 0.0F);
      for (index p = 0; p < parts; ++p)
        fill_products(weights_, x, first + p, entries + p * centroids);
      for (index j = 0; j < cols; j += layout::points_per_block) {
        const std::uint8_t* codes = weights_.block((col + j) / layout::points_per_block) +
                                    first / unit::parts * layout::stride;
        add_float_rows<Bits>(entries, codes, layout::rows(parts), sums + j);
      }
    };
    this->sum_by_parts(parts_together, sums, add, [&](index col, index cols) {
      for (index j = 0; j < cols; j += layout::points_per_block) {
        for (index i = 0; i < layout::points_per_block; ++i)
          in_order[i] = sums[j + sum_of_point<Bits>(i)];
        const index width = std::min(layout::points_per_block, cols - j);
        gemm::apply_epilogue_to_rows<arch::native_lanes<float>>(
            in_order, layout::points_per_block,
            gemm::output_rectangle<Out>{y.data, y.stride, 0, col + j, 1, width}, stages);
      }
    });
  }
};

/// What both layers have in common: they train codebooks and pack codes.
template <index Width, int Bits, class Product>
class pq_layer : public layer<Product> {
  using base = layer<Product>;

 public:
  using weights_type = typename Product::weights_type;

  /// 0 x 0.
  pq_layer() = default;

  /// Trains codebooks of float weights, n x k, and packs the codes; bias has n values or none. If k
  /// is not a multiple of Width, zeros fill the last part.
  /// @throws fewbit::error if weights are empty or hold a NaN or an infinity, kmeans does not
  ///         accept the options, or as the other constructor does
  template <Executor E = inline_executor>
  explicit pq_layer(const Eigen::Ref<const row_matrix<float>>& weights,
                    const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                    const linear_options& options = {}, const kmeans_options& clustering = {},
                    const E& executor = {})
      : base(Product(trained(weights, clustering, executor)), bias, options) {}

  /// Packs codes, n x quantizer.parts().
  /// @throws fewbit::error if the quantizer has another width or number of bits, a code is out of
  ///         range, bias has another length or is not finite, or output_params are not a valid
  ///         scale and zero point
  pq_layer(const product_quantizer& quantizer,
           const Eigen::Ref<const row_matrix<std::uint8_t>>& codes,
           const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
           const linear_options& options = {})
      : base(Product(packed(quantizer, codes, quantizer.dimension())), bias, options) {}

 private:
  template <class E>
  static weights_type trained(const matrix_ref& weights, const kmeans_options& clustering,
                              const E& executor) {
    expect_finite("linear", "weights", weights);
    expect_options("linear", "clustering.", clustering,
                   weights.rows() * (Bits == 4 ? 1 : (weights.cols() + Width - 1) / Width));
    const row_matrix<float> whole = whole_parts<Width>(weights);
    const pq_options training{.parts = whole.cols() / Width,
                              .bits = Bits,
                              .clustering = clustering,
                              .allow_fewer_points = true};
    const product_quantizer quantizer =
        Bits == 4 ? train_product_quantizer<arch::native>(whole, training, executor)
                  : train_shared_quantizer<arch::native>(whole, training, executor);
    return packed(quantizer, quantizer.encode(whole, executor), weights.cols());
  }

  static weights_type packed(const product_quantizer& quantizer,
                             const Eigen::Ref<const row_matrix<std::uint8_t>>& codes, index k) {
    expect_equal("linear", "quantizer.width()", quantizer.width(), Width);
    expect_equal("linear", "quantizer.bits()", quantizer.bits(), Bits);
    expect_not_empty("linear", "codes", codes.rows(), codes.cols());
    quantizer.expect_codes("linear", codes);
    constexpr index most = std::numeric_limits<std::int32_t>::max() / 255;
    expect(quantizer.parts() <= most, "linear", "number of parts", quantizer.parts(),
           "at most " + std::to_string(most));
    return weights_type(quantizer, codes, k);
  }
};

}  // namespace detail

/// A linear layer of n outputs and k inputs.
///
/// @tparam Arch  instruction set; other than the default only for comparisons
///
/// y(i, j) = rne(float(T) * s(i)) + o(i) + bias(j). T is the exact sum of the bytes that the codes
/// of row j select in the tables of input i, s(i) is the step of these bytes and o(i) the sum of
/// the least entries of the tables. The float operations are in that order, uncontracted, so
/// results are the same bits everywhere. The difference from the product with the decoded weights
/// is at most parts * s(i) / 2, plus the rounding errors of float operations (pq_lhs::error_bound).
/// s(i) is 1/255 of the largest difference between an input's products with two centroids of a
/// part. All outputs of an input with a NaN or an infinity are NaN.
template <index Width, int Bits, class Arch>
class linear<pq<Width, Bits>, dynamic_int8, Arch>
    : public detail::pq_layer<Width, Bits, detail::pq_by_bytes<Bits, Arch>>,
      public detail::saved_layer<linear<pq<Width, Bits>, dynamic_int8, Arch>> {
 public:
  using detail::pq_layer<Width, Bits, detail::pq_by_bytes<Bits, Arch>>::pq_layer;
};

/// The same by tables of floats: y(i, j) = sum + bias(j), where sum is the product with the decoded
/// weights in the order of codebook/pq_float_product.hpp. A NaN or an infinity in x gives what IEEE
/// arithmetic gives.
template <index Width, int Bits, class Arch>
class linear<pq<Width, Bits>, float_inputs, Arch>
    : public detail::pq_layer<Width, Bits, detail::pq_by_floats<Bits>>,
      public detail::saved_layer<linear<pq<Width, Bits>, float_inputs, Arch>> {
  static_assert(std::is_same_v<Arch, arch::native>,
                "fewbit: a layer with float inputs runs on arch::native alone");

 public:
  using detail::pq_layer<Width, Bits, detail::pq_by_floats<Bits>>::pq_layer;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
