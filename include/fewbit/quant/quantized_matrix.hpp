#pragma once
/// A matrix of codes with its scales: the result of quantize() and the input of operators.
///
/// The scheme is part of the type. Codes are row-major and packed to the bits of their storage
/// (core/bits.hpp). Each row starts on a byte. The value of an element is
///
///     (code(r, c) - zero_point(r, c)) * scale(r, c)
///     code(r, c) * scale(r, c) + minimum(r, c)           real_minimum
///     levels()[code(r, c)] * scale(r, c)                 codebooks
///
/// Read next: quantize.hpp (floats to codes), dequantize.hpp (codes to floats).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/bits.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/range.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Packs n codes of a row. A binary code is stored as its sign bit.
template <Storage St>
void pack_codes(const typename St::code* codes, index n, std::uint8_t* bytes) noexcept {
  if constexpr (std::is_same_v<St, binary>) {
    for (index first = 0; first < n; first += 8) {
      unsigned packed = 0;
      for (index i = first; i < n && i < first + 8; ++i) {
        packed |= (codes[i] < 0 ? 1U : 0U) << (i - first);
      }
      bytes[first / 8] = static_cast<std::uint8_t>(packed);
    }
  } else {
    pack_bits<St::bits>(codes, n, bytes);
  }
}

template <Storage St>
void unpack_codes(const std::uint8_t* bytes, index n, typename St::code* codes) noexcept {
  unpack_bits<St::bits, St::is_signed>(bytes, n, codes);
  if constexpr (std::is_same_v<St, binary>) {
    for (index i = 0; i < n; ++i) codes[i] = static_cast<typename St::code>(1 - 2 * codes[i]);
  }
}

template <Storage St>
[[nodiscard]] int extract_code(const std::uint8_t* bytes, index i) noexcept {
  const auto stored = extract_bits<St::bits, St::is_signed>(bytes, i);
  return std::is_same_v<St, binary> ? 1 - 2 * stored : stored;
}

/// Storages that may have no code for 0. A group of zeros then gets scale 0.
template <Storage St>
inline constexpr bool may_lack_zero = std::is_same_v<St, binary> || CodebookStorage<St>;

/// Fails unless `scale` may be a scale of S: a finite number of at least 2^-126, or 0 if S may lack
/// a code for 0 or has minima.
template <Scheme S>
void expect_valid_scale(const char* function, const std::string& argument, float scale) {
  constexpr bool may_be_zero = may_lack_zero<typename S::storage> || S::has_minimum;
  if (may_be_zero && std::bit_cast<std::uint32_t>(scale) == 0) return;
  expect_positive_scale(function, argument, scale);
  if constexpr (std::is_same_v<typename S::scale, power_of_two>) {
    const bool is_power = (std::bit_cast<std::uint32_t>(scale) & 0x007FFFFFU) == 0;
    if (!is_power) fail(function, argument, scale, "a power of two from 2^-126 to 2^127");
  }
}

/// Fails unless these are 2^Bits levels: finite, of -1 to 1, in ascending order.
template <int Bits>
void expect_valid_levels(const char* function, std::span<const float> levels) {
  expect_equal(function, "number of levels", static_cast<index>(levels.size()), index{1} << Bits);
  float last = -1.0F;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const float level = levels[i];
    if (!(level >= last && level <= 1.0F)) {
      fail(function, item("levels", static_cast<index>(i)), level, text(last) + " to 1");
    }
    last = level;
  }
}

/// Gives quantize() access to the parts of a quantized_matrix.
struct quantized_matrix_access;

}  // namespace detail

/// Codes and scales of a rows x cols matrix, and its zero points, minima or levels if S has them.
template <Scheme S>
class quantized_matrix {
 public:
  using scheme = S;
  using storage = typename S::storage;
  using granularity = typename S::granularity;
  /// One unpacked code.
  using value_type = typename S::code;

  /// 0 x 0, without scales.
  quantized_matrix() = default;

  /// Copies codes and scales that were made elsewhere.
  ///
  /// @param codes        rows x cols codes, each in [S::code_min, S::code_max]; binary: -1 or 1
  /// @param scales       granularity::count(rows, cols) finite numbers of at least 2^-126, ordered
  ///                     by granularity::scale_of; powers of two if S has power_of_two. A binary
  ///                     scale may be 0: all values of the group are then 0
  /// @param zero_points  one for each scale, in [storage::min, storage::max]; empty unless S is
  ///                     affine
  /// @throws fewbit::error with the first bad value and its position
  quantized_matrix(const Eigen::Ref<const row_matrix<value_type>>& codes,
                   std::span<const float> scales, std::span<const value_type> zero_points = {})
    requires(!CodebookScheme<S> && !S::has_minimum)
      : quantized_matrix(codes.rows(), codes.cols()) {
    detail::expect_pointer("quantized_matrix", "codes", codes.data());
    take_scales(scales);
    take_zero_points(zero_points);
    take_codes(codes);
  }

