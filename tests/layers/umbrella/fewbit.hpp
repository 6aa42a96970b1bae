#pragma once
/// An umbrella that includes what it should leave out.

#include "fewbit/io/file.hpp"
