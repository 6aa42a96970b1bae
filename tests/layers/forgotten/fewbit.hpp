#pragma once
/// An umbrella that forgets a header.

#include "fewbit/core/named.hpp"
