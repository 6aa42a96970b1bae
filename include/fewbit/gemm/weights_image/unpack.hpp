#pragma once
/// Codes of images that another instruction set wrote.
///
/// The layout of an image is a few numbers in its header (gemm/weights_image.hpp). With them the
/// codes are found without the kernels of that instruction set, so that a program can pack them in
/// the order of its own. Scales, zero points and minima come with the codes. Read next:
/// gemm/weights_image/load.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "fewbit/arch/stored_unit.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/bit_planes/formats.hpp"
#include "fewbit/gemm/bit_planes/lhs.hpp"
#include "fewbit/gemm/bit_planes/parities.hpp"
#include "fewbit/gemm/few_bits/grouped_weights.hpp"
#include "fewbit/gemm/int8/kernel.hpp"
#include "fewbit/gemm/lookup/weights.hpp"
#include "fewbit/gemm/weights_image.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm { namespace detail {

/// Number i of the layout of an image.
/// @throws fewbit::error unless it is least .. most
[[nodiscard]] inline index layout_number(const any_image& in, std::size_t i, const char* name,
                                         index least, index most) {
  in.expect_range(name, in.header().layout[i], least, most);
  return in.header().layout[i];
}

/// Fails unless the arrays have `bytes` bytes or more.
inline void expect_array(const any_image& in, index bytes) {
  const auto size = static_cast<index>(in.arrays().size());
  if (size < bytes)
    in.fail("number of bytes of the arrays", size, "at least " + std::to_string(bytes));
}

[[nodiscard]] inline const std::uint8_t* first_byte(const any_image& in) noexcept {
  return reinterpret_cast<const std::uint8_t*>(in.arrays().data());
}

/// The most columns of a panel of any instruction set.
inline constexpr index most_panel_cols = 255;

/// n columns in panels of `wide` columns, then in panels of `narrow` columns (panel_layout).
struct any_panels {
  index n, wide, narrow, padded, wide_cols;

  any_panels(index count, index cols, index narrow_cols, bool has_proofs) noexcept
      : n(count), wide(cols), narrow(narrow_cols) {
    const auto to_whole = [count](index c) { return (count + c - 1) / c * c; };
    const index registers = to_whole(narrow), tiles = to_whole(wide);
    padded = has_proofs && tiles - registers <= n / 32 ? tiles : registers;
    wide_cols = padded / wide * wide;
  }
  [[nodiscard]] index first_of(index j) const noexcept {
    return j < wide_cols ? j / wide * wide : wide_cols + (j - wide_cols) / narrow * narrow;
  }
  [[nodiscard]] index cols_at(index first) const noexcept {
    return first < wide_cols ? wide : narrow;
  }
};

/// The codes of int8_weights of any kernel.
[[nodiscard]] inline row_matrix<std::int8_t> int8_codes(const any_image& in) {
  const index wide = layout_number(in, 0, "number of columns of a panel", 1, most_panel_cols);
  const index narrow = layout_number(in, 1, "number of columns of a narrow panel", 1, wide);
  const index depth = layout_number(in, 2, "number of codes of a step", 1, 16);
  const index size = layout_number(in, 3, "number of bytes of a code", 1, 2);
  if (wide % narrow != 0) in.fail("number of columns of a panel", wide, "whole narrow panels");
  const index block_depth = in.parameter(0, "block_depth", 1, in.k());
  const any_panels panels(in.n(), wide, narrow, in.header().layout[5] != 0);
  const index blocks = (in.k() + block_depth - 1) / block_depth;
  const index padded_block = (block_depth + depth - 1) / depth * depth;
  const index last = in.k() - (blocks - 1) * block_depth;
  const index padded = (blocks - 1) * padded_block + (last + depth - 1) / depth * depth;
  expect_array(in, panels.padded * padded * size);
  const std::uint8_t* bytes = first_byte(in);
  row_matrix<std::int8_t> codes(in.n(), in.k());
  for (index j = 0; j < in.n(); ++j) {
    const index first = panels.first_of(j), width = panels.cols_at(first);
    for (index i = 0; i < in.k(); ++i) {
      const index block = i / block_depth, rest = i % block_depth;
      const index at = first * padded + block * padded_block * width +
                       (rest / depth * width + (j - first)) * depth + rest % depth;
      codes(j, i) = static_cast<std::int8_t>(bytes[at * size]);  // the low byte comes first
    }
  }
  return codes;
}

