#pragma once
/// Takes the dear header along.

#include "fewbit/core/executor_adapters.hpp"
