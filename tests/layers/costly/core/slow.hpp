#pragma once
/// A header that is too dear.

#include <iostream>
