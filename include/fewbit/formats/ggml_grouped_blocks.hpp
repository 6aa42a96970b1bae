#pragma once
/// What the blocks of ggml with several groups of weights share: integer codes, a scale for each
/// group, and perhaps a minimum.
///
///     value = code * scale                 codes may be negative
///     value = code * scale + minimum       blocks with minima; codes from 0 on
///
/// The products of ggml's formats are exact in float, so a value is rounded once, where a minimum
/// is added, and these are the floats that ggml computes.
/// Read next: ggml_k_blocks.hpp, ggml_table_blocks.hpp (the blocks), ggml_grouped_convert.hpp.

#include "fewbit/begin.hpp"

#include <array>
#include <concepts>
#include <cstdint>

#include "fewbit/config.hpp"
#include "fewbit/core/index.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A block that states its number of weights, the weights of a group, and whether groups have
/// minima.
template <class B>
concept GroupedBlock = requires {
  { B::weights } -> std::convertible_to<int>;
  { B::group } -> std::convertible_to<int>;
  { B::has_minimum } -> std::convertible_to<bool>;
  { B::name } -> std::convertible_to<const char*>;
};

namespace detail {

/// The content of a block, unpacked. Functions unpack_groups(block, groups) fill it.
template <int Weights, int Group>
struct block_groups {
  static constexpr int count = Weights / Group;
  std::array<std::int8_t, Weights> codes;
  std::array<float, count> scales;
  std::array<float, count> minima;  // of blocks with minima
};

template <GroupedBlock B>
using groups_of = block_groups<B::weights, B::group>;

}  // namespace detail

/// Decodes `count` blocks to B::weights * count floats.
template <GroupedBlock B>
void dequantize_row(const B* blocks, index count, float* out) noexcept {
  constexpr auto group = static_cast<std::size_t>(B::group);
  detail::groups_of<B> groups;
  for (index b = 0; b < count; ++b) {
    unpack_groups(blocks[b], groups);
    for (std::size_t g = 0; g < groups.scales.size(); ++g, out += group) {
      for (std::size_t i = 0; i < group; ++i) {
        const float product = static_cast<float>(groups.codes[g * group + i]) * groups.scales[g];
        if constexpr (B::has_minimum) {
          out[i] = product + groups.minima[g];
        } else {
          out[i] = product;
        }
      }
    }
  }
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
