#pragma once
/// Quantized matrices in safetensors files: save, load, visit.
///
/// A program that reads a tensor of floats, quantizes it and writes it:
///
///     #include <fewbit/fewbit.hpp>
///     #include <fewbit/io/quantized.hpp>
///
///     int main() {
///       const fewbit::safetensors_file in("model.safetensors");
///       const auto w = in.at("w").matrix<float>();
///       fewbit::safetensors_writer out("model_int4.safetensors");
///       fewbit::save(out, "w", fewbit::quantize<fewbit::int4_grouped<32>>(w));
///       out.close();
///     }
///
/// A program that reads it:
///
///     const fewbit::safetensors_file file("model_int4.safetensors");
///     const auto q = fewbit::load<fewbit::int4_grouped<32>>(file, "w");
///     fewbit::linear<fewbit::int4_grouped<32>> layer(q);
///
/// What comes out equals what went in. Every program that reads safetensors can read the parts of
/// matrix `w`; examples/read_quantized.py does it with numpy.
///
/// | tensor             | type        | shape                                                        |
/// |--------------------|-------------|--------------------------------------------------------------|
/// | w                  | I8, U8, I16 | rows, cols: codes of 8 and 16 bits                           |
/// |                    | U8          | rows, bytes of a row: codes of fewer bits, low bits first    |
/// | w.scales           | F32         | per_tensor 1; per_row rows; per_col cols; grouped:G rows, ceil(cols / G); sub_tensor:G ceil(rows / G) |
/// | w.zero_points      | as codes    | as scales; affine. A zero point of fewer than 8 bits is a whole byte |
/// | w.minima           | F32         | as scales; real_minimum                                      |
/// | w.levels           | F32         | 2^B; codebook:B                                              |
/// | w.negative_scales  | F32         | rows; two_scales, whose w.scales belong to code 1            |
///
/// | key of __metadata__ | value                                                                   |
/// |---------------------|-------------------------------------------------------------------------|
/// | fewbit              | "1 low_bits_first": version of this layout, order of packed codes       |
/// | fewbit:w            | the scheme, rows and cols: "int4 grouped:32 symmetric real_scale nearest_even 64 100" |
///
/// Codes of b < 8 bits: code i of a row is in bits i*b to i*b + b - 1 of the row, counted from the
/// lowest bit of its first byte; two's complement if the storage is signed. The bit of a binary
/// code is 1 for -1. Unused bits at the end of a row are 0.
/// Read next: quantized/matrix_reader.hpp (find_stored), scheme_text.hpp, safetensors.hpp,
/// safetensors_writer.hpp.

#include "fewbit/begin.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/bits.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/index.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/quantized/matrix_reader.hpp"
#include "fewbit/io/quantized/parts.hpp"
#include "fewbit/io/safetensors.hpp"
#include "fewbit/io/safetensors_writer.hpp"
#include "fewbit/io/scheme_text.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"
#include "fewbit/quant/two_scale_ternary.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Declares the parts of a matrix and its strings, or checks that they are declared like that.
inline void declare_matrix(const char* function, safetensors_writer& out, const std::string& name,
                           const std::string& text, std::span<const stored_part> parts,
                           bool declares_parts) {
  const std::string key = scheme_key(name);
  if (const auto declared = out.metadata(key)) {
    if (*declared == text && !declares_parts) return;
    fail(function, "matrix " + name_text(name) + " in " + path_text(out.path()),
         declares_parts ? std::string("there already") : text,
         declares_parts ? "a new one" : std::string(*declared));
  }
  for (const stored_part& part : parts) {
    if (part.suffix == nullptr || !out.contains(name + part.suffix)) continue;
    fail(function, "tensor " + name_text(name + part.suffix) + " in " + path_text(out.path()),
         "there already", "a new one");
  }
  if (!out.metadata("fewbit")) out.set_metadata("fewbit", std::string(layout_text));
  out.set_metadata(key, text);
  if (!declares_parts) return;
  for (const stored_part& part : parts) {
    if (part.suffix != nullptr) out.declare(name + part.suffix, part.type, part.shape());
  }
}

