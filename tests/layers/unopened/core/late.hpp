#pragma once
/// Another header comes first.

#include <cstddef>

#include "fewbit/begin.hpp"

#include "fewbit/end.hpp"
