#pragma once
/// Converts quantized matrices to gemm::grouped_weights, for layers that multiply codes as they are
/// stored.
///
/// Read before: gemm/few_bits/grouped_weights.hpp. Read next: ops/linear/grouped.hpp,
/// ops/linear/float_inputs.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/core/error.hpp"
#include "fewbit/gemm/few_bits/grouped_weights.hpp"
#include "fewbit/ops/linear/weight_table.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Schemes whose stored codes are multiplied by dynamic inputs: in groups, or with minima. The
/// codes of a codebook are indices into a list of levels: an integer product cannot use them.
template <class S>
concept MultipliedAsStored = !CodebookScheme<S> && S::storage::bits <= 8 &&
                             (scale_depth<typename S::granularity> > 0 || S::has_minimum);

/// Bits of a stored weight. Codes of a codebook of 5 to 7 bits take 8.
template <Scheme S>
inline constexpr int stored_bits = S::storage::bits <= 4 ? S::storage::bits : 8;

/// The packed weights of a scheme.
template <Scheme S, class Arch = arch::native>
using grouped_weights_of = gemm::grouped_weights<stored_bits<S>, Arch, S::has_minimum>;

/// n x k codes minus the smallest code of their storage. Binary codes become 0 and 1.
template <Scheme S>
[[nodiscard]] row_matrix<std::uint8_t> unsigned_codes(const quantized_matrix<S>& q) {
  row_matrix<std::uint8_t> codes(q.rows(), q.cols());
  std::vector<typename S::code> row(static_cast<std::size_t>(q.cols()));
  for (index r = 0; r < q.rows(); ++r) {
    q.unpack_row(r, row.data());
    for (index c = 0; c < q.cols(); ++c) {
      const int code = row[static_cast<std::size_t>(c)] - S::storage::min;
      codes(r, c) =
          static_cast<std::uint8_t>(std::is_same_v<typename S::storage, binary> ? code / 2 : code);
    }
  }
  return codes;
}

/// The zero point of symmetric codes as they are stored. For a codebook it is the code of the level
/// 0. Without such a level it is a value that no code has, so that no group counts as zeros.
template <Scheme S>
[[nodiscard]] int stored_zero_point([[maybe_unused]] const quantized_matrix<S>& q) noexcept {
  if constexpr (CodebookScheme<S>) {
    using packed = grouped_weights_of<S>;
    const auto zero = std::find(q.levels().begin(), q.levels().end(), 0.0F);
    return zero == q.levels().end()
               ? packed::largest_value + 1
               : static_cast<int>(zero - q.levels().begin()) * packed::value_of_one;
  } else {
    return -S::storage::min;
  }
}

/// Packs weights.
/// @throws fewbit::error if weights are empty, or a group is so large that a sum of int8 products
///         could overflow int32
template <class Arch, Scheme S>
[[nodiscard]] grouped_weights_of<S, Arch> pack_grouped(const quantized_matrix<S>& q) {
  expect_not_empty("linear", "weights", q.rows(), q.cols());
  constexpr index group = scale_depth<typename S::granularity>;
  using packed = grouped_weights_of<S, Arch>;
  const index depth = group == 0 ? q.cols() : std::min(group, q.cols());
  expect(depth <= packed::max_depth, "linear", "number of inputs", q.cols(),
         "at most " + std::to_string(packed::max_depth));
  const index groups = scale_blocks<S>(q.cols());
  std::vector<float> scales, minima;
  std::vector<std::uint8_t> zeros;
  for (index j = 0; j < q.rows(); ++j) {
    for (index g = 0; g < groups; ++g) {
      scales.push_back(q.scale(j, g * group));
      if constexpr (S::has_minimum) minima.push_back(q.minimum(j, g * group));
      if constexpr (S::is_affine) {
        zeros.push_back(static_cast<std::uint8_t>(q.zero_point(j, g * group) - S::storage::min));
      }
    }
  }
  if constexpr (S::has_minimum) {
    return packed(unsigned_codes(q), group, scales, minima);
  } else if constexpr (S::is_affine) {
    return packed(unsigned_codes(q), group, scales, zeros);
  } else {
    return packed(unsigned_codes(q), group, scales, stored_zero_point(q));
  }
}

/// The same for inputs of 8 bits.
/// @throws fewbit::error also if a total could overflow float
template <class Arch, Scheme S>
[[nodiscard]] grouped_weights_of<S, Arch> pack_for_int8(const quantized_matrix<S>& q) {
  expect_not_empty("linear", "weights", q.rows(), q.cols());
  expect_finite_totals(q, 127, 0x1p-11);  // scales keep 12 significant bits
  return pack_grouped<Arch>(q);
}

/// Fails unless packed weights are those of the scheme. Reads no scales.
template <Scheme S, class Weights>
void expect_weights_of(const char* function, const Weights& w) {
  expect_not_empty(function, "weights", w.n(), w.k());
  constexpr index group = scale_depth<typename S::granularity>;
  expect_equal(function, "group of weights", w.group(), group == 0 ? w.k() : group);
  const auto kind = [](bool is_affine) { return is_affine ? "one for each group" : "one for all"; };
  expect(w.is_affine() == S::is_affine, function, "zero point of weights", kind(w.is_affine()),
         kind(S::is_affine));
  if constexpr (!S::is_affine && !S::has_minimum && !CodebookScheme<S>) {
    expect_equal(function, "zero point of weights", w.stored_zero() + Weights::unit::offset,
                 -S::storage::min);
  }
}

/// Returns packed weights, which may be views. Scales are read only if the largest possible ones
/// are too large.
/// @throws fewbit::error unless they are those of the scheme, and all totals of inputs of 8 bits
///         are floats
template <Scheme S, class Weights>
[[nodiscard]] Weights checked_weights(Weights w) {
  expect_weights_of<S>("linear", w);
  constexpr bool has_zero = S::is_affine || S::has_minimum;
  constexpr double code = 127.0 * (has_zero ? Weights::largest_value : largest_signed_code<S>);
  const double most = double{std::numeric_limits<float>::max()} * (1.0 - 0x1p-20);
  const bool needs_scales = w.is_wide() || S::has_minimum;
  const double largest_scale = double{w.scales().largest()};
  const bool is_safe = !needs_scales && largest_scale * code * static_cast<double>(w.k()) <= most;
  for (index j = 0; !is_safe && j < w.n(); ++j) {
    double total = 0.0;
    for (index g = 0; g < w.groups(); ++g) {
      double largest = code * double{w.scale(j, g)};
      if constexpr (S::has_minimum) largest += 127.0 * std::fabs(double{w.minimum(j, g)});
      total += largest * static_cast<double>(w.depth_of(g));
    }
    if (total <= most) continue;  // false for NaN
    fail("linear", "largest sum of row " + std::to_string(j) + " of weights by codes of inputs",
         total, "at most " + text(std::numeric_limits<float>::max()));
  }
  return w;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
