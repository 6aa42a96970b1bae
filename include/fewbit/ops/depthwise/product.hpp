#pragma once
/// Packed weights of depthwise convolutions and their products with images: 8-bit activations in
/// int32, 16-bit activations in int64. Read before: ops/depthwise/walk.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/arch/all.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/fixed_point.hpp"
#include "fewbit/ops/depthwise/walk.hpp"
#include "fewbit/ops/depthwise/weights.hpp"
#include "fewbit/ops/integer_output.hpp"
#include "fewbit/ops/integer_weights.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Fails unless `zero` is a code of type Code.
template <class Code>
void expect_zero_code(const char* function, const char* argument, std::int32_t zero) {
  expect_zero_point(function, argument, zero, std::numeric_limits<Code>::min(),
                    std::numeric_limits<Code>::max());
}

/// The number of a unit in its list, Unit = 0, its smaller one = 1 ...: the largest that holds
/// weights lowest .. highest and has at most `channels` channels; the last one if none has.
template <class Unit>
[[nodiscard]] int choose_tap_unit(index channels, int lowest, int highest) noexcept {
  if constexpr (std::is_void_v<typename Unit::smaller>) {
    static_assert(std::is_same_v<typename Unit::wide, Unit>);
    return 0;
  } else {
    const bool holds = lowest >= Unit::weight_min && highest <= Unit::weight_max;
    if (holds && channels >= Unit::channels) return 0;
    return 1 + choose_tap_unit<typename Unit::smaller>(channels, lowest, highest);
  }
}

/// f(unit) for the unit of that number.
template <class Unit, class F>
FEWBIT_ALWAYS_INLINE decltype(auto) with_tap_unit(int number, const F& f) {
  if constexpr (!std::is_void_v<typename Unit::smaller>) {
    if (number > 0) return with_tap_unit<typename Unit::smaller>(number - 1, f);
  }
  return f(std::type_identity<Unit>{});
}

/// 8-bit activations.
template <class Inputs, class Arch>
class depthwise_product {
  using code = typename Inputs::code;
  using out = typename Inputs::out;
  using output = integer_output<out, typename Inputs::mode>;
  using factors = channel_factors<typename Inputs::mode>;
  using first_unit = typename arch::tap_unit<Arch, code>::type;

 public:
  using bias_type = std::int32_t;

  depthwise_product() = default;

  /// @tparam Factor  double or fixed_multiplier
  template <class Factor>
  depthwise_product(const char* function, const depthwise_weights& weights,
                    const depthwise_shape& shape, std::span<const std::int32_t> bias,
                    std::span<const Factor> of_channels, std::int32_t input_zero,
                    const integer_options& options)
      : shape_(shape), input_zero_(input_zero) {
    expect_zero_code<code>(function, "input_params.zero_point", input_zero);
    expect_zero_code<out>(function, "output_params.zero_point", options.output_params.zero_point);
    static_cast<void>(bounds_of<out>(function, options.bounds));
    static_cast<void>(factors(function, of_channels));  // names the channel of a bad factor
    const row_matrix<std::int16_t> values = centered(weights);
    check_sums(function, values, bias, input_zero);
    output of_each(function, factors(function, of_channels), options.output_params.zero_point,
                   options.bounds);
    for (index c = 0; c < shape.channels(); ++c) {
      of_each.set_bias(function, c, bias.empty() ? 0 : bias[static_cast<std::size_t>(c)],
                       input_zero, channel_sums(values.col(c)), farthest_input<code>(input_zero));
    }
    pack(values, of_each);
  }

