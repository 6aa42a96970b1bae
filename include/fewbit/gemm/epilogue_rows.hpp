#pragma once
/// From sums to C: the epilogue, in the registers of a tile or row by row from a buffer that stays
/// in L1.
///
/// Where an epilogue ends in 8-bit codes, four registers of sums become one of codes: what comes
/// before `to_int8` or `to_uint8` sees single registers, what comes after sees the codes of four.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <numeric>
#include <type_traits>

#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/streaming_store.hpp"
#include "fewbit/gemm/int8/kernel.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"
#include "fewbit/gemm/stages.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// Where a rectangle of C goes.
template <class Out>
struct out_view {
  Out* data;
  index stride;
  index row;  // of the rectangle's first element
  index col;
  index rows;  // of the rectangle
  index cols;
};

/// An epilogue cut in two at its last saturate stage.
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

/// An epilogue that begins with a bias, cut behind it: sums may begin at the bias, which then costs
/// nothing.
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

/// Four registers of sums to one of codes; `row` is the row of C.
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

/// Makes codes of the sums of whole tiles in their registers: (784,192,32) to u8 with AVX512-VNNI
/// on a Cascade Lake at 1.27 times the rate through a buffer; (784,32,24), in narrow panels, on a
/// Sapphire Rapids at 1.65 times.
template <class Unit, class Out, class E>
struct apply_in_registers {
  out_view<Out> c;  // what remains of the tiles of the run
  E epilogue;
  index col = 0;

  FEWBIT_ALWAYS_INLINE void begin_row() noexcept { col = c.col; }
  template <int R, int C>
  FEWBIT_ALWAYS_INLINE void expect(index) const noexcept {}
  template <int R, int C>
  FEWBIT_ALWAYS_INLINE void take(const register_tile<Unit, R, C>& tile) noexcept {
    static_assert(Unit::rows == 1);
    Out* to = c.data + c.row * c.stride;
    if constexpr (C == 4) {
#pragma GCC unroll 32
      for (int r = 0; r < R; ++r) {
        typename Unit::accumulator sums[C];
        tile.row(r, sums);
        apply_to_four(sums, at{c.row + r, col, C * Unit::cols}, to, epilogue);
        to += c.stride;
        arch::forget_origin(to);
      }
    } else {
#pragma GCC unroll 32
      for (int first = 0; first < R * C; first += 4) take_four<R, C>(tile, first, to);
    }
    col += C * Unit::cols;
  }
  FEWBIT_ALWAYS_INLINE void end_row(index rows) noexcept { c.row += rows; }

 private:
  /// Registers first .. first + 3 of the tile, row after row; missing ones are repeated.
  template <int R, int C>
  FEWBIT_ALWAYS_INLINE void take_four(const register_tile<Unit, R, C>& tile, int first,
                                      Out* to) const noexcept {
    using cut = split_at_saturate<E>;
    arch::vec<std::int32_t, Unit::cols> values[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int r = std::min(first + i, R * C - 1) / C, j = std::min(first + i, R * C - 1) % C;
      typename Unit::accumulator sums[C];
      tile.row(r, sums);
      values[i] = cut::before(epilogue)(sums[j], at{c.row + r, col + j * Unit::cols, Unit::cols});
    }
    const auto codes = cut::cut(epilogue).narrow(values);
    const auto store = [&](int i, const auto& part) {
      const int r = (first + i) / C, j = (first + i) % C;
      if (first + i >= R * C) return;
      cut::after(epilogue)(part, at{c.row + r, col + j * Unit::cols, Unit::cols})
          .store(to + r * c.stride + col + j * Unit::cols);
    };
    store(0, arch::part<0, Unit::cols>(codes));
    store(1, arch::part<1, Unit::cols>(codes));
    store(2, arch::part<2, Unit::cols>(codes));
    store(3, arch::part<3, Unit::cols>(codes));
  }
};

/// Where sums come from: what was just written is in L1, the rest is asked for ahead of its use, at
/// 1.1 times the rate from L2 and 1.3 times from memory.
struct from_l1 {
  static void prefetch(const void*) noexcept {}
};
struct from_l2 {
  static void prefetch(const void* p) noexcept { arch::prefetch_to_l1(arch::beyond(p, 1024)); }
};
struct from_memory {
  static void prefetch(const void* p) noexcept { arch::prefetch_to_l2(arch::beyond(p, 32768)); }
};

/// c = epilogue(sums), `stride` numbers from one row of sums to the next. `Lanes` fit one register.
/// Arguments are copies: a store of 8-bit codes could change whatever is referred to. A Store past
/// the caches asks for rows of C that begin on cache lines.
template <int Lanes, class Source = from_l1, class Store = arch::plain_store, class In, class Out,
          class E>
void apply_to_rows(const In* sums, index stride, out_view<Out> c, E epilogue) noexcept {
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
        apply_to_four<Store>(four, at{c.row + r, c.col + col, 4 * Lanes}, row, epilogue);
      }
    }
    for (; col + Lanes <= c.cols; col += Lanes) {
      const at where{c.row + r, c.col + col, Lanes};
      Store::put(row + where.col, epilogue(register_type::load(sums + col), where));
    }
    if (col < c.cols) {
      const at where{c.row + r, c.col + col, static_cast<int>(c.cols - col)};
      // Buffers of a product may be read to the end of a register, memory of others may not.
      const register_type last =
          std::is_same_v<Source, from_l1>
              ? register_type::load(sums + col)
              : at{0, col, where.valid}.template columns<register_type>(sums);
      where.store_columns(epilogue(last, where), row);
    }
  }
}

/// Lanes of the vectors that an epilogue gets: what a register of the native arch holds, or less
/// where panels are narrower.
template <class Kernel>
inline constexpr int epilogue_lanes = std::gcd(Kernel::edge_cols, arch::native_lanes<std::int32_t>);

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
