#include "fewbit/io/quantized.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/core/random.hpp"
#include "fewbit/quant/quantize.hpp"
#include "io/safetensors_cases.hpp"
#include "io/support.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace io_quantized_test {

using tests::bytes_of;
using tests::content_of;
using tests::safetensors_of;
using tests::sentence_of;
using tests::temporary_folder;

/// Random numbers, the same in each run.
class source {
 public:
  explicit source(std::uint64_t seed) : seed_(seed) {}
  /// lo .. hi, and often one of the two.
  int number(int lo, int hi) {
    const auto bits = random_bits(seed_, count_++);
    if (bits[0] % 8 < 2) return bits[0] % 8 == 0 ? lo : hi;
    return lo + static_cast<int>(bits[1] % static_cast<unsigned>(hi - lo + 1));
  }
  float real() { return std::ldexp(static_cast<float>(number(-100000, 100000)), number(-40, 20)); }

 private:
  std::uint64_t seed_;
  std::uint64_t count_ = 0;
};

/// Codes, scales and so on that S allows, extremes among them.
template <Scheme S>
quantized_matrix<S> matrix_of(index rows, index cols, std::uint64_t seed) {
  source random(seed);
  row_matrix<typename S::code> codes(rows, cols);
  for (auto& code : codes.reshaped()) {
    const int value = random.number(S::code_min, S::code_max);
    const bool is_binary = std::is_same_v<typename S::storage, binary>;
    code = static_cast<typename S::code>(is_binary && value == 0 ? 1 : value);
  }
  const auto count = static_cast<std::size_t>(S::granularity::count(rows, cols));
  std::vector<float> scales(count), minima(count);
  std::vector<typename S::code> zero_points(count);
  for (std::size_t i = 0; i < count; ++i) {
    scales[i] = std::is_same_v<typename S::scale, power_of_two>
                    ? std::ldexp(1.0F, random.number(-126, 100))
                    : std::max(std::fabs(random.real()), min_scale);
    if (detail::form_of<S>.may_scale_be_zero && random.number(0, 3) == 0) scales[i] = 0.0F;
    minima[i] = random.real();
    zero_points[i] = static_cast<typename S::code>(random.number(S::storage::min, S::storage::max));
  }
  if constexpr (S::is_affine) {
    return {codes, scales, zero_points};
  } else if constexpr (S::has_minimum) {
    return {codes, scales, minima};
  } else if constexpr (CodebookScheme<S>) {
    std::vector<float> levels(std::size_t{1} << S::storage::bits);
    for (float& level : levels) level = static_cast<float>(random.number(-1000, 1000)) / 1000.0F;
    std::sort(levels.begin(), levels.end());
    return {codes, scales, levels};
  } else {
    return {codes, scales};
  }
}

template <std::same_as<two_scale_ternary> S>
two_scale_ternary matrix_of(index rows, index cols, std::uint64_t seed) {
  const auto one = matrix_of<ternary_per_row>(rows, cols, seed);
  const auto other = matrix_of<ternary_per_row>(rows, cols, seed + 1);
  return {one.codes(), one.scales(), other.scales()};
}

template <Scheme S>
bool are_equal(const quantized_matrix<S>& a, const quantized_matrix<S>& b) {
  return a == b;
}
bool are_equal(const two_scale_ternary& a, const two_scale_ternary& b) {
  return dequantize(a) == dequantize(b);
}

/// The values in double, rounded once.
template <Scheme S>
row_matrix<float> values_of(const quantized_matrix<S>& q) {
  row_matrix<float> values(q.rows(), q.cols());
  for (index r = 0; r < q.rows(); ++r) {
    for (index c = 0; c < q.cols(); ++c) {
      const int code = q.code(r, c);
      const double number = CodebookScheme<S> ? double{q.levels()[static_cast<std::size_t>(code)]}
                                              : static_cast<double>(code - q.zero_point(r, c));
      values(r, c) = static_cast<float>(number * q.scale(r, c) + q.minimum(r, c));
    }
  }
  return values;
}
row_matrix<float> values_of(const two_scale_ternary& q) { return dequantize(q); }

template <class... Lists>
struct joined;
template <class... S>
struct joined<scheme_list<S...>> {
  using type = scheme_list<S...>;
};
template <class... S, class... T, class... Rest>
struct joined<scheme_list<S...>, scheme_list<T...>, Rest...> {
  using type = typename joined<scheme_list<S..., T...>, Rest...>::type;
};

