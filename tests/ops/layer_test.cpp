/// What all layers have in common: one concept, and the same bits from every call.

#include "fewbit/ops/layer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/ops/linear/pq.hpp"
#include "support/layer_calls.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_layer_test {

using tests::random_reals;

/// What generic code over layers may use.
template <class L>
concept Layer = std::default_initializable<L> && std::copyable<L> &&
                requires(L layer, const L fixed, const row_matrix<float> x, row_matrix<float> y,
                         row_matrix<std::int8_t> codes, layer_scratch scratch, index rows,
                         const prepared_inputs<typename L::inputs_type> shared) {
                  typename L::inputs_type;
                  { fixed.inputs() } noexcept -> std::same_as<index>;
                  { fixed.outputs() } noexcept -> std::same_as<index>;
                  { fixed.bytes() } noexcept -> std::same_as<index>;
                  { fixed.options() } noexcept -> std::same_as<const layer_options&>;
                  { layer(x, y) } noexcept -> std::same_as<void>;
                  { fixed(x, y) } noexcept -> std::same_as<void>;
                  { fixed(x, codes) } noexcept -> std::same_as<void>;
                  { fixed(x, y, scratch) } noexcept -> std::same_as<void>;
                  { fixed(x, y, scratch, inline_executor{}) } noexcept -> std::same_as<void>;
                  { fixed(shared, y) } noexcept -> std::same_as<void>;
                  { fixed(shared, y, scratch, inline_executor{}) } noexcept -> std::same_as<void>;
                  {
                    fixed.prepare(x, scratch)
                  } -> std::same_as<prepared_inputs<typename L::inputs_type>>;
                  { layer.reserve(rows) } -> std::same_as<void>;
                  { fixed.reserve(scratch) } -> std::same_as<void>;
                  { fixed.reserve(scratch, rows, rows) } -> std::same_as<void>;
                  { fixed.reserve_inputs(scratch, rows) } -> std::same_as<void>;
                  { fixed.make_scratch(rows, rows) } -> std::same_as<layer_scratch>;
                };

/// Layers of every kind.
using all_layers =
    std::tuple<linear<int8_per_row>, linear<uint8_affine_per_row>, linear<int4_per_row>,
               linear<scheme<uint4, per_row, affine>>, linear<int8_per_row, static_int8>,
               linear<uint8_affine_per_row, static_uint8>, linear<int4_per_row, static_uint8>,
               linear<uint4_grouped<32>, static_int8>, linear<int4_grouped<32>>,
               linear<uint4_grouped<16>, dynamic_int8_groups>,
               linear<int4_grouped<32>, float_inputs>, linear<binary_per_row, binary_inputs>,
               linear<ternary_per_row, ternary_inputs>, linear<int2_per_row, unsigned_inputs<2>>,
               linear<ttq>, linear<pq<4, 4>>, linear<pq<2, 8>, float_inputs>>;

template <class>
inline constexpr bool all_are_layers = false;
template <class... L>
inline constexpr bool all_are_layers<std::tuple<L...>> = (Layer<L> && ...);
static_assert(all_are_layers<all_layers>);

template <class L>
L make(const row_matrix<float>& w, const layer_options& options = {}) {
  const Eigen::VectorXf bias = random_reals(1, w.rows(), 3).row(0).transpose();
  if constexpr (detail::StaticInputs<typename L::inputs_type>) {
    return L(w, bias, {0.03F, 5}, options);
  } else if constexpr (requires { L(w, bias, options, kmeans_options()); }) {
    return L(w, bias, options, kmeans_options{.iterations = 1});
  } else {
    return L(w, bias, options);
  }
}

bool are_same(const row_matrix<float>& a, const row_matrix<float>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(float)) == 0;
}

