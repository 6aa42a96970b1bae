#pragma once
/// The activations of convolution windows as rows of a matrix, a block of windows at a time.
///
/// The row of a window has its codes in the order [kernel row][kernel column][channel], which is
/// the order of the weights. A convolution is the product of these rows and the weights. Codes
/// outside the image are the zero point of the inputs, which is the real number 0.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/int8/lhs.hpp"
#include "fewbit/ops/window2d.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// How windows become rows.
///
/// @tparam In     codes of the images
/// @tparam Patch  codes of the rows: In, or std::uint8_t for std::int8_t + 128
template <class In, class Patch>
class patch_gatherer {
  static constexpr int added = std::is_same_v<In, Patch> ? 0 : 128;

 public:
  patch_gatherer() = default;

  /// @param depth  codes from one row to the next; those behind the window are written as 0
  patch_gatherer(const placed_window& window, index groups, index depth,
                 std::int32_t zero_point) noexcept
      : window_(window),
        channels_(window.image().channels / groups),
        patch_(window.window().taps() * channels_),
        depth_(depth),
        padding_(static_cast<Patch>(zero_point + added)),
        is_dense_(groups == 1 && window.window().dilation.width == 1) {}

  /// Number of codes of a window.
  [[nodiscard]] index patch() const noexcept { return patch_; }
  [[nodiscard]] index depth() const noexcept { return depth_; }

  /// Writes the rows of `count` windows of one image from window `first` on.
  ///
  /// @param image    NHWC codes
  /// @param channel  the first channel of the group
  /// @param to       count * depth() codes
  void rows(const In* image, index channel, index first, index count, Patch* to) const noexcept {
    const index width = window_.output().width;
    for (index done = 0; done < count;) {
      const index y = (first + done) / width, x = (first + done) % width;
      const index run = std::min(count - done, width - x);
      output_row(image, channel, y, x, run, to + done * depth_);
      done += run;
    }
  }

  /// Writes codes begin .. begin + count - 1 of window `window` of an image, `count` codes.
  ///
  /// @param codes  codes(first, count, memory) returns a pointer to `count` codes of the image from
  ///               its code `first` on; it may write them to memory
  template <class Codes>
  void part(const Codes& codes, index channel, index window, index begin, index count,
            Patch* to) const noexcept {
    const index width = window_.output().width;
    const index y = window / width, x = window % width;
    const auto rows = window_.rows_of(y), cols = window_.cols_of(x);
    const window2d& w = window_.window();
    std::fill_n(to, count, Patch{0});
    for (index tap = begin / channels_; tap * channels_ < std::min(begin + count, patch_); ++tap) {
      const index low = std::max(tap * channels_, begin);
      const index high = std::min((tap + 1) * channels_, begin + count);
      const index ky = tap / w.kernel.width, kx = tap % w.kernel.width;
      if (ky < rows.first || ky >= rows.end || kx < cols.first || kx >= cols.end) {
        std::fill_n(to + (low - begin), high - low, padding_);
        continue;
      }
      const index iy = rows.pixel + (ky - rows.first) * w.dilation.height;
      const index ix = cols.pixel + (kx - cols.first) * w.dilation.width;
      const index at = (iy * window_.image().width + ix) * window_.image().channels + channel +
                       (low - tap * channels_);
      for (index i = 0; i < high - low; i += part_codes) {
        In memory[part_codes];
        const index some = std::min(part_codes, high - low - i);
        const In* from = codes(at + i, some, &memory[0]);
        for (index j = 0; j < some; ++j)
          to[low - begin + i + j] = static_cast<Patch>(from[j] + added);
      }
    }
  }

 private:
  static constexpr index part_codes = 64;

  /// Windows x .. x + run - 1 of output row y: those inside the image together, others one by one.
  void output_row(const In* image, index channel, index y, index x, index run,
                  Patch* to) const noexcept {
    const window2d& w = window_.window();
    const tap_range rows = window_.rows_of(y);
    const index room =
        window_.image().width + w.padding.left - reach_of(w.kernel.width, w.dilation.width);
    const index end = x + run;
    index left = end, right = end;  // the windows inside
    if (rows.count() == w.kernel.height && room >= 0) {
      left = std::clamp((w.padding.left + w.stride.width - 1) / w.stride.width, x, end);
      right = std::clamp(room / w.stride.width + 1, left, end);
    }
    for (index i = x; i < left; ++i)
      at_edge(image, channel, rows, window_.cols_of(i), to + (i - x) * depth_);
    if (right > left) {
      const index first = left * w.stride.width - w.padding.left;
      inside(image, channel, rows.pixel, first, right - left, to + (left - x) * depth_);
    }
    for (index i = right; i < end; ++i)
      at_edge(image, channel, rows, window_.cols_of(i), to + (i - x) * depth_);
  }

