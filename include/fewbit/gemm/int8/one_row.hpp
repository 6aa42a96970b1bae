#pragma once
/// The product of one row of activations and 8-bit weights, for calls that come one row at a time.
///
/// gemm::multiply chooses among walks and prepares blocks of rows, which takes longer than the sums
/// of some ten columns. Here the row is prepared once, and each panel goes through the micro-kernel
/// to the epilogue in registers. A caller that computes the activations can write them in the form
/// that the unit reads (row_form). Read before: gemm/int8/row_panels.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/int8/row_panels.hpp"
#include "fewbit/gemm/int8/walk_by_proof.hpp"
#include "fewbit/gemm/int8/weights.hpp"
#include "fewbit/gemm/multiply_block.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// A copy of small weights in the form that multiply_row reads fastest: as int16 where the unit
/// otherwise widens them at each use. Empty for other units and for weights of more than 16 Ki
/// codes, 32 KiB as int16.
template <class Weights>
class row_weights {
 public:
  row_weights() = default;
  explicit row_weights(const Weights& w) {
    using kernel_type = typename Weights::kernel_type;
    if constexpr (detail::Proving<typename kernel_type::unit>) {
      const index padded = w.layout().padded();
      index codes = 0;
      for (index col = 0; col < w.n(); col += w.panel_cols(col))
        codes += w.panel_cols(col) * padded;
      if (codes > most_codes) return;
      wide_ = aligned_buffer<std::int16_t>(codes);
      for (index col = 0; col < w.n(); col += w.panel_cols(col)) {
        detail::widen_panels<kernel_type>(w.panel(col), w.panel_cols(col) * padded,
                                          w.panel_cols(col),
                                          wide_.data() + (w.panel(col) - w.panel(0)));
      }
    }
  }

  /// nullptr if there is no copy.
  [[nodiscard]] const std::int16_t* wide() const noexcept { return wide_.data(); }
  [[nodiscard]] index bytes() const noexcept { return wide_.size() * index{sizeof(std::int16_t)}; }

 private:
  static constexpr index most_codes = 16 * 1024;
  aligned_buffer<std::int16_t> wide_;
};

/// One row of activations for multiply_row, quantized to the form that the unit reads where a byte
/// of it is one activation.
///
///     codes[k] = activation - offset, for k < w.k()
///
/// multiply_row may read the codes up to the next multiple of 64 and ignores them.
template <class Weights>
struct row_form {
  using unit = typename Weights::kernel_type::unit;
  /// Whether the unit reads this form. Otherwise, multiply_row copies it to scratch memory.
  static constexpr bool is_read_in_place = unit::rows == 1 && sizeof(typename unit::lhs_code) == 1;
  using code = std::conditional_t<is_read_in_place, typename unit::lhs_code,
                                  typename Weights::kernel_type::lhs>;
  static constexpr int offset = is_read_in_place ? unit::lhs_offset : 0;

  const code* codes;

  /// A number of codes rounded up to the multiple that may be read.
  [[nodiscard]] static constexpr index padded(index count) noexcept {
    return (count + 63) & ~index{63};
  }
};

/// One row of activations for multiply_row, as codes that may be read up to the next multiple of
/// 64: it is copied to the form of the unit in whole registers.
template <class Lhs>
struct padded_row {
  const Lhs* codes;
};

/// Bytes of scratch memory of multiply_row.
template <class Lhs, class Kernel>
[[nodiscard]] index row_scratch_bytes(const int8_weights<Lhs, Kernel>& w) noexcept {
  using unit = typename Kernel::unit;
  const index copied = row_form<int8_weights<Lhs, Kernel>>::padded(w.layout().padded()) *
                       index{sizeof(typename unit::lhs_code)};
  if constexpr (unit::rows != 1) {
    return scratch_bytes(w, 1);
  } else if constexpr (detail::Proving<unit>) {
    return w.bytes() >= detail::proof_far_bytes ? scratch_bytes(w, 1) : copied;
  } else {
    return copied;
  }
}

/// multiply_row for a row in the form that the unit reads (gemm/int8/lhs.hpp), padded to whole
/// steps. Codes of the padding may be any, because their weights are 0.
template <class Lhs, class Kernel, class Out, class E>
FEWBIT_ALWAYS_INLINE void multiply_prepared_row(const typename Kernel::unit::lhs_code* a,
                                                const int8_weights<Lhs, Kernel>& w,
                                                const row_weights<int8_weights<Lhs, Kernel>>& rows,
                                                Out* c, const E& epilogue) noexcept {
  using unit = typename Kernel::unit;
  static_assert(unit::rows == 1, "fewbit: rows of this unit are interleaved");
  const index depth = unit::in_place ? w.k() : w.layout().padded();
  if constexpr (detail::Proving<unit>) {
    if (rows.wide() != nullptr) {
      return detail::sum_panels<true, 0, typename unit::widened>(a, depth, w, rows.wide(), c,
                                                                 epilogue);
    }
  }
  detail::sum_panels<!unit::in_place, unit::lhs_offset, typename unit::dots>(
      a, depth, w, w.panel(0), c, epilogue);
}

