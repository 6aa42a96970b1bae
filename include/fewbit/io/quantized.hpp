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
/// Read next: scheme_text.hpp, safetensors.hpp, safetensors_writer.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/bits.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/io/dtype.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/safetensors.hpp"
#include "fewbit/io/safetensors_writer.hpp"
#include "fewbit/io/scheme_text.hpp"
#include "fewbit/io/tensor_view.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"
#include "fewbit/quant/two_scale_ternary.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The value of the key "fewbit".
inline constexpr std::string_view layout_text = "1 low_bits_first";

[[nodiscard]] inline std::string scheme_key(std::string_view name) {
  return "fewbit:" + std::string(name);
}

/// A tensor of a quantized matrix. Absent ones have no suffix; the codes have an empty one.
struct stored_part {
  const char* suffix = nullptr;
  dtype type = dtype::f32;
  std::array<index, 2> extents = {};
  std::size_t rank = 0;

  [[nodiscard]] std::span<const index> shape() const noexcept { return {extents.data(), rank}; }
};

/// What the parts of a matrix are beside its codes and scales.
enum class third_part : std::uint8_t { none, zero_points, minima, levels, negative_scales };

/// How the matrices of a scheme are stored: what its readers and writers need, without its type.
struct stored_form {
  int bits;          // of a code
  dtype code;        // of an unpacked code
  bool is_codebook;  // its codes are packed, also those of 8 bits
  int code_min;      // as the scheme
  int code_max;
  bool may_scale_be_zero;
  bool is_power_of_two;
  third_part third;
  bool has_columns;  // scales are a matrix with a row for each row
  index (*scales)(index rows, index cols);
};

template <Scheme S>
[[nodiscard]] constexpr stored_form make_form() noexcept {
  using storage = typename S::storage;
  using granularity = typename S::granularity;
  return {.bits = storage::bits,
          .code = dtype_of<typename storage::code>,
          .is_codebook = CodebookStorage<storage>,
          .code_min = S::code_min,
          .code_max = S::code_max,
          .may_scale_be_zero = may_lack_zero<storage> || S::has_minimum,
          .is_power_of_two = std::is_same_v<typename S::scale, power_of_two>,
          .third = S::is_affine        ? third_part::zero_points
                   : S::has_minimum    ? third_part::minima
                   : CodebookScheme<S> ? third_part::levels
                                       : third_part::none,
          .has_columns = group_size<granularity> > 0 && is_within_row<granularity>,
          .scales = &granularity::count};
}

/// two_scale_ternary.
template <std::same_as<two_scale_ternary> S>
[[nodiscard]] constexpr stored_form make_form() noexcept {
  stored_form form = make_form<ternary_per_row>();
  form.third = third_part::negative_scales;
  return form;
}

template <StoredScheme S>
inline constexpr stored_form form_of = make_form<S>();

/// Bytes of a row of packed codes, as packed_bytes<Bits>.
[[nodiscard]] constexpr index packed_row_bytes(int bits, index cols) noexcept {
  return cols / 8 * bits + (cols % 8 * bits + 7) / 8;
}

/// The tensors of a rows x cols matrix: codes, scales, and one or none of a third kind.
[[nodiscard]] inline std::array<stored_part, 3> parts_of(const stored_form& form, index rows,
                                                         index cols) {
  const bool is_whole = form.bits >= 8 && !form.is_codebook;
  const index count = form.scales(rows, cols);
  stored_part scales{".scales", dtype::f32, {count, 0}, 1};
  if (form.has_columns) scales = {".scales", dtype::f32, {rows, count / rows}, 2};
  stored_part third = scales;
  switch (form.third) {
    case third_part::none:
      third = {};
      break;
    case third_part::zero_points:
      third.suffix = ".zero_points";
      third.type = form.code;
      break;
    case third_part::minima:
      third.suffix = ".minima";
      break;
    case third_part::levels:
      third = {".levels", dtype::f32, {index{1} << form.bits, 0}, 1};
      break;
    case third_part::negative_scales:
      third.suffix = ".negative_scales";
      break;
  }
  const index row = is_whole ? cols : packed_row_bytes(form.bits, cols);
  return {{{"", is_whole ? form.code : dtype::u8, {rows, row}, 2}, scales, third}};
}

