#pragma once
/// The loops of depthwise convolutions over images, rows and tiles of outputs.
///
/// A tile reads its pixels through a table of pointers. Pixels outside the image are a pixel of
/// zero points, so every window has all its taps and the inner loop has no edges. Neighbouring
/// tiles inside the image share a table. If the image has fewer channels than a unit, or several
/// output channels for each, the pixels of a tile are first copied with as many channels as the
/// unit has. Read before: ops/depthwise/tile.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/ops/depthwise/tile.hpp"
#include "fewbit/ops/depthwise/weights.hpp"
#include "fewbit/ops/inputs.hpp"
#include "fewbit/ops/output.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The walk of one unit, kernel and epilogue.
///
/// @tparam Columns  shared_columns or separate_columns
/// @tparam Stages   stages without the bias; they end in 8-bit codes
template <class Unit, class Columns, class Out, class Stages>
class depthwise_walk {
  using code = typename Unit::code;
  using weight = typename Unit::weight;
  static constexpr int pixels = Unit::pixels;

  /// Steps whose pixels are in the table at once.
  static constexpr index steps_at_once = 32;
  static constexpr index copied_steps_at_once = 8;

  static constexpr index table_size() noexcept {
    if constexpr (Columns::shares) {
      return Columns::most_rows * Columns::template columns<Unit>;
    } else {
      return steps_at_once * pixels * Unit::depth;
    }
  }
  static constexpr index copied_pixels =
      Columns::shares ? table_size() : copied_steps_at_once * pixels * Unit::depth;

 public:
  /// @param weights  packed_taps of the unit
  /// @param padding  a pixel of zero points
  /// @param start    what sums start at, in the order of channel_blocks
  /// @param stages   make outputs of sums
  depthwise_walk(const depthwise_shape& shape, const std::byte* weights, const code* padding,
                 const std::int32_t* start, const Stages& stages) noexcept
      : shape_(shape),
        weights_(reinterpret_cast<const weight*>(weights)),
        padding_(padding),
        start_(start),
        stages_(stages),
        groups_(tap_groups<Unit>(shape.window.window().kernel)),
        block_weights_(block_weights<Unit>(shape.window.window().kernel)) {}

  /// Rows first .. end - 1 of the outputs of all images, counted across images.
  void run(const code_rows<code>& x, const output_rows<Out>& y, index first,
           index end) const noexcept {
    const extent2d& out = shape_.window.output();
    const bool copies = shape_.multiplier != 1 || shape_.window.image().channels < Unit::channels;
    for (index r = first; r < end; ++r) {
      const index image = r / out.height, row = r % out.height;
      Out* to = y.data + image * y.stride + row * out.width * shape_.channels();
      if (copies) {
        copied_row(x.row(image), row, to);
      } else {
        row_in_place(x.row(image), row, to);
      }
    }
  }

 private:
  /// The pixel of kernel row `ky` and image column `column` for outputs of row `row`, or nullptr.
  [[nodiscard]] const code* pixel(const code* image, index row, index ky,
                                  index column) const noexcept {
    const window2d& w = shape_.window.window();
    const image_extents& extents = shape_.window.image();
    const index line = row * w.stride.height - w.padding.top +
                       std::min(ky, w.kernel.height - 1) * w.dilation.height;
    const bool inside = line >= 0 && line < extents.height && column >= 0 && column < extents.width;
    return inside ? image + (line * extents.width + column) * extents.channels : nullptr;
  }

  /// The image column of the first tap of output x.
  [[nodiscard]] index first_column(index x) const noexcept {
    return x * shape_.window.window().stride.width - shape_.window.window().padding.left;
  }

  /// Steps of the whole kernel: groups if columns are shared.
  [[nodiscard]] index all_steps() const noexcept {
    return Columns::shares ? groups_ : groups_ * shape_.window.window().kernel.width;
  }
  /// Pixels of a step.
  static constexpr index step_pixels() noexcept {
    if constexpr (Columns::shares) {
      return Columns::template columns<Unit> * Unit::depth;
    } else {
      return pixels * Unit::depth;
    }
  }
  /// Weights of a step.
  static constexpr index step_weights() noexcept { return Unit::channels * Unit::depth; }

