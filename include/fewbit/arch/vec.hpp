#pragma once
/// Short vectors in portable C++: arithmetic, comparison, selection, conversion, loads and stores,
/// without intrinsics (except for minimum and maximum in arch/extrema.hpp).
///
/// `vec<T, N>` holds N lanes of T. With gcc and clang it is stored in their vector type. Elsewhere,
/// and if N is not a power of two, it is stored in an array. Every free function here also takes a
/// plain scalar, so one template serves vectors and scalars. The scalar instance processes the tail
/// of a loop and gives the same bits as the vector instance.
///
/// Unsigned lanes wrap on overflow. Signed overflow is undefined, as in plain C++.

#include "fewbit/begin.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "fewbit/arch/extrema.hpp"
#include "fewbit/config.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // no function of another compiler is called with a vector
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

namespace detail {

template <class T, int N>
struct vec_storage {
  using type = std::array<T, N>;
};

#if FEWBIT_HAS_VECTOR_TYPES
template <class T, int N>
  requires(std::has_single_bit(static_cast<unsigned>(N)) && N > 1)
struct vec_storage<T, N> {
  typedef T type __attribute__((vector_size(sizeof(T) * N)));
};
#endif

template <std::size_t Bytes>
struct signed_of_size;
template <>
struct signed_of_size<1> {
  using type = std::int8_t;
};
template <>
struct signed_of_size<2> {
  using type = std::int16_t;
};
template <>
struct signed_of_size<4> {
  using type = std::int32_t;
};
template <>
struct signed_of_size<8> {
  using type = std::int64_t;
};

}  // namespace detail

/// Lane type of the result of a comparison of lanes of T. Its values are 0 and -1.
template <class T>
using mask_lane = typename detail::signed_of_size<sizeof(T)>::type;

/// N numbers of type T, in one register or several; +, -, *, / and comparisons work on each lane.
template <class T, int N>
struct vec {
  using value_type = T;
  using storage = typename detail::vec_storage<T, N>::type;
  static constexpr int lanes = N;
  static constexpr bool is_native = !std::is_same_v<storage, std::array<T, N>>;

  storage data;

  vec() = default;

  /// All lanes equal to `value`.
  FEWBIT_ALWAYS_INLINE vec(T value) noexcept {
    if constexpr (is_native) {
      data = value - storage{};
    } else {
      data.fill(value);
    }
  }

  FEWBIT_ALWAYS_INLINE static vec from(const storage& s) noexcept {
    vec v;
    v.data = s;
    return v;
  }

  /// Reads N values. p needs no alignment.
  FEWBIT_ALWAYS_INLINE static vec load(const T* p) noexcept {
    vec v;
    std::memcpy(&v.data, p, sizeof(T) * N);
    return v;
  }

  FEWBIT_ALWAYS_INLINE void store(T* p) const noexcept { std::memcpy(p, &data, sizeof(T) * N); }

  FEWBIT_ALWAYS_INLINE T operator[](int i) const noexcept {
    return data[static_cast<std::size_t>(i)];
  }
  FEWBIT_ALWAYS_INLINE void set(int i, T value) noexcept {
    data[static_cast<std::size_t>(i)] = value;
  }

