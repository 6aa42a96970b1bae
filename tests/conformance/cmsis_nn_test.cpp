// The unit tests of CMSIS-NN, bit for bit: convolutions, fully connected layers, pools, softmax and
// element-wise operators. Multipliers, zero points and bounds are those of the case.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "conformance/report.hpp"
#include "conformance/vectors.hpp"
#include "fewbit/ops/add.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/depthwise_conv2d.hpp"

namespace fewbit { namespace conformance_cmsis_nn_test {

using examples::tensor;
using tests::expect_equal_codes;
using tests::vector_case;

using names = std::initializer_list<const char*>;

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
    if (params_.contains("OUTPUT_MULTIPLIER")) {
      return std::vector<fixed_multiplier>(count,
                                           {integer("OUTPUT_MULTIPLIER"), integer("OUTPUT_SHIFT")});
    }
    const auto m = array({"output_mult", "output_multiplier"}).as<std::int32_t>();
    const auto s = array({"output_shift"}).as<std::int32_t>();
    std::vector<fixed_multiplier> all;
    for (std::size_t c = 0; c < std::min(count, m.size()); ++c) all.push_back({m[c], s[c]});
    return all;
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

/// The padding after an image that makes `outputs` windows.
[[nodiscard]] index padding_after(index outputs, index stride, index kernel, index dilation,
                                  index extent, index before) {
  return std::max(index{0}, (outputs - 1) * stride + (kernel - 1) * dilation + 1 - extent - before);
}

struct geometry {
  image_extents image;
  window2d window;
  index batches;

  explicit geometry(const config& c)
      : image{c.number("INPUT_H"), c.number("INPUT_W"), c.number("IN_CH")},
        batches(c.number("INPUT_BATCHES", 1)) {
    window.kernel = {c.number("FILTER_Y"), c.number("FILTER_X")};
    window.stride = {c.number("STRIDE_Y"), c.number("STRIDE_X")};
    window.dilation = {c.number("DILATION_Y", 1), c.number("DILATION_X", 1)};
    window.padding.top = c.number("PAD_Y");
    window.padding.left = c.number("PAD_X");
    window.padding.bottom =
        padding_after(c.number("OUTPUT_H"), window.stride.height, window.kernel.height,
                      window.dilation.height, image.height, window.padding.top);
    window.padding.right =
        padding_after(c.number("OUTPUT_W"), window.stride.width, window.kernel.width,
                      window.dilation.width, image.width, window.padding.left);
  }
};

template <Scheme S>
[[nodiscard]] quantized_matrix<S> with_unit_scales(const row_matrix<std::int8_t>& codes) {
  return {codes, std::vector<float>(static_cast<std::size_t>(codes.rows()), 1.0F)};
}

using eight_bits = scheme<int8, per_row, symmetric_full>;
using four_bits = scheme<int4, per_row, symmetric_full>;

template <class Code, Scheme S>
void expect_conv(const config& c) {
  const geometry g(c);
  const index channels = c.number("OUT_CH");
  const index in = c.number("FILTER_CH", g.image.channels);
  const auto weights = with_unit_scales<S>(c.weights(channels, g.window.taps() * in));
  const auto multipliers = c.multipliers(channels);
  const conv2d<S, integer_only<Code, Code, cmsis_default>> layer(
      weights, g.image, g.window, c.bias<std::int32_t>(), multipliers, c.input_zero(),
      integer_conv_options{c.output_params(), c.bounds(), g.image.channels / in});
  row_matrix<Code> y(g.batches, layer.outputs());
  auto scratch = layer.make_scratch();
  layer(rows_of<Code>(c.input(), g.batches), y, scratch);
  expect_equal_codes(y, c.output());
}

template <class Code>
void expect_depthwise(const config& c) {
  using layer_type = depthwise_conv2d<integer_only<Code, Code, cmsis_default>>;
  const geometry g(c);
  const index channels = c.number("OUT_CH");
  const depthwise_weights weights{c.weights(g.window.taps(), channels), {1.0F}, {}};
  const auto multipliers = c.multipliers(channels);
  const layer_type layer(weights, g.image, g.window, c.bias<typename layer_type::bias_type>(),
                         multipliers, c.input_zero(),
                         {c.output_params(), c.bounds(), c.number("CH_MULT", 1)});
  row_matrix<Code> y(g.batches, layer.outputs());
  layer(rows_of<Code>(c.input(), g.batches), y);
  expect_equal_codes(y, c.output());
}

template <class Code, Scheme S>
void expect_linear(const config& c, const quantized_matrix<S>& weights) {
  const index rows = c.number("INPUT_BATCHES", 1);
  const auto multipliers = c.multipliers(weights.rows());
  const conv2d<S, integer_only<Code, Code, cmsis_default>> layer(
      weights, {1, 1, weights.cols()}, {}, c.bias<std::int32_t>(), multipliers, c.input_zero(),
      integer_conv_options{c.output_params(), c.bounds(), 1});
  row_matrix<Code> y(rows, layer.outputs());
  layer(rows_of<Code>(c.input(), rows), y);
  expect_equal_codes(y, c.output());
}

template <class Code>
void expect_fully_connected(const config& c) {
  const auto codes = c.weights(c.number("OUT_CH"), c.number("ACCUMULATION_DEPTH"));
  const index zero = -c.number("FILTER_OFFSET", 0);
  if (c.has_four_bits()) {
    expect_linear<Code>(c, with_unit_scales<four_bits>(codes));
  } else if (zero == 0) {
    expect_linear<Code>(c, with_unit_scales<eight_bits>(codes));
  } else {
    using S = scheme<int8, per_row, affine>;
    const auto count = static_cast<std::size_t>(codes.rows());
    expect_linear<Code>(
        c, quantized_matrix<S>(codes, std::vector<float>(count, 1.0F),
                               std::vector<std::int8_t>(count, static_cast<std::int8_t>(zero))));
  }
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
  const elementwise_add<Code, cmsis_default> add(params, c.bounds());
  row_matrix<Code> y(1, c.output().size());
  add(rows_of<Code>(c.array({"input1"}), 1), rows_of<Code>(c.array({"input2"}), 1), y);
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
  if (kind == "conv") {
    if (is_wide) return {"conv int16", nullptr, "not yet"};
    if (c.has_four_bits()) return {"conv int4", expect_conv<std::int8_t, four_bits>, ""};
    return {"conv int8", expect_conv<std::int8_t, eight_bits>, ""};
  }
  if (kind == "depthwise") {
    if (is_wide) return {"depthwise int16", expect_depthwise<std::int16_t>, ""};
    return {c.has_four_bits() ? "depthwise int4" : "depthwise int8", expect_depthwise<std::int8_t>,
            ""};
  }
  if (kind == "fully_connected") {
    if (is_wide) return {"fully connected int16", nullptr, "not yet"};
    return {c.has_four_bits() ? "fully connected int4" : "fully connected int8",
            expect_fully_connected<std::int8_t>, ""};
  }
  if (kind == "elementwise") {
    const bool is_add =
        c.find({"input1"}) != nullptr && v.description["params"].contains("LEFT_SHIFT");
    if (is_add && is_wide) return {"add int16", expect_add<std::int16_t>, ""};
    if (is_add) return {"add int8", expect_add<std::int8_t>, ""};
  }
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
