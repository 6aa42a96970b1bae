// The unit tests of CMSIS-NN, bit for bit: convolutions, fully connected layers, pools, softmax and
// element-wise operators. Multipliers, zero points and bounds are those of the case.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "conformance/report.hpp"
#include "conformance/vectors.hpp"
#include "fewbit/ops/add.hpp"
#include "fewbit/ops/batch_matmul.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/depthwise_conv2d.hpp"
#include "fewbit/ops/integer16.hpp"
#include "fewbit/ops/linear/integer.hpp"
#include "fewbit/ops/multiply.hpp"
#include "fewbit/ops/pool2d.hpp"
#include "fewbit/ops/softmax.hpp"
#include "fewbit/ops/softmax16.hpp"
#include "fewbit/ops/transpose_conv2d.hpp"

namespace fewbit { namespace conformance_cmsis_nn_test {

using examples::tensor;
using tests::expect_equal_codes;
using tests::vector_case;

using names = std::initializer_list<const char*>;

/// That of CMSIS-NN, cmsis_default, for multipliers that are not negative. The networks of TFLite
/// use it, too, so that this program has one copy of each operator.
using rounding = tflite_double;

/// Parameters and arrays of a case. The cases do not agree on names.
class config {
 public:
  explicit config(const vector_case& c)
      : params_(c.description.at("params")), arrays_(c.tensors()), name_(c.name) {}

  [[nodiscard]] index number(const char* name) const { return params_.at(name).get<index>(); }
  [[nodiscard]] index number(const char* name, index otherwise) const {
    return params_.contains(name) ? params_.at(name).get<index>() : otherwise;
  }
  [[nodiscard]] std::int32_t integer(const char* name, index otherwise = 0) const {
    return static_cast<std::int32_t>(number(name, otherwise));
  }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool says(const std::string& word) const {
    return name_.find(word) != std::string::npos;
  }

  [[nodiscard]] const tensor* find(names alternatives) const {
    for (const char* name : alternatives) {
      const auto found = arrays_.tensors.find(name);
      if (found != arrays_.tensors.end()) return &found->second;
    }
    return nullptr;
  }
  [[nodiscard]] const tensor& array(names alternatives) const {
    const tensor* found = find(alternatives);
    return found != nullptr ? *found : arrays_[*alternatives.begin()];
  }
  [[nodiscard]] const tensor& input() const { return array({"input", "input_tensor"}); }
  [[nodiscard]] const tensor& output() const { return array({"output_ref", "output"}); }

  /// The bias, or nothing.
  template <class T>
  [[nodiscard]] std::vector<T> bias() const {
    const tensor* t = find({"biases", "input_bias", "bias"});
    std::vector<T> values;
    if (t == nullptr) return values;
    if (t->type == examples::element::i64) {
      for (const std::int64_t b : t->as<std::int64_t>()) values.push_back(static_cast<T>(b));
    } else {
      for (const std::int32_t b : t->as<std::int32_t>()) values.push_back(T{b});
    }
    return values;
  }

  /// A multiplier for each of `channels` channels.
  [[nodiscard]] std::vector<fixed_multiplier> multipliers(index channels) const {
    const auto count = static_cast<std::size_t>(channels);
    const tensor* m = find({"output_mult", "output_multiplier"});
    if (m == nullptr) return {count, {integer("OUTPUT_MULTIPLIER"), integer("OUTPUT_SHIFT")}};
    const auto mantissas = m->as<std::int32_t>();
    const auto shifts = array({"output_shift"}).as<std::int32_t>();
    std::vector<fixed_multiplier> all;
    for (std::size_t c = 0; c < mantissas.size(); ++c) all.push_back({mantissas[c], shifts[c]});
    return all.size() == 1 ? std::vector(count, all[0]) : all;
  }

  [[nodiscard]] std::int32_t input_zero() const { return -integer("INPUT_OFFSET"); }
  [[nodiscard]] quant_params output_params() const { return {1.0F, integer("OUTPUT_OFFSET")}; }
  [[nodiscard]] code_bounds bounds() const {
    if (params_.contains("ACTIVATION_MIN"))
      return {integer("ACTIVATION_MIN"), integer("ACTIVATION_MAX")};
    return {integer("OUT_ACTIVATION_MIN"), integer("OUT_ACTIVATION_MAX")};
  }

