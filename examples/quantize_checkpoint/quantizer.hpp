#pragma once
/// A quantizer: what quantizes the rows of a tensor under one scheme, for one format of files.
///
/// Rows of a chunk become bytes of the parts of the result: codes, scales and so on. Where a scale
/// belongs to all rows, the ranges of all chunks are found first, and the scales are written once.
/// Read next: quantizers.hpp, the list of them.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "error_sums.hpp"
#include "failure.hpp"
#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/io/gguf_writer.hpp"
#include "fewbit/io/quantized.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/scheme.hpp"
#include "fewbit/quant/weighted_quantize.hpp"
#include "source.hpp"

namespace fewbit::examples::checkpoint {

using rows_map = Eigen::Map<const row_matrix<float>>;

/// The result of a chunk of rows.
struct piece {
  std::array<std::vector<std::byte>, 3> parts;
  error_sums sums;

  void set(std::size_t part, std::span<const std::byte> bytes) {
    parts[part].assign(bytes.begin(), bytes.end());
  }
};

/// A tensor that a quantized matrix consists of in a file.
struct part {
  std::string suffix;       ///< after the name of the matrix
  bool is_of_rows = true;   ///< each chunk adds its bytes; else the first one has all
  std::uint64_t bytes = 0;  ///< for the whole matrix
  dtype type = dtype::u8;   ///< in safetensors files and headers
};

/// What the chunks of a tensor share.
struct shared_values {
  std::vector<range> ranges;  ///< of scales that belong to all rows
  std::vector<float> levels;  ///< of a codebook
};

/// What a writer must do for one scheme.
class quantizer {
 public:
  virtual ~quantizer() = default;
  quantizer() = default;
  quantizer(const quantizer&) = delete;
  quantizer& operator=(const quantizer&) = delete;

  /// Whether quantize() uses the importance of columns.
  [[nodiscard]] virtual bool is_weighted() const = 0;
  /// Why it cannot quantize a matrix of that shape; empty if it can.
  [[nodiscard]] virtual std::string refusal(const matrix_shape& shape) const = 0;
  [[nodiscard]] virtual std::vector<part> parts(const matrix_shape& shape) const = 0;

  /// The number of ranges that span several chunks; 0 if all scales belong to rows.
  [[nodiscard]] virtual index shared_ranges(const matrix_shape& /*shape*/) const { return 0; }
  /// Those ranges for some rows.
  [[nodiscard]] virtual std::vector<range> ranges(const rows_map& /*w*/) const { return {}; }

  /// Whether levels() has to see rows of the tensor.
  [[nodiscard]] virtual bool has_levels() const { return false; }
  /// The levels of a codebook for the tensor that these rows are from.
  [[nodiscard]] virtual std::vector<float> levels(const row_matrix<float>& /*rows*/,
                                                  std::span<const float> /*importance*/,
                                                  const thread_executor& /*team*/) const {
    return {};
  }

  /// Quantizes some rows.
  ///
  /// @param importance  of each column; empty if it is unknown
  /// @param shared      of the whole tensor
  [[nodiscard]] virtual piece quantize(const rows_map& w, std::span<const float> importance,
                                       const shared_values& shared) const = 0;

  /// The text of the scheme, for comments.
  [[nodiscard]] virtual std::string text() const { return {}; }
  virtual void declare(safetensors_writer& /*out*/, const std::string& /*name*/,
                       const matrix_shape& /*shape*/) const {}
  virtual void declare(gguf_writer& /*out*/, const std::string& /*name*/,
                       std::span<const index> /*shape*/) const {}

  [[nodiscard]] std::uint64_t bytes(const matrix_shape& shape) const {
    std::uint64_t sum = 0;
    for (const part& p : parts(shape)) sum += p.bytes;
    return sum;
  }
};

/// The parts of a matrix, without the error.
template <Scheme S>
[[nodiscard]] piece piece_of_codes(const quantized_matrix<S>& q) {
  piece result;
  result.set(0, std::as_bytes(q.bytes()));
  result.set(1, std::as_bytes(q.scales()));
  if constexpr (S::is_affine) result.set(2, std::as_bytes(q.zero_points()));
  if constexpr (S::has_minimum) result.set(2, std::as_bytes(q.minima()));
  if constexpr (CodebookScheme<S>) result.set(2, std::as_bytes(q.levels()));
  return result;
}

/// The same for ternary codes with two scales.
[[nodiscard]] inline piece piece_of_codes(const two_scale_ternary& q) {
  const index row = packed_bytes<ternary::bits>(q.cols());
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(q.rows() * row));
  std::vector<std::int8_t> unpacked(static_cast<std::size_t>(q.cols()));
  std::vector<float> positive, negative;
  for (index r = 0; r < q.rows(); ++r) {
    q.unpack_row(r, unpacked.data());
    detail::pack_codes<ternary>(unpacked.data(), q.cols(), codes.data() + r * row);
    positive.push_back(q.positive_scale(r));
    negative.push_back(q.negative_scale(r));
  }
  piece result;
  result.set(0, std::as_bytes(std::span(codes)));
  result.set(1, std::as_bytes(std::span(positive)));
  result.set(2, std::as_bytes(std::span(negative)));
  return result;
}

