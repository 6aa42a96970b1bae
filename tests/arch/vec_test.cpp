#include "fewbit/arch/vec.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/arch/arch.hpp"

namespace arch_vec_test {

namespace arch = fewbit::arch;
using arch::vec;

/// One function per lane type, because separate expectations would be compiled for every shape.
template <class T>
void expect_equal(const T* got, const T* expected, int lanes) {
  for (int i = 0; i < lanes; ++i) EXPECT_EQ(got[i], expected[i]) << "lane " << i;
}

/// Expects lane i to equal expected(i).
template <class T, int N, class F>
void expect_lanes(const vec<T, N>& got, F expected) {
  std::array<T, N> lanes_got{};
  std::array<T, N> lanes_expected{};
  for (std::size_t i = 0; i < N; ++i) {
    lanes_got[i] = got[static_cast<int>(i)];
    lanes_expected[i] = expected(i);
  }
  expect_equal(lanes_got.data(), lanes_expected.data(), N);
}

/// A lane type and a number of lanes; 0 stands for one native register, -1 for two of them.
template <class T, int N>
struct shape {
  static constexpr int lanes = N > 0 ? N : arch::native_lanes<T> * (1 - N);
  using element = T;
  using vector = vec<T, lanes>;
  using values = std::array<T, static_cast<std::size_t>(lanes)>;

  /// Small numbers whose products and sums fit T; some are negative if T is signed.
  static values small(int start) {
    values result{};
    for (int i = 0; i < lanes; ++i) {
      const int value = (start * 5 + i * 7) % 21 - 10;
      result[static_cast<std::size_t>(i)] =
          static_cast<T>(std::is_signed_v<T> ? value : value + 10);
    }
    return result;
  }

  static vector load(const values& v) { return vector::load(v.data()); }

