#pragma once
/// Version, the instruction sets this translation unit is compiled for, and the two inline
/// namespaces.
///
/// Every header includes this one. It decides nothing at run time: what the compiler was told by -m
/// flags is what the kernels use.

/// A new one may change anything.
#define FEWBIT_VERSION_MAJOR 0
/// While the major version is 0, a new one may rename what is public.
#define FEWBIT_VERSION_MINOR 2
/// A new one changes no public name and no bit of a result.
#define FEWBIT_VERSION_PATCH 0

// What a compiler must be told. The sentence is the name of a missing file: that alone ends the
// compilation at once, while gcc and clang read on after an #error and add a thousand errors to it.
#if defined(_MSVC_LANG)
#define FEWBIT_DETAIL_LANGUAGE _MSVC_LANG
#elif defined(__cplusplus)
#define FEWBIT_DETAIL_LANGUAGE __cplusplus
#else
#define FEWBIT_DETAIL_LANGUAGE 0L
#endif

#if FEWBIT_DETAIL_LANGUAGE < 202002L
#include "fewbit needs C++20, compile with -std=c++20 or later"
#endif

#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || \
    (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ != 0)
#include "fewbit: -ffast-math breaks the promise of equal bits on every processor"
#endif

#if defined(__NO_SIGNED_ZEROS__)
#include "fewbit: -fno-signed-zeros lets results depend on the sign of a zero"
#endif

// The vector types of gcc and clang; without them arch/vec.hpp falls back to arrays
// and only the scalar arch is offered. On a 32-bit Arm clang computes them in NEON, which takes
// subnormal floats for zeros.
#if !defined(FEWBIT_HAS_VECTOR_TYPES)
#if defined(__GNUC__) && !(defined(__clang__) && defined(__arm__))
#define FEWBIT_HAS_VECTOR_TYPES 1
#else
#define FEWBIT_HAS_VECTOR_TYPES 0
#endif
#endif

#if FEWBIT_HAS_VECTOR_TYPES && defined(__AVX2__)
#define FEWBIT_HAS_AVX2 1
#else
#define FEWBIT_HAS_AVX2 0
#endif

#if FEWBIT_HAS_AVX2 && defined(__AVXVNNI__)
#define FEWBIT_HAS_AVX_VNNI 1
#else
#define FEWBIT_HAS_AVX_VNNI 0
#endif

#if FEWBIT_HAS_AVX2 && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && \
    defined(__AVX512VNNI__)
#define FEWBIT_HAS_AVX512_VNNI 1
#else
#define FEWBIT_HAS_AVX512_VNNI 0
#endif

#if FEWBIT_HAS_AVX512_VNNI && defined(__AVX512VBMI__) && defined(__AVX512BITALG__) && \
    defined(__AVX512VPOPCNTDQ__) && defined(__GFNI__)
#define FEWBIT_HAS_AVX512_BITALG 1
#else
#define FEWBIT_HAS_AVX512_BITALG 0
#endif

#if FEWBIT_HAS_VECTOR_TYPES && defined(__aarch64__) && defined(__ARM_NEON)
#define FEWBIT_HAS_NEON 1
#else
#define FEWBIT_HAS_NEON 0
#endif

#if FEWBIT_HAS_NEON && defined(__ARM_FEATURE_DOTPROD)
#define FEWBIT_HAS_NEON_DOTPROD 1
#else
#define FEWBIT_HAS_NEON_DOTPROD 0
#endif

#if FEWBIT_HAS_NEON_DOTPROD && defined(__ARM_FEATURE_MATMUL_INT8)
#define FEWBIT_HAS_NEON_I8MM 1
#else
#define FEWBIT_HAS_NEON_I8MM 0
#endif

#if defined(__cpp_exceptions)
#define FEWBIT_HAS_EXCEPTIONS 1
#else
#define FEWBIT_HAS_EXCEPTIONS 0
#endif

#if defined(__GNUC__)
#define FEWBIT_ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define FEWBIT_ALWAYS_INLINE inline
#endif

#if FEWBIT_HAS_AVX512_BITALG
#define FEWBIT_NATIVE_ARCH avx512_bitalg
#elif FEWBIT_HAS_AVX512_VNNI
#define FEWBIT_NATIVE_ARCH avx512_vnni
#elif FEWBIT_HAS_AVX_VNNI
#define FEWBIT_NATIVE_ARCH avx_vnni
#elif FEWBIT_HAS_AVX2
#define FEWBIT_NATIVE_ARCH avx2
#elif FEWBIT_HAS_NEON_I8MM
#define FEWBIT_NATIVE_ARCH neon_i8mm
#elif FEWBIT_HAS_NEON_DOTPROD
#define FEWBIT_NATIVE_ARCH neon_dotprod
#elif FEWBIT_HAS_NEON
#define FEWBIT_NATIVE_ARCH neon
#else
#define FEWBIT_NATIVE_ARCH scalar
#endif

// Flags that change generated code without changing the native arch: two digits of the tag.
#if defined(__AVX512F__)
#define FEWBIT_DETAIL_WIDTH 4
#elif defined(__FMA__) || defined(__VX__) || defined(__riscv_vector) || \
    (defined(__arm__) && defined(__ARM_FEATURE_FMA))
#define FEWBIT_DETAIL_WIDTH 3
#elif defined(__AVX__) || (defined(__arm__) && defined(__ARM_NEON))
#define FEWBIT_DETAIL_WIDTH 2
#elif defined(__SSE4_1__)
#define FEWBIT_DETAIL_WIDTH 1
#else
#define FEWBIT_DETAIL_WIDTH 0
#endif

#if defined(__AVX512FP16__) || defined(__ARM_FEATURE_SVE2)
#define FEWBIT_DETAIL_LEVEL 4
#elif defined(__AVX512BF16__) && defined(__AVXVNNI__)
#define FEWBIT_DETAIL_LEVEL 3
#elif defined(__AVX512BF16__) || defined(__ARM_FEATURE_SVE)
#define FEWBIT_DETAIL_LEVEL 2
#elif defined(__BMI2__) || defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC)
#define FEWBIT_DETAIL_LEVEL 1
#else
#define FEWBIT_DETAIL_LEVEL 0
#endif

#define FEWBIT_DETAIL_JOIN2(a, b) a##b
#define FEWBIT_DETAIL_JOIN(a, b) FEWBIT_DETAIL_JOIN2(a, b)
#define FEWBIT_DETAIL_TAG5(version, arch, width, level, exceptions) \
  version##_##arch##_##width##level##exceptions
#define FEWBIT_DETAIL_TAG(version, arch, width, level, exceptions) \
  FEWBIT_DETAIL_TAG5(version, arch, width, level, exceptions)

/// Inline namespace of what may cross translation units built with different -m flags: errors,
/// ranges, parameters.
#define FEWBIT_VERSION_NAMESPACE FEWBIT_DETAIL_JOIN(v, FEWBIT_VERSION_MAJOR)

/// Inline namespace of what computes. It names the instruction set (and whether exceptions are on),
/// so that the linker never merges a kernel of one unit with the same kernel of a unit built with
/// other flags.
#define FEWBIT_ARCH_NAMESPACE                                                          \
  FEWBIT_DETAIL_TAG(FEWBIT_VERSION_NAMESPACE, FEWBIT_NATIVE_ARCH, FEWBIT_DETAIL_WIDTH, \
                    FEWBIT_DETAIL_LEVEL, FEWBIT_HAS_EXCEPTIONS)
