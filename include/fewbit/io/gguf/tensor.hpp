#pragma once
/// A tensor of a GGUF file: its name, type and shape, and its bytes in the file.
///
///     const gguf_tensor t = file.at("blk.0.attn_q.weight");
///     t.to_floats()            // a matrix of floats, from every type in the table below
///     t.matrix<float>()        // an Eigen::Map of the file, if t.type is F32
///     t.blocks<q4_0>()         // the blocks in the file, if t.type is Q4_0
///
/// | read as                       | types                                                         |
/// |-------------------------------|---------------------------------------------------------------|
/// | to_floats, matrix<T>          | F32, F16, BF16, F64                                           |
/// | to_floats, blocks<B>          | Q8_0, Q5_0, Q5_1, Q4_0, Q4_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K,   |
/// |                               | IQ4_NL, IQ4_XS, MXFP4, TQ1_0, TQ2_0                           |
/// | matrix<T>                     | I8, I16, I32, I64                                             |
/// | bytes alone                   | all others                                                    |
///
/// Read next: gguf.hpp, which returns it; formats/ggml_blocks.hpp (blocks).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/ggml_blocks.hpp"
#include "fewbit/formats/ggml_grouped_blocks.hpp"
#include "fewbit/formats/ggml_k_blocks.hpp"
#include "fewbit/formats/ggml_table_blocks.hpp"
#include "fewbit/io/dtype.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/gguf/cursor.hpp"
#include "fewbit/io/gguf/types.hpp"
#include "fewbit/io/tensor_view.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The number of weights in a block of type B.
template <class B>
inline constexpr index weights_of_block = ggml_block_size;
template <GroupedBlock B>
inline constexpr index weights_of_block<B> = B::weights;

/// The type of a tensor of blocks B.
template <class B>
inline constexpr gguf_type gguf_type_of_block = gguf_type::f32;
template <>
inline constexpr gguf_type gguf_type_of_block<q8_0> = gguf_type::q8_0;
template <>
inline constexpr gguf_type gguf_type_of_block<q5_0> = gguf_type::q5_0;
template <>
inline constexpr gguf_type gguf_type_of_block<q4_0> = gguf_type::q4_0;
template <>
inline constexpr gguf_type gguf_type_of_block<q4_1> = gguf_type::q4_1;
template <>
inline constexpr gguf_type gguf_type_of_block<q5_1> = gguf_type::q5_1;
template <>
inline constexpr gguf_type gguf_type_of_block<q2_k> = gguf_type::q2_k;
template <>
inline constexpr gguf_type gguf_type_of_block<q3_k> = gguf_type::q3_k;
template <>
inline constexpr gguf_type gguf_type_of_block<q4_k> = gguf_type::q4_k;
template <>
inline constexpr gguf_type gguf_type_of_block<q5_k> = gguf_type::q5_k;
template <>
inline constexpr gguf_type gguf_type_of_block<q6_k> = gguf_type::q6_k;
template <>
inline constexpr gguf_type gguf_type_of_block<iq4_nl> = gguf_type::iq4_nl;
template <>
inline constexpr gguf_type gguf_type_of_block<iq4_xs> = gguf_type::iq4_xs;
template <>
inline constexpr gguf_type gguf_type_of_block<mxfp4> = gguf_type::mxfp4;
template <>
inline constexpr gguf_type gguf_type_of_block<tq1_0> = gguf_type::tq1_0;
template <>
inline constexpr gguf_type gguf_type_of_block<tq2_0> = gguf_type::tq2_0;

/// The type of a tensor of numbers T.
template <class T>
inline constexpr gguf_type gguf_type_of_number = gguf_type::q8_0;
template <>
inline constexpr gguf_type gguf_type_of_number<float> = gguf_type::f32;
template <>
inline constexpr gguf_type gguf_type_of_number<Eigen::half> = gguf_type::f16;
template <>
inline constexpr gguf_type gguf_type_of_number<Eigen::bfloat16> = gguf_type::bf16;
template <>
inline constexpr gguf_type gguf_type_of_number<double> = gguf_type::f64;
template <>
inline constexpr gguf_type gguf_type_of_number<std::int8_t> = gguf_type::i8;
template <>
inline constexpr gguf_type gguf_type_of_number<std::int16_t> = gguf_type::i16;
template <>
inline constexpr gguf_type gguf_type_of_number<std::int32_t> = gguf_type::i32;
template <>
inline constexpr gguf_type gguf_type_of_number<std::int64_t> = gguf_type::i64;

