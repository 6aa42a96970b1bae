#pragma once
/// What --scheme can name: each scheme quantizes the rows of a tensor, for one format of files.
///
/// Rows of a chunk become bytes of the parts of the result: codes, scales and so on. Where a scale
/// belongs to all rows, the ranges of all chunks are found first, and the scales are written once.

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
#include "fewbit/formats/ggml_quantize.hpp"
#include "fewbit/formats/ggml_weighted.hpp"
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

  /// Quantizes some rows.
  ///
  /// @param importance  of each column; empty if it is unknown
  /// @param shared      the ranges for all rows
  [[nodiscard]] virtual piece quantize(const rows_map& w, std::span<const float> importance,
                                       std::span<const range> shared) const = 0;

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
class matrix_quantizer final : public quantizer {
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
      result.push_back({p.suffix, result.empty() || !has_shared_scales(), bits / 8});
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
                               std::span<const range> shared) const override {
    if constexpr (is_two_scale) {
      return piece_of(w, quantize_ttq(w));
    } else if constexpr (has_shared_scales()) {
      std::vector<params_of<S>> params;
      for (const range& r : shared) params.push_back(choose_params<S>(r));
      return piece_of(w, fewbit::quantize<S>(w, std::span<const params_of<S>>(params)));
    } else {
      if constexpr (WeightedScheme<S>) {
        if (!importance.empty()) return piece_of(w, weighted_quantize<S>(w, importance));
      }
      return piece_of(w, fewbit::quantize<S>(w));
    }
  }

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

/// Blocks of ggml, in GGUF files.
template <GgmlBlock B>
class block_quantizer final : public quantizer {
 public:
  [[nodiscard]] bool is_weighted() const override { return std::is_same_v<B, q4_0>; }

  [[nodiscard]] std::string refusal(const matrix_shape& shape) const override {
    if (shape.cols % ggml_block_size == 0) return {};
    return std::to_string(shape.cols) + " columns are no multiple of 32";
  }

  [[nodiscard]] std::vector<part> parts(const matrix_shape& shape) const override {
    const auto blocks = static_cast<std::uint64_t>(shape.rows * (shape.cols / ggml_block_size));
    return {{"", true, blocks * sizeof(B)}};
  }

  [[nodiscard]] piece quantize(const rows_map& w, std::span<const float> importance,
                               std::span<const range> /*shared*/) const override {
    const auto blocks = [&] {
      if constexpr (std::is_same_v<B, q4_0>) {
        if (!importance.empty()) return weighted_quantize_blocks(w, importance);
      }
      return quantize_blocks<B>(w);
    }();
    piece result;
    result.set(0, std::as_bytes(blocks.bytes()));
    result.sums = sums_of(w, dequantize(blocks));
    return result;
  }

  void declare(gguf_writer& out, const std::string& name,
               std::span<const index> shape) const override {
    out.declare(name, detail::gguf_type_of_block<B>, shape);
  }
};

/// A name on the command line.
struct named_quantizer {
  std::string name;
  std::unique_ptr<quantizer> make;
};

/// The schemes for files of one format, by the names that --scheme takes.
class quantizers {
 public:
  explicit quantizers(file_format format) {
    if (format == file_format::gguf) {
      add<block_quantizer<q8_0>>("q8_0");
      add<block_quantizer<q5_0>>("q5_0");
      add<block_quantizer<q4_0>>("q4_0");
      add<block_quantizer<q4_1>>("q4_1");
      return;
    }
    add_matrix<int8_per_row>("int8_per_row");
    add_matrix<int8_per_col>("int8_per_col");
    add_matrix<int8_per_tensor>("int8_per_tensor");
    add_matrix<int8_power_of_two>("int8_power_of_two");
    add_groups<int8_grouped>("int8_grouped");
    add_matrix<int8_affine>("int8_affine");
    add_matrix<int8_affine_per_row>("int8_affine_per_row");
    add_matrix<uint8_affine>("uint8_affine");
    add_matrix<uint8_affine_per_row>("uint8_affine_per_row");
    add_matrix<int16_per_tensor>("int16_per_tensor");
    add_matrix<int16_per_row>("int16_per_row");
    add_matrix<int4_per_row>("int4_per_row");
    add_groups<int4_grouped>("int4_grouped");
    add_groups<uint4_grouped>("uint4_grouped");
    add_groups<uint4_grouped_minimum>("uint4_grouped_minimum");
    add_matrix<int3_per_row>("int3_per_row");
    add_groups<int3_grouped>("int3_grouped");
    add_matrix<int2_per_row>("int2_per_row");
    add_groups<int2_grouped>("int2_grouped");
    add_matrix<ternary_per_row>("ternary_per_row");
    add_groups<ternary_grouped>("ternary_grouped");
    add_matrix<two_scale_ternary>("two_scale_ternary");
    add_matrix<binary_per_row>("binary_per_row");
    add_groups<binary_grouped>("binary_grouped");
  }

  /// The scheme of that name, or nullptr.
  [[nodiscard]] const quantizer* find(std::string_view name) const {
    for (const named_quantizer& q : all_) {
      if (q.name == name) return q.make.get();
    }
    return nullptr;
  }

  /// "int8_per_row, int8_per_col, ...".
  [[nodiscard]] std::string names() const {
    std::string text;
    for (const named_quantizer& q : all_) text += (text.empty() ? "" : ", ") + q.name;
    return text;
  }

 private:
  template <class Q>
  void add(std::string name) {
    all_.push_back({std::move(name), std::make_unique<Q>()});
  }
  template <class S>
  void add_matrix(std::string name) {
    add<matrix_quantizer<S>>(std::move(name));
  }
  template <template <index> class Grouped>
  void add_groups(const std::string& name) {
    add_matrix<Grouped<32>>(name + ":32");
    add_matrix<Grouped<64>>(name + ":64");
    add_matrix<Grouped<128>>(name + ":128");
  }

  std::vector<named_quantizer> all_;
};

}  // namespace fewbit::examples::checkpoint
