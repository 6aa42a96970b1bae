#pragma once
/// Products of codes in bit planes for the GEMM benchmark.
///
/// Binary activations are packed before the timed calls, because an operator that makes them would
/// pack them. Other activations are codes; packing them is inside the time.

#include <cstdint>
#include <string>
#include <type_traits>

#include "fewbit/fewbit.hpp"
#include "support/gemm_cases.hpp"

namespace fewbit::benchmarks {

/// Random codes of a format, all with about the same frequency.
template <class F>
row_matrix<typename F::code> random_codes_of(index rows, index cols, std::uint64_t seed) {
  using code = typename F::code;
  if constexpr (std::is_same_v<F, gemm::binary_bits>) {
    return random_codes<code>(rows, cols, seed).unaryExpr([](code x) {
      return static_cast<code>(x < 0 ? -1 : 1);
    });
  } else if constexpr (std::is_same_v<F, gemm::ternary_bits>) {
    return random_codes<code>(rows, cols, seed).unaryExpr([](code x) {
      return static_cast<code>(x % 3 == 0 ? 0 : x < 0 ? -1 : 1);
    });
  } else {
    return random_codes<code>(rows, cols, seed, F::planes);
  }
}

/// A product of two formats to int32.
template <class A, class W>
struct bits_case {
  using lhs_format = A;
  using rhs_format = W;
  using lhs = typename A::code;
  using rhs = typename W::code;
  using out = std::int32_t;
  static constexpr int weight_bits = W::planes;
  static constexpr const char* kind = A::planes == 8 ? (W::planes == 1 ? "s8_b1_s32" : "s8_t2_s32")
                                      : A::planes == 1                        ? "b1_b1_s32"
                                      : std::is_same_v<A, gemm::ternary_bits> ? "t2_t2_s32"
                                                                              : "u2_s2_s32";

  row_matrix<lhs> a;
  row_matrix<rhs> w;
  row_matrix<out> c;

  explicit bits_case(const shape& s)
      : a(random_codes_of<A>(s.m, s.k, 1)), w(random_codes_of<W>(s.n, s.k, 2)), c(s.m, s.n) {}

  [[nodiscard]] bool is_exact() const {
    return equals_wide_sums(a, w, c, [](std::int64_t sum, index) { return static_cast<out>(sum); });
  }
};

template <class Operands, class Arch>
class bit_product {
 public:
  using operands = Operands;

  explicit bit_product(operands& data)
      : data_(data), packed_(data.w), scratch_(gemm::scratch_bytes(packed_)) {
    if constexpr (packs_ahead) planes_ = planes(data.a);
  }

  void operator()() {
    if constexpr (packs_ahead) {
      gemm::multiply(planes_, packed_, data_.c);
    } else {
      gemm::multiply(data_.a, packed_, data_.c, gemm::raw{}, scratch_);
    }
  }

  static std::string label() {
    return "tile " + std::to_string(unit::rows) + "x" +
           std::to_string(unit::lanes * unit::registers);
  }

 private:
  using lhs_format = typename operands::lhs_format;
  using unit = gemm::default_bit_unit<Arch>;
  using planes = gemm::plane_lhs<lhs_format, unit>;
  static constexpr bool packs_ahead = std::is_same_v<lhs_format, gemm::binary_bits>;

  operands& data_;
  gemm::plane_weights<lhs_format, typename operands::rhs_format, unit> packed_;
  workspace scratch_;
  planes planes_;
};

/// Products by table lookup. The time includes making the tables.
template <class Operands, class Arch>
class table_product {
 public:
  using operands = Operands;

  explicit table_product(operands& data)
      : data_(data), packed_(data.w), scratch_(gemm::scratch_bytes(packed_)) {}

  void operator()() { gemm::multiply(data_.a, packed_, data_.c, gemm::raw{}, scratch_); }

  static std::string label() {
    return "tile " + std::to_string(unit::rows) + "x" + std::to_string(unit::lanes);
  }

 private:
  using unit = gemm::default_table_unit<Arch>;

  operands& data_;
  gemm::table_weights<typename operands::lhs_format, typename operands::rhs_format, unit> packed_;
  workspace scratch_;
};

}  // namespace fewbit::benchmarks
