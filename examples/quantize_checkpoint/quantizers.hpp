#pragma once
/// What --scheme can name: the quantizers of codebooks and of blocks of ggml, and a list of all.
/// Read before: quantizer.hpp.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/codebook/lloyd_max.hpp"
#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/formats/ggml_quantize.hpp"
#include "fewbit/formats/ggml_weighted.hpp"
#include "fewbit/io/gguf_writer.hpp"
#include "fewbit/quant/level_rule.hpp"
#include "quantizer.hpp"
#include "source.hpp"

namespace fewbit::examples::checkpoint {

/// A codebook, whose levels are those of NF4 or learned from rows of the tensor.
template <CodebookScheme S>
class codebook_quantizer final : public matrix_quantizer<S> {
 public:
  explicit codebook_quantizer(bool is_learned) : is_learned_(is_learned) {}

  [[nodiscard]] bool is_weighted() const override { return is_learned_; }
  [[nodiscard]] bool has_levels() const override { return true; }

  [[nodiscard]] std::vector<float> levels(const row_matrix<float>& rows,
                                          std::span<const float> importance,
                                          const thread_executor& team) const override {
    constexpr int bits = S::storage::bits;
    if (!is_learned_) {
      const auto fixed = normal_quantiles::levels<bits>();
      return {fixed.begin(), fixed.end()};
    }
    // Fewer weights than levels are levels themselves, whatever their importance.
    if (importance.empty() || rows.size() < index{1} << bits) {
      return lloyd_max::learn<S>(rows, codebook_scales<S>(rows, team), team);
    }
    return lloyd_max_levels<S>(rows, importance, team);
  }

 private:
  bool is_learned_;
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
                               const shared_values& /*shared*/) const override {
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
    add_codebook<codebook_per_row<2>>("codebook_per_row:2");
    add_codebook<codebook_per_row<3>>("codebook_per_row:3");
    add_codebook<codebook_per_row<4>>("codebook_per_row:4");
    add_codebook<codebook_per_row<8>>("codebook_per_row:8");
    add_codebook<codebook_grouped<4, 32>>("codebook_grouped:4:32");
    add_codebook<codebook_grouped<4, 64>>("codebook_grouped:4:64");
    add_codebook<codebook_grouped<4, 128>>("codebook_grouped:4:128");
    add_codebook<codebook_per_row<4>>("nf4_per_row", false);
    add_codebook<codebook_grouped<4, 32>>("nf4_grouped:32", false);
    add_codebook<codebook_grouped<4, 64>>("nf4_grouped:64", false);
    add_codebook<codebook_grouped<4, 128>>("nf4_grouped:128", false);
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
  template <CodebookScheme S>
  void add_codebook(std::string name, bool is_learned = true) {
    all_.push_back({std::move(name), std::make_unique<codebook_quantizer<S>>(is_learned)});
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