  /// The weights as rows x cols codes. Four bits are packed without gaps, low half first.
  [[nodiscard]] row_matrix<std::int8_t> weights(index rows, index cols) const {
    const auto stored = array({"weights", "input_weights"}).as<std::int8_t>();
    row_matrix<std::int8_t> codes(rows, cols);
    if (!has_four_bits()) {
      EXPECT_EQ(static_cast<index>(stored.size()), codes.size()) << "number of weights";
      std::copy_n(stored.data(), codes.size(), codes.data());
      return codes;
    }
    EXPECT_EQ(static_cast<index>(stored.size()), (codes.size() + 1) / 2) << "bytes of weights";
    for (index i = 0; i < codes.size(); ++i) {
      codes.data()[i] =
          detail::signed_nibble(reinterpret_cast<const std::uint8_t*>(stored.data()), i);
    }
    return codes;
  }
  [[nodiscard]] bool has_four_bits() const { return says("int4"); }

 private:
  const nlohmann::json& params_;
  examples::safetensors arrays_;
  const std::string& name_;
};

/// Codes in rows: one row for each image of a batch.
template <class Code>
[[nodiscard]] Eigen::Map<const row_matrix<Code>> rows_of(const tensor& t, index rows) {
  return {t.as<Code>().data(), rows, t.size() / rows};
}

/// The padding before an image, and the padding after it that makes the given number of windows.
[[nodiscard]] padding2d padding_of(const config& c, const image_extents& image, const window2d& w,
                                   const char* top, const char* left) {
  const auto after = [](index outputs, index stride, index kernel, index dilation, index extent,
                        index before) {
    return std::max(index{0},
                    (outputs - 1) * stride + (kernel - 1) * dilation + 1 - extent - before);
  };
  padding2d padding{.top = c.number(top), .left = c.number(left)};
  padding.bottom = after(c.number("OUTPUT_H"), w.stride.height, w.kernel.height, w.dilation.height,
                         image.height, padding.top);
  padding.right = after(c.number("OUTPUT_W"), w.stride.width, w.kernel.width, w.dilation.width,
                        image.width, padding.left);
  return padding;
}

struct geometry {
  image_extents image;
  window2d window;
  index batches;

