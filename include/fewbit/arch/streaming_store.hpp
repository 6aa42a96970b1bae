#pragma once
/// Stores that bypass the caches, for results larger than the caches.
///
/// | instruction | computes                                          |
/// |-------------|---------------------------------------------------|
/// | vmovntdq    | writes a register, without reading its line first |
/// | sfence      | orders these stores before all later stores       |
///
/// An ordinary store first reads the cache line and later writes it back. Copying an array of
/// floats then takes three memory transfers; streaming stores reduce them to two. Use ordinary
/// stores for results that are read again soon. Processors without the instruction use ordinary
/// stores.

#include "fewbit/begin.hpp"

#include <cstdint>

#include "fewbit/arch/vec.hpp"

#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
#include <immintrin.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Writes v to p, which is aligned to the size of V.
template <class V>
FEWBIT_ALWAYS_INLINE void streaming_store(lane<V>* p, const V& v) noexcept {
#if FEWBIT_HAS_AVX512_VNNI
  if constexpr (V::is_native && sizeof(V) == 64) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(p), reinterpret_cast<__m512i>(v.data));
    return;
  }
#endif
#if FEWBIT_HAS_AVX2
  if constexpr (V::is_native && sizeof(V) == 32) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(v.data));
    return;
  }
#endif
#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
  if constexpr (V::is_native && sizeof(V) == 16) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(p), reinterpret_cast<__m128i>(v.data));
    return;
  }
#endif
  v.store(p);
}

/// Ends a series of streaming stores. Afterwards other threads may read the results.
FEWBIT_ALWAYS_INLINE void end_streaming() noexcept {
#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
  _mm_sfence();
#endif
}

/// Streaming stores are used from this number of bytes read and written. It is more than most
/// last-level caches leave for one core. Streaming compared with ordinary stores on a Sapphire
/// Rapids with a cache of 480 MiB:
///
/// | bytes                      | streaming is            |
/// |----------------------------|-------------------------|
/// | below 5 MB, where L2 helps | up to 2 times slower    |
/// | 5 to 40 MB                 | equally fast            |
/// | from 170 MB                | 1.2 to 2.3 times faster |
inline constexpr std::int64_t streaming_bytes = std::int64_t{32} << 20;

/// How a kernel stores its results.
struct plain_store {
  static constexpr bool is_streaming = false;
  template <class V>
  FEWBIT_ALWAYS_INLINE static void put(lane<V>* p, const V& v) noexcept {
    v.store(p);
  }
};
struct past_caches {
  static constexpr bool is_streaming = true;
  template <class V>
  FEWBIT_ALWAYS_INLINE static void put(lane<V>* p, const V& v) noexcept {
    streaming_store(p, v);
  }
};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
