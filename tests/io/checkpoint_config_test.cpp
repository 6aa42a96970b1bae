#include "fewbit/io/checkpoint_config.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fewbit/io/checkpoint.hpp"
#include "io/checkpoint_cases.hpp"
#include "io/support.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace io_checkpoint_config_test {

using fewbit::tests::bytes_of;
using fewbit::tests::sentence_of;
using fewbit::tests::temporary_folder;
using fewbit::tests::write_content;

std::optional<checkpoint_config> parsed(std::string_view text) {
  return parse_checkpoint_config(text, "c");
}
std::string refusal(std::string_view text) {
  return sentence_of([&] { (void)parsed(text); });
}
void expect_refusal(std::string_view text, std::string_view part) {
  const std::string sentence = refusal(text);
  EXPECT_NE(sentence.find(part), std::string::npos) << text << "\n" << sentence;
}

TEST(parse_checkpoint_config, reads_gptq) {
  const auto config = parsed(R"({"bits": 4, "group_size": 128, "damp_percent": 0.01,
      "desc_act": true, "static_groups": false, "sym": true, "true_sequential": true,
      "model_name_or_path": null, "quant_method": "gptq", "checkpoint_format": "gptq_v2",
      "meta": {"bits": "x", "quantizer": ["gptqmodel:1.4", {"sym": 3}]}})");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->file, "c");
  EXPECT_EQ(config->method, "gptq");
  EXPECT_EQ(config->format, "gptq_v2");
  EXPECT_EQ(config->bits, 4);
  EXPECT_EQ(config->group, 128);
  EXPECT_EQ(config->desc_act, true);
  EXPECT_EQ(config->static_groups, false);
  EXPECT_EQ(config->sym, true);
  EXPECT_EQ(options_of(*config).version, gptq_version::v2);
  EXPECT_EQ(options_of(*config).bits, 0);
}

TEST(parse_checkpoint_config, reads_what_is_inside_of_a_model) {
  const auto config = parsed(R"({"bits": 3, "group_size": 7, "architectures": ["X"],
      "quantization_config": {"bits": 8, "group_size": -1, "quant_method": "gptq",
                              "checkpoint_format": "gptq"}, "sym": true})");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->bits, 8);
  EXPECT_EQ(config->group, -1);
  EXPECT_FALSE(config->sym);
  EXPECT_FALSE(config->desc_act);
  EXPECT_EQ(options_of(*config).version, gptq_version::v1);
  EXPECT_FALSE(parsed(R"({"architectures": ["X"], "hidden_size": 64, "version": "3"})"));
  EXPECT_FALSE(parsed("{}"));
}

TEST(parse_checkpoint_config, reads_awq) {
  const auto llm_awq =
      parsed(R"({"zero_point": true, "q_group_size": 64, "w_bit": 4, "version": "GEMM"})");
  ASSERT_TRUE(llm_awq);
  EXPECT_EQ(llm_awq->bits, 4);
  EXPECT_EQ(llm_awq->group, 64);
  EXPECT_EQ(llm_awq->sym, false);
  EXPECT_EQ(llm_awq->format, "GEMM");
  EXPECT_EQ(llm_awq->method, "");
  EXPECT_FALSE(options_of(*llm_awq).version);
}

TEST(parse_checkpoint_config, reads_compressed_tensors) {
  const auto text = [](int bits, int group) {
    return R"({"quantization_config": {"quant_method": "compressed-tensors",
        "format": "pack-quantized", "config_groups": {
        "group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "group_size": 32,
                    "symmetric": true, "strategy": "group", "actorder": null},
                    "input_activations": {"num_bits": 8, "symmetric": false}},
        "group_1": {"weights": {"symmetric": true, "num_bits": )" +
           std::to_string(bits) + ", \"group_size\": " + std::to_string(group) + "}}}}}";
  };
  const auto config = parsed(text(4, 32));
  ASSERT_TRUE(config);
  EXPECT_EQ(config->bits, 4);
  EXPECT_EQ(config->group, 32);
  EXPECT_EQ(config->sym, true);
  EXPECT_EQ(options_of(*config).bits, 4);
  const auto mixed = parsed(text(8, 64));  // the file does not say what a layer has
  ASSERT_TRUE(mixed);
  EXPECT_FALSE(mixed->bits);
  EXPECT_FALSE(mixed->group);
  EXPECT_EQ(mixed->sym, true);
}