/// Writes parts with their bytes.
inline void write_parts(safetensors_writer& out, const std::string& name, const std::string& text,
                        std::span<const stored_part> parts,
                        const std::array<std::span<const std::byte>, 3>& bytes) {
  declare_matrix("save", out, name, text, parts, false);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].suffix == nullptr) continue;
    out.write(name + parts[i].suffix, parts[i].type, parts[i].shape(), bytes[i]);
  }
}

template <class Q>
void expect_rows_and_columns(const char* function, const Q& q) {
  if (q.rows() < 1 || q.cols() < 1) {
    fail(function, "q", shape_text(q.rows(), q.cols()), "at least one row and one column");
  }
}

}  // namespace detail

/// Announces a matrix of S that save() writes later: its tensors are then not kept in memory.
///
/// @throws fewbit::error as safetensors_writer::declare, if an extent is less than 1, or if
///         rows * cols exceeds 2^57
template <StoredScheme S>
void declare(safetensors_writer& out, const std::string& name, index rows, index cols) {
  if (rows < 1 || cols < 1 || rows > detail::most_codes / cols) {
    detail::fail("declare", "shape of matrix " + detail::name_text(name),
                 detail::shape_text(rows, cols),
                 "at least one row and one column, of a size that fits memory");
  }
  detail::declare_matrix("declare", out, name, detail::matrix_text(scheme_text<S>(), rows, cols),
                         detail::parts_of(detail::form_of<S>, rows, cols), true);
}

/// Writes a quantized matrix. If it was not declared, its tensors are kept in memory until the
/// header is written, as safetensors_writer::write says.
///
/// @throws fewbit::error if there is a tensor of one of its names, if it was declared with another
///         scheme or shape, if it has no elements, or if writing fails
template <Scheme S>
void save(safetensors_writer& out, const std::string& name, const quantized_matrix<S>& q) {
  detail::expect_rows_and_columns("save", q);
  std::span<const std::byte> third;
  if constexpr (S::is_affine) third = std::as_bytes(q.zero_points());
  if constexpr (S::has_minimum) third = std::as_bytes(q.minima());
  if constexpr (CodebookScheme<S>) third = std::as_bytes(q.levels());
  detail::write_parts(out, name, detail::matrix_text(scheme_text<S>(), q.rows(), q.cols()),
                      detail::parts_of(detail::form_of<S>, q.rows(), q.cols()),
                      {std::as_bytes(q.bytes()), std::as_bytes(q.scales()), third});
}

/// The same for ternary codes with two scales.
inline void save(safetensors_writer& out, const std::string& name, const two_scale_ternary& q) {
  detail::expect_rows_and_columns("save", q);
  const index row_bytes = packed_bytes<ternary::bits>(q.cols());
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(q.rows() * row_bytes));
  std::vector<std::int8_t> codes(static_cast<std::size_t>(q.cols()));
  std::vector<float> positive, negative;
  for (index r = 0; r < q.rows(); ++r) {
    q.unpack_row(r, codes.data());
    detail::pack_codes<ternary>(codes.data(), q.cols(), bytes.data() + r * row_bytes);
    positive.push_back(q.positive_scale(r));
    negative.push_back(q.negative_scale(r));
  }
  detail::write_parts(out, name,
                      detail::matrix_text(scheme_text<two_scale_ternary>(), q.rows(), q.cols()),
                      detail::parts_of(detail::form_of<two_scale_ternary>, q.rows(), q.cols()),
                      {std::as_bytes(std::span(bytes)), std::as_bytes(std::span(positive)),
                       std::as_bytes(std::span(negative))});
}

namespace detail {

/// Reads the codes, scales and so on of a matrix; the scheme in its string was checked.
template <Scheme S>
[[nodiscard]] quantized_matrix<S> read_matrix(const matrix_reader& in,
                                              std::span<const stored_part> parts) {
  using access = quantized_matrix_access;
  constexpr const stored_form& form = form_of<S>;
  const auto codes = in.codes<typename S::storage>(parts[0], form);
  auto q = access::make<S>(in.stored().rows, in.stored().cols);
  std::memcpy(access::row(q, 0), codes.bytes.data(), codes.bytes.size());
  std::vector<float> scales = in.scales(parts[1], form);
  if constexpr (CodebookScheme<S>) {
    access::set_levels(q, std::move(scales), in.levels(parts[2]));
  } else {
    std::vector<typename S::code> zero_points;
    if constexpr (S::is_affine) zero_points = in.zero_points<typename S::code>(parts[2], form);
    access::set_params(q, std::move(scales), std::move(zero_points));
    if constexpr (S::has_minimum) access::set_minima(q, in.minima(parts[2]));
  }
  return q;
}

}  // namespace detail

