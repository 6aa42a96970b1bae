#pragma once
/// A header above gemm/ that uses a name of its detail namespace.

inline int sum() { return gemm::detail::sum_of_tile(); }
