#include "fewbit/arch/arch.hpp"

#include <gtest/gtest.h>

#include <concepts>
#include <string>
#include <type_traits>
#include <vector>

namespace arch_arch_test {

namespace arch = fewbit::arch;

/// Names of Arch and of all archs that it falls back to, strongest first.
template <class Arch>
std::vector<std::string> chain() {
  std::vector<std::string> names{Arch::name};
  if constexpr (!std::same_as<Arch, arch::scalar>) {
    for (const auto& name : chain<typename Arch::base>()) names.push_back(name);
  }
  return names;
}

using names = std::vector<std::string>;

TEST(arch, falls_back_to_the_next_weaker_instruction_set) {
  EXPECT_EQ(chain<arch::scalar>(), (names{"scalar"}));
  EXPECT_EQ(chain<arch::avx_vnni>(), (names{"avx_vnni", "avx2", "scalar"}));
  EXPECT_EQ(chain<arch::avx512_bitalg>(),
            (names{"avx512_bitalg", "avx512_vnni", "avx2", "scalar"}));
  EXPECT_EQ(chain<arch::neon_i8mm>(), (names{"neon_i8mm", "neon_dotprod", "neon", "scalar"}));
}

TEST(arch, a_compiled_arch_has_a_compiled_base) {
  arch::compiled::for_each([]<class Arch>() {
    EXPECT_TRUE(Arch::compiled) << Arch::name;
    if constexpr (!std::same_as<Arch, arch::scalar>) {
      EXPECT_TRUE(Arch::base::compiled) << Arch::name;
    }
  });
}

TEST(arch, the_list_has_each_compiled_arch_once_and_native_last) {
  names listed;
  arch::compiled::for_each([&]<class Arch>() { listed.emplace_back(Arch::name); });

  names expected{"scalar"};
#if FEWBIT_HAS_VECTOR_TYPES && defined(__AVX2__)
  expected.emplace_back("avx2");
#if defined(__AVXVNNI__)
  expected.emplace_back("avx_vnni");
#endif
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
  expected.emplace_back("avx512_vnni");
#if defined(__AVX512VBMI__) && defined(__AVX512BITALG__) && defined(__AVX512VPOPCNTDQ__) && \
    defined(__GFNI__)
  expected.emplace_back("avx512_bitalg");
#endif
#endif
#elif FEWBIT_HAS_VECTOR_TYPES && defined(__aarch64__)
  expected.emplace_back("neon");
#if defined(__ARM_FEATURE_DOTPROD)
  expected.emplace_back("neon_dotprod");
#if defined(__ARM_FEATURE_MATMUL_INT8)
  expected.emplace_back("neon_i8mm");
#endif
#endif
#endif
  EXPECT_EQ(listed, expected);
  EXPECT_EQ(arch::compiled::size, static_cast<int>(expected.size()));
  EXPECT_EQ(arch::native::name, listed.back());
}

TEST(arch, tags_are_empty) {
  arch::compiled::for_each([]<class Arch>() { EXPECT_TRUE(std::is_empty_v<Arch>) << Arch::name; });
}

}  // namespace arch_arch_test
