#pragma once
/// The products of the inputs of a layer with each other, H = X^T X: all that GPTQ, AWQ and the
/// rounding search need to know about calibration data.
///
///     input_products h(layer_inputs);
///     for (const auto& x : batches) h.add(x);   // m x k each; only H is kept
///     auto q = gptq<int4_grouped<128>>(w, h);   // gptq.hpp
///     const double error = h.squared_error(w - dequantize(q.weights));   // |X (W - Q)^T|^2
///
/// H takes about 4 k^2 bytes, however many rows it has seen. Products of floats are exact in
/// double. They are added in the order of the rows, so the batches, the executor and the processor
/// do not change a bit. Read next: gptq.hpp, awq.hpp, adaround.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/strips.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// H = X^T X, the means of |x| and the number of rows of X.
class input_products {
  static constexpr int width = detail::strip_width;

 public:
  /// @param inputs  k, the number of inputs of the layer
  /// @throws fewbit::error unless inputs >= 1
  explicit input_products(index inputs) : inputs_(inputs) {
    detail::expect(inputs >= 1 && inputs < index{1} << 24, "input_products", "inputs", inputs,
                   "1 to 2^24 - 1");
    magnitudes_.resize(static_cast<std::size_t>(inputs), 0.0);
    products_ = detail::triangle_strips<width>(detail::whole_strips<width>(inputs));
  }

  /// Number of inputs, k.
  [[nodiscard]] index inputs() const noexcept { return inputs_; }
  /// Number of rows seen.
  [[nodiscard]] index rows() const noexcept { return rows_; }
  /// Bytes of memory.
  [[nodiscard]] index bytes() const noexcept {
    return products_.bytes() + inputs_ * index{sizeof(double)};
  }
  /// The bytes() of products of so many inputs.
  [[nodiscard]] static index bytes_for(index inputs) noexcept {
    const index size = detail::whole_strips<width>(inputs);
    return (detail::triangle_strips<width>::elements(size) + inputs) * index{sizeof(double)};
  }

  /// H(i, j) = sum of x(r, i) * x(r, j) over the rows r.
  [[nodiscard]] double operator()(index i, index j) const noexcept { return products_(i, j); }
  /// The mean of |x| of input j; 0 without rows.
  [[nodiscard]] double mean_magnitude(index j) const noexcept {
    return rows_ == 0 ? 0.0 : magnitudes_[static_cast<std::size_t>(j)] / static_cast<double>(rows_);
  }
  /// The mean of x^2 of input j, as weighted_quantize and lloyd_max_levels take it; 0 without rows.
  [[nodiscard]] std::vector<float> mean_squares() const {
    std::vector<float> means;
    for (index j = 0; j < inputs_; ++j) {
      means.push_back(
          rows_ == 0 ? 0.0F : static_cast<float>(products_(j, j) / static_cast<double>(rows_)));
    }
    return means;
  }

  /// Adds the rows of x, m x inputs().
  /// @throws fewbit::error if x is empty, has another width, or holds a NaN or an infinity; nothing
  ///         is then added
  template <Executor E = inline_executor>
  void add(const Eigen::Ref<const row_matrix<float>>& x, const E& executor = {}) {
    detail::expect_finite("input_products::add", "x", x);
    detail::expect_equal("input_products::add", "x.cols()", x.cols(), inputs_);
    chunk_memory memory(products_.size());
    for (index first = 0; first < x.rows(); first += chunk_rows) {
      add_chunk(x, first, std::min(chunk_rows, x.rows() - first), memory, executor);
    }
    rows_ += x.rows();
  }

  /// Adds what `other` has seen. a.merge(b) equals b.merge(a) bit for bit. It differs from adding
  /// all rows to one object by the rounding of one sum.
  /// @throws fewbit::error unless both have the same number of inputs
  void merge(const input_products& other) {
    detail::expect_equal("input_products::merge", "other.inputs()", other.inputs_, inputs_);
    for (index i = 0; i < products_.values().size(); ++i) {
      products_.values()[i] += other.products_.values()[i];
    }
    for (std::size_t j = 0; j < magnitudes_.size(); ++j) magnitudes_[j] += other.magnitudes_[j];
    rows_ += other.rows_;
  }