/// Every granularity.
template <class St, class Zp, class... More>
using of_storage =
    scheme_list<scheme<St, per_tensor, Zp, More...>, scheme<St, per_row, Zp, More...>,
                scheme<St, per_col, Zp, More...>, scheme<St, grouped<20>, Zp, More...>,
                scheme<St, sub_tensor<2>, Zp, More...>>;
/// The other zero points of a signed storage.
template <class St>
using signed_rest =
    scheme_list<scheme<St, grouped<20>, symmetric_full>, scheme<St, per_row, affine>>;
/// real_minimum.
template <class St>
using with_minimum = scheme_list<scheme<St, per_row, real_minimum>,
                                 scheme<St, grouped<20>, real_minimum, power_of_two>>;

using every_storage =
    joined<of_storage<int8, symmetric>, signed_rest<int8>, of_storage<int16, symmetric>,
           signed_rest<int16>, of_storage<int4, symmetric>, signed_rest<int4>,
           of_storage<int3, symmetric>, signed_rest<int3>, of_storage<int2, symmetric>,
           signed_rest<int2>, of_storage<uint8, affine>, with_minimum<uint8>,
           of_storage<uint4, affine>, with_minimum<uint4>, of_storage<uint3, affine>,
           with_minimum<uint3>, of_storage<uint2, affine>, with_minimum<uint2>,
           of_storage<ternary, symmetric>, of_storage<binary, symmetric>,
           of_storage<codebook<4>, symmetric>,
           scheme_list<codebook_per_row<1>, codebook_per_row<2>, codebook_per_row<3>,
                       codebook_per_row<5>, codebook_per_row<6>, codebook_per_row<7>,
                       codebook_per_row<8>, scheme<int8, per_row, symmetric, power_of_two>,
                       scheme<int4, per_row, affine, real_scale, half_away>,
                       scheme<uint8, per_row, affine, power_of_two, toward_zero>,
                       scheme<int8, per_row, symmetric_full, real_scale, stochastic>,
                       two_scale_ternary>>::type;

template <class... S, class F>
void for_each_scheme(scheme_list<S...> /*schemes*/, const F& f) {
  (f.template operator()<S>(), ...);
}

constexpr std::array<std::pair<index, index>, 4> shapes = {{{1, 1}, {3, 67}, {5, 40}, {2, 1030}}};

template <class S>
std::string name_of_matrix(index rows, index cols) {
  return scheme_text<S>() + " " + std::to_string(rows) + "x" + std::to_string(cols);
}

/// Matrices of all schemes and shapes, and their values.
void write_all(const std::string& path) {
  safetensors_writer out(path, read_back::compare);
  std::uint64_t seed = 0;
  for_each_scheme(every_storage(), [&]<class S>() {
    for (const auto& [rows, cols] : shapes) {
      const auto q = matrix_of<S>(rows, cols, ++seed);
      const std::string name = name_of_matrix<S>(rows, cols);
      save(out, name, q);
      out.write(name + ".expected", values_of(q));
    }
  });
  out.close();
}

TEST(quantized, matrices_of_every_scheme_come_back_equal) {
  const temporary_folder folder;
  write_all(folder / "a");
  const safetensors_file file(folder / "a");
  std::uint64_t seed = 0;
  for_each_scheme(every_storage(), [&]<class S>() {
    for (const auto& [rows, cols] : shapes) {
      const std::string name = name_of_matrix<S>(rows, cols);
      const auto q = matrix_of<S>(rows, cols, ++seed);
      EXPECT_TRUE(are_equal(load<S>(file, name), q)) << name;
      const auto stored = find_stored(file, name);
      ASSERT_TRUE(stored);
      EXPECT_EQ(stored->scheme, scheme_text<S>());
      EXPECT_EQ(stored->rows, rows);
      EXPECT_EQ(stored->cols, cols);
    }
  });
}