  FEWBIT_ALWAYS_INLINE friend vec operator+(const vec& a, const vec& b) noexcept {
    return zip(a, b, [](auto& r, const auto& x, const auto& y) {
      r = static_cast<narrow<decltype(r)>>(x + y);
    });
  }
  FEWBIT_ALWAYS_INLINE friend vec operator-(const vec& a, const vec& b) noexcept {
    return zip(a, b, [](auto& r, const auto& x, const auto& y) {
      r = static_cast<narrow<decltype(r)>>(x - y);
    });
  }
  FEWBIT_ALWAYS_INLINE friend vec operator*(const vec& a, const vec& b) noexcept {
    return zip(a, b, [](auto& r, const auto& x, const auto& y) {
      if constexpr (is_native) {
        r = x * y;
      } else if constexpr (std::is_unsigned_v<T>) {
        r = static_cast<T>(1U * x * y);  // as int the product could overflow
      } else {
        r = static_cast<T>(x * y);
      }
    });
  }
  FEWBIT_ALWAYS_INLINE friend vec operator/(const vec& a, const vec& b) noexcept {
    return zip(a, b, [](auto& r, const auto& x, const auto& y) {
      r = static_cast<narrow<decltype(r)>>(x / y);
    });
  }
  FEWBIT_ALWAYS_INLINE friend vec operator&(const vec& a, const vec& b) noexcept {
    return zip(a, b, [](auto& r, const auto& x, const auto& y) {
      r = static_cast<narrow<decltype(r)>>(x & y);
    });
  }
  FEWBIT_ALWAYS_INLINE friend vec operator|(const vec& a, const vec& b) noexcept {
    return zip(a, b, [](auto& r, const auto& x, const auto& y) {
      r = static_cast<narrow<decltype(r)>>(x | y);
    });
  }
  FEWBIT_ALWAYS_INLINE friend vec operator^(const vec& a, const vec& b) noexcept {
    return zip(a, b, [](auto& r, const auto& x, const auto& y) {
      r = static_cast<narrow<decltype(r)>>(x ^ y);
    });
  }
  FEWBIT_ALWAYS_INLINE friend vec operator<<(const vec& a, const vec& b) noexcept {
    return zip(a, b, [](auto& r, const auto& x, const auto& y) {
      r = static_cast<narrow<decltype(r)>>(x << y);
    });
  }
  /// Arithmetic for signed lanes, logical for unsigned ones.
  FEWBIT_ALWAYS_INLINE friend vec operator>>(const vec& a, const vec& b) noexcept {
    return zip(a, b, [](auto& r, const auto& x, const auto& y) {
      r = static_cast<narrow<decltype(r)>>(x >> y);
    });
  }
  FEWBIT_ALWAYS_INLINE vec& operator+=(const vec& b) noexcept { return *this = *this + b; }

  FEWBIT_ALWAYS_INLINE friend vec<mask_lane<T>, N> operator<(const vec& a, const vec& b) noexcept {
    return compare(a, b, [](auto& r, const auto& x, const auto& y) { r = x < y; });
  }
  FEWBIT_ALWAYS_INLINE friend vec<mask_lane<T>, N> operator>(const vec& a, const vec& b) noexcept {
    return b < a;
  }
  FEWBIT_ALWAYS_INLINE friend vec<mask_lane<T>, N> operator==(const vec& a, const vec& b) noexcept {
    return compare(a, b, [](auto& r, const auto& x, const auto& y) { r = x == y; });
  }

 private:
  /// Type to convert a result back to after integer promotion. Only the array form promotes
  /// integers.
  template <class R>
  using narrow = std::remove_reference_t<R>;

  template <class F>
  FEWBIT_ALWAYS_INLINE static vec zip(const vec& a, const vec& b, F f) noexcept {
    vec r;
    if constexpr (is_native) {
      f(r.data, a.data, b.data);
    } else {
      for (std::size_t i = 0; i < N; ++i) f(r.data[i], a.data[i], b.data[i]);
    }
    return r;
  }

  template <class F>
  FEWBIT_ALWAYS_INLINE static vec<mask_lane<T>, N> compare(const vec& a, const vec& b,
                                                           F f) noexcept {
    vec<mask_lane<T>, N> r;
    if constexpr (is_native) {
      f(r.data, a.data, b.data);
    } else {
      for (std::size_t i = 0; i < N; ++i) {
        bool holds = false;
        f(holds, a.data[i], b.data[i]);
        r.data[i] = holds ? mask_lane<T>{-1} : mask_lane<T>{0};
      }
    }
    return r;
  }
};