/// The codes of few_bit_weights of any instruction set, minus their zero point.
template <int Bits>
[[nodiscard]] row_matrix<std::int8_t> few_bit_codes(const any_image& in) {
  using layout = arch::stored_layout<Bits>;
  constexpr index chunk_codes = index{4} * layout::steps;
  in.expect_range("number of bits of a weight", in.header().layout[0], Bits, Bits);
  const index cols =
      layout_number(in, 1, "number of columns of a stored panel", 1, most_panel_cols);
  const auto zero = static_cast<int>(in.parameter(0, "zero_point", 0, 1 << Bits));
  const index chunk_bytes = 4 * cols * layout::registers;
  const index panel_bytes = (in.k() + chunk_codes - 1) / chunk_codes * chunk_bytes;
  expect_array(in, (in.n() + cols - 1) / cols * panel_bytes);
  row_matrix<std::int8_t> codes(in.n(), in.k());
  for (index j = 0; j < in.n(); ++j) {
    const std::uint8_t* panel = first_byte(in) + j / cols * panel_bytes;
    for (index i = 0; i < in.k(); ++i) {
      const int value = layout::get(
          panel + i / chunk_codes * chunk_bytes, static_cast<int>(4 * cols),
          static_cast<int>(i % chunk_codes / 4), static_cast<int>(j % cols * 4 + i % 4));
      codes(j, i) = static_cast<std::int8_t>(value - zero);
    }
  }
  return codes;
}

/// What grouped_weights are packed from.
struct grouped_parts {
  row_matrix<std::uint8_t> codes;
  index group = 0;
  bool is_affine = false;
  int zero_point = 0;
  std::vector<float> scales;
  std::vector<std::uint8_t> zero_points;
  std::vector<float> minima;
};

/// Reads the groups of grouped_weights of any instruction set.
template <int Bits, bool HasMinimum>
class grouped_unpacker {
  using layout = arch::stored_layout<Bits>;
  using weights = grouped_weights<Bits, arch::native, HasMinimum>;
  static constexpr index chunk_codes = index{4} * layout::steps;

 public:
  explicit grouped_unpacker(const any_image& in) : in_(in) {
    in.expect_range("number of bits of a weight", in.header().layout[0], Bits, Bits);
    in.expect_range("number of minima of a group", in.header().layout[3], HasMinimum, HasMinimum);
    cols_ = layout_number(in, 1, "number of columns of a panel", 1, most_panel_cols);
    offset_ = static_cast<int>(layout_number(in, 2, "offset of stored codes", 0, 128));
    // Offsets of groups then fit an index.
    constexpr index most_group = std::numeric_limits<index>::max() / 1024;
    group_ = in.parameter(0, "group", 1, std::max(most_group, in.k()));
    in.expect_range("depth of a group", std::min(group_, in.k()), 1, weights::max_depth);
    is_affine_ = in.parameter(1, "flag of zero points for each group", 0, HasMinimum ? 0 : 1) != 0;
    zero_ = static_cast<int>(in.parameter(2, "zero_point", 0, weights::largest_value + 1));
    is_wide_ = in.parameter(3, "flag of wide scales", 0, 1) != 0;
    scales_ = short_scales::with_base(static_cast<std::uint32_t>(
        in.parameter(4, "base of the scales", 0, index{short_scales::largest_base})));
    groups_ = in.k() / group_ + (in.k() % group_ == 0 ? 0 : 1);
    rest_begin_ = cols_ * (is_affine_ ? 3 : 2);
    minimum_begin_ = rest_begin_ + (is_wide_ ? cols_ * 2 : 0);
    tail_ = minimum_begin_ + (HasMinimum ? cols_ * 4 : 0);
    chunk_bytes_ = 4 * cols_ * layout::registers;
    const index last = in.k() - (groups_ - 1) * group_;
    panel_bytes_ = ((groups_ - 1) * chunks(group_) + chunks(last)) * chunk_bytes_ + groups_ * tail_;
    expect_array(in, (in.n() + cols_ - 1) / cols_ * panel_bytes_);
  }

