// Runs the program given in the arguments if this processor has the instructions that the flags of
// the build allow. Otherwise it prints what is missing and exits with 77, which ctest counts as
// skipped. This file is compiled without these flags.

#include <unistd.h>

#include <cstdio>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

extern const bool needs_avx2;
extern const bool needs_avx_vnni;
extern const bool needs_avx512_vnni;
extern const bool needs_avx512_bitalg;

namespace {

#if defined(__x86_64__)
// Older compilers have no name for AVX-VNNI: bit 4 of EAX in leaf 7, subleaf 1.
bool has_avx_vnni() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1U << 4)) != 0;
}

const char* missing() {
  __builtin_cpu_init();
  if (needs_avx2 && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) {
    return "AVX2 and FMA";
  }
  if (needs_avx_vnni && !has_avx_vnni()) return "AVX-VNNI";
  if (needs_avx512_vnni &&
      !(__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni"))) {
    return "AVX512-VNNI";
  }
  if (needs_avx512_bitalg &&
      !(__builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bitalg") &&
        __builtin_cpu_supports("gfni"))) {
    return "AVX512-VBMI, BITALG and GFNI";
  }
  return nullptr;
}
#else
const char* missing() { return nullptr; }
#endif

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  if (const char* what = missing(); what != nullptr) {
    std::printf("skipped: this processor lacks %s\n", what);
    return 77;
  }
  execv(argv[1], argv + 1);
  std::perror(argv[1]);
  return 2;
}
