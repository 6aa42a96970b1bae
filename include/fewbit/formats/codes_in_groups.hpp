#pragma once
/// Unpacked integer weights in groups: what the layouts of GPTQ, AWQ and compressed-tensors have in
/// common, and their conversion to and from quantized matrices.
///
///     value(r, c) = (codes(r, c) - zeros(r, c / group)) * scales(r, c / group)
///
/// Column c of the codes belongs to input order[c] of the layer, so that a group consists of
/// neighbouring columns even if its inputs are scattered (ops/gathered_linear.hpp). An empty order
/// means that they are in place.
///
/// | scheme of B bits             | zero point of a group | scale of a group           | codes |
/// |------------------------------|-----------------------|----------------------------|-------|
/// | unsigned or signed, affine   | 0 to 2^B - 1          | any                        | any   |
/// | signed, symmetric_full       | 2^(B-1)               | any; negative: no code 0   | any   |
/// | signed, symmetric            | 2^(B-1)               | any                        | not 0 |
/// | unsigned, real_minimum       | 0 to 2^B              | at most 23 - B significant | any   |
/// |                              |                       | bits, as halves have       |       |
///
/// Other matrices are refused. Scales are finite; their magnitude is 0 or at least 2^-126. If the
/// scale of a group is negative, its codes are turned around. If it is 0, codes and zero point
/// become 2^(B-1) and the scale 2^-126, or 0 under real_minimum. Every value is kept, except for
/// the sign of a zero.
/// Read next: gptq.hpp, awq.hpp, compressed_tensors.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scale.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// Weights of n outputs and k inputs.
struct codes_in_groups {
  int bits = 4;                    ///< 2, 3, 4 or 8
  index group = 0;                 ///< columns with one scale; the last group of a row may be short
  row_matrix<std::uint8_t> codes;  ///< n x k, 0 to 2^bits - 1
  row_matrix<float> scales;        ///< n x ceil(k / group)
  row_matrix<std::int16_t> zeros;  ///< as scales, 0 to 2^bits
  std::vector<index> order;        ///< k inputs, each once; or empty
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

[[nodiscard]] constexpr bool is_code_width(int bits) noexcept {
  return bits == 2 || bits == 3 || bits == 4 || bits == 8;
}

[[nodiscard]] constexpr index groups_of_columns(index cols, index group) noexcept {
  return cols / group + (cols % group != 0 ? 1 : 0);
}

/// Fails unless `order` is empty or has each of 0 .. k - 1 once.
inline void expect_order(const char* function, const std::vector<index>& order, index k) {
  if (order.empty()) return;
  expect_equal(function, "length of order", static_cast<index>(order.size()), k);
  std::vector<bool> has(order.size());
  for (std::size_t j = 0; j < order.size(); ++j) {
    const bool is_input = order[j] >= 0 && order[j] < k;
    if (is_input && !has[static_cast<std::size_t>(order[j])]) {
      has[static_cast<std::size_t>(order[j])] = true;
      continue;
    }
    fail(function, item("order", static_cast<index>(j)), order[j],
         is_input ? "another input, because this one is there already"
                  : "0 to " + std::to_string(k - 1));
  }
}

/// Fails unless shapes, codes and zero points are what codes_in_groups says. Scales are not
/// checked.
inline void expect_codes_in_groups(const char* function, const codes_in_groups& w) {
  expect(is_code_width(w.bits), function, "bits", w.bits, "2, 3, 4 or 8");
  expect_elements(function, "codes", w.codes);
  expect(w.group >= 1, function, "group", w.group, "at least 1");
  const index rows = w.codes.rows(), groups = groups_of_columns(w.codes.cols(), w.group);
  expect_equal(function, "shape of scales", shape_text(w.scales.rows(), w.scales.cols()),
               shape_text(rows, groups));
  expect_equal(function, "shape of zeros", shape_text(w.zeros.rows(), w.zeros.cols()),
               shape_text(rows, groups));
  const int most = 1 << w.bits;
  for (index r = 0; r < rows; ++r) {
    for (index g = 0; g < groups; ++g) {
      if (w.zeros(r, g) >= 0 && w.zeros(r, g) <= most) continue;
      fail(function, element("zeros", r, g), int{w.zeros(r, g)}, interval(0, most));
    }
    for (index c = 0; c < w.codes.cols(); ++c) {
      if (w.codes(r, c) < most) continue;
      fail(function, element("codes", r, c), int{w.codes(r, c)}, interval(0, most - 1));
    }
  }
  expect_order(function, w.order, w.codes.cols());
}

/// What a scheme cannot hold: an element of a part, and why.
struct misfit {
  const char* part;
  index row, col;
  std::string got, want;
};

/// Schemes with the codes of codes_in_groups.
template <class S>
concept InCodeGroups =
    IntegerScheme<S> && is_code_width(S::storage::bits) && is_within_row<typename S::granularity>;

/// A group of a row after its scale was made positive.
struct positive_group {
  float scale;
  int zero;
  bool is_turned;  // code q is 2^bits - 1 - q
  bool is_zero;    // all values are 0
};

[[nodiscard]] inline positive_group make_positive(float scale, int zero, int bits) noexcept {
  if (scale == 0.0F) return {min_scale, 1 << (bits - 1), false, true};
  if (scale > 0.0F) return {scale, zero, false, false};
  return {-scale, (1 << bits) - 1 - zero, true, false};
}

/// The code of S for code q of a group.
template <Scheme S>
[[nodiscard]] int code_in_group(const positive_group& group, int zero, int q) noexcept {
  constexpr int bits = S::storage::bits, middle = 1 << (bits - 1);
  if constexpr (S::is_affine || S::has_minimum) {
    if (group.is_zero) return S::has_minimum ? 0 : middle + S::storage::min;
    return (group.is_turned ? (1 << bits) - 1 - q : q) + S::storage::min;
  } else {
    if (group.is_zero) return 0;
    return group.is_turned ? zero - q : q - zero;
  }
}

/// The first scale or zero point of group g of row r that S cannot hold.
template <InCodeGroups S>
[[nodiscard]] std::optional<misfit> misfit_of_group(const codes_in_groups& w, index r, index g) {
  constexpr int bits = S::storage::bits, middle = 1 << (bits - 1);
  const float scale = w.scales(r, g);
  const auto bad = [&](const char* part, const std::string& got, const std::string& want) {
    return misfit{part, r, g, got, want};
  };
  const auto pattern = std::bit_cast<std::uint32_t>(scale);
  if (!is_finite(scale)) return bad("scales", text(scale), "a finite number");
  if (scale != 0.0F && scale < min_scale && scale > -min_scale) {
    return bad("scales", text(scale), "0 or at least 2^-126 in magnitude");
  }
  if (std::is_same_v<typename S::scale, power_of_two> && (pattern & 0x007FFFFFU) != 0) {
    return bad("scales", text(scale), "a power of two");
  }
  const int zero = w.zeros(r, g);
  const positive_group group = make_positive(scale, zero, bits);
  if constexpr (S::has_minimum) {
    constexpr std::uint32_t low = (1U << (bits + 1)) - 1;
    if ((pattern & low) != 0) {
      return bad("scales", text(scale),
                 "a number of at most " + std::to_string(23 - bits) + " significant bits");
    }
    if (!is_finite(group.scale * static_cast<float>(1 << bits))) {
      return bad("scales", text(scale), "a scale whose minimum is finite");
    }
  } else if constexpr (S::is_affine) {
    if (group.zero < 0 || group.zero > 2 * middle - 1) {
      return bad("zeros", std::to_string(zero),
                 interval(0, 2 * middle - 1) + "; the zero point real_minimum has no such limit");
    }
  } else if (zero != middle && !group.is_zero) {
    return bad("zeros", std::to_string(zero), std::to_string(middle) + " for symmetric codes");
  }
  return std::nullopt;
}

/// The first element that S cannot hold. `w` was checked by expect_codes_in_groups.
template <InCodeGroups S>
[[nodiscard]] std::optional<misfit> misfit_of(const codes_in_groups& w) {
  const index cols = w.codes.cols();
  if (w.bits != S::storage::bits) {
    return misfit{"bits", -1, -1, std::to_string(w.bits), std::to_string(S::storage::bits)};
  }
  const index group = std::min(w.group, cols), run = S::granularity::run(cols);
  if (group != run) {
    return misfit{"group", -1, -1, std::to_string(group) + " columns",
                  std::to_string(run) + " columns"};
  }
  for (index r = 0; r < w.codes.rows(); ++r) {
    for (index g = 0; g < w.scales.cols(); ++g) {
      if (auto bad = misfit_of_group<S>(w, r, g)) return bad;
      if constexpr (!S::is_affine && !S::has_minimum) {
        const positive_group positive = make_positive(w.scales(r, g), w.zeros(r, g), w.bits);
        for (index c = g * group; c < std::min(cols, (g + 1) * group); ++c) {
          const int code = code_in_group<S>(positive, w.zeros(r, g), w.codes(r, c));
          if (code >= S::code_min && code <= S::code_max) continue;
          return misfit{"codes", r, c, std::to_string(int{w.codes(r, c)}),
                        "a code whose value the scheme has"};
        }
      }
    }
  }
  return std::nullopt;
}

/// Converts weights that have no misfit.
template <InCodeGroups S>
[[nodiscard]] quantized_matrix<S> quantized_of_codes(const codes_in_groups& w) {
  const index rows = w.codes.rows(), cols = w.codes.cols(), groups = w.scales.cols();
  row_matrix<typename S::code> codes(rows, cols);
  std::vector<float> scales, minima;
  std::vector<typename S::code> zeros;
  scales.reserve(static_cast<std::size_t>(rows * groups));
  for (index r = 0; r < rows; ++r) {
    for (index g = 0; g < groups; ++g) {
      const int zero = w.zeros(r, g);
      positive_group group = make_positive(w.scales(r, g), zero, w.bits);
      for (index c = g * w.group; c < std::min(cols, (g + 1) * w.group); ++c) {
        codes(r, c) = static_cast<typename S::code>(code_in_group<S>(group, zero, w.codes(r, c)));
      }
      if constexpr (S::has_minimum) {
        if (group.is_zero) group.scale = 0.0F;
        minima.push_back(0.0F - static_cast<float>(group.zero) * group.scale);
      } else if constexpr (S::is_affine) {
        zeros.push_back(static_cast<typename S::code>(group.zero + S::storage::min));
      }
      scales.push_back(group.scale);
    }
  }
  if constexpr (S::has_minimum) {
    return quantized_matrix<S>(codes, scales, minima);
  } else {
    return quantized_matrix<S>(codes, scales, zeros);
  }
}

}  // namespace detail