  /// The same for a codebook. A scale may be 0.
  ///
  /// @param levels  2^bits finite numbers of -1 to 1 in ascending order; some may be equal
  quantized_matrix(const Eigen::Ref<const row_matrix<value_type>>& codes,
                   std::span<const float> scales, std::span<const float> levels)
    requires(CodebookScheme<S>)
      : quantized_matrix(codes.rows(), codes.cols()) {
    detail::expect_pointer("quantized_matrix", "codes", codes.data());
    take_scales(scales);
    detail::expect_valid_levels<storage::bits>("quantized_matrix", levels);
    levels_.assign(levels.begin(), levels.end());
    take_codes(codes);
  }

  /// The same for real_minimum. A scale may be 0: all values of the group are then its minimum.
  ///
  /// @param minima  one finite number for each scale
  quantized_matrix(const Eigen::Ref<const row_matrix<value_type>>& codes,
                   std::span<const float> scales, std::span<const float> minima)
    requires(S::has_minimum)
      : quantized_matrix(codes.rows(), codes.cols()) {
    detail::expect_pointer("quantized_matrix", "codes", codes.data());
    take_scales(scales);
    take_minima(minima);
    take_codes(codes);
  }

  [[nodiscard]] index rows() const noexcept { return rows_; }
  [[nodiscard]] index cols() const noexcept { return cols_; }

  [[nodiscard]] int code(index r, index c) const noexcept {
    return detail::extract_code<storage>(row_data(r), c);
  }
  [[nodiscard]] float scale(index r, index c) const noexcept {
    return scales_[static_cast<std::size_t>(granularity::scale_of(r, c, cols_))];
  }
  /// 0 for symmetric schemes.
  [[nodiscard]] int zero_point(index r, index c) const noexcept {
    if constexpr (S::is_affine) {
      return zero_points_[static_cast<std::size_t>(granularity::scale_of(r, c, cols_))];
    } else {
      return 0;
    }
  }

  /// 0 unless S has minima.
  [[nodiscard]] float minimum(index r, index c) const noexcept {
    if constexpr (S::has_minimum) {
      return minima_[static_cast<std::size_t>(granularity::scale_of(r, c, cols_))];
    } else {
      return 0.0F;
    }
  }

  /// Ordered by granularity::scale_of.
  [[nodiscard]] std::span<const float> scales() const noexcept { return scales_; }
  /// One for each scale if S is affine, else empty.
  [[nodiscard]] std::span<const value_type> zero_points() const noexcept { return zero_points_; }
  /// One for each scale if S has minima, else empty.
  [[nodiscard]] std::span<const float> minima() const noexcept { return minima_; }
  /// 2^bits numbers of -1 to 1 in ascending order if S has a codebook, else empty.
  [[nodiscard]] std::span<const float> levels() const noexcept { return levels_; }

  /// The packed codes, rows() times row_bytes() bytes.
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept {
    return {bytes_.data(), static_cast<std::size_t>(bytes_.size())};
  }
  [[nodiscard]] index row_bytes() const noexcept { return packed_bytes<storage::bits>(cols_); }

  /// Writes the cols() codes of row r to `out`.
  void unpack_row(index r, value_type* out) const noexcept {
    detail::unpack_codes<storage>(row_data(r), cols_, out);
  }

  [[nodiscard]] row_matrix<value_type> codes() const {
    row_matrix<value_type> all(rows_, cols_);
    for (index r = 0; r < rows_; ++r) unpack_row(r, all.data() + r * cols_);
    return all;
  }

  /// Bytes of this matrix in a file: codes, 4 for each scale, minimum and level, and zero points.
  [[nodiscard]] index storage_bytes() const noexcept {
    const std::size_t floats = scales_.size() + minima_.size() + levels_.size();
    return bytes_.size() + static_cast<index>(floats * sizeof(float)) +
           static_cast<index>(zero_points_.size() * sizeof(value_type));
  }

  /// Whether shape, codes, scales, zero points, minima and levels are equal.
  friend bool operator==(const quantized_matrix& a, const quantized_matrix& b) noexcept {
    return a.rows_ == b.rows_ && a.cols_ == b.cols_ && a.scales_ == b.scales_ &&
           a.zero_points_ == b.zero_points_ && a.minima_ == b.minima_ && a.levels_ == b.levels_ &&
           std::equal(a.bytes_.begin(), a.bytes_.end(), b.bytes_.begin(), b.bytes_.end());
  }

