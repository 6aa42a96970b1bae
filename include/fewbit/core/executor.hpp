#pragma once
/// Who runs the loops: the library starts no thread, it asks an executor.
///
/// A long function takes an Executor last and gives it independent pieces of work. How many pieces
/// there are never depends on the executor, so results do not either. Read next:
/// core/executor_adapters.hpp (OpenMP and std::thread, to use or to copy from), core/workspace.hpp.

#include "fewbit/begin.hpp"

#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Stands for any callable in the check of an executor.
struct example_task {
  void operator()(index) const {}
};

}  // namespace detail

/// `e.for_each(n, f)` calls f(i) exactly once for each i in [0, n), in any order and on any thread,
/// and returns when all calls have returned. n <= 0 calls nothing. It is a const member: a pool is
/// held by pointer or reference.
template <class E>
concept Executor = requires(const std::remove_cvref_t<E>& e, index n,
                            const detail::example_task& f) { e.for_each(n, f); };

/// Runs every piece in the calling thread, in order; the default everywhere.
struct inline_executor {
  template <class F>
  void for_each(index n, F&& f) const noexcept(noexcept(f(index{}))) {
    for (index i = 0; i < n; ++i) f(i);
  }
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
