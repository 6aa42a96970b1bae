#pragma once
/// The oracle of quantize(): quantization of one element at a time in double. It has its own map
/// from elements to groups. The rules of a scheme are values here, so that the oracle is compiled
/// once and not for each scheme.

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

/// What a scheme prescribes.
struct oracle_rules {
  int (*group)(index r, index c);       ///< elements with equal numbers share a scale
  double (*round)(double x, double u);  ///< u: the random number in [0, 1) of the element
  int code_min;                         ///< of the storage
  int code_max;
  bool is_narrow;  ///< codes are in [-code_max, code_max], zero point 0
  bool is_affine;
  bool is_power_of_two;  ///< the scale
  bool is_random;        ///< the rounding
  bool truncates;
};

inline double oracle_round(nearest_even /*r*/, double x, double /*u*/) { return std::nearbyint(x); }
inline double oracle_round(half_away /*r*/, double x, double /*u*/) { return std::round(x); }
inline double oracle_round(toward_zero /*r*/, double x, double /*u*/) { return std::trunc(x); }
inline double oracle_round(stochastic /*r*/, double x, double u) { return std::floor(x + u); }

template <class S>
oracle_rules rules_of() {
  return {.group = [](index r, index c) { return group_of(typename S::granularity{}, r, c); },
          .round = [](double x, double u) { return oracle_round(typename S::rounding{}, x, u); },
          .code_min = S::storage::min,
          .code_max = S::storage::max,
          .is_narrow = std::is_same_v<typename S::zero_point, symmetric>,
          .is_affine = std::is_same_v<typename S::zero_point, affine>,
          .is_power_of_two = std::is_same_v<typename S::scale, power_of_two>,
          .is_random = S::is_random,
          .truncates = std::is_same_v<typename S::rounding, toward_zero>};
}

struct oracle_params {
  double lo = 0;
  double hi = 0;
  float scale = 1;
  int zero = 0;
};

inline float oracle_scale(const oracle_rules& rules, double step) {
  if (!rules.is_power_of_two) return std::max(static_cast<float>(step), FLT_MIN);
  int e = -126;
  while (e < 127 && std::ldexp(1.0, e) < step) ++e;
  return static_cast<float>(std::ldexp(1.0, e));
}

/// No code of a real or a symmetric scheme stands for more than the largest float.
inline void keep_finite(oracle_params& p, const oracle_rules& rules) {
  const int code_min = rules.is_narrow ? -rules.code_max : rules.code_min;
  if (rules.is_power_of_two) {
    if (code_min != -rules.code_max) return;
    while (double{p.scale} * rules.code_max > double{FLT_MAX}) p.scale /= 2;
    return;
  }
  const double codes = std::max(rules.code_max - p.zero, p.zero - code_min);
  const double most = double{FLT_MAX} / codes;
  if (double{p.scale} * codes <= double{FLT_MAX}) return;
  p.scale = static_cast<float>(most);
  if (double{p.scale} > most) p.scale = std::nextafter(p.scale, 0.0F);
}

/// The scale and the zero point of the range from p.lo to p.hi.
inline void finish(oracle_params& p, const oracle_rules& rules) {
  const double codes = rules.code_max - rules.code_min + 1.0;
  const double amax = std::max(-p.lo, p.hi);
  if (rules.is_affine) {
    if (p.hi == p.lo) return;
    p.scale = oracle_scale(rules, (p.hi - p.lo) / (codes - 1));
    const double zero = std::nearbyint(rules.code_min - p.lo / double{p.scale});
    p.zero = static_cast<int>(std::clamp<double>(zero, rules.code_min, rules.code_max));
  } else if (amax > 0) {
    p.scale = oracle_scale(rules, rules.is_narrow ? amax / rules.code_max : 2 * amax / (codes - 1));
  }
}

inline std::map<int, oracle_params> oracle_groups(const row_matrix<float>& w,
                                                  const oracle_rules& rules) {
  std::map<int, oracle_params> groups;
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      auto& g = groups[rules.group(r, c)];  // [0, 0] holds zero already
      g.lo = std::min(g.lo, double{w(r, c)});
      g.hi = std::max(g.hi, double{w(r, c)});
    }
  }
  for (auto& [key, g] : groups) {
    finish(g, rules);
    keep_finite(g, rules);
  }
  return groups;
}

inline int oracle_code(float x, const oracle_params& p, const oracle_rules& rules, float u) {
  // A quotient of two floats, rounded to double and then to float, is the float quotient.
  const auto quotient = static_cast<float>(double{x} / double{p.scale});
  const double rounded =
      std::isinf(quotient) ? double{quotient} : rules.round(double{quotient}, double{u});
  const double lo = rules.is_narrow ? -rules.code_max : rules.code_min;
  return static_cast<int>(std::clamp<double>(rounded + p.zero, lo, rules.code_max));
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

/// Rows of every kind the scales must survive; 300 columns are more than one chunk and no multiple
/// of anything.
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

/// The elements of a quantized matrix and what they stand for.
struct element_values {
  row_matrix<int> codes;
  row_matrix<int> zero_points;
  row_matrix<float> scales;
  row_matrix<float> w_hat;
};

template <class S>
element_values values_of(const quantized_matrix<S>& q) {
  element_values v;
  v.codes.resize(q.rows(), q.cols());
  v.zero_points.resize(q.rows(), q.cols());
  v.scales.resize(q.rows(), q.cols());
  for (index r = 0; r < q.rows(); ++r) {
    for (index c = 0; c < q.cols(); ++c) {
      v.codes(r, c) = q.code(r, c);
      v.zero_points(r, c) = q.zero_point(r, c);
      v.scales(r, c) = q.scale(r, c);
    }
  }
  v.w_hat = dequantize(q);
  return v;
}

inline void expect_equal_to_oracle(const row_matrix<float>& w, const element_values& q,
                                   const oracle_rules& rules) {
  std::map<int, oracle_params> groups = oracle_groups(w, rules);
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      const oracle_params& p = groups[rules.group(r, c)];
      const float u = uniform(draws, r * w.cols() + c);
      ASSERT_EQ(q.scales(r, c), p.scale) << r << ", " << c;
      ASSERT_EQ(q.zero_points(r, c), p.zero) << r << ", " << c;
      ASSERT_EQ(q.codes(r, c), oracle_code(w(r, c), p, rules, u))
          << r << ", " << c << ": " << w(r, c);
      const double exact = (q.codes(r, c) - p.zero) * double{p.scale};
      ASSERT_EQ(q.w_hat(r, c),
                static_cast<float>(std::clamp(exact, -double{FLT_MAX}, double{FLT_MAX})));
      if (!rules.is_random && !rules.truncates) {
        // The rounded zero point costs up to half a step. So do the last code of the full range and
        // a limited power of two.
        const bool is_huge = std::abs(w(r, c)) > 1e38F;
        const double bound =
            (rules.is_narrow && !is_huge ? 0.5 : 1.0) * double{p.scale} * (1 + 1e-2);
        ASSERT_LE(std::abs(double{w(r, c)} - double{q.w_hat(r, c)}), bound) << r << ", " << c;
      }
    }
  }
}

template <class S>
  requires(!S::has_minimum)
void expect_equal_to_oracle(const row_matrix<float>& w) {
  expect_equal_to_oracle(w, values_of(quantize_any<S>(w)), rules_of<S>());
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
      const float scale = lo == hi ? 0.0F : oracle_scale(rules_of<S>(), (hi - lo) / last);
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
