#pragma once
/// Included by near.hpp.
