#include "fewbit/io/checkpoint.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/core/random.hpp"
#include "fewbit/io/checkpoint_writer.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "io/checkpoint_cases.hpp"
#include "io/support.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace io_checkpoint_test {

using namespace fewbit::tests;

/// CRC-32 of zip and PNG, bit by bit.
std::uint32_t crc32(const std::string& text) {
  std::uint32_t sum = 0xFFFFFFFFU;
  for (const char letter : text) {
    sum ^= static_cast<unsigned char>(letter);
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  return ~sum;
}

/// Weights with columns in the order of inputs, from a matrix and an order.
template <Scheme S>
row_matrix<float> in_place(const checkpoint_layer<S>& layer) {
  const row_matrix<float> sorted = dequantize(layer.weights);
  row_matrix<float> w(sorted.rows(), sorted.cols());
  for (index c = 0; c < w.cols(); ++c)
    w.col(layer.order.empty() ? c : layer.order[static_cast<std::size_t>(c)]) = sorted.col(c);
  return w;
}

template <Scheme S>
checkpoint_layer<S> load_golden(const std::string& content,
                                const checkpoint_options& options = {}) {
  const safetensors_file file(bytes_of(content), "x");
  return load_checkpoint<S>(file, "l", options);
}

/// Three bits are those of golden_pack3, whose shape does not tell.
const checkpoint_options declares_2{.group = 0, .bits = 3, .version = gptq_version::v2};

TEST(load_checkpoint, reads_golden_gptq_of_version_1) {
  ASSERT_EQ(crc32(golden_gptq_v1()), 0xC4D7C105U);
  const auto layer = load_golden<uint4_grouped<8>>(golden_gptq_v1());
  EXPECT_EQ(layer.format, checkpoint_format::gptq_v1);
  EXPECT_EQ(layer.evidence, gptq_evidence::zero_points);
  EXPECT_TRUE(layer.order.empty());
  const row_matrix<float> w = in_place(layer);
  ASSERT_EQ(w.rows(), 8);
  ASSERT_EQ(w.cols(), 16);
  for (int r = 0; r < 8; ++r) {
    EXPECT_EQ(layer.bias[r], static_cast<float>(r) - 3.5F);
    for (int c = 0; c < 16; ++c) {
      const int code = (7 * c + 3 * r + 1) % 16 - 8, steps = (r + 1) * (1 + c / 8);
      ASSERT_EQ(w(r, c), static_cast<float>(code * steps) / 32.0F) << r << ' ' << c;
    }
  }
  EXPECT_EQ(w.sum(), -10.5F);
  const auto symmetric = load_golden<scheme<int4, grouped<8>, symmetric_full>>(golden_gptq_v1());
  EXPECT_EQ(in_place(symmetric), w);
  EXPECT_EQ(load_golden<uint4_grouped<8>>(golden_gptq_v1(), declares_2).evidence,
            gptq_evidence::against_declared);
}

TEST(load_checkpoint, reads_golden_gptq_of_version_2_with_scattered_groups) {
  ASSERT_EQ(crc32(golden_gptq_v2()), 0xF670923AU);
  const auto layer = load_golden<scheme<uint3, grouped<16>, affine>>(golden_gptq_v2(), declares_2);
  EXPECT_EQ(layer.format, checkpoint_format::gptq_v2);
  EXPECT_EQ(layer.evidence, gptq_evidence::declared);
  ASSERT_EQ(layer.order.size(), 32U);
  EXPECT_EQ(layer.order[1], 2);
  EXPECT_EQ(layer.order[16], 1);
  const row_matrix<float> w = in_place(layer);
  for (int r = 0; r < 32; ++r) {
    for (int c = 0; c < 32; ++c) {
      const int g = c % 2, code = (5 * c + 3) % 8 - (r + g) % 8;
      const int steps = (1 + r % 4) * (g == 0 ? 1 : 3);
      ASSERT_EQ(w(r, c), static_cast<float>(code * steps) / 16.0F) << r << ' ' << c;
    }
  }
  EXPECT_EQ(w.sum(), -96.0F);
}

TEST(load_checkpoint, reads_golden_awq) {
  ASSERT_EQ(crc32(golden_awq()), 0x7091C5A8U);
  const auto layer = load_golden<uint4_grouped<2>>(golden_awq());
  EXPECT_EQ(layer.format, checkpoint_format::awq);
  const row_matrix<float> w = in_place(layer);
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 4; ++c) {
      const int code = (r + 5 * c) % 16 - (3 * r + c / 2) % 16, steps = (r + 1) * (1 + c / 2);
      ASSERT_EQ(w(r, c), static_cast<float>(code * steps) / 64.0F) << r << ' ' << c;
    }
  }
  EXPECT_EQ(w.sum(), -5.625F);
}

