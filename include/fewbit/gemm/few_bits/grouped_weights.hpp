#pragma once
/// Weights of one to eight bits with a scale for each group of k. They are packed once.
///
/// The order is [panel][group]. A panel is unit::cols rows of W side by side. A product of one row
/// reads memory from the first byte to the last. One group of a panel:
///
///     codes       [chunk][register][column][4]    see arch/stored_unit.hpp
///     scales      [column]                        16 bits each
///     zeros       [column]                        8 bits each, only with a zero point per group
///     low halves  [column]                        16 bits each, only if scales are wide
///     minima      [column]                        float, only if weights have minima
///
/// Example: codes are 2 x 5, 4 bits, groups of 4, one zero point 8, the scalar unit. A panel has 8
/// columns; a chunk has 32 bytes. Byte 4 c + d of a chunk holds codes d (low half) and d + 4 (high
/// half) of column c in the group. Bytes that are not listed are 0.
///
///     codes = | 9 10 11 12 | 13 |    scales = | 1     0.5 |
///             | 7  6  5  4 |  3 |             | 0.25  2   |
///
///     group 0    bytes  0 ..  7    09 0A 0B 0C 07 06 05 04    codes of columns 0 and 1
///                bytes 32 .. 35    FF F7  FF E7               scales 1 and 0.25
///     group 1    bytes 48 .. 55    0D 00 00 00 03 00 00 00    codes of columns 0 and 1
///                bytes 80 .. 83    FF EF  FF FF               scales 0.5 and 2
///
/// Each scale adds 16 bits to its group. In groups of 32, weights of 4 bits take 4.5 bits and
/// weights of 2 bits take 2.5 bits. Scales are wide (the upper and the lower half of a float) if 16
/// bits cannot hold all scales of a matrix. This happens if two scales are more than 32 powers of
/// two apart, or if one is subnormal or 0.
///
/// The scales are in this layer, although gemm/ has no scales elsewhere. A table beside the codes
/// would be a second stream from memory, and scales as floats would be a ninth of all bytes read.
///
/// Read next: gemm/few_bits/multiply_grouped.hpp (the loop).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>

#include "fewbit/arch/all.hpp"
#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/stored_unit.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/weights_image.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// Rounds to 12 significant bits, ties to even, but never to infinity. x is finite and not
/// negative.
[[nodiscard]] inline float with_12_bits(float x) noexcept {
  constexpr int dropped = 12;
  constexpr std::uint32_t largest_finite = 0x7F7FFFFFU >> dropped;
  const float lift = x < std::numeric_limits<float>::min() ? 0x1p24F : 1.0F;  // to normal numbers
  const auto bits = std::bit_cast<std::uint32_t>(x * lift);
  const std::uint32_t half = (1U << (dropped - 1)) - 1 + (bits >> dropped & 1U);
  const std::uint32_t kept = std::min((bits + half) >> dropped, largest_finite);
  return std::bit_cast<float>(kept << dropped) / lift;
}

/// Positive floats in 16 bits each.
///
/// A float is stored as its upper 20 bits minus a base that all scales of a matrix share. This
/// keeps 12 significant bits (a relative error of at most 2^-12) for 32 powers of two below the
/// largest scale. `holds` returns whether a scale is kept with these 12 bits. Floats with 11
/// significant bits, like those of IEEE half precision, are exact in that range. Decoding is a
/// shift and an addition on every processor.
class short_scales {
  static constexpr int dropped = 12;
  static constexpr std::uint32_t most = 0xFFFF;

 public:
  short_scales() noexcept = default;

  /// @param largest  the largest finite positive number to encode
  explicit short_scales(float largest) noexcept {
    const std::uint32_t top = upper_bits(largest);
    base_ = top > most ? top - most : 0;
  }