/// Whether V is a vec, not one number.
template <class V>
inline constexpr bool is_vec = false;
/// A vec is one.
template <class T, int N>
inline constexpr bool is_vec<vec<T, N>> = true;

namespace detail {

template <class V, class U>
struct rebind {
  using type = U;
};
template <class T, int N, class U>
struct rebind<vec<T, N>, U> {
  using type = vec<U, N>;
};
template <class V>
struct lane {
  using type = V;
};
template <class T, int N>
struct lane<vec<T, N>> {
  using type = T;
};

}  // namespace detail

/// V with lanes of U: `vec<U, N>` for `vec<T, N>`, U for a scalar.
template <class V, class U>
using rebind = typename detail::rebind<V, U>::type;

/// T of `vec<T, N>`, or the scalar itself.
template <class V>
using lane = typename detail::lane<V>::type;

/// Number of lanes in one register of the native arch. A register is 16 bytes if the arch has no
/// vectors.
template <class T>
inline constexpr int native_lanes = (FEWBIT_HAS_AVX512_VNNI ? 64
                                     : FEWBIT_HAS_AVX2      ? 32
                                                            : 16) /
                                    int{sizeof(T)};

/// Reads a scalar, or as many values as V has lanes.
template <class V>
FEWBIT_ALWAYS_INLINE V load(const lane<V>* p) noexcept {
  if constexpr (is_vec<V>) {
    return V::load(p);
  } else {
    return *p;
  }
}

/// Writes one number or all lanes to memory; any alignment.
template <class V>
FEWBIT_ALWAYS_INLINE void store(lane<V>* p, const V& v) noexcept {
  if constexpr (is_vec<V>) {
    v.store(p);
  } else {
    *p = v;
  }
}

namespace detail {

template <std::size_t Bytes, bool Signed>
struct integer_of_size {
  using type = typename signed_of_size<Bytes>::type;
};
template <std::size_t Bytes>
struct integer_of_size<Bytes, false> {
  using type = std::make_unsigned_t<typename signed_of_size<Bytes>::type>;
};

/// The next type on the way from T to U. Each step changes the size of an integer by a factor of 2,
/// and an integer is converted to a float only if both have the same size, because g++ 12 compiles
/// larger steps lane by lane. The result is U if one step is enough.
template <class T, class U>
constexpr auto conversion_step() {
  if constexpr (std::is_integral_v<T> && std::is_floating_point_v<U> && sizeof(T) < sizeof(U)) {
    return typename signed_of_size<sizeof(U)>::type{};
  } else if constexpr (std::is_integral_v<T> && std::is_integral_v<U> &&
                       sizeof(U) > 2 * sizeof(T)) {
    return typename integer_of_size<2 * sizeof(T), std::is_signed_v<T>>::type{};
  } else if constexpr (std::is_integral_v<T> && std::is_integral_v<U> &&
                       2 * sizeof(U) < sizeof(T)) {
    return typename integer_of_size<sizeof(T) / 2, std::is_signed_v<U>>::type{};
  } else {
    return U{};
  }
}

}  // namespace detail

/// Each lane converted as static_cast<U> does: floats truncate, integers wrap.
template <class U, class V>
FEWBIT_ALWAYS_INLINE rebind<V, U> convert(const V& v) noexcept {
  if constexpr (!is_vec<V>) {
    return static_cast<U>(v);
  } else if constexpr (std::is_same_v<U, lane<V>>) {
    return v;
  } else {
    using step = decltype(detail::conversion_step<lane<V>, U>());
    if constexpr (!std::is_same_v<step, U>) {
      return convert<U>(convert<step>(v));
    } else {
      rebind<V, U> r;
#if FEWBIT_HAS_VECTOR_TYPES
      if constexpr (V::is_native) {
        r.data = __builtin_convertvector(v.data, typename rebind<V, U>::storage);
        return r;
      }
#endif
      for (int i = 0; i < V::lanes; ++i) r.set(i, static_cast<U>(v[i]));
      return r;
    }
  }
}