  [[nodiscard]] grouped_parts parts() const {
    grouped_parts made{
        row_matrix<std::uint8_t>(in_.n(), in_.k()), group_, is_affine_, zero_, {}, {}, {}};
    for (index j = 0; j < in_.n(); ++j) {
      for (index g = 0; g < groups_; ++g) read_group(j, g, made);
    }
    return made;
  }

 private:
  [[nodiscard]] static index chunks(index depth) noexcept {
    return (depth + chunk_codes - 1) / chunk_codes;
  }

  template <class T>
  [[nodiscard]] static T number_at(const std::uint8_t* from) noexcept {
    T value;
    std::memcpy(&value, from, sizeof(value));
    return value;
  }

  void read_group(index j, index g, grouped_parts& to) const {
    const index depth = std::min(group_, in_.k() - g * group_), column = j % cols_;
    const std::uint8_t* begin =
        first_byte(in_) + j / cols_ * panel_bytes_ + g * (chunks(group_) * chunk_bytes_ + tail_);
    for (index i = 0; i < depth; ++i) {
      const int value =
          layout::get(begin + i / chunk_codes * chunk_bytes_, static_cast<int>(4 * cols_),
                      static_cast<int>(i % chunk_codes / 4), static_cast<int>(column * 4 + i % 4));
      to.codes(j, g * group_ + i) =
          static_cast<std::uint8_t>(Bits == 1 ? value / 2 : value + offset_);
    }
    const std::uint8_t* tail = begin + chunks(depth) * chunk_bytes_;
    const auto upper = number_at<std::uint16_t>(tail + 2 * column);
    float scale = scales_.decode(upper);
    if (is_wide_) {
      const auto lower = number_at<std::uint16_t>(tail + rest_begin_ + 2 * column);
      scale = std::bit_cast<float>(std::uint32_t{upper} << 16 | lower);
    }
    if (!(scale >= 0.0F) || !fewbit::detail::is_finite(scale)) {
      in_.fail("scale of row " + std::to_string(j) + " and group " + std::to_string(g), scale,
               "a finite number of at least 0");
    }
    to.scales.push_back(scale);
    if (is_affine_) to.zero_points.push_back(tail[2 * cols_ + column]);
    if constexpr (HasMinimum) {
      to.minima.push_back(number_at<float>(tail + minimum_begin_ + 4 * column));
      if (!fewbit::detail::is_finite(to.minima.back())) {
        in_.fail("minimum of row " + std::to_string(j) + " and group " + std::to_string(g),
                 to.minima.back(), "a finite number");
      }
    }
  }

  const any_image& in_;
  index cols_, group_, groups_, rest_begin_, minimum_begin_, tail_, chunk_bytes_, panel_bytes_;
  int offset_, zero_;
  bool is_affine_, is_wide_;
  short_scales scales_;
};

/// The code of format F whose planes are `bits`.
template <BitFormat F>
[[nodiscard]] typename F::code code_of_planes(unsigned bits) noexcept {
  int code = 0;
  if constexpr (TwosComplement<F>) {
    constexpr unsigned top = 1U << (F::planes - 1);
    code = static_cast<int>(bits) -
           (F::is_signed && (bits & top) != 0 ? static_cast<int>(2 * top) : 0);
  } else {
    code = F::largest - 2 * static_cast<int>(bits);
  }
  return static_cast<typename F::code>(code);
}