/// Bytes of the tensors that hold a matrix of S in a safetensors file.
template <StoredScheme S>
[[nodiscard]] std::uint64_t bytes_of_matrix(const matrix_shape& shape) {
  index bits = 0;
  for (const detail::stored_part& p :
       detail::parts_of(detail::form_of<S>, shape.rows, shape.cols)) {
    if (p.suffix != nullptr) bits += detail::bits_of_tensor(p.type, p.shape());
  }
  return static_cast<std::uint64_t>(bits) / 8;
}

/// A scheme of fewbit, in safetensors files.
template <StoredScheme S>
class matrix_quantizer : public quantizer {
  static constexpr bool is_two_scale = std::is_same_v<S, two_scale_ternary>;

 public:
  [[nodiscard]] bool is_weighted() const override {
    return WeightedScheme<S> && !has_shared_scales();
  }

  [[nodiscard]] std::string refusal(const matrix_shape& shape) const override {
    return shape.rows > detail::most_codes / shape.cols ? "more than 2^57 weights" : "";
  }

  [[nodiscard]] std::vector<part> parts(const matrix_shape& shape) const override {
    std::vector<part> result;
    for (const detail::stored_part& p :
         detail::parts_of(detail::form_of<S>, shape.rows, shape.cols)) {
      if (p.suffix == nullptr) continue;
      const auto bits = static_cast<std::uint64_t>(detail::bits_of_tensor(p.type, p.shape()));
      const bool is_of_rows = result.empty() || !(has_shared_scales() || is_levels(p));
      result.push_back({p.suffix, is_of_rows, bits / 8, p.type});
    }
    return result;
  }

  [[nodiscard]] index shared_ranges(const matrix_shape& shape) const override {
    return has_shared_scales() ? count_of(shape) : 0;
  }

  [[nodiscard]] std::vector<range> ranges(const rows_map& w) const override {
    std::vector<range> result;
    if constexpr (has_shared_scales()) {
      using granularity = typename S::granularity;
      detail::expect_finite("quantize", "w", w);
      for (index i = 0; i < granularity::count(w.rows(), w.cols()); ++i) {
        result.push_back(detail::range_of(w, granularity::group(i, w.rows(), w.cols())));
      }
    }
    return result;
  }

  [[nodiscard]] piece quantize(const rows_map& w, std::span<const float> importance,
                               const shared_values& shared) const override {
    if constexpr (is_two_scale) {
      return piece_of(w, quantize_ttq(w));
    } else if constexpr (CodebookScheme<S>) {
      return piece_of(w, fewbit::quantize<S>(w, std::span<const float>(shared.levels)));
    } else if constexpr (has_shared_scales()) {
      std::vector<params_of<S>> params;
      for (const range& r : shared.ranges) params.push_back(choose_params<S>(r));
      return piece_of(w, fewbit::quantize<S>(w, std::span<const params_of<S>>(params)));
    } else {
      if constexpr (WeightedScheme<S>) {
        if (!importance.empty()) return piece_of(w, weighted_quantize<S>(w, importance));
      }
      return piece_of(w, fewbit::quantize<S>(w));
    }
  }

  [[nodiscard]] std::string text() const override { return scheme_text<S>(); }

  void declare(safetensors_writer& out, const std::string& name,
               const matrix_shape& shape) const override {
    fewbit::declare<S>(out, name, shape.rows, shape.cols);
  }

 private:
  [[nodiscard]] static constexpr bool has_shared_scales() {
    if constexpr (is_two_scale) {
      return false;
    } else {
      using granularity = typename S::granularity;
      return std::is_same_v<granularity, per_tensor> || std::is_same_v<granularity, per_col>;
    }
  }

  [[nodiscard]] static bool is_levels(const detail::stored_part& p) {
    return detail::form_of<S>.third == detail::third_part::levels &&
           p.suffix == std::string_view(".levels");
  }

  [[nodiscard]] static index count_of(const matrix_shape& shape) {
    return detail::form_of<S>.scales(shape.rows, shape.cols);
  }

  template <class Q>
  [[nodiscard]] static piece piece_of(const rows_map& w, const Q& q) {
    piece result = piece_of_codes(q);
    if constexpr (is_two_scale) {
      result.sums = sums_of(w, dequantize(q));
    } else {
      result.sums = sums_of_codes(w, q);
    }
    return result;
  }
};

}  // namespace fewbit::examples::checkpoint
