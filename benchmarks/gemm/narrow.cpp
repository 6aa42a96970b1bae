// Benchmarks of products with weights of 1, 2 and 4 bits that stay packed: squares and other large
// shapes, a few rows, and single rows with weights from caches and from memory.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/fewbit.hpp"
#include "support/bit_cases.hpp"
#include "support/caches.hpp"
#include "support/gemm_rows.hpp"

namespace fewbit::benchmarks { namespace {

/// 8-bit activations by weights of a bit-plane format.
template <class LhsCode, class Format>
struct narrow_case {
  using lhs = LhsCode;
  using rhs = std::int8_t;
  using out = std::int32_t;
  static constexpr int weight_bits = Format::planes;
  static_assert(weight_bits == 1 || weight_bits == 2 || weight_bits == 4);

  static std::string kind() {
    return std::string(std::is_signed_v<lhs> ? "s8_" : "u8_") +
           (weight_bits == 1   ? "b1"
            : weight_bits == 2 ? "t2"
                               : "s4") +
           "_s32";
  }

  const row_matrix<lhs>& a;
  row_matrix<rhs> w;
  row_matrix<out> c;

  explicit narrow_case(const shape& s)
      : a(random_codes<lhs>(s.m, s.k, 1)), w(random_codes_of<Format>(s.n, s.k, 2)), c(s.m, s.n) {}

  [[nodiscard]] bool is_exact() const {
    return equals_wide_sums(a, w, c, [](std::int64_t sum, index) { return static_cast<out>(sum); });
  }
};

/// If `is_cold`, the calls alternate between more copies of the weights than the caches can hold.
template <class Case, class Arch>
void run_narrow(benchmark::State& state, const shape& s, bool is_cold) {
  using weights = gemm::few_bit_weights<Case::weight_bits, Arch>;
  Case data(s);
  const weights packed(data.w);
  const index copies = is_cold ? beyond_caches() / packed.bytes() + 1 : 1;
  const std::vector<weights> all(static_cast<std::size_t>(copies), packed);
  workspace scratch(gemm::scratch_bytes(packed));
  std::size_t next = 0;
  auto product = [&] { gemm::multiply(data.a, all[next], data.c, gemm::raw{}, scratch); };
  state.counters["exact"] = is_exact(data, product) ? 1 : 0;
  for (auto _ : state) {
    product();
    benchmark::ClobberMemory();
    next = next + 1 == all.size() ? 0 : next + 1;
  }
  count_work(state, data);
}

/// gemm/<kind>/<who>/m:M/n:N/k:K; names for one row end in /cold:0 or /cold:1.
template <class Case, class Arch>
void add_narrow_rows() {
  const auto add = [](const shape& s, const std::string& end, bool is_cold) {
    const std::string name = "gemm/" + Case::kind() + "/fewbit_" + Arch::name + dims(s) + end;
    benchmark::RegisterBenchmark(
        name.c_str(), [=](benchmark::State& state) { run_narrow<Case, Arch>(state, s, is_cold); });
  };
  for (const shape& s : shapes) add(s, "", false);
  for (const bool is_cold : {false, true})
    add({1, 4096, 4096}, is_cold ? "/cold:1" : "/cold:0", is_cold);
}

template <class Arch>
void add_arch() {
  using gemm::binary_bits, gemm::ternary_bits;
  add_narrow_rows<narrow_case<std::int8_t, ternary_bits>, Arch>();
  add_narrow_rows<narrow_case<std::uint8_t, ternary_bits>, Arch>();
  add_narrow_rows<narrow_case<std::int8_t, binary_bits>, Arch>();
  add_narrow_rows<narrow_case<std::uint8_t, binary_bits>, Arch>();
  add_narrow_rows<narrow_case<std::int8_t, gemm::signed_bits<4>>, Arch>();
}

/// False for an arch that only inherits the kernel of its base, and for the scalar arch.
template <class Arch>
constexpr bool has_own_unit() {
  if constexpr (std::is_same_v<Arch, arch::scalar>) {
    return false;
  } else {
    using unit = typename arch::dot_unit<Arch, std::uint8_t>::type;
    return !std::is_same_v<unit, typename arch::dot_unit<typename Arch::base, std::uint8_t>::type>;
  }
}

[[maybe_unused]] const bool added = [] {
  arch::compiled::for_each([]<class Arch>() {
    if constexpr (has_own_unit<Arch>()) add_arch<Arch>();
  });
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