/// The blocks that are decoded.
template <class... B>
struct block_list {};
using gguf_blocks = block_list<q8_0, q5_0, q4_0, q4_1, q5_1, q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl,
                               iq4_xs, mxfp4, tq1_0, tq2_0>;

template <class... B>
constexpr bool agree_with_types(block_list<B...> /*blocks*/) noexcept {
  return ((block_weights(gguf_type_of_block<B>) == weights_of_block<B> &&
           block_bytes(gguf_type_of_block<B>) == int{sizeof(B)}) &&
          ...);
}
static_assert(agree_with_types(gguf_blocks()));

/// Calls f(std::type_identity<B>()) for the block B of `type`. Returns false if there is none.
template <class... B, class F>
bool visit_block(block_list<B...> /*blocks*/, gguf_type type, F&& f) {
  return ((type == gguf_type_of_block<B> && (f(std::type_identity<B>()), true)) || ...);
}

}  // namespace detail

/// A block of ggml that tensors of GGUF files consist of.
template <class B>
concept GgufBlock = detail::gguf_type_of_block<B> != gguf_type::f32;

/// A number that tensors of GGUF files consist of.
template <class T>
concept GgufNumber = detail::gguf_type_of_number<T> != gguf_type::q8_0;

/// Refers to the file that returned it; the file must outlive it.
struct gguf_tensor {
  std::string_view name;
  gguf_type type = gguf_type::f32;
  /// Extents, the one of neighbouring numbers last: the reverse of their order in the file.
  std::array<index, 4> extents = {1, 1, 1, 1};
  int rank = 0;  ///< extents that are used
  std::span<const std::byte> bytes;
  std::string_view file;   ///< its name, for errors
  std::uint64_t byte = 0;  ///< position of `bytes` in the file

  /// Refers to this object.
  [[nodiscard]] std::span<const index> shape() const noexcept {
    return {extents.data(), static_cast<std::size_t>(rank)};
  }
  /// The product of all extents but the last; 1 if there is one or none.
  [[nodiscard]] index rows() const noexcept {
    index product = 1;
    for (int i = 0; i + 1 < rank; ++i) product *= extents[static_cast<std::size_t>(i)];
    return product;
  }
  /// The last extent, of neighbouring numbers.
  [[nodiscard]] index cols() const noexcept {
    return rank == 0 ? 1 : extents[static_cast<std::size_t>(rank - 1)];
  }

  /// The numbers as a matrix of rows() x cols(), in the file.
  ///
  /// @throws fewbit::error if T is not the C++ type of `type`
  template <GgufNumber T>
  [[nodiscard]] file_matrix<T> matrix() const {
    detail::expect_little_endian_files("gguf_tensor::matrix");
    expect_type("matrix", detail::gguf_type_of_number<T>);
    return {bytes, rows(), cols()};
  }

  /// The blocks, row by row, in the file.
  ///
  /// @throws fewbit::error if B is not the block of `type`
  template <GgufBlock B>
  [[nodiscard]] std::span<const B> blocks() const {
    static_assert(alignof(B) == 1);
    expect_type("blocks", detail::gguf_type_of_block<B>);
    return {reinterpret_cast<const B*>(bytes.data()), bytes.size() / sizeof(B)};
  }

  /// The values as floats, rows() x cols(). F64 is rounded to nearest. Blocks are decoded as ggml
  /// does: each value is rounded once, where a minimum is added, and exact otherwise.
  ///
  /// @throws fewbit::error if the table above has no to_floats for `type`
  template <Executor E = inline_executor>
  [[nodiscard]] row_matrix<float> to_floats(const E& executor = {}) const {
    switch (type) {
      case gguf_type::f32:
        return matrix<float>();
      case gguf_type::f16:
        return matrix<Eigen::half>().template cast<float>();
      case gguf_type::bf16:
        return matrix<Eigen::bfloat16>().template cast<float>();
      case gguf_type::f64:
        return matrix<double>().template cast<float>();
      default:
        return decoded(executor);
    }
  }

