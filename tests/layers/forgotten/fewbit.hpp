#pragma once
/// An umbrella that does not include one of the headers.

#include "fewbit/core/named.hpp"
