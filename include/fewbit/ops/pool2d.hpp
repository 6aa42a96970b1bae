#pragma once
/// Average and maximum of windows of images of codes.
///
///     const window2d window{.kernel = {2, 2}, .stride = {2, 2}};
///     const placed_window windows("average_pool2d", {56, 56, 128}, window);
///     const average_pool2d<std::int8_t> pool(windows);
///     pool(x, y);             // x: one image in each row; y: one output image in each row
///
/// Inputs and outputs have one scale and one zero point. Channels are the lanes of registers, so
/// images with 16 channels or more are fast. Read before: ops/window2d.hpp. Read next:
/// ops/mean2d.hpp (means with other scales of outputs), ops/window_loops.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "fewbit/arch/averages.hpp"
#include "fewbit/arch/products.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/ops/code_blocks.hpp"
#include "fewbit/ops/window2d.hpp"
#include "fewbit/ops/window_loops.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Means of up to 128 codes of type T from sums of code + 128, or of uint8 codes.
///
/// The quotient is a product and a shift. Ties go away from zero: the sum of an even number of int8
/// codes is reduced by 1 where it is negative, which changes ties alone.
/// Source: Granlund and Montgomery 1994, "Division by invariant integers using multiplication".
template <ByteCode T>
class rounded_mean {
 public:
  /// What is added to a code so that it is positive.
  static constexpr int offset = std::is_signed_v<T> ? 128 : 0;

  /// @param count  1 to 128
  explicit rounded_mean(index count) noexcept
      : half_(static_cast<std::uint16_t>(count / 2)),
        zero_(static_cast<std::uint16_t>(count / 2 + offset * count)),
        places_(std::bit_width(static_cast<std::uint32_t>(count - 1))),
        has_ties_(count % 2 == 0 && offset != 0) {
    const auto d = static_cast<std::uint32_t>(count);
    // 2^(15 + places) / count, rounded up, is at least 2^15 and less than 2^16.
    multiplier_ = static_cast<std::uint16_t>(((std::uint32_t{1} << (15 + places_)) + d - 1) / d);
  }

  /// A sum plus this is what operator() takes.
  [[nodiscard]] std::uint16_t half() const noexcept { return half_; }

  /// The mean plus offset, 0 to 255.
  template <class V>
  [[nodiscard]] FEWBIT_ALWAYS_INLINE V operator()(V sum) const noexcept {
    static_assert(std::is_same_v<arch::lane<V>, std::uint16_t>);
    if (places_ == 0) return sum;
    if (has_ties_) {
      // Sums are below 2^15, so signed comparisons do.
      const auto order = arch::bits_as<std::int16_t>(sum);
      using ints = std::remove_const_t<decltype(order)>;
      sum = static_cast<V>(sum + arch::select(order < ints(static_cast<std::int16_t>(zero_)),
                                              V(static_cast<std::uint16_t>(-1)),
                                              V(std::uint16_t{0})));
    }
    return static_cast<V>(arch::high_half_product(sum, V(multiplier_)) >>
                          V(static_cast<std::uint16_t>(places_ - 1)));
  }

 private:
  std::uint16_t half_;
  std::uint16_t zero_;  // the sum of zeros, plus half_
  std::uint16_t multiplier_ = 0;
  int places_;
  bool has_ties_;
};

/// The most pixels of 8-bit codes whose sum fits 15 bits.
inline constexpr index most_int16_taps = 128;

}  // namespace detail

/// Choices of average_pool2d.
struct average_options {
  /// Pixels of padding count, as real zeros; otherwise windows at the edges have fewer pixels.
  bool counts_padding = false;
  /// The code of a real zero: the zero point of inputs and outputs. Used if padding counts.
  std::int32_t zero_point = 0;
  /// Codes that outputs are clamped to.
  code_bounds bounds = {};
};

/// y = clamp(round(sum of the codes of a window / number of its pixels)), ties away from zero.
/// Source: TFLite's kernel AveragePool; CMSIS-NN arm_avgpool_s8 and arm_avgpool_s16.
///
/// @tparam T  std::int8_t, std::uint8_t or std::int16_t
template <Code T>
class average_pool2d {
  static constexpr const char* name = "average_pool2d";

