#pragma once
/// Executors that use OpenMP or the threads of the standard library. Use them, or take them as an
/// example for your own thread pool.
///
/// fewbit.hpp does not include this header. Include it by name.

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

/// Gives each piece to the next free thread of OpenMP. f must not throw, because OpenMP passes no
/// exception out of a thread.
struct openmp_executor {
  template <class F>
  void for_each(index n, F&& f) const {
#pragma omp parallel for schedule(dynamic, 1)
    for (index i = 0; i < n; ++i) f(i);
  }
};

#endif

/// Each call starts threads and joins them before it returns. The calling thread works too. If f
/// throws, its thread takes no further pieces, and the exception reaches the caller after the other
/// threads are done.
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
