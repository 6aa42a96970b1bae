#include "fewbit/io/safetensors_writer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "fewbit/io/safetensors.hpp"
#include "io/safetensors_cases.hpp"
#include "io/support.hpp"
#include "support/sentence.hpp"

namespace io_safetensors_writer_test {

using fewbit::dtype;
using fewbit::index;
using fewbit::read_back;
using fewbit::row_matrix;
using fewbit::safetensors_file;
using fewbit::safetensors_writer;
using fewbit::tests::bytes_of;
using fewbit::tests::content_of;
using fewbit::tests::safetensors_of;
using fewbit::tests::sentence_of;
using fewbit::tests::temporary_folder;

TEST(safetensors_writer, writes_the_smallest_file_of_the_notes) {
  const temporary_folder folder;
  safetensors_writer out(folder / "a");
  row_matrix<std::int8_t> w(2, 3);
  w << 1, 2, 3, -1, -2, -3;
  out.write("w", w);
  out.close();
  EXPECT_EQ(content_of(folder / "a"),
            safetensors_of(R"({"w":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]}} )",
                           "\1\2\3\377\376\375"));
}

const std::string wide_header = R"({"__metadata__":{"a":"\u0001","format":"pt"},)"
                                R"("b":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
                                R"("a\"\\\n":{"dtype":"F32","shape":[1,0,2],"data_offsets":[8,8]},)"
                                R"("z":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
                                R"("y":{"dtype":"F16","shape":[2],"data_offsets":[12,16]},)"
                                R"("a":{"dtype":"I8","shape":[1],"data_offsets":[16,17]},)"
                                R"("x":{"dtype":"U8","shape":[3],"data_offsets":[17,20]},)"
                                R"("w":{"dtype":"F4","shape":[2],"data_offsets":[20,21]}})";

/// Wide types first, then names, header padded to 8 bytes, strings sorted.
const std::string wide_file = safetensors_of(
    wide_header + std::string(8 - wide_header.size() % 8, ' '), "bbbbbbbbzzzzyyyyaxxxw");

TEST(safetensors_writer, sorts_tensors_in_whichever_way_they_come) {
  ASSERT_NE(wide_header.size() % 8, 0U);
  for (const bool declares : {false, true}) {
    for (const read_back check : {read_back::no, read_back::compare}) {
      const temporary_folder folder;
      safetensors_writer out(folder / "a", check);
      out.set_metadata("format", "pt");
      out.set_metadata("a", "\1");
      if (declares) {
        out.declare("x", dtype::u8, {3});
        out.declare("w", dtype::f4, {2});
        out.declare("b", dtype::f64, {});
        out.declare("z", dtype::f32, {1});
        out.declare("a", dtype::i8, {1});
        out.declare("y", dtype::f16, {2});
        out.declare("a\"\\\n", dtype::f32, {1, 0, 2});
      }
      out.write("x", dtype::u8, {3}, bytes_of("xxx"));
      out.write("y", dtype::f16, {2}, bytes_of("yyyy"));
      out.write("b", dtype::f64, {}, bytes_of("bbbbbbbb"));
      out.write("w", dtype::f4, {2}, bytes_of("w"));
      out.write("a", dtype::i8, {1}, bytes_of("a"));
      out.write("z", dtype::f32, {1}, bytes_of("zzzz"));
      out.write("a\"\\\n", dtype::f32, {1, 0, 2}, {});
      out.close();
      EXPECT_EQ(content_of(folder / "a"), wide_file) << declares;
    }
  }
}

TEST(safetensors_writer, keeps_undeclared_tensors_until_the_first_declared_one) {
  const temporary_folder folder;
  safetensors_writer out(folder / "a");
  std::string early = "12";
  out.write("early", dtype::u8, {2}, bytes_of(early));
  early = "??";  // was copied
  out.declare("late", dtype::u8, {4});
  out.append("late", bytes_of("3"));
  out.append("late", bytes_of("456"));
  out.close();
  const safetensors_file file(folder / "a");
  EXPECT_EQ(file.at("early").matrix<std::uint8_t>()(1, 0), '2');
  EXPECT_EQ(file.at("late").matrix<std::uint8_t>()(3, 0), '6');
}