 public:
  /// @throws fewbit::error if a window could lie in the padding alone, there is padding and
  ///         dilation, a window has more pixels than int32 sums allow, the zero point is no code,
  ///         or bounds hold no code
  explicit average_pool2d(const placed_window& windows, const average_options& options = {})
      : windows_(windows), options_(options) {
    detail::expect_padding_in_kernel(name, windows.window());
    constexpr index most = sizeof(T) == 1 ? (1 << 23) - 1 : (1 << 16) - 2;
    const index taps = windows.window().taps();
    detail::expect(taps <= most, name, "kernel.height * kernel.width", taps,
                   "at most " + std::to_string(most));
    detail::expect_code_zero<T>(name, "options.zero_point", options.zero_point);
    options_.bounds = detail::bounds_of<T>(name, options.bounds);
  }

  [[nodiscard]] const placed_window& windows() const noexcept { return windows_; }
  [[nodiscard]] const average_options& options() const noexcept { return options_; }

  /// @param x  images of windows().image().size() codes in rows
  /// @param y  as many rows of windows().output_pixels() * channels codes; no part of x
  /// @param executor  runs some rows of outputs at a time; results do not depend on it
  /// If shapes do not fit, the error handler is called and the program terminates.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<T, T, Y, X>()) {
      detail::expect_images(name, windows_, x, y);
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      detail::for_each_window_run<T, T>(windows_, from, to, executor,
                                        [this](const auto& run, T* out) { average(run, out); });
    }
  }

 private:
  using pixels = detail::window_pixels<T>;
  /// Used for 8-bit codes only.
  using rounded_mean = detail::rounded_mean<std::conditional_t<ByteCode<T>, T, std::int8_t>>;

  [[nodiscard]] index divisor(const pixels& w) const noexcept {
    return options_.counts_padding ? windows_.window().taps() : w.count();
  }
  /// The sum of the pixels of padding.
  [[nodiscard]] std::int32_t padding_sum(const pixels& w) const noexcept {
    if (!options_.counts_padding) return 0;
    return options_.zero_point * static_cast<std::int32_t>(windows_.window().taps() - w.count());
  }

  void average(const detail::window_run<T>& run, T* y) const noexcept {
    const pixels& w = run.first;
    const index channels = windows_.image().channels, count = divisor(w);
    if constexpr (ByteCode<T>) {
      if (w.rows == 2 && w.cols == 2 && count == 4 && channels >= 16) {
        return average_of_four(run, channels, options_.bounds, y);
      }
      if (windows_.window().taps() <= detail::most_int16_taps) {
        const rounded_mean mean(count);
        return detail::for_each_in_run(
            run, channels, y, [&](const auto& window, T* out) { average16(window, mean, out); });
      }
    }
    detail::for_each_in_run(run, channels, y,
                            [&](const auto& window, T* out) { average32(window, count, out); });
  }

  /// Windows of 2 x 2 pixels. Not inlined, so that its values stay in registers.
  [[gnu::noinline]] static void average_of_four(const detail::window_run<T>& run, index channels,
                                                const code_bounds& bounds, T* y) noexcept {
    const auto lowest = static_cast<T>(bounds.lowest), highest = static_cast<T>(bounds.highest);
    const index row = run.first.row_step, col = run.first.col_step, depth = channels;
    detail::for_each_in_run(run, depth, y, [&](const auto& w, T* out) FEWBIT_INLINE_LAMBDA {
      const T* const p = w.first;
      detail::for_each_channel_block<arch::native_lanes<T>>(
          depth, [&]<int N>(index c) FEWBIT_INLINE_LAMBDA {
            if constexpr (N > 1) {
              using codes = arch::vec<T, N>;
              const codes mean =
                  arch::mean_of_four(codes::load(p + c), codes::load(p + c + col),
                                     codes::load(p + c + row), codes::load(p + c + row + col));
              arch::clamp(mean, codes(lowest), codes(highest)).store(out + c);
            }
          });
    });
  }

  /// Sums in 16 bits. A pair of bytes is a 16-bit number: `all` sums these numbers modulo 2^16, and
  /// `high` sums their higher bytes, so that all - 256 * high sums the lower bytes.
  FEWBIT_ALWAYS_INLINE void average16(const pixels& w, const rounded_mean& mean,
                                      T* y) const noexcept {
    constexpr int offset = rounded_mean::offset;
    const index missing = options_.counts_padding ? windows_.window().taps() - w.count() : 0;
    const auto start = static_cast<std::uint16_t>(mean.half() + (options_.zero_point + offset) *
                                                                    static_cast<int>(missing));
    const auto lowest = static_cast<T>(options_.bounds.lowest);
    const auto highest = static_cast<T>(options_.bounds.highest);
    detail::with_shape(w, [&](auto shape) FEWBIT_INLINE_LAMBDA {
      detail::for_each_channel_block<arch::native_lanes<T>>(
          windows_.image().channels, [&]<int N>(index c) FEWBIT_INLINE_LAMBDA {
            const pixels from = w.from_channel(c);
            if constexpr (N == 1) {
              std::uint16_t sum = start;
              detail::for_each_pixel(shape, from, [&](const T* p) {
                sum = static_cast<std::uint16_t>(sum + *p + offset);
              });
              y[c] = std::clamp(static_cast<T>(mean(sum) - offset), lowest, highest);
            } else {
              using words = arch::vec<std::uint16_t, N / 2>;
              using codes = arch::vec<T, N>;
              const words flip(static_cast<std::uint16_t>(offset * 257)), eight(std::uint16_t{8});
              words all(std::uint16_t{0}), high(std::uint16_t{0});
              detail::for_each_pixel(shape, from, [&](const T* p) {
                words word;
                std::memcpy(&word.data, p, sizeof(word.data));
                word = word ^ flip;
                all = all + word;
                high = high + (word >> eight);
              });
              const words low = all - (high << eight) + words(start);
              const words code = (mean(low) | (mean(words(high + words(start))) << eight)) ^ flip;
              codes mean_codes;
              std::memcpy(&mean_codes.data, &code.data, sizeof(code.data));
              arch::clamp(mean_codes, codes(lowest), codes(highest)).store(y + c);
            }
          });
    });
  }

  /// Sums in 32 bits, divided by a product of 64 bits, exactly.
  void average32(const pixels& w, index count, T* y) const noexcept {
    const auto divisor = static_cast<std::uint64_t>(count);
    const int places = 31 + std::bit_width(static_cast<std::uint32_t>(count - 1));
    const std::uint64_t multiplier = ((std::uint64_t{1} << places) + divisor - 1) / divisor;
    const std::int32_t start = padding_sum(w);
    detail::for_each_channel_block<detail::code_ints::lanes>(
        windows_.image().channels, [&]<int N>(index c) FEWBIT_INLINE_LAMBDA {
          using sums = detail::lanes_of<std::int32_t, N>;
          using codes = detail::lanes_of<T, N>;
          using words = arch::rebind<sums, std::uint64_t>;
          sums sum(start);
          detail::for_each_pixel(detail::window_shape<0, 0>{}, w.from_channel(c), [&](const T* p) {
            sum = sum + arch::convert<std::int32_t>(arch::load<codes>(p));
          });
          const sums sign = sum >> sums(31);
          const sums magnitude = ((sum ^ sign) - sign) + sums(static_cast<std::int32_t>(count / 2));
          const words product =
              arch::convert<std::uint64_t>(arch::bits_as<std::uint32_t>(magnitude)) *
              words(multiplier);
          const sums quotient = arch::convert<std::int32_t>(
              words(product >> words(static_cast<std::uint64_t>(places))));
          const sums mean =
              arch::clamp(sums((quotient ^ sign) - sign), sums(options_.bounds.lowest),
                          sums(options_.bounds.highest));
          arch::store<codes>(y + c, arch::convert<T>(mean));
        });
  }

  placed_window windows_;
  average_options options_;
};