/// Lanes Index * N .. Index * N + N - 1.
template <int Index, int N, class T, int Lanes>
FEWBIT_ALWAYS_INLINE vec<T, N> part(const vec<T, Lanes>& v) noexcept {
  static_assert((Index + 1) * N <= Lanes);
  vec<T, N> r;
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
  // g++ 12 writes a register to the stack and reads the part back if it sees memcpy alone.
  if constexpr (vec<T, Lanes>::is_native && vec<T, N>::is_native) {
    [&]<int... I>(std::integer_sequence<int, I...>) {
      r.data = __builtin_shufflevector(v.data, v.data, (Index * N + I)...);
    }(std::make_integer_sequence<int, N>{});
    return r;
  }
#endif
#endif
  std::memcpy(&r.data, reinterpret_cast<const std::byte*>(&v.data) + sizeof(r) * Index, sizeof(r));
  return r;
}

/// The same bits, read as lanes of U. U has the size of V's lanes.
template <class U, class V>
FEWBIT_ALWAYS_INLINE rebind<V, U> bits_as(const V& v) noexcept {
  if constexpr (is_vec<V>) {
    static_assert(sizeof(U) == sizeof(lane<V>));
    rebind<V, U> r;
    std::memcpy(&r.data, &v.data, sizeof(v.data));
    return r;
  } else {
    return std::bit_cast<U>(v);
  }
}

/// Whether the first byte of a word in memory holds its lowest bits.
inline constexpr bool low_byte_first = std::endian::native == std::endian::little;

/// Shift to the right that moves the byte at address i of a Word in memory to the lowest bits.
template <class Word>
[[nodiscard]] constexpr Word byte_shift(int i) noexcept {
  return static_cast<Word>(8 * (low_byte_first ? i : int{sizeof(Word)} - 1 - i));
}

/// a where the condition holds, else b. The condition is the result of a comparison of lanes as
/// wide as V's.
template <class M, class V>
FEWBIT_ALWAYS_INLINE V select(const M& condition, const V& a, const V& b) noexcept {
  if constexpr (!is_vec<V>) {
    return condition ? a : b;
  } else if constexpr (V::is_native) {
    return V::from(condition.data ? a.data : b.data);
  } else {
    V r;
    for (int i = 0; i < V::lanes; ++i) r.set(i, condition[i] != 0 ? a[i] : b[i]);
    return r;
  }
}

/// a < b ? a : b. The result is b if either operand is NaN.
template <class V>
FEWBIT_ALWAYS_INLINE V min(const V& a, const V& b) noexcept {
  if constexpr (is_vec<V>) {
    if constexpr (V::is_native) {
      V r;
      detail::smaller<lane<V>>(a.data, b.data, r.data);
      return r;
    }
  }
  return select(a < b, a, b);
}

/// The larger in each lane; the second where one is a NaN.
template <class V>
FEWBIT_ALWAYS_INLINE V max(const V& a, const V& b) noexcept {
  if constexpr (is_vec<V>) {
    if constexpr (V::is_native) {
      V r;
      detail::larger<lane<V>>(a.data, b.data, r.data);
      return r;
    }
  }
  return select(a > b, a, b);
}

#if defined(__AVX512F__)
#define FEWBIT_DETAIL_VECTOR_REGISTER "+v"
#elif defined(__x86_64__)
#define FEWBIT_DETAIL_VECTOR_REGISTER "+x"
#else
#define FEWBIT_DETAIL_VECTOR_REGISTER "+w"
#endif

// Constraint of asm for a register of one float or double on other processors, where it is known.
#if defined(__GNUC__) && (defined(__s390x__) || (defined(__riscv_flen) && __riscv_flen >= 64))
#define FEWBIT_DETAIL_FLOAT_REGISTER "+f"
#elif defined(__GNUC__) && defined(__ARM_PCS_VFP)
#define FEWBIT_DETAIL_FLOAT_REGISTER "+w"
#endif

