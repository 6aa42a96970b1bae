#pragma once
/// Weights for the tests of GPTQ, AWQ and compressed-tensors, and plain readers of packed words.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "fewbit/core/random.hpp"
#include "fewbit/formats/codes_in_groups.hpp"

namespace fewbit::tests {

/// Random weights. Scales are halves of either sign or 0; zero points are 0 .. 2^bits - 1.
struct random_weights {
  int bits = 4;
  index n = 8, k = 64, group = 32;
  bool is_symmetric = false;  ///< positive scales, zero points 2^(bits-1)
  bool has_order = false;
  std::uint64_t seed = 1;

  [[nodiscard]] codes_in_groups make() const {
    const index groups = (k + group - 1) / group;
    codes_in_groups w{bits,
                      group,
                      row_matrix<std::uint8_t>(n, k),
                      row_matrix<float>(n, groups),
                      row_matrix<std::int16_t>(n, groups),
                      {}};
    std::uint64_t count = 0;
    const auto number = [&](unsigned below) { return random_bits(seed, count++)[0] % below; };
    for (auto& code : w.codes.reshaped()) code = static_cast<std::uint8_t>(number(1U << bits));
    for (auto& zero : w.zeros.reshaped()) {
      zero = static_cast<std::int16_t>(is_symmetric ? 1U << (bits - 1) : number(1U << bits));
    }
    for (auto& scale : w.scales.reshaped()) {
      scale = std::ldexp(1.0F + static_cast<float>(number(1024)) / 1024.0F,
                         static_cast<int>(number(12)) - 14);
      if (!is_symmetric && number(4) == 0) scale = -scale;
      if (number(9) == 0) scale = 0.0F;
    }
    if (has_order) {
      w.order.resize(static_cast<std::size_t>(k));
      std::iota(w.order.begin(), w.order.end(), index{0});
      for (std::size_t i = w.order.size(); i > 1; --i)
        std::swap(w.order[i - 1], w.order[number(static_cast<unsigned>(i))]);
      for (index g = 0; g < groups; ++g) {  // as files can say it: ascending within a group
        std::sort(w.order.begin() + g * group, w.order.begin() + std::min(k, (g + 1) * group));
      }
    }
    return w;
  }
};

/// The weight of an input, from the formula.
inline double weight_of(const codes_in_groups& w, index r, index column) {
  const index g = column / w.group;
  return (double{static_cast<float>(w.codes(r, column))} - w.zeros(r, g)) * double{w.scales(r, g)};
}

/// Bits first .. first + count - 1 of a stream of words, one by one.
inline unsigned bits_at(const std::vector<std::uint32_t>& words, std::size_t first, int count) {
  unsigned value = 0;
  for (int i = 0; i < count; ++i) {
    const std::size_t bit = first + static_cast<std::size_t>(i);
    value |= (words[bit / 32] >> bit % 32 & 1U) << i;
  }
  return value;
}

/// Column c of a matrix of words with `cols` columns.
inline std::vector<std::uint32_t> column_of(const std::vector<std::uint32_t>& words, index cols,
                                            index c) {
  std::vector<std::uint32_t> column;
  for (index i = c; i < static_cast<index>(words.size()); i += cols)
    column.push_back(words[static_cast<std::size_t>(i)]);
  return column;
}

/// Row r of such a matrix.
inline std::vector<std::uint32_t> row_of_words(const std::vector<std::uint32_t>& words, index cols,
                                               index r) {
  return {words.begin() + r * cols, words.begin() + (r + 1) * cols};
}

inline bool operator==(const codes_in_groups& a, const codes_in_groups& b) {
  return a.bits == b.bits && a.group == b.group && a.codes == b.codes && a.scales == b.scales &&
         a.zeros == b.zeros && a.order == b.order;
}

}  // namespace fewbit::tests