TEST(parse_checkpoint_config, names_the_byte_of_what_it_refuses) {
  EXPECT_EQ(refusal(R"({"bits": 4, "group_size": 0})"),
            "fewbit: parse_checkpoint_config: group_size at byte 28 of 'c' is 0, expected -1, or 1 "
            "to 2147483647");
  expect_refusal(R"({"bits": 65})", "number of bits at byte");
  expect_refusal(R"({"bits": -4})", "is -4, expected 1 to 64");
  expect_refusal(R"({"bits": 18446744073709551615})", "expected 1 to 64");
  expect_refusal(R"({"bits": 4, "group_size": -2})", "is -2, expected -1");
  expect_refusal(R"({"bits": "4"})", "bits at byte 12 of 'c' is '4'");
  expect_refusal(R"({"bits": 4.0})", "bits at byte");
  expect_refusal(R"({"bits": true})", "is true, expected a value of another type");
  expect_refusal(R"({"sym": 1})", "is 1, expected a value of another type");
  expect_refusal(R"({"quant_method": 1})", "quant_method at byte");
  expect_refusal(R"({"bits": 4, "bits": 8})", "is there twice, with different values");
  expect_refusal(R"({"quant_method": "gptq", "quant_method": "awq"})", "is there twice");
  expect_refusal(
      R"({"quantization_config": {"config_groups": {"a": {"weights": {"num_bits": "4"}}}}})",
      "num_bits at byte");
  expect_refusal("", "malformed");
  expect_refusal("[1, 2", "malformed");
  expect_refusal("{\"bits\": 4}x", "malformed");
  expect_refusal(std::string(100000, '['), "depth at byte 65 of 'c' is more than 64");
  expect_refusal(
      [] {
        std::string text;
        for (int i = 0; i < 100000; ++i) text += "{\"a\":";
        return text;
      }(),
      "is more than 64");
}

TEST(parse_checkpoint_config, survives_truncation_and_bit_flips) {
  const std::string whole = R"({"quantization_config": {"bits": 4, "group_size": 128, "sym": true,
      "config_groups": {"g": {"weights": {"num_bits": 4, "group_size": null}}}, "a": [1, {"b": 2}],
      "quant_method": "gptq", "checkpoint_format": "gptq"}})";
  for (std::size_t length = 0; length < whole.size(); ++length) {
    expect_refusal(whole.substr(0, length), "c");
  }
  for (std::size_t i = 0; i < 8 * whole.size(); ++i) {
    std::string changed = whole;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << (i % 8)));
    (void)refusal(changed);
  }
}

TEST(find_checkpoint_config, reads_the_file_beside_the_checkpoint) {
  const temporary_folder folder;
  const std::string checkpoint = folder / "model.safetensors";
  EXPECT_FALSE(find_checkpoint_config(checkpoint));
  write_content(folder / "quant_config.json", R"({"w_bit": 2})");
  EXPECT_EQ(find_checkpoint_config(checkpoint)->bits, 2);
  write_content(folder / "quantize_config.json", R"({"bits": 3})");
  EXPECT_EQ(find_checkpoint_config(checkpoint)->bits, 3);
  write_content(folder / "config.json", R"({"hidden_size": 4})");
  EXPECT_EQ(find_checkpoint_config(checkpoint)->bits, 3);
  write_content(folder / "config.json", R"({"quantization_config": {"bits": 4}})");
  const auto config = find_checkpoint_config(checkpoint);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->bits, 4);
  EXPECT_EQ(config->file, folder / "config.json");
  write_content(folder / "config.json", "{");
  EXPECT_NE(sentence_of([&] { (void)find_checkpoint_config(checkpoint); }).find("config.json"),
            std::string::npos);
  std::filesystem::resize_file(folder / "config.json", (16 << 20) + 1);
  EXPECT_NE(sentence_of([&] { (void)find_checkpoint_config(checkpoint); }).find("at most 16777216"),
            std::string::npos);
}