TEST(load_checkpoint, reads_golden_pack_quantized) {
  ASSERT_EQ(crc32(golden_pack3()), 0x362D0B8DU);
  const auto layer = load_golden<scheme<int3, grouped<7>, affine>>(golden_pack3(), declares_2);
  EXPECT_EQ(layer.format, checkpoint_format::pack_quantized);
  const row_matrix<float> w = in_place(layer);
  for (int r = 0; r < 12; ++r) {
    for (int c = 0; c < 14; ++c) {
      const int g = c % 2, code = (3 * c + r) % 8 - (r + 4 * g) % 8, steps = (r + 1) * (1 + g);
      ASSERT_EQ(w(r, c), static_cast<float>(code * steps) / 16.0F) << r << ' ' << c;
    }
  }
  EXPECT_EQ(w.sum(), -46.0F);
}

TEST(load_checkpoint, reads_golden_int_quantized) {
  ASSERT_EQ(crc32(golden_int8()), 0xB8EE5255U);
  const auto layer = load_golden<scheme<int8, per_row, symmetric_full>>(golden_int8());
  EXPECT_EQ(layer.format, checkpoint_format::int_quantized);
  row_matrix<float> want(2, 3);
  want << 0.5F, 1.0F, 1.5F, -32.0F, 31.75F, 0.0F;
  EXPECT_EQ(in_place(layer), want);
}

TEST(checkpoint_writer, writes_the_golden_files) {
  const temporary_folder folder;
  const auto written = [&](const auto& weights, const Eigen::VectorXf& bias, dtype type) {
    safetensors_writer out(folder / "a", read_back::compare);
    save(out, "l", weights, bias, type);
    out.close();
    return content_of(folder / "a");
  };
  const auto codes = [](const std::string& content) {
    const safetensors_file file(bytes_of(content), "x");
    return read_checkpoint(file, "l", declares_2);
  };
  const checkpoint_codes first = codes(golden_gptq_v1());
  EXPECT_EQ(written(to_gptq(first.weights), first.bias, dtype::f16), golden_gptq_v1());
  EXPECT_EQ(written(to_gptq(codes(golden_gptq_v2()).weights, gptq_version::v2), {}, dtype::f16),
            golden_gptq_v2());
  EXPECT_EQ(written(to_awq(codes(golden_awq()).weights), {}, dtype::f16), golden_awq());
  EXPECT_EQ(written(to_pack_quantized(codes(golden_pack3()).weights), {}, dtype::bf16),
            golden_pack3());
}

