#pragma once
/// The oracle of quantize(): quantization of one element at a time in double. It has its own map
/// from elements to groups.

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <map>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/quant/quantize.hpp"
#include "quant/reference.hpp"

namespace fewbit::tests {

template <class... T>
struct types {
  static constexpr int size = sizeof...(T);
};

/// Calls f.operator()<T>() for each T.
template <class... T, class F>
void for_each_type(types<T...> /*list*/, const F& f) {
  (f.template operator()<T>(), ...);
}

using granularities = types<per_tensor, per_row, per_col, grouped<20>, sub_tensor<3>>;
inline int group_of(per_tensor /*g*/, index /*r*/, index /*c*/) { return 0; }
inline int group_of(per_row /*g*/, index r, index /*c*/) { return static_cast<int>(r); }
inline int group_of(per_col /*g*/, index /*r*/, index c) { return static_cast<int>(c); }
inline int group_of(grouped<20> /*g*/, index r, index c) {
  return static_cast<int>(r * 1000 + c / 20);
}
inline int group_of(sub_tensor<3> /*g*/, index r, index /*c*/) { return static_cast<int>(r / 3); }

struct oracle_params {
  double lo = 0;
  double hi = 0;
  float scale = 1;
  int zero = 0;
};

inline float oracle_scale(real_scale /*s*/, double step) {
  return std::max(static_cast<float>(step), FLT_MIN);
}
inline float oracle_scale(power_of_two /*s*/, double step) {
  int e = -126;
  while (e < 127 && std::ldexp(1.0, e) < step) ++e;
  return static_cast<float>(std::ldexp(1.0, e));
}

/// Limits the scale of real and of symmetric schemes so that every code stands for a finite float.
inline void keep_finite(oracle_params& p, real_scale /*s*/, int code_min, int code_max) {
  const double most = double{FLT_MAX} / std::max(code_max - p.zero, p.zero - code_min);
  if (double{p.scale} * std::max(code_max - p.zero, p.zero - code_min) <= double{FLT_MAX}) return;
  p.scale = static_cast<float>(most);
  if (double{p.scale} > most) p.scale = std::nextafter(p.scale, 0.0F);
}
inline void keep_finite(oracle_params& p, power_of_two /*s*/, int code_min, int code_max) {
  if (code_min != -code_max) return;
  while (double{p.scale} * code_max > double{FLT_MAX}) p.scale /= 2;
}

template <class S>
void finish(oracle_params& p, symmetric /*z*/) {
  const double amax = std::max(-p.lo, p.hi);
  if (amax > 0) p.scale = oracle_scale(typename S::scale{}, amax / S::storage::max);
}
template <class S>
void finish(oracle_params& p, symmetric_full /*z*/) {
  const double amax = std::max(-p.lo, p.hi);
  const double codes = S::storage::max - S::storage::min + 1.0;
  if (amax > 0) p.scale = oracle_scale(typename S::scale{}, 2 * amax / (codes - 1));
}
template <class S>
void finish(oracle_params& p, affine /*z*/) {
  if (p.hi == p.lo) return;
  const double codes = S::storage::max - S::storage::min + 1.0;
  p.scale = oracle_scale(typename S::scale{}, (p.hi - p.lo) / (codes - 1));
  const double zero = std::nearbyint(S::storage::min - p.lo / p.scale);
  p.zero = static_cast<int>(std::clamp<double>(zero, S::storage::min, S::storage::max));
}

inline double oracle_round(nearest_even /*r*/, double x, double /*u*/) { return std::nearbyint(x); }
inline double oracle_round(half_away /*r*/, double x, double /*u*/) { return std::round(x); }
inline double oracle_round(toward_zero /*r*/, double x, double /*u*/) { return std::trunc(x); }
inline double oracle_round(stochastic /*r*/, double x, double u) { return std::floor(x + u); }

template <class S>
std::map<int, oracle_params> oracle_groups(const row_matrix<float>& w) {
  std::map<int, oracle_params> groups;
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      auto& g = groups[group_of(typename S::granularity{}, r, c)];  // [0, 0] holds zero already
      g.lo = std::min(g.lo, double{w(r, c)});
      g.hi = std::max(g.hi, double{w(r, c)});
    }
  }
  for (auto& [key, g] : groups) {
    finish<S>(g, typename S::zero_point{});
    const bool is_narrow = std::is_same_v<typename S::zero_point, symmetric>;
    keep_finite(g, typename S::scale{}, is_narrow ? -S::storage::max : S::storage::min,
                S::storage::max);
  }
  return groups;
}

template <class S>
int oracle_code(float x, const oracle_params& p, float u) {
  // A quotient of two floats, rounded to double and then to float, is the float quotient.
  const auto quotient = static_cast<float>(double{x} / double{p.scale});
  const double rounded = std::isinf(quotient)
                             ? double{quotient}
                             : oracle_round(typename S::rounding{}, double{quotient}, double{u});
  const bool narrow = std::is_same_v<typename S::zero_point, symmetric>;
  const double lo = narrow ? -S::storage::max : S::storage::min;
  return static_cast<int>(std::clamp<double>(rounded + p.zero, lo, S::storage::max));
}

inline const generator draws{2024, 7};

template <class S>
quantized_matrix<S> quantize_any(const row_matrix<float>& w) {
  if constexpr (S::is_random) {
    return quantize<S>(w, draws);
  } else {
    return quantize<S>(w);
  }
}

