#pragma once
/// Costly, so the user includes it by name.

#include <thread>
