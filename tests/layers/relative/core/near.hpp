#pragma once
/// A relative include.

#include "other.hpp"