  /// The same scales as those with this base().
  [[nodiscard]] static short_scales with_base(std::uint32_t base) noexcept {
    short_scales scales;
    scales.base_ = base;
    return scales;
  }
  /// The base that is subtracted: 0 .. largest_base.
  [[nodiscard]] std::uint32_t base() const noexcept { return base_; }
  /// The base for the largest float of 12 significant bits.
  static constexpr std::uint32_t largest_base = (0x7F7FFFFFU >> dropped) - most;

  /// The largest scale that can be decoded.
  [[nodiscard]] float largest() const noexcept { return decode(std::uint16_t{most}); }

  /// Whether a scale of 0 or more keeps 12 significant bits.
  [[nodiscard]] bool holds(float scale) const noexcept {
    return decode(encode(scale)) == with_12_bits(scale);
  }

  /// The code of the nearest float that can be decoded.
  [[nodiscard]] std::uint16_t encode(float scale) const noexcept {
    const std::uint32_t bits = upper_bits(scale);
    return static_cast<std::uint16_t>(bits > base_ ? std::min(bits - base_, most) : 0);
  }

  /// Decodes one scale or a vector of scales.
  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, float> decode(const V& shorts) const noexcept {
    using words = arch::rebind<V, std::uint32_t>;
    const words bits = arch::widened(shorts) + words(base_);
    return arch::bits_as<float>(words(bits << words(std::uint32_t{dropped})));
  }

 private:
  static std::uint32_t upper_bits(float x) noexcept {
    return std::bit_cast<std::uint32_t>(with_12_bits(x)) >> dropped;
  }

  std::uint32_t base_ = 0;
};

/// W (n x k, one output channel per row) of unsigned codes. A weight is (value - zero point) *
/// scale, with one scale and one zero point for each `group` codes of a row. The value of a code is
/// the code itself; with one bit it is 0 or 2, so zero point 1 gives -1 and 1.
///
/// @tparam Bits        1, 2, 3, 4 or 8; codes are 0 .. 2^Bits - 1
/// @tparam Arch        the instruction set that multiplies
/// @tparam HasMinimum  a weight is code * scale + minimum instead, with one float minimum for each
/// scale; at least 2 bits
template <int Bits, class Arch = arch::native, bool HasMinimum = false>
class grouped_weights : public viewable_weights<grouped_weights<Bits, Arch, HasMinimum>> {
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  static_assert(!HasMinimum || Bits >= 2, "fewbit: codes that have a minimum have 2 to 8 bits");

 public:
  using arch_type = Arch;
  using unit = arch::stored_unit<Arch, Bits>;
  using layout = arch::stored_layout<Bits>;

  static constexpr int bits = Bits;
  static constexpr bool has_minimum = HasMinimum;
  static constexpr int largest_code = (1 << Bits) - 1;
  /// The value of the largest code.
  static constexpr int largest_value = Bits == 1 ? 2 : largest_code;
  /// The value of code 1.
  static constexpr int value_of_one = Bits == 1 ? 2 : 1;

  /// The deepest group whose sums fit int32: depth * 127 * largest_value <= 2^31 - 1.
  static constexpr index max_depth =
      index{std::numeric_limits<std::int32_t>::max()} / (127 * largest_value);

  /// Weights of 0 x 0.
  grouped_weights() noexcept = default;

  /// Packs codes with one zero point for all groups.
  ///
  /// @param codes       n x k, 0 .. 2^Bits - 1
  /// @param group       number of codes of a row that share a scale; the last group of a row may be
  ///                    shorter; 0: a row is one group
  /// @param scales      [row][group], finite, 0 or more; kept with 12 significant bits
  /// @param zero_point  0 .. largest_value + 1
  /// @param executor    packs the panels; the result does not depend on it
  /// @throws fewbit::error if W has no rows or no columns; if group is negative or above max_depth;
  ///         if the number of scales is wrong, or one is negative or not finite; or if a code or
  ///         zero point is out of range
  template <Executor E = inline_executor>
  grouped_weights(const Eigen::Ref<const row_matrix<std::uint8_t>>& codes, index group,
                  std::span<const float> scales, int zero_point, const E& executor = {})
    requires(!HasMinimum)
      : grouped_weights(executor, codes, group, scales, {}, false, zero_point) {
    fewbit::detail::expect(zero_point >= 0 && zero_point <= largest_value + 1, "grouped_weights",
                           "zero_point", zero_point, "0 to " + std::to_string(largest_value + 1));
  }

