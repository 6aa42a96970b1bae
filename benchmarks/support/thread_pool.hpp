#pragma once
/// A pool of threads that start once, as in a program with its own pool.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::benchmarks {

/// The caller and `threads - 1` other threads share the pieces of one call at a time. The function
/// that they call must not throw.
class thread_pool {
 public:
  explicit thread_pool(int threads) {
    for (int t = 1; t < threads; ++t) others_.emplace_back([this] { serve(); });
  }

  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;

  ~thread_pool() {
    stopping_ = true;
    announce();
    for (std::thread& t : others_) t.join();
  }

  template <class F>
  void for_each(index n, F&& f) {
    using function = std::remove_reference_t<F>;
    context_ = const_cast<void*>(static_cast<const void*>(&f));
    call_ = [](void* context, index i) { (*static_cast<function*>(context))(i); };
    end_ = n;
    next_ = 0;
    working_ = static_cast<int>(others_.size());
    announce();
    work();
    while (working_ != 0) std::this_thread::yield();
  }

 private:
  void announce() {
    ++round_;
    round_.notify_all();
  }

  void work() {
    for (index i = next_++; i < end_; i = next_++) call_(context_, i);
  }

  void serve() {
    for (std::uint32_t seen = 0;; ++seen) {
      await_round_after(seen);
      if (stopping_) return;
      work();
      --working_;
    }
  }

  /// Polls before sleeping, because waking a thread takes as long as a small product.
  void await_round_after(std::uint32_t seen) const {
    constexpr int looks = 2000;
    for (int i = 0; i < looks && round_ == seen; ++i) std::this_thread::yield();
    while (round_ == seen) round_.wait(seen);
  }

  std::atomic<std::uint32_t> round_ = 0;
  std::atomic<index> next_ = 0;
  std::atomic<int> working_ = 0;
  std::atomic<bool> stopping_ = false;
  void* context_ = nullptr;
  void (*call_)(void*, index) = nullptr;
  index end_ = 0;
  std::vector<std::thread> others_;
};

/// An executor that runs on the pool.
struct pool_executor {
  thread_pool* pool;

  template <class F>
  void for_each(index n, F&& f) const {
    pool->for_each(n, f);
  }
};
static_assert(Executor<pool_executor>);

}  // namespace fewbit::benchmarks