/// Whether to_quantized<S> accepts the weights, which to_quantized of some scheme must.
template <detail::InCodeGroups S>
[[nodiscard]] bool fits(const codes_in_groups& w) {
  detail::expect_codes_in_groups("fits", w);
  return !detail::misfit_of<S>(w);
}

/// Converts weights to a quantized matrix with the same values; columns stay in their order.
///
/// @throws fewbit::error if the parts do not agree, or with the first element that S cannot hold,
///         as the table above says
template <detail::InCodeGroups S>
[[nodiscard]] quantized_matrix<S> to_quantized(const codes_in_groups& w) {
  constexpr const char* function = "to_quantized";
  detail::expect_codes_in_groups(function, w);
  if (const auto bad = detail::misfit_of<S>(w)) {
    detail::fail(function,
                 bad->row < 0 ? bad->part : detail::element(bad->part, bad->row, bad->col),
                 bad->got, bad->want);
  }
  return detail::quantized_of_codes<S>(w);
}

namespace detail {

/// The zero point of a group of a quantized matrix, counted in unsigned codes.
template <Scheme S>
[[nodiscard]] int unsigned_zero(const quantized_matrix<S>& q, index r, index c) {
  constexpr int bits = S::storage::bits;
  if constexpr (S::is_affine) {
    return q.zero_point(r, c) - S::storage::min;
  } else if constexpr (S::has_minimum) {
    const float scale = q.scale(r, c), minimum = q.minimum(r, c);
    const float steps = scale == 0.0F ? 0.0F : -minimum / scale;
    const int zero =
        steps >= 0.0F && steps <= static_cast<float>(1 << bits) ? static_cast<int>(steps) : 0;
    if (double{scale} * zero != -double{minimum}) {
      fail("to_codes", element("minimum", r, c), minimum,
           "minus the scale " + text(scale) + " times an integer of " + interval(0, 1 << bits));
    }
    return zero;
  } else {
    return 1 << (bits - 1);
  }
}

}  // namespace detail