  /// Packs codes with a zero point for each group, [row][group], 0 .. largest_value.
  /// @throws fewbit::error as above
  template <Executor E = inline_executor>
  grouped_weights(const Eigen::Ref<const row_matrix<std::uint8_t>>& codes, index group,
                  std::span<const float> scales, std::span<const std::uint8_t> zero_points,
                  const E& executor = {})
    requires(!HasMinimum)
      : grouped_weights(executor, codes, group, scales, zero_points, true, 0) {}

  /// Packs codes with a finite minimum for each group, [row][group].
  /// @throws fewbit::error as above
  template <Executor E = inline_executor>
  grouped_weights(const Eigen::Ref<const row_matrix<std::uint8_t>>& codes, index group,
                  std::span<const float> scales, std::span<const float> minima,
                  const E& executor = {})
    requires(HasMinimum)
      : grouped_weights(executor, codes, group, scales, {}, false, 0, minima) {}

  [[nodiscard]] index n() const noexcept { return n_; }
  [[nodiscard]] index k() const noexcept { return k_; }
  [[nodiscard]] index group() const noexcept { return group_; }
  [[nodiscard]] index groups() const noexcept { return (k_ + group_ - 1) / group_; }
  /// Number of codes of group g: group(), or fewer in the last group.
  [[nodiscard]] index depth_of(index g) const noexcept { return std::min(group_, k_ - g * group_); }
  /// Number of chunks of group g. Zeros fill the last chunk.
  [[nodiscard]] index chunks_of(index g) const noexcept { return chunks_for(depth_of(g)); }
  /// Number of chunks of a row.
  [[nodiscard]] index chunks() const noexcept {
    return (groups() - 1) * chunks_for(group_) + chunks_of(groups() - 1);
  }

  /// Whether each group has its own zero point.
  [[nodiscard]] bool is_affine() const noexcept { return is_affine_; }
  /// The zero point of stored codes. This number times the sum of the activations of a group is
  /// subtracted. If each group has its own zero point, it is the offset of the unit, which is
  /// subtracted from the zero points.
  [[nodiscard]] std::int32_t stored_zero() const noexcept { return stored_zero_; }
  /// Whether scales take 32 bits each.
  [[nodiscard]] bool is_wide() const noexcept { return is_wide_; }
  /// Decodes the scales, unless they are wide.
  [[nodiscard]] const short_scales& scales() const noexcept { return scales_; }

  /// The scales of a group of a panel as vectors of Reals. `tail` points behind the codes of the
  /// group.
  template <class Reals>
  FEWBIT_ALWAYS_INLINE Reals scales_at(const std::uint8_t* tail) const noexcept {
    const auto kept = halves_at<Reals>(tail);
    return is_wide_ ? widened(kept, halves_at<Reals>(tail + rest_begin())) : scales_.decode(kept);
  }
  /// The same for scales that are not wide.
  template <class Reals>
  FEWBIT_ALWAYS_INLINE Reals short_scales_at(const std::uint8_t* tail) const noexcept {
    return scales_.decode(halves_at<Reals>(tail));
  }

  /// The minima of a group of a panel as a vector of Reals.
  template <class Reals>
  FEWBIT_ALWAYS_INLINE Reals minima_at(const std::uint8_t* tail) const noexcept
    requires(HasMinimum)
  {
    Reals minima;
    std::memcpy(&minima.data, tail + minimum_begin(), sizeof(minima.data));
    return minima;
  }

