#pragma once
/// The type of extents and positions, without Eigen. Read next: core/types.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// Extents and positions; signed, the same type as Eigen::Index.
#if defined(EIGEN_DEFAULT_DENSE_INDEX_TYPE)
using index = EIGEN_DEFAULT_DENSE_INDEX_TYPE;
#else
using index = std::ptrdiff_t;
#endif

}}  // namespace fewbit

#include "fewbit/end.hpp"
