#include "fewbit/core/executor.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"

namespace core_executor_test {

using fewbit::Executor;
using fewbit::index;
using fewbit::inline_executor;
using fewbit::thread_executor;

struct not_const {
  template <class F>
  void for_each(index, F&&) {}
};

static_assert(Executor<inline_executor>);
static_assert(Executor<const thread_executor&>);
static_assert(!Executor<not_const>);
static_assert(!Executor<int>);

template <class E>
void expect_each_piece_once(const E& executor) {
  for (index n : {-1, 0, 1, 2, 3, 7, 1000}) {
    std::vector<std::atomic<int>> calls(static_cast<std::size_t>(n > 0 ? n : 0));
    executor.for_each(n, [&](index i) { ++calls[static_cast<std::size_t>(i)]; });
    for (const auto& count : calls) EXPECT_EQ(count.load(), 1) << "n=" << n;
  }
}

TEST(executor, inline_runs_each_piece_once_in_order) {
  expect_each_piece_once(inline_executor{});
  std::vector<index> order;
  inline_executor{}.for_each(4, [&](index i) { order.push_back(i); });
  EXPECT_EQ(order, (std::vector<index>{0, 1, 2, 3}));
}

TEST(executor, inline_is_noexcept_if_the_piece_is) {
  constexpr inline_executor executor;
  const auto quiet = [](index) noexcept {};
  const auto loud = [](index) {};
  static_assert(noexcept(executor.for_each(1, quiet)));
  static_assert(!noexcept(executor.for_each(1, loud)));
}

TEST(executor, threads_run_each_piece_once) {
  for (int threads : {-1, 0, 1, 2, 5}) expect_each_piece_once(thread_executor{threads});
  expect_each_piece_once(thread_executor{});
}

TEST(executor, threads_run_at_the_same_time) {
  std::set<std::thread::id> seen;
  std::mutex mutex;
  std::atomic<int> waiting{0};
  thread_executor{3}.for_each(3, [&](index) {
    ++waiting;
    while (waiting < 3) std::this_thread::yield();  // waits until each piece has its own thread
    const std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen.count(std::this_thread::get_id()), 1U);
}

#if defined(_OPENMP)
TEST(executor, openmp_runs_each_piece_once) {
  static_assert(Executor<fewbit::openmp_executor>);
  expect_each_piece_once(fewbit::openmp_executor{});
}
#endif

#if FEWBIT_HAS_EXCEPTIONS
TEST(executor, the_caller_receives_an_exception_of_any_piece) {
  for (index bad : {0, 1, 99}) {
    for (int threads : {1, 2, 4}) {
      const auto run = [&] {
        thread_executor{threads}.for_each(100, [&](index i) {
          if (i == bad) throw std::runtime_error("piece " + std::to_string(i));
        });
      };
      EXPECT_THROW(run(), std::runtime_error) << "threads=" << threads;
    }
  }
}
#endif

}  // namespace core_executor_test
