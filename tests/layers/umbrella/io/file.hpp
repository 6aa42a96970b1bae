#pragma once
/// Included by name only.