/// "<scheme> <rows> <cols>".
[[nodiscard]] inline std::string matrix_text(const std::string& scheme, index rows, index cols) {
  return scheme + " " + std::to_string(rows) + " " + std::to_string(cols);
}

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
/// @throws fewbit::error as safetensors_writer::declare, or if an extent is less than 1
template <StoredScheme S>
void declare(safetensors_writer& out, const std::string& name, index rows, index cols) {
  if (rows < 1 || cols < 1) {
    detail::fail("declare", "shape of matrix " + detail::name_text(name),
                 detail::shape_text(rows, cols), "at least one row and one column");
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

/// What a file says about a quantized matrix. Refers to the file.
struct stored_matrix {
  std::string_view scheme;  ///< as scheme_text()
  index rows = 0;
  index cols = 0;
};

/// The scheme and shape of matrix `name`, or nothing if the file has no quantized matrix of that
/// name. Its tensors are not checked.
///
/// @throws fewbit::error if its string is malformed or the layout of the file has another version
[[nodiscard]] inline std::optional<stored_matrix> find_stored(const safetensors_file& file,
                                                              std::string_view name) {
  const auto text = file.metadata(detail::scheme_key(name));
  if (!text) return std::nullopt;
  const auto layout = file.metadata("fewbit");
  if (layout != detail::layout_text) {
    detail::fail_in_file("find_stored", "string 'fewbit' of __metadata__", {file.name()},
                         layout ? detail::name_text(*layout) : "missing",
                         detail::name_text(detail::layout_text));
  }
  // Limits each extent so that the number of bits and groups of a row fit an index.
  constexpr index most = std::numeric_limits<index>::max() / 64;
  stored_matrix result{*text, 0, 0};
  bool is_good = true;
  for (index* const extent : {&result.cols, &result.rows}) {
    const auto space = std::min(result.scheme.rfind(' '), result.scheme.size());
    const std::string_view digits = result.scheme.substr(std::min(space + 1, result.scheme.size()));
    const auto [end, problem] =
        std::from_chars(digits.data(), digits.data() + digits.size(), *extent);
    is_good = is_good && problem == std::errc() && end == digits.data() + digits.size() &&
              *extent >= 1 && *extent <= most;
    result.scheme = result.scheme.substr(0, space);
  }
  if (!is_good) {
    detail::fail_in_file("find_stored", "string of the matrix", {file.name(), -1, name},
                         detail::name_text(*text), "a scheme, rows and columns");
  }
  return result;
}

namespace detail {

/// Reads the parts of one matrix and checks them. Each error names the file, tensor and byte.
class matrix_reader {
 public:
  matrix_reader(const safetensors_file& file, std::string_view name) : file_(file), name_(name) {
    const auto found = find_stored(file, name);
    if (!found) {
      fail_in_file("load", "string " + name_text(scheme_key(name)) + " of __metadata__",
                   {file.name()}, "missing", "the scheme of a quantized matrix");
    }
    stored_ = *found;
  }

  [[nodiscard]] const stored_matrix& stored() const noexcept { return stored_; }

  void expect_scheme(const std::string& scheme) const {
    if (stored_.scheme == scheme) return;
    fail_in_file("load", "scheme", {file_.name(), -1, name_}, name_text(stored_.scheme),
                 name_text(scheme));
  }

  /// The tensor of a part, with its type and shape checked.
  [[nodiscard]] tensor_view tensor(const stored_part& part) const {
    const std::string name = std::string(name_) + part.suffix;
    const auto found = file_.find(name);
    if (!found) {
      fail_in_file("load", "tensor " + name_text(name), {file_.name()}, "missing",
                   "a part of the quantized matrix");
    }
    const auto text = [](dtype type, std::span<const index> shape) {
      return std::string(name_of(type)) + " " + text_of_shape(shape);
    };
    if (found->type != part.type || !std::ranges::equal(found->shape, part.shape())) {
      fail_at(*found, "type and shape", text(found->type, found->shape),
              text(part.type, part.shape()));
    }
    return *found;
  }

  template <class T>
  [[nodiscard]] static std::vector<T> numbers(const tensor_view& tensor) {
    std::vector<T> result(tensor.bytes.size() / sizeof(T));
    std::memcpy(result.data(), tensor.bytes.data(), tensor.bytes.size());
    return result;
  }

  [[nodiscard]] std::vector<float> scales(const stored_part& part, const stored_form& form) const {
    const tensor_view from = tensor(part);
    std::vector<float> result = numbers<float>(from);
    for (std::size_t i = 0; i < result.size(); ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(result[i]);
      const bool is_zero = form.may_scale_be_zero && bits == 0;
      const bool is_good = is_finite(result[i]) && result[i] >= min_scale;
      if (!is_good && !is_zero)
        fail_at(from, item("scales", i), result[i], "a scale, at least 2^-126");
      if (is_good && form.is_power_of_two && (bits & 0x007FFFFFU) != 0) {
        fail_at(from, item("scales", i), result[i], "a power of two");
      }
    }
    return result;
  }

  template <class Code>
  [[nodiscard]] std::vector<Code> zero_points(const stored_part& part,
                                              const stored_form& form) const {
    const tensor_view from = tensor(part);
    auto result = numbers<Code>(from);
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (result[i] >= form.code_min && result[i] <= form.code_max) continue;
      fail_at(from, item("zero_points", i), int{result[i]}, interval(form.code_min, form.code_max));
    }
    return result;
  }

  [[nodiscard]] std::vector<float> minima(const stored_part& part) const {
    const tensor_view from = tensor(part);
    std::vector<float> result = numbers<float>(from);
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (!is_finite(result[i])) fail_at(from, item("minima", i), result[i], "a finite number");
    }
    return result;
  }

  [[nodiscard]] std::vector<float> levels(const stored_part& part) const {
    const tensor_view from = tensor(part);
    std::vector<float> result = numbers<float>(from);
    float last = -1.0F;
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (!(result[i] >= last && result[i] <= 1.0F)) {
        fail_at(from, item("levels", i), result[i], text(last) + " to 1");
      }
      last = result[i];
    }
    return result;
  }

  /// The packed codes, each of them checked.
  template <Storage St>
  [[nodiscard]] tensor_view codes(const stored_part& part, const stored_form& form) const {
    const tensor_view from = tensor(part);
    const auto* row = reinterpret_cast<const std::uint8_t*>(from.bytes.data());
    for (index r = 0; r < stored_.rows; ++r, row += packed_bytes<St::bits>(stored_.cols)) {
      expect_codes<St>(from, row, r, form);
      expect_padding(from, row, r, St::bits);
    }
    return from;
  }

 private:
  template <Storage St>
  void expect_codes(const tensor_view& from, const std::uint8_t* row, index r,
                    const stored_form& form) const {
    constexpr int lowest = St::is_signed ? -(1 << (St::bits - 1)) : 0;
    constexpr int highest = lowest + (1 << St::bits) - 1;
    if (std::is_same_v<St, binary> || (form.code_min == lowest && form.code_max == highest)) return;
    constexpr index chunk = 1024;  // codes; whole bytes
    typename St::code codes[chunk];
    for (index first = 0; first < stored_.cols; first += chunk) {
      const index count = std::min(chunk, stored_.cols - first);
      unpack_codes<St>(row + packed_bytes<St::bits>(first), count, codes);
      for (index i = 0; i < count; ++i) {
        if (codes[i] >= form.code_min && codes[i] <= form.code_max) continue;
        fail_at(from, element("code", r, first + i), int{codes[i]},
                interval(form.code_min, form.code_max));
      }
    }
  }

  void expect_padding(const tensor_view& from, const std::uint8_t* row, index r, int bits) const {
    const auto used = static_cast<int>(stored_.cols % 8 * bits % 8);
    if (used == 0) return;
    const int rest = row[packed_row_bytes(bits, stored_.cols) - 1] >> used;
    if (rest != 0) fail_at(from, "unused bits of row " + std::to_string(r), rest, "0");
  }

  [[nodiscard]] static std::string item(const char* name, std::size_t i) {
    return detail::item(name, static_cast<index>(i));
  }

  template <class Got>
  [[noreturn]] static void fail_at(const tensor_view& from, std::string_view what, const Got& got,
                                   const std::string& want) {
    fail_in_file("load", what, {from.file, static_cast<std::int64_t>(from.byte), from.name}, got,
                 want);
  }

  const safetensors_file& file_;
  std::string_view name_;
  stored_matrix stored_;
};

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