/// Every way to call a layer gives the bits of the call with memory for all rows.
template <class L>
void expect_same_bits(const L& layer, index m) {
  SCOPED_TRACE(testing::Message() << __PRETTY_FUNCTION__ << " m=" << m << " n=" << layer.outputs()
                                  << " k=" << layer.inputs());
  const row_matrix<float> x = random_reals(m, layer.inputs(), 2);
  row_matrix<float> expected(m, layer.outputs()), y = expected;
  layer_scratch all = layer.make_scratch(1, m);
  layer(x, expected, all);
  const auto expect_same = [&](const char* what, const auto& call) {
    y.setConstant(99.0F);
    call();
    EXPECT_TRUE(are_same(y, expected)) << what;
  };
  expect_same("stack", [&] { layer(x, y); });
  L bare = layer;
  expect_same("not const", [&] { bare(x, y); });
  layer_scratch few = layer.make_scratch(3, 3);
  expect_same("memory for three rows", [&] { layer(x, y, few); });
  expect_same("threads", [&] { layer(x, y, few, thread_executor{2}); });
  L reserved = layer;
  reserved.reserve(2);
  expect_same("reserved", [&] { reserved(x, y); });
  expect_same("reserved, but const", [&] { std::as_const(reserved)(x, y); });
  const auto codes = layer.prepare(x, few);
  EXPECT_EQ(codes.rows(), m);
  EXPECT_EQ(codes.cols(), layer.inputs());
  expect_same("prepared, stack", [&] { layer(codes, y); });
  expect_same("prepared", [&] { layer(codes, y, few); });
  expect_same("prepared, reserved", [&] { reserved(codes, y); });
}

TEST(layer, of_every_kind_gives_the_same_bits_from_every_call) {
  for (const auto& [n, k] : {std::pair<index, index>{1, 1}, {70, 67}, {130, 300}}) {
    const row_matrix<float> w = random_reals(n, k, 1);
    const auto layers = [&]<class... L>(std::type_identity<std::tuple<L...>>) {
      return std::tuple<L...>(make<L>(w)...);
    }(std::type_identity<all_layers>());
    std::apply(
        [](const auto&... layer) {
          for (const index m : {1, 2, 17}) (expect_same_bits(layer, m), ...);
        },
        layers);
  }
}

TEST(layer, of_every_kind_writes_codes_and_terminates_on_wrong_shapes) {
  const row_matrix<float> w = random_reals(20, 64, 1), x = random_reals(3, 64, 2);
  const auto check = [&]<class L>(std::type_identity<L>) {
    L plain = make<L>(w), coding = make<L>(w, {true, {0.25F, 5}});
    row_matrix<float> y(3, 20);
    row_matrix<std::int8_t> codes(3, 20), again(3, 20);
    coding(x, y);
    coding(x, codes);
    for (index i = 0; i < y.size(); ++i) {
      const int code = static_cast<int>(std::nearbyint(y.data()[i] * 4.0F)) + 5;
      EXPECT_EQ(codes.data()[i], std::min(code, 127));
    }
    coding.reserve(2);
    coding(x, again);
    EXPECT_EQ(codes, again);
    tests::expect_vectors_are_rows(plain);
    plain.reserve(1);
    tests::expect_vectors_are_rows(plain);
    L().operator()(row_matrix<float>(2, 0), row_matrix<float>(2, 0));
    EXPECT_EQ(L().bytes(), 0);
  };
  [&]<class... L>(std::type_identity<std::tuple<L...>>) {
    (check(std::type_identity<L>()), ...);
  }(std::type_identity<all_layers>());
}

TEST(layer, reads_prepared_inputs_of_other_layers) {
  const row_matrix<float> x = random_reals(5, 96, 1);
  linear<int8_per_row> first(random_reals(20, 96, 2));
  linear<int4_grouped<32>> second(random_reals(33, 96, 3));
  linear<ttq> third(random_reals(7, 96, 4));
  linear<scheme<uint4, per_row, affine>> fourth(random_reals(9, 96, 5));
  layer_scratch scratch;
  const auto codes = prepare(x, scratch);
  for (const float* row = x.data(); row != x.data() + x.size(); row += 96) {
    const auto r = (row - x.data()) / 96;
    EXPECT_EQ(codes.scale(r), x.row(r).cwiseAbs().maxCoeff() / 127.0F);
    EXPECT_EQ(codes.row(r)[3], static_cast<int>(std::nearbyint(row[3] * (1 / codes.scale(r)))));
  }
  const auto check = [&](auto& layer) {
    row_matrix<float> y(5, layer.outputs()), z = y;
    layer(x, y);
    layer(codes, z);
    EXPECT_TRUE(are_same(y, z));
  };
  check(first);
  check(second);
  check(third);
  check(fourth);
  // A vector is one row.
  const Eigen::VectorXf row = x.row(0);
  Eigen::VectorXf y(20), z(20);
  first(row, y);
  first(prepare(row, scratch), z);
  EXPECT_EQ(y, z);
}

