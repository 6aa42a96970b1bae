#pragma once
/// Convolutions as plain loops over taps, in int64: the oracle of tests of convolutions.

#include <cstdint>
#include <random>
#include <vector>

#include "fewbit/core/types.hpp"
#include "fewbit/ops/window2d.hpp"

namespace fewbit::tests {

/// One convolution: extents, stride, dilation, padding, groups.
struct conv_case {
  image_extents image;
  index channels;  // of the output
  window2d window;
  index groups = 1;

  [[nodiscard]] index depth() const {
    return window.kernel.height * window.kernel.width * image.channels / groups;
  }
  [[nodiscard]] static index extent(index size, index before, index after, index kernel,
                                    index dilation, index stride) {
    return (size + before + after - dilation * (kernel - 1) - 1) / stride + 1;
  }
  [[nodiscard]] index out_height() const {
    return extent(image.height, window.padding.top, window.padding.bottom, window.kernel.height,
                  window.dilation.height, window.stride.height);
  }
  [[nodiscard]] index out_width() const {
    return extent(image.width, window.padding.left, window.padding.right, window.kernel.width,
                  window.dilation.width, window.stride.width);
  }
  [[nodiscard]] index outputs() const { return out_height() * out_width() * channels; }
};

/// The sums of (x - x_zero) * (w - w_zero(c)) of one image, [pixel][channel].
template <class X, class W>
std::vector<std::int64_t> plain_sums(const conv_case& c, const X* x, const row_matrix<W>& w,
                                     std::int64_t x_zero,
                                     const std::vector<std::int64_t>& w_zeros = {}) {
  std::vector<std::int64_t> sums;
  const index in = c.image.channels / c.groups;
  for (index oy = 0; oy < c.out_height(); ++oy) {
    for (index ox = 0; ox < c.out_width(); ++ox) {
      for (index oc = 0; oc < c.channels; ++oc) {
        const index group = oc / (c.channels / c.groups);
        const std::int64_t w_zero = w_zeros.empty() ? 0 : w_zeros[static_cast<std::size_t>(oc)];
        std::int64_t sum = 0;
        for (index ky = 0; ky < c.window.kernel.height; ++ky) {
          for (index kx = 0; kx < c.window.kernel.width; ++kx) {
            const index y =
                oy * c.window.stride.height + ky * c.window.dilation.height - c.window.padding.top;
            const index z =
                ox * c.window.stride.width + kx * c.window.dilation.width - c.window.padding.left;
            if (y < 0 || y >= c.image.height || z < 0 || z >= c.image.width) continue;
            for (index i = 0; i < in; ++i) {
              const std::int64_t code =
                  x[(y * c.image.width + z) * c.image.channels + group * in + i];
              const std::int64_t weight = w(oc, (ky * c.window.kernel.width + kx) * in + i);
              sum += (code - x_zero) * (weight - w_zero);
            }
          }
        }
        sums.push_back(sum);
      }
    }
  }
  return sums;
}

/// Shapes around the edges of blocks, images and kernels.
inline std::vector<conv_case> conv_cases() {
  const auto same = [](image_extents image, index channels, window2d w, index groups = 1) {
    w.padding = same_padding(image, w);
    return conv_case{image, channels, w, groups};
  };
  return {
      {{1, 1, 1}, 1, {}, 1},
      {{3, 3, 17}, 5, {}, 1},                                    // pointwise
      {{5, 4, 8}, 33, {.kernel = {1, 1}, .stride = {2, 3}}, 1},  // strided pointwise
      same({40, 40, 3}, 16, {.kernel = {3, 3}}),                 // a first layer
      same({17, 9, 16}, 16, {.kernel = {3, 3}}),                 //
      same({8, 8, 32}, 24, {.kernel = {3, 3}}),                  // a small image
      same({13, 11, 64}, 40, {.kernel = {3, 3}}),                // many channels, odd extents
      {{12, 12, 80}, 17, {.kernel = {3, 3}, .padding = {2, 0, 0, 1}}, 1},
      same({8, 8, 64}, 64, {.kernel = {3, 3}, .stride = {2, 2}}),      //
      same({15, 15, 3}, 7, {.kernel = {7, 7}, .stride = {2, 2}}),      //
      {{2, 2, 3}, 4, {.kernel = {5, 5}, .padding = {3, 3, 3, 3}}, 1},  // larger than images
      {{9, 7, 5}, 3, {.kernel = {2, 2}, .stride = {4, 3}}, 1},         // stride above kernel
      {{9, 9, 4}, 6, {.kernel = {3, 2}, .dilation = {3, 2}, .padding = {2, 1, 0, 3}}, 1},
      {{6, 6, 12}, 8, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}, 4},  // groups
      {{5, 5, 6}, 6, {.kernel = {3, 3}, .dilation = {2, 1}, .padding = {4, 4, 4, 4}}, 6},
      {{1, 30, 17}, 9, {.kernel = {1, 5}, .padding = {0, 0, 2, 2}}, 1},  // one row
      {{3, 3, 300}, 2, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}, 1},  // deep
  };
}

/// Codes of the whole range of T, the ends more often than the others.
template <class T>
std::vector<T> random_codes_of(std::size_t count, unsigned seed, int least, int most) {
  std::mt19937 random(seed);
  std::vector<T> codes(count);
  for (T& code : codes) {
    const auto r = random();
    code = static_cast<T>(
        r % 8 == 0 ? least
        : r % 8 == 1
            ? most
            : least + static_cast<int>((r >> 8) % static_cast<unsigned>(most - least + 1)));
  }
  return codes;
}

}  // namespace fewbit::tests
