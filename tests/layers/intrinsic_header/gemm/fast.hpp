#pragma once
/// A header of intrinsics outside arch/.

#include <immintrin.h>
