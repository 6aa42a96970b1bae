#pragma once
/// Convolutions of 8-bit activations as products, a block of windows at a time.
///
/// A block of windows is gathered into rows (ops/conv2d/patches.hpp), which are multiplied by the
/// weights of their group while they are in the cache. A window of 1 x 1 with stride 1 is not
/// gathered: the pixels of the image are the rows. Read before: ops/conv2d.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/multiply_block.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/gemm/sum_of_codes.hpp"
#include "fewbit/ops/conv2d/patches.hpp"
#include "fewbit/ops/conv2d/winograd.hpp"
#include "fewbit/ops/integer_weights.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear/int8.hpp"
#include "fewbit/ops/linear/weight_table.hpp"
#include "fewbit/ops/window2d.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// A convolution: windows, groups, output channels.
struct conv_shape {
  placed_window window;
  index groups = 1;
  index channels = 0;  // of the output

  [[nodiscard]] index group_channels() const noexcept { return channels / groups; }
  [[nodiscard]] index inputs() const noexcept { return window.image().size(); }
  [[nodiscard]] index outputs() const noexcept { return window.output_pixels() * channels; }
  /// Number of weights of an output channel.
  [[nodiscard]] index depth() const noexcept {
    return window.window().taps() * (window.image().channels / groups);
  }
};

/// Fails unless groups divide the channels of the image and of the output, and each output channel
/// has a weight for each tap and channel of its group.
inline void expect_conv_weights(const char* function, const conv_shape& shape, index cols) {
  const index in = shape.window.image().channels;
  expect(shape.groups >= 1 && in % shape.groups == 0, function, "groups", shape.groups,
         "a divisor of the number of channels of the image, " + std::to_string(in));
  expect(shape.channels >= 1 && shape.channels % shape.groups == 0, function,
         "number of rows of weights", shape.channels,
         "a multiple of the number of groups, " + std::to_string(shape.groups));
  expect(cols == shape.depth(), function, "number of columns of weights", cols,
         std::to_string(shape.depth()) + ": kernel height * kernel width * channels of a group");
}

/// Shape of a convolution that is saved or loaded.
template <class Shape, class Parts>
void visit_conv_shape(Shape& shape, Parts& parts) {
  visit_placed_window(shape.window, parts);
  parts.number("groups", shape.groups, 1, largest_channels);
  parts.number("channels", shape.channels, 1, largest_channels);
  if constexpr (Parts::loads) expect_conv_weights(parts.place(), shape, shape.depth());
}

/// Weights of conv2d<S, Inputs>, and their products with images.
template <Scheme S, class Inputs, class Arch>
class conv_product {
  static_assert(!S::has_minimum && !CodebookScheme<S>,
                "fewbit: convolutions take integer weights with a scale for each row or matrix");
  static_assert(scale_depth<typename S::granularity> == 0,
                "fewbit: convolutions take one scale for each output channel or more");

  template <class Code>
  using unit_of = typename gemm::default_kernel<Code, Arch>::unit;

 public:
  static constexpr const char* name = "conv2d";
  static constexpr index most_rows = rows_at_a_time;
  static constexpr index stack_bytes = gemm::row_chunk_bytes;
  static constexpr bool owns_outputs = true;
  using inputs_type = Inputs;
  using input_code = typename Inputs::code;
  /// Where u8 activations are read in place and s8 are not, patches are written as s8 + 128.
  static constexpr bool moves_codes = std::is_same_v<input_code, std::int8_t> &&
                                      unit_of<std::uint8_t>::in_place &&
                                      !unit_of<std::int8_t>::in_place;
  using patch_code = std::conditional_t<moves_codes, std::uint8_t, input_code>;
  using weights_type =
      std::conditional_t<stays_packed<S>, gemm::few_bit_weights<S::storage::bits, Arch>,
                         gemm::int8_weights<patch_code, gemm::default_kernel<patch_code, Arch>>>;
  static constexpr bool is_integer = are_integer_only<Inputs>;
  /// Transformed weights, where they are faster (ops/conv2d/winograd.hpp).
  using winograd_type = std::conditional_t<stays_packed<S> || S::is_affine, no_winograd,
                                           typename winograd_of<input_code, Arch>::type>;
  static constexpr bool may_transform = !std::is_same_v<winograd_type, no_winograd>;
  using output_type = typename integer_parts<S, Inputs>::output_type;