  /// The initial value of sums, without the part of the zero point: the bits of `float_zero`, or 0.
  ///
  /// Adding an integer of 22 bits and a sign to the bits of 1.5 * 2^23 equals adding it to that
  /// float. Such a sum needs no conversion: (sum - float_zero) * scale is one fused multiply-add.
  /// It is as exact as float(sum) * scale, because float_zero * scale is exact. Sums are converted
  /// instead if groups are deeper, if scales are near the largest float or wide, or if the
  /// processor has no fused multiply-add.
  [[nodiscard]] std::int32_t sum_zero() const noexcept { return sum_zero_; }
  static constexpr float float_zero = 0x1.8p23F;

  /// The stored scale of row j and group g.
  [[nodiscard]] float scale(index j, index g) const noexcept {
    const std::uint8_t* at = bytes_.data() + scale_begin(j, g);
    std::uint16_t kept, rest = 0;
    std::memcpy(&kept, at, sizeof(kept));
    if (!is_wide_) return scales_.decode(kept);
    std::memcpy(&rest, at + rest_begin(), sizeof(rest));
    return widened(kept, rest);
  }

  /// The minimum of row j and group g.
  [[nodiscard]] float minimum(index j, index g) const noexcept
    requires(HasMinimum)
  {
    float minimum;
    std::memcpy(&minimum, bytes_.data() + minimum_of(j, g), sizeof(minimum));
    return minimum;
  }

  [[nodiscard]] index panels() const noexcept { return (n_ + unit::cols - 1) / unit::cols; }
  [[nodiscard]] const std::uint8_t* panel(index p) const noexcept {
    return bytes_.data() + p * panel_bytes();
  }

  [[nodiscard]] index panel_bytes() const noexcept {
    return chunks() * chunk_bytes + groups() * tail_bytes();
  }

  /// Number of codes of a row in a chunk.
  static constexpr index chunk_codes = index{4} * layout::steps;
  /// Number of bytes of a chunk of a panel, and of the data behind the codes of a group.
  static constexpr index chunk_bytes = index{4} * unit::cols * layout::registers;
  [[nodiscard]] index tail_bytes() const noexcept {
    return minimum_begin() + (HasMinimum ? index{unit::cols} * 4 : 0);
  }

  /// Bytes held, or referred to by a view.
  [[nodiscard]] index bytes() const noexcept { return bytes_.bytes(); }

 private:
  friend class viewable_weights<grouped_weights>;

  static constexpr detail::image_form form_of_image{
      "grouped_weights",
      3,
      5,
      {{{"number of bits of a weight", Bits},
        {"number of columns of a panel", unit::cols},
        {"offset of stored codes", unit::offset},
        {"number of minima of a group", HasMinimum ? 1 : 0}}}};

  [[nodiscard]] detail::image_parameters parameters_of_image() const noexcept {
    return {group_, is_affine_ ? 1 : 0, is_affine_ ? 0 : stored_zero_ + unit::offset,
            is_wide_ ? 1 : 0, scales_.base()};
  }

  void read_parameters(const detail::image_reader& in) {
    // Offsets of groups then fit an index.
    constexpr index most_group = std::numeric_limits<index>::max() / 1024;
    n_ = in.n();
    k_ = in.k();
    group_ = in.parameter(0, "group", 1, std::max(most_group, k_));
    in.expect_range("depth of a group", std::min(group_, k_), 1, max_depth);
    is_affine_ = in.parameter(1, "flag of zero points for each group", 0, HasMinimum ? 0 : 1) != 0;
    const index largest_zero = is_affine_ || HasMinimum ? 0 : largest_value + 1;
    const auto zero = static_cast<std::int32_t>(in.parameter(2, "zero_point", 0, largest_zero));
    stored_zero_ = is_affine_ ? unit::offset : zero - unit::offset;
    is_wide_ = in.parameter(3, "flag of wide scales", 0, 1) != 0;
    scales_ = short_scales::with_base(static_cast<std::uint32_t>(
        in.parameter(4, "base of the scales", 0, index{short_scales::largest_base})));
    sum_zero_ = choose_sum_zero();
  }

  template <class Self, class F>
  static void for_each_array(Self& self, const F& f) {
    f(self.bytes_, self.panels() * self.panel_bytes());
  }

