// Starts quantize_checkpoint as a user does, and compares its files with those of the library.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#if defined(__linux__)
#include <sys/mount.h>
#endif
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "../../examples/quantize_checkpoint/patterns.hpp"
#include "fewbit/codebook/lloyd_max.hpp"
#include "fewbit/formats/ggml_quantize.hpp"
#include "fewbit/formats/ggml_weighted.hpp"
#include "fewbit/io/emit_header.hpp"
#include "fewbit/io/gguf.hpp"
#include "fewbit/io/gguf_quantized.hpp"
#include "fewbit/io/gguf_writer.hpp"
#include "fewbit/io/packed_writer.hpp"
#include "fewbit/io/quantized.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/weighted_quantize.hpp"
#include "io/support.hpp"
#include "support/sanitized.hpp"

namespace fewbit { namespace examples_quantize_checkpoint_test {

using fewbit::tests::content_of;
using fewbit::tests::temporary_folder;
using fewbit::tests::write_content;
using arguments = std::vector<std::string>;

// ---- the program

struct outcome {
  int code = -1;
  std::string out, err;
  std::int64_t resident_kb = 0;  ///< the most of it
};

/// Starts a program with its output in files of the folder.
pid_t start_program(const temporary_folder& folder, const char* program, const arguments& args,
                    const std::function<void()>& prepare) {
  const std::string out = folder / "stdout", err = folder / "stderr";
  const pid_t child = ::fork();
  if (child != 0) return child;
  const auto redirect = [](const std::string& path, int number) {
    ::dup2(::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600), number);
  };
  redirect(out, STDOUT_FILENO);
  redirect(err, STDERR_FILENO);
  std::vector<char*> pointers = {const_cast<char*>(program)};
  for (const std::string& arg : args) pointers.push_back(const_cast<char*>(arg.c_str()));
  pointers.push_back(nullptr);
  prepare();
  ::execv(program, pointers.data());
  ::_exit(99);
}

pid_t start(
    const temporary_folder& folder, const arguments& args,
    const std::function<void()>& prepare = [] {}) {
  return start_program(folder, FEWBIT_QUANTIZE_CHECKPOINT, args, prepare);
}

outcome end_of(const temporary_folder& folder, pid_t child) {
  int status = 0;
  rusage usage = {};
  ::wait4(child, &status, 0, &usage);
  outcome result{WIFEXITED(status) ? WEXITSTATUS(status) : -1, content_of(folder / "stdout"),
                 content_of(folder / "stderr"), usage.ru_maxrss};
  std::filesystem::remove(folder / "stdout");
  std::filesystem::remove(folder / "stderr");
  return result;
}

outcome run(
    const temporary_folder& folder, const arguments& args,
    const std::function<void()>& prepare = [] {}) {
  return end_of(folder, start(folder, args, prepare));
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// An error is one line that begins with the name of the program.
void expect_error(const outcome& o, int code, std::string_view part) {
  EXPECT_EQ(o.code, code) << o.err;
  EXPECT_TRUE(contains(o.err, part)) << o.err;
  const std::size_t at = o.err.find("quantize_checkpoint: ");
  ASSERT_NE(at, std::string::npos) << o.err;
  EXPECT_EQ(o.err.find('\n', at), o.err.size() - 1) << o.err;
}

// ---- files

row_matrix<float> wave(index rows, index cols, double phase) {
  row_matrix<float> w(rows, cols);
  for (index i = 0; i < w.size(); ++i) {
    const auto x = static_cast<double>(i);
    w.data()[i] = static_cast<float>(std::sin(x * 0.7 + phase) * (1.0 + 0.5 * std::cos(x * 0.013)));
  }
  return w;
}

/// Matrices of several chunks, a vector and integers.
struct model {
  row_matrix<float> a = wave(600, 257, 0.0);
  row_matrix<float> b = wave(40, 64, 1.0);
  row_matrix<Eigen::half> c = wave(700, 128, 2.0).cast<Eigen::half>();
  Eigen::RowVectorXf norm = Eigen::RowVectorXf::LinSpaced(5, 0.0F, 1.0F);
  row_matrix<std::int64_t> ids = row_matrix<std::int64_t>::Constant(2, 3, 7);

  void save_to(const std::string& path) const {
    safetensors_writer out(path);
    out.set_metadata("origin", "test");
    out.write("a.weight", a);
    out.write("b.weight", b);
    out.write("c.weight", c);
    out.write("norm", norm);
    out.write("ids", ids);
    out.close();
  }
};

/// A file with a tensor of zeros. It takes no space on the disk.
void write_zeros(const std::string& path, const std::string& name, const std::string& type,
                 const std::string& shape, std::uint64_t bytes) {
  const std::string header = "{\"" + name + R"(":{"dtype":")" + type + R"(","shape":)" + shape +
                             R"(,"data_offsets":[0,)" + std::to_string(bytes) + "]}}";
  write_content(path, tests::little_endian(header.size(), 8) + header);
  std::filesystem::resize_file(path, 8 + header.size() + bytes);
}

class quantize_checkpoint_test : public testing::Test {
 protected:
  quantize_checkpoint_test() { all_.save_to(in_); }

  [[nodiscard]] outcome convert(arguments schemes, arguments more = {}) const {
    arguments args = {in_, "-o", out_};
    for (const std::string& scheme : schemes) {
      args.insert(args.end(), {"--scheme", scheme});
    }
    args.insert(args.end(), more.begin(), more.end());
    return run(folder_, args);
  }

  temporary_folder folder_;
  model all_;
  std::string in_ = folder_ / "in.safetensors";
  std::string out_ = folder_ / "out.safetensors";
};

// ---- patterns

TEST(quantize_checkpoint_patterns, match_whole_names) {
  using examples::checkpoint::matches;
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("lm_head*", "lm_head.weight"));
  EXPECT_TRUE(matches("*.w?.*", "layers.0.w1.weight"));
  EXPECT_TRUE(matches("*a*b", "xaxbab"));
  EXPECT_TRUE(matches("a.b", "a.b"));
  EXPECT_FALSE(matches("a.b", "a.b.c"));
  EXPECT_FALSE(matches("a.b", "axb"));
  EXPECT_FALSE(matches("?", ""));
  EXPECT_FALSE(matches("*a*b", "xaxba"));
  const std::string stars = "*a*a*a*a*a*a*a*a*a*a*b";
  EXPECT_FALSE(matches(stars, std::string(5000, 'a')));
}

TEST(quantize_checkpoint_patterns, without_a_pattern_come_last) {
  using namespace examples::checkpoint;
  const auto rules = parse_rules({"int4_grouped:32", "lm*=int8_per_row", "*=keep"});
  ASSERT_EQ(rules.size(), 3U);
  EXPECT_EQ(rules[0].pattern, "lm*");
  EXPECT_EQ(rules[2].scheme, "int4_grouped:32");
  EXPECT_EQ(rule_of(rules, "lm_head"), 0);
  EXPECT_EQ(rule_of(rules, "x"), 1);
  EXPECT_EQ(rule_of(parse_rules({"a=keep"}), "b"), -1);
  EXPECT_THROW(parse_rules({"int8_per_row", "int4_per_row"}), failure);
  EXPECT_THROW(parse_rules({"=int4_per_row"}), failure);
  EXPECT_THROW(parse_rules({"a="}), failure);
}

// ---- conversion

TEST_F(quantize_checkpoint_test, gives_what_the_library_gives) {
  const outcome o = convert({"int4_grouped:32", "a*=int8_per_row"}, {"--verify"});
  ASSERT_EQ(o.code, 0) << o.err;
  const safetensors_file file(out_);
  EXPECT_EQ(load<int8_per_row>(file, "a.weight"), quantize<int8_per_row>(all_.a));
  EXPECT_EQ(load<int4_grouped<32>>(file, "b.weight"), quantize<int4_grouped<32>>(all_.b));
  EXPECT_EQ(load<int4_grouped<32>>(file, "c.weight"),
            quantize<int4_grouped<32>>(all_.c.cast<float>()));
  EXPECT_EQ(file.at("norm").matrix<float>().transpose(), all_.norm);
  EXPECT_EQ(file.at("ids").matrix<std::int64_t>(), all_.ids);
  EXPECT_EQ(file.metadata("origin"), "test");
  EXPECT_TRUE(contains(o.out, "kept: a vector")) << o.out;
  EXPECT_TRUE(contains(o.out, "kept: I64, not floats")) << o.out;
}

TEST_F(quantize_checkpoint_test, finds_scales_of_all_rows) {
  const outcome o =
      convert({"a*=uint8_affine", "b*=int8_power_of_two", "c*=int8_per_col"}, {"--verify"});
  ASSERT_EQ(o.code, 0) << o.err;
  const safetensors_file file(out_);
  EXPECT_EQ(load<uint8_affine>(file, "a.weight"), quantize<uint8_affine>(all_.a));
  EXPECT_EQ(load<int8_power_of_two>(file, "b.weight"), quantize<int8_power_of_two>(all_.b));
  EXPECT_EQ(load<int8_per_col>(file, "c.weight"), quantize<int8_per_col>(all_.c.cast<float>()));
}

TEST_F(quantize_checkpoint_test, writes_parts_of_every_kind) {
  const outcome o =
      convert({"a*=uint4_grouped_minimum:64", "b*=two_scale_ternary", "c*=uint4_grouped:128"},
              {"--verify"});
  ASSERT_EQ(o.code, 0) << o.err;
  const safetensors_file file(out_);
  EXPECT_EQ(load<uint4_grouped_minimum<64>>(file, "a.weight"),
            quantize<uint4_grouped_minimum<64>>(all_.a));
  EXPECT_EQ(dequantize(load<two_scale_ternary>(file, "b.weight")),
            dequantize(quantize_ttq(all_.b)));
  EXPECT_EQ(load<uint4_grouped<128>>(file, "c.weight"),
            quantize<uint4_grouped<128>>(all_.c.cast<float>()));
}

TEST_F(quantize_checkpoint_test, gives_the_same_bytes_for_any_number_of_threads) {
  std::string file, report;
  for (const char* const threads : {"1", "2", "3", "7"}) {
    const outcome o = convert({"int4_grouped:32", "a*=uint8_affine"},
                              {"--threads", threads, "--force", "--report", folder_ / "r.json"});
    ASSERT_EQ(o.code, 0) << o.err;
    if (file.empty()) {
      file = content_of(out_);
      report = content_of(folder_ / "r.json");
    }
    EXPECT_EQ(content_of(out_), file) << threads;
    EXPECT_EQ(content_of(folder_ / "r.json"), report) << threads;
  }
}

TEST_F(quantize_checkpoint_test, reports_bytes_and_errors) {
  const std::string path = folder_ / "r.json";
  ASSERT_EQ(convert({"a*=int8_per_row", "b*=keep"}, {"--report", path}).code, 0);
  const auto report = nlohmann::json::parse(content_of(path));
  EXPECT_EQ(report["schema"], "fewbit-quantize 1");
  EXPECT_EQ(report["tensors"].size(), 5U);
  const auto find = [&](const char* name) {
    for (const auto& entry : report["tensors"]) {
      if (entry["name"] == name) return entry;
    }
    return nlohmann::json();
  };
  const auto a = find("a.weight");
  const row_matrix<float> w_hat = dequantize(quantize<int8_per_row>(all_.a));
  double signal = 0.0, noise = 0.0;
  for (index i = 0; i < all_.a.size(); ++i) {
    signal += std::pow(double{all_.a.data()[i]}, 2);
    noise += std::pow(double{all_.a.data()[i]} - double{w_hat.data()[i]}, 2);
  }
  EXPECT_NEAR(a["sqnr_db"].get<double>(), 10.0 * std::log10(signal / noise), 1e-9);
  EXPECT_EQ(a["bytes_before"], 600 * 257 * 4);
  EXPECT_EQ(a["bytes_after"], 600 * 257 + 600 * 4);
  EXPECT_EQ(a["pattern"], "a*");
  EXPECT_EQ(find("b.weight")["reason"], "--scheme 'b*=keep'");
  EXPECT_EQ(find("c.weight")["reason"], "no pattern matches");
  EXPECT_EQ(report["totals"]["bytes_after"], a["bytes_after"]);
  EXPECT_EQ(report["totals"]["weights"], 600 * 257);
  std::uint64_t data = 0;
  for (const tensor_view t : safetensors_file(out_)) data += t.bytes.size();
  EXPECT_EQ(report["output"]["bytes"], data);
}

TEST_F(quantize_checkpoint_test, weighs_by_calibration) {
  const row_matrix<float> x = wave(50, 64, 3.0);
  Eigen::RowVectorXf squares = Eigen::RowVectorXf::LinSpaced(257, 0.5F, 4.0F);
  safetensors_writer acts(folder_ / "acts.safetensors");
  acts.write("b.weight", x);
  acts.write("a.weight", squares);
  acts.close();
  const outcome o = convert({"int4_grouped:32"}, {"--calibration", folder_ / "acts.safetensors"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(contains(o.out, "without calibration data: 'c.weight'")) << o.out;
  std::vector<float> means;
  for (index c = 0; c < x.cols(); ++c) {
    means.push_back(static_cast<float>(x.col(c).cast<double>().squaredNorm() / 50.0));
  }
  const safetensors_file file(out_);
  const std::vector<float> given(squares.begin(), squares.end());
  EXPECT_EQ(load<int4_grouped<32>>(file, "a.weight"),
            weighted_quantize<int4_grouped<32>>(all_.a, given));
  const auto b = load<int4_grouped<32>>(file, "b.weight");
  EXPECT_EQ(b.codes(), (weighted_quantize<int4_grouped<32>>(all_.b, means).codes()));
  EXPECT_NE(b, quantize<int4_grouped<32>>(all_.b));
}

TEST_F(quantize_checkpoint_test, keeps_quantized_matrices_of_its_own) {
  ASSERT_EQ(convert({"a*=int8_per_row"}).code, 0);
  const std::string second = folder_ / "second.safetensors";
  const outcome o = run(folder_, {out_, "-o", second, "--scheme", "int4_grouped:32", "--verify"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(contains(o.out, "part of the quantized matrix 'a.weight'")) << o.out;
  const safetensors_file file(second);
  EXPECT_EQ(load<int8_per_row>(file, "a.weight"), quantize<int8_per_row>(all_.a));
  EXPECT_EQ(load<int4_grouped<32>>(file, "b.weight"), quantize<int4_grouped<32>>(all_.b));
}

TEST_F(quantize_checkpoint_test, keeps_scales_of_other_quantizers) {
  const row_matrix<float> scales = wave(2, 8, 0.5);
  {
    safetensors_writer out(in_);
    out.write("m.qweight", row_matrix<std::int32_t>(row_matrix<std::int32_t>::Constant(8, 8, 3)));
    out.write("m.scales", scales);
    out.write("n.weight_packed",
              row_matrix<std::int32_t>(row_matrix<std::int32_t>::Constant(2, 8, 3)));
    out.write("n.weight_scale", scales);
    out.write("free.scales", all_.b);  // no codes beside it
    out.close();
  }
  const outcome o = convert({"int8_per_row"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(contains(o.out, "kept: scales of the codes 'm.qweight'")) << o.out;
  EXPECT_TRUE(contains(o.out, "kept: scales of the codes 'n.weight_packed'")) << o.out;
  const safetensors_file file(out_);
  EXPECT_EQ(load<int8_per_row>(file, "free.scales"), quantize<int8_per_row>(all_.b));
  EXPECT_FALSE(file.metadata("fewbit:m.scales"));
  EXPECT_FALSE(file.metadata("fewbit:n.weight_scale"));
}

TEST_F(quantize_checkpoint_test, writes_and_reads_gguf) {
  const std::string gguf = folder_ / "out.gguf";
  arguments args = {in_, "-o", gguf, "--verify", "--scheme", "b*=q8_0", "--scheme", "c*=q4_0"};
  ASSERT_EQ(run(folder_, args).code, 0);
  {
    const gguf_file file(gguf);
    const auto b = quantize_blocks<q8_0>(all_.b);
    EXPECT_EQ(file.at("b.weight").to_floats(), dequantize(b));
    EXPECT_EQ(file.at("c.weight").to_floats(),
              dequantize(quantize_blocks<q4_0>(all_.c.cast<float>())));
    EXPECT_EQ(file.at("a.weight").matrix<float>(), all_.a);
    EXPECT_EQ(file.at("ids").matrix<std::int64_t>(), all_.ids);
    EXPECT_EQ(file.value("origin").get<std::string_view>(), "test");
  }
  // Blocks become matrices of the same values; another GGUF file keeps their bytes.
  const outcome o = run(folder_, {gguf, "-o", out_, "--scheme", "a*=int8_per_row", "--verify"});
  ASSERT_EQ(o.code, 0) << o.err;
  const safetensors_file file(out_);
  EXPECT_EQ(load<int8_grouped<32>>(file, "b.weight"),
            load<int8_grouped<32>>(gguf_file(gguf), "b.weight"));
  EXPECT_EQ(load<uint4_grouped<32>>(file, "c.weight"),
            load<uint4_grouped<32>>(gguf_file(gguf), "c.weight"));
  EXPECT_EQ(run(folder_, {"compare", gguf, out_, "--sqnr", "40"}).code, 0);
  const std::string again = folder_ / "again.gguf";
  ASSERT_EQ(run(folder_, {gguf, "-o", again, "--scheme", "a*=keep", "--verify"}).code, 0);
  EXPECT_EQ(content_of(again), content_of(gguf));
  const outcome twice = run(folder_, {gguf, "-o", again, "--force", "--requantize", "--scheme",
                                      "b*=q4_1", "--scheme", "c*=q5_0"});
  ASSERT_EQ(twice.code, 0) << twice.err;
  EXPECT_EQ(gguf_file(again).at("b.weight").to_floats(),
            dequantize(quantize_blocks<q4_1>(gguf_file(gguf).at("b.weight").to_floats())));
}

TEST_F(quantize_checkpoint_test, learns_codebooks) {
  const outcome o = convert(
      {"a*=codebook_per_row:4", "b*=codebook_grouped:4:32", "c*=nf4_grouped:64"}, {"--verify"});
  ASSERT_EQ(o.code, 0) << o.err;
  const safetensors_file file(out_);
  EXPECT_EQ(load<codebook_per_row<4>>(file, "a.weight"), quantize<codebook_per_row<4>>(all_.a));
  EXPECT_EQ((load<codebook_grouped<4, 32>>(file, "b.weight")),
            (quantize<codebook_grouped<4, 32>>(all_.b)));
  const row_matrix<float> c = all_.c.cast<float>();
  EXPECT_EQ((load<codebook_grouped<4, 64>>(file, "c.weight")),
            (quantize<codebook_grouped<4, 64>, normal_quantiles>(c)));
}

// The levels of a large tensor are learned from 2^20 of its weights, here from every second row.
TEST_F(quantize_checkpoint_test, learns_codebooks_of_large_tensors_from_some_rows) {
  const row_matrix<float> w = wave(2048, 1024, 0.0);
  safetensors_writer large(in_);
  large.write("w", w);
  large.close();
  row_matrix<float> some(1024, 1024);
  for (index r = 0; r < some.rows(); ++r) some.row(r) = w.row(2 * r);
  ASSERT_EQ(convert({"codebook_per_row:2"}).code, 0);
  const auto levels = lloyd_max_levels<codebook_per_row<2>>(some);
  EXPECT_EQ(load<codebook_per_row<2>>(safetensors_file(out_), "w"),
            (quantize<codebook_per_row<2>>(w, std::span<const float>(levels))));
}

// ---- headers

/// The numbers of an array in the text of a header.
std::vector<double> numbers_in(const std::string& header, const std::string& declaration) {
  const std::size_t at = header.find("alignas(64) inline constexpr " + declaration + "[] = {");
  std::vector<double> numbers;
  if (at == std::string::npos) return numbers;
  const char* text = header.c_str() + header.find('{', at) + 1;
  for (char* end = nullptr; *text != '}'; text = end) {
    numbers.push_back(std::strtod(text, &end));
    if (end == text) break;
    while (*end == 'F' || *end == ',' || *end == ' ' || *end == '\n') ++end;
  }
  return numbers;
}

template <class Numbers>
void expect_numbers(const std::string& header, const std::string& declaration,
                    const Numbers& want) {
  const std::vector<double> got = numbers_in(header, declaration);
  ASSERT_EQ(got.size(), static_cast<std::size_t>(want.size())) << declaration;
  std::size_t i = 0;
  for (const auto value : want) ASSERT_EQ(got[i++], static_cast<double>(value)) << declaration << i;
}

TEST_F(quantize_checkpoint_test, emits_a_header) {
  safetensors_writer more(in_);
  more.write("a.weight", all_.a);
  more.write("b.weight", all_.b);
  more.write("new", all_.norm);
  more.write("ids", all_.ids);
  more.write("1/bias", all_.norm.cast<Eigen::bfloat16>().eval());
  more.close();
  const std::string path = folder_ / "model.hpp";
  const arguments args = {in_,
                          "-o",
                          path,
                          "--emit",
                          "header",
                          "--scheme",
                          "a*=int8_per_row",
                          "--scheme",
                          "b*=uint4_grouped:32"};
  const outcome o = run(folder_, args);
  ASSERT_EQ(o.code, 0) << o.err;
  const std::string text = content_of(path);
  const auto a = quantize<int8_per_row>(all_.a);
  const auto b = quantize<uint4_grouped<32>>(all_.b);
  const std::span codes(reinterpret_cast<const std::int8_t*>(a.bytes().data()), a.bytes().size());
  expect_numbers(text, "std::int8_t a_weight", codes);
  expect_numbers(text, "float a_weight_scales", a.scales());
  expect_numbers(text, "std::uint8_t b_weight", b.bytes());
  expect_numbers(text, "float b_weight_scales", b.scales());
  expect_numbers(text, "std::uint8_t b_weight_zero_points", b.zero_points());
  expect_numbers(text, "float section_new", all_.norm);
  expect_numbers(text, "std::int64_t ids", all_.ids.reshaped<Eigen::RowMajor>());
  expect_numbers(text, "float section_1_bias", all_.norm.cast<Eigen::bfloat16>().cast<float>());
  EXPECT_TRUE(contains(text,
                       "// a.weight: int8 per_row symmetric real_scale nearest_even, "
                       "[600, 257]\nalignas(64)"));
  EXPECT_TRUE(contains(text, "namespace model {"));
  // Other threads, the same bytes; another namespace.
  arguments again = args;
  again.insert(again.end(), {"--force", "--threads", "3", "--namespace", "net"});
  ASSERT_EQ(run(folder_, again).code, 0);
  std::string renamed = text;
  for (std::size_t at = 0; (at = renamed.find("namespace model", at)) != std::string::npos;) {
    renamed.replace(at, 15, "namespace net");
  }
  EXPECT_EQ(content_of(path), renamed);
}

TEST_F(quantize_checkpoint_test, emits_a_header_of_a_packed_file) {
  const std::int8_t numbers[] = {3, -4};
  packed_writer layers(folder_ / "m.fewbit");
  layers.write("fc/bias", section_type::int8, std::as_bytes(std::span(numbers)));
  layers.close();
  const std::string in = folder_ / "m.fewbit", out = folder_ / "m.hpp";
  EXPECT_EQ(run(folder_, {in, "-o", out, "--emit", "header", "--dry-run"}).code, 0);
  EXPECT_FALSE(std::filesystem::exists(out));
  ASSERT_EQ(run(folder_, {in, "-o", out, "--emit", "header"}).code, 0);
  EXPECT_EQ(content_of(out), header_text(packed_file(in), "model"));
  expect_error(run(folder_, {in, "-o", out, "--emit", "header"}), 5, "--force");
  expect_error(run(folder_, {in, "-o", folder_ / "x"}), 4, "expected --emit header");
  expect_error(run(folder_, {in, "-o", folder_ / "x", "--emit", "header", "--scheme", "keep"}), 4,
               "expected no --scheme");
  std::string damaged = content_of(in);
  damaged[128] ^= 1;  // the first byte of the section
  write_content(in, damaged);
  expect_error(run(folder_, {in, "-o", folder_ / "x", "--emit", "header"}), 3, "checksum");
}

TEST_F(quantize_checkpoint_test, refuses_what_a_header_cannot_hold) {
  const std::string path = folder_ / "model.hpp", in = folder_ / "other.safetensors";
  const auto emit = [&](arguments more) {
    arguments args = {in, "-o", path, "--emit", "header", "--scheme", "w=int8_per_row"};
    args.insert(args.end(), more.begin(), more.end());
    return run(folder_, args);
  };
  const auto save_with = [&](const std::string& name, const auto& matrix) {
    safetensors_writer out(in);
    out.write("w", wave(4, 8, 0.0));
    out.write(name, matrix);
    out.close();
  };
  save_with("v", Eigen::RowVectorXd::Ones(3).eval());
  expect_error(emit({}), 4, "tensor 'v' is F64, expected for a header I8, U8, I16");
  save_with("w_scales", Eigen::RowVectorXf::Ones(3).eval());
  expect_error(emit({}), 4, "tensor 'w_scales' would be twice");
  save_with("v", Eigen::RowVectorXf::Constant(3, std::nanf("")).eval());
  expect_error(emit({}), 3, "byte 0 of tensor 'v' is nan, expected a finite number");
  EXPECT_FALSE(std::filesystem::exists(path));
  save_with("v", Eigen::RowVectorXf::Ones(3).eval());
  expect_error(emit({"--verify"}), 2, "--verify needs a file of tensors");
  expect_error(emit({"--namespace", "new"}), 2, "--namespace is 'new', expected an identifier");
  expect_error(run(folder_, {in, "-o", path, "--emit", "elf", "--scheme", "keep"}), 2, "--emit");
  write_zeros(in, "v", "U8", "[67108865]", 67108865);
  expect_error(run(folder_, {in, "-o", path, "--emit", "header", "--scheme", "v=keep"}), 4,
               "expected at most 67108864");
  EXPECT_FALSE(std::filesystem::exists(path));
}

// ---- refusals

TEST_F(quantize_checkpoint_test, refuses_wrong_command_lines) {
  expect_error(run(folder_, {}), 2, "the input is missing");
  expect_error(run(folder_, {in_, "-o", out_}), 2, "--scheme is missing");
  expect_error(run(folder_, {in_, "--scheme", "int8_per_row"}), 2, "--output is missing");
  expect_error(convert({"int5_per_row"}), 2, "--scheme names 'int5_per_row'");
  expect_error(convert({"int8_per_row"}, {"--threads", "0"}), 2, "--threads");
  expect_error(convert({"int8_per_row"}, {"--no-such-option"}), 2, "--no-such-option");
  expect_error(run(folder_, {"inspect"}), 2, "file");
  EXPECT_EQ(run(folder_, {"--help"}).code, 0);
  EXPECT_EQ(run(folder_, {"--version"}).code, 0);
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(quantize_checkpoint_test, refuses_schemes_that_do_not_fit) {
  expect_error(convert({"int8_per_row", "lm_head*=keep"}), 4,
               "--scheme 'lm_head*=keep' matches no tensor");
  expect_error(convert({"a*=int8_per_row", "a.w*=keep"}), 4, "only tensors that are kept or that");
  expect_error(convert({"norm=int8_per_row"}), 4, "--scheme 'norm=int8_per_row' matches only");
  expect_error(run(folder_, {in_, "-o", folder_ / "x.gguf", "--scheme", "q8_0"}), 4,
               "tensor 'a.weight': 257 columns are no multiple of 32 for q8_0");
  EXPECT_EQ(folder_.files(), 1);
}

TEST_F(quantize_checkpoint_test, refuses_calibration_of_another_width) {
  safetensors_writer acts(folder_ / "acts.safetensors");
  acts.write("b.weight", wave(3, 63, 0.0));
  acts.close();
  expect_error(convert({"int4_grouped:32"}, {"--calibration", folder_ / "acts.safetensors"}), 4,
               "expected floats with a last extent of 64");
  expect_error(convert({"int4_grouped:32"}, {"--calibration", folder_ / "none"}), 3, "none");
}

TEST_F(quantize_checkpoint_test, refuses_what_gguf_cannot_hold) {
  safetensors_writer other(folder_ / "u8.safetensors");
  other.write("w", wave(2, 32, 0.0));
  other.write("mask", row_matrix<std::uint8_t>::Zero(2, 2));
  other.close();
  expect_error(
      run(folder_, {folder_ / "u8.safetensors", "-o", folder_ / "x.gguf", "--scheme", "q8_0"}), 4,
      "tensor 'mask' is U8 [2, 2]");
  safetensors_writer names(folder_ / "names.safetensors");
  names.write(std::string(64, 'n'), wave(2, 32, 0.0));
  names.close();
  expect_error(
      run(folder_, {folder_ / "names.safetensors", "-o", folder_ / "x.gguf", "--scheme", "q8_0"}),
      4, "has 64 bytes, expected at most 63");
}

TEST_F(quantize_checkpoint_test, refuses_names_that_would_be_twice) {
  safetensors_writer other(folder_ / "twice.safetensors");
  other.write("w", wave(2, 32, 0.0));
  other.write("w.scales", Eigen::RowVectorXf::Zero(2).eval());
  other.close();
  expect_error(
      run(folder_, {folder_ / "twice.safetensors", "-o", out_, "--scheme", "int8_per_row"}), 4,
      "tensor 'w.scales' would be twice");
}

TEST_F(quantize_checkpoint_test, dry_run_checks_and_writes_nothing) {
  const outcome o = convert({"int4_grouped:32", "a*=int8_per_row"}, {"--dry-run"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(contains(o.out, "int8_per_row")) << o.out;
  EXPECT_TRUE(contains(o.err, "memory at most")) << o.err;
  EXPECT_EQ(folder_.files(), 1);
  expect_error(convert({"none*=keep"}, {"--dry-run"}), 4, "matches no tensor");
}

TEST_F(quantize_checkpoint_test, overwrites_only_if_forced) {
  write_content(out_, "old");
  expect_error(convert({"int8_per_row"}), 5, "--force");
  EXPECT_EQ(content_of(out_), "old");
  const std::string report = folder_ / "r.json";
  write_content(report, "old");
  expect_error(
      run(folder_, {in_, "-o", folder_ / "new", "--scheme", "int8_per_row", "--report", report}), 5,
      "--force");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "new"));
  EXPECT_EQ(convert({"int8_per_row"}, {"--force"}).code, 0);
  EXPECT_EQ(safetensors_file(out_).at("norm").matrix<float>().transpose(), all_.norm);
}

TEST_F(quantize_checkpoint_test, refuses_damaged_inputs) {
  const std::string whole = content_of(in_);
  const std::string damaged = folder_ / "damaged";
  write_content(out_, "old");
  const arguments args = {damaged, "-o", out_, "--scheme", "int8_per_row", "--force"};
  expect_error(run(folder_, args), 3, "No such file");
  for (const std::size_t length :
       {std::size_t{0}, std::size_t{7}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    write_content(damaged, whole.substr(0, length));
    expect_error(run(folder_, args), 3, "damaged");
    EXPECT_EQ(run(folder_, {"inspect", damaged}).code, 3);
    EXPECT_EQ(run(folder_, {"compare", in_, damaged}).code, 3);
  }
  write_content(damaged, "GGUF" + whole.substr(4));
  expect_error(run(folder_, args), 3, "damaged");
  expect_error(run(folder_, {folder_.path(), "-o", out_, "--scheme", "int8_per_row", "--force"}), 3,
               "expected a regular file");
  EXPECT_EQ(content_of(out_), "old");
}

TEST_F(quantize_checkpoint_test, names_the_place_of_a_number_that_is_not_finite) {
  all_.a(555, 13) = std::nanf("");  // not in the first chunk
  all_.save_to(in_);
  for (const char* const scheme : {"a*=int8_per_row", "a*=int8_per_tensor"}) {
    expect_error(convert({scheme}), 3, "element (555, 13) of tensor 'a.weight' is nan");
    EXPECT_EQ(folder_.files(), 1) << scheme;
  }
  all_.a(333, 5) = std::nanf("");  // in the chunk before, which no thread may overtake
  all_.save_to(in_);
  for (const char* const threads : {"1", "2", "7", "2", "7"}) {
    expect_error(convert({"a*=int8_per_row"}, {"--threads", threads}), 3,
                 "element (333, 5) of tensor 'a.weight' is nan");
  }
}

TEST_F(quantize_checkpoint_test, leaves_the_old_file_if_the_new_one_cannot_be_written) {
  write_content(out_, "old");
  const arguments args = {in_, "-o", out_, "--scheme", "int8_per_row", "--force"};
  for (const rlim_t bytes : {5000, 150000}) {
    const outcome o = run(folder_, args, [bytes] {
      const rlimit limit = {bytes, bytes};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    });
    expect_error(o, 5, "File too large");
    EXPECT_EQ(content_of(out_), "old");
    EXPECT_EQ(folder_.files(), 2);
  }
  expect_error(run(folder_, {in_, "-o", folder_ / "none/x", "--scheme", "int8_per_row"}), 5,
               "No such file");
  expect_error(run(folder_, {in_, "-o", folder_.path(), "--scheme", "int8_per_row", "--force"}), 5,
               "a folder");
}

/// Root may read and write everywhere, so the program then runs as another user.
void become_somebody() {
  if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(98);
}

TEST_F(quantize_checkpoint_test, needs_permission) {
  write_content(out_, "old");
  const arguments args = {in_, "-o", out_, "--scheme", "int8_per_row", "--force"};
  ::chmod(folder_.path().c_str(), 0555);
  const temporary_folder other;  // the output of the program
  const outcome no_write = run(other, args, become_somebody);
  ::chmod(in_.c_str(), 0000);
  const outcome no_read = run(other, args, become_somebody);
  const outcome no_inspect = run(other, {"inspect", in_}, become_somebody);
  ::chmod(folder_.path().c_str(), 0700);
  if (no_write.code == 99) GTEST_SKIP() << "another user cannot start the program";
  expect_error(no_write, 5, "Permission denied");
  expect_error(no_read, 3, "Permission denied");
  expect_error(no_inspect, 3, "Permission denied");
  EXPECT_EQ(content_of(out_), "old");
  EXPECT_EQ(folder_.files(), 2);
}

#if defined(__linux__)
TEST_F(quantize_checkpoint_test, leaves_the_old_file_if_the_disk_is_full) {
  const std::string disk = folder_ / "disk";
  std::filesystem::create_directory(disk);
  constexpr int no_permission = 77, no_old_file = 78;
  // The disk is mounted for the program alone. A shell looks at it when the program has ended.
  const auto mount = [&] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("fewbit", disk.c_str(), "tmpfs", 0, "size=64k") != 0) {
      ::_exit(no_permission);
    }
  };
  const std::string command = "echo old > " + disk + "/out; " + FEWBIT_QUANTIZE_CHECKPOINT + " " +
                              in_ + " -o " + disk + "/out --scheme int8_per_row --force; " +
                              "code=$?; test \"$(ls " + disk + ")\" = out && test \"$(cat " + disk +
                              "/out)\" = old || exit 78; exit $code";
  const outcome o = end_of(folder_, start_program(folder_, "/bin/sh", {"-c", command}, mount));
  if (o.code == no_permission) GTEST_SKIP() << "this user may not mount a small disk";
  EXPECT_NE(o.code, no_old_file);
  expect_error(o, 5, "No space left on device");
}
#endif

TEST_F(quantize_checkpoint_test, ends_when_memory_is_used_up) {
  if (tests::sanitized) GTEST_SKIP() << "sanitizers need more memory than the limit";
  write_zeros(in_, "w", "F32", "[2,67108864]", std::uint64_t{512} << 20);
  write_content(out_, "old");
  const outcome o =
      run(folder_, {in_, "-o", out_, "--scheme", "int8_per_row", "--force", "--threads", "1"}, [] {
        constexpr rlim_t most = rlim_t{700} << 20;
        const rlimit limit = {most, most};
        ::setrlimit(RLIMIT_AS, &limit);
      });
  expect_error(o, 6, "out of memory");
  EXPECT_EQ(content_of(out_), "old");
  EXPECT_EQ(folder_.files(), 2);
}

/// Writes `tensors` matrices of float32, rows x cols.
void write_large(const std::string& path, int tensors, index rows, index cols) {
  safetensors_writer out(path);
  for (int i = 0; i < tensors; ++i) out.declare("w" + std::to_string(i), dtype::f32, {rows, cols});
  const row_matrix<float> w = wave(rows, cols, 0.0);
  for (int i = 0; i < tensors; ++i) out.write("w" + std::to_string(i), w);
  out.close();
}

TEST_F(quantize_checkpoint_test, leaves_no_half_file_when_interrupted) {
  write_large(in_, 4, 2048, 1024);
  safetensors_writer acts(folder_ / "acts.safetensors");
  for (int i = 0; i < 4; ++i) {
    acts.write("w" + std::to_string(i), Eigen::RowVectorXf::Ones(1024).eval());
  }
  acts.close();
  write_content(out_, "old");
  const arguments args = {
      in_,       "-o",        out_, "--scheme",      "int4_grouped:32",
      "--force", "--threads", "1",  "--calibration", folder_ / "acts.safetensors"};
  for (const int number : {SIGINT, SIGTERM, SIGINT}) {
    const pid_t child = start(folder_, args);
    for (int i = 0; i < 10000 && folder_.files() < 6; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    ::kill(child, number);
    const outcome o = end_of(folder_, child);
    expect_error(o, 130, "interrupted by signal " + std::to_string(number));
    EXPECT_EQ(content_of(out_), "old");
    EXPECT_EQ(folder_.files(), 3);
  }
}

TEST_F(quantize_checkpoint_test, needs_little_memory) {
  constexpr int tensors = 25;
  constexpr std::int64_t largest = std::int64_t{2048} * 1024 * 4;
  write_large(in_, tensors, 2048, 1024);
  for (const char* const more : {"--quiet", "--verify"}) {
    const outcome o = run(folder_, {in_, "-o", out_, "--scheme", "int8_per_row", "--force", more});
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_LE(o.resident_kb * 1024, 2 * largest + 64 * 1024 * 1024) << more;
    if (more == std::string("--quiet")) continue;
    const std::size_t at = o.err.find("memory at most ");
    ASSERT_NE(at, std::string::npos) << o.err;
    const double told = std::stod(o.err.substr(at + 15));
    EXPECT_LE(static_cast<double>(o.resident_kb) * 1024, told * 1e6) << o.err;
  }
}

// ---- the other commands

TEST_F(quantize_checkpoint_test, inspects) {
  ASSERT_EQ(convert({"int4_grouped:32", "a*=uint8_affine"}).code, 0);
  const outcome o = run(folder_, {"inspect", out_});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(contains(o.out, "'origin' = 'test'")) << o.out;
  EXPECT_TRUE(contains(o.out, "uint8 per_tensor affine")) << o.out;
  EXPECT_TRUE(contains(o.out, "[600, 257]")) << o.out;
  EXPECT_FALSE(contains(o.out, "a.weight.scales")) << o.out;
}

TEST_F(quantize_checkpoint_test, inspects_layers_of_other_programs) {
  const std::string path = folder_ / "gptq.safetensors";
  safetensors_writer file(path);
  file.write("l.qweight", row_matrix<std::int32_t>::Constant(2, 8, 0x76543210));
  file.write("l.qzeros", row_matrix<std::int32_t>::Constant(2, 1, 0x77777777));
  file.write("l.scales", row_matrix<Eigen::half>::Constant(2, 8, Eigen::half(0.5F)));
  file.close();
  const outcome alone = run(folder_, {"inspect", path});
  EXPECT_EQ(alone.code, 0) << alone.err;
  EXPECT_TRUE(contains(alone.out,
                       "layer 'l': GPTQ version 1, by its zero points; 8 outputs, 16 inputs, 4 "
                       "bits, groups of 8\n"))
      << alone.out;
  write_content(folder_ / "quantize_config.json",
                R"({"bits": 4, "group_size": 128, "sym": true, "quant_method": "gptq",
                    "checkpoint_format": "gptq_v2"})");
  const outcome beside = run(folder_, {"inspect", path});
  EXPECT_EQ(beside.code, 0) << beside.err;
  EXPECT_TRUE(contains(beside.out, "by its zero points, against the configuration")) << beside.out;
  EXPECT_TRUE(contains(beside.out, "  group_size is 128 in '")) << beside.out;
  EXPECT_TRUE(contains(beside.out, "version 1, which was used\n")) << beside.out;
  write_content(folder_ / "quantize_config.json", "{\"bits\": ");
  expect_error(run(folder_, {"inspect", path}), 3, "quantize_config.json");
}

TEST_F(quantize_checkpoint_test, compares) {
  ASSERT_EQ(convert({"int8_per_row"}).code, 0);
  const outcome same = run(folder_, {"compare", in_, in_});
  EXPECT_EQ(same.code, 0) << same.err;
  EXPECT_TRUE(contains(same.out, "5 tensors compared, 0 differ")) << same.out;
  EXPECT_EQ(run(folder_, {"compare", in_, out_}).code, 1);
  EXPECT_EQ(run(folder_, {"compare", in_, out_, "--sqnr", "35"}).code, 0);
  EXPECT_EQ(run(folder_, {"compare", in_, out_, "--sqnr", "60"}).code, 1);
  model other;
  other.ids(1, 1) = 8;
  other.save_to(folder_ / "other");
  const outcome ids = run(folder_, {"compare", in_, folder_ / "other"});
  EXPECT_EQ(ids.code, 1);
  EXPECT_TRUE(contains(ids.out, "other bytes")) << ids.out;
  safetensors_writer less(folder_ / "less");
  less.write("a.weight", all_.a);
  less.write("b.weight", all_.b.topRows(3).eval());
  less.close();
  const outcome fewer = run(folder_, {"compare", in_, folder_ / "less"});
  EXPECT_EQ(fewer.code, 1);
  EXPECT_TRUE(contains(fewer.out, "other shape")) << fewer.out;
  EXPECT_TRUE(contains(fewer.out, "in the first file alone: 'ids', 'norm', 'c.weight'"))
      << fewer.out;
}

TEST_F(quantize_checkpoint_test, shows_progress_on_a_terminal_alone) {
  write_large(in_, 6, 2048, 1024);
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);
  ASSERT_EQ(::grantpt(terminal), 0);
  ASSERT_EQ(::unlockpt(terminal), 0);
  const std::string name = ::ptsname(terminal);
  const arguments args = {in_,         "-o", out_,     "--scheme", "int4_grouped:32",
                          "--threads", "1",  "--force"};
  const pid_t child =
      start(folder_, args, [&] { ::dup2(::open(name.c_str(), O_WRONLY), STDERR_FILENO); });
  std::string shown;
  std::thread reader([&] {
    char buffer[4096];
    ssize_t count = 0;
    while ((count = ::read(terminal, buffer, sizeof buffer)) > 0) {
      shown.append(buffer, static_cast<std::size_t>(count));
    }
  });
  EXPECT_EQ(end_of(folder_, child).code, 0);
  reader.join();  // the last writer is gone: read() fails
  ::close(terminal);
  EXPECT_TRUE(contains(shown, "\r")) << shown;
  EXPECT_TRUE(contains(shown, "/s")) << shown;
  const outcome plain = run(folder_, args);
  EXPECT_FALSE(contains(plain.err, "\r")) << plain.err;
  EXPECT_TRUE(contains(plain.err, "/s")) << plain.err;
  EXPECT_EQ(run(folder_, {in_, "-o", out_, "--scheme", "int8_per_row", "--force", "--quiet"}).err,
            "");
}

}}  // namespace fewbit::examples_quantize_checkpoint_test
