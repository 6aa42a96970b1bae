#include "fewbit/io/tensor_view.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "support/sentence.hpp"

namespace io_tensor_view_test {

using fewbit::dtype;
using fewbit::index;
using fewbit::tensor_view;

/// Numbers at a chosen distance from an aligned address.
template <class T>
class placed {
 public:
  placed(const std::vector<T>& numbers, std::size_t offset)
      : memory_(numbers.size() * sizeof(T) + 64), offset_(offset), size_(numbers.size()) {
    std::memcpy(memory_.data() + offset, numbers.data(), size_ * sizeof(T));
  }
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return std::span(memory_).subspan(offset_, size_ * sizeof(T));
  }

 private:
  std::vector<std::byte> memory_;
  std::size_t offset_;
  std::size_t size_;
};

TEST(tensor_view, extents_behind_the_first_are_columns) {
  const auto extents = [](const std::vector<index>& shape) {
    const tensor_view t{.name = "t", .shape = shape, .bytes = {}, .file = "f"};
    return std::pair(t.rows(), t.cols());
  };
  EXPECT_EQ(extents({}), std::pair(index{1}, index{1}));
  EXPECT_EQ(extents({5}), std::pair(index{5}, index{1}));
  EXPECT_EQ(extents({5, 6}), std::pair(index{5}, index{6}));
  EXPECT_EQ(extents({5, 2, 3, 4}), std::pair(index{5}, index{24}));
  EXPECT_EQ(extents({0, 7}), std::pair(index{0}, index{7}));
}

TEST(tensor_view, maps_aligned_numbers_and_copies_others) {
  const std::vector<float> numbers = {1, -2, 3, 4, 5, 6};
  const std::vector<index> shape = {2, 3};
  for (const std::size_t offset : {0U, 4U, 1U, 2U, 7U}) {
    const placed<float> memory(numbers, offset);
    const tensor_view t{
        .name = "t", .type = dtype::f32, .shape = shape, .bytes = memory.bytes(), .file = "f"};
    const auto m = t.matrix<float>();
    EXPECT_EQ(m.is_mapped(), offset % 4 == 0);
    EXPECT_EQ(static_cast<const void*>(m.data()) == memory.bytes().data(), offset % 4 == 0);
    EXPECT_EQ(m(0, 1), -2.0F);
    EXPECT_EQ(m.row(1).sum(), 15.0F);
    EXPECT_EQ(t.to_floats(), m);
  }
}

TEST(tensor_view, copies_keep_their_numbers_when_they_are_moved) {
  const placed<double> memory({1, 2, 3}, 1);
  const std::vector<index> shape = {3};
  const tensor_view t{
      .name = "t", .type = dtype::f64, .shape = shape, .bytes = memory.bytes(), .file = "f"};
  auto m = t.matrix<double>();
  const auto moved = std::move(m);
  EXPECT_EQ(moved(2, 0), 3.0);
  EXPECT_FALSE(moved.is_mapped());
}

TEST(tensor_view, is_a_matrix_of_eigen_without_a_copy) {
  const placed<std::int8_t> memory({1, 2, 3, 4}, 3);
  const std::vector<index> shape = {2, 2};
  const tensor_view t{
      .name = "t", .type = dtype::i8, .shape = shape, .bytes = memory.bytes(), .file = "f"};
  const auto m = t.matrix<std::int8_t>();
  static_assert(fewbit::RowMajorDense<decltype(m), std::int8_t>);
  const Eigen::Ref<const fewbit::row_matrix<std::int8_t>> ref = m;
  EXPECT_EQ(ref.data(), m.data());
}

TEST(tensor_view, empty_tensors_have_their_shape) {
  const std::vector<index> shape = {0, 3};
  const tensor_view t{.name = "t", .type = dtype::f32, .shape = shape, .bytes = {}, .file = "f"};
  EXPECT_EQ(t.matrix<float>().cols(), 3);
  EXPECT_EQ(t.to_floats().rows(), 0);
}

TEST(tensor_view, floats_of_16_and_64_bits_become_floats) {
  const std::vector<index> shape = {3};
  const auto floats = [&](dtype type, const auto& numbers) {
    const placed memory(numbers, 1);
    return tensor_view{
        .name = "t", .type = type, .shape = shape, .bytes = memory.bytes(), .file = "f"}
        .to_floats();
  };
  const Eigen::Vector3f want(0.5F, -2.0F, 65504.0F);
  EXPECT_EQ(floats(dtype::f16, std::vector<std::uint16_t>{0x3800, 0xC000, 0x7BFF}), want);
  EXPECT_EQ(floats(dtype::bf16, std::vector<std::uint16_t>{0x3F00, 0xC000, 0x4780}),
            Eigen::Vector3f(0.5F, -2.0F, 65536.0F));
  EXPECT_EQ(floats(dtype::f64, std::vector<double>{0.1, -2.0, 1e300}),
            Eigen::Vector3f(0.1F, -2.0F, std::numeric_limits<float>::infinity()));
}

TEST(tensor_view, refuses_another_type) {
  const std::vector<index> shape = {2};
  const placed<std::int8_t> memory({1, 2}, 0);
  tensor_view t{.name = "w",
                .type = dtype::i8,
                .shape = shape,
                .bytes = memory.bytes(),
                .file = "f",
                .byte = 70};
  EXPECT_EQ(fewbit::tests::sentence_of([&] { return t.matrix<float>().size(); }),
            "fewbit: tensor_view::matrix: type of tensor 'w' at byte 70 of 'f' is I8, expected "
            "F32");
  EXPECT_EQ(fewbit::tests::sentence_of([&] { return t.to_floats().size(); }),
            "fewbit: tensor_view::to_floats: type of tensor 'w' at byte 70 of 'f' is I8, expected "
            "F16, BF16, F32 or F64");
  t.type = dtype::boolean;
  EXPECT_EQ(fewbit::tests::sentence_of([&] { return t.matrix<bool>().size(); }),
            "fewbit: tensor_view::matrix: byte 1 of tensor 'w' at byte 70 of 'f' is 2, expected 0 "
            "or 1");
}

TEST(tensor_view, products_of_extents_never_overflow) {
  const auto bits = [](dtype type, const std::vector<index>& shape) {
    return fewbit::detail::bits_of_tensor(type, shape);
  };
  constexpr index most = std::numeric_limits<index>::max();
  EXPECT_EQ(bits(dtype::f32, {}), 32);
  EXPECT_EQ(bits(dtype::f4, {3, 5}), 60);
  EXPECT_EQ(bits(dtype::u8, {most / 8}), most / 8 * 8);
  EXPECT_EQ(bits(dtype::u8, {most / 8 + 1}), -1);
  EXPECT_EQ(bits(dtype::u8, {most / 16, 2}), most / 16 * 16);
  EXPECT_EQ(bits(dtype::u8, {most / 16, 3}), -1);
  EXPECT_EQ(bits(dtype::u8, {0, most}), -1);
  EXPECT_EQ(bits(dtype::u8, {most, 0, 8}), -1);
  EXPECT_EQ(bits(dtype::u8, {0, 7}), 0);
}

}  // namespace io_tensor_view_test