  conv_product() = default;

  /// Floats or codes out.
  conv_product(const quantized_matrix<S>& weights, const placed_window& window, index groups,
               const Eigen::Ref<const Eigen::VectorXf>& bias, const quant_params& input_params,
               const layer_options& options)
    requires(!is_integer)
      : shape_{window, groups, weights.rows()}, input_params_(input_params), options_(options) {
    const row_matrix<std::int8_t> codes = pack(weights);
    expect_valid_bias(name, bias, shape_.channels);
    expect_valid_options(name, options);
    bias_ = bias_or_zeros(bias, shape_.channels);
    aligned_buffer<std::int32_t> offsets(shape_.channels);
    aligned_buffer<float> scales(shape_.channels);
    for (index c = 0; c < shape_.channels; ++c) {
      const channel_sums sums = sums_of_channel(weights, codes, c);
      expect_sum(name, c, sums.magnitudes * reach());
      offsets[c] = static_cast<std::int32_t>(-zero_of_patches() * sums.weights);
      scales[c] = sum_scale(c, sums, weights.scale(c, 0));
    }
    offsets_ = std::move(offsets);
    scales_ = std::move(scales);
  }

  /// Codes out, without floats.
  /// @param bias  one for each channel, or none
  conv_product(const quantized_matrix<S>& weights, const placed_window& window, index groups,
               std::span<const std::int32_t> bias, const quant_params& input_params,
               output_type output)
    requires is_integer
      : shape_{window, groups, weights.rows()},
        input_params_(input_params),
        output_(std::move(output)) {
    const row_matrix<std::int8_t> codes = pack(weights);
    expect_channels(name, output_, bias, shape_.channels);
    set_biases(
        name, output_, bias, [&](index c) { return sums_of_channel(weights, codes, c); },
        static_cast<std::int32_t>(zero_of_patches()), reach());
  }