  /// |X D^T|^2 = trace(D H D^T): the sum of squares of what an error D of the weights adds to the
  /// outputs.
  ///
  /// @param d  n x inputs()
  /// @throws fewbit::error if d is empty, has another width, or holds a NaN or an infinity
  template <Executor E = inline_executor>
  [[nodiscard]] double squared_error(const Eigen::Ref<const row_matrix<float>>& d,
                                     const E& executor = {}) const {
    detail::expect_finite("input_products::squared_error", "d", d);
    detail::expect_equal("input_products::squared_error", "d.cols()", d.cols(), inputs_);
    const index pieces = (d.rows() + panel_rows - 1) / panel_rows;
    std::vector<double> sums(static_cast<std::size_t>(pieces));
    executor.for_each(pieces, [&](index p) {
      sums[static_cast<std::size_t>(p)] = squared_error_of(d, p * panel_rows);
    });
    double total = 0.0;
    for (const double sum : sums) total += sum;
    return total;
  }

 private:
  static constexpr index chunk_rows = 4 * width;
  static constexpr index panel_rows = 64;
  static constexpr index tile = detail::tile_rows<width>;

  /// Some rows of X in the two orders of subtract_products. `negative` holds -x.
  struct chunk_memory {
    explicit chunk_memory(index size) : negative(size * chunk_rows), rows(size * chunk_rows) {}
    aligned_buffer<double> negative;  ///< [k / width][input][k % width]
    aligned_buffer<double> rows;      ///< [input / width][k][input % width]
  };

  template <class E>
  void add_chunk(const detail::matrix_ref& x, index first, index count, chunk_memory& memory,
                 const E& executor) {
    const index size = products_.size();
    executor.for_each(products_.strips(), [&](index s) {
      double* rows = memory.rows.data() + s * chunk_rows * width;
      for (index k = 0; k < chunk_rows; ++k) {
        for (index j = 0; j < width; ++j) {
          const index col = s * width + j;
          const double value = k < count && col < inputs_ ? double{x(first + k, col)} : 0.0;
          rows[k * width + j] = value;
          memory.negative[(k / width * size + col) * width + k % width] = -value;
          if (k < count && col < inputs_) {
            magnitudes_[static_cast<std::size_t>(col)] += std::abs(value);
          }
        }
      }
    });
    const index strips_of_rows = (count + width - 1) / width;
    executor.for_each(products_.strips(), [&](index s) {
      detail::subtract_products_of_tiles<width, 1>(
          (size - s * width) / tile, strips_of_rows,
          [&](index q, index t) {
            return memory.negative.data() + (q * size + s * width + t * tile) * width;
          },
          [&](index q) { return memory.rows.data() + (s * chunk_rows + q * width) * width; },
          products_.at(s, s * width));
    });
  }

  /// The sum over the panel of rows that starts at row `first`. Only the rows of H from the
  /// diagonal of a strip downwards are stored, and those below its block count twice.
  [[nodiscard]] double squared_error_of(const detail::matrix_ref& d, index first) const {
    const index size = products_.size(), count = std::min(panel_rows, d.rows() - first);
    const index tiles = (count + tile - 1) / tile;
    aligned_buffer<double> rows(tiles * tile * size), below(tiles * tile * width);
    aligned_buffer<double> diagonal(tiles * tile * width);
    const auto strip = [&](index q) { return rows.data() + q * tiles * tile * width; };
    for (index r = 0; r < count; ++r) {
      for (index c = 0; c < inputs_; ++c) {
        strip(c / width)[r * width + c % width] = double{d(first + r, c)};
      }
    }
    double total = 0.0;
    for (index s = 0; s < products_.strips(); ++s) {
      std::fill(below.begin(), below.end(), 0.0);
      std::fill(diagonal.begin(), diagonal.end(), 0.0);
      const auto add = [&](index from, index strips, double* sums) {
        detail::subtract_products_of_tiles<width, 1>(
            tiles, strips, [&](index q, index t) { return strip(from + q) + t * tile * width; },
            [&](index q) { return products_.at(s, (from + q) * width); }, sums);
      };
      add(s, 1, diagonal.data());
      add(s + 1, products_.strips() - s - 1, below.data());
      for (index i = 0; i < count * width; ++i) {
        const double sum = -2.0 * below[i] - diagonal[i];
        total += arch::rounded(strip(s)[i] * sum);
      }
    }
    return total;
  }

  index inputs_;
  index rows_ = 0;
  std::vector<double> magnitudes_;
  detail::triangle_strips<width> products_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
