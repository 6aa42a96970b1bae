#include "fewbit/io/gguf_writer.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fewbit/formats/ggml_quantize.hpp"
#include "fewbit/io/gguf.hpp"
#include "io/gguf_cases.hpp"
#include "io/support.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace io_gguf_writer_test {

using namespace fewbit::tests;

block_matrix<q4_0> golden_blocks() {
  const std::string bytes = two_q4_0_blocks();
  std::vector<q4_0> blocks(2);
  std::memcpy(blocks.data(), bytes.data(), bytes.size());
  return {2, 32, blocks};
}

const Eigen::RowVector3f golden_b(1, 2, 3);

TEST(gguf_writer, writes_the_golden_file_declared_or_not) {
  const temporary_folder folder;
  for (const bool declares : {false, true}) {
    gguf_writer out(folder / "a", declares ? read_back::compare : read_back::no);
    out.set("general.alignment", std::uint32_t{32});
    if (declares) {
      out.declare("a.weight", gguf_type::q4_0, {2, 32});
      out.declare("b", gguf_type::f32, {3});
      out.write("b", golden_b);
      const auto blocks = golden_blocks();
      const auto bytes = std::as_bytes(blocks.bytes());
      out.append("a.weight", bytes.first(7));
      out.append("a.weight", bytes.subspan(7));
    } else {
      out.write("a.weight", golden_blocks());
      out.write("b", golden_b);
    }
    EXPECT_EQ(out.path(), folder / "a");
    out.close();
    EXPECT_EQ(content_of(folder / "a"), golden_gguf());
    EXPECT_EQ(folder.files(), 1);
  }
}