/// Converts a quantized matrix to unsigned codes with the same values. A scale of 2^-126 whose
/// values are all 0 becomes 0.
///
/// @param order  as codes_in_groups
/// @throws fewbit::error if q is empty, if `order` does not have each input once, or if a minimum
///         is not an integer multiple of its scale that a zero point can be
template <detail::InCodeGroups S>
[[nodiscard]] codes_in_groups to_codes(const quantized_matrix<S>& q,
                                       std::vector<index> order = {}) {
  detail::expect_extents("to_codes", "q", q);
  detail::expect_order("to_codes", order, q.cols());
  const index rows = q.rows(), cols = q.cols(), group = S::granularity::run(cols);
  const index groups = detail::groups_of_columns(cols, group);
  codes_in_groups w{S::storage::bits,
                    group,
                    row_matrix<std::uint8_t>(rows, cols),
                    row_matrix<float>(rows, groups),
                    row_matrix<std::int16_t>(rows, groups),
                    std::move(order)};
  std::vector<typename S::code> row(static_cast<std::size_t>(cols));
  for (index r = 0; r < rows; ++r) {
    q.unpack_row(r, row.data());
    for (index g = 0; g < groups; ++g) {
      const int zero = detail::unsigned_zero(q, r, g * group);
      bool is_zero = true;
      for (index c = g * group; c < std::min(cols, (g + 1) * group); ++c) {
        const int code = row[static_cast<std::size_t>(c)] - S::storage::min;
        w.codes(r, c) = static_cast<std::uint8_t>(code);
        is_zero = is_zero && code == zero;
      }
      const float scale = q.scale(r, g * group);
      w.scales(r, g) = is_zero && scale == min_scale ? 0.0F : scale;
      w.zeros(r, g) = static_cast<std::int16_t>(zero);
    }
  }
  return w;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
