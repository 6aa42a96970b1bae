#pragma once
/// Rows of inputs that are read in another order: column c is input order[c].
///
/// Read next: ops/gathered_linear.hpp, which uses them.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/ops/inputs.hpp"
#include "fewbit/ops/linear/grouped.hpp"
#include "fewbit/quant/arrays.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Rows of floats or codes in an order.
template <class Source>
struct gathered_rows : Source {
  const std::uint32_t* order;

  [[nodiscard]] gathered_rows from(index r) const noexcept { return {Source::from(r), order}; }
};

/// Element order[0] of a row, or a vector of elements order[0], order[1] ...
template <class V, class T>
FEWBIT_ALWAYS_INLINE V gather(const T* row, const std::uint32_t* order) noexcept {
  constexpr int lanes = sizeof(V) / sizeof(T);
  T elements[lanes];
  for (int i = 0; i < lanes; ++i) elements[i] = row[order[i]];
  return arch::load<V>(elements);
}

struct gathered_encoded_row {
  const float* x;
  const std::uint32_t* order;
  const row_quantizer<std::int8_t>& quantizer;

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(index k) const noexcept {
    return quantizer.encode(gather<arch::rebind<V, float>>(x, order + k));
  }
};
inline gathered_encoded_row encoded(const gathered_rows<float_rows>& x, const float* row,
                                    index /*length*/,
                                    const row_quantizer<std::int8_t>& quantizer) noexcept {
  return {row, x.order, quantizer};
}

struct gathered_copied_row {
  const std::int8_t* codes;
  const std::uint32_t* order;

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(index k) const noexcept {
    return gather<V>(codes, order + k);
  }
};
inline gathered_copied_row copied(const gathered_rows<code_rows<std::int8_t>>& x,
                                  const std::int8_t* row, index /*length*/) noexcept {
  return {row, x.order};
}

/// Some columns of a row of floats with the scale of their largest magnitude, or with a given one.
class gathered_encoder {
 public:
  gathered_encoder(const float* x, const std::uint32_t* order, float scale) noexcept
      : x_(x), order_(order), scale_(scale), quantizer_({scale, 0}, -127, 127) {}
  gathered_encoder(const float* x, const std::uint32_t* order, index count) noexcept
      : gathered_encoder(x, order, dynamic_scale(amax(x, order, count))) {}

  [[nodiscard]] float scale() const noexcept { return scale_; }
  [[nodiscard]] const row_quantizer<std::int8_t>& quantizer() const noexcept { return quantizer_; }

  void operator()(index first, index count, std::int8_t* codes) const noexcept {
    for_each_piece(x_, order_ + first, count, [&](const float* piece, index n) {
      quantizer_(piece, n, codes);
      codes += n;
    });
  }

 private:
  /// Calls f(floats, n) for consecutive pieces of gathered elements.
  template <class F>
  static void for_each_piece(const float* x, const std::uint32_t* order, index count,
                             const F& f) noexcept {
    constexpr index most = 64;
    float piece[most];
    for (index first = 0; first < count; first += most) {
      const index n = std::min(most, count - first);
      for (index i = 0; i < n; ++i) piece[i] = x[order[first + i]];
      f(&piece[0], n);
    }
  }

  static float amax(const float* x, const std::uint32_t* order, index count) noexcept {
    float largest = 0.0F;
    for_each_piece(x, order, count, [&](const float* piece, index n) {
      largest = std::max(largest, finite_amax(piece, n));
    });
    return largest;
  }

  const float* x_;
  const std::uint32_t* order_;
  float scale_;
  row_quantizer<std::int8_t> quantizer_;
};

/// A row of floats with one scale for each group of columns.
struct gathered_scaled_groups {
  const float* x;  ///< nullptr: a row of zeros
  const std::uint32_t* order;

  struct group {
    const float* x;
    const std::uint32_t* order;
    float scale;
    row_quantizer<std::int8_t> quantizer;

    template <class V>
    FEWBIT_ALWAYS_INLINE V operator()(index k) const noexcept {
      return quantizer.encode(gather<arch::rebind<V, float>>(x, order + k));
    }
  };

  [[nodiscard]] group of_group(index begin, index end) const noexcept {
    const gathered_encoder encode(x, order + begin, end - begin);
    return {x, order, encode.scale(), encode.quantizer()};
  }
};
inline gathered_scaled_groups scaled(const gathered_rows<float_rows>& x,
                                     const float* row) noexcept {
  return {row, x.order};
}
inline gathered_encoder group_encoder(const gathered_rows<float_rows>& x, index begin,
                                      index count) noexcept {
  return {x.row(0), x.order + begin, count};
}

/// Codes of one row with the scale of the row.
template <>
class row_codes<dynamic_int8, gathered_rows<float_rows>> {
 public:
  row_codes(const gathered_rows<float_rows>& x, index k) noexcept
      : encode_(x.data, x.order, dynamic_scale(finite_amax(x.data, k))) {}

  [[nodiscard]] float scale() const noexcept { return encode_.scale(); }
  const std::int8_t* operator()(index first, index count, std::int8_t* memory) const noexcept {
    encode_(first, count, memory);
    return memory;
  }

 private:
  gathered_encoder encode_;
};

template <>
class row_codes<dynamic_int8, gathered_rows<code_rows<std::int8_t>>> {
  using source = gathered_rows<code_rows<std::int8_t>>;

 public:
  row_codes(const source& x, index /*k*/) noexcept : x_(x) {}

  [[nodiscard]] float scale() const noexcept { return *x_.scales; }
  const std::int8_t* operator()(index first, index count, std::int8_t* memory) const noexcept {
    for (index i = 0; i < count; ++i) memory[i] = x_.data[x_.order[first + i]];
    return memory;
  }

 private:
  source x_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