TEST(quantized, numpy_reads_matrices_of_every_scheme) {
  const temporary_folder folder;
  std::string python;
  for (const char* program : {"python3", "/usr/bin/python3"}) {
    const std::string command = std::string(program) + " -c 'import numpy' 2>/dev/null";
    if (python.empty() && std::system(command.c_str()) == 0) python = program;
  }
  if (python.empty()) GTEST_SKIP() << "python3 with numpy was not found";
  write_all(folder / "a");
  const std::string command =
      python + " -B '" FEWBIT_EXAMPLE_DATA_DIR "/../../tests/io/compare_with_numpy.py' '" +
      folder / "a" + "' > '" + folder / "said" + "' 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
  int count = 0;
  for_each_scheme(every_storage(), [&]<class S>() { count += static_cast<int>(shapes.size()); });
  EXPECT_EQ(content_of(folder / "said"), std::to_string(count) + " matrices are equal\n");
}

TEST(quantized, declared_matrices_give_the_same_file) {
  const temporary_folder folder;
  const auto a = matrix_of<int4_grouped<32>>(4, 70, 1);
  const auto b = matrix_of<uint8_affine>(3, 5, 2);
  const auto t = matrix_of<two_scale_ternary>(2, 9, 3);
  safetensors_writer kept(folder / "kept");
  save(kept, "b", b);
  save(kept, "a", a);
  save(kept, "t", t);
  kept.close();
  safetensors_writer declared(folder / "declared");
  declare<two_scale_ternary>(declared, "t", 2, 9);
  declare<int4_grouped<32>>(declared, "a", 4, 70);
  declare<uint8_affine>(declared, "b", 3, 5);
  save(declared, "a", a);
  save(declared, "t", t);
  save(declared, "b", b);
  declared.close();
  EXPECT_EQ(content_of(folder / "kept"), content_of(folder / "declared"));
}

/// Version 1 of the layout. These bytes must be readable for ever.
const std::string golden_header =
    R"({"__metadata__":{"fewbit":"1 low_bits_first",)"
    R"("fewbit:a":"int4 grouped:2 symmetric real_scale nearest_even 2 3",)"
    R"("fewbit:b":"uint3 per_row affine power_of_two half_away 2 3",)"
    R"("fewbit:c":"binary per_tensor symmetric real_scale nearest_even 1 9",)"
    R"("fewbit:d":"int16 per_col symmetric_full real_scale nearest_even 1 2"},)"
    R"("a.scales":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
    R"("b.scales":{"dtype":"F32","shape":[2],"data_offsets":[16,24]},)"
    R"("c.scales":{"dtype":"F32","shape":[1],"data_offsets":[24,28]},)"
    R"("d.scales":{"dtype":"F32","shape":[2],"data_offsets":[28,36]},)"
    R"("d":{"dtype":"I16","shape":[1,2],"data_offsets":[36,40]},)"
    R"("a":{"dtype":"U8","shape":[2,2],"data_offsets":[40,44]},)"
    R"("b":{"dtype":"U8","shape":[2,2],"data_offsets":[44,48]},)"
    R"("b.zero_points":{"dtype":"U8","shape":[2],"data_offsets":[48,50]},)"
    R"("c":{"dtype":"U8","shape":[1,2],"data_offsets":[50,52]}})";
const std::string golden_data = std::string(
                                    "\0\0\200\77"
                                    "\0\0\0\100"
                                    "\0\0\100\100"
                                    "\0\0\200\100",
                                    16) +  // 1 2 3 4
                                std::string(
                                    "\0\0\0\77"
                                    "\0\0\200\76",
                                    8) +                         // .5 .25
                                std::string("\0\0\300\77", 4) +  // 1.5
                                std::string(
                                    "\0\0\200\77"
                                    "\0\0\0\100",
                                    8) +                              // 1 2
                                std::string("\0\200\377\177", 4) +    // -32768 32767
                                std::string("\x21\x03\xa9\x07", 4) +  // 1 2 3; -7 -6 7
                                std::string("\x88\x01\x3f\x00", 4) +  // 0 1 6; 7 7 0
                                std::string("\7\0", 2) +              // 7; 0
                                std::string("\x05\x01", 2);           // - + - + + + + + -

using golden_b = scheme<uint3, per_row, affine, power_of_two, half_away>;
using golden_c = scheme<binary, per_tensor>;
using golden_d = scheme<int16, per_col, symmetric_full>;

