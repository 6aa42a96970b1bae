#pragma once
/// Exact convolutions of 3 x 3 windows with stride 1 by Winograd's F(2x2, 3x3), in int16.
///
/// A tile of 2 x 2 outputs takes 16 products instead of 36:
///
///     U = (2G) g (2G)^T                                  weights, 4 x 4, once
///     V = B^T d B                                        a patch of 4 x 4 inputs
///     4 * outputs = A^T (sum over channels of U * V) A   element by element, then an exact shift
///
///     2G = | 2  0  0 |    B^T = | 1  0 -1  0 |    A^T = | 1  1  1  0 |
///          | 1  1  1 |          | 0  1  1  0 |          | 0  1 -1 -1 |
///          | 1 -1  1 |          | 0 -1  1  0 |
///          | 0  0  2 |          | 0  1  0 -1 |
///
/// Every number is exact: |U| <= 9 * 128 and |V| <= 4 * 255 fit int16, sums are int32 and wrap, and
/// four times an output fits int32, which is checked when weights are transformed. So results are
/// the bits of every other way. Instruction sets that multiply 8-bit codes as int16 (vpmaddwd)
/// gain; those with 8-bit dots do not.
///
/// Source: Lavin and Gray 2015, arXiv:1509.09308.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/int8/wide_product.hpp"
#include "fewbit/ops/window2d.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Transformed weights of one convolution of one group, and its product with images.
///
/// @tparam In  codes of the images, std::int8_t or std::uint8_t
template <class In, class Arch>
class winograd_product {
  using weights_type = gemm::wide_weights<Arch>;
  static constexpr index positions = 16;
  static constexpr int channel_lanes = 16;  // of one step of the transforms
  static constexpr int sum_lanes = 8;
  static constexpr index panel = weights_type::panel_cols;
  static constexpr index near_bytes = 256 * 1024;  // of weights that stay in the cache

 public:
  /// Columns of a panel, the only number of the layout of transformed weights.
  static constexpr index panel_cols = panel;

  /// Whether windows and extents allow it and it is faster: with few tiles, 32 / 9 times as many
  /// bytes of weights cost more than products, unless they stay in the cache.
  [[nodiscard]] static bool takes(const placed_window& window, index channels) noexcept {
    const window2d& w = window.window();
    const index in = window.image().channels;
    const index bytes = positions * in * channels * index{sizeof(std::int16_t)};
    const index least_pixels = bytes <= near_bytes ? 64 : 100;
    return w.kernel == extent2d{3, 3} && w.stride == extent2d{} && w.dilation == extent2d{} &&
           in % channel_lanes == 0 && channels >= 2 * sum_lanes &&
           window.output_pixels() >= least_pixels;
  }

  winograd_product() = default;

  /// @param w  out x (9 * channels) codes, -128 .. 127
  winograd_product(const placed_window& window, const row_matrix<std::int8_t>& w,
                   std::int32_t zero_point) {
    place(window, zero_point);
    for (index p = 0; p < positions; ++p) {
      weights_[p] = weights_type(w.rows(), channels_, [&](index j, index c) {
        return transformed(w, j, c, static_cast<int>(p));
      });
    }
  }

