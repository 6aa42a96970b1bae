#pragma once
/// What happens to a sum between the accumulator and C.
///
/// A stage is a small struct with
///
///     template <class V> auto operator()(const V& value, const at& where) const noexcept;
///
/// where V is one number or an `arch::vec` of them: neighbouring columns of one row. Stages nest
/// with `|`: `add_bias{b} | requantize{...} | to_int8{}`. The product applies the whole epilogue to
/// a tile in registers. The bits of a result do not depend on the width of V. Read next:
/// gemm/stages.hpp (ready stages).

#include "fewbit/begin.hpp"

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fewbit/arch/partial.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// Position in C of a value, or of the first lane of a vector; the first `valid` lanes are inside
/// C.
struct at {
  index row;
  index col;
  int valid;

  /// Values p[col], p[col + 1], ... for the lanes of V; lanes outside C are 0 and nothing is read
  /// for them.
  template <class V>
  FEWBIT_ALWAYS_INLINE V columns(const arch::lane<V>* p) const noexcept {
    if constexpr (arch::is_vec<V>) {
      if (valid < V::lanes) return arch::load_first<V>(p + col, valid);
    }
    return arch::load<V>(p + col);
  }

  /// Writes the lanes inside C to p[col], p[col + 1], ...
  template <class V>
  FEWBIT_ALWAYS_INLINE void store_columns(const V& v, arch::lane<V>* p) const noexcept {
    if constexpr (arch::is_vec<V>) {
      if (valid < V::lanes) return arch::store_first(v, p + col, valid);
    }
    arch::store(p + col, v);
  }
};

/// Marks a type as a stage, so that `|` applies to it: `struct my_stage : gemm::stage { ... };`.
struct stage {};

template <class S>
concept Stage = std::derived_from<S, stage> && std::is_trivially_copyable_v<S>;

/// `first | second`: second(first(value)).
template <Stage First, Stage Second>
struct chain : stage {
  First first;
  Second second;

  chain(const First& f, const Second& s) noexcept : first(f), second(s) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE auto operator()(const V& value, const at& where) const
      noexcept(noexcept(second(first(value, where), where))) {
    return second(first(value, where), where);
  }
};

/// Nests two stages: second(first(value)).
template <Stage First, Stage Second>
[[nodiscard]] constexpr chain<First, Second> operator|(const First& first,
                                                       const Second& second) noexcept {
  return {first, second};
}

/// The sum itself.
struct raw : stage {
  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& value, const at&) const noexcept {
    return value;
  }
};

namespace detail {

template <class E, class In, class Out>
concept maps = requires(const E& e, const In& in, const at& where) {
  { e(in, where) } noexcept -> std::same_as<Out>;
};

}  // namespace detail

/// An epilogue maps sums of type In to exactly Out, for one number and for a vector, and does not
/// throw.
template <class E, class Out, class In = std::int32_t>
concept Epilogue =
    Stage<E> && detail::maps<E, In, Out> && detail::maps<E, arch::vec<In, 4>, arch::vec<Out, 4>>;

/// The epilogue maps totals to elements of C.
template <class C, class E, class Total>
concept ProductEpilogue = Epilogue<E, scalar_of<C>, Total>;

/// The epilogue maps totals to elements of C, and C can be written in place.
template <class C, class E, class Total>
concept ProductInto = MutableRowMajorDense<C, scalar_of<C>> && ProductEpilogue<C, E, Total>;

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
