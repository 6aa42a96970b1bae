/// The hot path allocates nothing: operator new and malloc through Eigen are counted while layers
/// run.

#define EIGEN_RUNTIME_NO_MALLOC

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "fewbit/gemm/int8/multiply.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/ops/linear/pq.hpp"
#include "fewbit/quant/modes.hpp"

namespace {

long allocations = 0;

/// Frees what operator new aligned. It keeps the address that malloc gave in front, because
/// std::aligned_alloc is missing on Windows.
void free_aligned(void* p) noexcept {
  if (p == nullptr) return;
  void* memory;
  std::memcpy(&memory, static_cast<std::byte*>(p) - sizeof(memory), sizeof(memory));
  std::free(memory);
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size)) return p;
  std::abort();
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  ++allocations;
  const auto a = static_cast<std::size_t>(alignment);
  auto* memory = static_cast<std::byte*>(std::malloc(size + a + sizeof(void*)));
  if (memory == nullptr) std::abort();
  std::byte* p = memory + sizeof(memory);
  p += -reinterpret_cast<std::uintptr_t>(p) % a;
  std::memcpy(p - sizeof(memory), &memory, sizeof(memory));
  return p;
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { free_aligned(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  free_aligned(p);
}

namespace fewbit { namespace {

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

template <class Layer>
void expect_none(Layer&& layer) {
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
  expect_none(linear<int4_per_row>(w, bias));
  expect_none(linear<scheme<uint4, per_row, affine>>(w, bias));
  expect_none(linear<binary_per_row, binary_inputs>(w, bias));
  expect_none(linear<ternary_per_row, ternary_inputs>(w, bias));
  expect_none(linear<int2_per_row, unsigned_inputs<2>>(w, bias));
}

TEST(allocation, none_in_a_linear_layer_of_codebooks) {
  const row_matrix<float> w = row_matrix<float>::Random(70, 1000);
  const Eigen::VectorXf bias = Eigen::VectorXf::Zero(70);
  expect_none(linear<pq<4, 4>>(w, bias, {}, {.iterations = 1}));
  expect_none(linear<pq<4, 4>, float_inputs>(w, bias, {}, {.iterations = 1}));
}

/// From codes to codes, and from floats to codes.
template <class S, class Code>
void expect_none_for_codes(const row_matrix<float>& w) {
  linear<S, static_codes<Code>> layer(w, Eigen::VectorXf(), quant_params{0.1F, 3},
                                      {true, {0.5F, 3}});
  const row_matrix<Code> x = row_matrix<Code>::Ones(300, w.cols());
  const row_matrix<float> reals = row_matrix<float>::Ones(300, w.cols());
  row_matrix<Code> y(300, w.rows());
  EXPECT_EQ(allocations_of([&] { layer(x, y); }), 0);
  EXPECT_EQ(allocations_of([&] { layer(reals, y); }), 0);
  EXPECT_EQ(allocations_of([&] { layer(x.topRows(1), y.topRows(1)); }), 0);
}

TEST(allocation, none_in_a_linear_layer_of_codes) {
  const row_matrix<float> w = row_matrix<float>::Random(70, 1000);
  expect_none_for_codes<int8_per_row, std::uint8_t>(w);
  expect_none_for_codes<int8_per_row, std::int8_t>(w);
  expect_none_for_codes<uint8_affine_per_row, std::uint8_t>(w);
  expect_none_for_codes<int4_per_row, std::uint8_t>(w);
  expect_none_for_codes<uint4_grouped<32>, std::int8_t>(w);
}

TEST(allocation, none_with_several_workers) {
  const row_matrix<float> x = row_matrix<float>::Ones(300, 1000);
  const linear<uint8_affine_per_row> layer(row_matrix<float>::Random(70, 1000), Eigen::VectorXf());
  for (const index workers : {1, 2, 5}) {
    auto scratch = layer.make_scratch(workers);
    row_matrix<float> y(300, 70);
    EXPECT_EQ(allocations_of([&] { layer(x, y, scratch, inline_executor{}); }), 0) << workers;
  }
}

TEST(allocation, none_when_quantizing_in_place) {
  const row_matrix<float> x = row_matrix<float>::Ones(30, 100);
  row_matrix<std::uint8_t> u8(30, 100);
  row_matrix<std::int8_t> s8(30, 100);
  EXPECT_EQ(allocations_of([&] { quantize_with<onnx, std::uint8_t>(x, u8, {0.1F, 3}); }), 0);
  EXPECT_EQ(allocations_of([&] {
              quantize_with<tflite, std::int8_t>(x.block(1, 3, 20, 50), s8.block(2, 4, 20, 50),
                                                 {0.1F, 3});
            }),
            0);
  EXPECT_EQ(u8(29, 99), 13);
}

struct sum_of_blocks : gemm::block_stage {
  using total = std::int32_t;

  template <class V>
  V operator()(const V& so_far, const V& sum, index, const gemm::at&) const noexcept {
    return so_far + sum;
  }
};

TEST(allocation, none_in_a_product_by_blocks) {
  const row_matrix<std::uint8_t> a = row_matrix<std::uint8_t>::Ones(200, 3000);
  const row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Ones(70, 3000);
  row_matrix<std::int32_t> c(200, 70);
  arch::compiled::for_each([&]<class Arch>() {
    const auto packed = gemm::pack_int8<std::uint8_t, Arch>(w, 100);
    for (const index slots : {1, 3}) {
      workspace scratch(gemm::scratch_bytes(packed), slots);
      EXPECT_EQ(allocations_of([&] {
                  gemm::multiply(a, packed, c, gemm::raw{}, scratch, inline_executor{},
                                 sum_of_blocks{});
                }),
                0)
          << Arch::name << ", " << slots << " slots";
      EXPECT_EQ(c(199, 69), 3000);
    }
  });
}

TEST(allocation, none_in_a_product_with_scratch_memory) {
  const row_matrix<std::int8_t> a = row_matrix<std::int8_t>::Ones(200, 3000);
  const row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Ones(70, 3000);
  row_matrix<std::int32_t> c(200, 70);
  arch::compiled::for_each([&]<class Arch>() {
    const auto packed = gemm::pack_int8<std::int8_t, Arch>(w);
    workspace scratch(gemm::scratch_bytes(packed), 2);
    EXPECT_EQ(allocations_of([&] { gemm::multiply(a, packed, c, gemm::raw{}, scratch); }), 0)
        << Arch::name;
    EXPECT_EQ(c(199, 69), 3000);
  });
}

}  // namespace
}  // namespace fewbit
