/// The hot path allocates nothing: operator new and malloc through Eigen are counted while layers
/// run.

#define EIGEN_RUNTIME_NO_MALLOC

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "fewbit/gemm/multiply.hpp"
#include "fewbit/ops/linear.hpp"

namespace {
long allocations = 0;
}

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size)) return p;
  std::abort();
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  ++allocations;
  const auto a = static_cast<std::size_t>(alignment);
  if (void* p = std::aligned_alloc(a, (size + a - 1) / a * a)) return p;
  std::abort();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}

namespace fewbit {
namespace {

/// Allocations of one call.
template <class F>
long allocations_of(const F& f) {
  const long before = allocations;
  Eigen::internal::set_is_malloc_allowed(false);
  f();
  Eigen::internal::set_is_malloc_allowed(true);
  return allocations - before;
}

TEST(allocation, counter_sees_allocations) {
  // A call of the function: a new expression may be optimized away.
  EXPECT_EQ(allocations_of([] { ::operator delete(::operator new(8)); }), 1);
  EXPECT_EQ(allocations_of([] { workspace w(100); }), 1)
      << "the buffers of the library are counted";
}

template <class S, class Inputs>
void expect_none(linear<S, Inputs>&& layer) {
  const row_matrix<float> x = row_matrix<float>::Ones(300, layer.inputs());
  row_matrix<float> y(300, layer.outputs());
  EXPECT_EQ(allocations_of([&] { layer(x, y); }), 0);
  const row_matrix<float> one = x.topRows(1);
  EXPECT_EQ(allocations_of([&] { layer(one, y.topRows(1)); }), 0);
}

TEST(allocation, none_in_a_linear_layer) {
  const row_matrix<float> w = row_matrix<float>::Random(70, 1000);
  const Eigen::VectorXf bias = Eigen::VectorXf::Zero(70);
  expect_none(linear<int8_per_row>(w, bias));
  expect_none(linear<int4_grouped<32>>(w, bias));
  expect_none(linear<uint8_affine_per_row>(w, bias));
  expect_none(linear<int8_per_row, static_uint8>(w, bias, quant_params{0.1F, 3}));
  expect_none(linear<int8_per_row, static_int8>(w, bias, quant_params{0.1F, 3}));
  expect_none(linear<int4_grouped<32>, float_inputs>(w, bias));
}

TEST(allocation, none_in_a_product_with_scratch_memory) {
  const row_matrix<std::int8_t> a = row_matrix<std::int8_t>::Ones(200, 3000);
  const row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Ones(70, 3000);
  row_matrix<std::int32_t> c(200, 70);
  arch::compiled::for_each([&]<class Arch>() {
    const auto packed = gemm::pack<std::int8_t, Arch>(w);
    workspace scratch(gemm::scratch_bytes(packed), 2);
    EXPECT_EQ(allocations_of([&] { gemm::multiply(a, packed, c, gemm::raw{}, scratch); }), 0)
        << Arch::name;
    EXPECT_EQ(c(199, 69), 3000);
  });
}

}  // namespace
}  // namespace fewbit
