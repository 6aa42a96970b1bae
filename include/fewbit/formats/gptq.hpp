#pragma once
/// The layout of GPTQ checkpoints (AutoGPTQ, GPTQModel and programs that read their files).
///
///     const codes_in_groups w = from_gptq(tensors);            // columns sorted by group
///     const auto q = to_quantized<uint4_grouped<128>>(w);      // w.order: the inputs of columns
///
/// | tensor  | elements                   | content                                            |
/// |---------|----------------------------|----------------------------------------------------|
/// | qweight | k bits / 32 rows of n      | the codes of each output, a stream along the inputs |
/// | qzeros  | groups rows of n bits / 32 | zero points of a group, a stream along the outputs |
/// | scales  | groups rows of n           | value = (code - zero point) * scale                |
/// | g_idx   | k, or none                 | the group of each input; none: input c is in group |
/// |         |                            | c / group                                          |
///
/// Version 1 stores zero points minus one: 15 means 16, and a zero point of 0 cannot be stored.
/// Version 2 stores them as they are, so 16 cannot be stored. k and n must fill whole words, in
/// units of 32 / bits codes, or 32 codes of 3 bits.
/// Sources: Frantar et al. 2022, arXiv:2210.17323; the layout is that of AutoGPTQ.
/// Read next: codes_in_groups.hpp, io/checkpoint.hpp (files).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/code_words.hpp"
#include "fewbit/formats/codes_in_groups.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

enum class gptq_version : std::uint8_t { v1 = 1, v2 = 2 };

/// The tensors of a layer of n outputs and k inputs.
struct gptq_weights {
  index n = 0;
  index k = 0;
  int bits = 4;     ///< 2, 3, 4 or 8
  index group = 0;  ///< inputs that share a scale
  gptq_version version = gptq_version::v1;
  std::vector<std::uint32_t> qweight;
  std::vector<std::uint32_t> qzeros;
  std::vector<float> scales;
  std::vector<std::int32_t> g_idx;
};

/// What says which version the zero points have.
enum class gptq_evidence : std::uint8_t {
  declared,          ///< what was declared; the zero points do not tell
  zero_points,       ///< all stored zero points are those of symmetric codes of that version
  against_declared,  ///< the same, although the other version was declared
};

struct gptq_choice {
  gptq_version version;
  gptq_evidence evidence;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The rows and columns of the words of a layer.
struct gptq_extents {
  index code_rows, zero_cols, groups;

  explicit gptq_extents(const gptq_weights& w) noexcept
      : code_rows(stream_words{w.bits}.words(w.k)),
        zero_cols(stream_words{w.bits}.words(w.n)),
        groups(groups_of_columns(w.k, w.group)) {}
};

inline void expect_gptq(const char* function, const gptq_weights& w) {
  expect_packed_shape(function, w.n, w.k, w.bits, w.group);
  const index unit = stream_words{w.bits}.unit();
  expect_multiple(function, "k", w.k, unit);
  expect_multiple(function, "n", w.n, unit);
  const gptq_extents extents(w);
  expect_length(function, "qweight", w.qweight, extents.code_rows, w.n);
  expect_length(function, "qzeros", w.qzeros, extents.groups, extents.zero_cols);
  expect_length(function, "scales", w.scales, extents.groups, w.n);
  if (!w.g_idx.empty()) expect_length(function, "g_idx", w.g_idx, w.k, 1);
}

/// Unpacks the tensors; their sizes were checked.
template <class Fail>
[[nodiscard]] codes_in_groups unpack_gptq(const gptq_weights& w, const Fail& fail) {
  const gptq_extents extents(w);
  const stream_words stream{w.bits};
  codes_in_groups result{w.bits,
                         w.group,
                         row_matrix<std::uint8_t>(w.n, w.k),
                         row_matrix<float>(w.n, extents.groups),
                         row_matrix<std::int16_t>(w.n, extents.groups),
                         order_of_groups("g_idx", w.g_idx, w.k, w.group, fail)};
  for (index first = 0; first < w.k; first += 32) {  // whole words of each output
    const std::uint32_t* words = w.qweight.data() + stream.words(first) * w.n;
    for (index r = 0; r < w.n; ++r) {
      for (index c = first; c < std::min(w.k, first + 32); ++c)
        result.codes(r, c) = stream.get({words + r, w.n}, c - first);
    }
  }
  sort_columns(result.codes, result.order);
  const int added = w.version == gptq_version::v1 ? 1 : 0;
  for (index g = 0; g < extents.groups; ++g) {
    const words_in zeros{w.qzeros.data() + g * extents.zero_cols, 1};
    for (index r = 0; r < w.n; ++r) {
      result.scales(r, g) = w.scales[static_cast<std::size_t>(g * w.n + r)];
      result.zeros(r, g) = static_cast<std::int16_t>(stream.get(zeros, r) + added);
    }
  }
  return result;
}

}  // namespace detail

