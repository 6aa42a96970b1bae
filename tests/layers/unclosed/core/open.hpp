#pragma once
/// Never restores the macros of the host.

#include "fewbit/begin.hpp"

#include <cstddef>
