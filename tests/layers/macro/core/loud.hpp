#pragma once
/// A macro without the prefix.

#define LOUD 1
