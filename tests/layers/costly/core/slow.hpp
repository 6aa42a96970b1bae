#pragma once
/// A header that includes a costly header.

#include <iostream>