/// Fails unless planes have the meaning of format F.
template <BitFormat F>
void expect_format(const any_image& in) {
  in.expect_range("number of planes of a weight", in.header().layout[0], F::planes, F::planes);
  in.expect_range("largest magnitude of a weight", in.header().layout[1], F::largest, F::largest);
  in.expect_range("number of the code of the format", in.header().layout[2], number_of_format<F>,
                  number_of_format<F>);
}

/// The codes of plane_weights of any instruction set.
template <BitFormat F>
[[nodiscard]] row_matrix<typename F::code> plane_codes(const any_image& in) {
  expect_format<F>(in);
  const index lanes = layout_number(in, 3, "number of columns of a register", 1, 64);
  const index registers = layout_number(in, 4, "number of registers of a panel", 1, 64);
  const index least = layout_number(in, 5, "least number of words that are stored as parities", 0,
                                    std::numeric_limits<std::int32_t>::max());
  const any_panels panels(in.n(), lanes * registers, lanes, false);
  const index words = words_of(in.k());
  const index parities = least == 0 || words < std::max(least, words_of_start)
                             ? 0
                             : words - (words - words_of_start) % words_of_step;
  expect_array(in, panels.padded * F::planes * words * 8);
  row_matrix<typename F::code> codes(in.n(), in.k());
  std::vector<std::uint64_t> plane(static_cast<std::size_t>(F::planes * words));
  for (index j = 0; j < in.n(); ++j) {
    const index first = panels.first_of(j), width = panels.cols_at(first);
    for (int p = 0; p < F::planes; ++p) {
      std::uint64_t before = 0;
      for (index i = 0; i < words; ++i) {
        std::uint64_t word;
        const index at = (first * F::planes + p * width) * words + i * width + (j - first);
        std::memcpy(&word, first_byte(in) + 8 * at, sizeof(word));
        plane[static_cast<std::size_t>(p * words + i)] = i < parities ? word ^ before : word;
        before = word;
      }
    }
    for (index i = 0; i < in.k(); ++i) {
      unsigned bits = 0;
      for (int p = 0; p < F::planes; ++p) {
        const std::uint64_t word = plane[static_cast<std::size_t>(p * words + i / word_bits)];
        bits |= static_cast<unsigned>(word >> (i % word_bits) & 1U) << p;
      }
      codes(j, i) = code_of_planes<F>(bits);
    }
  }
  return codes;
}

/// The codes of table_weights of any instruction set.
template <BitFormat F>
[[nodiscard]] row_matrix<typename F::code> table_codes(const any_image& in) {
  expect_format<F>(in);
  const index lanes = layout_number(in, 3, "number of columns of a panel", 2, 128);
  const index block = layout_number(in, 4, "number of bytes of k of a block", 1, 1 << 20);
  const index panels = (in.n() + lanes - 1) / lanes;
  const index bytes = (in.k() + codes_of_byte - 1) / codes_of_byte;
  expect_array(in, panels * lanes * F::planes * bytes);
  row_matrix<typename F::code> codes(in.n(), in.k());
  const index half = std::max(lanes / 2, index{1});
  for (index j = 0; j < in.n(); ++j) {
    const index column = j % lanes, lane = column % half * 2 + column / half;
    for (index i = 0; i < in.k(); ++i) {
      const index byte = i / codes_of_byte, first = byte / block * block;
      const index depth = std::min(block, bytes - first);
      const std::uint8_t* at =
          first_byte(in) + (first * panels + j / lanes * depth) * F::planes * lanes;
      unsigned bits = 0;
      for (int p = 0; p < F::planes; ++p) {
        const unsigned of_plane = at[(p * depth + (byte - first)) * lanes + lane];
        bits |= (of_plane >> (i % codes_of_byte) & 1U) << p;
      }
      codes(j, i) = code_of_planes<F>(bits);
    }
  }
  return codes;
}

}}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
