// A host program with flags that fewbit cannot be compiled with: C++11 and -Ofast. It calls a layer
// through functions with raw pointers (foreign_host/scorer.h). The program contains these functions
// compiled for two instruction sets, and selects them at run time. foreign_host/CMakeLists.txt has
// the flags; README.md gives the reasons.
//
// Prints a line for each instruction set of this processor. The results have equal bits, and the
// flags of the host do not change them.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "foreign_host/scorer.h"

namespace {

const std::ptrdiff_t outputs = 33;
const std::ptrdiff_t inputs = 101;
const std::ptrdiff_t rows = 7;

// Integer multiples of `scale`. They are exact with any flags if `scale` is a normal power of two.
std::vector<float> numbers(std::ptrdiff_t count, float scale, std::uint32_t state) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    state = state * 1664525U + 1013904223U;
    values[i] = scale * static_cast<float>(static_cast<int>(state >> 16) - 32768);
  }
  return values;
}

std::uint64_t digest(const std::vector<float>& values) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const float value : values) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    hash = (hash ^ bits) * 1099511628211ULL;
  }
  return hash;
}

int subnormal_numbers(const std::vector<float>& values) {
  int count = 0;
  for (const float value : values) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    count += (bits & 0x7F800000U) == 0 && (bits & 0x007FFFFFU) != 0 ? 1 : 0;
  }
  return count;
}

// Tests whether this thread flushes subnormal numbers to zero.
const char* flushes() {
  volatile float small = 1.1754944e-38F;  // 2^-126
  volatile float half = 0.5F;
  const volatile float product = small * half;
  std::uint32_t bits;
  const float copy = product;
  std::memcpy(&bits, &copy, sizeof(bits));
  return bits == 0 ? "yes" : "no";
}

// The largest difference from sums in double.
double largest_error(const std::vector<float>& w, const std::vector<float>& bias,
                     const std::vector<float>& x, const std::vector<float>& y) {
  double largest = 0;
  for (std::ptrdiff_t r = 0; r < rows; ++r) {
    for (std::ptrdiff_t o = 0; o < outputs; ++o) {
      double sum = static_cast<double>(bias[static_cast<std::size_t>(o)]);
      for (std::ptrdiff_t i = 0; i < inputs; ++i) {
        sum += static_cast<double>(w[static_cast<std::size_t>(o * inputs + i)]) *
               static_cast<double>(x[static_cast<std::size_t>(r * inputs + i)]);
      }
      const double got = static_cast<double>(y[static_cast<std::size_t>(r * outputs + o)]);
      largest = std::fmax(largest, std::fabs(got - sum));
    }
  }
  return largest;
}

bool fail(const char* what) {
  std::printf("%s\n", what);
  return false;
}

// Runs a layer of ordinary numbers and a layer with subnormal outputs.
bool demonstrate(const scorer_functions& f) {
  char message[200] = "";
  const float unit = 1.0F / 32768;
  const std::vector<float> w = numbers(outputs * inputs, unit, 1);
  const std::vector<float> bias = numbers(outputs, unit, 2);
  const std::vector<float> no_bias(static_cast<std::size_t>(outputs), 0.0F);
  const std::vector<float> x = numbers(rows * inputs, unit, 3);
  const std::vector<float> small_w = numbers(outputs * inputs, std::ldexp(1.0F, -33), 1);
  const std::vector<float> small_x = numbers(rows * inputs, std::ldexp(1.0F, -126), 3);
  std::vector<float> y(static_cast<std::size_t>(rows * outputs));
  std::vector<float> small_y(y.size());

  scorer* s = f.create(w.data(), bias.data(), outputs, inputs, message, sizeof(message));
  scorer* small =
      f.create(small_w.data(), no_bias.data(), outputs, inputs, message, sizeof(message));
  if (s == nullptr || small == nullptr) return fail(message);
  f.run(s, x.data(), rows, y.data());
  f.run(small, small_x.data(), rows, small_y.data());
  f.destroy(s);
  f.destroy(small);

  std::vector<float> bad = w;
  const std::uint32_t nan = 0x7FC00000U;
  std::memcpy(&bad[5], &nan, sizeof(nan));
  if (f.create(bad.data(), bias.data(), outputs, inputs, message, sizeof(message)) != nullptr) {
    return fail("a layer of NaN was made");
  }
  if (std::strstr(message, "(0, 5) is nan") == nullptr) return fail(message);
  if (largest_error(w, bias, x, y) > 0.3) return fail("the outputs are wrong");

  std::printf("%-12s outputs %016llx, %d subnormal numbers %016llx\n", f.arch,
              static_cast<unsigned long long>(digest(y)), subnormal_numbers(small_y),
              static_cast<unsigned long long>(digest(small_y)));
  return true;
}

}  // namespace

int main() {
  std::printf("this host flushes subnormal numbers: %s\n", flushes());
  bool good = demonstrate(*scorer_baseline());
#if defined(FOREIGN_HOST_HAS_AVX2)
  // The flags of that library are -mavx2 and -mfma.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    good = demonstrate(*scorer_avx2()) && good;
  }
#endif
  std::printf("afterwards: %s\n", flushes());
  return good ? 0 : 1;
}