/// Rows of every kind that scales must handle. 300 columns are more than one chunk, and no multiple
/// of a register.
inline std::vector<row_matrix<float>> inputs() {
  std::vector<row_matrix<float>> all = {noise_matrix(5, 300, 1), noise_matrix(1, 1, 2),
                                        noise_matrix(7, 21, 3, 1e-3)};
  row_matrix<float> odd = noise_matrix(8, 45, 4, 10);
  odd.row(0).setZero();
  odd.row(1).setConstant(2.5F);
  odd.row(2).setConstant(-2.5F);
  odd.row(3) = odd.row(3).cwiseAbs();
  odd.row(4) *= 1e-42F;
  odd.row(5) = odd.row(5).array().round();
  odd.row(6) = -odd.row(6).cwiseAbs();
  all.push_back(odd);
  odd.row(7) *= 1e37F;
  odd(7, 3) = FLT_MAX;
  odd(7, 4) = -FLT_MAX;
  all.push_back(odd);
  return all;
}

template <class S>
  requires(!S::has_minimum)
void expect_equal_to_oracle(const row_matrix<float>& w) {
  const quantized_matrix<S> q = quantize_any<S>(w);
  const row_matrix<float> w_hat = dequantize(q);
  std::map<int, oracle_params> groups = oracle_groups<S>(w);
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      const oracle_params& p = groups[group_of(typename S::granularity{}, r, c)];
      const float u = uniform(draws, r * w.cols() + c);
      ASSERT_EQ(q.scale(r, c), p.scale) << r << ", " << c;
      ASSERT_EQ(q.zero_point(r, c), p.zero) << r << ", " << c;
      ASSERT_EQ(q.code(r, c), oracle_code<S>(w(r, c), p, u)) << r << ", " << c << ": " << w(r, c);
      const double exact = (q.code(r, c) - p.zero) * double{p.scale};
      ASSERT_EQ(w_hat(r, c),
                static_cast<float>(std::clamp(exact, -double{FLT_MAX}, double{FLT_MAX})));
      if (!S::is_random && !std::is_same_v<typename S::rounding, toward_zero>) {
        // The rounded zero point costs up to half a step. So do the last code of the full range and
        // a limited power of two.
        const bool is_huge = std::abs(w(r, c)) > 1e38F;
        const bool is_narrow = std::is_same_v<typename S::zero_point, symmetric>;
        const double bound = (is_narrow && !is_huge ? 0.5 : 1.0) * double{p.scale} * (1 + 1e-2);
        ASSERT_LE(std::abs(double{w(r, c)} - double{w_hat(r, c)}), bound) << r << ", " << c;
      }
    }
  }
}

/// x rounded to 24 significant bits, also if it is larger than the largest float.
inline double in_24_bits(double x) {
  return std::abs(x) < 0x1p100 ? double{static_cast<float>(x)}
                               : double{static_cast<float>(x / 16)} * 16;
}

/// The same for schemes with minima.
template <class S>
  requires(S::has_minimum)
void expect_equal_to_oracle(const row_matrix<float>& w) {
  const quantized_matrix<S> q = quantize_any<S>(w);
  const row_matrix<float> w_hat = dequantize(q);
  std::map<int, std::pair<double, double>> groups;
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      const double x = w(r, c);
      auto& g = groups.try_emplace(group_of(typename S::granularity{}, r, c), x, x).first->second;
      g = {std::min(g.first, x), std::max(g.second, x)};
    }
  }
  constexpr double last = (1 << S::storage::bits) - 1;
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      const auto [lo, hi] = groups[group_of(typename S::granularity{}, r, c)];
      const float scale = lo == hi ? 0.0F : oracle_scale(typename S::scale{}, (hi - lo) / last);
      ASSERT_EQ(q.scale(r, c), scale) << r << ", " << c;
      ASSERT_EQ(double{q.minimum(r, c)}, lo) << r << ", " << c;
      ASSERT_EQ(q.zero_point(r, c), 0);
      const double above = in_24_bits(double{w(r, c)} - lo);
      const auto quotient = static_cast<float>(scale == 0.0F ? 0.0 : above / double{scale});
      const double u = uniform(draws, r * w.cols() + c);
      const double rounded = oracle_round(typename S::rounding{}, double{quotient}, u);
      ASSERT_EQ(q.code(r, c), std::clamp(rounded, 0.0, last)) << r << ", " << c << ": " << w(r, c);
      const double value = in_24_bits(q.code(r, c) * double{scale}) + lo;
      ASSERT_EQ(w_hat(r, c),
                static_cast<float>(std::clamp(value, -double{FLT_MAX}, double{FLT_MAX})));
      if (!S::is_random && !std::is_same_v<typename S::rounding, toward_zero>) {
        // The scale, the difference and both roundings of the value each cost a few units of 2^-24.
        const double magnitude = std::max(std::abs(lo), std::abs(hi));
        const double clipped = std::max(0.0, hi - lo - last * double{scale});
        const double bound = 0.5 * double{scale} + clipped + magnitude * 0x1p-21;
        ASSERT_LE(std::abs(double{w(r, c)} - double{w_hat(r, c)}), bound) << r << ", " << c;
      }
    }
  }
}

}  // namespace fewbit::tests
