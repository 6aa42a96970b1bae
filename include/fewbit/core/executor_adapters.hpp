#pragma once
/// Executors over OpenMP and over threads of the standard library, to use or to copy from for a
/// pool of one's own.
///
/// Not part of fewbit.hpp: whoever wants threads includes this by name.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

#if defined(_OPENMP)

/// Deals pieces to OpenMP's threads as they become free. OpenMP lets no exception leave a thread:
/// f must not throw.
struct openmp_executor {
  template <class F>
  void for_each(index n, F&& f) const {
#pragma omp parallel for schedule(dynamic, 1)
    for (index i = 0; i < n; ++i) f(i);
  }
};

#endif

/// Starts threads at each call and joins them before it returns; the calling thread works too. An
/// exception thrown by f stops the thread it happened in and reaches the caller when the others
/// are done.
struct thread_executor {
  int threads = static_cast<int>(std::thread::hardware_concurrency());

  template <class F>
  void for_each(index n, F&& f) const {
    std::atomic<index> next{0};
    const auto work = [&] {
      for (index i = next++; i < n; i = next++) f(i);
    };
    std::vector<std::future<void>> team;  // a future of std::async joins in its destructor
    for (index t = 1; t < std::min<index>(n, threads); ++t) {
      team.push_back(std::async(std::launch::async, work));
    }
    work();
    for (std::future<void>& member : team) member.get();
  }
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
