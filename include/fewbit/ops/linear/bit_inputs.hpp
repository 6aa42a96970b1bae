#pragma once
/// Float rows to codes of one to eight bits with one scale each, inside an operator.
///
/// | inputs             | code                                  | scale of a row         |
/// |--------------------|---------------------------------------|------------------------|
/// | binary_inputs      | sign(x), sign(0) = 1                  | mean|x|                |
/// | ternary_inputs     | sign(x) where |x| > .7 mean|x|, or 0  | mean of these |x|      |
/// | few_bit_inputs<B>  | rne(x (1 / scale)), B bits, symmetric | max|x| / (2^(B-1) - 1) |
/// | unsigned_inputs<B> | the same, 0 .. 2^B - 1                | max(x) / (2^B - 1)     |
///
/// Means are sums in double, in 16 parts that take every 16th element each and are added in their
/// order: the same bits on every processor. Values that are not finite count nothing in means and
/// maxima; as codes a NaN is sign(0) or 0, and an infinity the last code of its side. A row without
/// a scale has 0 if that is a mean, and 1 if it is a step.
/// Sources: Rastegari et al. 2016, arXiv:1603.05279 (XNOR-Net); Li et al. 2016, arXiv:1605.04711
/// (TWN). Read before: quant/arrays.hpp.

#include "fewbit/begin.hpp"

#include <bit>
#include <cstdint>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/quant/arrays.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// What the finite magnitudes of a row that are above a threshold sum to.
class magnitude_sum {
 public:
  magnitude_sum(const float* x, index n, float threshold) noexcept : threshold_(threshold) {
    index i = 0;
    for (; i + count <= n; i += count) {
#pragma GCC unroll 8
      for (int j = 0; j < registers; ++j) {
        const reals kept = above(reals::load(x + i + j * lanes));
        parts_[j] += arch::convert<double>(kept);
      }
    }
    double sums[count];
    for (int j = 0; j < registers; ++j) parts_[j].store(&sums[j * lanes]);
    for (index part = 0; i + part < n; ++part) sums[part] += double{above(x[i + part])};
    for (const double sum : sums) total_ += sum;
  }

  [[nodiscard]] double total() const noexcept { return total_; }

 private:
  static constexpr int count = 16;
  static constexpr int lanes = arch::native_lanes<double>;
  static constexpr int registers = count / lanes;
  using reals = arch::vec<float, lanes>;
  using doubles = arch::vec<double, lanes>;

  template <class V>
  FEWBIT_ALWAYS_INLINE V above(const V& x) const noexcept {
    const V magnitude = arch::bits_as<float>(finite_magnitude(x));
    return arch::select(magnitude > V(threshold_), magnitude, V(0.0F));
  }

  doubles parts_[registers] = {};
  double total_ = 0.0;
  float threshold_;
};

/// Writes code(x) of each value of a row.
template <class Code, class F>
FEWBIT_ALWAYS_INLINE void encode_each(const float* x, index n, Code* codes,
                                      const F& code) noexcept {
  using vec = arch::vec<float, arch::native_lanes<float>>;
  index i = 0;
  for (; i + vec::lanes <= n; i += vec::lanes)
    arch::convert<Code>(code(vec::load(x + i))).store(codes + i);
  for (; i < n; ++i) codes[i] = static_cast<Code>(code(x[i]));
}

/// A float is above this one where it is above x >= 0.
[[nodiscard]] inline float largest_float_up_to(double x) noexcept {
  const auto nearest = static_cast<float>(x);
  if (double{nearest} <= x) return nearest;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(nearest) - 1);
}

/// Largest finite value of a row; 0 if none is positive.
[[nodiscard]] inline float finite_positive_max(const float* x, index n) noexcept {
  using vec = arch::vec<float, arch::native_lanes<float>>;
  // As integers, positive floats are ordered like the numbers, and the others are negative.
  const auto bits_of = []<class V>(const V& v) {
    using ints = arch::rebind<V, std::int32_t>;
    const ints bits = arch::bits_as<std::int32_t>(v);
    return arch::select(bits < ints(0x7F800000), bits, ints(0));
  };
  arch::rebind<vec, std::int32_t> most(0);
  index i = 0;
  for (; i + vec::lanes <= n; i += vec::lanes) most = arch::max(most, bits_of(vec::load(x + i)));
  std::int32_t largest = arch::max_of_lanes(most);
  for (; i < n; ++i) largest = arch::max(largest, bits_of(x[i]));
  return std::bit_cast<float>(largest);
}

/// Codes of a row, as the table says; answers its scale.
inline float encode_row(binary_inputs, const float* x, index n, std::int8_t* codes) noexcept {
  encode_each(x, n, codes, []<class V>(const V& v) {
    using ints = arch::rebind<V, std::int32_t>;
    return arch::select(v < V(0.0F), ints(-1), ints(1));
  });
  return static_cast<float>(magnitude_sum(x, n, 0.0F).total() / static_cast<double>(n));
}

inline float encode_row(ternary_inputs, const float* x, index n, std::int8_t* codes) noexcept {
  const double mean = magnitude_sum(x, n, 0.0F).total() / static_cast<double>(n);
  const float threshold = largest_float_up_to(0.7 * mean);
  encode_each(x, n, codes, [=]<class V>(const V& v) {
    using ints = arch::rebind<V, std::int32_t>;
    const ints positive = arch::select(v > V(threshold), ints(1), ints(0));
    return arch::select(v < V(-threshold), ints(-1), positive);
  });
  std::int64_t kept = 0;
  for (index i = 0; i < n; ++i) kept += arch::bits_as<float>(finite_magnitude(x[i])) > threshold;
  if (kept == 0) return 0.0F;
  return static_cast<float>(magnitude_sum(x, n, threshold).total() / static_cast<double>(kept));
}

template <int Bits, bool Signed>
float encode_row(few_bit_inputs<Bits, Signed>, const float* x, index n,
                 typename few_bit_inputs<Bits, Signed>::code* codes) noexcept {
  using inputs = few_bit_inputs<Bits, Signed>;
  const float amax = Signed ? finite_amax(x, n) : finite_positive_max(x, n);
  const float scale = dynamic_scale(amax, inputs::largest);
  const int lowest = Signed ? -inputs::largest : 0;
  row_quantizer<typename inputs::code>({scale, 0}, lowest, inputs::largest)(x, n, codes);
  return scale;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