TEST(quantized, golden_file_keeps_its_bytes) {
  ASSERT_LT(golden_header.size() + golden_data.size(), 4096U);
  row_matrix<std::int8_t> a(2, 3), c(1, 9);
  row_matrix<std::uint8_t> b(2, 3);
  row_matrix<std::int16_t> d(1, 2);
  a << 1, 2, 3, -7, -6, 7;
  b << 0, 1, 6, 7, 7, 0;
  c << -1, 1, -1, 1, 1, 1, 1, 1, -1;
  d << -32768, 32767;
  const quantized_matrix<int4_grouped<2>> qa(a, std::array{1.0F, 2.0F, 3.0F, 4.0F});
  const quantized_matrix<golden_b> qb(b, std::array{0.5F, 0.25F},
                                      std::array<std::uint8_t, 2>{7, 0});
  const quantized_matrix<golden_c> qc(c, std::array{1.5F});
  const quantized_matrix<golden_d> qd(d, std::array{1.0F, 2.0F});

  const temporary_folder folder;
  safetensors_writer out(folder / "a");
  save(out, "a", qa);
  save(out, "b", qb);
  save(out, "c", qc);
  save(out, "d", qd);
  out.close();
  const std::string padding(7 - (golden_header.size() + 7) % 8, ' ');
  const std::string golden = safetensors_of(golden_header + padding, golden_data);
  EXPECT_EQ(content_of(folder / "a"), golden);

  const safetensors_file file(bytes_of(golden), "golden");
  EXPECT_EQ(load<int4_grouped<2>>(file, "a"), qa);
  EXPECT_EQ(load<golden_b>(file, "b"), qb);
  EXPECT_EQ(load<golden_c>(file, "c"), qc);
  EXPECT_EQ(load<golden_d>(file, "d"), qd);
}

TEST(quantized, visit_finds_the_scheme) {
  const temporary_folder folder;
  const auto a = matrix_of<int4_grouped<32>>(4, 70, 1);
  const auto t = matrix_of<two_scale_ternary>(2, 9, 3);
  const auto odd = matrix_of<scheme<int8, sub_tensor<2>>>(2, 9, 3);
  safetensors_writer out(folder / "a");
  save(out, "a", a);
  save(out, "t", t);
  save(out, "odd", odd);
  out.close();
  const safetensors_file file(folder / "a");
  const std::string name = "a";
  int calls = 0;
  visit(file, name, [&](const auto& q) {
    if constexpr (std::is_same_v<decltype(q), const quantized_matrix<int4_grouped<32>>&>) {
      EXPECT_EQ(q, a);
      ++calls;
    }
  });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(visit(file, "t", [](const auto& q) { return q.cols(); }), 9);
  EXPECT_EQ((visit<scheme_list<int8_per_row, scheme<int8, sub_tensor<2>>>>(
                file, "odd", [](const auto& q) { return q.rows(); })),
            2);
  EXPECT_EQ(sentence_of([&] { visit<scheme_list<int8_per_row>>(file, "odd", [](const auto&) {}); }),
            "fewbit: visit: scheme of tensor 'odd' in '" + folder / "a" +
                "' is 'int8 sub_tensor:2 symmetric real_scale nearest_even', expected a scheme of "
                "the list");
}

TEST(quantized, find_stored_tells_which_tensors_are_quantized) {
  const std::string text = safetensors_of(golden_header, golden_data);
  const safetensors_file file(bytes_of(text), "x");
  EXPECT_TRUE(find_stored(file, "a"));
  EXPECT_FALSE(find_stored(file, "a.scales"));
  EXPECT_FALSE(find_stored(file, "nothing"));
}

/// The sentence of an error of the golden file with one text replaced by another, without its
/// start.
template <class S>
std::string refusal(const std::string& name, const std::string& from, const std::string& to) {
  std::string header = golden_header;
  header.replace(header.find(from), from.size(), to);
  const std::string text = safetensors_of(header, golden_data);
  const std::string sentence =
      sentence_of([&] { return load<S>(safetensors_file(bytes_of(text), "x"), name).rows(); });
  const std::string start = "fewbit: load: ";
  return sentence.rfind(start, 0) == 0 ? sentence.substr(start.size()) : sentence;
}

