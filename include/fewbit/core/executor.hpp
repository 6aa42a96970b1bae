#pragma once
/// Executors: they run the loops of the library, which starts no threads itself.
///
/// Every long function takes an Executor as its last argument and gives it independent pieces of
/// work. The number of pieces does not depend on the executor, so results do not depend on it
/// either. Read next: core/executor_adapters.hpp (OpenMP and std::thread, to use or to copy from),
/// core/workspace.hpp.

#include "fewbit/begin.hpp"

#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// An example of a callable for the concept below.
struct example_task {
  void operator()(index) const {}
};

}  // namespace detail

/// `e.for_each(n, f)` calls f(i) exactly once for each i in [0, n), in any order and on any thread,
/// and returns when all calls have returned. If n <= 0 it calls nothing. for_each is const, so an
/// executor holds a thread pool by pointer or reference.
template <class E>
concept Executor = requires(const std::remove_cvref_t<E>& e, index n,
                            const detail::example_task& f) { e.for_each(n, f); };

/// Runs every piece in the calling thread, in order. It is the default of all functions.
struct inline_executor {
  template <class F>
  void for_each(index n, F&& f) const noexcept(noexcept(f(index{}))) {
    for (index i = 0; i < n; ++i) f(i);
  }
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
