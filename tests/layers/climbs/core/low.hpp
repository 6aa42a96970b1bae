#pragma once
/// A core header that includes a layer above it.

#include "fewbit/gemm/high.hpp"