namespace detail {

/// multiply_row for a row that is copied to scratch memory.
///
/// @param copy   copy(unit, to) writes the row in the form of a unit, padded to whole steps
/// @param codes  codes() returns the row as codes
template <class Lhs, class Kernel, class Out, class E, class Copy, class Codes>
FEWBIT_ALWAYS_INLINE void multiply_copied_row(const Copy& copy, const Codes& codes,
                                              const int8_weights<Lhs, Kernel>& w,
                                              const row_weights<int8_weights<Lhs, Kernel>>& rows,
                                              Out* c, const E& epilogue,
                                              std::byte* scratch) noexcept {
  using unit = typename Kernel::unit;
  if constexpr (unit::rows != 1) {
    multiply_block(code_block<Lhs>{codes(), w.k(), 1}, w, c, w.n(), epilogue, scratch);
  } else if constexpr (unit::in_place) {
    multiply_prepared_row(codes(), w, rows, c, epilogue);
  } else {
    if constexpr (Proving<unit>) {
      using halves = typename unit::halves;
      if (rows.wide() == nullptr && w.k() >= halves_depth) {
        if (w.bytes() >= proof_far_bytes)
          return multiply_block(code_block<Lhs>{codes(), w.k(), 1}, w, c, w.n(), epilogue, scratch);
        auto* row = reinterpret_cast<typename halves::lhs_code*>(scratch);
        copy(halves{}, row);
        return sum_panels<true, halves::lhs_offset, typename halves::dots>(
            row, w.layout().padded(), w, w.panel(0), c, epilogue);
      }
    }
    auto* row = reinterpret_cast<typename unit::lhs_code*>(scratch);
    copy(unit{}, row);
    multiply_prepared_row(row, w, rows, c, epilogue);
  }
}

}  // namespace detail

/// A row that multiply_row asks for in the form that it reads: copy(unit, to) writes it in the form
/// of a unit, padded to whole steps; codes() returns it as codes.
template <class Copy, class Codes>
struct written_row {
  Copy copy;
  Codes codes;
};
template <class Copy, class Codes>
written_row(Copy, Codes) -> written_row<Copy, Codes>;

/// Copies codes that may be read up to the next multiple of 64 to the form of a unit.
template <class Unit, class Lhs>
FEWBIT_ALWAYS_INLINE void copy_padded_row(const Lhs* codes, index k,
                                          typename Unit::lhs_code* to) noexcept {
  detail::copy_whole_row<Unit, true>(codes, k, to);
}

/// c(j) = epilogue(sum over k of a(k) * W(j, k)) for weights without blocks of k.
///
/// @param a        w.k() codes, a padded_row of them, a written_row, or codes in the form of
///                 row_form
/// @param rows     row_weights(w), or empty
/// @param scratch  row_scratch_bytes(w) bytes
template <class Row, class Lhs, class Kernel, class Out, class E>
FEWBIT_ALWAYS_INLINE void multiply_row(const Row& a, const int8_weights<Lhs, Kernel>& w,
                                       const row_weights<int8_weights<Lhs, Kernel>>& rows, Out* c,
                                       const E& epilogue, std::byte* scratch) noexcept {
  using form = row_form<int8_weights<Lhs, Kernel>>;
  if constexpr (std::is_same_v<Row, form> && form::is_read_in_place) {
    multiply_prepared_row(a.codes, w, rows, c, epilogue);
  } else if constexpr (requires { a.copy; }) {
    detail::multiply_copied_row(a.copy, a.codes, w, rows, c, epilogue, scratch);
  } else {
    constexpr bool is_padded = std::is_same_v<Row, form> || std::is_same_v<Row, padded_row<Lhs>>;
    const Lhs* codes;
    if constexpr (is_padded) {
      codes = a.codes;
    } else {
      codes = a;
    }
    const auto copy = [&](auto u, auto* to) FEWBIT_INLINE_LAMBDA {
      detail::copy_whole_row<decltype(u), is_padded>(codes, w.k(), to);
    };
    detail::multiply_copied_row(
        copy, [&] { return codes; }, w, rows, c, epilogue, scratch);
  }
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