/// A single prepared row is written in whole registers, several rows are not.
TEST(layer, a_single_prepared_row_has_the_codes_of_the_row_among_others) {
  for (const index k : {1, 8, 15, 31, 64, 65, 130}) {
    row_matrix<float> x = random_reals(2, k, 7);
    for (const float special : {0.5F, 3e38F, 1e-40F, std::numeric_limits<float>::infinity(),
                                std::numeric_limits<float>::quiet_NaN()}) {
      SCOPED_TRACE(testing::Message() << "k=" << k << " with " << special);
      x(0, k / 2) = special;
      const row_matrix<float> row = x.topRows(1);
      const auto expect_same_codes = [&](const auto& many, const auto& one) {
        EXPECT_EQ(many.scale(0), one.scale(0));
        EXPECT_TRUE(std::equal(many.row(0), many.row(0) + k, one.row(0)));
      };
      layer_scratch scratch, other;
      expect_same_codes(prepare(x, scratch), prepare(row, other));
      const quant_params params{0.01F, 3};
      expect_same_codes(prepare<static_int8>(x, params, scratch),
                        prepare<static_int8>(row, params, other));
      expect_same_codes(prepare<static_uint8>(x, params, scratch),
                        prepare<static_uint8>(row, params, other));
      const linear<int8_per_row> layer(random_reals(9, k, 8));
      Eigen::RowVectorXf y(9), z(9);
      layer(row, y);
      layer(prepare(row, other), z);
      EXPECT_TRUE(are_same(y, z));
    }
  }
}

TEST(layer, terminates_on_prepared_inputs_of_another_kind) {
  layer_scratch scratch;
  const row_matrix<float> x = random_reals(2, 64, 1), w = random_reals(3, 64, 2);
  row_matrix<float> y(2, 3);
  const linear<int8_per_row> layer(w);
  EXPECT_DEATH(layer(prepare(random_reals(2, 65, 1), scratch), y),
               "fewbit: linear: x.cols.. is 65, expected 64");
  EXPECT_DEATH(layer(prepare(random_reals(3, 64, 1), scratch), y),
               "fewbit: linear: y.rows.. is 2, expected 3");
  const linear<int8_per_row, static_int8> fixed(w, Eigen::VectorXf(), {0.5F, 0});
  EXPECT_DEATH(fixed(prepare<static_int8>(x, {0.25F, 0}, scratch), y),
               "fewbit: linear: x.params.. is scale 0.25 and zero point 0, expected 0.5 and 0");
  const linear<int4_grouped<32>, dynamic_int8_groups> groups(w);
  EXPECT_DEATH(groups(prepare<dynamic_int8_groups>(x, 16, scratch), y),
               "fewbit: linear: x.group.. is 16, expected 32");
}

TEST(layer, terminates_if_scratch_memory_does_not_fit_one_row) {
  const row_matrix<float> x = random_reals(2, 640, 1);
  row_matrix<float> y(2, 8);
  const linear<int8_per_row> layer(random_reals(8, 640, 2));
  layer_scratch small = linear<int8_per_row>(random_reals(8, 64, 2)).make_scratch(1, 1);
  EXPECT_DEATH(layer(x, y, small), "fewbit: linear: scratch.rows.bytes_per_slot.. is ");
  layer_scratch no_workers;
  no_workers.rows = layer.make_scratch().rows;
  EXPECT_DEATH(layer(x, y, no_workers),
               "fewbit: linear: scratch.workers.slots.. is 0, expected at least 1");
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(layer, names_bad_sizes_of_memory) {
  linear<int8_per_row> layer(random_reals(8, 64, 2));
  layer_scratch scratch;
  EXPECT_EQ(tests::sentence_of([&] { layer.reserve(0); }),
            "fewbit: linear: rows is 0, expected at least 1");
  EXPECT_EQ(tests::sentence_of([&] { layer.reserve(scratch, 0); }),
            "fewbit: linear: workers is 0, expected at least 1");
  EXPECT_EQ(tests::sentence_of([&] { layer.reserve_inputs(scratch, 0); }),
            "fewbit: linear: rows is 0, expected at least 1");
  EXPECT_EQ(tests::sentence_of(
                [&] { (void)prepare<dynamic_int8_groups>(random_reals(1, 4, 1), 0, scratch); }),
            "fewbit: prepare: group is 0, expected at least 1");
}
#endif

}  // namespace ops_layer_test
}  // namespace fewbit
