// Links units built with different -m flags and runs those that this processor supports. Checks
// that all give equal bits, use their own kernels and share one error type. This file and the first
// unit are compiled for the weakest processor.
//
// Limits: only fewbit's own functions have the instruction set in their names. Inline functions of
// Eigen and of the standard library have the same name in all units, and the linker keeps one body
// of each. If it keeps the body of a stronger unit, a weaker processor may execute instructions
// that it does not have. A program for several processors must keep such calls out of its stronger
// units, or link each unit as a separate shared library.

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "fewbit/core/error.hpp"
#include "two_units/unit.hpp"

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace two_units {

namespace weakest {
extern const unit description;
}
namespace stronger {
extern const unit description;
}
#if defined(FEWBIT_TEST_NATIVE_UNIT)
namespace native {
extern const unit description;
}
#endif

}  // namespace two_units

namespace {

using two_units::cols;
using two_units::depth;
using two_units::rows;
using two_units::unit;

int failures = 0;

void expect(bool condition, const char* what, const unit& u) {
  if (condition) return;
  std::printf("%s (%s): %s\n", u.name, u.arch, what);
  ++failures;
}

bool can_run_stronger() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#elif defined(__aarch64__)
  constexpr unsigned long dotprod = 1UL << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & dotprod) != 0;
#else
  return true;
#endif
}

struct results {
  std::vector<std::int32_t> sums = std::vector<std::int32_t>(rows * cols);
  std::vector<float> scaled = std::vector<float>(rows * cols);
  std::vector<float> one_by_one = std::vector<float>(rows * cols);
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Codes and floats from a linear congruential sequence, so that every bit varies.
struct inputs {
  std::vector<std::uint8_t> activations = std::vector<std::uint8_t>(rows * depth);
  std::vector<std::int8_t> weights = std::vector<std::int8_t>(cols * depth);
  std::vector<float> bias = std::vector<float>(cols);
  std::uint32_t state = 1;

  std::uint32_t next() { return (state = state * 1664525U + 1013904223U) >> 16; }

  inputs() {
    for (auto& a : activations) a = static_cast<std::uint8_t>(next() & 0xFF);
    for (auto& w : weights) w = static_cast<std::int8_t>(next() & 0xFF);
    for (auto& b : bias) b = static_cast<float>(next()) * 0.001F - 30.0F;
  }
};

results run(const unit& u, const inputs& in) {
  results r;
  u.multiply({in.activations.data(), in.weights.data(), in.bias.data(), 0.0123456F}, r.sums.data(),
             r.scaled.data(), r.one_by_one.data());
  return r;
}

void expect_exact_sums(const unit& u, const inputs& in, const results& r) {
  for (std::ptrdiff_t i = 0; i < rows; ++i) {
    for (std::ptrdiff_t j = 0; j < cols; ++j) {
      std::int32_t sum = 0;
      for (std::ptrdiff_t k = 0; k < depth; ++k) {
        sum += in.activations[static_cast<std::size_t>(i * depth + k)] *
               in.weights[static_cast<std::size_t>(j * depth + k)];
      }
      expect(r.sums[static_cast<std::size_t>(i * cols + j)] == sum, "a sum is wrong", u);
    }
  }
}

/// Catches in this file an error thrown in another unit.
void expect_failure(const unit& u) {
#if FEWBIT_HAS_EXCEPTIONS
  try {
    u.fail();
    expect(false, "fail() returned", u);
  } catch (const fewbit::error& e) {
    const std::string sentence = std::string("fewbit: unit: name is ") + u.name + ", expected none";
    expect(e.what() == sentence, "the sentence differs", u);
  }
#else
  (void)u;
#endif
}

}  // namespace

int main() {
  std::vector<unit> units{two_units::weakest::description};
  if (can_run_stronger()) units.push_back(two_units::stronger::description);
#if defined(FEWBIT_TEST_NATIVE_UNIT)
  units.push_back(two_units::native::description);
#endif

  const inputs in;
  const results first = run(units.front(), in);
  expect_exact_sums(units.front(), in, first);
  expect_failure(units.front());

  for (std::size_t i = 1; i < units.size(); ++i) {
    const unit& u = units[i];
    const results r = run(u, in);
    expect_exact_sums(u, in, r);
    expect(same_bits(r.scaled, first.scaled), "floats differ from the first unit's", u);
    expect(same_bits(r.one_by_one, first.scaled), "floats one by one differ", u);
    expect_failure(u);
    expect(u.pack_bits != units.front().pack_bits, "shares pack_bits with the first unit", u);
    expect(u.scalar_product != units.front().scalar_product,
           "shares the scalar product with the first unit", u);
    expect(u.untagged == units.front().untagged, "has a handler of its own", u);
  }

  std::printf("%zu units ran:", units.size());
  for (const unit& u : units) std::printf(" %s (%s)", u.name, u.arch);
  std::printf("; %d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