/// Reads the quantized matrix `name`. It equals the matrix that was saved.
///
/// @throws fewbit::error if the file has no such matrix, if its scheme is not S, or if a part is
///         missing, has another type or shape, or a number that S does not allow
template <StoredScheme S>
[[nodiscard]] quantized<S> load(const safetensors_file& file, std::string_view name) {
  detail::expect_little_endian_files("load");
  const detail::matrix_reader in(file, name);
  in.expect_scheme(scheme_text<S>());
  const auto parts = detail::parts_of(detail::form_of<S>, in.stored().rows, in.stored().cols);
  if constexpr (Scheme<S>) {
    return detail::read_matrix<S>(in, parts);
  } else {
    const auto q = detail::read_matrix<ternary_per_row>(in, parts);
    return {q.codes(), q.scales(), in.scales(parts[2], detail::form_of<S>)};
  }
}

/// A list of schemes.
template <StoredScheme... S>
struct scheme_list {};

/// The schemes that visit() knows if it is given no other list.
using known_schemes = scheme_list<
    int8_per_tensor, int8_per_row, int8_per_col, int8_grouped<32>, int8_grouped<64>,
    int8_grouped<128>, int8_power_of_two, int8_affine, int8_affine_per_row, uint8_affine,
    uint8_affine_per_row, int16_per_tensor, int16_per_row, int4_per_row, int4_grouped<32>,
    int4_grouped<64>, int4_grouped<128>, uint4_grouped<32>, uint4_grouped<64>, uint4_grouped<128>,
    uint4_grouped_minimum<32>, uint4_grouped_minimum<64>, uint4_grouped_minimum<128>, int3_per_row,
    int3_grouped<32>, int3_grouped<64>, int3_grouped<128>, int2_per_row, int2_grouped<32>,
    int2_grouped<64>, int2_grouped<128>, ternary_per_row, ternary_grouped<32>, ternary_grouped<64>,
    ternary_grouped<128>, binary_per_row, binary_grouped<32>, binary_grouped<64>,
    binary_grouped<128>, codebook_per_row<2>, codebook_per_row<3>, codebook_per_row<4>,
    codebook_per_row<8>, codebook_grouped<4, 32>, codebook_grouped<4, 64>, codebook_grouped<4, 128>,
    two_scale_ternary>;

namespace detail {

template <class S, class... Rest, class F>
decltype(auto) visit_stored(scheme_list<S, Rest...> /*schemes*/, const safetensors_file& file,
                            std::string_view name, std::string_view scheme, F&& f) {
  if (scheme == scheme_text<S>()) return std::forward<F>(f)(load<S>(file, name));
  if constexpr (sizeof...(Rest) > 0) {
    return visit_stored(scheme_list<Rest...>(), file, name, scheme, std::forward<F>(f));
  } else {
    fail_in_file("visit", "scheme", {file.name(), -1, name}, name_text(scheme),
                 "a scheme of the list");
  }
}

}  // namespace detail

/// Reads a matrix whose scheme is known at run time alone, and calls f with it. Each scheme of the
/// list compiles one call of f; name the few that a program needs to compile less.
///
///     visit(file, "w", [&](const auto& q) { w_hat = dequantize(q); });
///     visit<scheme_list<int8_per_row, int4_grouped<32>>>(file, "w", f);
///
/// @return what f returns; it has the same type for every scheme
/// @throws fewbit::error as load(), or if the scheme is none of the list
template <class List = known_schemes, class F>
decltype(auto) visit(const safetensors_file& file, std::string_view name, F&& f) {
  const detail::matrix_reader in(file, name);
  return detail::visit_stored(List(), file, name, in.stored().scheme, std::forward<F>(f));
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
