#pragma once
/// An intrinsic outside arch/.

inline auto zero() { return _mm256_setzero_si256(); }
