#include "fewbit/io/dtype.hpp"

#include <gtest/gtest.h>

#include <complex>
#include <cstdint>
#include <type_traits>

namespace io_dtype_test {

using fewbit::dtype;
using fewbit::dtype_of;

TEST(dtype, types_of_cpp_have_their_size) {
  const auto expect = []<class T>(T /*value*/, dtype type, const char* name) {
    EXPECT_EQ(dtype_of<T>, type);
    EXPECT_EQ(fewbit::name_of(type), name);
    EXPECT_EQ(fewbit::bits_of(type), 8 * static_cast<int>(sizeof(T)));
  };
  expect(false, dtype::boolean, "BOOL");
  expect(std::uint8_t{}, dtype::u8, "U8");
  expect(std::int8_t{}, dtype::i8, "I8");
  expect(std::uint16_t{}, dtype::u16, "U16");
  expect(std::int16_t{}, dtype::i16, "I16");
  expect(Eigen::half{}, dtype::f16, "F16");
  expect(Eigen::bfloat16{}, dtype::bf16, "BF16");
  expect(std::uint32_t{}, dtype::u32, "U32");
  expect(std::int32_t{}, dtype::i32, "I32");
  expect(float{}, dtype::f32, "F32");
  expect(std::complex<float>{}, dtype::c64, "C64");
  expect(double{}, dtype::f64, "F64");
  expect(std::int64_t{}, dtype::i64, "I64");
  expect(std::uint64_t{}, dtype::u64, "U64");
}

TEST(dtype, others_are_bytes_alone) {
  const auto expect = [](dtype type, const char* name, int bits) {
    EXPECT_EQ(fewbit::name_of(type), name);
    EXPECT_EQ(fewbit::bits_of(type), bits);
  };
  expect(dtype::f8_e5m2, "F8_E5M2", 8);
  expect(dtype::f8_e4m3, "F8_E4M3", 8);
  expect(dtype::f8_e8m0, "F8_E8M0", 8);
  expect(dtype::f6_e2m3, "F6_E2M3", 6);
  expect(dtype::f6_e3m2, "F6_E3M2", 6);
  expect(dtype::f4, "F4", 4);
}

TEST(dtype, char_and_long_double_are_none) {
  EXPECT_FALSE(fewbit::FileScalar<char>);
  EXPECT_FALSE(fewbit::FileScalar<long double>);
  EXPECT_TRUE(fewbit::FileScalar<float>);
}

}  // namespace io_dtype_test
