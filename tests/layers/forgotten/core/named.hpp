#pragma once
/// Included by the umbrella. The header that it includes must be named there too.

#include "fewbit/core/forgotten.hpp"
