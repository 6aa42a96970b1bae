#pragma once
/// The tensors and strings of a quantized matrix in a file: their names, types and shapes.
///
/// quantized.hpp has the table. Read next: quantized/matrix_reader.hpp.

#include "fewbit/begin.hpp"

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
#include "fewbit/core/index.hpp"
#include "fewbit/io/dtype.hpp"
#include "fewbit/io/scheme_text.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"
#include "fewbit/quant/two_scale_ternary.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

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

/// The largest rows * cols: the numbers of bits, bytes and groups then fit an index.
inline constexpr index most_codes = std::numeric_limits<index>::max() / 64;

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

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