TEST(safetensors_writer, writes_matrices_of_every_kind) {
  const temporary_folder folder;
  safetensors_writer out(folder / "a");
  const Eigen::MatrixXf columns = Eigen::MatrixXf::Random(3, 4);
  const row_matrix<float> rows = columns;
  out.write("columns", columns);
  out.write("rows", rows);
  out.write("block", rows.block(1, 1, 2, 2));
  out.write("one row", rows.row(2));
  out.write("expression", (2 * rows).eval());
  out.write("vector", Eigen::VectorXd::LinSpaced(5, 0, 4));
  out.write("array", Eigen::Array<bool, 1, 2>(true, false));
  out.write("complex", Eigen::VectorXcf::Constant(1, std::complex<float>(1, -2)));
  out.write("empty", row_matrix<std::int64_t>(0, 5));
  out.close();
  const safetensors_file file(folder / "a");
  EXPECT_EQ(file.at("columns").matrix<float>(), rows);
  EXPECT_EQ(file.at("rows").matrix<float>(), rows);
  EXPECT_EQ(file.at("block").matrix<float>(), rows.block(1, 1, 2, 2));
  EXPECT_EQ(file.at("one row").shape.size(), 1U);
  EXPECT_EQ(file.at("one row").matrix<float>().transpose(), rows.row(2));
  EXPECT_EQ(file.at("expression").matrix<float>(), 2 * rows);
  EXPECT_EQ(file.at("vector").matrix<double>()(4, 0), 4.0);
  EXPECT_EQ(file.at("array").matrix<bool>()(0, 0), true);
  EXPECT_EQ(file.at("complex").matrix<std::complex<float>>()(0, 0), std::complex<float>(1, -2));
  EXPECT_EQ(file.at("empty").cols(), 5);
  for (const auto t : file) {
    EXPECT_EQ(t.byte * 8 % static_cast<unsigned>(fewbit::bits_of(t.type)), 0U) << t.name;
  }
}

TEST(safetensors_writer, copies_tensors_of_another_file) {
  const temporary_folder folder;
  fewbit::tests::write_content(folder / "a", wide_file);
  const safetensors_file file(folder / "a");
  safetensors_writer out(folder / "a");  // over the file that is read
  for (fewbit::index i = 0; i < file.metadata_size(); ++i) {
    const auto [key, value] = file.metadata_at(i);
    out.set_metadata(std::string(key), std::string(value));
  }
  for (const auto t : file) out.declare(t);
  for (const auto t : file) out.write(t);
  out.close();
  EXPECT_EQ(content_of(folder / "a"), wide_file);
}

TEST(safetensors_writer, may_have_no_tensors) {
  const temporary_folder folder;
  safetensors_writer(folder / "a").close();
  EXPECT_EQ(content_of(folder / "a"), safetensors_of("{}      ", ""));
}

TEST(safetensors_writer, leaves_the_old_file_without_close) {
  const temporary_folder folder;
  fewbit::tests::write_content(folder / "a", "old");
  { safetensors_writer(folder / "a").write("w", Eigen::Vector3f::Ones()); }
  EXPECT_EQ(content_of(folder / "a"), "old");
  EXPECT_EQ(folder.files(), 1);
}

/// A writer with the declared tensor 'w' of two bytes.
class writer : public testing::Test {
 protected:
  writer() { out_.declare("w", dtype::u8, {2}); }
  /// The sentence of an error of f, without its start; "'a'" stands for the path.
  template <class F>
  std::string refusal(F f) {
    std::string sentence = sentence_of(f);
    if (const auto at = sentence.find(out_.path()); at != std::string::npos) {
      sentence.replace(at, out_.path().size(), "a");
    }
    const std::string start = "fewbit: safetensors_writer::";
    return sentence.rfind(start, 0) == 0 ? sentence.substr(start.size()) : sentence;
  }