  explicit geometry(const config& c)
      : image{c.number("INPUT_H"), c.number("INPUT_W"), c.number("IN_CH")},
        batches(c.input().size() / image.size()) {
    window.kernel = {c.number("FILTER_Y"), c.number("FILTER_X")};
    window.stride = {c.number("STRIDE_Y"), c.number("STRIDE_X")};
    window.dilation = {c.number("DILATION_Y", 1), c.number("DILATION_X", 1)};
    window.padding = padding_of(c, image, window, "PAD_Y", "PAD_X");
  }
};

template <Scheme S>
[[nodiscard]] quantized_matrix<S> with_unit_scales(const row_matrix<std::int8_t>& codes) {
  return {codes, std::vector<float>(static_cast<std::size_t>(codes.rows()), 1.0F)};
}

using eight_bits = scheme<int8, per_row, symmetric_full>;
using four_bits = scheme<int4, per_row, symmetric_full>;

/// The type of sums and bias.
template <class Code>
using sums_of = std::conditional_t<sizeof(Code) == 1, std::int32_t, std::int64_t>;

template <class Code, class Mode, Scheme S>
void expect_conv(const config& c) {
  const geometry g(c);
  const index channels = c.number("OUT_CH");
  const index in = c.number("FILTER_CH", g.image.channels);
  const auto weights = with_unit_scales<S>(c.weights(channels, g.window.taps() * in));
  const auto multipliers = c.multipliers(channels);
  const conv2d<S, integer_only<Code, Code, Mode>> layer(
      weights, g.image, g.window, c.bias<sums_of<Code>>(), multipliers, c.input_zero(),
      integer_options{c.output_params(), c.bounds()}, g.image.channels / in);
  row_matrix<Code> y(g.batches, layer.outputs());
  auto scratch = layer.make_scratch();
  layer(rows_of<Code>(c.input(), g.batches), y, scratch);
  expect_equal_codes(y, c.output());
}

template <class Code>
void expect_depthwise(const config& c) {
  using layer_type = depthwise_conv2d<integer_only<Code, Code, rounding>>;
  const geometry g(c);
  const index channels = c.number("OUT_CH");
  const depthwise_weights weights{c.weights(g.window.taps(), channels), {1.0F}, {}};
  const auto multipliers = c.multipliers(channels);
  const layer_type layer(weights, g.image, g.window, c.bias<typename layer_type::bias_type>(),
                         multipliers, c.input_zero(),
                         integer_options{c.output_params(), c.bounds()}, c.number("CH_MULT", 1));
  row_matrix<Code> y(g.batches, layer.outputs());
  layer(rows_of<Code>(c.input(), g.batches), y);
  expect_equal_codes(y, c.output());
}

void expect_transpose_conv(const config& c) {
  const image_extents image{c.number("INPUT_H"), c.number("INPUT_W"), c.number("IN_CH")};
  const window2d window{.kernel = {c.number("FILTER_Y"), c.number("FILTER_X")},
                        .stride = {c.number("STRIDE_Y"), c.number("STRIDE_X")},
                        .dilation = {c.number("DILATION_Y", 1), c.number("DILATION_X", 1)},
                        .padding = {.top = c.number("PAD_Y"), .left = c.number("PAD_X")}};
  const index channels = c.number("OUT_CH"), batches = c.input().size() / image.size();
  const auto multipliers = c.multipliers(channels);
  const transpose_conv2d<eight_bits, integer_only<std::int8_t, std::int8_t, rounding>> layer(
      with_unit_scales<eight_bits>(c.weights(channels, window.taps() * image.channels)), image,
      window, {c.number("OUTPUT_H"), c.number("OUTPUT_W")}, c.bias<std::int32_t>(), multipliers,
      c.input_zero(), integer_options{c.output_params(), c.bounds()});
  row_matrix<std::int8_t> y(batches, layer.outputs());
  auto scratch = layer.make_scratch();
  layer(rows_of<std::int8_t>(c.input(), batches), y, scratch);
  expect_equal_codes(y, c.output());
}

template <class Code, class Mode, Scheme S>
void expect_linear(const config& c, const quantized_matrix<S>& weights) {
  const index rows = c.number("INPUT_BATCHES", 1);
  const auto multipliers = c.multipliers(weights.rows());
  const linear<S, integer_only<Code, Code, Mode>> layer(
      weights, c.bias<sums_of<Code>>(), multipliers, c.input_zero(),
      integer_options{c.output_params(), c.bounds()});
  row_matrix<Code> y(rows, layer.outputs());
  layer(rows_of<Code>(c.input(), rows), y);
  expect_equal_codes(y, c.output());
}

void expect_fully_connected(const config& c) {
  const auto codes = c.weights(c.number("OUT_CH"), c.number("ACCUMULATION_DEPTH"));
  const index zero = -c.number("FILTER_OFFSET", 0);
  if (c.has_four_bits()) {
    expect_linear<std::int8_t, rounding>(c, with_unit_scales<four_bits>(codes));
  } else if (zero == 0) {
    expect_linear<std::int8_t, rounding>(c, with_unit_scales<eight_bits>(codes));
  } else {
    const auto count = static_cast<std::size_t>(codes.rows());
    const std::vector<std::int8_t> zeros(count, static_cast<std::int8_t>(zero));
    expect_linear<std::int8_t, rounding>(c, quantized_matrix<scheme<int8, per_row, affine>>(
                                                codes, std::vector<float>(count, 1.0F), zeros));
  }
}

void expect_fully_connected16(const config& c) {
  expect_linear<std::int16_t, tflite_int64>(
      c,
      with_unit_scales<eight_bits>(c.weights(c.number("OUT_CH"), c.number("ACCUMULATION_DEPTH"))));
}

template <class Code>
void expect_pool(const config& c) {
  const image_extents image{c.number("INPUT_H"), c.number("INPUT_W"), c.number("INPUT_C")};
  const index batches = c.input().size() / image.size();
  window2d window{.kernel = {c.number("FILTER_H"), c.number("FILTER_W")},
                  .stride = {c.number("STRIDE_H"), c.number("STRIDE_W")}};
  window.padding = padding_of(c, image, window, "PADDING_H", "PADDING_W");
  row_matrix<Code> y(batches, c.output().size() / batches);
  const auto x = rows_of<Code>(c.input(), batches);
  if (c.says("max")) {
    const placed_window placed("max_pool2d", image, window);
    max_pool2d<Code>(placed, c.bounds())(x, y);
  } else {
    const placed_window placed("average_pool2d", image, window);
    average_pool2d<Code>(placed, {.bounds = c.bounds()})(x, y);
  }
  expect_equal_codes(y, c.output());
}

[[nodiscard]] fixed_multiplier multiplier_of(const config& c, const std::string& name) {
  return {c.integer((name + "_MULT").c_str()), c.integer((name + "_SHIFT").c_str())};
}

template <class Code>
void expect_add(const config& c) {
  const add_params params{multiplier_of(c, "INPUT1"),  multiplier_of(c, "INPUT2"),
                          multiplier_of(c, "OUTPUT"),  -c.integer("INPUT1_OFFSET"),
                          -c.integer("INPUT2_OFFSET"), c.integer("OUTPUT_OFFSET"),
                          c.integer("LEFT_SHIFT")};
  const elementwise_add<Code, rounding> add(params, c.bounds());
  row_matrix<Code> y(1, c.output().size());
  add(rows_of<Code>(c.array({"input1"}), 1), rows_of<Code>(c.array({"input2"}), 1), y);
  expect_equal_codes(y, c.output());
}

template <class Code>
void expect_multiply(const config& c) {
  const multiply_params params{multiplier_of(c, "OUTPUT"), -c.integer("INPUT1_OFFSET"),
                               -c.integer("INPUT2_OFFSET"), c.integer("OUTPUT_OFFSET")};
  const elementwise_multiply<Code, rounding> multiply(params, c.bounds());
  row_matrix<Code> y(1, c.output().size());
  multiply(rows_of<Code>(c.array({"input1"}), 1), rows_of<Code>(c.array({"input2"}), 1), y);
  expect_equal_codes(y, c.output());
}

template <class Code>
void expect_softmax(const config& c) {
  const softmax<std::int8_t, Code> op(
      c.number("ROW_SIZE"),
      softmax_params{{c.integer("INPUT_MULT"), static_cast<int>(c.number("INPUT_LEFT_SHIFT"))},
                     c.integer("DIFF_MIN")});
  const index rows = c.number("NUM_ROWS");
  row_matrix<Code> y(rows, c.number("ROW_SIZE"));
  op(rows_of<std::int8_t>(c.input(), rows), y);
  expect_equal_codes(y, c.output());
}

/// A curve of the case, or that of TFLite.
[[nodiscard]] code_curve curve_of(const config& c, names alternatives, code_curve otherwise) {
  const tensor* given = c.find(alternatives);
  if (given == nullptr) return otherwise;
  const auto values = given->as<std::int16_t>();
  std::copy_n(values.begin(), std::min(values.size(), otherwise.size()), otherwise.begin());
  return otherwise;
}

void expect_softmax16(const config& c) {
  const softmax<std::int16_t> op(
      c.number("ROW_SIZE"),
      fixed_multiplier{c.integer("INPUT_MULT"), static_cast<int>(c.number("INPUT_LEFT_SHIFT"))},
      curve_of(c, {"exp_lut", "softmax_exp_lut"}, softmax_exp_curve()),
      curve_of(c, {"one_by_one_lut", "softmax_one_by_one_lut"}, softmax_reciprocal_curve()));
  const index rows = c.number("NUM_ROWS");
  row_matrix<std::int16_t> y(rows, c.number("ROW_SIZE"));
  op(rows_of<std::int16_t>(c.input(), rows), y);
  expect_equal_codes(y, c.output());
}

/// [batch, height] matrices on each side; extents of 1 are repeated. ADJ_X and ADJ_Y say that a
/// side is given transposed; LHS_ROWS and so on are the extents as given.
template <class Code>
void expect_batch_matmul(const config& c) {
  const bool a_is_turned = c.number("ADJ_X") != 0, b_is_turned = c.number("ADJ_Y") != 0;
  const index a_rows = c.number("LHS_ROWS"), a_cols = c.number("LHS_COLS");
  const index b_rows = c.number("RHS_ROWS"), b_cols = c.number("RHS_COLS");
  const index m = c.number("OUTPUT_ROWS"), n = c.number("OUTPUT_COLS");
  const index k = a_is_turned ? a_rows : a_cols;
  const batch_matmul<Code, rounding> op(
      k, n,
      matmul_params{{c.integer("OUTPUT_MULTIPLIER"), static_cast<int>(c.number("OUTPUT_SHIFT"))},
                    -c.integer("LHS_OFFSET"),
                    -c.integer("RHS_OFFSET"),
                    c.integer("OUTPUT_OFFSET")},
      {.b_is_transposed = b_is_turned, .bounds = c.bounds()});
  auto scratch = op.make_scratch();
  const Code* const lhs = c.array({"lhs_input_tensor"}).template as<Code>().data();
  const Code* const rhs = c.array({"rhs_input_tensor"}).template as<Code>().data();
  const index batches = c.number("OUTPUT_BATCH"), heights = c.number("OUTPUT_HEIGHT");
  const auto matrix = [&](const char* batch, const char* height, index i, index j) {
    const index own = c.number(height);
    return (c.number(batch) == 1 ? 0 : i) * own + (own == 1 ? 0 : j);
  };
  row_matrix<Code> y(batches * heights * m, n);
  for (index i = 0; i < batches; ++i) {
    for (index j = 0; j < heights; ++j) {
      const Eigen::Map<const row_matrix<Code>> given(
          lhs + matrix("LHS_BATCH", "LHS_HEIGHT", i, j) * a_rows * a_cols, a_rows, a_cols);
      const row_matrix<Code> a = a_is_turned ? row_matrix<Code>(given.transpose()) : given;
      const Eigen::Map<const row_matrix<Code>> b(
          rhs + matrix("RHS_BATCH", "RHS_HEIGHT", i, j) * b_rows * b_cols, b_rows, b_cols);
      op(a, b, y.middleRows((i * heights + j) * m, m), scratch);
    }
  }
  expect_equal_codes(y, c.output());
}

// ---- which check a case gets

struct check {
  std::string op;
  void (*run)(const config&) = nullptr;
  std::string skipped;  ///< why nothing runs
};

check check_of(const vector_case& v, const config& c) {
  const std::string kind = v.description.at("kind");
  const bool is_wide = c.output().type == examples::element::i16;
  const std::string type = is_wide ? " int16" : c.has_four_bits() ? " int4" : " int8";
  if (kind == "conv") {
    // CMSIS-NN adds up in int32 where the bias is int32. Names tell it where there is no bias.
    const bool sums_are_int32 = c.says("xint32");
    if (is_wide && sums_are_int32)
      return {"conv int16", expect_conv<std::int16_t, rounding, eight_bits>, ""};
    if (is_wide) return {"conv int16", expect_conv<std::int16_t, tflite_int64, eight_bits>, ""};
    return {"conv" + type,
            c.has_four_bits() ? expect_conv<std::int8_t, rounding, four_bits>
                              : expect_conv<std::int8_t, rounding, eight_bits>,
            ""};
  }
  if (kind == "depthwise") {
    return {kind + type, is_wide ? expect_depthwise<std::int16_t> : expect_depthwise<std::int8_t>,
            ""};
  }
  if (kind == "fully_connected")
    return {kind + type, is_wide ? expect_fully_connected16 : expect_fully_connected, ""};
  if (kind == "pool") {
    return {(c.says("max") ? "max pool" : "average pool") + type,
            is_wide ? expect_pool<std::int16_t> : expect_pool<std::int8_t>, ""};
  }
  if (kind == "elementwise") {
    if (v.description["params"].contains("LEFT_SHIFT"))
      return {"add" + type, is_wide ? expect_add<std::int16_t> : expect_add<std::int8_t>, ""};
    return {"multiply" + type,
            is_wide ? expect_multiply<std::int16_t> : expect_multiply<std::int8_t>, ""};
  }
  if (kind == "batch_matmul") {
    return {kind + type,
            is_wide ? expect_batch_matmul<std::int16_t> : expect_batch_matmul<std::int8_t>, ""};
  }
  if (kind == "softmax") {
    if (c.input().type == examples::element::i16) return {"softmax int16", expect_softmax16, ""};
    return {"softmax int8" + std::string(is_wide ? " to int16" : ""),
            is_wide ? expect_softmax<std::int16_t> : expect_softmax<std::int8_t>, ""};
  }
  if (kind == "transpose_conv" && !is_wide) return {kind + type, expect_transpose_conv, ""};
  if (kind == "lstm" || kind == "svdf") return {kind, nullptr, "comes later"};
  return {kind, nullptr, "no check for this kind"};
}

class cmsis_nn : public testing::TestWithParam<vector_case> {};

TEST_P(cmsis_nn, vector) {
  FEWBIT_SKIP_WITHOUT_DATA("cmsis_nn/index.json");
  const config c(GetParam());
  const check todo = check_of(GetParam(), c);
  tests::counted result("cmsis_nn " + todo.op);
  if (todo.run == nullptr) {
    result.skip(todo.skipped);
    GTEST_SKIP() << todo.skipped;
  }
  todo.run(c);
}

INSTANTIATE_TEST_SUITE_P(, cmsis_nn, testing::ValuesIn(tests::vectors_of("cmsis_nn")),
                         tests::name_of);

}}  // namespace fewbit::conformance_cmsis_nn_test
