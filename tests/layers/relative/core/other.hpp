#pragma once
/// Included by its neighbour.
