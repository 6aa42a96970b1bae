// Tensors of GGUF files as layers: the K-quants, and a whole file as llama.cpp mixes types in it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/formats/ggml_quantize.hpp"
#include "fewbit/io/gguf_quantized.hpp"
#include "fewbit/io/gguf_writer.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "formats/grouped_oracle.hpp"
#include "io/support.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace io_gguf_layers_test {

using namespace fewbit::tests;

/// Integers of -127 .. 127 with 127 in each row: their scale is 1, and their codes are exact.
row_matrix<float> integer_inputs(index rows, index cols) {
  row_matrix<float> x = (random_reals(rows, cols, 9) * 16.0F).array().round();
  x = x.cwiseMax(-127.0F).cwiseMin(127.0F);
  x.col(0).setConstant(127.0F);
  return x;
}

/// The parts of the weights that scales and minima make.
template <class S>
struct plain_parts {
  row_matrix<double> of_scales, of_minima;

  explicit plain_parts(const quantized_matrix<S>& q)
      : of_scales(q.rows(), q.cols()), of_minima(q.rows(), q.cols()) {
    for (index r = 0; r < q.rows(); ++r) {
      for (index c = 0; c < q.cols(); ++c) {
        of_scales(r, c) = (q.code(r, c) - q.zero_point(r, c)) * double{q.scale(r, c)};
        of_minima(r, c) = double{q.minimum(r, c)};
      }
    }
  }
};

/// Expects a layer of q to multiply as the floats of the file. A layer rounds each scale by at most
/// 2^-12 of it, and its sums as floats. Returns whether a scale was rounded at all.
template <class Inputs, class S>
bool expect_products_of_floats(const quantized_matrix<S>& q, const row_matrix<float>& floats) {
  const plain_parts<S> parts(q);
  const row_matrix<float> x = integer_inputs(3, q.cols());
  row_matrix<float> y(3, q.rows());
  const linear<S, Inputs> layer(q);
  layer(x, y);
  const row_matrix<double> reals = x.cast<double>(), sizes = reals.cwiseAbs();
  const row_matrix<double> want = reals * floats.cast<double>().transpose();
  const row_matrix<double> of_scales = sizes * parts.of_scales.cwiseAbs().transpose();
  const row_matrix<double> of_minima = sizes * parts.of_minima.cwiseAbs().transpose();
  bool is_rounded = false;
  for (index i = 0; i < 3; ++i) {
    for (index j = 0; j < q.rows(); ++j) {
      const double sums = 0x1p-20 * (of_scales(i, j) + of_minima(i, j));
      const double error = std::fabs(double{y(i, j)} - want(i, j));
      EXPECT_LE(error, 0x1p-12 * of_scales(i, j) + sums) << scheme_text<S>() << i << ' ' << j;
      is_rounded = is_rounded || error > sums;
    }
  }
  return is_rounded;
}

template <class B>
class gguf_layers_test : public testing::Test {};
using k_quants = testing::Types<q2_k, q3_k, q4_k, q5_k, q6_k>;
TYPED_TEST_SUITE(gguf_layers_test, k_quants);

TYPED_TEST(gguf_layers_test, multiply_as_the_decoded_floats) {
  const auto blocks = random_grouped_blocks<TypeParam>(20, 3, true);
  const auto q = to_quantized<TypeParam>(10, 512, blocks);
  row_matrix<float> floats(10, 512);
  dequantize_row(blocks.data(), 20, floats.data());
  ASSERT_EQ(dequantize(q), floats);
  // Their scales are a half times an integer of 4 to 8 bits: more than 12 significant bits.
  EXPECT_TRUE(expect_products_of_floats<dynamic_int8>(q, floats));
  EXPECT_TRUE(expect_products_of_floats<float_inputs>(q, floats));
}

/// Writes a tensor of random blocks of small numbers.
template <class B>
void write_blocks(gguf_writer& out, const std::string& name, index rows, index cols) {
  static unsigned seed = 0;
  const index count = rows * cols / detail::weights_of_block<B>;
  std::vector<B> blocks;
  if constexpr (GroupedBlock<B>) {
    blocks = random_grouped_blocks<B>(static_cast<std::size_t>(count), ++seed, true);
  } else {
    const auto matrix = quantize_blocks<B>(random_reals(rows, cols, ++seed));
    blocks.assign(matrix.blocks().begin(), matrix.blocks().end());
  }
  out.write(name, detail::gguf_type_of_block<B>, {rows, cols}, std::as_bytes(std::span(blocks)));
}

constexpr index width = 256, heads = 64, vocabulary = 48;