TEST(quantized, refuses_strings_that_are_missing_or_malformed) {
  const auto a = [](const std::string& from, const std::string& to) {
    return refusal<int4_grouped<2>>("a", from, to);
  };
  EXPECT_EQ(a("fewbit:a", "fewbit:e"),
            "string 'fewbit:a' of __metadata__ of 'x' is missing, expected the scheme of a "
            "quantized matrix");
  EXPECT_EQ(a("\"fewbit\":", "\"other\":"),
            "fewbit: find_stored: string 'fewbit' of __metadata__ of 'x' is missing, expected '1 "
            "low_bits_first'");
  EXPECT_EQ(a("1 low", "2 low"),
            "fewbit: find_stored: string 'fewbit' of __metadata__ of 'x' is '2 low_bits_first', "
            "expected '1 low_bits_first'");
  EXPECT_EQ(a("int4 ", "int3 "),
            "scheme of tensor 'a' in 'x' is 'int3 grouped:2 symmetric real_scale nearest_even', "
            "expected 'int4 grouped:2 symmetric real_scale nearest_even'");
  const std::string text = "int4 grouped:2 symmetric real_scale nearest_even 2 3";
  for (const char* other :
       {"", " ", "2 3", "int4 2", "x 2 ", "x -2 3", "x 2 0", "x 0 3", "x 2 3 ", "x 2  3", "x 2 3x",
        "x 2 1e3", "x 2 99999999999999999999", "x 2 9223372036854775807", "x 9223372036854775807 2",
        "x 9000000000 9000000000", "x 2 +3"}) {
    const std::string sentence = a(text, other);
    EXPECT_NE(sentence.find("string of the matrix of tensor 'a' in 'x' is '"), std::string::npos)
        << sentence;
  }
  EXPECT_EQ(a(text, "x 2 0"),
            "fewbit: find_stored: string of the matrix of tensor 'a' in 'x' is 'x 2 0', expected a "
            "scheme, rows and columns");
}

TEST(quantized, refuses_parts_that_are_missing_or_of_another_shape) {
  const auto a = [](const std::string& from, const std::string& to) {
    return refusal<int4_grouped<2>>("a", from, to);
  };
  EXPECT_EQ(a("\"a.scales\"", "\"a.scale\""),
            "tensor 'a.scales' of 'x' is missing, expected a part of the quantized matrix");
  EXPECT_EQ(a("\"a\":", "\"e\":"),
            "tensor 'a' of 'x' is missing, expected a part of the quantized matrix");
  EXPECT_EQ(refusal<golden_b>("b", "b.zero_points", "b.zeros"),
            "tensor 'b.zero_points' of 'x' is missing, expected a part of the quantized matrix");
  EXPECT_NE(a("even 2 3", "even 2 5").find("is U8 [2, 2], expected U8 [2, 3]"), std::string::npos);
  EXPECT_NE(a("even 2 3", "even 4 3").find("is U8 [2, 2], expected U8 [4, 2]"), std::string::npos);
  EXPECT_NE(
      a(R"("F32","shape":[2,2])", R"("F32","shape":[4])").find("is F32 [4], expected F32 [2, 2]"),
      std::string::npos);
  EXPECT_NE(a(R"("F32","shape":[2,2])", R"("I32","shape":[2,2])")
                .find("is I32 [2, 2], expected F32 [2, 2]"),
            std::string::npos);
  EXPECT_NE(a(R"("a":{"dtype":"U8")", R"("a":{"dtype":"I8")").find("expected U8 [2, 2]"),
            std::string::npos);
  EXPECT_NE(
      refusal<golden_b>("b", R"("b.zero_points":{"dtype":"U8")", R"("b.zero_points":{"dtype":"I8")")
          .find("type and shape of tensor 'b.zero_points' at byte"),
      std::string::npos);
}

/// The sentence of an error of a matrix of 1 x 3 codes with these bytes, without its start.
template <class S>
std::string refusal_of_bytes(const std::string& codes, const std::string& scales,
                             const std::string& suffix = "", const std::string& third = "",
                             const std::string& type = "F32") {
  const auto entry = [](const std::string& name, const std::string& dtype, const std::string& shape,
                        std::size_t begin, std::size_t size) {
    return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape +
           R"(,"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(begin + size) +
           "]}";
  };
  const auto parts = detail::parts_of(detail::form_of<S>, 1, 3);
  std::string header = R"({"__metadata__":{"fewbit":"1 low_bits_first","fewbit:w":")" +
                       detail::matrix_text(scheme_text<S>(), 1, 3) + R"("},)";
  header +=
      entry("w.scales", "F32", detail::text_of_shape(parts[1].shape()), 0, scales.size()) + ",";
  if (!suffix.empty()) {
    header += entry("w" + suffix, type, detail::text_of_shape(parts[2].shape()), scales.size(),
                    third.size()) +
              ",";
  }
  header += entry("w", std::string(name_of(parts[0].type)), detail::text_of_shape(parts[0].shape()),
                  scales.size() + third.size(), codes.size()) +
            "}";
  const std::string text = safetensors_of(header, scales + third + codes);
  const std::string sentence =
      sentence_of([&] { return load<S>(safetensors_file(bytes_of(text), "x"), "w").rows(); });
  return sentence.substr(0, 14) == "fewbit: load: " ? sentence.substr(14) : sentence;
}

