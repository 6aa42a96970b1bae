#pragma once
/// Dear, and so for the user to include by name.

#include <thread>