TEST(checkpoint_writer, writes_what_read_checkpoint_reads) {
  const temporary_folder folder;
  Eigen::VectorXf bias = Eigen::VectorXf::LinSpaced(32, -2, 1.875F);
  std::vector<codes_in_groups> weights;
  {
    safetensors_writer out(folder / "a");
    for (const int bits : {2, 3, 4, 8}) {
      for (const bool has_order : {false, true}) {
        const std::string name = std::to_string(bits) + (has_order ? "o" : "");
        weights.push_back(
            random_weights{.bits = bits, .n = 32, .k = 64, .group = 32, .has_order = has_order}
                .make());
        save(out, "gptq." + name, to_gptq(weights.back(), gptq_version::v2), bias, dtype::f32);
        save(out, "packed." + name, to_pack_quantized(weights.back()));
        if (bits == 4 && !has_order) save(out, "awq", to_awq(weights.back()), bias);
      }
    }
    out.close();
  }
  const safetensors_file file(folder / "a");
  EXPECT_EQ(checkpoint_layers(file).size(), 17U);
  std::size_t i = 0;
  for (const int bits : {2, 3, 4, 8}) {
    for (const bool has_order : {false, true}) {
      const std::string name = std::to_string(bits) + (has_order ? "o" : "");
      const checkpoint_codes gptq = read_checkpoint(file, "gptq." + name, declares_2);
      EXPECT_TRUE(gptq.weights == weights[i]) << name;
      EXPECT_EQ(gptq.bias, bias);
      const checkpoint_codes packed = read_checkpoint(file, "packed." + name);
      EXPECT_TRUE(packed.weights == weights[i]) << name;
      EXPECT_EQ(packed.bias.size(), 0);
      if (bits == 4 && !has_order) {
        EXPECT_TRUE(read_checkpoint(file, "awq").weights == weights[i]);
      }
      ++i;
    }
  }
}

TEST(visit_checkpoint, finds_the_scheme) {
  const temporary_folder folder;
  {
    safetensors_writer out(folder / "a");
    const auto save_as = [&](const char* name, codes_in_groups w) {
      save(out, name, to_gptq(w, gptq_version::v1));
    };
    random_weights form{.n = 32, .k = 128, .group = 32, .is_symmetric = true};
    save_as("symmetric", form.make());
    codes_in_groups w = form.make();
    w.zeros(1, 1) = 3;
    save_as("affine", w);
    w.zeros(1, 1) = 16;
    w.scales(1, 1) = 0.5F;
    save_as("minimum", w);
    form.group = 128;
    form.bits = 3;
    save_as("row", form.make());
    form.bits = 8;
    form.group = 64;
    save_as("bytes", form.make());
    out.close();
  }
  const safetensors_file file(folder / "a");
  const auto scheme_of_layer = [&](const char* name) {
    return visit_checkpoint(
        file, name,
        [](const auto& layer) {
          return scheme_text<typename std::remove_cvref_t<decltype(layer.weights)>::scheme>();
        },
        {.group = 0, .bits = 0, .version = gptq_version::v1});
  };
  EXPECT_EQ(scheme_of_layer("symmetric"), "int4 grouped:32 symmetric_full real_scale nearest_even");
  EXPECT_EQ(scheme_of_layer("affine"), "uint4 grouped:32 affine real_scale nearest_even");
  EXPECT_EQ(scheme_of_layer("minimum"), "uint4 grouped:32 real_minimum real_scale nearest_even");
  EXPECT_EQ(scheme_of_layer("row"), "int3 per_row symmetric_full real_scale nearest_even");
  EXPECT_EQ(scheme_of_layer("bytes"), "int8 grouped:64 symmetric_full real_scale nearest_even");
}

/// A file of layer `l` with tensors of one suffix, type and shape each; all bytes are 17.
struct tensor_text {
  std::string suffix, type, shape;
  std::size_t bytes;
};
std::string file_of(const std::vector<tensor_text>& tensors, char fill = '\x11') {
  std::string header = "{";
  std::size_t end = 0;
  for (const tensor_text& t : tensors) {
    header += (header.size() == 1 ? "\"l." : ",\"l.") + t.suffix + "\":{\"dtype\":\"" + t.type +
              "\",\"shape\":" + t.shape + ",\"data_offsets\":[" + std::to_string(end) + "," +
              std::to_string(end + t.bytes) + "]}";
    end += t.bytes;
  }
  return safetensors_of(header + "}", std::string(end, fill));
}

#if FEWBIT_HAS_EXCEPTIONS
std::string sentence(const std::string& content, const checkpoint_options& options = declares_2) {
  return sentence_of([&] {
    const safetensors_file file(bytes_of(content), "x");
    return read_checkpoint(file, "l", options).bias.size();
  });
}