/// y = clamp(the largest code of a window). Padding never counts.
/// Source: TFLite's kernel MaxPool; CMSIS-NN arm_max_pool_s8 and arm_max_pool_s16.
///
/// @tparam T  std::int8_t, std::uint8_t or std::int16_t
template <Code T>
class max_pool2d {
  static constexpr const char* name = "max_pool2d";

 public:
  /// @throws fewbit::error if a window could lie in the padding alone, there is padding and
  ///         dilation, or bounds hold no code
  explicit max_pool2d(const placed_window& windows, const code_bounds& bounds = {})
      : windows_(windows) {
    detail::expect_padding_in_kernel(name, windows.window());
    bounds_ = detail::bounds_of<T>(name, bounds);
  }

  [[nodiscard]] const placed_window& windows() const noexcept { return windows_; }
  [[nodiscard]] const code_bounds& bounds() const noexcept { return bounds_; }

  /// As average_pool2d.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<T, T, Y, X>()) {
      detail::expect_images(name, windows_, x, y);
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      detail::for_each_window_run<T, T>(windows_, from, to, executor,
                                        [this](const auto& run, T* out) { largest(run, out); });
    }
  }

 private:
  using pixels = detail::window_pixels<T>;

  void largest(const detail::window_run<T>& run, T* y) const noexcept {
    const pixels& w = run.first;
    const index channels = windows_.image().channels;
    if (w.rows == 3 && w.cols == 3 && run.step == 2 * w.col_step) {
      return take_largest_of_columns<2>(run, channels, bounds_, y);
    }
    if (w.rows == 3 && w.cols == 3 && run.step == w.col_step) {
      return take_largest_of_columns<1>(run, channels, bounds_, y);
    }
    detail::with_shape(w, [&](auto shape) FEWBIT_INLINE_LAMBDA {
      take_largest(shape, run, channels, bounds_, y);
    });
  }

  /// Not inlined: in the loops over runs, its values would not stay in registers.
  template <class Shape>
  [[gnu::noinline]] static void take_largest(Shape shape, const detail::window_run<T>& run,
                                             index channels, const code_bounds& bounds,
                                             T* y) noexcept {
    const auto lowest = static_cast<T>(bounds.lowest), highest = static_cast<T>(bounds.highest);
    const index depth = channels;
    detail::for_each_in_run(run, depth, y, [&](const auto& w, T* out) FEWBIT_INLINE_LAMBDA {
      detail::for_each_channel_block<arch::native_lanes<T>>(
          depth, [&]<int N>(index c) FEWBIT_INLINE_LAMBDA {
            using codes = detail::lanes_of<T, N>;
            codes largest(lowest);
            detail::for_each_pixel(shape, w.from_channel(c), [&](const T* p) {
              largest = arch::max(largest, arch::load<codes>(p));
            });
            arch::store<codes>(out + c, arch::min(largest, codes(highest)));
          });
    });
  }

  /// Windows of 3 x 3 pixels that share columns with the next: the largest code of each column is
  /// computed once. Some windows at a time, so that their pixels stay in L1 while channels change.
  template <int Stride>
  [[gnu::noinline]] static void take_largest_of_columns(const detail::window_run<T>& run,
                                                        index channels, const code_bounds& bounds,
                                                        T* y) noexcept {
    const auto lowest = static_cast<T>(bounds.lowest), highest = static_cast<T>(bounds.highest);
    const index row = run.first.row_step, col = run.first.col_step, depth = channels;
    const index at_once = std::max(index{1}, 4096 / (Stride * depth));
    for (index done = 0; done < run.count; done += at_once) {
      const index count = std::min(at_once, run.count - done);
      detail::for_each_channel_block<arch::native_lanes<T>>(
          depth, [&]<int N>(index c) FEWBIT_INLINE_LAMBDA {
            using codes = detail::lanes_of<T, N>;
            const T* p = run.first.first + done * run.step + c;
            const auto next_column = [&]() FEWBIT_INLINE_LAMBDA {
              const codes largest =
                  arch::max(arch::max(arch::load<codes>(p), arch::load<codes>(p + row)),
                            arch::load<codes>(p + 2 * row));
              p += col;
              return largest;
            };
            T* to = y + done * depth + c;
            codes first = arch::max(next_column(), codes(lowest));
            [[maybe_unused]] codes second = Stride == 1 ? next_column() : first;
            for (index i = 0; i < count; ++i, to += depth) {
              if constexpr (Stride == 2) second = next_column();
              const codes third = next_column();
              arch::store<codes>(
                  to, arch::min(arch::max(arch::max(first, second), third), codes(highest)));
              first = arch::max(Stride == 1 ? second : third, codes(lowest));
              if constexpr (Stride == 1) second = third;
            }
          });
    }
  }

  placed_window windows_;
  code_bounds bounds_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
