#include "fewbit/io/emit_header.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "fewbit/io/packed_writer.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/ops/qmn.hpp"
#include "io/support.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace io_emit_header_test {

using tests::temporary_folder;

/// Writes sections and returns the header text.
template <class F>
std::string text_of(const F& write) {
  const temporary_folder folder;
  packed_writer out(folder / "a.fewbit");
  write(out);
  out.close();
  return header_text(packed_file(folder / "a.fewbit"), "model");
}

template <class T>
void write(packed_writer& out, const char* name, const std::vector<T>& numbers) {
  out.write(name, detail::section_type_of<T>, std::as_bytes(std::span(numbers)));
}

TEST(emit_header, writes_numbers_of_each_type) {
  const std::string text = text_of([](packed_writer& out) {
    write<std::int8_t>(out, "fc.1/w", {-128, 127});
    write<std::int64_t>(out, "b", {std::numeric_limits<std::int64_t>::min(), 5});
    write<float>(out, "c", {0.1F, -0.0F});
    write<std::int32_t>(out, "0", {std::numeric_limits<std::int32_t>::min()});
    write<std::int16_t>(out, "none", {});
    write<std::int8_t>(out, "new", {3});
    write<std::int8_t>(out, "news", {4});
  });
  const auto has = [&](const char* line) { return text.find(line) != std::string::npos; };
  EXPECT_TRUE(has("alignas(64) inline constexpr std::int8_t fc_1_w[] = {\n    -128, 127};"));
  EXPECT_TRUE(has("std::int64_t b[] = {\n    -9223372036854775807 - 1, 5};"));
  EXPECT_TRUE(has("float c[] = {\n    0x1.99999ap-4F, -0x0p+0F};"));
  EXPECT_TRUE(has("std::int32_t section_0[] = {\n    -2147483648};"));
  EXPECT_FALSE(has("none"));
  EXPECT_TRUE(has("std::int8_t section_new[] = {\n    3};"));
  EXPECT_TRUE(has("std::int8_t news[] = {\n    4};"));
}

TEST(emit_header, refuses_what_is_no_header) {
  const temporary_folder folder;
  packed_writer(folder / "a.fewbit").close();
  for (const char* const space : {"new", "a b", "1", ""}) {
    EXPECT_NE(tests::sentence_of([&] {
                (void)header_text(packed_file(folder / "a.fewbit"), space);
              }).find("expected an identifier"),
              std::string::npos)
        << space;
  }
  EXPECT_NE(tests::sentence_of([] {
              (void)text_of([](packed_writer& out) {
                write<std::int8_t>(out, "a.b", {1});
                write<std::int8_t>(out, "a/b", {1});
              });
            }).find("is a_b, expected a name that no other section has"),
            std::string::npos);
  EXPECT_NE(tests::sentence_of([] {
              (void)text_of([](packed_writer& out) {
                write<float>(out, "a", {1.0F, std::numeric_limits<float>::infinity()});
              });
            }).find("is inf, expected a finite number"),
            std::string::npos);
  EXPECT_NE(tests::sentence_of([] {
              (void)text_of([](packed_writer& out) {
                const std::int64_t numbers[2] = {7, 0};
                out.write("r", section_type::record, std::as_bytes(std::span(numbers)));
              });
            }).find("is 7, expected a number of numbers"),
            std::string::npos);
}

#ifdef FEWBIT_TEST_CXX
// A program that includes the header views the weights and gives the outputs of the layers.
TEST(emit_header, is_compiled_by_a_program) {
  const temporary_folder folder;
  static const std::int8_t codes[6] = {100, -2, 3, -128, 127, 0};
  static const std::int8_t bias[2] = {3, -4};
  const q7_linear small(3, {codes, bias, {5, 7}});
  row_matrix<float> w(2, 3);
  w << 1, -0.5F, 0.25F, 2, 0, -2;
  const linear<int8_per_row, dynamic_int8, arch::scalar> layer(w);
  packed_writer out(folder / "a.fewbit");
  small.save(out, "small");
  layer.save(out, "fc");
  out.close();
  emit_header(packed_file(folder / "a.fewbit"), folder / "model.hpp");
  tests::write_content(folder / "main.cpp", R"(#include "model.hpp"
#include <cstddef>
#include <cstdio>
#include <span>
#include "fewbit/gemm/multiply.hpp"
#include "fewbit/ops/qmn/linear.hpp"
// The record of q7_linear: inputs, outputs, shifts of bias and output, relu.
constexpr fewbit::q7_linear small(model::small[0], {model::small_weights, model::small_bias,
                                  {int(model::small[2]), int(model::small[3])}});
int main() {
  const std::int8_t x[3] = {10, 20, -30};
  std::int8_t y[2];
  small(x, y);
  using weights = fewbit::gemm::int8_weights<
      std::int8_t, fewbit::gemm::default_kernel<std::int8_t, fewbit::arch::scalar>>;
  const auto w = weights::view(std::as_bytes(std::span(model::fc_weights)));
  const Eigen::Map<const fewbit::row_matrix<std::int8_t>> a(x, 1, 3);
  fewbit::row_matrix<std::int32_t> sums(1, 2);
  fewbit::gemm::multiply(a, w, sums);
  std::printf("%d %d %d %d %a\n", y[0], y[1], sums(0, 0), sums(0, 1), double{model::fc_scales[1]});
}
)");
  const std::string program = folder / "main";
  const std::string command = std::string(FEWBIT_TEST_CXX) + " -std=c++20 -O0 -I" +
                              FEWBIT_TEST_INCLUDE + " -isystem " + FEWBIT_TEST_EIGEN + " -o " +
                              program + " " + (folder / "main.cpp") + " && " + program + " > " +
                              (folder / "out");
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const std::int8_t x[3] = {10, 20, -30};
  std::int8_t y[2];
  small(x, y);
  char expected[80];
  std::snprintf(expected, sizeof(expected), "%d %d %d %d %a\n", y[0], y[1],
                10 * 127 - 20 * 64 - 30 * 32, 10 * 127 + 30 * 127, double{2.0F / 127.0F});
  EXPECT_EQ(tests::content_of(folder / "out"), expected);
}
#endif

}}  // namespace fewbit::io_emit_header_test