  [[nodiscard]] index inputs() const noexcept { return shape_.channels == 0 ? 0 : shape_.inputs(); }
  [[nodiscard]] index outputs() const noexcept {
    return shape_.channels == 0 ? 0 : shape_.outputs();
  }
  [[nodiscard]] const conv_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] const quant_params& input_params() const noexcept { return input_params_; }
  [[nodiscard]] const layer_options& options() const noexcept { return options_; }
  [[nodiscard]] const std::vector<weights_type>& weights() const noexcept { return weights_; }
  [[nodiscard]] index bytes() const noexcept {
    index all =
        output_bytes() + bias_.bytes() + scales_.bytes() + offsets_.bytes() + zeros_.bytes();
    if constexpr (may_transform) all += winograd_.bytes();
    for (const weights_type& w : weights_) {
      all += w.bytes() + index{sizeof(weights_type)};
      if constexpr (!stays_packed<S>) all += w.proof_bytes();
    }
    return all;
  }

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    visit_conv_shape(self.shape_, parts);
    visit_params(self.input_params_, parts);
    std::int32_t added = added_to_codes;
    bool transforms = may_transform;
    parts.number("number added to codes", added, 0, 128);
    parts.number("flag of an instruction set that transforms weights", transforms);
    if constexpr (Parts::loads) self.expect_parts(parts.place());
    for (index g = 0; g < self.shape_.groups; ++g) self.visit_group(self, parts, g);
    visit_zeros<S>(self.zeros_, parts, self.shape_.channels);
    visit_outputs(self, parts);
    visit_transformed(self, parts, transforms);
    if constexpr (Parts::loads) {
      self.gather_ = gatherer(self.shape_.window, self.shape_.groups, self.padded_depth(),
                              self.input_params_.zero_point);
      if (added != added_to_codes) self.move_inputs(added_to_codes - added);
    }
  }

  /// Codes and scales of `rows` images of floats.
  [[nodiscard]] index memory_bytes(index rows) const noexcept {
    return are_integer_only<Inputs> ? 1 : rows * inputs() + scale_bytes(rows);
  }
  [[nodiscard]] index worker_bytes(index /*rows*/) const noexcept {
    const index windows = windows_per_block(shape_.window.output_pixels());
    if constexpr (may_transform) {
      if (by_winograd_) return winograd_.scratch_bytes();
    }
    return std::max(sums_begin(windows) + sum_bytes(windows) + product_bytes(windows), index{1});
  }

  template <class Source, class Out, class E>
  void run(const Source& x, const output_rows<Out>& y, std::byte* memory, workspace& workers,
           const E& executor) const noexcept {
    if constexpr (Source::are_codes) {
      multiply(x, y, workers, executor);
    } else {
      auto* scales = reinterpret_cast<float*>(memory);
      auto* codes = reinterpret_cast<input_code*>(memory + scale_bytes(y.rows));
      const index k = inputs();
      executor.for_each(y.rows, [&](index r) {
        const row_encoder<Inputs> encode = encoder_of<Inputs>(x.row(r));
        encode(0, k, codes + r * k);
        if constexpr (!Inputs::is_static) scales[r] = encode.scale();
      });
      multiply(code_rows<input_code>{codes, k, scales, 1}, y, workers, executor);
    }
  }

  /// A window at a time, k in chunks.
  template <class Source, class Out>
  void run_on_stack(const Source& x, const output_rows<Out>& y, std::byte* memory) const noexcept {
    for (index r = 0; r < y.rows; ++r) {
      const auto codes = codes_of<Source>(x, r);
      for (index p = 0; p < shape_.window.output_pixels(); ++p) {
        for (index g = 0; g < shape_.groups; ++g)
          window_on_stack(codes, p, g, y.data + r * y.stride + p * shape_.channels, memory);
      }
    }
  }

 private:
  static constexpr index most_patch_bytes = 256 * 1024;
  static constexpr index near_patch_bytes = 48 * 1024;
  using gatherer = patch_gatherer<input_code, patch_code>;
  using kernel_type = gemm::default_kernel<patch_code, Arch>;

  static constexpr std::int32_t input_min =
      Inputs::is_static ? std::int32_t{std::numeric_limits<input_code>::min()} : -127;
  static constexpr std::int32_t input_max = std::numeric_limits<input_code>::max();

  /// What is added to codes when they are written to patches.
  static constexpr std::int32_t added_to_codes = moves_codes ? 128 : 0;

  /// Fails unless shape and parameters that were read are valid.
  void expect_parts(const char* place) const {
    expect_conv_weights(place, shape_, shape_.depth());
    expect_valid_params(place, "input_params", input_params_, input_min, input_max);
    expect_window_depth(padded_depth(), place);
  }

  /// The weights of group g.
  template <class Self, class Parts>
  static void visit_group(Self& self, Parts& parts, index g) {
    const index depth = self.padded_depth();
    if constexpr (Parts::loads) self.weights_.emplace_back();
    auto& w = self.weights_[static_cast<std::size_t>(g)];
    parts.weights("weights" + std::to_string(g), w, {self.shape_.depth(), depth});
    if constexpr (Parts::loads)
      expect_packed<S>(parts.place(), w, self.shape_.group_channels(), depth, depth);
  }

  template <class Self, class Parts>
  static void visit_outputs(Self& self, Parts& parts) {
    const index channels = self.shape_.channels;
    if constexpr (is_integer) {
      output_type::visit_parts(self.output_, parts, channels);
    } else {
      parts.array("bias", self.bias_, channels, finite_number{});
      parts.array("scales", self.scales_, channels, scale_number{});
      parts.array("offsets", self.offsets_, channels);
      visit_options(self.options_, parts);
      if constexpr (Parts::loads) expect_valid_options(parts.place(), self.options_);
    }
  }

  /// Transformed weights. Where only this instruction set has them, they are made from the codes.
  template <class Self, class Parts>
  static void visit_transformed(Self& self, Parts& parts, bool transforms) {
    index columns = 0;
    if constexpr (may_transform && !Parts::loads)
      columns = self.by_winograd_ ? winograd_type::panel_cols : 0;
    parts.number("number of columns of a panel of transformed weights", columns, 0, 1024);
    if constexpr (may_transform) {
      if (columns != 0) {
        if constexpr (Parts::loads) {
          expect_equal(parts.place(), "number of columns of a panel of transformed weights",
                       columns, winograd_type::panel_cols);
          expect_equal(parts.place(), "groups", self.shape_.groups, 1);
          self.by_winograd_ = true;
        }
        self.winograd_.visit_parts(self.winograd_, parts, self.shape_.window, self.shape_.channels,
                                   self.input_params_.zero_point);
      } else if constexpr (Parts::loads) {
        if (!transforms && self.shape_.groups == 1)
          self.transform(parts.codes_of(self.weights_[0]));
      }
    }
  }

  /// The bias for inputs that are `added` larger than those of the file.
  void move_inputs(std::int32_t added) {
    const auto sums = [&](index c) {
      const weights_type& w = weights_[static_cast<std::size_t>(c / shape_.group_channels())];
      const std::int64_t zero = S::is_affine ? zeros_.data()[c] : 0;
      return w.column_sums()[c % shape_.group_channels()] - zero * shape_.depth();
    };
    if constexpr (is_integer) {
      output_.move_inputs(added, sums);
    } else {
      offsets_ = output_type::moved(offsets_, added, sums);
    }
  }

  /// The zero point of codes in patches.
  [[nodiscard]] std::int64_t zero_of_patches() const noexcept {
    return std::int64_t{input_params_.zero_point} + added_to_codes;
  }
  [[nodiscard]] std::int32_t reach() const noexcept {
    return std::max(input_max - input_params_.zero_point, input_params_.zero_point - input_min);
  }

  /// The factor of the sums of a channel: the scale of its weights, times the scale of inputs if
  /// that is known; 0 if all weights are 0. Fails if the product is not finite or loses more than
  /// half of its bits, or if a total or an output could be infinite.
  [[nodiscard]] float sum_scale(index c, const channel_sums& sums, float weight_scale) const {
    if (weight_scale == 0.0F || sums.magnitudes == 0) return 0.0F;
    const float scale = Inputs::is_static ? weight_scale * input_params_.scale : weight_scale;
    if (Inputs::is_static && !(is_finite(scale) && scale >= 0x1p-138F)) {
      fail(name, item("scale of weights times scale of inputs, channel", c), scale,
           "a finite number of at least 2^-138");
    }
    const double most = double{std::numeric_limits<float>::max()} * (1.0 - 0x1p-20);
    const double added = Inputs::is_static ? std::fabs(double{bias_.data()[c]}) : 0.0;
    const double total = static_cast<double>(sums.magnitudes) * reach() * double{scale} + added;
    if (total > most) {
      fail(name, item("largest total of channel", c), total,
           "at most " + text(std::numeric_limits<float>::max()));
    }
    return scale;
  }

  /// Packs the weights of each group. Returns the codes as they are multiplied.
  row_matrix<std::int8_t> pack(const quantized_matrix<S>& weights) {
    expect_multipliable<S>();
    expect_not_empty(name, "weights", weights.rows(), weights.cols());
    expect_conv_weights(name, shape_, weights.cols());
    expect_valid_params(name, "input_params", input_params_, input_min, input_max);
    row_matrix<std::int8_t> codes = signed_codes(weights);
    const index depth = padded_depth();
    const index rows = shape_.group_channels();
    expect_window_depth(depth);
    weights_.reserve(static_cast<std::size_t>(shape_.groups));
    for (index g = 0; g < shape_.groups; ++g) {
      row_matrix<std::int8_t> group = row_matrix<std::int8_t>::Zero(rows, depth);
      group.leftCols(codes.cols()) = codes.middleRows(g * rows, rows);
      if constexpr (stays_packed<S>) {
        weights_.emplace_back(group, -S::storage::min);
      } else {
        weights_.emplace_back(group);
      }
    }
    zeros_ = zeros_of_channels(weights);
    gather_ = gatherer(shape_.window, shape_.groups, depth, input_params_.zero_point);
    if constexpr (may_transform) transform(codes);
    return codes;
  }

  /// Transforms the weights if four times each sum of x * w fits int32.
  void transform(const row_matrix<std::int8_t>& codes) {
    if (shape_.groups != 1 || !winograd_type::takes(shape_.window, shape_.channels)) return;
    const std::int64_t most_code = std::max(-std::int64_t{input_min}, std::int64_t{input_max});
    for (index c = 0; c < shape_.channels; ++c) {
      const std::int64_t farthest = channel_sums(codes.row(c)).magnitudes * most_code;
      if (4 * farthest > std::numeric_limits<std::int32_t>::max()) return;
    }
    winograd_ = winograd_type(shape_.window, codes, input_params_.zero_point);
    by_winograd_ = true;
  }

  /// Windows as deep as whole steps of the kernel: it then has no tail. Weights of few bits have
  /// codes without a zero.
  [[nodiscard]] index padded_depth() const noexcept {
    constexpr index step = stays_packed<S> ? 1 : unit_of<patch_code>::depth;
    return (shape_.depth() + step - 1) / step * step;
  }

  static void expect_window_depth(index depth, const char* function = name) {
    expect(depth <= weights_type::max_depth, function, "number of weights of an output channel",
           depth, "at most " + std::to_string(weights_type::max_depth));
  }

  [[nodiscard]] index output_bytes() const noexcept {
    if constexpr (is_integer) {
      return output_.bytes();
    } else {
      return 0;
    }
  }

  [[nodiscard]] bool reads_in_place() const noexcept {
    return std::is_same_v<input_code, patch_code> && shape_.window.is_pointwise() &&
           shape_.groups == 1 && padded_depth() == shape_.depth();
  }

  /// Windows that are multiplied together: in whole tiles, their patches near the weights in the
  /// cache.
  [[nodiscard]] index windows_per_block(index windows) const noexcept {
    constexpr index tile = kernel_type::tile::rows;
    const index all = (windows + tile - 1) / tile * tile;
    if (reads_in_place()) return all;
    const index weights = padded_depth() * shape_.group_channels();
    const index bytes = weights > 4 * near_patch_bytes ? most_patch_bytes : near_patch_bytes;
    return std::clamp(bytes / (padded_depth() * tile), index{1}, all / tile) * tile;
  }

  // Scratch memory of a worker: patches, their sums, scratch of the product.
  [[nodiscard]] index sums_begin(index windows) const noexcept {
    if (reads_in_place()) return 0;
    return (windows * padded_depth() + 63) / 64 * 64;
  }
  [[nodiscard]] static index sum_bytes(index windows) noexcept {
    return S::is_affine ? (windows * index{sizeof(std::int32_t)} + 63) / 64 * 64 : 0;
  }
  [[nodiscard]] index product_bytes(index windows) const noexcept {
    return weights_.empty() ? 0 : gemm::scratch_bytes(weights_[0], windows);
  }

  template <class I>
  [[nodiscard]] row_encoder<I> encoder_of(const float* x) const noexcept {
    if constexpr (I::is_static) {
      return {x, input_params_};
    } else {
      return {x, inputs()};
    }
  }

  /// The codes of image r, some at a time.
  template <class Source>
  [[nodiscard]] auto codes_of(const Source& x, index r) const noexcept {
    if constexpr (Source::are_codes || !Inputs::is_static) {
      return row_codes<Inputs, Source>(x.from(r), inputs());
    } else {
      return [encode = encoder_of<Inputs>(x.row(r))](index first, index count, input_code* memory) {
        encode(first, count, memory);
        return memory;
      };
    }
  }

  /// Calls f(stages) for the channels from `first` on.
  template <class Out, class F>
  // NOLINTNEXTLINE(bugprone-exception-escape): stages were checked when the operator was made
  FEWBIT_ALWAYS_INLINE void with_stages(index first, [[maybe_unused]] float image_scale,
                                        [[maybe_unused]] const std::int32_t* row_sums,
                                        const F& f) const noexcept {
    const auto centred = [&](const auto& rest) {
      if constexpr (S::is_affine) {
        f(gemm::subtract_outer(row_sums, zeros_.data() + first) | rest);
      } else {
        f(rest);
      }
    };
    if constexpr (is_integer) {
      if constexpr (S::is_affine) {
        centred(output_.stages(first));
      } else {
        f(output_.stages(first));
      }
    } else {
      const auto outputs = output_stages<Out>(bias_.data() + first, options_);
      const auto real = gemm::add_bias(offsets_.data() + first) | gemm::to_float{} |
                        gemm::scale_columns(scales_.data() + first);
      if constexpr (Inputs::is_static) {
        centred(real | outputs);
      } else {
        centred(real | gemm::scale_by(image_scale) | outputs);
      }
    }
  }

  /// Cuts the windows of all images in one part for each worker. The part is some blocks of windows
  /// of one image.
  template <class Out, class E>
  void multiply(const code_rows<input_code>& x, const output_rows<Out>& y, workspace& workers,
                const E& executor) const noexcept {
    if constexpr (may_transform) {
      if (by_winograd_) return multiply_tiles(x, y, workers, executor);
    }
    const index windows = shape_.window.output_pixels();
    const index parts = workers.slots();
    const index per_image = (windows * y.rows + parts - 1) / parts >= windows
                                ? windows
                                : std::max((windows * y.rows + parts - 1) / parts, index{1});
    const index most = windows_per_block(windows);
    constexpr index tile = kernel_type::tile::rows;
    const index block = std::min(most, (per_image + tile - 1) / tile * tile);
    const index blocks = (windows + block - 1) / block;
    executor.for_each(parts, [&](index part) {
      const index begin = blocks * y.rows * part / parts;
      const index end = blocks * y.rows * (part + 1) / parts;
      for (index b = begin; b < end; ++b) {
        const index r = b / blocks, first = b % blocks * block;
        const index count = std::min(block, windows - first);
        const float scale = Inputs::is_static ? 1.0F : *x.scales_of(r);
        multiply_windows(x.row(r), scale, first, count, y.data + r * y.stride, workers.slot(part));
      }
    });
  }

  /// The same by transformed weights.
  template <class Out, class E>
  void multiply_tiles(const code_rows<input_code>& x, const output_rows<Out>& y, workspace& workers,
                      const E& executor) const noexcept {
    const index block = winograd_.tiles_per_block(), parts = workers.slots();
    const index blocks = (winograd_.tiles() + block - 1) / block;
    executor.for_each(parts, [&](index part) {
      for (index b = blocks * y.rows * part / parts; b < blocks * y.rows * (part + 1) / parts;
           ++b) {
        const index r = b / blocks, first = b % blocks * block;
        const float scale = Inputs::is_static ? 1.0F : *x.scales_of(r);
        with_stages<Out>(0, scale, nullptr, [&](const auto& stages) {
          // Transformed inputs are the codes themselves, not those of patches.
          winograd_.multiply(x.row(r), first, std::min(block, winograd_.tiles() - first), stages,
                             y.data + r * y.stride, workers.slot(part));
        });
      }
    });
  }

  template <class Out>
  void multiply_windows(const input_code* image, float scale, index first, index count, Out* y,
                        std::byte* memory) const noexcept {
    const index windows = windows_per_block(shape_.window.output_pixels());
    auto* patches = reinterpret_cast<patch_code*>(memory);
    auto* sums = reinterpret_cast<std::int32_t*>(memory + sums_begin(windows));
    std::byte* scratch = memory + sums_begin(windows) + sum_bytes(windows);
    for (index g = 0; g < shape_.groups; ++g) {
      gemm::code_block<patch_code> a{patches, padded_depth(), count};
      bool in_place = false;
      if constexpr (std::is_same_v<input_code, patch_code>) {
        in_place = reads_in_place();
        if (in_place) a.data = image + first * shape_.depth();
      }
      if (!in_place) {
        const index channel = g * (shape_.window.image().channels / shape_.groups);
        gather_.rows(image, channel, first, count, patches);
      }
      if constexpr (S::is_affine) {
        for (index i = 0; i < count; ++i)
          sums[i] = gemm::sum_of_codes(a.data + i * a.stride, shape_.depth());
      }
      const index out = g * shape_.group_channels();
      with_stages<Out>(out, scale, sums, [&](const auto& stages) {
        gemm::multiply_block(a, weights_[static_cast<std::size_t>(g)],
                             y + first * shape_.channels + out, shape_.channels, stages, scratch);
      });
    }
  }

  /// One window of one group.
  template <class Codes, class Out>
  void window_on_stack(const Codes& codes, index window, index g, Out* y,
                       std::byte* memory) const noexcept {
    const index channel = g * (shape_.window.image().channels / shape_.groups);
    const index out = g * shape_.group_channels();
    const auto part = [&](index k, index count, patch_code* to) {
      gather_.part(codes, channel, window, k, count, to);
      return to;
    };
    float scale = 1.0F;
    if constexpr (!Inputs::is_static) scale = codes.scale();
    std::int32_t row_sum = 0;
    with_stages<Out>(out, scale, &row_sum, [&](const auto& stages) {
      gemm::multiply_row_in_chunks<patch_code>(weights_[static_cast<std::size_t>(g)], part, y + out,
                                               stages, memory, S::is_affine ? &row_sum : nullptr);
    });
  }

  conv_shape shape_;
  std::vector<weights_type> weights_;  // of each group
  gatherer gather_;
  winograd_type winograd_;
  bool by_winograd_ = false;
  quant_params input_params_;
  layer_options options_;
  stored_array<float> bias_;
  stored_array<float> scales_;
  stored_array<std::int32_t> offsets_;
  stored_array<std::int32_t> zeros_;
  output_type output_;  // if nothing is a float
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
