#pragma once
/// quant and gemm are siblings and must not include each other.

#include "fewbit/gemm/right.hpp"