  /// Calls put(pixel or nullptr) for each tap of steps first .. first + steps - 1, in the order of
  /// the table.
  template <class F>
  FEWBIT_ALWAYS_INLINE void for_each_tap(const code* image, index row, index x, index first,
                                         index steps, const F& put) const noexcept {
    const window2d& w = shape_.window.window();
    const index begin = first_column(x);
    for (index s = first; s < first + steps; ++s) {
      if constexpr (Columns::shares) {
        for (index j = 0; j < Columns::template columns<Unit>; ++j) {
          for (index d = 0; d < Unit::depth; ++d)
            put(pixel(image, row, s * Unit::depth + d, begin + j));
        }
      } else {
        const index g = s / w.kernel.width, kx = s % w.kernel.width;
        for (index t = 0; t < pixels; ++t) {
          for (index d = 0; d < Unit::depth; ++d) {
            put(pixel(image, row, g * Unit::depth + d,
                      begin + t * w.stride.width + kx * w.dilation.width));
          }
        }
      }
    }
  }

  void fill(const code** table, const code* image, index row, index x, index first,
            index steps) const noexcept {
    for_each_tap(image, row, x, first, steps,
                 [&](const code* p) { *table++ = p != nullptr ? p : padding_; });
  }

  /// Whether all pixels of a tile are inside the image columns.
  [[nodiscard]] bool is_inside(index x) const noexcept {
    const window2d& w = shape_.window.window();
    const index begin = first_column(x);
    const index reach = (pixels - 1) * w.stride.width + (w.kernel.width - 1) * w.dilation.width;
    return begin >= 0 && begin + reach < shape_.window.image().width;
  }

  void row_in_place(const code* image, index row, Out* to) const noexcept {
    const code* table[table_size()];
    const window2d& w = shape_.window.window();
    const index width = shape_.window.output().width, channels = shape_.channels();
    const index steps = all_steps();
    const bool fits = Columns::shares || steps <= steps_at_once;
    const bool moves = fits && shape_.window.rows_of(row).count() == w.kernel.height;
    const index move = pixels * w.stride.width * channels;
    index ahead = -1;  // what the pointers of the last tile inside the image lack, or -1
    for (index x = 0; x < width; x += pixels) {
      const bool inside = moves && is_inside(x);
      if (inside && ahead >= 0) {
        ahead += move;
      } else {
        ahead = inside ? 0 : -1;
        if (fits) fill(table, image, row, x, 0, steps);
      }
      const index count = std::min<index>(pixels, width - x);
      Out* const first = to + x * channels;
      if (!fits) {
        large_tile(table, image, row, x, count, first);
      } else if (count == pixels) {
        tile<true>(table, std::max(ahead, index{0}), steps, count, first);
      } else {
        tile<false>(table, std::max(ahead, index{0}), steps, count, first);
      }
    }
  }

  /// All blocks of a tile whose table holds all steps.
  ///
  /// @param ahead  codes from the pixels of the table to those of the tile
  template <bool IsFull>
  void tile(const code* const* table, index ahead, index steps, index count,
            Out* to) const noexcept {
    const channel_blocks<Unit> blocks{shape_.channels()};
    const index channels = shape_.channels(), last = channels - Unit::channels;
    const Stages stages = stages_;
    const weight* w = weights_;
    const std::int32_t* start = start_;
    const index lanes = blocks.lanes();
    for (index lane = 0; lane < lanes; lane += Unit::channels, w += block_weights_) {
      const index c = std::min(lane, last);
      tile_sums<Unit> sums;
      begin(sums, start + lane);
      Columns::template add<Unit>(sums, table, steps, ahead + c, w);
      if constexpr (IsFull) {
        finish(sums, lane, channels, to + c, stages);
      } else {
        finish_some(sums, lane, count, Unit::channels, channels, to + c, stages);
      }
    }
  }

  /// The same with some steps in the table at a time.
  void large_tile(const code** table, const code* image, index row, index x, index count,
                  Out* to) const noexcept {
    const channel_blocks<Unit> blocks{shape_.channels()};
    for (index b = 0; b < blocks.count(); ++b) {
      const index lane = b * Unit::channels;
      tile_sums<Unit> sums;
      begin(sums, start_ + lane);
      for (index s = 0; s < all_steps(); s += steps_at_once) {
        const index steps = std::min(steps_at_once, all_steps() - s);
        fill(table, image, row, x, s, steps);
        Columns::template add<Unit>(sums, table, steps, blocks.first(b),
                                    weights_ + b * block_weights_ + s * step_weights());
      }
      finish_some(sums, lane, count, Unit::channels, shape_.channels(), to + blocks.first(b),
                  stages_);
    }
  }