 private:
  template <class E>
  [[nodiscard]] row_matrix<float> decoded(const E& executor) const {
    row_matrix<float> w;
    const bool is_known = detail::visit_block(detail::gguf_blocks(), type, [&](auto block) {
      using B = typename decltype(block)::type;
      w.resize(rows(), cols());
      if (bytes.empty()) return;
      const std::span<const B> all = blocks<B>();
      const index per_row = cols() / detail::weights_of_block<B>;
      executor.for_each(rows(), [&](index r) {
        dequantize_row(all.data() + r * per_row, per_row, w.data() + r * cols());
      });
    });
    if (!is_known) fail("to_floats", name_of(type), "a type that is decoded");
    return w;
  }

  void expect_type(const char* call, gguf_type want) const {
    if (type != want) fail(call, name_of(type), name_of(want));
  }

  [[noreturn]] void fail(const char* call, std::string_view got, std::string_view want) const {
    detail::fail_in_file((std::string("gguf_tensor::") + call).c_str(), "type",
                         {file, static_cast<std::int64_t>(byte), name}, std::string(got),
                         std::string(want));
  }
};

namespace detail {

/// Bytes of a tensor, or -1 if its blocks do not fill rows, -2 if they do not fit an index.
/// Extents of 0 do not hide an overflow of the others.
[[nodiscard]] inline index bytes_of_gguf_tensor(gguf_type type,
                                                std::span<const index> shape) noexcept {
  constexpr index most = std::numeric_limits<index>::max();
  const index last = shape.empty() ? 1 : shape.back();
  if (last % block_weights(type) != 0) return -1;
  bool is_empty = false;
  index weights = 1;
  for (const index extent : shape) {
    if (extent == 0) {
      is_empty = true;
    } else if (weights > most / extent) {
      return -2;
    } else {
      weights *= extent;
    }
  }
  if (is_empty) return 0;
  const index blocks = weights / block_weights(type);
  return blocks > most / block_bytes(type) ? -2 : blocks * block_bytes(type);
}

/// What the index of a file says about a tensor.
struct gguf_record {
  gguf_tensor tensor;        // without bytes
  std::uint64_t offset = 0;  // in the data
  std::uint64_t size = 0;    // bytes
};

/// The longest name of a tensor. The reference program has the same limit.
inline constexpr std::uint64_t longest_tensor_name = 63;
/// Fewest bytes of a tensor and of a value in the index.
inline constexpr std::uint64_t least_tensor_record = 8 + 4 + 4 + 8;
inline constexpr std::uint64_t least_value_record = 8 + 1 + 4 + 1;

/// Reads the record of a tensor and checks what it says by itself. Errors after it still name it.
[[nodiscard]] inline gguf_record read_gguf_record(gguf_cursor& in) {
  gguf_record record;
  gguf_tensor& t = record.tensor;
  in.name({}, {});
  t.name = in.read_text("length of the name of a tensor", longest_tensor_name);
  in.name("tensor", t.name);
  t.file = in.file();
  const auto rank = in.read<std::uint32_t>("number of extents");
  if (rank > t.extents.size()) in.fail("number of extents", std::to_string(rank), "0 to 4");
  t.rank = static_cast<int>(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const auto extent = in.read<std::uint64_t>("extent");
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<index>::max());
    if (extent > most) in.fail("extent", std::to_string(extent), "at most " + std::to_string(most));
    t.extents[rank - 1 - i] = static_cast<index>(extent);
  }
  const auto number = in.read<std::uint32_t>("type");
  t.type = static_cast<gguf_type>(number);
  if (row_of_type(t.type) == nullptr) in.fail("type", std::to_string(number), "a type of GGUF");
  const index size = bytes_of_gguf_tensor(t.type, t.shape());
  if (size < 0) {
    const std::string name(name_of(t.type));
    in.fail("shape", name + " " + text_of_shape(t.shape()),
            size == -2 ? "one of a size that fits memory"
                       : "rows of whole blocks of " + std::to_string(block_weights(t.type)));
  }
  record.size = static_cast<std::uint64_t>(size);
  record.offset = in.read<std::uint64_t>("offset");
  return record;
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