  static std::string name() {
    return (std::is_integral_v<T> ? std::is_signed_v<T> ? "int" : "uint" : "float") +
           std::to_string(8 * sizeof(T)) + " x " + std::to_string(lanes);
  }
};

using shapes =
    arch::list<shape<std::int8_t, 0>, shape<std::uint8_t, 0>, shape<std::int16_t, 0>,
               shape<std::uint16_t, 0>, shape<std::int32_t, 0>, shape<std::uint32_t, 0>,
               shape<std::int64_t, 0>, shape<std::uint64_t, 0>, shape<float, 0>, shape<double, 0>,
               shape<std::int8_t, 5>, shape<std::uint8_t, 5>, shape<std::int16_t, 5>,
               shape<std::uint16_t, 5>, shape<std::int32_t, 5>, shape<std::uint32_t, 5>,
               shape<std::int64_t, 5>, shape<std::uint64_t, 5>, shape<float, 5>, shape<double, 5>,
               shape<std::int32_t, -1>, shape<float, -1>, shape<std::int32_t, 1>, shape<float, 2>>;

/// Runs f for every shape. (Typed tests for all shapes would add more code to register them than to
/// run them.)
template <class Shapes = shapes, class F>
void for_each_shape(F f) {
  Shapes::for_each([&]<class S>() {
    SCOPED_TRACE(S::name());
    f.template operator()<S>();
  });
}

TEST(vec_test, has_the_documented_storage) {
  for_each_shape([]<class S>() {
    using V = typename S::vector;
    constexpr bool power_of_two = std::has_single_bit(static_cast<unsigned>(V::lanes));
    static_assert(V::is_native == (FEWBIT_HAS_VECTOR_TYPES && power_of_two && V::lanes > 1));
    static_assert(V::lanes == S::lanes);
    static_assert(std::is_trivially_copyable_v<V>);
    static_assert(arch::is_vec<V> && !arch::is_vec<typename S::element>);
    static_assert(std::is_same_v<arch::lane<V>, typename S::element>);
    static_assert(std::is_same_v<arch::rebind<V, double>, vec<double, V::lanes>>);
    static_assert(std::is_same_v<arch::rebind<float, double>, double>);
  });
}

TEST(vec_test, broadcasts_loads_stores_and_sets) {
  for_each_shape([]<class S>() {
    using T = typename S::element;
    using V = typename S::vector;
    for (T value : {T{0}, T{1}, std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max()}) {
      expect_lanes(V(value), [&](std::size_t) { return value; });
    }
    const auto a = S::small(1);
    // One byte past an aligned address.
    std::vector<std::uint8_t> bytes(sizeof(a) + 2, 0xAA);
    auto* odd = reinterpret_cast<T*>(bytes.data() + 1);
    std::memcpy(bytes.data() + 1, a.data(), sizeof(a));
    const V loaded = V::load(odd);
    expect_lanes(loaded, [&](std::size_t i) { return a[i]; });
    expect_lanes(arch::load<V>(odd), [&](std::size_t i) { return a[i]; });
    expect_lanes(V::from(loaded.data), [&](std::size_t i) { return a[i]; });

    std::vector<std::uint8_t> target(sizeof(a) + 2, 0xAA);
    loaded.store(reinterpret_cast<T*>(target.data() + 1));
    EXPECT_EQ(target, bytes);
    std::fill(target.begin(), target.end(), std::uint8_t{0xAA});
    arch::store(reinterpret_cast<T*>(target.data() + 1), loaded);
    EXPECT_EQ(target, bytes);

    V changed = loaded;
    changed.set(S::lanes - 1, T{99});
    expect_lanes(changed, [&](std::size_t i) {
      return i + 1 == static_cast<std::size_t>(S::lanes) ? T{99} : a[i];
    });
  });
}

TEST(vec_test, adds_subtracts_multiplies_divides) {
  for_each_shape([]<class S>() {
    using T = typename S::element;
    for (int start = 0; start < 21; ++start) {
      const auto a = S::small(start);
      auto b = S::small(start + 3);
      const auto x = S::load(a);
      const auto y = S::load(b);
      expect_lanes(x + y, [&](std::size_t i) { return static_cast<T>(a[i] + b[i]); });
      expect_lanes(x - y, [&](std::size_t i) { return static_cast<T>(a[i] - b[i]); });
      expect_lanes(x * y, [&](std::size_t i) { return static_cast<T>(a[i] * b[i]); });
      auto sum = x;
      sum += y;
      expect_lanes(sum, [&](std::size_t i) { return static_cast<T>(a[i] + b[i]); });
      for (T& divisor : b) divisor = divisor == T{0} ? T{3} : divisor;
      expect_lanes(x / S::load(b), [&](std::size_t i) { return static_cast<T>(a[i] / b[i]); });
    }
  });
}

TEST(vec_test, unsigned_lanes_wrap) {
  for_each_shape([]<class S>() {
    using T = typename S::element;
    using V = typename S::vector;
    if constexpr (std::is_unsigned_v<T>) {
      const T most = std::numeric_limits<T>::max();
      expect_lanes(V(most) + V(2), [](std::size_t) { return T{1}; });
      expect_lanes(V(1) - V(2), [&](std::size_t) { return most; });
      expect_lanes(V(most) * V(most), [](std::size_t) { return T{1}; });
      expect_lanes(V(most) << V(1), [&](std::size_t) { return static_cast<T>(most - 1); });
    }
  });
}

TEST(vec_test, combines_and_shifts_bits) {
  for_each_shape([]<class S>() {
    using T = typename S::element;
    if constexpr (std::is_integral_v<T>) {
      for (int start = 0; start < 21; ++start) {
        const auto a = S::small(start);
        const auto b = S::small(start + 3);
        const auto x = S::load(a);
        const auto y = S::load(b);
        expect_lanes(x & y, [&](std::size_t i) { return static_cast<T>(a[i] & b[i]); });
        expect_lanes(x | y, [&](std::size_t i) { return static_cast<T>(a[i] | b[i]); });
        expect_lanes(x ^ y, [&](std::size_t i) { return static_cast<T>(a[i] ^ b[i]); });
        auto counts = b;
        for (std::size_t i = 0; i < counts.size(); ++i) {
          counts[i] = static_cast<T>((static_cast<std::size_t>(start) + i) % (8 * sizeof(T)));
        }
        const auto shifts = S::load(counts);
        expect_lanes(x >> shifts, [&](std::size_t i) { return static_cast<T>(a[i] >> counts[i]); });
        expect_lanes(x << shifts, [&](std::size_t i) {
          return static_cast<T>(static_cast<std::uint64_t>(a[i]) << counts[i]);
        });
      }
    }
  });
}

TEST(vec_test, compares_and_selects) {
  for_each_shape([]<class S>() {
    using T = typename S::element;
    using V = typename S::vector;
    using mask = arch::mask_lane<T>;
    for (int start = 0; start < 21; ++start) {
      const auto a = S::small(start);
      const auto b = S::small(start + 7 * start % 5);
      const auto x = S::load(a);
      const auto y = S::load(b);
      expect_lanes(x < y, [&](std::size_t i) { return mask(a[i] < b[i] ? -1 : 0); });
      expect_lanes(x > y, [&](std::size_t i) { return mask(a[i] > b[i] ? -1 : 0); });
      expect_lanes(x == y, [&](std::size_t i) { return mask(a[i] == b[i] ? -1 : 0); });
      expect_lanes(arch::select(x < y, x, V(T{5})),
                   [&](std::size_t i) { return a[i] < b[i] ? a[i] : T{5}; });
      expect_lanes(arch::min(x, y), [&](std::size_t i) { return std::min(a[i], b[i]); });
      expect_lanes(arch::max(x, y), [&](std::size_t i) { return std::max(a[i], b[i]); });
      const T low = static_cast<T>(std::is_signed_v<T> ? -3 : 3);
      expect_lanes(arch::clamp(x, V(low), V(T{5})),
                   [&](std::size_t i) { return std::clamp(a[i], low, T{5}); });
    }
    const V lowest(std::numeric_limits<T>::lowest());
    const V highest(std::numeric_limits<T>::max());
    expect_lanes(lowest < highest, [](std::size_t) { return mask{-1}; });
    expect_lanes(highest < lowest, [](std::size_t) { return mask{0}; });
  });
}

TEST(vec_test, reduces) {
  for_each_shape([]<class S>() {
    using T = typename S::element;
    const auto a = S::small(4);
    T most = a[0];
    for (T value : a) most = std::max(most, value);
    EXPECT_EQ(arch::max_of_lanes(S::load(a)), most);
    auto peak = a;
    peak.back() = std::numeric_limits<T>::max();
    EXPECT_EQ(arch::max_of_lanes(S::load(peak)), std::numeric_limits<T>::max());
    if constexpr (std::is_integral_v<T>) {
      for (std::size_t i = 0; i < a.size(); ++i) {
        auto one = a;
        one[i] = std::numeric_limits<T>::max();
        EXPECT_EQ(arch::largest_first(S::load(one))[0], std::numeric_limits<T>::max()) << i;
      }
      EXPECT_EQ(arch::largest_first(S::load(a))[0], most);
      std::int64_t sum = 0;
      for (T value : a) sum += static_cast<std::int64_t>(value);
      EXPECT_EQ(arch::sum_of_lanes(S::load(a)), static_cast<T>(sum));
    }
  });
}

/// Each lane of V, and the scalar, converted to U.
template <class U, class S>
void expect_converts() {
  using T = typename S::element;
  std::array<T, S::lanes> a{};
  for (int i = 0; i < S::lanes; ++i) {
    double value = (i * 37 + 11) % 256 - (std::is_signed_v<T> && std::is_signed_v<U> ? 128 : 0);
    if (sizeof(T) == 1 && std::is_signed_v<T>) value = std::min(value, 127.0);
    if (std::is_floating_point_v<T>) value += 0.75;
    if (std::is_floating_point_v<T> && sizeof(U) == 1) value /= 2;
    a[static_cast<std::size_t>(i)] = static_cast<T>(value);
  }
  const auto converted = arch::convert<U>(S::load(a));
  static_assert(std::is_same_v<std::remove_cv_t<decltype(converted)>, vec<U, S::lanes>>);
  const auto expected = [&](std::size_t i) { return static_cast<U>(a[i]); };
  expect_lanes(converted, expected);
  vec<U, S::lanes> one_by_one(U{0});
  for (int i = 0; i < S::lanes; ++i) {
    one_by_one.set(i, arch::convert<U>(a[static_cast<std::size_t>(i)]));
  }
  expect_lanes(one_by_one, expected);
}

TEST(vec_test, converts_as_static_cast_does) {
  for_each_shape([]<class S>() {
    expect_converts<std::int8_t, S>();
    expect_converts<std::uint8_t, S>();
    expect_converts<std::int16_t, S>();
    expect_converts<std::uint16_t, S>();
    expect_converts<std::int32_t, S>();
    expect_converts<std::uint32_t, S>();
    expect_converts<std::int64_t, S>();
    expect_converts<std::uint64_t, S>();
    expect_converts<float, S>();
    expect_converts<double, S>();
  });
}

TEST(vec_test, integers_wrap_when_converted_to_fewer_bits) {
  for_each_shape([]<class S>() {
    using T = typename S::element;
    using V = typename S::vector;
    if constexpr (std::is_integral_v<T>) {
      for (T value : {std::numeric_limits<T>::min(), std::numeric_limits<T>::max(),
                      static_cast<T>(-1), static_cast<T>(0x1234567890ABCDEF)}) {
        expect_lanes(arch::convert<std::int8_t>(V(value)),
                     [&](std::size_t) { return static_cast<std::int8_t>(value); });
        expect_lanes(arch::convert<std::uint32_t>(V(value)),
                     [&](std::size_t) { return static_cast<std::uint32_t>(value); });
      }
    }
  });
}

TEST(vec_test, reads_bits_as_another_type) {
  for_each_shape([]<class S>() {
    using T = typename S::element;
    using bits = arch::mask_lane<T>;
    const auto a = S::small(2);
    const auto read = arch::bits_as<bits>(S::load(a));
    expect_lanes(read, [&](std::size_t i) { return std::bit_cast<bits>(a[i]); });
    expect_lanes(arch::bits_as<T>(read), [&](std::size_t i) { return a[i]; });
    EXPECT_EQ(arch::bits_as<bits>(a[0]), std::bit_cast<bits>(a[0]));
  });
}

using float_shapes = arch::list<shape<float, 0>, shape<float, -1>, shape<float, 5>, shape<float, 1>,
                                shape<double, 0>, shape<double, 5>>;

template <class Word>
void expect_bytes_in_order() {
  std::uint8_t bytes[sizeof(Word)];
  for (std::size_t i = 0; i < sizeof(Word); ++i) bytes[i] = static_cast<std::uint8_t>(3 * i + 1);
  Word word;
  std::memcpy(&word, bytes, sizeof(word));
  for (int i = 0; i < int{sizeof(Word)}; ++i) {
    EXPECT_EQ(word >> arch::byte_shift<Word>(i) & 255U, bytes[i]) << i << " of " << sizeof(Word);
  }
}

TEST(byte_shift, finds_the_bytes_of_a_word_in_memory) {
  expect_bytes_in_order<std::uint16_t>();
  expect_bytes_in_order<std::uint32_t>();
  expect_bytes_in_order<std::uint64_t>();
}

TEST(float_vec_test, min_and_max_return_the_second_operand_if_either_is_nan) {
  for_each_shape<float_shapes>([]<class S>() {
    using T = typename S::element;
    using V = typename S::vector;
    const T nan = std::numeric_limits<T>::quiet_NaN();
    const auto expect = [&](const V& got, T want) {
      for (int i = 0; i < V::lanes; ++i) {
        EXPECT_EQ(arch::bits_as<arch::mask_lane<T>>(got)[i],
                  std::bit_cast<arch::mask_lane<T>>(want));
      }
    };
    expect(arch::min(V(nan), V(T{1})), T{1});
    expect(arch::max(V(nan), V(T{1})), T{1});
    expect(arch::min(V(T{1}), V(nan)), nan);
    expect(arch::max(V(T{1}), V(nan)), nan);
    // Zeros of both signs compare equal, so the result is the second operand here too.
    expect(arch::min(V(T{0}), V(-T{0})), -T{0});
    expect(arch::max(V(-T{0}), V(T{0})), T{0});
    expect(arch::clamp(V(nan), V(T{-2}), V(T{3})), T{-2});
    const T infinity = std::numeric_limits<T>::infinity();
    expect(arch::clamp(V(infinity), V(T{-2}), V(T{3})), T{3});
    expect(arch::clamp(V(-infinity), V(T{-2}), V(T{3})), T{-2});
    EXPECT_EQ(arch::clamp(nan, T{-2}, T{3}), T{-2});
    EXPECT_EQ(arch::min(nan, T{1}), T{1});
    EXPECT_EQ(arch::max(nan, T{1}), T{1});
  });
}

TEST(float_vec_test, comparisons_with_nan_are_false) {
  for_each_shape<float_shapes>([]<class S>() {
    using T = typename S::element;
    using V = typename S::vector;
    const V nan(std::numeric_limits<T>::quiet_NaN());
    for (const auto& mask : {nan<V(T{1}), nan> V(T{1}), nan == nan, V(T{1}) < nan}) {
      for (int i = 0; i < V::lanes; ++i) EXPECT_EQ(mask[i], 0);
    }
  });
}

TEST(float_vec_test, rounded_and_loaded_once_keep_every_bit) {
  for_each_shape<float_shapes>([]<class S>() {
    using T = typename S::element;
    using V = typename S::vector;
    using bits = arch::mask_lane<T>;
    for (T value :
         {T{0}, -T{0}, T{1}, std::numeric_limits<T>::denorm_min(), std::numeric_limits<T>::max(),
          -std::numeric_limits<T>::infinity(), std::numeric_limits<T>::quiet_NaN()}) {
      EXPECT_EQ(std::bit_cast<bits>(arch::rounded(value)), std::bit_cast<bits>(value));
      const auto kept = arch::bits_as<bits>(arch::rounded(V(value)));
      const auto loaded = arch::bits_as<bits>(arch::loaded_once(V(value)));
      for (int i = 0; i < V::lanes; ++i) {
        EXPECT_EQ(kept[i], std::bit_cast<bits>(value));
        EXPECT_EQ(loaded[i], std::bit_cast<bits>(value));
      }
    }
  });
}

template <int N>
void expect_rounds(float x, std::int32_t want) {
  const auto got = arch::round_to_int(vec<float, N>(x));
  for (int i = 0; i < N; ++i) ASSERT_EQ(got[i], want) << x;
}

void expect_rounds_everywhere(float x) {
  ASSERT_EQ(std::fegetround(), FE_TONEAREST);
  const auto want = static_cast<std::int32_t>(std::nearbyint(x));
  ASSERT_EQ(arch::round_to_int(x), want) << x;
  expect_rounds<5>(x, want);
  expect_rounds<arch::native_lanes<float>>(x, want);
  expect_rounds<2 * arch::native_lanes<float>>(x, want);
}

TEST(round_to_int, rounds_to_nearest_and_ties_to_even) {
  EXPECT_EQ(arch::round_to_int(0.5F), 0);
  EXPECT_EQ(arch::round_to_int(1.5F), 2);
  EXPECT_EQ(arch::round_to_int(2.5F), 2);
  EXPECT_EQ(arch::round_to_int(-0.5F), 0);
  EXPECT_EQ(arch::round_to_int(-1.5F), -2);
  for (int halves = -2000; halves <= 2000; ++halves) {
    const float tie = static_cast<float>(halves) * 0.5F;
    expect_rounds_everywhere(tie);
    expect_rounds_everywhere(std::nextafter(tie, 1e9F));
    expect_rounds_everywhere(std::nextafter(tie, -1e9F));
  }
}

TEST(round_to_int, is_exact_up_to_two_to_the_22) {
  constexpr float limit = 4194304.0F;
  for (float x : {limit, limit - 0.5F, limit - 1.5F, limit - 1.0F}) {
    expect_rounds_everywhere(x);
    expect_rounds_everywhere(-x);
  }
  for (float x : {0.0F, -0.0F, std::numeric_limits<float>::denorm_min(), 1e-20F}) {
    expect_rounds_everywhere(x);
    expect_rounds_everywhere(-x);
  }
}

TEST(scalars, are_accepted_by_the_same_functions) {
  float x = 3.5F;
  EXPECT_EQ(arch::load<float>(&x), 3.5F);
  arch::store(&x, 4.5F);
  EXPECT_EQ(x, 4.5F);
  EXPECT_EQ(arch::select(true, 1, 2), 1);
  EXPECT_EQ(arch::select(false, 1, 2), 2);
  EXPECT_EQ(arch::min(1, 2), 1);
  EXPECT_EQ(arch::max(1, 2), 2);
  EXPECT_EQ(arch::clamp(9, 1, 5), 5);
  EXPECT_EQ(arch::bits_as<std::uint32_t>(1.0F), 0x3F800000U);
}

}  // namespace arch_vec_test
