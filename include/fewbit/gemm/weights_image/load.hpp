#pragma once
/// Packed weights from an image of any instruction set: a view where the layout fits, packed anew
/// where it does not.
///
///     const auto loaded = load_weights<W>(image);
///     loaded.weights         // a view of the image, unless
///     loaded.is_repacked     // the codes were copied into the order of W
///
/// Read before: gemm/weights_image.hpp. Read next: gemm/weights_image/unpack.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/bit_planes/weights.hpp"
#include "fewbit/gemm/few_bits/grouped_weights.hpp"
#include "fewbit/gemm/few_bits/weights.hpp"
#include "fewbit/gemm/int8/weights.hpp"
#include "fewbit/gemm/lookup/weights.hpp"
#include "fewbit/gemm/weights_image/unpack.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// The k of images. Layers of windows add codes of 0 up to whole steps of their kernel, so that the
/// k of an image depends on its instruction set.
struct image_depth {
  index real = 0;  ///< codes that are not padding; 0: all of them
  index own = 0;   ///< codes of the weights that are wanted
};

template <class W>
struct loaded_weights {
  W weights;
  bool is_repacked = false;
};

namespace detail {

/// Packs the codes of an image for W.
template <class W>
struct repacked;

/// Codes with another number of columns of padding.
[[nodiscard]] inline row_matrix<std::int8_t> with_padding(row_matrix<std::int8_t> codes,
                                                          const image_depth& depth) {
  if (depth.real == 0 || codes.cols() == depth.own) return codes;
  row_matrix<std::int8_t> padded = row_matrix<std::int8_t>::Zero(codes.rows(), depth.own);
  padded.leftCols(depth.real) = codes.leftCols(depth.real);
  return padded;
}

inline void expect_form(const any_image& in, std::uint32_t form) {
  in.expect_range("form of the weights", in.header().form, form, form);
}

template <class Lhs, class Kernel>
struct repacked<int8_weights<Lhs, Kernel>> {
  static int8_weights<Lhs, Kernel> of(const any_image& in, const image_depth& depth) {
    expect_form(in, 1);
    const index block = in.parameter(0, "block_depth", 1, in.k());
    constexpr index most = Kernel::max_depth;
    in.expect_range("depth of a block", std::min(block, in.k()), 1, most);
    const auto codes = with_padding(int8_codes(in), depth);
    in.expect_range("depth of a block", std::min(block, codes.cols()), 1, most);
    return int8_weights<Lhs, Kernel>(codes, block < in.k() ? block : 0);
  }
};

template <int Bits, class Arch>
struct repacked<few_bit_weights<Bits, Arch>> {
  static few_bit_weights<Bits, Arch> of(const any_image& in, const image_depth& /*depth*/) {
    expect_form(in, 2);
    in.expect_range("depth", in.k(), 1, few_bit_weights<Bits, Arch>::max_depth);
    const auto zero = static_cast<int>(in.parameter(0, "zero_point", 0, 1 << Bits));
    return few_bit_weights<Bits, Arch>(few_bit_codes<Bits>(in), zero);
  }
};

template <int Bits, class Arch, bool HasMinimum>
struct repacked<grouped_weights<Bits, Arch, HasMinimum>> {
  using weights = grouped_weights<Bits, Arch, HasMinimum>;
  static weights of(const any_image& in, const image_depth& /*depth*/) {
    expect_form(in, 3);
    const grouped_parts parts = grouped_unpacker<Bits, HasMinimum>(in).parts();
    if constexpr (HasMinimum) {
      return weights(parts.codes, parts.group, parts.scales, parts.minima);
    } else {
      if (!parts.is_affine)
        return weights(parts.codes, parts.group, parts.scales, parts.zero_point);
      return weights(parts.codes, parts.group, parts.scales, parts.zero_points);
    }
  }
};

/// Planes and tables hold the same codes; an instruction set multiplies one or the other.
template <class W>
struct repacked_bits {
  static W of(const any_image& in, const image_depth& /*depth*/) {
    using format = typename W::rhs_format;
    in.expect_range("form of the weights", in.header().form, 4, 5);
    in.expect_range("depth", in.k(), 1, W::max_depth);
    return W(in.header().form == 4 ? plane_codes<format>(in) : table_codes<format>(in));
  }
};
template <class A, class F, class Unit>
struct repacked<plane_weights<A, F, Unit>> : repacked_bits<plane_weights<A, F, Unit>> {};
template <class A, class F, class Unit>
struct repacked<table_weights<A, F, Unit>> : repacked_bits<table_weights<A, F, Unit>> {};

}  // namespace detail

/// The codes of an image of int8_weights, n x k.
[[nodiscard]] inline row_matrix<std::int8_t> unpacked_codes(std::span<const std::byte> image) {
  const detail::any_image in(image, "unpacked_codes", nullptr);
  detail::expect_form(in, 1);
  return detail::int8_codes(in);
}

/// Weights of type W from an image that write_image() wrote, for the same codes and types on any
/// instruction set.
///
/// @param image     aligned to 64 bytes; it must outlive the weights
/// @param check     whether the checksum of the arrays is compared
/// @param function  the start of error sentences, or nullptr
/// @throws fewbit::error as W::view does. Another layout is an error only if it is none of this
///         library
template <class W>
[[nodiscard]] loaded_weights<W> load_weights(std::span<const std::byte> image,
                                             image_check check = image_check::contents,
                                             const char* function = nullptr,
                                             const image_depth& depth = {}) {
  detail::expect_little_endian("image", "view");
  const char* const name = function == nullptr ? "load_weights" : function;
  const detail::any_image in(image, name, name);
  const bool has_depth = depth.real == 0 || in.k() == depth.own;
  if (W::fits(in) && has_depth) return {W::view(image, check, function), false};
  constexpr index most_padding = 16;
  if (depth.real != 0)
    in.expect_range("number of columns", in.k(), depth.real, depth.real + most_padding);
  if (check == image_check::contents) in.expect_contents();
  return {detail::repacked<W>::of(in, depth), true};
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