void has(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(read_checkpoint, names_the_tensor_and_the_byte) {
  const std::vector<tensor_text> gptq = {{"qweight", "I32", "[2,8]", 64},
                                         {"qzeros", "I32", "[2,1]", 8},
                                         {"scales", "F16", "[2,8]", 32}};
  EXPECT_EQ(sentence(file_of(gptq)), "no error");
  EXPECT_EQ(sentence(file_of({{"weight", "F32", "[1]", 4}})),
            "fewbit: read_checkpoint: tensors of layer 'l' of 'x' is missing, expected qweight, "
            "weight_packed, or weight of I8 with its scale");
  const auto with = [&](std::size_t i, const tensor_text& t,
                        const checkpoint_options& options = declares_2) {
    auto changed = gptq;
    if (i < changed.size()) {
      changed[i] = t;
    } else {
      changed.push_back(t);
    }
    return sentence(file_of(changed), options);
  };
  has(with(1, {"other", "I32", "[2,1]", 8}),
      "tensor 'l.qzeros' of 'x' is missing, expected one of");
  has(with(2, {"scales", "F16", "[16]", 32}), "shape of tensor 'l.scales' at byte ");
  has(with(2, {"scales", "F64", "[2,8]", 128}), "type of tensor 'l.scales' at byte ");
  has(with(0, {"qweight", "F32", "[2,8]", 64}), "is F32, expected I32");
  has(with(0, {"qweight", "I16", "[4,8]", 64}),
      "is I16, expected I32; I16 is the interleaved layout of llm-awq, so convert the checkpoint "
      "to "
      "the gemm layout of AutoAWQ");
  has(with(0, {"qweight", "I32", "[4,4]", 64}),
      "is [4, 4], expected 8 columns (GPTQ), or an eighth of them (AWQ)");
  has(with(1, {"qzeros", "I32", "[2,5]", 40}), "columns of words for 8 zero points");
  has(with(1, {"qzeros", "I32", "[1,1]", 4}), "is [1, 1], expected [2, 1]");
  has(with(0, {"qweight", "I32", "[0,8]", 0}), "is [0, 8], expected rows and columns");
  has(with(3, {"g_idx", "I32", "[15]", 60}), "is [15], expected [16]");
  has(with(3, {"g_idx", "F32", "[16]", 64}), "is F32, expected I32 or I64");
  has(with(3, {"g_idx", "I32", "[16]", 64}),
      "number 0 of tensor 'l.g_idx' at byte 370 of 'x' is 286331153, expected 0 to 1");
  has(with(3, {"g_idx", "I64", "[16]", 128}), "group[0] of tensor 'l.g_idx'");
  has(with(3, {"bias", "F32", "[9]", 36}), "is [9], expected [8]");
  has(with(3, {"bias", "I32", "[8]", 32}), "is I32, expected F16, BF16 or F32");
  has(with(0, gptq[0], {}),
      "version of tensor 'l.qzeros' at byte 266 of 'x' is unknown, because zero points are not "
      "those "
      "of symmetric codes, expected options.version, from the configuration of the checkpoint");
  has(with(0, gptq[0], {.group = 5, .bits = 0, .version = gptq_version::v1}),
      "number of groups of layer 'l' of 'x' is 2 of 16 inputs, expected 4");
  has(with(0, gptq[0], {.group = -5, .bits = 0, .version = gptq_version::v1}), "options.group");
  EXPECT_EQ(with(0, gptq[0], {.group = 15, .bits = 0, .version = gptq_version::v1}), "no error");
  has(sentence(file_of({{"qweight", "I32", "[3,8]", 96},
                        {"qzeros", "I32", "[7,1]", 28},
                        {"scales", "F16", "[7,8]", 112}})),
      "number of groups of layer 'l' of 'x' is 7 of 24 inputs, expected a divisor of it, or "
      "options.group");
}

TEST(read_checkpoint, names_what_is_wrong_in_compressed_tensors) {
  // 17 bytes of 17 each as a shape: 1229782938247303441 rows.
  has(sentence(
          file_of({{"weight_packed", "I32", "[2,2]", 16}, {"weight_shape", "I64", "[2]", 16}})),
      "expected 1 to 2147483647 outputs and inputs");
  has(sentence(file_of({{"weight_packed", "I32", "[2,2]", 16}, {"weight_shape", "I64", "[1]", 8}})),
      "is [1], expected [2]");
  has(sentence(
          file_of({{"weight_packed", "I32", "[2,2]", 16}, {"weight_shape", "F64", "[2]", 16}})),
      "is F64, expected I32 or I64");
  has(sentence(file_of({{"weight_packed", "I32", "[2,2]", 16}})),
      "'l.weight_shape' of 'x' is missing");

  const auto packed = [](index n, index k, const std::vector<tensor_text>& others,
                         const checkpoint_options& options = {}) {
    std::vector<tensor_text> tensors = {{"weight_shape", "I32", "[2]", 8}};
    tensors.insert(tensors.end(), others.begin(), others.end());
    std::string content = file_of(tensors);
    const safetensors_file file(bytes_of(content), "x");
    content.replace(static_cast<std::size_t>(file.at("l.weight_shape").byte), 8,
                    little_endian(static_cast<std::uint64_t>(n), 4) +
                        little_endian(static_cast<std::uint64_t>(k), 4));
    return sentence(content, options);
  };
  const tensor_text words{"weight_packed", "I32", "[2,5]", 40},
      scale{"weight_scale", "F32", "[2,4]", 32};
  EXPECT_EQ(packed(2, 40, {words, scale}), "no error");
  has(packed(3, 40, {words, scale}), "is [2, 5], expected [3, 5]");
  has(packed(2, 100, {words, scale}), "columns of words for 100 codes of 2, 3, 4 or 8 bits");
  has(packed(2, 40, {words, scale}, {.group = 0, .bits = 8, .version = {}}),
      "columns of words for 40 codes of 8 bits");
  has(packed(2, 3, {{"weight_packed", "I32", "[2,1]", 8}, {"weight_scale", "F32", "[2,1]", 8}}),
      "expected options.bits, because several widths of codes fit");
  EXPECT_EQ(packed(2, 3, {{"weight_packed", "I32", "[2,1]", 8}, {"weight_scale", "F32", "[2]", 8}},
                   {.group = 0, .bits = 4, .version = {}}),
            "no error");
  has(packed(2, 40, {words, {"weight_scale", "F32", "[3,4]", 48}}),
      "rows with a scale for each group");
  has(packed(2, 40, {words, scale, {"weight_zero_point", "I32", "[2,4]", 32}}),
      "is [2, 4], expected [1, 4]");
  has(packed(2, 40, {words, scale, {"weight_zero_point", "I8", "[2,3]", 6}}), "that of the scales");
  has(packed(2, 40, {words, scale, {"weight_zero_point", "I8", "[2,4]", 8}}),
      "number 0 of tensor 'l.weight_zero_point' at byte 369 of 'x' is 17, expected -8 to 7");
  has(packed(2, 40, {words, scale, {"weight_g_idx", "I32", "[40]", 160}}), "expected 0 to 3");
  has(sentence(file_of({{"weight", "I8", "[2,3]", 6}, {"weight_scale", "I32", "[2,1]", 8}})),
      "is I32, expected F16, BF16 or F32");
  has(sentence(file_of({{"weight", "I8", "[2,3]", 6},
                        {"weight_scale", "F32", "[]", 4},
                        {"weight_zero_point", "I32", "[1]", 4}})),
      "is I32, expected I8");
}

TEST(load_checkpoint, names_the_number_that_a_scheme_cannot_hold) {
  std::string content = golden_gptq_v1();
  content[content.size() - 1] = '\x7C';  // the last scale
  content[content.size() - 2] = '\0';
  const auto loads = [&](auto scheme) {
    return sentence_of([&] { return load_golden<decltype(scheme)>(content).bias.size(); });
  };
  EXPECT_EQ(
      loads(uint4_grouped<8>()),
      "fewbit: load_checkpoint: number of output 7, group 1 of tensor 'l.scales' at byte 488 of "
      "'x' is inf, expected a finite number, under the scheme uint4 grouped:8 affine real_scale "
      "nearest_even");
  has(loads(uint4_grouped<32>()), "group of layer 'l' of 'x' is 8 columns, expected 16 columns");
  has(loads(scheme<uint3, grouped<8>, affine>()), "bits of layer 'l' of 'x' is 4, expected 3");
  has(sentence_of([&] {
        const safetensors_file file(bytes_of(content), "x");
        return visit_checkpoint(file, "l", [](const auto&) { return true; });
      }),
      "weights of layer 'l' of 'x' is 4 bits in groups of 8, expected what a scheme of the list "
      "holds");
  std::string biased = golden_gptq_v1();
  biased[472 + 1] = '\x7E';
  has(sentence(biased), "number[0] of tensor 'l.bias' at byte 472 of 'x' is nan");
}

TEST(checkpoint_writer, names_what_it_refuses_and_writes_nothing) {
  const temporary_folder folder;
  safetensors_writer out(folder / "a");
  gptq_weights w = to_gptq(random_weights{.is_symmetric = true}.make());
  const auto saves = [&](const auto& weights, const Eigen::VectorXf& bias = Eigen::VectorXf(),
                         dtype type = dtype::f16) {
    return sentence_of([&] { return save(out, "l", weights, bias, type), 0; });
  };
  w.scales[5] = 0.1F;
  has(saves(w), "number 5 of tensor 'l.scales' in ");
  has(saves(w), " is 0.1, expected a finite number of type F16");
  has(saves(w, {}, dtype::f64), "type of scales is F64, expected F16, BF16 or F32");
  w.scales[5] = 0.5F;
  has(saves(w, Eigen::VectorXf::Zero(3)), "length of bias is 3, expected 8");
  has(saves(w, Eigen::VectorXf::Constant(8, 1e-9F)), "number 0 of tensor 'l.bias'");
  w.qzeros.pop_back();
  has(saves(w), "length of qzeros is 1");
  w.qzeros.push_back(0);
  EXPECT_FALSE(out.contains("l.qweight"));
  EXPECT_EQ(saves(w), "no error");
  has(saves(w), "tensor 'l.qweight' in ");
  has(saves(to_awq(random_weights().make())), "is there already, expected a new one");
  EXPECT_FALSE(out.contains("l.bias"));
}

TEST(read_checkpoint, survives_truncation_bit_flips_and_random_damage) {
  bool is_accepted = false;
  for (std::size_t i = 0; i < golden_checkpoints.size(); ++i) {
    const std::string& content = golden_checkpoints[i];
    const std::string input = encode_checkpoint(content);
    const checkpoint_input same(input);
    ASSERT_EQ(read_hostile_checkpoint(same.file, declares_2, is_accepted), "");
    EXPECT_TRUE(is_accepted) << i;
    for (std::size_t size = 0; size < content.size(); ++size) {
      EXPECT_EQ(read_hostile_checkpoint(content.substr(0, size), declares_2, is_accepted), "");
      EXPECT_FALSE(is_accepted) << size;
    }
    for (std::size_t bit = 0; bit < 8 * content.size(); bit += 13) {
      std::string flipped = content;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      EXPECT_EQ(read_hostile_checkpoint(flipped, declares_2, is_accepted), "") << bit;
    }
    for (std::uint64_t n = 0; n < 150; ++n) {
      std::string damaged = input;
      const auto bits = random_bits(i, n);
      damaged[bits[0] % 40] = static_cast<char>(bits[1] % 64);
      damaged[bits[2] % damaged.size()] = static_cast<char>(bits[3]);
      const checkpoint_input hostile(damaged);
      EXPECT_EQ(read_hostile_checkpoint(hostile.file, hostile.options, is_accepted), "") << n;
    }
  }
}
#endif

}}  // namespace fewbit::io_checkpoint_test