/// The version of packed zero points. If all of them are 2^(bits-1) - 1, the version is 1; if all
/// are 2^(bits-1), it is 2: these are symmetric codes, which nearly all files have. Else it is the
/// declared one, or nothing.
///
/// @param qzeros  as gptq_weights; not empty, whole words of zero points
[[nodiscard]] inline std::optional<gptq_choice> choose_gptq_version(
    const std::vector<std::uint32_t>& qzeros, int bits,
    std::optional<gptq_version> declared = std::nullopt) {
  detail::expect(detail::is_code_width(bits), "choose_gptq_version", "bits", bits, "2, 3, 4 or 8");
  const detail::stream_words stream{bits};
  const auto count = static_cast<index>(qzeros.size()) * 32 / bits;
  bool is_first = count > 0, is_second = count > 0;
  for (index i = 0; i < count && (is_first || is_second); ++i) {
    const int zero = stream.get({qzeros.data(), 1}, i);
    is_first = is_first && zero == (1 << (bits - 1)) - 1;
    is_second = is_second && zero == 1 << (bits - 1);
  }
  if (!is_first && !is_second) {
    if (!declared) return std::nullopt;
    return gptq_choice{*declared, gptq_evidence::declared};
  }
  const gptq_version version = is_first ? gptq_version::v1 : gptq_version::v2;
  return gptq_choice{version, declared && *declared != version ? gptq_evidence::against_declared
                                                               : gptq_evidence::zero_points};
}

/// Unpacks the tensors of a layer and sorts its columns by their groups.
///
/// @throws fewbit::error if sizes do not agree, if n or k does not fill whole words, or if g_idx
///         names no group or gives a group another number of inputs than `group`
[[nodiscard]] inline codes_in_groups from_gptq(const gptq_weights& w) {
  detail::expect_gptq("from_gptq", w);
  return detail::unpack_gptq(w, detail::fail_in_tensor{"from_gptq"});
}

/// Packs weights. If they have an order, g_idx has the group of each input.
///
/// @throws fewbit::error if the parts do not agree, if n or k does not fill whole words, or with
///         the first zero point that the version cannot store
[[nodiscard]] inline gptq_weights to_gptq(const codes_in_groups& w,
                                          gptq_version version = gptq_version::v1) {
  constexpr const char* function = "to_gptq";
  detail::expect_codes_in_groups(function, w);
  gptq_weights result{w.codes.rows(), w.codes.cols(), w.bits, w.group, version, {}, {}, {}, {}};
  detail::expect_packed_shape(function, result.n, result.k, w.bits, w.group);
  const detail::stream_words stream{w.bits};
  detail::expect_multiple(function, "number of columns", result.k, stream.unit());
  detail::expect_multiple(function, "number of rows", result.n, stream.unit());
  const detail::gptq_extents extents(result);
  const int added = version == gptq_version::v1 ? 1 : 0, most = (1 << w.bits) - 1;
  result.qzeros.resize(static_cast<std::size_t>(extents.groups * extents.zero_cols));
  result.scales.resize(static_cast<std::size_t>(extents.groups * result.n));
  for (index g = 0; g < extents.groups; ++g) {
    const detail::words_out zeros{result.qzeros.data() + g * extents.zero_cols, 1};
    for (index r = 0; r < result.n; ++r) {
      const int stored = w.zeros(r, g) - added;
      if (stored < 0 || stored > most) {
        detail::fail(function, detail::element("zeros", r, g), stored + added,
                     detail::interval(added, most + added) + " in this version");
      }
      stream.put(zeros, r, static_cast<std::uint32_t>(stored));
      result.scales[static_cast<std::size_t>(g * result.n + r)] = w.scales(r, g);
    }
  }
  result.qweight.resize(static_cast<std::size_t>(extents.code_rows * result.n));
  const std::vector<index> inputs = detail::inputs_of_columns(w);
  for (index r = 0; r < result.n; ++r) {
    const detail::words_out words{result.qweight.data() + r, result.n};
    for (index c = 0; c < result.k; ++c)
      stream.put(words, inputs[static_cast<std::size_t>(c)], w.codes(r, c));
  }
  result.g_idx = detail::groups_of_order(w.order, w.group);
  return result;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
