#pragma once
/// How GPTQ and other searches of codes choose the parameters of one group, its codes and their
/// values. Private to equalize/.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/random.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "fewbit/quant/encode_integers.hpp"
#include "fewbit/quant/encode_levels.hpp"
#include "fewbit/quant/group_choices.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/range.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// How the scale of a group is chosen.
enum class scale_rule : std::uint8_t {
  full_range,   ///< choose_params of its smallest and largest value
  least_error,  ///< the best of this range and 20 smaller ones, down to 0.4 times it
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The scale of a group of a codebook.
struct level_scale {
  float scale = 1.0F;
};

template <Scheme S>
struct group_params {
  using type = params_of<S>;
};
template <CodebookScheme S>
struct group_params<S> {
  using type = level_scale;
};

/// The parameters of a group, the code of a value and the value of a code, as quantize() and
/// dequantize() have them.
template <Scheme S>
class group_rule {
 public:
  using params = typename group_params<S>::type;
  using code = typename S::code;

  [[nodiscard]] static params of_range(const range& r) { return choose_params<S>(r); }

  [[nodiscard]] code encode(float x, const params& p) const noexcept {
    return fewbit::detail::encode<representative<S>>(x, stretch(p), element_draws{}, 0);
  }

  [[nodiscard]] float value(code c, const params& p) const noexcept {
    float x;
    decode_stretch(&c, 1, stretch(p), &x);
    return x;
  }

  /// The values of the codes of n numbers; n <= encode_chunk.
  void round(const float* x, index n, const params& p, float* values) const noexcept {
    std::array<code, encode_chunk> codes;
    encode_stretch<representative<S>>(x, n, stretch(p), element_draws{}, codes.data());
    decode_stretch(codes.data(), n, stretch(p), values);
  }

 private:
  [[nodiscard]] static auto stretch(const params& p) noexcept {
    if constexpr (S::has_minimum) {
      return shared_minimum::of<S>(p.scale, p.minimum);
    } else {
      return shared_params{p.scale, p.zero_point};
    }
  }
};

template <CodebookScheme S>
class group_rule<S> {
 public:
  using params = level_scale;
  using code = typename S::code;

  explicit group_rule(std::span<const float> levels)
      : levels_(levels.begin(), levels.end()), nearest_(levels) {}

  [[nodiscard]] const std::vector<float>& levels() const noexcept { return levels_; }

  /// A group of zeros gets scale 1 if 0 is a level, else 0.
  [[nodiscard]] params of_range(const range& r) const noexcept {
    if (r.amax() == 0.0F) return {levels_[nearest_(0.0F)] == 0.0F ? 1.0F : 0.0F};
    return {real_scale::round_step(double{r.amax()})};
  }

  [[nodiscard]] code encode(float x, const params& p) const noexcept {
    return nearest_(x / (p.scale == 0.0F ? min_scale : p.scale));
  }

  [[nodiscard]] float value(code c, const params& p) const noexcept { return levels_[c] * p.scale; }

  void round(const float* x, index n, const params& p, float* values) const noexcept {
    for (index i = 0; i < n; ++i) values[i] = value(encode(x[i], p), p);
  }

 private:
  std::vector<float> levels_;
  nearest_level<S::storage::bits> nearest_;
};

/// sum weights[i] (x[i] - its value)^2 under p. Eight partial sums take every eighth element each.
template <Scheme S>
[[nodiscard]] double weighted_error(const group_rule<S>& rule, std::span<const float> x,
                                    std::span<const double> weights,
                                    const typename group_rule<S>::params& p) noexcept {
  constexpr int width = 8;
  using doubles = arch::vec<double, width>;
  using floats = arch::vec<float, width>;
  std::array<float, encode_chunk> values;
  doubles sums(0.0);
  double total = 0.0;
  const auto size = static_cast<index>(x.size());
  for (index first = 0; first < size; first += encode_chunk) {
    const index count = std::min(encode_chunk, size - first);
    const float* from = x.data() + first;
    const double* weight = weights.data() + first;
    rule.round(from, count, p, values.data());
    index i = 0;
    for (; i + width <= count; i += width) {
      const doubles e = arch::convert<double>(floats::load(from + i)) -
                        arch::convert<double>(floats::load(values.data() + i));
      const doubles square = arch::rounded(doubles(e * e));
      sums += arch::rounded(doubles(doubles::load(weight + i) * square));
    }
    for (; i < count; ++i) {
      const double e = double{from[i]} - double{values[static_cast<std::size_t>(i)]};
      total += arch::rounded(weight[i] * arch::rounded(e * e));
    }
  }
  for (int lane = 0; lane < width; ++lane) total += sums[lane];
  return total;
}

/// A smaller range: towards 0, or towards its middle if the values of the scheme start at a
/// minimum.
template <Scheme S>
[[nodiscard]] range shrunk(const range& r, float share) noexcept {
  if constexpr (S::has_minimum) {
    const float half = arch::rounded(r.hi * 0.5F) - arch::rounded(r.lo * 0.5F);
    const float cut = arch::rounded(half * (1.0F - share));
    return {r.lo + cut, r.hi - cut};
  } else {
    return {r.lo * share, r.hi * share};
  }
}

/// The parameters of a group of values.
template <Scheme S>
[[nodiscard]] typename group_rule<S>::params choose_group(const group_rule<S>& rule, scale_rule how,
                                                          std::span<const float> x,
                                                          std::span<const double> weights) {
  range all{x[0], x[0]};
  for (const float value : x) all = hull(all, {value, value});
  auto best = rule.of_range(all);
  if (how == scale_rule::full_range) return best;
  constexpr int tries = 20;
  double least = weighted_error(rule, x, weights, best);
  for (int i = 1; i <= tries; ++i) {
    const float share = 1.0F - arch::rounded(0.03F * static_cast<float>(i));
    const auto p = rule.of_range(shrunk<S>(all, share));
    const double error = weighted_error(rule, x, weights, p);
    if (error < least) {
      least = error;
      best = p;
    }
  }
  return best;
}

/// The choices of all groups as quantized_matrix holds them.
template <Scheme S>
void set_group(group_choices<S>& all, index i, const typename group_rule<S>::params& p) noexcept {
  if constexpr (CodebookScheme<S>) {
    all.scales[static_cast<std::size_t>(i)] = p.scale;
  } else {
    all.set(i, p);
  }
}

/// A matrix of given codes, which are valid, and parameters.
template <Scheme S>
[[nodiscard]] quantized_matrix<S> matrix_of_codes(const row_matrix<typename S::code>& codes,
                                                  group_choices<S>&& choices,
                                                  const group_rule<S>& rule) {
  using access = quantized_matrix_access;
  auto q = access::make<S>(codes.rows(), codes.cols());
  for (index r = 0; r < codes.rows(); ++r) {
    pack_codes<typename S::storage>(codes.data() + r * codes.cols(), codes.cols(),
                                    access::row(q, r));
  }
  if constexpr (CodebookScheme<S>) {
    access::set_levels(q, std::move(choices.scales), std::vector<float>(rule.levels()));
  } else {
    static_cast<void>(rule);
    access::set_params(q, std::move(choices.scales), std::move(choices.zero_points));
    if constexpr (S::has_minimum) access::set_minima(q, std::move(choices.minima));
  }
  return q;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