  template <class E>
  grouped_weights(const E& executor, const Eigen::Ref<const row_matrix<std::uint8_t>>& codes,
                  index group, std::span<const float> scales,
                  std::span<const std::uint8_t> zero_points, bool is_affine, int zero_point,
                  std::span<const float> minima = {})
      : n_(codes.rows()),
        k_(codes.cols()),
        group_(group == 0 ? std::max(k_, index{1}) : group),
        is_affine_(is_affine),
        stored_zero_(is_affine_ ? unit::offset : zero_point - unit::offset) {
    expect_shape(group);
    expect_values(codes, scales, zero_points);
    if constexpr (HasMinimum) expect_minima(minima);
    choose_scales(codes, scales, zero_points, zero_point);
    sum_zero_ = choose_sum_zero();
    bytes_ = aligned_buffer<std::uint8_t>(panels() * panel_bytes());
    // Panels share no byte.
    executor.for_each(panels(), [&](index panel) {
      for (index j = panel * unit::cols; j < std::min(n_, (panel + 1) * unit::cols); ++j) {
        for (index g = 0; g < groups(); ++g) {
          const auto i = static_cast<std::size_t>(j * groups() + g);
          put_codes(j, g, codes.data() + j * codes.outerStride() + g * group_);
          put_scale(j, g, scales[i]);
          if constexpr (HasMinimum)
            std::memcpy(bytes_.writable() + minimum_of(j, g), &minima[i], sizeof(float));
          if (is_affine_)
            bytes_.writable()[tail_begin(j, g) + 2 * unit::cols + j % unit::cols] = zero_points[i];
        }
      }
    });
  }

  void expect_shape(index group) const {
    const auto at_least_one = [](const char* argument, index extent) {
      fewbit::detail::expect(extent > 0, "grouped_weights", argument, extent, "at least 1");
    };
    at_least_one("number of rows", n_);
    at_least_one("number of columns", k_);
    fewbit::detail::expect(group >= 0, "grouped_weights", "group", group, "0 or more");
    const index deepest = std::min(group_, k_);
    fewbit::detail::expect(deepest <= max_depth, "grouped_weights", "depth of a group", deepest,
                           "at most " + std::to_string(max_depth));
  }

  void expect_values(const Eigen::Ref<const row_matrix<std::uint8_t>>& codes,
                     std::span<const float> scales,
                     std::span<const std::uint8_t> zero_points) const {
    const std::string range = "0 to " + std::to_string(largest_code);
    for (index j = 0; j < n_; ++j) {
      for (index i = 0; i < k_; ++i) {
        if (codes(j, i) <= largest_code) continue;
        fewbit::detail::fail("grouped_weights", fewbit::detail::element("codes", j, i),
                             int{codes(j, i)}, range);
      }
    }
    fewbit::detail::expect_equal("grouped_weights", "number of scales",
                                 static_cast<index>(scales.size()), n_ * groups());
    for (std::size_t i = 0; i < scales.size(); ++i) {
      if (scales[i] >= 0.0F && scales[i] <= std::numeric_limits<float>::max()) continue;
      fewbit::detail::fail("grouped_weights", fewbit::detail::item("scales", static_cast<index>(i)),
                           scales[i], "a finite number of at least 0");
    }
    fewbit::detail::expect_equal("grouped_weights", "number of zero points",
                                 static_cast<index>(zero_points.size()),
                                 is_affine_ ? n_ * groups() : 0);
    for (std::size_t i = 0; i < zero_points.size(); ++i) {
      if (zero_points[i] <= largest_value) continue;
      fewbit::detail::fail("grouped_weights",
                           fewbit::detail::item("zero_points", static_cast<index>(i)),
                           int{zero_points[i]}, "0 to " + std::to_string(largest_value));
    }
  }