namespace detail {

/// Whether V fills one register of this build.
template <class V>
inline constexpr bool is_register =
    V::is_native && sizeof(V) >= 16 && sizeof(V) <= sizeof(lane<V>) * native_lanes<lane<V>>;

}  // namespace detail

/// Loads a vector from memory once. Otherwise g++ repeats the load in every instruction that uses
/// it.
template <class V>
FEWBIT_ALWAYS_INLINE V loaded_once(const V& value) noexcept {
  V v = value;
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__aarch64__))
  if constexpr (detail::is_register<V>) asm("" : FEWBIT_DETAIL_VECTOR_REGISTER(v.data));
#endif
  return v;
}

/// A float value that the compiler must not fuse with the next operation. `rounded(a * b) + c`
/// rounds twice on every processor and with every -ffp-contract.
template <class V>
FEWBIT_ALWAYS_INLINE V rounded(const V& value) noexcept {
  static_assert(std::is_floating_point_v<lane<V>>);
  V v = value;
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__aarch64__))
  if constexpr (!is_vec<V>) {
    asm("" : FEWBIT_DETAIL_VECTOR_REGISTER(v));
    return v;
  } else if constexpr (detail::is_register<V>) {
    asm("" : FEWBIT_DETAIL_VECTOR_REGISTER(v.data));
    return v;
  } else if constexpr (V::is_native && sizeof(V) > 16) {
    using half = vec<lane<V>, V::lanes / 2>;
    lane<V> lanes[V::lanes];
    v.store(lanes);
    rounded(half::load(lanes)).store(lanes);
    rounded(half::load(lanes + half::lanes)).store(lanes + half::lanes);
    return V::load(lanes);
  }
#endif
  if constexpr (is_vec<V>) {
    for (int i = 0; i < V::lanes; ++i) v.set(i, rounded(v[i]));
    return v;
  } else {
#if defined(FEWBIT_DETAIL_FLOAT_REGISTER)
    asm("" : FEWBIT_DETAIL_FLOAT_REGISTER(v));
    return v;
#else
    volatile lane<V> kept = v;
    return kept;
#endif
  }
}
#undef FEWBIT_DETAIL_VECTOR_REGISTER
#undef FEWBIT_DETAIL_FLOAT_REGISTER

/// Nearest integer, ties to even, for |x| <= 2^22; for larger |x| the result is unspecified. Adding
/// 1.5 * 2^23 rounds x and leaves the integer in the low bits of the float.
template <class V>
FEWBIT_ALWAYS_INLINE rebind<V, std::int32_t> round_to_int(const V& x) noexcept {
  static_assert(std::is_same_v<lane<V>, float>);
  constexpr float magic = 12582912.0F;
  using integers = rebind<V, std::int32_t>;
  const V sum = rounded(x) + V(magic);
  return bits_as<std::int32_t>(sum) - integers(std::bit_cast<std::int32_t>(magic));
}

/// a + b of signed integers modulo 2^bits.
template <class V>
FEWBIT_ALWAYS_INLINE V add_wrapping(const V& a, const V& b) noexcept {
  using bits = std::make_unsigned_t<lane<V>>;
  return bits_as<lane<V>>(rebind<V, bits>(bits_as<bits>(a) + bits_as<bits>(b)));
}

/// a - b of signed integers modulo 2^bits.
template <class V>
FEWBIT_ALWAYS_INLINE V subtract_wrapping(const V& a, const V& b) noexcept {
  using bits = std::make_unsigned_t<lane<V>>;
  return bits_as<lane<V>>(rebind<V, bits>(bits_as<bits>(a) - bits_as<bits>(b)));
}

