#pragma once
/// Version, instruction sets of this translation unit, and names of the two inline namespaces.
///
/// Every header includes this one. Kernels use the instruction sets that the -m flags allow;
/// nothing is chosen at run time.

/// A new one may change anything.
#define FEWBIT_VERSION_MAJOR 0
/// While the major version is 0, a new one may rename what is public.
#define FEWBIT_VERSION_MINOR 2
/// A new one changes no public name and no bit of a result.
#define FEWBIT_VERSION_PATCH 0

// Required compiler flags. The message is the name of a missing file, because gcc and clang stop at
// once only for a missing file. After an #error they continue and report about a thousand further
// errors.
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

// Whether to use the vector types of gcc and clang. Without them arch/vec.hpp uses arrays, and only
// the scalar arch is available. They are off for clang on 32-bit Arm: clang compiles them to NEON
// there, which flushes subnormal floats to zero.
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

// The 16-bit pair products of Cortex-M4, M7 and M33.
#if defined(__GNUC__) && defined(__arm__) && defined(__ARM_FEATURE_SIMD32)
#define FEWBIT_HAS_SMLAD 1
#else
#define FEWBIT_HAS_SMLAD 0
#endif

// Whether the default error handler prints. Microcontroller programs define it as 0, because stdio
// of their C library would link the heap.
#if !defined(FEWBIT_HAS_STDIO)
#define FEWBIT_HAS_STDIO __STDC_HOSTED__
#endif

#if defined(__cpp_exceptions)
#define FEWBIT_HAS_EXCEPTIONS 1
#else
#define FEWBIT_HAS_EXCEPTIONS 0
#endif

// A build without optimization inlines nothing: it would only compile the same code many times.
#if defined(__GNUC__) && defined(__OPTIMIZE__)
#define FEWBIT_ALWAYS_INLINE inline __attribute__((always_inline))
// After the parameters of a lambda that is called in several places.
#define FEWBIT_INLINE_LAMBDA __attribute__((always_inline))
#else
#define FEWBIT_ALWAYS_INLINE inline
#define FEWBIT_INLINE_LAMBDA
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

// These flags change generated code but not the native arch. They become two digits, width and
// level, of FEWBIT_ARCH_NAMESPACE.
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

/// Inline namespace of types that translation units built with different -m flags may pass to each
/// other: errors, ranges, parameters.
#define FEWBIT_VERSION_NAMESPACE FEWBIT_DETAIL_JOIN(v, FEWBIT_VERSION_MAJOR)

/// Inline namespace of all code that computes. Its name contains the instruction set and whether
/// exceptions are on, so the linker never merges kernels of units built with different flags.
#define FEWBIT_ARCH_NAMESPACE                                                          \
  FEWBIT_DETAIL_TAG(FEWBIT_VERSION_NAMESPACE, FEWBIT_NATIVE_ARCH, FEWBIT_DETAIL_WIDTH, \
                    FEWBIT_DETAIL_LEVEL, FEWBIT_HAS_EXCEPTIONS)
