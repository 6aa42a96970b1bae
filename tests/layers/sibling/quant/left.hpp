#pragma once
/// quant and gemm are siblings and may not meet.

#include "fewbit/gemm/right.hpp"