  [[nodiscard]] const depthwise_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] index bytes() const noexcept {
    return weights_.size() + padding_.size() + output_.bytes();
  }

  /// A file has weights and outputs channel by channel, in the same order for all instruction sets.
  /// A channel has few weights, so they are packed when they are read.
  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    visit_depthwise_shape(self.shape_, parts);
    parts.number("input_params.zero_point", self.input_zero_, std::numeric_limits<code>::min(),
                 std::numeric_limits<code>::max());
    const index taps = self.shape_.window.window().taps(), channels = self.shape_.channels();
    row_matrix<std::int16_t> values;
    output of_each;
    if constexpr (!Parts::loads) self.unpack(values, of_each);
    std::span<const std::int16_t> codes(values.data(), static_cast<std::size_t>(values.size()));
    parts.array("weights", codes, taps * channels, number_between{-255, 255});
    output::visit_parts(of_each, parts, channels);
    if constexpr (Parts::loads) {
      self.pack(Eigen::Map<const row_matrix<std::int16_t>>(codes.data(), taps, channels), of_each);
    }
  }

  /// Rows first .. end - 1 of the outputs, counted across images.
  void run(const code_rows<code>& x, const output_rows<out>& y, index first,
           index end) const noexcept {
    with_tap_unit<first_unit>(unit_, [&]<class Unit>(std::type_identity<Unit>) {
      const window2d& w = shape_.window.window();
      const index width = w.kernel.width, stride = w.stride.width;
      const bool shares = w.dilation.width == 1 && w.kernel.height <= 8;
      if (shares && width == 3 && stride == 1) {
        walk<Unit, shared_columns<3, 1>>(x, y, first, end);
      } else if (shares && width == 3 && stride == 2) {
        walk<Unit, shared_columns<3, 2>>(x, y, first, end);
      } else if (shares && width == 5 && stride == 1) {
        walk<Unit, shared_columns<5, 1>>(x, y, first, end);
      } else if (shares && width == 5 && stride == 2) {
        walk<Unit, shared_columns<5, 2>>(x, y, first, end);
      } else {
        walk<Unit, separate_columns>(x, y, first, end);
      }
    });
  }

 private:
  /// @param values   weights minus their zero points, taps x channels
  /// @param of_each  the output of each channel
  void pack(const row_matrix<std::int16_t>& values, const output& of_each) {
    padding_ = aligned_buffer<code>(shape_.window.image().channels);
    std::fill_n(padding_.data(), padding_.size(), static_cast<code>(input_zero_));
    unit_ = choose_tap_unit<first_unit>(shape_.channels(), values.minCoeff(), values.maxCoeff());
    with_tap_unit<first_unit>(unit_, [&]<class Unit>(std::type_identity<Unit>) {
      const channel_blocks<Unit> blocks{shape_.channels()};
      const auto channel = [&](index lane) { return blocks.channel(lane); };
      weights_ = packed_taps<Unit>(values, shape_.window.window().kernel);
      output_ = of_each.picked(blocks.lanes(), channel);
      output_.move_inputs(Unit::input_offset, [&](index lane) {
        return channel_sums(values.col(channel(lane))).weights;
      });
    });
  }

  /// The inverse of pack().
  void unpack(row_matrix<std::int16_t>& values, output& of_each) const {
    with_tap_unit<first_unit>(unit_, [&]<class Unit>(std::type_identity<Unit>) {
      const channel_blocks<Unit> blocks{shape_.channels()};
      std::vector<index> lanes(static_cast<std::size_t>(shape_.channels()));
      for (index lane = 0; lane < blocks.lanes(); ++lane)
        lanes[static_cast<std::size_t>(blocks.channel(lane))] = lane;
      const auto lane_of = [&](index c) { return lanes[static_cast<std::size_t>(c)]; };
      values = unpacked_taps<Unit>(weights_.data(), shape_.window.window().kernel,
                                   shape_.channels(), lane_of);
      of_each = output_.picked(shape_.channels(), lane_of);
      of_each.move_inputs(-Unit::input_offset,
                          [&](index c) { return channel_sums(values.col(c)).weights; });
    });
  }

  template <class Unit, class Columns>
  void walk(const code_rows<code>& x, const output_rows<out>& y, index first,
            index end) const noexcept {
    const auto with_bias = output_.stages();
    using split = gemm::leading_bias<std::remove_const_t<decltype(with_bias)>>;
    const auto stages = split::rest(with_bias);
    depthwise_walk<Unit, Columns, out, std::remove_const_t<decltype(stages)>>(
        shape_, weights_.data(), padding_.data(), split::bias(with_bias), stages)
        .run(x, y, first, end);
  }

  /// Names the channel of a sum that could leave int32.
  void check_sums(const char* function, const row_matrix<std::int16_t>& values,
                  std::span<const std::int32_t> bias, std::int32_t input_zero) const {
    for (index c = 0; c < shape_.channels(); ++c) {
      const std::int64_t b = bias.empty() ? 0 : bias[static_cast<std::size_t>(c)];
      expect_sum(function, c,
                 channel_sums(values.col(c)).magnitudes * farthest_input<code>(input_zero) +
                     (b < 0 ? -b : b));
    }
  }

  depthwise_shape shape_;
  std::int32_t input_zero_ = 0;
  aligned_buffer<code> padding_;
  aligned_buffer<std::byte> weights_;
  output output_;
  int unit_ = 0;
};