std::string float_bytes(float value) {
  return tests::little_endian(std::bit_cast<std::uint32_t>(value), 4);
}

TEST(quantized, refuses_codes_that_the_scheme_has_not) {
  const std::string one = float_bytes(1.0F);
  EXPECT_EQ(refusal_of_bytes<int8_per_row>("\x81\x7f\x01", one), "no error");
  EXPECT_EQ(refusal_of_bytes<int8_per_row>("\x01\x80\x01", one).substr(0, 14), "code(0, 1) of ");
  EXPECT_NE(refusal_of_bytes<int8_per_row>("\x01\x80\x01", one)
                .find("of tensor 'w' at byte 237 of 'x' is -128, expected -127 to 127"),
            std::string::npos);
  EXPECT_NE(refusal_of_bytes<int4_per_row>("\x21\x08", one).find("code(0, 2) of tensor 'w'"),
            std::string::npos);
  EXPECT_NE(refusal_of_bytes<ternary_per_row>("\x21", one).find("is -2, expected -1 to 1"),
            std::string::npos);
  EXPECT_NE(refusal_of_bytes<int16_per_row>(std::string("\1\0\1\0\0\x80", 6), one)
                .find("is -32768, expected -32767 to 32767"),
            std::string::npos);
  // The fourth place of a row of three.
  EXPECT_NE(refusal_of_bytes<int4_per_row>("\x21\x13", one)
                .find("unused bits of row 0 of tensor 'w' at byte"),
            std::string::npos);
  EXPECT_NE(refusal_of_bytes<binary_per_row>("\x08", one).find("unused bits of row 0"),
            std::string::npos);
  EXPECT_EQ(refusal_of_bytes<binary_per_row>("\x07", one), "no error");
  EXPECT_NE(refusal_of_bytes<int3_per_row>(std::string("\1\2", 2), one).find("unused bits"),
            std::string::npos);
  EXPECT_EQ(refusal_of_bytes<int3_per_row>(std::string("\1\0", 2), one), "no error");
}

TEST(quantized, refuses_scales_that_the_scheme_has_not) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {0.0F, -0.0F, -1.0F, 1e-39F, infinity, std::nanf("")}) {
    const std::string sentence = refusal_of_bytes<int8_per_row>("\1\2\3", float_bytes(bad));
    EXPECT_NE(sentence.find("scales[0] of tensor 'w.scales' at byte"), std::string::npos) << bad;
    EXPECT_NE(sentence.find(", expected a scale, at least 2^-126"), std::string::npos) << bad;
  }
  EXPECT_NE(refusal_of_bytes<int8_power_of_two>("\1\2\3", float_bytes(3.0F))
                .find(" is 3, expected a power of two"),
            std::string::npos);
  EXPECT_EQ(refusal_of_bytes<int8_power_of_two>("\1\2\3", float_bytes(4.0F)), "no error");
  EXPECT_EQ(refusal_of_bytes<binary_per_row>("\1", float_bytes(0.0F)), "no error");
  EXPECT_NE(refusal_of_bytes<binary_per_row>("\1", float_bytes(-0.0F)).find("scales[0]"),
            std::string::npos);
  EXPECT_NE(refusal_of_bytes<two_scale_ternary>("\1", float_bytes(1.0F), ".negative_scales",
                                                float_bytes(0.0F))
                .find("scales[0] of tensor 'w.negative_scales'"),
            std::string::npos);
}