/// A model of two layers as llama.cpp stores it under "Q4_K_M": Q4_K; Q6_K for the output, the
/// values and the last product of every other layer; other types where rows are no whole blocks.
void write_model(const std::string& path) {
  gguf_writer out(path);
  out.set("general.architecture", "llama");
  out.set("general.name", "test");
  out.set("general.file_type", std::uint32_t{15});
  out.set("llama.block_count", std::uint32_t{2});
  out.set("llama.embedding_length", static_cast<std::uint32_t>(width));
  out.set("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  out.set_array("tokenizer.ggml.tokens", std::vector<std::string>(48, "t"));
  write_blocks<q4_k>(out, "token_embd.weight", vocabulary, width);
  const auto write_norm = [&](const std::string& name) {
    out.write(name, row_matrix<float>(random_reals(1, width, 1)).row(0));
  };
  for (const int layer : {0, 1}) {
    const std::string name = "blk." + std::to_string(layer) + ".";
    write_norm(name + "attn_norm.weight");
    write_blocks<q4_k>(out, name + "attn_q.weight", heads, width);
    write_blocks<q4_k>(out, name + "attn_k.weight", heads, width);
    if (layer == 0) {
      write_blocks<q6_k>(out, name + "attn_v.weight", heads, width);
    } else {
      write_blocks<q4_k>(out, name + "attn_v.weight", heads, width);
    }
    write_blocks<q5_0>(out, name + "attn_output.weight", width, heads);
    write_norm(name + "ffn_norm.weight");
    write_blocks<q4_k>(out, name + "ffn_gate.weight", heads, width);
    write_blocks<q4_k>(out, name + "ffn_up.weight", heads, width);
    write_blocks<q8_0>(out, name + "ffn_down.weight", width, heads);
  }
  write_norm("output_norm.weight");
  write_blocks<q6_k>(out, "output.weight", vocabulary, width);
  out.close();
}

TEST(gguf_layers, of_a_file_of_mixed_types_load_whole) {
  const temporary_folder folder;
  write_model(folder / "model-Q4_K_M.gguf");
  const gguf_file file(folder / "model-Q4_K_M.gguf");
  EXPECT_EQ(file.value("general.file_type").get<std::uint32_t>(), 15U);
  EXPECT_EQ(file.size(), 21);
  EXPECT_GT(content_of(folder / "model-Q4_K_M.gguf").size(), std::size_t{150000});
  index layers = 0, weights = 0;
  for (const gguf_tensor t : file) {
    const row_matrix<float> floats = t.to_floats();
    weights += floats.size();
    ASSERT_TRUE(floats.allFinite()) << t.name;
    if (t.type == gguf_type::f32) continue;
    EXPECT_EQ(visit(t, [](const auto& q) { return dequantize(q); }), floats) << t.name;
    if (t.type == gguf_type::q4_k) {
      EXPECT_TRUE(
          expect_products_of_floats<dynamic_int8>(load<uint4_grouped_minimum<32>>(t), floats));
    } else if (t.type == gguf_type::q6_k) {
      EXPECT_TRUE(expect_products_of_floats<dynamic_int8>(load<int8_grouped<16>>(t), floats));
    } else {  // scales are halves, which layers keep
      EXPECT_FALSE(expect_products_of_floats<dynamic_int8>(load<int8_grouped<32>>(t), floats));
    }
    ++layers;
  }
  EXPECT_EQ(layers, 16);
  EXPECT_EQ(weights, 5 * width + 2 * vocabulary * width + 14 * heads * width);
}

TEST(gguf_layers, of_mxfp4_load_as_a_codebook) {
  const temporary_folder folder;
  auto blocks = random_grouped_blocks<mxfp4>(12, 5, true);
  for (mxfp4& b : blocks) b.e = static_cast<std::uint8_t>(100 + b.e % 50);
  const auto write = [&] {
    gguf_writer out(folder / "a");
    out.write("w", gguf_type::mxfp4, {3, 128}, std::as_bytes(std::span(blocks)));
    out.close();
  };
  write();
  const gguf_file file(folder / "a");
  const auto q = load<mxfp4_codebook>(file, "w");
  EXPECT_EQ(dequantize(q), file.at("w").to_floats());
  EXPECT_EQ(dequantize(load<int8_grouped<32>>(file, "w")), dequantize(q));
#if FEWBIT_HAS_EXCEPTIONS
  blocks[5].e = 255;
  write();
  const gguf_file bad(folder / "a");
  const std::string sentence = sentence_of([&] { return load<mxfp4_codebook>(bad, "w").rows(); });
  EXPECT_NE(sentence.find("block (1, 1) of tensor 'w' at byte " +
                          std::to_string(bad.at("w").byte + 5 * 17)),
            std::string::npos)
      << sentence;
#endif
}

}}  // namespace fewbit::io_gguf_layers_test