/// 16-bit activations: sums in int64, factors by requantize_int64.
template <class Out, class Mode, class Arch>
class depthwise_product<integer_only<std::int16_t, Out, Mode>, Arch> {
  static_assert(std::is_same_v<Out, std::int16_t>,
                "fewbit: depthwise convolutions of std::int16_t have std::int16_t outputs");

 public:
  using bias_type = std::int64_t;

  depthwise_product() = default;

  depthwise_product(const char* function, const depthwise_weights& weights,
                    const depthwise_shape& shape, std::span<const std::int64_t> bias,
                    std::span<const double> of_channels, std::int32_t input_zero,
                    const integer_options& options)
      : depthwise_product(function, weights, shape, bias,
                          std::span<const fixed_multiplier>(multipliers(function, of_channels)),
                          input_zero, options) {}

  depthwise_product(const char* function, const depthwise_weights& weights,
                    const depthwise_shape& shape, std::span<const std::int64_t> bias,
                    std::span<const fixed_multiplier> of_channels, std::int32_t input_zero,
                    const integer_options& options)
      : shape_(shape),
        input_zero_(input_zero),
        weights_(centered(weights)),
        factors_(of_channels.begin(), of_channels.end()),
        zero_point_(options.output_params.zero_point),
        bounds_(bounds_of<std::int16_t>(function, options.bounds)) {
    expect_zero_code<std::int16_t>(function, "input_params.zero_point", input_zero);
    expect_zero_code<std::int16_t>(function, "output_params.zero_point", zero_point_);
    static_cast<void>(channel_factors<tflite_double>(function, of_channels));
    pad();
    for (index c = 0; c < shape.channels(); ++c) {
      if (factors_[static_cast<std::size_t>(c)].exponent > largest_exponent) {
        fail(function, item("exponent of channel", c),
             factors_[static_cast<std::size_t>(c)].exponent, "-31 to 7 for sums of 64 bits");
      }
      const std::int64_t b = bias.empty() ? 0 : bias[static_cast<std::size_t>(c)];
      const channel_sums sums = expect_sums(function, c, b);
      bias_.push_back(b - input_zero * sums.weights);
    }
    find_sums();
  }