/// The layer of a file under a configuration, and what they disagree on.
struct checked {
  checkpoint_codes layer;
  std::vector<std::string> sentences;
};
checked check(const std::string& content, const std::string& text) {
  const auto config = parsed(text);
  const safetensors_file file(bytes_of(content), "x");
  checkpoint_codes layer = read_checkpoint(file, "l", options_of(config.value()));
  const auto sentences = disagreements(config.value(), layer);
  return {std::move(layer), sentences};
}

TEST(disagreements, are_none_for_what_the_tensors_say) {
  using namespace fewbit::tests;
  const auto none = std::vector<std::string>();
  // Symmetric 4 bits in groups of 8, and 3 bits with scattered groups of 16 and other zero points.
  EXPECT_EQ(check(golden_gptq_v1(), R"({"bits": 4, "group_size": 8, "sym": true, "desc_act": false,
      "quant_method": "gptq", "checkpoint_format": "gptq"})")
                .sentences,
            none);
  EXPECT_EQ(check(golden_gptq_v2(), R"({"bits": 3, "group_size": 16, "sym": false, "desc_act": true,
      "quant_method": "gptq", "checkpoint_format": "gptq_v2"})")
                .sentences,
            none);
  EXPECT_EQ(check(golden_awq(), R"({"w_bit": 4, "q_group_size": 2, "zero_point": true,
      "version": "GEMM"})")
                .sentences,
            none);
  EXPECT_EQ(check(golden_pack3(), R"({"quantization_config": {"format": "pack-quantized",
      "quant_method": "compressed-tensors", "config_groups": {"g": {"weights":
      {"num_bits": 3, "group_size": 7, "symmetric": false}}}}})")
                .sentences,
            none);
  EXPECT_EQ(check(golden_int8(), R"({"bits": 8, "group_size": -1, "sym": true,
      "quant_method": "compressed-tensors"})")
                .sentences,
            none);
}

TEST(disagreements, name_each_difference) {
  using namespace fewbit::tests;
  const auto all = check(golden_gptq_v1(), R"({"bits": 8, "group_size": 16, "sym": false,
      "desc_act": true, "quant_method": "awq", "checkpoint_format": "gptq_v2"})");
  EXPECT_EQ(all.layer.format, checkpoint_format::gptq_v1);
  const std::vector<std::string> expected = {
      "quant_method is awq in 'c', but the tensors are those of GPTQ version 1",
      "bits is 8 in 'c', but the codes of the tensors have 4",
      "group_size is 16 in 'c', but a scale of the tensors is for 8 inputs",
      "desc_act is true in 'c', but the inputs of all groups are neighbours",
      "checkpoint_format is gptq_v2 in 'c', but the zero points are those of GPTQ version 1, which "
      "was used"};
  EXPECT_EQ(all.sentences, expected);
  const std::vector<std::string> scattered = {
      "group_size is -1 in 'c', but a scale of the tensors is for 16 inputs",
      "sym is true in 'c', but the tensors have other zero points than 4",
      "desc_act is false in 'c', but the inputs of a group are scattered"};
  EXPECT_EQ(check(golden_gptq_v2(), R"({"bits": 3, "group_size": -1, "sym": true,
      "desc_act": false, "quant_method": "gptq", "checkpoint_format": "gptq_v2"})")
                .sentences,
            scattered);
  const auto without_order = check(golden_gptq_v1(), R"({"bits": 4, "desc_act": true,
      "static_groups": true})");
  EXPECT_TRUE(without_order.sentences.empty());
}

}}  // namespace fewbit::io_checkpoint_config_test
