#pragma once
/// Common parts of all rows of the quantization benchmark: operands and checks of results.
///
/// A case holds the operands and the result of one conversion of n numbers, and checks the result.
/// Read next: support/quant_rows.hpp (makes rows of an implementation).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/random.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::benchmarks {

inline constexpr index array_lengths[] = {index{1} << 18, index{1} << 26, index{1} << 28};
inline constexpr index row_length = 1024;

/// Fills x with random numbers in [-1, 1) that repeat with a period that is no power of two. New
/// random numbers for all elements would take longer than all the rows.
inline void fill_with_reals(float* x, index n) {
  static const std::vector<float> period = [] {
    std::vector<float> reals(1021 * 257);
    for (std::size_t i = 0; i < reals.size(); ++i) {
      reals[i] = 2.0F * uniform(generator{7}, static_cast<index>(i)) - 1.0F;
    }
    return reals;
  }();
  const auto length = static_cast<index>(period.size());
  for (index i = 0; i < n; i += length) {
    std::copy_n(period.data(), std::min(length, n - i), x + i);
  }
}

/// Calls f(i) for a few thousand positions in [0, n), the last one among them. Returns true if
/// every call returned true.
template <class F>
bool holds_at_spread_positions(index n, const F& f) {
  const index step = n / 4099 + 1;
  for (index i = n - 1; i >= 0; i -= step) {
    if (!f(i)) return false;
  }
  return true;
}

/// clamp(rne(x * (1 / scale)) + zero point).
inline int code_of_real(float x, float scale, int zero_point, int lowest, int highest) {
  const float quotient = x * (1.0F / scale);
  const double code = std::nearbyint(double{quotient}) + zero_point;
  return static_cast<int>(std::clamp(code, double(lowest), double(highest)));
}

/// One scale; 1 of 16 numbers is outside the range of the codes. The zero point is even and the
/// scale is a power of two. So adding the zero point before rounding, or dividing by the scale,
/// gives the same codes.
struct quantize_case {
  static constexpr const char* kind = "quantize/f32_s8";
  static constexpr int bytes_per_number = 5;
  static constexpr float scale = 0x1p-7F;
  static constexpr std::int8_t zero_point = 8;

  aligned_buffer<float> in;
  aligned_buffer<std::int8_t> out;

  explicit quantize_case(index n) : in(n, for_overwrite), out(n) { fill_with_reals(in.data(), n); }

  [[nodiscard]] bool is_exact() const {
    return holds_at_spread_positions(in.size(), [&](index i) {
      return out[i] == code_of_real(in[i], scale, zero_point, -128, 127);
    });
  }
};

/// One scale per row.
struct quantize_rows_case {
  static constexpr const char* kind = "quantize/f32_s8_rows";
  static constexpr int bytes_per_number = 5;

  aligned_buffer<float> in;
  aligned_buffer<std::int8_t> out;
  std::vector<float> scales;
  std::vector<std::int32_t> sums;  ///< sums of the codes, if the implementation computes them

  explicit quantize_rows_case(index n)
      : in(n, for_overwrite),
        out(n),
        scales(static_cast<std::size_t>(n / row_length)),
        sums(static_cast<std::size_t>(n / row_length)) {
    fill_with_reals(in.data(), n);
  }

  [[nodiscard]] bool is_exact() const {
    return holds_at_spread_positions(in.size() / row_length, [&](index r) {
      const float* x = in.data() + r * row_length;
      float amax = 0;
      for (index i = 0; i < row_length; ++i) amax = std::max(amax, std::fabs(x[i]));
      int sum = 0;
      for (index i = 0; i < row_length; ++i) {
        const int code = out[r * row_length + i];
        if (code != code_of_real(x[i], amax / 127, 0, -127, 127)) return false;
        sum += code;
      }
      const auto row = static_cast<std::size_t>(r);
      return scales[row] == amax / 127 && (sums.empty() || sums[row] == sum);
    });
  }
};

struct dequantize_case {
  static constexpr const char* kind = "dequantize/s8_f32";
  static constexpr int bytes_per_number = 5;
  static constexpr float scale = 0.0371F;
  static constexpr std::int8_t zero_point = 0;

  aligned_buffer<std::int8_t> in;
  aligned_buffer<float> out;

  explicit dequantize_case(index n) : in(n), out(n) {
    for (index i = 0; i < n; ++i) in[i] = static_cast<std::int8_t>(i * 37 + i / 251);
  }

  [[nodiscard]] bool is_exact() const {
    return holds_at_spread_positions(in.size(), [&](index i) {
      const volatile float real = static_cast<float>(in[i]) * scale;
      return out[i] == real;
    });
  }
};

/// Sums of n / 1024 rows to codes. Factors have few bits and the zero point is even, so adding it
/// before rounding gives the same codes.
struct requantize_case {
  static constexpr const char* kind = "requantize/s32_s8_cols";
  static constexpr int bytes_per_number = 5;
  static constexpr std::int32_t zero_point = 10;

  aligned_buffer<std::int32_t> in;
  aligned_buffer<std::int8_t> out;
  std::vector<std::int32_t> bias;
  std::vector<float> factors;

  explicit requantize_case(index n) : in(n), out(n), bias(row_length, 77) {
    for (index i = 0; i < n; ++i) in[i] = static_cast<std::int32_t>(i * 40503 % 300007) - 150000;
    for (index j = 0; j < row_length; ++j) {
      factors.push_back(0x1p-13F * static_cast<float>(j % 7 + 1));
    }
  }

  [[nodiscard]] bool is_exact() const {
    return holds_at_spread_positions(in.size(), [&](index i) {
      const auto j = static_cast<std::size_t>(i % row_length);
      const float scaled = static_cast<float>(in[i] + bias[j]) * factors[j];
      const double code = std::nearbyint(double{scaled}) + zero_point;
      return out[i] == static_cast<int>(std::clamp(code, -128.0, 127.0));
    });
  }
};

}  // namespace fewbit::benchmarks
