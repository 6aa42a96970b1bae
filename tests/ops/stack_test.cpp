/// A call without reserved memory uses at most 16 KiB of stack. Optimized, like a program of users:
/// the frames of the loops count.

#include <gtest/gtest.h>

#if defined(__linux__)
#include <pthread.h>
#endif

#include <algorithm>
#include <cstddef>
#include <new>
#include <numeric>
#include <vector>

#include "fewbit/ops/gathered_linear.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/ops/linear/pq.hpp"
#include "support/sanitized.hpp"

#if defined(__linux__)

namespace fewbit { namespace ops_stack_test {

/// Bytes of stack that f uses, counted on the stack of a thread that was filled with a pattern.
template <class F>
index stack_bytes_of(const F& f) {
  constexpr std::size_t size = std::size_t{1} << 18;
  constexpr auto pattern = std::byte{0xA5};
  static std::byte* const stack = new (std::align_val_t{4096}) std::byte[size];
  std::fill_n(stack, size, pattern);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack, size);
  pthread_t thread;
  const auto run = [](void* task) -> void* {
    (*static_cast<const F*>(task))();
    return nullptr;
  };
  EXPECT_EQ(pthread_create(&thread, &attributes, run, const_cast<F*>(&f)), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  return static_cast<index>(
      stack + size - std::find_if(stack, stack + size, [&](std::byte b) { return b != pattern; }));
}

template <class Layer>
void expect_little_stack(const char* what, const row_matrix<float>& w, const auto&... arguments) {
  const Layer layer(w, Eigen::VectorXf(), arguments...);
  const row_matrix<float> x = row_matrix<float>::Random(9, w.cols());
  row_matrix<float> y(9, w.rows());
  const auto nothing = [] {};
  const auto call = [&] { layer(x, y); };
  call();  // functions of shared libraries are looked up on the stack at their first call
  const index used = stack_bytes_of(call) - stack_bytes_of(nothing);
  EXPECT_LE(used, 16 * 1024) << what << " k=" << w.cols();
  EXPECT_GT(used, 512) << what;
}

/// The columns of the weights are in the reverse order of inputs.
template <class Inputs>
struct reversed_linear : gathered_linear<int4_grouped<32>, Inputs> {
  reversed_linear(const row_matrix<float>& w, const Eigen::VectorXf& bias)
      : gathered_linear<int4_grouped<32>, Inputs>(reversed(w.cols()), quantize<int4_grouped<32>>(w),
                                                  bias) {}

  static std::vector<index> reversed(index k) {
    std::vector<index> order(static_cast<std::size_t>(k));
    std::iota(order.rbegin(), order.rend(), index{0});
    return order;
  }
};

TEST(stack, of_calls_without_reserved_memory_is_16_kib) {
  if (tests::sanitized) GTEST_SKIP() << "sanitizers enlarge frames";
  for (const index k : {64, 1000, 20000}) {
    const row_matrix<float> w = row_matrix<float>::Random(300, k);
    const quant_params params{0.1F, 3};
    expect_little_stack<linear<int8_per_row>>("int8", w);
    expect_little_stack<linear<uint8_affine_per_row>>("affine", w);
    expect_little_stack<linear<int8_per_row, static_uint8>>("static", w, params);
    expect_little_stack<linear<uint4_grouped<32>, static_int8>>("static groups", w, params);
    expect_little_stack<linear<int4_per_row>>("int4", w);
    expect_little_stack<linear<int4_grouped<32>>>("groups", w);
    expect_little_stack<reversed_linear<dynamic_int8>>("gathered", w);
    expect_little_stack<reversed_linear<dynamic_int8_groups>>("gathered groups", w);
    expect_little_stack<linear<uint4_grouped<17000>, dynamic_int8_groups>>("large groups", w);
    expect_little_stack<linear<ttq>>("ttq", w);
    expect_little_stack<linear<int4_grouped<32>, float_inputs>>("float", w);
    expect_little_stack<linear<binary_per_row, binary_inputs>>("binary", w);
    expect_little_stack<linear<int2_per_row, unsigned_inputs<2>>>("two bits", w);
    expect_little_stack<linear<int8_per_row, few_bit_inputs<8>>>("eight bits", w);
    if (k > 1000) continue;  // k-means takes long
    expect_little_stack<linear<pq<4, 4>>>("pq", w, layer_options{},
                                          kmeans_options{.iterations = 1});
    expect_little_stack<linear<pq<4, 8>, float_inputs>>("pq of floats", w, layer_options{},
                                                        kmeans_options{.iterations = 1});
  }
}

}  // namespace ops_stack_test
}  // namespace fewbit

#endif
