#pragma once
/// Does not restore the macros of the host.

#include "fewbit/begin.hpp"

#include <cstddef>
