#pragma once
/// Expected outputs of a linear layer, computed from plain numbers with the documented formulas.
/// This code is compiled once, not for every scheme and type of inputs.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>
#include <vector>

#include "fewbit/ops/linear.hpp"
#include "support/codes.hpp"
#include "support/kept_scale.hpp"
#include "support/layer_calls.hpp"
#include "support/reals.hpp"

namespace fewbit::tests {

inline constexpr quant_params static_s8_params{0.0275F, -7};
inline constexpr quant_params static_u8_params{0.0275F, 131};

/// A product rounded to float. It is volatile so that the compiler does not fuse it with a sum.
inline float times(float a, float b) {
  volatile float product = a * b;
  return product;
}

inline int clamped_code(float x, float scale, int zero, int lo, int hi) {
  if (x != x) return zero;
  const double scaled = times(x, 1.0F / scale);
  return static_cast<int>(std::nearbyint(std::fmin(std::fmax(scaled, lo - zero), hi - zero))) +
         zero;
}

struct plain_weights {
  row_matrix<int> codes;  // minus their zero points
  row_matrix<float> scales;
  index depth;  // number of columns that share a scale
};

template <class Granularity>
constexpr index block_depth = 0;  // the whole row
template <index G>
constexpr index block_depth<grouped<G>> = G;

/// Layers with float inputs, and layers with dynamic inputs and weights in groups, store scales
/// with 12 significant bits.
template <class S, class Inputs>
constexpr bool keeps_short_scales =
    std::is_same_v<Inputs, float_inputs> ||
    (std::is_same_v<Inputs, dynamic_int8> && block_depth<typename S::granularity> != 0);

/// The weights as a layer with these inputs stores them.
template <class Inputs, class S>
plain_weights plain(const quantized_matrix<S>& w) {
  constexpr index depth = block_depth<typename S::granularity>;
  plain_weights plain{row_matrix<int>(w.rows(), w.cols()), row_matrix<float>(w.rows(), w.cols()),
                      depth == 0 ? w.cols() : depth};
  for (index j = 0; j < w.rows(); ++j) {
    for (index k = 0; k < w.cols(); ++k) {
      plain.codes(j, k) = w.code(j, k) - w.zero_point(j, k);
      plain.scales(j, k) =
          keeps_short_scales<S, Inputs> ? with_12_bits(w.scale(j, k)) : w.scale(j, k);
    }
  }
  return plain;
}

/// How inputs are quantized, with the parameters if they are fixed.
struct coding {
  bool dynamic;
  int lo, hi;
  quant_params params;
};

/// Empty for float inputs.
template <class Inputs>
std::optional<coding> coding_of() {
  if (std::is_same_v<Inputs, dynamic_int8>) return coding{true, -127, 127, {1.0F, 0}};
  if (std::is_same_v<Inputs, static_int8>) return coding{false, -128, 127, static_s8_params};
  if (std::is_same_v<Inputs, static_uint8>) return coding{false, 0, 255, static_u8_params};
  return std::nullopt;
}

/// A row of inputs, quantized with the documented formulas, one element at a time.
struct coded_row {
  std::vector<int> codes;
  quant_params params;
};

inline coded_row encode(const row_matrix<float>& x, index row, const coding& how) {
  coded_row coded{{}, how.params};
  if (how.dynamic) {
    float amax = 0.0F;
    for (index k = 0; k < x.cols(); ++k) {
      const float size = std::fabs(x(row, k));
      if (size <= std::numeric_limits<float>::max() && size > amax) amax = size;
    }
    if (amax > 0.0F) {
      coded.params.scale = std::fmax(amax / 127.0F, std::numeric_limits<float>::min());
    }
  }
  const auto [scale, zero] = coded.params;
  for (index k = 0; k < x.cols(); ++k)
    coded.codes.push_back(clamped_code(x(row, k), scale, zero, how.lo, how.hi));
  return coded;
}

/// One output for a row of codes. A dynamic scale is applied last.
inline float expected_output(const coded_row& row, bool dynamic, const plain_weights& w, index j,
                             float bias) {
  const index cols = w.codes.cols();
  float total = 0.0F;
  for (index first = 0; first < cols; first += w.depth) {
    std::int64_t sum = 0;
    for (index k = first; k < std::min(cols, first + w.depth); ++k) {
      sum += std::int64_t{row.codes[static_cast<std::size_t>(k)] - row.params.zero_point} *
             w.codes(j, k);
    }
    float scale = w.scales(j, first);
    if (!dynamic) scale = times(scale, row.params.scale);
    total = static_cast<float>(double{total} + double{times(static_cast<float>(sum), scale)});
  }
  if (dynamic) total = times(total, row.params.scale);
  return static_cast<float>(double{total} + double{bias});
}

/// The same for float inputs: sums in order of k, each operation rounded.
inline float expected_weight_only(const row_matrix<float>& x, index row, const plain_weights& w,
                                  index j, float bias) {
  const index cols = w.codes.cols();
  float total = 0.0F;
  for (index first = 0; first < cols; first += w.depth) {
    float sum = 0.0F;
    for (index k = first; k < std::min(cols, first + w.depth); ++k) {
      const float product = times(x(row, k), static_cast<float>(w.codes(j, k)));
      sum = static_cast<float>(double{sum} + double{product});
    }
    total = static_cast<float>(double{total} + double{times(sum, w.scales(j, first))});
  }
  return static_cast<float>(double{total} + double{bias});
}

inline row_matrix<float> expected_of(const row_matrix<float>& x, const plain_weights& w,
                                     const Eigen::VectorXf& bias,
                                     const std::optional<coding>& how) {
  row_matrix<float> y(x.rows(), w.codes.rows());
  for (index i = 0; i < y.rows(); ++i) {
    const coded_row row = how ? encode(x, i, *how) : coded_row{};
    for (index j = 0; j < y.cols(); ++j) {
      y(i, j) = how ? expected_output(row, how->dynamic, w, j, bias[j])
                    : expected_weight_only(x, i, w, j, bias[j]);
    }
  }
  return y;
}

template <class Inputs, class S>
row_matrix<float> expected_outputs(const row_matrix<float>& x, const quantized_matrix<S>& w,
                                   const Eigen::VectorXf& bias) {
  return expected_of(x, plain<Inputs>(w), bias, coding_of<Inputs>());
}

template <class S, class Inputs, class Arch = arch::native>
linear<S, Inputs, Arch> make_layer(const quantized_matrix<S>& w, const Eigen::VectorXf& bias,
                                   const linear_options& options = {}) {
  if constexpr (std::is_same_v<Inputs, static_int8>) {
    return linear<S, Inputs, Arch>(w, bias, static_s8_params, options);
  } else if constexpr (std::is_same_v<Inputs, static_uint8>) {
    return linear<S, Inputs, Arch>(w, bias, static_u8_params, options);
  } else {
    return linear<S, Inputs, Arch>(w, bias, options);
  }
}

/// Tests a static layer that reads the codes of one layer and writes the codes of the next.
template <class Archs, class S, class Code>
void expect_codes_to_codes(const linear_options& options, const quant_params& input) {
  using inputs = static_codes<Code>;
  constexpr int lo = std::numeric_limits<Code>::min(), hi = std::numeric_limits<Code>::max();
  const auto x = random_codes<Code>(7, 77, 1);
  const auto w = quantize<S>(random_reals(35, 77, 2));
  const Eigen::VectorXf bias = random_reals(1, 35, 3).row(0).transpose();
  const plain_weights plain_w = plain<inputs>(w);
  const quant_params& out = options.output_params;
  row_matrix<Code> expected(7, 35);
  for (index i = 0; i < 7; ++i) {
    const coded_row row{{x.row(i).begin(), x.row(i).end()}, input};
    for (index j = 0; j < 35; ++j) {
      const float y = expected_output(row, false, plain_w, j, bias[j]);
      const float bounded = options.relu && y < 0.0F ? 0.0F : y;
      expected(i, j) = static_cast<Code>(clamped_code(bounded, out.scale, out.zero_point, lo, hi));
    }
  }
  EXPECT_GT((expected.array() != expected(0, 0)).count(), 100) << "not all the same";
  Archs::for_each([&]<class Arch>() {
    row_matrix<Code> y(7, 35);
    linear<S, inputs, Arch> layer(w, bias, input, options);
    layer(x, y);
    EXPECT_EQ(y, expected) << Arch::name;
    expect_same_in_reserved_memory(layer, x, y);
  });
}

}  // namespace fewbit::tests