  void expect_minima(std::span<const float> minima) const {
    fewbit::detail::expect_equal("grouped_weights", "number of minima",
                                 static_cast<index>(minima.size()), n_ * groups());
    for (std::size_t i = 0; i < minima.size(); ++i) {
      if (fewbit::detail::is_finite(minima[i])) continue;
      fewbit::detail::fail("grouped_weights", fewbit::detail::item("minima", static_cast<index>(i)),
                           minima[i], "a finite number");
    }
  }

  /// Chooses the base of 16-bit scales, or wide scales. A group whose weights are all 0 does not
  /// influence the choice.
  void choose_scales(const Eigen::Ref<const row_matrix<std::uint8_t>>& codes,
                     std::span<const float> scales, std::span<const std::uint8_t> zero_points,
                     int zero_point) {
    const auto for_each_scale = [&](const auto& f) {
      for (index j = 0; j < n_; ++j) {
        for (index g = 0; g < groups(); ++g) {
          const auto i = static_cast<std::size_t>(j * groups() + g);
          const int zero = is_affine_ ? zero_points[i] : zero_point;
          const std::uint8_t* from = codes.data() + j * codes.outerStride() + g * group_;
          const auto is_zero = [&](std::uint8_t code) { return code * value_of_one == zero; };
          if (!std::all_of(from, from + depth_of(g), is_zero)) f(scales[i]);
        }
      }
    };
    float largest = 0.0F;
    for_each_scale([&](float scale) { largest = std::max(largest, scale); });
    scales_ = short_scales(largest > 0.0F ? largest : 1.0F);
    for_each_scale([&](float scale) { is_wide_ = is_wide_ || !scales_.holds(scale); });
  }

  void put_scale(index j, index g, float scale) noexcept {
    std::uint8_t* to = bytes_.writable() + scale_begin(j, g);
    const auto all = std::bit_cast<std::uint32_t>(with_12_bits(scale));
    const auto kept = is_wide_ ? static_cast<std::uint16_t>(all >> 16) : scales_.encode(scale);
    std::memcpy(to, &kept, sizeof(kept));
    if (!is_wide_) return;
    const auto rest = static_cast<std::uint16_t>(all & 0xFFFFU);
    std::memcpy(to + rest_begin(), &rest, sizeof(rest));
  }

  template <class Reals>
  FEWBIT_ALWAYS_INLINE static arch::rebind<Reals, std::uint16_t> halves_at(
      const std::uint8_t* from) noexcept {
    arch::rebind<Reals, std::uint16_t> halves;
    std::memcpy(&halves.data, from, sizeof(halves.data));
    return halves;
  }

  /// Combines the upper and the lower 16 bits of floats.
  template <class V>
  FEWBIT_ALWAYS_INLINE static arch::rebind<V, float> widened(const V& upper,
                                                             const V& lower) noexcept {
    using words = arch::rebind<V, std::uint32_t>;
    const words both = (arch::widened(upper) << words(16U)) | arch::widened(lower);
    return arch::bits_as<float>(both);
  }

  [[nodiscard]] std::int32_t choose_sum_zero() const noexcept {
    using reals = arch::rebind<typename unit::accumulator, float>;
    constexpr bool fuses = requires(reals x) { unit::multiply_add(x, x, x); };
    constexpr index deepest = (index{1} << 22) / (127 * (largest_value + 1));
    const bool is_finite = scales_.largest() <= std::numeric_limits<float>::max() / float_zero;
    return fuses && !is_wide_ && std::min(group_, k_) <= deepest && is_finite
               ? std::bit_cast<std::int32_t>(float_zero)
               : 0;
  }

  /// Packs the codes of row j and group g.
  void put_codes(index j, index g, const std::uint8_t* from) noexcept {
    constexpr int register_bytes = 4 * unit::cols;
    const int column = static_cast<int>(j % unit::cols);
    for (index i = 0; i < depth_of(g); ++i) {
      std::uint8_t* chunk = bytes_.writable() + group_begin(j, g) + i / chunk_codes * chunk_bytes;
      layout::put(chunk, register_bytes, static_cast<int>(i % chunk_codes / 4),
                  column * 4 + static_cast<int>(i % 4),
                  static_cast<std::uint8_t>(from[i] - unit::offset));
    }
  }

