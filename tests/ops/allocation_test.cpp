/// The hot path allocates nothing: operator new and malloc through Eigen are counted while layers
/// run.

#define EIGEN_RUNTIME_NO_MALLOC

#include <gtest/gtest.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "fewbit/gemm/multiply.hpp"
#include "fewbit/ops/add.hpp"
#include "fewbit/ops/batch_matmul.hpp"
#include "fewbit/ops/code_table.hpp"
#include "fewbit/ops/concatenate.hpp"
#include "fewbit/ops/gathered_linear.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/ops/linear/pq.hpp"
#include "fewbit/ops/mean2d.hpp"
#include "fewbit/ops/multiply.hpp"
#include "fewbit/ops/pad.hpp"
#include "fewbit/ops/pool2d.hpp"
#include "fewbit/ops/requantize.hpp"
#include "fewbit/ops/resize.hpp"
#include "fewbit/ops/softmax.hpp"
#include "fewbit/quant/modes.hpp"

namespace {

long allocations = 0;
/// Bytes that are allocated now.
long held = 0;

/// What lies in front of memory: std::aligned_alloc is missing on Windows, and operator delete is
/// not always told a size.
struct header {
  void* memory;
  std::size_t size;
};

[[gnu::noinline]] void* allocate(std::size_t size, std::size_t alignment) {
  ++allocations;
  held += static_cast<long>(size);
  auto* memory = static_cast<std::byte*>(std::malloc(size + alignment + sizeof(header)));
  if (memory == nullptr) std::abort();
  std::byte* p = memory + sizeof(header);
  p += -reinterpret_cast<std::uintptr_t>(p) % alignment;
  const header h{memory, size};
  std::memcpy(p - sizeof(h), &h, sizeof(h));
  return p;
}

[[gnu::noinline]] void release(void* p) noexcept {
  if (p == nullptr) return;
  header h;
  std::memcpy(&h, static_cast<std::byte*>(p) - sizeof(h), sizeof(h));
  held -= static_cast<long>(h.size);
  std::free(h.memory);
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  return allocate(size, alignof(std::max_align_t));
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* p) noexcept { release(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { release(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { release(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  release(p);
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

/// Calls on the stack, in reserved memory, in the caller's memory and with prepared inputs.
template <class Layer>
void expect_none(Layer&& layer) {
  const row_matrix<float> x = row_matrix<float>::Ones(300, layer.inputs());
  const row_matrix<float> one = x.topRows(1);
  row_matrix<float> y(300, layer.outputs());
  const auto expect_no_calls = [&](const char* where, const auto& call) {
    EXPECT_EQ(allocations_of([&] { call(x, y); }), 0) << where;
    EXPECT_EQ(allocations_of([&] { call(one, y.topRows(1)); }), 0) << where;
  };
  expect_no_calls("stack", [&](const auto& in, auto&& out) { layer(in, out); });
  layer_scratch scratch;
  layer.reserve(scratch, 2, 7);
  expect_no_calls("scratch", [&](const auto& in, auto&& out) { layer(in, out, scratch); });
  layer.reserve_inputs(scratch, 300);
  expect_no_calls("prepared",
                  [&](const auto& in, auto&& out) { layer(layer.prepare(in, scratch), out); });
  layer.reserve(7);
  expect_no_calls("reserved", [&](const auto& in, auto&& out) { layer(in, out); });
}

TEST(allocation, linear_layer_allocates_nothing) {
  const row_matrix<float> w = row_matrix<float>::Random(70, 1000);
  const Eigen::VectorXf bias = Eigen::VectorXf::Zero(70);
  expect_none(linear<int8_per_row>(w, bias));
  expect_none(linear<int4_grouped<32>>(w, bias));
  std::vector<index> order(1000);
  for (index c = 0; c < 1000; ++c) order[static_cast<std::size_t>(c)] = 999 - c;
  expect_none(gathered_linear<int4_grouped<32>>(order, quantize<int4_grouped<32>>(w), bias));
  expect_none(linear<uint8_affine_per_row>(w, bias));
  expect_none(linear<int8_per_row, static_uint8>(w, bias, quant_params{0.1F, 3}));
  expect_none(linear<int8_per_row, static_int8>(w, bias, quant_params{0.1F, 3}));
  expect_none(linear<int4_grouped<32>, float_inputs>(w, bias));
  expect_none(linear<int4_per_row>(w, bias));
  expect_none(linear<scheme<uint4, per_row, affine>>(w, bias));
  expect_none(linear<binary_per_row, binary_inputs>(w, bias));
  expect_none(linear<ternary_per_row, ternary_inputs>(w, bias));
  expect_none(linear<int2_per_row, unsigned_inputs<2>>(w, bias));
  expect_none(linear<uint4_grouped<32>, dynamic_int8_groups>(w, bias));
  expect_none(linear<ttq>(w, bias));
}

TEST(allocation, linear_layer_of_codebooks_allocates_nothing) {
  const row_matrix<float> w = row_matrix<float>::Random(70, 1000);
  const Eigen::VectorXf bias = Eigen::VectorXf::Zero(70);
  expect_none(linear<pq<4, 4>>(w, bias, {}, {.iterations = 1}));
  expect_none(linear<pq<4, 4>, float_inputs>(w, bias, {}, {.iterations = 1}));
}

template <class Layer>
void expect_holds(const row_matrix<float>& w, const auto&... arguments) {
  const long before = held;
  const Layer layer(w, Eigen::VectorXf(), arguments...);
  const long heap = held - before;
  EXPECT_GT(heap, 0);
  EXPECT_LE(heap, layer.bytes() + 512);
}

TEST(allocation, layers_hold_only_their_weights) {
  for (const index extent : {64, 400}) {
    const row_matrix<float> w = row_matrix<float>::Random(extent, extent);
    const quant_params params{0.1F, 3};
    expect_holds<linear<int8_per_row>>(w);
    expect_holds<linear<uint8_affine_per_row>>(w);
    expect_holds<linear<int8_per_row, static_uint8>>(w, params);
    expect_holds<linear<uint4_grouped<32>, static_int8>>(w, params);
    expect_holds<linear<int4_per_row>>(w);
    expect_holds<linear<int4_grouped<32>>>(w);
    expect_holds<linear<uint4_grouped<32>, dynamic_int8_groups>>(w);
    expect_holds<linear<ttq>>(w);
    expect_holds<linear<int4_grouped<32>, float_inputs>>(w);
    expect_holds<linear<binary_per_row, binary_inputs>>(w);
    expect_holds<linear<int2_per_row, unsigned_inputs<2>>>(w);
    expect_holds<linear<pq<4, 4>>>(w, layer_options{}, kmeans_options{.iterations = 1});
    expect_holds<linear<pq<4, 8>, float_inputs>>(w, layer_options{},
                                                 kmeans_options{.iterations = 1});
  }
}

TEST(allocation, a_layer_of_a_view_holds_its_bias_only) {
  if constexpr (std::endian::native == std::endian::little) {
    using layer = linear<int4_grouped<32>>;
    const layer owner(row_matrix<float>::Random(400, 400));
    aligned_buffer<std::byte> image(owner.weights().image_bytes());
    owner.weights().write_image(image);
    const Eigen::VectorXf bias = Eigen::VectorXf::Ones(400);
    const long before = held;
    const layer viewing(layer::weights_type::view(image), bias);
    EXPECT_LE(held - before, 400 * 4 + 512);
    EXPECT_EQ(viewing.bytes(), owner.bytes());
  }
}

TEST(allocation, reserved_memory_grows_with_the_rows) {
  linear<int8_per_row> layer(row_matrix<float>::Random(64, 64));
  const long before = held;
  layer.reserve(1);
  const long one = held - before;
  EXPECT_LE(one, 1024);
  layer.reserve(128);
  EXPECT_GT(held - before, 128 * 64);
  layer.reserve(1);
  EXPECT_GT(held - before, 128 * 64) << "memory never shrinks";
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
  layer.reserve(128);
  EXPECT_EQ(allocations_of([&] { layer(x, y); }), 0);
  EXPECT_EQ(allocations_of([&] { layer(reals, y); }), 0);
}

TEST(allocation, linear_layer_of_codes_allocates_nothing) {
  const row_matrix<float> w = row_matrix<float>::Random(70, 1000);
  expect_none_for_codes<int8_per_row, std::uint8_t>(w);
  expect_none_for_codes<int8_per_row, std::int8_t>(w);
  expect_none_for_codes<uint8_affine_per_row, std::uint8_t>(w);
  expect_none_for_codes<int4_per_row, std::uint8_t>(w);
  expect_none_for_codes<uint4_grouped<32>, std::int8_t>(w);
}

TEST(allocation, several_workers_allocate_nothing) {
  const row_matrix<float> x = row_matrix<float>::Ones(300, 1000);
  const linear<uint8_affine_per_row> layer(row_matrix<float>::Random(70, 1000), Eigen::VectorXf());
  for (const index workers : {1, 2, 5}) {
    auto scratch = layer.make_scratch(workers);
    row_matrix<float> y(300, 70);
    EXPECT_EQ(allocations_of([&] { layer(x, y, scratch, inline_executor{}); }), 0) << workers;
  }
}

/// Viewing an image, copying and moving the view, and its product with activations.
template <class W, class A, class Out>
void expect_none_for_view(const W& w, const row_matrix<A>& a, row_matrix<Out> c) {
  EXPECT_TRUE(w.owns_memory());
  aligned_buffer<std::byte> image(w.image_bytes());
  w.write_image(image);
  workspace scratch(gemm::scratch_bytes(w));
  for (const auto check : {gemm::image_check::contents, gemm::image_check::header}) {
    const long before = held;
    EXPECT_EQ(allocations_of([&] {
                const W view = W::view(image, check);
                W copy = view;
                const W moved = std::move(copy);
                EXPECT_FALSE(moved.owns_memory());
                EXPECT_EQ(moved.bytes(), w.bytes());
                gemm::multiply(a, moved, c, gemm::raw{}, scratch, inline_executor{});
              }),
              0);
    EXPECT_EQ(held, before);
  }
}

TEST(allocation, none_in_a_view_of_weights) {
  if constexpr (std::endian::native == std::endian::little) {
    using int8_bits = gemm::signed_bits<8>;
    const row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Ones(70, 100);
    const row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Ones(70, 100);
    const std::vector<float> scales(70 * 4, 0.5F);
    const row_matrix<std::int8_t> a = row_matrix<std::int8_t>::Ones(3, 100);
    const row_matrix<std::int32_t> c(3, 70);
    arch::compiled::for_each([&]<class Arch>() {
      expect_none_for_view(gemm::pack_int8<std::int8_t, Arch>(w), a, c);
      expect_none_for_view(gemm::pack_few_bits<2, Arch>(w, 1), a, c);
      expect_none_for_view(gemm::pack_grouped<4, Arch>(codes, 32, scales, 8), a,
                           row_matrix<float>(3, 70));
      expect_none_for_view(gemm::pack_planes<int8_bits, gemm::ternary_bits, Arch>(w), a, c);
      expect_none_for_view(gemm::pack_table<int8_bits, gemm::ternary_bits, Arch>(w), a, c);
    });
  }
}

TEST(allocation, quantizing_in_place_allocates_nothing) {
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

TEST(allocation, product_by_blocks_allocates_nothing) {
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

TEST(allocation, operators_on_codes_allocate_nothing) {
  using codes = row_matrix<std::int8_t>;
  const quant_params p{0.1F, 3};
  const image_extents image{6, 8, 20};
  const placed_window windows("test", image, {.kernel = {2, 2}});
  const elementwise_add<std::int8_t> add(p, p, p);
  const elementwise_multiply<std::int8_t> multiply(p, p, p);
  const code_table<std::int8_t> table(p, p, functions::tanh);
  const code_requantizer<std::int8_t, std::int16_t> widen(p, {0.01F, 0});
  const softmax<std::int8_t> distribution(960, 0.1F);
  const table_softmax<std::int8_t> by_table(960, 0.1F, {1.0F / 256, -128});
  const average_pool2d<std::int8_t> average(windows);
  const max_pool2d<std::int8_t> maximum(windows);
  const mean2d<std::int8_t> mean(image, p, p);
  const pad2d<std::int8_t> pad(image, {1, 1, 1, 1});
  const concatenate_channels<std::int8_t> join(48, {{20, p}, {20, {0.2F, 0}}}, p);
  const resize_nearest<std::int8_t> nearest(image, {12, 16});
  const resize_bilinear<std::int8_t> bilinear(image, {12, 16});
  const batch_matmul<std::int8_t> product(960, 2, p, p, p, {.b_is_transposed = true, .bounds = {}});
  matmul_scratch scratch = product.make_scratch(2);
  const codes a = codes::Ones(2, 960), b = codes::Constant(2, 960, 2);
  const codes_view<std::int8_t> both[] = {view_of(a), view_of(b)};
  codes same(2, 960), pooled(2, 5 * 7 * 20), means(2, 20), padded(2, 8 * 10 * 20), joined(2, 1920),
      resized(2, 4 * 960), products(2, 2);
  row_matrix<std::int16_t> wide(2, 960);
  EXPECT_EQ(allocations_of([&] {
              add(a, b, same);
              multiply(a, b, same);
              table(a, same);
              widen(a, wide);
              distribution(a, same);
              by_table(a, same);
              average(a, pooled);
              maximum(a, pooled);
              mean(a, means);
              pad(a, padded);
              join(both, joined);
              nearest(a, resized);
              bilinear(a, resized);
              product(a, b, products, scratch);
            }),
            0);
}

TEST(allocation, product_with_scratch_memory_allocates_nothing) {
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
