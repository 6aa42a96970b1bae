#pragma once
/// Integers of 128 bits for exact oracles; compilers for 32-bit targets have none.

#include <bit>
#include <compare>
#include <cstdint>

namespace fewbit::tests {

/// Two's complement in two words; arithmetic is modulo 2^128.
class wide {
 public:
  constexpr wide(std::int64_t value)
      : low_(static_cast<std::uint64_t>(value)), high_(value < 0 ? ~std::uint64_t{0} : 0) {}

  /// The lowest 32 or 64 bits.
  explicit constexpr operator std::int32_t() const { return static_cast<std::int32_t>(low_); }
  explicit constexpr operator std::int64_t() const { return static_cast<std::int64_t>(low_); }

  friend constexpr wide operator+(const wide& a, const wide& b) {
    const std::uint64_t low = a.low_ + b.low_;
    return {low, a.high_ + b.high_ + (low < a.low_ ? 1 : 0)};
  }
  friend constexpr wide operator-(const wide& a) {
    const std::uint64_t low = ~a.low_ + 1;
    return {low, ~a.high_ + (low == 0 ? 1 : 0)};
  }
  friend constexpr wide operator-(const wide& a, const wide& b) { return a + -b; }

  friend constexpr wide operator*(const wide& a, const wide& b) {
    const std::uint64_t a0 = a.low_ & half, a1 = a.low_ >> 32;
    const std::uint64_t b0 = b.low_ & half, b1 = b.low_ >> 32;
    const std::uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
    const std::uint64_t other = a0 * b1 + (middle & half);
    const std::uint64_t high = a1 * b1 + (middle >> 32) + (other >> 32);
    return {a.low_ * b.low_, high + a.low_ * b.high_ + a.high_ * b.low_};
  }

  /// a / b for a >= 0 and b > 0, one binary digit at a time.
  friend constexpr wide operator/(wide a, const wide& b) {
    wide quotient = 0;
    for (int i = a.width() - b.width(); i >= 0; --i) {
      const wide part = b.doubled(i);
      if (a < part) continue;
      a = a - part;
      quotient = quotient + wide(1).doubled(i);
    }
    return quotient;
  }

  friend constexpr bool operator==(const wide&, const wide&) = default;
  friend constexpr std::strong_ordering operator<=>(const wide& a, const wide& b) {
    if (a.high_ != b.high_) {
      return static_cast<std::int64_t>(a.high_) <=> static_cast<std::int64_t>(b.high_);
    }
    return a.low_ <=> b.low_;
  }

  /// 2^n for n = 0 .. 126.
  static constexpr wide power_of_two(int n) { return wide(1).doubled(n); }

  /// Number of bits of a number >= 0.
  [[nodiscard]] constexpr int width() const {
    return static_cast<int>(high_ != 0 ? 64 + std::bit_width(high_) : std::bit_width(low_));
  }

 private:
  static constexpr std::uint64_t half = 0xFFFFFFFFU;

  constexpr wide(std::uint64_t low, std::uint64_t high) : low_(low), high_(high) {}

  /// This number times 2^count.
  [[nodiscard]] constexpr wide doubled(int count) const {
    if (count == 0) return *this;
    if (count >= 64) return {0, low_ << (count - 64)};
    return {low_ << count, high_ << count | low_ >> (64 - count)};
  }

  std::uint64_t low_;
  std::uint64_t high_;
};

static_assert(wide(-3) * wide(5) == wide(-15) && wide(17) / wide(5) == wide(3));
static_assert(wide(INT64_MIN) * wide(INT64_MIN) / wide(INT64_MAX) > wide(INT64_MAX));
static_assert(wide(INT64_MIN) * wide(4) - wide(1) < wide(INT64_MIN) * wide(4));

}  // namespace fewbit::tests