TEST(quantized, refuses_third_parts_that_the_scheme_has_not) {
  using affine3 = scheme<uint3, per_row, affine>;
  using minimum = scheme<uint4, per_row, real_minimum>;
  const std::string one = float_bytes(1.0F);
  EXPECT_NE(refusal_of_bytes<affine3>(std::string("\1\0", 2), one, ".zero_points", "\x08", "U8")
                .find("zero_points[0] of tensor 'w.zero_points' at byte"),
            std::string::npos);
  EXPECT_EQ(refusal_of_bytes<affine3>(std::string("\1\0", 2), one, ".zero_points", "\x07", "U8"),
            "no error");
  EXPECT_NE(
      refusal_of_bytes<minimum>(std::string("\1\0", 2), one, ".minima", float_bytes(std::nanf("")))
          .find("minima[0] of tensor 'w.minima'"),
      std::string::npos);
  EXPECT_EQ(refusal_of_bytes<minimum>(std::string("\1\0", 2), float_bytes(0.0F), ".minima",
                                      float_bytes(-5.0F)),
            "no error");
  const auto levels = [](float a, float b) {
    return refusal_of_bytes<codebook_per_row<1>>("\1", float_bytes(1.0F), ".levels",
                                                 float_bytes(a) + float_bytes(b));
  };
  EXPECT_EQ(levels(-1.0F, 1.0F), "no error");
  EXPECT_NE(levels(0.5F, 0.25F).find("levels[1] of tensor 'w.levels'"), std::string::npos);
  EXPECT_NE(levels(-1.5F, 0.25F).find("levels[0]"), std::string::npos);
  EXPECT_NE(levels(0.0F, 1.5F).find("is 1.5, expected 0 to 1"), std::string::npos);
  EXPECT_NE(levels(std::nanf(""), 0.25F).find("levels[0]"), std::string::npos);
}

TEST(quantized, save_refuses_what_it_cannot_write) {
  const temporary_folder folder;
  safetensors_writer out(folder / "a");
  const auto q = matrix_of<int8_per_row>(2, 3, 1);
  EXPECT_EQ(sentence_of([&] { save(out, "w", quantized_matrix<int8_per_row>()); }),
            "fewbit: save: q is 0 x 0, expected at least one row and one column");
  EXPECT_EQ(sentence_of([&] { save(out, "w", two_scale_ternary()); }),
            "fewbit: save: q is 0 x 0, expected at least one row and one column");
  EXPECT_EQ(sentence_of([&] { declare<int8_per_row>(out, "w", 0, 3); }),
            "fewbit: declare: shape of matrix 'w' is 0 x 3, expected at least one row and one "
            "column, of a size that fits memory");
  EXPECT_NE(sentence_of([&] {
              declare<int8_grouped<1>>(out, "w", index{1} << 40, index{1} << 40);
            }).find("of a size that fits memory"),
            std::string::npos);
  out.write("w.scales", Eigen::Vector2f::Ones());
  EXPECT_EQ(sentence_of([&] { save(out, "w", q); }), "fewbit: save: tensor 'w.scales' in '" +
                                                         folder / "a" +
                                                         "' is there already, expected a new one");
  declare<int4_per_row>(out, "v", 2, 3);
  EXPECT_EQ(sentence_of([&] { save(out, "v", q); }),
            "fewbit: save: matrix 'v' in '" + folder / "a" +
                "' is int8 per_row symmetric real_scale nearest_even 2 3, expected int4 per_row "
                "symmetric real_scale nearest_even 2 3");
  EXPECT_EQ(
      sentence_of([&] { declare<int4_per_row>(out, "v", 2, 3); }),
      "fewbit: declare: matrix 'v' in '" + folder / "a" + "' is there already, expected a new one");
}

/// The program in the head of the header.
TEST(quantized, a_program_quantizes_a_tensor_of_a_file) {
  const temporary_folder folder;
  const row_matrix<float> weights = row_matrix<float>::Random(4, 64);
  {
    safetensors_writer out(folder / "model.safetensors");
    out.write("w", weights);
    out.close();
  }
  const safetensors_file in(folder / "model.safetensors");
  const auto w = in.at("w").matrix<float>();
  safetensors_writer out(folder / "model_int4.safetensors");
  save(out, "w", quantize<int4_grouped<32>>(w));
  out.close();
  const safetensors_file file(folder / "model_int4.safetensors");
  EXPECT_EQ(load<int4_grouped<32>>(file, "w"), quantize<int4_grouped<32>>(weights));
}

}  // namespace io_quantized_test
}  // namespace fewbit
