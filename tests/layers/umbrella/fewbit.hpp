#pragma once
/// An umbrella that includes a header that it must leave out.

#include "fewbit/io/file.hpp"
