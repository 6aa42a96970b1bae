#pragma once
/// Applies an epilogue to rows of sums in memory, and writes C. All products use it.
///
/// If an epilogue ends in 8-bit codes, four registers of sums become one register of codes. The
/// stages before `to_int8` or `to_uint8` get one register of sums at a time. The stages after it
/// get the register of codes. Read next: gemm/int8/epilogue_registers.hpp (sums in registers).

#include "fewbit/begin.hpp"

#include <cstdint>
#include <type_traits>

#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/streaming_store.hpp"
#include "fewbit/gemm/stages.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// A rectangle of C, which a product writes.
template <class Out>
struct output_rectangle {
  Out* data;     ///< the first element of C, not of the rectangle
  index stride;  ///< numbers from one row of C to the next
  index row;     ///< row and column of the rectangle's first element in C
  index col;
  index rows;  ///< size of the rectangle
  index cols;
};

/// An epilogue, cut in two at its last saturate stage.
template <class E>
struct split_at_saturate {
  static constexpr bool found = false;
};

template <class Code>
struct split_at_saturate<saturate<Code>> {
  static constexpr bool found = true;
  static raw before(const saturate<Code>&) noexcept { return {}; }
  static const saturate<Code>& cut(const saturate<Code>& e) noexcept { return e; }
  static raw after(const saturate<Code>&) noexcept { return {}; }
};

template <class First, class Code>
struct split_at_saturate<chain<First, saturate<Code>>> {
  using type = chain<First, saturate<Code>>;
  static constexpr bool found = true;
  static const First& before(const type& e) noexcept { return e.first; }
  static const saturate<Code>& cut(const type& e) noexcept { return e.second; }
  static raw after(const type&) noexcept { return {}; }
};

template <class First, class Second>
  requires(split_at_saturate<First>::found)
struct split_at_saturate<chain<First, Second>> {
  using type = chain<First, Second>;
  static constexpr bool found = true;
  static decltype(auto) before(const type& e) noexcept {
    return split_at_saturate<First>::before(e.first);
  }
  static decltype(auto) cut(const type& e) noexcept {
    return split_at_saturate<First>::cut(e.first);
  }
  static auto after(const type& e) noexcept {
    return split_at_saturate<First>::after(e.first) | e.second;
  }
};

/// The stage is in the second part: chains may nest on either side.
template <class First, class Second>
  requires(!split_at_saturate<First>::found && split_at_saturate<Second>::found)
struct split_at_saturate<chain<First, Second>> {
  using type = chain<First, Second>;
  static constexpr bool found = true;
  static auto before(const type& e) noexcept {
    return e.first | split_at_saturate<Second>::before(e.second);
  }
  static decltype(auto) cut(const type& e) noexcept {
    return split_at_saturate<Second>::cut(e.second);
  }
  static decltype(auto) after(const type& e) noexcept {
    return split_at_saturate<Second>::after(e.second);
  }
};

/// An epilogue whose first stage adds a bias, cut in two after that stage. Sums can start at the
/// bias, which then costs nothing.
template <class E>
struct leading_bias {
  static constexpr bool found = false;
  static const std::int32_t* bias(const E&) noexcept { return nullptr; }
  static const E& rest(const E& e) noexcept { return e; }
};

template <>
struct leading_bias<add_bias> {
  static constexpr bool found = true;
  static const std::int32_t* bias(const add_bias& e) noexcept { return e.bias; }
  static raw rest(const add_bias&) noexcept { return {}; }
};

template <class First, class Second>
  requires(leading_bias<First>::found)
struct leading_bias<chain<First, Second>> {
  using type = chain<First, Second>;
  static constexpr bool found = true;
  static const std::int32_t* bias(const type& e) noexcept {
    return leading_bias<First>::bias(e.first);
  }
  static auto rest(const type& e) noexcept { return leading_bias<First>::rest(e.first) | e.second; }
};

namespace detail {

/// Converts four registers of sums to one of codes. `row` is the row of C.
template <class Store = arch::plain_store, class In, int Lanes, class Out, class E>
FEWBIT_ALWAYS_INLINE void apply_to_four(const arch::vec<In, Lanes> (&sums)[4], const at& where,
                                        Out* row, const E& epilogue) noexcept {
  using cut = split_at_saturate<E>;
  arch::vec<std::int32_t, Lanes> values[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j)
    values[j] = cut::before(epilogue)(sums[j], at{where.row, where.col + j * Lanes, Lanes});
  const auto codes = cut::cut(epilogue).narrow(values);
  Store::put(row + where.col, cut::after(epilogue)(codes, where));
}

/// Where sums are. Recently written sums are in L1. Other sums are prefetched: the rate is then 1.1
/// times as high from L2 and 1.3 times from memory.
struct from_l1 {
  static void prefetch(const void*) noexcept {}
};
struct from_l2 {
  static void prefetch(const void* p) noexcept { arch::prefetch_to_l1(arch::beyond(p, 1024)); }
};
struct from_memory {
  static void prefetch(const void* p) noexcept { arch::prefetch_to_l2(arch::beyond(p, 32768)); }
};

}  // namespace detail

/// c = epilogue(sums), for sums in memory. The epilogue gets `Lanes` sums at a time. A row of sums
/// starts `stride` numbers after the row before. With Source = from_l1 the sums must be readable to
/// the end of the last register of a row.
///
/// Arguments are copies, because the compiler must assume that a store of 8-bit codes changes
/// referenced memory. A Store that bypasses the caches requires that rows of C start on cache
/// lines.
template <int Lanes, class Source = detail::from_l1, class Store = arch::plain_store, class In,
          class Out, class E>
void apply_epilogue_to_rows(const In* sums, index stride, output_rectangle<Out> c,
                            E epilogue) noexcept {
  using register_type = arch::vec<In, Lanes>;
  for (index r = 0; r < c.rows; ++r, sums += stride) {
    Out* row = c.data + (c.row + r) * c.stride;
    index col = 0;
    if constexpr (split_at_saturate<E>::found) {
      for (; col + 4 * Lanes <= c.cols; col += 4 * Lanes) {
        register_type four[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
          const In* from = sums + col + j * Lanes;
          Source::prefetch(from);
          four[j] = register_type::load(from);
        }
        detail::apply_to_four<Store>(four, at{c.row + r, c.col + col, 4 * Lanes}, row, epilogue);
      }
    }
    for (; col + Lanes <= c.cols; col += Lanes) {
      const at where{c.row + r, c.col + col, Lanes};
      Store::put(row + where.col, epilogue(register_type::load(sums + col), where));
    }
    if (col < c.cols) {
      const at where{c.row + r, c.col + col, static_cast<int>(c.cols - col)};
      // Buffers of a product can be read to the end of a register, other memory cannot.
      const register_type last =
          std::is_same_v<Source, detail::from_l1>
              ? register_type::load(sums + col)
              : at{0, col, where.valid}.template columns<register_type>(sums);
      where.store_columns(epilogue(last, where), row);
    }
  }
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
