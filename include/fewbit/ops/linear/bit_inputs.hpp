#pragma once
/// How a layer converts a row of floats to codes of one to eight bits, with one scale for each row.
///
/// | inputs             | code                                  | scale of a row         |
/// |--------------------|---------------------------------------|------------------------|
/// | binary_inputs      | sign(x), sign(0) = 1                  | mean|x|                |
/// | ternary_inputs     | sign(x) where |x| > .7 mean|x|, or 0  | mean of these |x|      |
/// | few_bit_inputs<B>  | rne(x (1 / scale)), B bits, symmetric | max|x| / (2^(B-1) - 1) |
/// | unsigned_inputs<B> | the same, 0 .. 2^B - 1                | max(x) / (2^B - 1)     |
///
/// Means are computed from sums in double. Sum i of 16 adds the elements i, i + 16, i + 32 ...; the
/// 16 sums are added in order. So means have the same bits on every processor. A NaN or an infinity
/// counts as 0 in means and maxima. A NaN gets the code of 0. An infinity gets the largest or the
/// smallest code. The scale of a row of zeros is 0 if the scale is a mean, else 1.
/// Sources: Rastegari et al. 2016, arXiv:1603.05279 (XNOR-Net); Li et al. 2016, arXiv:1605.04711
/// (TWN). Read before: quant/arrays.hpp.

#include "fewbit/begin.hpp"

#include <bit>
#include <cstdint>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/ops/inputs.hpp"
#include "fewbit/quant/arrays.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The sum of the finite magnitudes of a row that are above a threshold.
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

/// The largest float that is at most x, for x >= 0. A float is greater than x if and only if it is
/// greater than this one.
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

/// Encoders of rows (ops/inputs.hpp), as the table says.
template <>
class row_encoder<binary_inputs> {
 public:
  row_encoder(const float* x, index n) noexcept
      : x_(x),
        scale_(static_cast<float>(magnitude_sum(x, n, 0.0F).total() / static_cast<double>(n))) {}

  [[nodiscard]] float scale() const noexcept { return scale_; }
  void operator()(index first, index count, std::int8_t* codes) const noexcept {
    encode_each(x_ + first, count, codes, []<class V>(const V& v) {
      using ints = arch::rebind<V, std::int32_t>;
      return arch::select(v < V(0.0F), ints(-1), ints(1));
    });
  }

 private:
  const float* x_;
  float scale_;
};

template <>
class row_encoder<ternary_inputs> {
 public:
  row_encoder(const float* x, index n) noexcept : x_(x), scale_(0.0F) {
    const double mean = magnitude_sum(x, n, 0.0F).total() / static_cast<double>(n);
    threshold_ = largest_float_up_to(0.7 * mean);
    std::int64_t kept = 0;
    for (index i = 0; i < n; ++i) kept += arch::bits_as<float>(finite_magnitude(x[i])) > threshold_;
    if (kept == 0) return;
    const double sum = magnitude_sum(x, n, threshold_).total();
    scale_ = static_cast<float>(sum / static_cast<double>(kept));
  }

  [[nodiscard]] float scale() const noexcept { return scale_; }
  void operator()(index first, index count, std::int8_t* codes) const noexcept {
    encode_each(x_ + first, count, codes, [threshold = threshold_]<class V>(const V& v) {
      using ints = arch::rebind<V, std::int32_t>;
      const ints positive = arch::select(v > V(threshold), ints(1), ints(0));
      return arch::select(v < V(-threshold), ints(-1), positive);
    });
  }

 private:
  const float* x_;
  float scale_;
  float threshold_;
};

template <int Bits, bool Signed>
class row_encoder<few_bit_inputs<Bits, Signed>> {
  using inputs = few_bit_inputs<Bits, Signed>;
  using code = typename inputs::code;

 public:
  row_encoder(const float* x, index n) noexcept
      : x_(x),
        scale_(
            dynamic_scale(Signed ? finite_amax(x, n) : finite_positive_max(x, n), inputs::largest)),
        quantizer_({scale_, 0}, Signed ? -inputs::largest : 0, inputs::largest) {}

  [[nodiscard]] float scale() const noexcept { return scale_; }
  void operator()(index first, index count, code* codes) const noexcept {
    quantizer_(x_ + first, count, codes);
  }

 private:
  const float* x_;
  float scale_;
  row_quantizer<code> quantizer_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