  [[nodiscard]] const depthwise_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] index bytes() const noexcept {
    return padding_.size() * 2 + weights_.size() * 2 +
           static_cast<index>(bias_.size() * sizeof(std::int64_t) +
                              factors_.size() * sizeof(fixed_multiplier));
  }

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    constexpr std::int64_t most = std::int64_t{1} << 49;
    visit_depthwise_shape(self.shape_, parts);
    parts.number("input_params.zero_point", self.input_zero_, -32768, 32767);
    const index taps = self.shape_.window.window().taps(), channels = self.shape_.channels();
    std::span<const std::int16_t> codes(self.weights_.data(),
                                        static_cast<std::size_t>(self.weights_.size()));
    parts.array("weights", codes, taps * channels, number_between{-255, 255});
    parts.array("factors", self.factors_, channels);
    parts.array("bias", self.bias_, channels, number_between{-most, most});
    parts.number("output_params.zero_point", self.zero_point_, -32768, 32767);
    parts.number("bounds.lowest", self.bounds_.lowest);
    parts.number("bounds.highest", self.bounds_.highest);
    if constexpr (Parts::loads) {
      self.weights_ = Eigen::Map<const row_matrix<std::int16_t>>(codes.data(), taps, channels);
      for (index c = 0; c < channels; ++c) {
        expect_channel_multiplier(parts.place(), c, self.factors_[static_cast<std::size_t>(c)],
                                  largest_exponent);
        const std::int64_t moved = self.input_zero_ * channel_sums(self.weights_.col(c)).weights;
        (void)self.expect_sums(parts.place(), c, self.bias_[static_cast<std::size_t>(c)] + moved);
      }
      self.bounds_ = bounds_of<std::int16_t>(parts.place(), self.bounds_);
      self.pad();
      self.find_sums();
    }
  }

  void run(const code_rows<std::int16_t>& x, const output_rows<std::int16_t>& y, index first,
           index end) const noexcept {
    const extent2d& out = shape_.window.output();
    for (index r = first; r < end; ++r) {
      const index image = r / out.height, row = r % out.height;
      for (index col = 0; col < out.width; ++col) {
        pixel(x.row(image), row, col,
              y.data + image * y.stride + (row * out.width + col) * shape_.channels());
      }
    }
  }

 private:
  static constexpr int lanes = 8;
  static constexpr int largest_exponent = 7;

  void pad() {
    padding_ = aligned_buffer<std::int16_t>(shape_.window.image().channels);
    std::fill_n(padding_.data(), padding_.size(), static_cast<std::int16_t>(input_zero_));
  }
  /// Fails unless all sums of a channel with bias `b` are less than 2^47.
  [[nodiscard]] channel_sums expect_sums(const char* function, index c, std::int64_t b) const {
    constexpr std::int64_t most = (std::int64_t{1} << 47) - 1;
    const channel_sums sums = channel_sums(weights_.col(c));
    const std::int64_t farthest = sums.magnitudes * farthest_input<std::int16_t>(input_zero_);
    if (b > most || b < -most || farthest > most - (b < 0 ? -b : b))
      fail(function, item("bias", c), b, "a number for which sums are less than 2^47");
    return sums;
  }

  /// Finds whether all sums without bias fit int32.
  void find_sums() {
    for (index c = 0; c < weights_.cols(); ++c) {
      fit_int32_ &= channel_sums(weights_.col(c)).magnitudes * 32768 <=
                    std::numeric_limits<std::int32_t>::max();
    }
  }

  static std::vector<fixed_multiplier> multipliers(const char* function,
                                                   std::span<const double> factors) {
    std::vector<fixed_multiplier> made;
    for (const double f : factors) {
      expect_factor<tflite_int64>(function, static_cast<index>(made.size()), f);
      made.push_back(quantize_multiplier(f));
    }
    return made;
  }

  void pixel(const std::int16_t* image, index row, index col, std::int16_t* to) const noexcept {
    const index channels = shape_.channels();
    index c = 0;
    if (shape_.multiplier == 1 && fit_int32_) {
      for (; c + lanes <= channels; c += lanes) {
        using ints = arch::vec<std::int32_t, lanes>;
        using words = arch::vec<std::int16_t, lanes>;
        ints sums(0);
        for_each_tap(image, row, col, [&](const std::int16_t* x, const std::int16_t* w) {
          sums += arch::convert<std::int32_t>(words::load(x + c)) *
                  arch::convert<std::int32_t>(words::load(w + c));
        });
        for (int i = 0; i < lanes; ++i) to[c + i] = finish(c + i, sums[i]);
      }
    }
    for (; c < channels; ++c) {
      const index from = c / shape_.multiplier;
      std::int64_t sum = 0;
      for_each_tap(image, row, col, [&](const std::int16_t* x, const std::int16_t* w) {
        sum += std::int64_t{x[from]} * w[c];
      });
      to[c] = finish(c, sum);
    }
  }

  /// f(pixel, weights of the tap) for all taps; pixels outside the image are zero points.
  template <class F>
  FEWBIT_ALWAYS_INLINE void for_each_tap(const std::int16_t* image, index row, index col,
                                         const F& f) const noexcept {
    const window2d& w = shape_.window.window();
    const image_extents& extents = shape_.window.image();
    const std::int16_t* weights = weights_.data();
    for (index ky = 0; ky < w.kernel.height; ++ky) {
      const index line = row * w.stride.height - w.padding.top + ky * w.dilation.height;
      for (index kx = 0; kx < w.kernel.width; ++kx, weights += weights_.cols()) {
        const index column = col * w.stride.width - w.padding.left + kx * w.dilation.width;
        const bool inside =
            line >= 0 && line < extents.height && column >= 0 && column < extents.width;
        f(inside ? image + (line * extents.width + column) * extents.channels : padding_.data(),
          weights);
      }
    }
  }

  [[nodiscard]] std::int16_t finish(index channel, std::int64_t sum) const noexcept {
    const auto c = static_cast<std::size_t>(channel);
    const std::int64_t code =
        std::int64_t{requantize_int64(sum + bias_[c], factors_[c])} + zero_point_;
    return static_cast<std::int16_t>(
        std::clamp(code, std::int64_t{bounds_.lowest}, std::int64_t{bounds_.highest}));
  }

  depthwise_shape shape_;
  std::int32_t input_zero_ = 0;
  aligned_buffer<std::int16_t> padding_;
  row_matrix<std::int16_t> weights_;  // taps x channels
  std::vector<fixed_multiplier> factors_;
  std::vector<std::int64_t> bias_;
  std::int32_t zero_point_ = 0;
  code_bounds bounds_;
  bool fit_int32_ = true;
};

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