 private:
  friend detail::quantized_matrix_access;

  quantized_matrix(index rows, index cols) : rows_(rows), cols_(cols) {
    if (rows <= 0 || cols <= 0) {
      detail::fail("quantized_matrix", "codes", detail::shape_text(rows, cols),
                   "at least one row and one column");
    }
    bytes_ = aligned_buffer<std::uint8_t>(rows * row_bytes());
  }

  void take_scales(std::span<const float> scales) {
    const index count = granularity::count(rows_, cols_);
    detail::expect_equal("quantized_matrix", "number of scales", static_cast<index>(scales.size()),
                         count);
    for (index i = 0; i < count; ++i) {
      detail::expect_valid_scale<S>("quantized_matrix", detail::item("scales", i),
                                    scales[static_cast<std::size_t>(i)]);
    }
    scales_.assign(scales.begin(), scales.end());
  }

  void take_zero_points(std::span<const value_type> zero_points) {
    const index count = S::is_affine ? granularity::count(rows_, cols_) : 0;
    detail::expect_equal("quantized_matrix", "number of zero points",
                         static_cast<index>(zero_points.size()), count);
    for (index i = 0; i < count; ++i) {
      detail::expect_zero_point("quantized_matrix", detail::item("zero_points", i),
                                zero_points[static_cast<std::size_t>(i)], storage::min,
                                storage::max);
    }
    zero_points_.assign(zero_points.begin(), zero_points.end());
  }

  void take_minima(std::span<const float> minima) {
    const index count = granularity::count(rows_, cols_);
    detail::expect_equal("quantized_matrix", "number of minima", static_cast<index>(minima.size()),
                         count);
    for (index i = 0; i < count; ++i) {
      const float minimum = minima[static_cast<std::size_t>(i)];
      if (detail::is_finite(minimum)) continue;
      detail::fail("quantized_matrix", detail::item("minima", i), minimum, "a finite number");
    }
    minima_.assign(minima.begin(), minima.end());
  }

  void take_codes(const Eigen::Ref<const row_matrix<value_type>>& codes) {
    for (index r = 0; r < rows_; ++r) {
      for (index c = 0; c < cols_; ++c) expect_valid_code(r, c, codes(r, c));
      detail::pack_codes<storage>(codes.data() + r * codes.outerStride(), cols_, row_data(r));
    }
  }

  static void expect_valid_code(index r, index c, int value) {
    constexpr bool has_zero = !std::is_same_v<storage, binary>;
    if (value < S::code_min || value > S::code_max || (!has_zero && value == 0)) {
      detail::fail("quantized_matrix", detail::element("codes", r, c), value,
                   has_zero ? detail::interval(S::code_min, S::code_max) : "-1 or 1");
    }
  }

  [[nodiscard]] const std::uint8_t* row_data(index r) const noexcept {
    return bytes_.data() + r * row_bytes();
  }
  [[nodiscard]] std::uint8_t* row_data(index r) noexcept { return bytes_.data() + r * row_bytes(); }

  index rows_ = 0;
  index cols_ = 0;
  aligned_buffer<std::uint8_t> bytes_;
  std::vector<float> scales_;
  std::vector<value_type> zero_points_;
  std::vector<float> minima_;
  std::vector<float> levels_;
};

namespace detail {

struct quantized_matrix_access {
  /// A matrix of zero bits without scales. The caller fills in both; nothing is checked.
  template <Scheme S>
  static quantized_matrix<S> make(index rows, index cols) {
    return quantized_matrix<S>(rows, cols);
  }
  template <Scheme S>
  static std::uint8_t* row(quantized_matrix<S>& q, index r) noexcept {
    return q.row_data(r);
  }
  template <Scheme S>
  static void set_params(quantized_matrix<S>& q, std::vector<float>&& scales,
                         std::vector<typename S::code>&& zero_points) noexcept {
    q.scales_ = std::move(scales);
    q.zero_points_ = std::move(zero_points);
  }
  template <Scheme S>
  static void set_minima(quantized_matrix<S>& q, std::vector<float>&& minima) noexcept {
    q.minima_ = std::move(minima);
  }
  template <CodebookScheme S>
  static void set_levels(quantized_matrix<S>& q, std::vector<float>&& scales,
                         std::vector<float>&& levels) noexcept {
    q.scales_ = std::move(scales);
    q.levels_ = std::move(levels);
  }
};

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