TEST(gguf_writer, writes_every_value) {
  const temporary_folder folder;
  const std::string content = metadata_gguf();
  const gguf_file in(bytes_of(content), "x");
  gguf_writer copy(folder / "copy");
  for (index i = 0; i < in.values(); ++i) copy.set(in.value(i));
  for (const gguf_tensor t : in) copy.declare(t);
  for (const gguf_tensor t : in) copy.write(t);
  copy.close();
  EXPECT_EQ(content_of(folder / "copy"), content);

  gguf_writer out(folder / "a");
  out.set("u8", std::uint8_t{200});
  out.set("i8", std::int8_t{-3});
  out.set("u16", std::uint16_t{60000});
  out.set("i16", std::int16_t{-300});
  out.set("u32", std::uint32_t{4000000000U});
  out.set("i32", std::int32_t{-70000});
  out.set("f32", 0.1F);
  out.set("yes", true);
  out.set("text", "llama");
  out.set("string", std::string("a\0b", 3));
  out.set("u64", ~std::uint64_t{0});
  out.set("i64", std::int64_t{-1} << 40);
  out.set("f64", 0.1);
  out.set_array("numbers", std::vector<float>{1, 2});
  out.set_array("bools", std::vector<bool>{true, false, true});
  out.set_array("texts", std::vector<std::string>{"a", "", "bc"});
  const std::vector<std::int16_t> shorts = {-1, 5};
  out.set_array("shorts", std::span<const std::int16_t>(shorts));
  out.close();
  const gguf_file file(folder / "a");
  EXPECT_EQ(file.values(), 17);
  EXPECT_EQ(file.value("u8").get<std::uint8_t>(), 200);
  EXPECT_EQ(file.value("i8").get<std::int8_t>(), -3);
  EXPECT_EQ(file.value("u16").get<std::uint16_t>(), 60000);
  EXPECT_EQ(file.value("i16").get<std::int16_t>(), -300);
  EXPECT_EQ(file.value("u32").get<std::uint32_t>(), 4000000000U);
  EXPECT_EQ(file.value("i32").get<std::int32_t>(), -70000);
  EXPECT_EQ(file.value("f32").get<float>(), 0.1F);
  EXPECT_TRUE(file.value("yes").get<bool>());
  EXPECT_EQ(file.value("text").get<std::string_view>(), "llama");
  EXPECT_EQ(file.value("string").get<std::string_view>(), std::string_view("a\0b", 3));
  EXPECT_EQ(file.value("u64").get<std::uint64_t>(), ~std::uint64_t{0});
  EXPECT_EQ(file.value("i64").get<std::int64_t>(), std::int64_t{-1} << 40);
  EXPECT_EQ(file.value("f64").get<double>(), 0.1);
  EXPECT_EQ(file.value("numbers").array<float>(), (std::vector<float>{1, 2}));
  EXPECT_EQ(file.value("bools").array<bool>(), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(file.value("texts").array<std::string_view>(),
            (std::vector<std::string_view>{"a", "", "bc"}));
  EXPECT_EQ(file.value("shorts").array<std::int16_t>(), shorts);
}

TEST(gguf_writer, writes_every_type_that_can_be_quantized_to) {
  const temporary_folder folder;
  const row_matrix<float> w = row_matrix<float>::Random(3, 64);
  for (const std::uint32_t alignment : {8U, 32U, 4096U}) {
    gguf_writer out(folder / "a");
    out.set("general.alignment", alignment);
    out.write("f32", w);
    out.write("f16", w.cast<Eigen::half>());
    out.write("bf16", w.cast<Eigen::bfloat16>());
    out.write("columns", Eigen::MatrixXf(w));
    out.write("block", w.block(0, 8, 3, 8));
    out.write("q8_0", quantize_blocks<q8_0>(w));
    out.write("q5_0", quantize_blocks<q5_0>(w));
    out.write("q4_0", quantize_blocks<q4_0>(w));
    out.write("q4_1", quantize_blocks<q4_1>(w));
    out.write("cube", gguf_type::i8, {2, 1, 3}, bytes_of("abcdef"));
    out.write("scalar", gguf_type::i8, {}, bytes_of("a"));
    out.write("none", gguf_type::q4_0, {0, 64}, {});
    out.close();
    const gguf_file file(folder / "a");
    EXPECT_EQ(file.alignment(), index{alignment});
    EXPECT_EQ(file.size(), 12);
    EXPECT_EQ(file.at("f32").to_floats(), w);
    EXPECT_EQ(file.at("columns").to_floats(), w);
    EXPECT_EQ(file.at("block").to_floats(), w.block(0, 8, 3, 8));
    EXPECT_EQ(file.at("f16").to_floats(), w.cast<Eigen::half>().cast<float>().eval());
    EXPECT_EQ(file.at("bf16").to_floats(), w.cast<Eigen::bfloat16>().cast<float>().eval());
    EXPECT_EQ(file.at("q8_0").to_floats(), dequantize(quantize_blocks<q8_0>(w)));
    EXPECT_EQ(file.at("q5_0").to_floats(), dequantize(quantize_blocks<q5_0>(w)));
    EXPECT_EQ(file.at("q4_0").to_floats(), dequantize(quantize_blocks<q4_0>(w)));
    EXPECT_EQ(file.at("q4_1").to_floats(), dequantize(quantize_blocks<q4_1>(w)));
    const gguf_tensor cube = file.at("cube");
    EXPECT_EQ(std::vector<index>(cube.shape().begin(), cube.shape().end()),
              (std::vector<index>{2, 1, 3}));
    EXPECT_EQ(cube.rows(), 2);
    EXPECT_EQ(cube.matrix<std::int8_t>()(1, 0), 'd');
    EXPECT_EQ(file.at("scalar").rank, 0);
    EXPECT_TRUE(file.at("none").to_floats().size() == 0);
  }
}

TEST(gguf_writer, names_bad_calls_and_leaves_the_old_file) {
  const temporary_folder folder;
  write_content(folder / "a", "old");
  {
    gguf_writer out(folder / "a");
    const auto of = [&](auto call) { return sentence_of([&] { return call(), 0; }); };
    const auto has = [&](const std::string& text, const char* part) {
      EXPECT_NE(text.find(part), std::string::npos) << text;
    };
    out.set("k", true);
    has(of([&] { out.set("k", 1.0F); }), "gguf_writer::set: key 'k' in");
    has(of([&] { out.set("", 1.0F); }), "length of key '' in");
    has(of([&] { out.set(std::string(65536, 'k'), 1.0F); }), "is 65536, expected 1 to 65535");
    const std::string alignment = "general.alignment";
    for (const std::uint32_t bad : {0U, 4U, 24U, 1U << 21}) {
      has(of([&] { out.set(alignment, bad); }), "a power of two from 8 to 1048576");
    }
    has(of([&] { out.set(alignment, std::int32_t{8}); }), "is i32, expected u32");
    has(of([&] { out.set(alignment, "8"); }), "is text, expected u32");
    has(of([&] { out.set_array(alignment, std::vector<std::uint32_t>{8}); }), "is an array");
    out.declare("w", gguf_type::q4_0, {2, 32});
    has(of([&] { out.declare("w", gguf_type::f32, {1}); }), "is there already");
    has(of([&] { out.declare(std::string(64, 'n'), gguf_type::f32, {1}); }), "is 64 bytes");
    has(of([&] { out.declare("t", gguf_type::q4_0, {33}); }), "rows of whole blocks of 32");
    has(of([&] { out.declare("t", gguf_type::f32, {-1}); }), "is -1, expected at least 0");
    has(of([&] { out.declare("t", gguf_type::f32, {1, 1, 1, 1, 1}); }), "is 5, expected 0 to 4");
    has(of([&] { out.declare("t", static_cast<gguf_type>(4), {1}); }), "is 4, expected a type");
    const index huge = index{1} << 40;
    has(of([&] { out.declare("t", gguf_type::f32, {huge, huge}); }), "a size that fits");
    has(of([&] { out.write("w", golden_b); }), "is F32 [3], expected Q4_0 [2, 32]");
    has(of([&] { out.write("w", gguf_type::q4_0, {2, 32}, {}); }), "is 0 bytes, expected 36");
    has(of([&] { out.append("t", {}); }), "is unknown, expected a declared tensor");
    has(of([&] { out.close(); }), "is 0 bytes, expected 36");
    out.write("w", golden_blocks());
    has(of([&] { out.write("w", golden_blocks()); }), "is written already");
    has(of([&] { out.append("w", bytes_of("a")); }), "is 1 further bytes, expected at most 0");
    has(of([&] { out.set("later", true); }), "new after the first write");
    has(of([&] { out.set(alignment, std::uint32_t{64}); }), "new after the first write");
    has(of([&] { out.write("later", golden_b); }), "new after the first write");
  }
  EXPECT_EQ(content_of(folder / "a"), "old");
  EXPECT_EQ(folder.files(), 1);
  EXPECT_NE(sentence_of([&] { return gguf_writer(folder / "none/a").path(); }), "no error");
}

}}  // namespace fewbit::io_gguf_writer_test