  /// Copies the pixels of each tile and block.
  void copied_row(const code* image, index row, Out* to) const noexcept {
    const code* table[copied_pixels];
    code copies[copied_pixels * Unit::channels];
    for (index i = 0; i < copied_pixels; ++i) table[i] = copies + i * Unit::channels;
    const channel_blocks<Unit> blocks{shape_.channels()};
    const index channels = shape_.channels(), width = shape_.window.output().width;
    const index at_once = Columns::shares ? groups_ : copied_steps_at_once;
    for (index x = 0; x < width; x += pixels) {
      const index count = std::min<index>(pixels, width - x);
      for (index b = 0; b < blocks.count(); ++b) {
        const index lane = b * Unit::channels, c = blocks.first(b);
        tile_sums<Unit> sums;
        begin(sums, start_ + lane);
        for (index s = 0; s < all_steps(); s += at_once) {
          const index steps = std::min(at_once, all_steps() - s);
          code* copy = copies;
          for_each_tap(image, row, x, s, steps, [&](const code* p) {
            copy_channels(p, c, copy);
            copy += Unit::channels;
          });
          Columns::template add<Unit>(sums, table, steps, 0,
                                      weights_ + b * block_weights_ + s * step_weights());
        }
        finish_some(sums, lane, count, std::min<index>(channels, Unit::channels), channels,
                    to + x * channels + c, stages_);
      }
    }
  }

  /// Channels c, c + 1, ... of a pixel of output channels; lanes beyond the last repeat one.
  void copy_channels(const code* p, index c, code* to) const noexcept {
    const index last = shape_.window.image().channels - 1;
    if (p == nullptr) {
      std::fill_n(to, Unit::channels, *padding_);
      return;
    }
    index in = c / shape_.multiplier, m = c % shape_.multiplier;
    for (index lane = 0; lane < Unit::channels; ++lane) {
      to[lane] = p[std::min(in, last)];
      if (++m == shape_.multiplier) {
        m = 0;
        ++in;
      }
    }
  }

  FEWBIT_ALWAYS_INLINE static void begin(tile_sums<Unit>& sums,
                                         const std::int32_t* start) noexcept {
#pragma GCC unroll 8
    for (int t = 0; t < pixels; ++t) {
#pragma GCC unroll 8
      for (int i = 0; i < Unit::registers; ++i)
        sums.of[t][i] = Unit::accumulator::load(start + i * Unit::lanes);
    }
  }

  /// Turns sums into codes. The stages get register i of all outputs before anything is stored, so
  /// that they load the numbers of its channels once.
  FEWBIT_ALWAYS_INLINE static void finish(tile_sums<Unit>& sums, index lane, index stride, Out* to,
                                          const Stages& stages) noexcept {
    apply_before(sums, lane, stages, std::make_integer_sequence<int, Unit::registers>());
    store(sums, lane, stride, to, stages, std::make_integer_sequence<int, pixels>());
  }
  /// The first `count` outputs and, of each, the first `channels` channels.
  static void finish_some(tile_sums<Unit>& sums, index lane, index count, index channels,
                          index stride, Out* to, const Stages& stages) noexcept {
    Out all[pixels * Unit::channels];
    finish(sums, lane, Unit::channels, all, stages);
    for (index t = 0; t < count; ++t)
      std::copy_n(all + t * Unit::channels, channels, to + t * stride);
  }

  template <int... i>
  FEWBIT_ALWAYS_INLINE static void apply_before(tile_sums<Unit>& sums, index lane,
                                                const Stages& stages,
                                                std::integer_sequence<int, i...>) noexcept {
    (apply_to_register<i>(sums, lane, stages, std::make_integer_sequence<int, pixels>()), ...);
  }
  template <int i, int... t>
  FEWBIT_ALWAYS_INLINE static void apply_to_register(tile_sums<Unit>& sums, index lane,
                                                     const Stages& stages,
                                                     std::integer_sequence<int, t...>) noexcept {
    using cut = gemm::split_at_saturate<Stages>;
    const gemm::at where{0, lane + i * Unit::lanes, Unit::lanes};
    ((sums.of[t][i] = cut::before(stages)(sums.of[t][i], where)), ...);
  }

  template <int... t>
  FEWBIT_ALWAYS_INLINE static void store(const tile_sums<Unit>& sums, index lane, index stride,
                                         Out* to, const Stages& stages,
                                         std::integer_sequence<int, t...>) noexcept {
    (store_pixel(sums.of[t], lane, to + t * stride, stages), ...);
  }
  FEWBIT_ALWAYS_INLINE static void store_pixel(
      const typename Unit::accumulator (&values)[Unit::registers], index lane, Out* to,
      const Stages& stages) noexcept {
    using cut = gemm::split_at_saturate<Stages>;
    const auto codes = Unit::template narrow<Out>(values, cut::cut(stages).zero_point);
    cut::after(stages)(codes, gemm::at{0, lane, Unit::channels}).store(to);
  }

  depthwise_shape shape_;
  const weight* weights_;
  const code* padding_;
  const std::int32_t* start_;
  Stages stages_;
  index groups_;
  index block_weights_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
