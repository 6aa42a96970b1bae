#pragma once
/// The layout of AWQ checkpoints, version "gemm" (AutoAWQ and programs that read its files).
///
///     const auto q = to_quantized<uint4_grouped<128>>(from_awq(tensors));
///
/// | tensor  | elements             | content                                              |
/// |---------|----------------------|------------------------------------------------------|
/// | qweight | k rows of n / 8      | 4-bit codes of one input, in the order of code_words.hpp |
/// | qzeros  | groups rows of n / 8 | zero points of a group, in the same order            |
/// | scales  | groups rows of n     | value = (code - zero point) * scale                  |
///
/// n is a multiple of 8. Zero points are stored as they are, 0 to 15.
/// Sources: Lin et al. 2023, arXiv:2306.00978; the layout is that of AutoAWQ.
/// Read next: codes_in_groups.hpp, io/checkpoint.hpp (files).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/code_words.hpp"
#include "fewbit/formats/codes_in_groups.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// The tensors of a layer of n outputs and k inputs.
struct awq_weights {
  index n = 0;
  index k = 0;
  index group = 0;  ///< inputs that share a scale
  std::vector<std::uint32_t> qweight;
  std::vector<std::uint32_t> qzeros;
  std::vector<float> scales;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

inline void expect_awq(const char* function, const awq_weights& w) {
  expect_packed_shape(function, w.n, w.k, 4, w.group);
  expect_multiple(function, "n", w.n, awq_words().unit());
  const index cols = awq_words().words(w.n), groups = groups_of_columns(w.k, w.group);
  expect_length(function, "qweight", w.qweight, w.k, cols);
  expect_length(function, "qzeros", w.qzeros, groups, cols);
  expect_length(function, "scales", w.scales, groups, w.n);
}

/// Unpacks the tensors; their sizes were checked.
[[nodiscard]] inline codes_in_groups unpack_awq(const awq_weights& w) {
  const index cols = awq_words().words(w.n), groups = groups_of_columns(w.k, w.group);
  codes_in_groups result{4,
                         w.group,
                         row_matrix<std::uint8_t>(w.n, w.k),
                         row_matrix<float>(w.n, groups),
                         row_matrix<std::int16_t>(w.n, groups),
                         {}};
  for (index first = 0; first < w.k; first += 32) {  // so that neighbours are written together
    for (index r = 0; r < w.n; ++r) {
      for (index c = first; c < std::min(w.k, first + 32); ++c)
        result.codes(r, c) = awq_words().get({w.qweight.data() + c * cols, 1}, r);
    }
  }
  for (index g = 0; g < groups; ++g) {
    for (index r = 0; r < w.n; ++r) {
      result.scales(r, g) = w.scales[static_cast<std::size_t>(g * w.n + r)];
      result.zeros(r, g) = awq_words().get({w.qzeros.data() + g * cols, 1}, r);
    }
  }
  return result;
}

}  // namespace detail

/// Unpacks the tensors of a layer.
///
/// @throws fewbit::error if sizes do not agree, or if n is not a multiple of 8
[[nodiscard]] inline codes_in_groups from_awq(const awq_weights& w) {
  detail::expect_awq("from_awq", w);
  return detail::unpack_awq(w);
}

/// Packs weights.
///
/// @throws fewbit::error if the parts do not agree, if bits is not 4, if columns have an order, if
///         the number of rows is not a multiple of 8, or with the first zero point of 16
[[nodiscard]] inline awq_weights to_awq(const codes_in_groups& w) {
  constexpr const char* function = "to_awq";
  detail::expect_codes_in_groups(function, w);
  detail::expect_equal(function, "bits", w.bits, 4);
  detail::expect(w.order.empty(), function, "order of columns", "given", "none in this layout");
  const index n = w.codes.rows(), k = w.codes.cols();
  detail::expect_packed_shape(function, n, k, 4, w.group);
  detail::expect_multiple(function, "number of rows", n, detail::awq_words().unit());
  const index cols = detail::awq_words().words(n), groups = w.scales.cols();
  awq_weights result{n, k, w.group, {}, {}, {}};
  result.qweight.resize(static_cast<std::size_t>(k * cols));
  result.qzeros.resize(static_cast<std::size_t>(groups * cols));
  result.scales.resize(static_cast<std::size_t>(groups * n));
  for (index r = 0; r < n; ++r) {
    for (index c = 0; c < k; ++c)
      detail::awq_words().put({result.qweight.data() + c * cols, 1}, r, w.codes(r, c));
    for (index g = 0; g < groups; ++g) {
      const int zero = w.zeros(r, g);
      if (zero > 15) {
        detail::fail(function, detail::element("zeros", r, g), zero, "0 to 15");
      }
      detail::awq_words().put({result.qzeros.data() + g * cols, 1}, r,
                              static_cast<std::uint32_t>(zero));
      result.scales[static_cast<std::size_t>(g * n + r)] = w.scales(r, g);
    }
  }
  return result;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
