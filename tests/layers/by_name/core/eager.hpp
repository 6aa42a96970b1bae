#pragma once
/// Includes the costly header.

#include "fewbit/core/executor_adapters.hpp"