  /// Lists the weights of a convolution (ops/parts.hpp).
  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts, const placed_window& window, index channels,
                          std::int32_t zero_point) {
    if constexpr (Parts::loads) {
      expect(takes(window, channels), parts.place(), "flag of transformed weights", "1",
             "0 for this window");
      self.place(window, zero_point);
    }
    for (index p = 0; p < positions; ++p) {
      weights_type::visit_parts(self.weights_[p], parts, "transformed" + std::to_string(p),
                                channels, window.image().channels);
    }
  }

  [[nodiscard]] index bytes() const noexcept {
    index all = padding_.size();
    for (const weights_type& w : weights_) all += w.bytes();
    return all;
  }
  /// Number of tiles of an image.
  [[nodiscard]] index tiles() const noexcept { return tiles_; }
  /// Tiles that are transformed together.
  [[nodiscard]] index tiles_per_block() const noexcept { return tiles_per_block_; }
  [[nodiscard]] index scratch_bytes() const noexcept {
    return input_bytes() + product_bytes() + output_bytes();
  }

  /// Outputs of tiles first .. first + count - 1 of one image, count <= tiles_per_block().
  template <class Out, class E>
  void multiply(const In* image, index first, index count, const E& epilogue, Out* y,
                std::byte* memory) const noexcept {
    auto* inputs = reinterpret_cast<std::int16_t*>(memory);
    auto* products = reinterpret_cast<std::int32_t*>(memory + input_bytes());
    auto* outputs = reinterpret_cast<std::int32_t*>(memory + input_bytes() + product_bytes());
    for (index t = 0; t < count; ++t) transform_input(image, first + t, inputs + t * channels_);
    const index n = weights_[0].n(), row = tiles_per_block();
    for (index col = 0; col < n; col += panel) {
      for (index p = 0; p < positions; ++p) {
        weights_[p].multiply(inputs + p * row * channels_, channels_, count, col,
                             products + p * row * panel);
      }
      write_panel(products, outputs, first, count, col, epilogue, y);
    }
  }

 private:
  /// Everything that is not a weight.
  void place(const placed_window& window, std::int32_t zero_point) {
    window_ = window;
    channels_ = window.image().channels;
    padding_ = aligned_buffer<In>(channels_);
    std::fill_n(padding_.data(), channels_, static_cast<In>(zero_point));
    const extent2d out = window.output();
    tile_cols_ = (out.width + 1) / 2;
    tiles_ = (out.height + 1) / 2 * tile_cols_;
    constexpr index most_tiles = 48, most_bytes = 256 * 1024;
    const index most = std::clamp(most_bytes / (positions * channels_ * 2), index{3}, most_tiles);
    const index blocks = (tiles_ + most - 1) / most;
    tiles_per_block_ = (tiles_ + blocks - 1) / blocks;
  }

  [[nodiscard]] index input_bytes() const noexcept {
    return positions * tiles_per_block() * channels_ * index{sizeof(std::int16_t)};
  }
  [[nodiscard]] index product_bytes() const noexcept {
    return positions * tiles_per_block() * panel * index{sizeof(std::int32_t)};
  }
  /// Two rows of pixels of a panel.
  [[nodiscard]] index output_bytes() const noexcept {
    return 4 * std::min(tiles_per_block(), tile_cols_) * panel * index{sizeof(std::int32_t)};
  }

  /// Element `p` of (2G) g (2G)^T for column j and channel c.
  [[nodiscard]] std::int16_t transformed(const row_matrix<std::int8_t>& w, index j, index c,
                                         int p) const noexcept {
    constexpr int g[4][3] = {{2, 0, 0}, {1, 1, 1}, {1, -1, 1}, {0, 0, 2}};
    int sum = 0;
    for (int y = 0; y < 3; ++y) {
      for (int x = 0; x < 3; ++x)
        sum += g[p / 4][y] * g[p % 4][x] * w(j, (y * 3 + x) * channels_ + c);
    }
    return static_cast<std::int16_t>(sum);
  }

  /// V of one tile: 16 numbers for each channel, tiles_per_block() * channels_ apart.
  void transform_input(const In* image, index tile, std::int16_t* to) const noexcept {
    const image_extents& extents = window_.image();
    const index top = tile / tile_cols_ * 2 - window_.window().padding.top;
    const index left = tile % tile_cols_ * 2 - window_.window().padding.left;
    if (top >= 0 && top + 4 <= extents.height && left >= 0 && left + 4 <= extents.width) {
      const index row = extents.width * channels_;
      const In* first = image + top * row + left * channels_;
      return transform_pixels([&](index i, index j) { return first + i * row + j * channels_; },
                              to);
    }
    const In* from[4][4];
    for (index i = 0; i < 4; ++i) {
      const index y = top + i;
      for (index j = 0; j < 4; ++j) {
        const index x = left + j;
        const bool inside = y >= 0 && y < extents.height && x >= 0 && x < extents.width;
        from[i][j] = inside ? image + (y * extents.width + x) * channels_ : padding_.data();
      }
    }
    transform_pixels([&](index i, index j) { return from[i][j]; }, to);
  }

  /// The same of 4 x 4 pixels: pixel(i, j) returns the codes of one.
  template <class Pixel>
  FEWBIT_ALWAYS_INLINE void transform_pixels(const Pixel& pixel, std::int16_t* to) const noexcept {
    using wide = arch::vec<std::int16_t, channel_lanes>;
    const index step = tiles_per_block() * channels_;
    for (index c = 0; c < channels_; c += channel_lanes) {
      wide rows[4][4];  // B^T d
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        wide d[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
          d[i] = arch::convert<std::int16_t>(arch::vec<In, channel_lanes>::load(pixel(i, j) + c));
        }
        rows[0][j] = d[0] - d[2];
        rows[1][j] = d[1] + d[2];
        rows[2][j] = d[2] - d[1];
        rows[3][j] = d[1] - d[3];
      }
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const wide(&r)[4] = rows[i];
        std::int16_t* out = to + 4 * i * step + c;
        (r[0] - r[2]).store(out);
        (r[1] + r[2]).store(out + step);
        (r[2] - r[1]).store(out + 2 * step);
        (r[1] - r[3]).store(out + 3 * step);
      }
    }
  }

  /// A^T M A of some tiles, a run of neighbouring tiles of one row at a time, and their epilogue.
  template <class Out, class E>
  void write_panel(const std::int32_t* products, std::int32_t* outputs, index first, index count,
                   index col, const E& epilogue, Out* y) const noexcept {
    const extent2d out = window_.output();
    const index n = weights_[0].n(), width = weights_[0].width_at(col);
    const index half = output_bytes() / 2 / index{sizeof(std::int32_t)};
    for (index t = 0; t < count;) {
      const index ty = (first + t) / tile_cols_, tx = (first + t) % tile_cols_;
      const index run = std::min(count - t, tile_cols_ - tx);
      for (index i = 0; i < run; ++i) {
        transform_output(products + (t + i) * panel, width, outputs + 2 * i * panel,
                         outputs + half + 2 * i * panel);
      }
      const index pixels = std::min(2 * run, out.width - 2 * tx);
      for (index r = 0; r < std::min(index{2}, out.height - 2 * ty); ++r) {
        gemm::apply_epilogue_to_rows<sum_lanes>(
            outputs + r * half, panel,
            gemm::output_rectangle<Out>{y + ((2 * ty + r) * out.width + 2 * tx) * n, n, 0, col,
                                        pixels, std::min(panel, n - col)},
            epilogue);
      }
      t += run;
    }
  }

  /// The 2 x 2 outputs of a tile: a row of two pixels each at `upper` and `lower`.
  void transform_output(const std::int32_t* products, index width, std::int32_t* upper,
                        std::int32_t* lower) const noexcept {
    using sums = arch::vec<std::uint32_t, sum_lanes>;
    const index step = tiles_per_block() * panel;
    const auto quarter = [](const sums& s) {
      return arch::bits_as<std::int32_t>(s) >> arch::vec<std::int32_t, sum_lanes>(2);
    };
    for (index j = 0; j < width; j += sum_lanes) {
      sums top[4], bottom[4];
#pragma GCC unroll 4
      for (int c = 0; c < 4; ++c) {
        sums m[4];
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
          m[r] = arch::bits_as<std::uint32_t>(
              arch::vec<std::int32_t, sum_lanes>::load(products + (4 * r + c) * step + j));
        }
        top[c] = m[0] + m[1] + m[2];
        bottom[c] = m[1] - m[2] - m[3];
      }
      quarter(top[0] + top[1] + top[2]).store(upper + j);
      quarter(top[1] - top[2] - top[3]).store(upper + panel + j);
      quarter(bottom[0] + bottom[1] + bottom[2]).store(lower + j);
      quarter(bottom[1] - bottom[2] - bottom[3]).store(lower + panel + j);
    }
  }

  placed_window window_;
  index channels_ = 0;
  index tile_cols_ = 0;
  index tiles_ = 0;
  index tiles_per_block_ = 0;
  aligned_buffer<In> padding_;  // a pixel of zero points
  weights_type weights_[positions];
};

/// For instruction sets that do not gain.
struct no_winograd {};

template <class In, class Arch>
struct winograd_of {
  using type = no_winograd;
};
template <class In, gemm::MultipliesWideCodes Arch>
struct winograd_of<In, Arch> {
  using type = winograd_product<In, Arch>;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
