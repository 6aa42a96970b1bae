#pragma once
/// Codes in 32-bit words, the first in the lowest bits, as GPTQ, AWQ and compressed-tensors pack
/// them.
///
/// | layout  | codes of B bits                                                              |
/// |---------|------------------------------------------------------------------------------|
/// | stream  | bits i B to i B + B - 1 of consecutive words; 3 bits: 32 codes in 96 bits    |
/// | aligned | floor(32 / B) in a word; the other bits of the word have no meaning           |
/// | awq     | 8 in a word: nibble j is code 0, 2, 4, 6, 1, 3, 5, 7                          |
///
/// Read next: gptq.hpp, awq.hpp, compressed_tensors.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/index.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/codes_in_groups.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The largest n and k: products of both fit an index.
inline constexpr index most_extent = std::numeric_limits<std::int32_t>::max();

/// Words in a matrix: word i of a run is `step` words behind word i - 1.
template <class Word>
struct word_run {
  Word* first;
  index step;

  [[nodiscard]] Word& operator[](index i) const noexcept { return first[i * step]; }
};
using words_in = word_run<const std::uint32_t>;
using words_out = word_run<std::uint32_t>;

struct stream_words {
  int bits;

  /// Codes that fill whole words.
  [[nodiscard]] constexpr index unit() const noexcept { return 32 / std::gcd(32, bits); }
  [[nodiscard]] constexpr index words(index codes) const noexcept { return codes * bits / 32; }
  [[nodiscard]] std::uint8_t get(words_in words, index i) const noexcept {
    const index word = i * bits / 32, shift = i * bits % 32;
    std::uint32_t code = words[word] >> shift;
    if (shift + bits > 32) code |= words[word + 1] << (32 - shift);
    return static_cast<std::uint8_t>(code & ((1U << bits) - 1));
  }
  void put(words_out words, index i, std::uint32_t code) const noexcept {
    const index word = i * bits / 32, shift = i * bits % 32;
    words[word] |= code << shift;
    if (shift + bits > 32) words[word + 1] |= code >> (32 - shift);
  }
};

struct aligned_words {
  int bits;

  [[nodiscard]] constexpr index per_word() const noexcept { return 32 / bits; }
  [[nodiscard]] constexpr index words(index codes) const noexcept {
    return (codes + per_word() - 1) / per_word();
  }
  [[nodiscard]] std::uint8_t get(words_in words, index i) const noexcept {
    const std::uint32_t code = words[i / per_word()] >> (i % per_word() * bits);
    return static_cast<std::uint8_t>(code & ((1U << bits) - 1));
  }
  void put(words_out words, index i, std::uint32_t code) const noexcept {
    words[i / per_word()] |= code << (i % per_word() * bits);
  }
};

struct awq_words {
  [[nodiscard]] constexpr index unit() const noexcept { return 8; }
  [[nodiscard]] constexpr index words(index codes) const noexcept { return codes / 8; }
  [[nodiscard]] std::uint8_t get(words_in words, index i) const noexcept {
    return static_cast<std::uint8_t>(words[i / 8] >> shift(i) & 15);
  }
  void put(words_out words, index i, std::uint32_t code) const noexcept {
    words[i / 8] |= code << shift(i);
  }

 private:
  /// Even codes are in the low half of a word, odd ones in the high half.
  [[nodiscard]] static constexpr index shift(index i) noexcept {
    return (i % 8 / 2 + i % 2 * 4) * 4;
  }
};

/// Fails unless 1 <= n, k <= 2^31 - 1, `group` is positive and `bits` is a width of codes.
inline void expect_packed_shape(const char* function, index n, index k, int bits, index group) {
  expect(is_code_width(bits), function, "bits", bits, "2, 3, 4 or 8");
  if (n < 1 || k < 1 || n > most_extent || k > most_extent) {
    fail(function, "shape", shape_text(n, k), "1 to 2147483647 rows and columns");
  }
  expect(group >= 1, function, "group", group, "at least 1");
}

inline void expect_multiple(const char* function, const char* argument, index got, index unit) {
  if (got % unit != 0) fail(function, argument, got, "a multiple of " + std::to_string(unit));
}

/// Fails unless a tensor of a layout has rows * cols elements, which fit an index.
template <class T>
void expect_length(const char* function, const char* tensor, const std::vector<T>& values,
                   index rows, index cols) {
  const auto size = static_cast<index>(values.size());
  if (size == rows * cols) return;
  fail(function, std::string("length of ") + tensor, size, text(rows) + " times " + text(cols));
}

/// Fails with an element of a tensor.
struct fail_in_tensor {
  const char* function;

  [[noreturn]] void operator()(const char* tensor, index row, index col, const std::string& got,
                               const std::string& want) const {
    fail(function, element(tensor, row, col), got, want);
  }
};

/// The inputs in the order of their groups, in their own order within a group; empty if that is
/// the order of inputs. Calls fail(tensor, row, col, got, want) for the first bad element of the
/// groups of inputs.
template <class Fail>
[[nodiscard]] std::vector<index> order_of_groups(const char* tensor,
                                                 const std::vector<std::int32_t>& groups, index k,
                                                 index group, const Fail& fail) {
  if (groups.empty()) return {};
  const index count = groups_of_columns(k, group);
  std::vector<index> place(static_cast<std::size_t>(count), 0);  // where the next input goes
  for (index g = 0; g < count; ++g) place[static_cast<std::size_t>(g)] = g * group;
  std::vector<index> order(groups.size());
  bool is_in_place = true;
  for (index c = 0; c < k; ++c) {
    const std::int32_t g = groups[static_cast<std::size_t>(c)];
    if (g < 0 || g >= count) {
      fail(tensor, 0, c, std::to_string(g), "0 to " + std::to_string(count - 1));
    }
    index& to = place[static_cast<std::size_t>(g)];
    if (to == std::min(k, (g + 1) * group)) {
      fail(tensor, 0, c, std::to_string(g),
           "another group, because this one has its " + std::to_string(to - g * group) +
               " inputs already");
    }
    is_in_place = is_in_place && to == c;
    order[static_cast<std::size_t>(to++)] = c;
  }
  if (is_in_place) order.clear();
  return order;
}

/// The group of each input for an order of inputs; empty if there is none.
[[nodiscard]] inline std::vector<std::int32_t> groups_of_order(const std::vector<index>& order,
                                                               index group) {
  std::vector<std::int32_t> groups(order.size());
  for (std::size_t j = 0; j < order.size(); ++j) {
    groups[static_cast<std::size_t>(order[j])] =
        static_cast<std::int32_t>(static_cast<index>(j) / group);
  }
  return groups;
}

/// Puts the columns of each row into an order, unless it is empty.
inline void sort_columns(row_matrix<std::uint8_t>& codes, const std::vector<index>& order) {
  if (order.empty()) return;
  std::vector<std::uint8_t> row(order.size());
  for (index r = 0; r < codes.rows(); ++r) {
    std::uint8_t* to = codes.data() + r * codes.cols();
    row.assign(to, to + codes.cols());
    for (const index from : order) *to++ = row[static_cast<std::size_t>(from)];
  }
}

/// The input of each column of the codes.
[[nodiscard]] inline std::vector<index> inputs_of_columns(const codes_in_groups& w) {
  std::vector<index> inputs = w.order;
  if (inputs.empty()) {
    inputs.resize(static_cast<std::size_t>(w.codes.cols()));
    std::iota(inputs.begin(), inputs.end(), index{0});
  }
  return inputs;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