/// a * b of signed integers modulo 2^bits.
template <class V>
FEWBIT_ALWAYS_INLINE V multiply_wrapping(const V& a, const V& b) noexcept {
  using bits = std::make_unsigned_t<lane<V>>;
  return bits_as<lane<V>>(rebind<V, bits>(bits_as<bits>(a) * bits_as<bits>(b)));
}

/// x clamped to [lo, hi]; NaN becomes lo.
template <class V>
FEWBIT_ALWAYS_INLINE V clamp(const V& x, const V& lo, const V& hi) noexcept {
  return min(max(x, lo), hi);
}

/// Sum of the lanes; integers only, because a float sum would depend on the number of lanes.
template <class T, int N>
FEWBIT_ALWAYS_INLINE T sum_of_lanes(const vec<T, N>& v) noexcept {
  static_assert(std::is_integral_v<T>);
  if constexpr (vec<T, N>::is_native && N % 2 == 0 && N > 2) {
    return sum_of_lanes(part<0, N / 2>(v) + part<1, N / 2>(v));
  } else {
    T sum = 0;
    for (int i = 0; i < N; ++i) sum = static_cast<T>(sum + v[i]);
    return sum;
  }
}

/// A register whose first lane is the largest lane of v. It has at most 16 bytes where the compiler
/// has registers. The largest number stays in a vector register, where a float of the same bits is.
template <class T, int N>
FEWBIT_ALWAYS_INLINE auto largest_first(const vec<T, N>& v) noexcept {
  static_assert(std::is_integral_v<T>);
  if constexpr (vec<T, N>::is_native && sizeof(v) > 16) {
    return largest_first(max(part<0, N / 2>(v), part<1, N / 2>(v)));
  } else {
    vec<T, N> best = v;
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
    if constexpr (vec<T, N>::is_native && N == 4) {
      vec<T, N> turned;
      turned.data = __builtin_shufflevector(best.data, best.data, 2, 3, 0, 1);
      best = max(best, turned);
      turned.data = __builtin_shufflevector(best.data, best.data, 1, 0, 3, 2);
      return max(best, turned);
    }
#endif
#endif
    for (int i = 1; i < N; ++i) best.set(0, std::max<T>(best[0], v[i]));
    return best;
  }
}

/// The largest lane of v in all lanes. Each step exchanges halves of parts that are half as wide.
template <int Step, class T, int N>
FEWBIT_ALWAYS_INLINE vec<T, N> largest_in_all(const vec<T, N>& v) noexcept {
  static_assert(std::is_integral_v<T> && (N & (N - 1)) == 0);
  if constexpr (Step == 0) {
    return v;
  } else {
    vec<T, N> turned;
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
    if constexpr (vec<T, N>::is_native) {
      [&]<int... I>(std::integer_sequence<int, I...>) {
        turned.data = __builtin_shufflevector(v.data, v.data, (I ^ Step)...);
      }(std::make_integer_sequence<int, N>{});
      return largest_in_all<Step / 2>(max(v, turned));
    }
#endif
#endif
    for (int i = 0; i < N; ++i) turned.set(i, v[i ^ Step]);
    return largest_in_all<Step / 2>(max(v, turned));
  }
}
template <class T, int N>
FEWBIT_ALWAYS_INLINE vec<T, N> largest_in_all(const vec<T, N>& v) noexcept {
  return largest_in_all<N / 2>(v);
}

/// The largest lane.
template <class T, int N>
FEWBIT_ALWAYS_INLINE T max_of_lanes(const vec<T, N>& v) noexcept {
  if constexpr (vec<T, N>::is_native && N % 2 == 0 && N > 2) {
    return max_of_lanes(max(part<0, N / 2>(v), part<1, N / 2>(v)));
  } else {
    T best = v[0];
    for (int i = 1; i < N; ++i) best = v[i] > best ? v[i] : best;
    return best;
  }
}

}}}  // namespace fewbit::arch

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include "fewbit/end.hpp"
