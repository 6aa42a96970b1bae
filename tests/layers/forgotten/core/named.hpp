#pragma once
/// In the umbrella; what it includes is not thereby named.

#include "fewbit/core/forgotten.hpp"