  temporary_folder folder_;
  safetensors_writer out_{folder_ / "a"};
};

TEST_F(writer, refuses_names_that_are_taken_or_malformed) {
  const auto declare = [&](const std::string& name) {
    return refusal([&] { out_.declare(name, dtype::u8, {2}); });
  };
  EXPECT_EQ(declare("w"), "declare: tensor 'w' in 'a' is there already, expected a new one");
  EXPECT_EQ(declare("__metadata__"),
            "declare: tensor '__metadata__' in 'a' is a name of the format, expected another name");
  for (const char* name :
       {"\xff", "\x80", "\xc0\x80", "\xc3", "\xc3(", "\xed\xa0\x80", "\xe0\x80\x80",
        "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80"}) {
    EXPECT_NE(declare(name).find("is no UTF-8, expected UTF-8"), std::string::npos) << name;
    EXPECT_NE(refusal([&] { out_.set_metadata("k", name); }).find("value '"), std::string::npos);
  }
  for (const char* name :
       {"", "\xc2\x80", "\xed\x9f\xbf", "\xe0\xa0\x80", "\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80"}) {
    EXPECT_EQ(declare(name), "no error");
  }
  out_.set_metadata("k", "v");
  EXPECT_EQ(refusal([&] { out_.set_metadata("k", "v"); }),
            "set_metadata: key 'k' in 'a' is there already, expected a new one");
}

TEST_F(writer, refuses_shapes_without_a_size) {
  const auto declare = [&](dtype type, std::initializer_list<index> shape) {
    return refusal([&] { out_.declare("v", type, shape); });
  };
  EXPECT_EQ(declare(dtype::u8, {2, -1}),
            "declare: extent of tensor 'v' in 'a' is -1, expected at least 0");
  EXPECT_EQ(declare(dtype::f4, {3}),
            "declare: shape of tensor 'v' in 'a' is F4 [3], expected whole bytes");
  EXPECT_NE(declare(dtype::f64, {index{1} << 31, index{1} << 31})
                .find("expected one of a size that fits"),
            std::string::npos);
  constexpr index eighth = std::numeric_limits<index>::max() / 8;
  for (int i = 0; i < 8; ++i) out_.declare("eighth " + std::to_string(i), dtype::u8, {eighth});
  EXPECT_NE(declare(dtype::u8, {eighth}).find("expected one of a size that fits"),
            std::string::npos);
}