  /// `count` windows that lie inside the image, the first pixel of the first one at (y, x). One run
  /// of neighbouring codes of all windows, then the next run.
  void inside(const In* image, index channel, index y, index x, index count,
              Patch* to) const noexcept {
    const window2d& w = window_.window();
    const image_extents& extents = window_.image();
    const index step = w.stride.width * extents.channels;
    const index length = is_dense_ ? w.kernel.width * channels_ : channels_;
    const index runs = is_dense_ ? 1 : w.kernel.width;
    const In* row = image + (y * extents.width + x) * extents.channels + channel;
    Patch* run = to;
    for (index ky = 0; ky < w.kernel.height; ++ky) {
      for (index i = 0; i < runs; ++i, run += length)
        copy_runs(row + i * w.dilation.width * extents.channels, step, length, count, run);
      row += w.dilation.height * extents.width * extents.channels;
    }
    if (depth_ > patch_) {
      for (index i = 0; i < count; ++i)
        std::fill_n(to + i * depth_ + patch_, depth_ - patch_, Patch{0});
    }
  }

  /// Copies `length` codes of each of `count` windows, `step` codes apart in the image.
  void copy_runs(const In* from, index step, index length, index count, Patch* to) const noexcept {
    const auto each = [&](const auto& copy) {
      for (index i = 0; i < count; ++i) copy(from + i * step, to + i * depth_);
    };
    if (length > 64) {
      each([length](const In* f, Patch* t) {
        for (index i = 0; i + 64 < length; i += 64) move<64>(f + i, t + i);
        move<64>(f + length - 64, t + length - 64);
      });
    } else if (length >= 32) {
      each([length](const In* f, Patch* t) { move_two<32>(f, length, t); });
    } else if (length >= 16) {
      each([length](const In* f, Patch* t) { move_two<16>(f, length, t); });
    } else if (length >= 8) {
      each([length](const In* f, Patch* t) { move_two<8>(f, length, t); });
    } else if (length >= 4) {
      each([length](const In* f, Patch* t) { move_two<4>(f, length, t); });
    } else {
      each([length](const In* f, Patch* t) {
        for (index i = 0; i < length; ++i) t[i] = static_cast<Patch>(f[i] + added);
      });
    }
  }

  /// Lanes .. 2 * Lanes codes, in two vectors that may overlap.
  template <int Lanes>
  static FEWBIT_ALWAYS_INLINE void move_two(const In* from, index length, Patch* to) noexcept {
    move<Lanes>(from, to);
    move<Lanes>(from + length - Lanes, to + length - Lanes);
  }

  template <int Lanes>
  static FEWBIT_ALWAYS_INLINE void move(const In* from, Patch* to) noexcept {
    const auto codes = arch::vec<In, Lanes>::load(from);
    if constexpr (added == 0) {
      codes.store(to);
    } else {
      const auto moved =
          arch::bits_as<std::uint8_t>(codes) + arch::vec<std::uint8_t, Lanes>(std::uint8_t{added});
      moved.store(to);
    }
  }

  void at_edge(const In* image, index channel, const tap_range& rows, const tap_range& cols,
               Patch* to) const noexcept {
    const window2d& w = window_.window();
    const image_extents& extents = window_.image();
    std::fill_n(to, patch_, padding_);
    std::fill_n(to + patch_, depth_ - patch_, Patch{0});
    for (index i = 0; i < rows.count(); ++i) {
      const index y = rows.pixel + i * w.dilation.height;
      const In* from = image + (y * extents.width + cols.pixel) * extents.channels + channel;
      Patch* row = to + ((rows.first + i) * w.kernel.width + cols.first) * channels_;
      if (is_dense_) {
        copy_exactly(from, cols.count() * channels_, row);
      } else {
        for (index j = 0; j < cols.count(); ++j, row += channels_)
          copy_exactly(from + j * w.dilation.width * extents.channels, channels_, row);
      }
    }
  }

  static void copy_exactly(const In* from, index count, Patch* to) noexcept {
    if constexpr (sizeof(In) == 1) {
      gemm::copy_codes(from, count, -added, to);
    } else {
      std::copy_n(from, count, to);
    }
  }

  placed_window window_;
  index channels_ = 1;
  index patch_ = 1;
  index depth_ = 1;
  Patch padding_ = 0;
  bool is_dense_ = true;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