  [[nodiscard]] static index chunks_for(index depth) noexcept {
    return (depth + chunk_codes - 1) / chunk_codes;
  }

  /// Offset of group g in the panel of row j, in bytes.
  [[nodiscard]] index group_begin(index j, index g) const noexcept {
    return j / unit::cols * panel_bytes() + g * (chunks_for(group_) * chunk_bytes + tail_bytes());
  }
  /// Offset of the scales of group g in the panel of row j, in bytes.
  [[nodiscard]] index tail_begin(index j, index g) const noexcept {
    return group_begin(j, g) + chunks_of(g) * chunk_bytes;
  }
  /// Offset of the scale of row j and group g, in bytes.
  [[nodiscard]] index scale_begin(index j, index g) const noexcept {
    return tail_begin(j, g) + j % unit::cols * 2;
  }
  /// Bytes from the 16-bit scales (or upper halves) to the lower halves.
  [[nodiscard]] index rest_begin() const noexcept {
    return index{unit::cols} * (is_affine_ ? 3 : 2);
  }

  /// Bytes from the 16-bit scales (or upper halves) to the minima.
  [[nodiscard]] index minimum_begin() const noexcept {
    return rest_begin() + (is_wide_ ? index{unit::cols} * 2 : 0);
  }
  /// Offset of the minimum of row j and group g, in bytes.
  [[nodiscard]] index minimum_of(index j, index g) const noexcept {
    return tail_begin(j, g) + minimum_begin() + j % unit::cols * 4;
  }

  index n_ = 0;
  index k_ = 0;
  index group_ = 1;
  bool is_affine_ = false;
  bool is_wide_ = false;
  std::int32_t stored_zero_ = 0;
  std::int32_t sum_zero_ = 0;
  short_scales scales_;
  stored_array<std::uint8_t> bytes_;
};

/// Packs codes with one zero point for all: `pack_grouped<4>(codes, 32, scales, 8)`.
///
/// A weight is (value of the code - zero_point) * scale of its group.
///
/// @param codes       n x k, 0 .. 2^Bits - 1
/// @param group       codes of a row that share a scale; the last group of a row may be shorter;
///                    0: a row is one group
/// @param scales      [row][group], finite, 0 or more; kept with 12 significant bits
/// @param zero_point  0 .. largest_value + 1
/// @param executor    packs the panels; the result does not depend on it
/// @throws fewbit::error as the constructor of grouped_weights
template <int Bits, class Arch = arch::native, Executor Workers = inline_executor>
[[nodiscard]] grouped_weights<Bits, Arch> pack_grouped(
    const Eigen::Ref<const row_matrix<std::uint8_t>>& codes, index group,
    std::span<const float> scales, int zero_point, const Workers& executor = {}) {
  return {codes, group, scales, zero_point, executor};
}

/// The same with a zero point for each group, 0 .. largest_value.
///
/// @param zero_points  [row][group]
template <int Bits, class Arch = arch::native, Executor Workers = inline_executor>
[[nodiscard]] grouped_weights<Bits, Arch> pack_grouped(
    const Eigen::Ref<const row_matrix<std::uint8_t>>& codes, index group,
    std::span<const float> scales, std::span<const std::uint8_t> zero_points,
    const Workers& executor = {}) {
  return {codes, group, scales, zero_points, executor};
}

/// The same with a minimum for each group: the weight of a code is code * scale + minimum.
///
/// @param minima  [row][group], finite
template <int Bits, class Arch = arch::native, Executor Workers = inline_executor>
[[nodiscard]] grouped_weights<Bits, Arch, true> pack_grouped(
    const Eigen::Ref<const row_matrix<std::uint8_t>>& codes, index group,
    std::span<const float> scales, std::span<const float> minima, const Workers& executor = {}) {
  return {codes, group, scales, minima, executor};
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