TEST_F(writer, refuses_numbers_that_do_not_fit_the_tensor) {
  EXPECT_EQ(refusal([&] { out_.write("w", dtype::i8, {2}, bytes_of("12")); }),
            "write: tensor 'w' in 'a' is I8 [2], expected U8 [2]");
  EXPECT_EQ(refusal([&] {
              out_.write("w", dtype::u8, {1, 2}, bytes_of("12"));
            }),
            "write: tensor 'w' in 'a' is U8 [1, 2], expected U8 [2]");
  EXPECT_EQ(refusal([&] { out_.write("w", dtype::u8, {2}, bytes_of("123")); }),
            "write: size of tensor 'w' in 'a' is 3 bytes, expected 2");
  EXPECT_EQ(refusal([&] { out_.write("v", dtype::u8, {2}, bytes_of("1")); }),
            "write: size of tensor 'v' in 'a' is 1 bytes, expected 2");
  EXPECT_EQ(refusal([&] { out_.append("v", bytes_of("1")); }),
            "append: tensor 'v' in 'a' is unknown, expected a declared tensor");
  EXPECT_EQ(refusal([&] { out_.append("w", bytes_of("123")); }),
            "append: tensor 'w' in 'a' is 3 further bytes, expected at most 2");
  EXPECT_EQ(refusal([&] { out_.write_part("v", 0, bytes_of("1")); }),
            "write_part: tensor 'v' in 'a' is unknown, expected a declared tensor");
  for (const std::uint64_t at : {std::uint64_t{1}, std::uint64_t{3}, ~std::uint64_t{0}}) {
    EXPECT_EQ(refusal([&] { out_.write_part("w", at, bytes_of("12")); }),
              "write_part: tensor 'w' in 'a' is 2 bytes from byte " + std::to_string(at) +
                  ", expected a part of its 2 bytes");
  }
  EXPECT_EQ(refusal([&] { out_.close(); }), "close: tensor 'w' in 'a' is 0 bytes, expected 2");
  // All of that left the writer as it was.
  EXPECT_FALSE(out_.contains("v"));
  out_.write("w", dtype::u8, {2}, bytes_of("12"));
  EXPECT_EQ(refusal([&] { out_.write("w", dtype::u8, {2}, bytes_of("12")); }),
            "write: tensor 'w' in 'a' is written already, expected a new one");
  EXPECT_EQ(refusal([&] { out_.append("w", bytes_of("1")); }),
            "append: tensor 'w' in 'a' is 1 further bytes, expected at most 0");
  EXPECT_EQ(refusal([&] { out_.write_part("w", 0, bytes_of("1")); }),
            "write_part: tensor 'w' in 'a' is 1 further bytes, expected at most 0");
  out_.close();
  EXPECT_EQ(refusal([&] { out_.close(); }),
            "fewbit: safetensors_writer: 'a' is closed already, expected an open file");
}

TEST(safetensors_writer, writes_parts_in_any_order) {
  const temporary_folder folder;
  const auto fill = [](safetensors_writer& out) {
    out.declare("w", dtype::u8, {6});
    out.declare("v", dtype::u8, {2});
  };
  safetensors_writer whole(folder / "whole"), parts(folder / "parts", read_back::compare);
  fill(whole);
  fill(parts);
  whole.write("w", dtype::u8, {6}, bytes_of("123456"));
  whole.write("v", dtype::u8, {2}, bytes_of("78"));
  parts.write_part("w", 5, bytes_of("6"));
  parts.write_part("v", 1, bytes_of("8"));
  parts.write_part("w", 0, bytes_of("12"));
  parts.write_part("v", 0, bytes_of("7"));
  EXPECT_NE(sentence_of([&] { parts.close(); }).find("is 3 bytes, expected 6"), std::string::npos);
  parts.write_part("w", 2, bytes_of("345"));
  whole.close();
  parts.close();
  EXPECT_EQ(content_of(folder / "parts"), content_of(folder / "whole"));
}

TEST_F(writer, refuses_new_tensors_behind_the_header) {
  out_.append("w", bytes_of("1"));
  const std::string late =
      " in 'a' is new after the first write of a declared tensor, expected "
      "given before it";
  EXPECT_EQ(refusal([&] { out_.declare("v", dtype::u8, {2}); }), "declare: tensor 'v'" + late);
  EXPECT_EQ(refusal([&] { out_.write("v", dtype::u8, {2}, bytes_of("12")); }),
            "declare: tensor 'v'" + late);
  EXPECT_EQ(refusal([&] { out_.set_metadata("k", "v"); }), "set_metadata: key 'k'" + late);
  EXPECT_EQ(refusal([&] { out_.close(); }), "close: tensor 'w' in 'a' is 1 bytes, expected 2");
}

TEST(safetensors_writer, refuses_a_folder_that_does_not_exist) {
  EXPECT_EQ(sentence_of([] { return safetensors_writer("/nowhere/a").path(); }),
            "fewbit: safetensors_writer: '/nowhere/a' is not writable (No such file or directory), "
            "expected a file in a folder with permission and space");
}

}  // namespace io_safetensors_writer_test
