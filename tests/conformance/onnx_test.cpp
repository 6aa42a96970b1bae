// Quantized operators of ONNX: the node tests of ONNX (onnx_node/) and outputs of ONNX Runtime
// (onnxruntime_vectors/), code by code.
//
// ONNX has images as NCHW and weights as OIHW; the library has NHWC and OHWI. Scales are combined
// in float as ONNX Runtime does: S_x * S_w / S_y.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "conformance/report.hpp"
#include "conformance/vectors.hpp"
#include "fewbit/core/half.hpp"
#include "fewbit/ops/add.hpp"
#include "fewbit/ops/code_table.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/depthwise_conv2d.hpp"
#include "fewbit/ops/linear/integer.hpp"
#include "fewbit/ops/softmax.hpp"
#include "support/onnx_cases.hpp"
#include "support/onnx_nbits.hpp"
#include "support/onnx_quantize.hpp"

namespace fewbit { namespace conformance_onnx_test {

using examples::tensor;
using tests::expect_equal_codes;
using tests::integer_at;
using tests::node;
using tests::vector_case;

bool has(const node& n, std::size_t input) {
  return !n.input(input).empty() && n.tensors.tensors.contains(n.input(input));
}

const tensor& input(const node& n, std::size_t i) { return n.tensors[n.input(i)]; }

/// The only output.
const tensor& output(const node& n) {
  for (const auto& [name, t] : n.tensors.tensors) {
    if (name.starts_with("output.")) return t;
  }
  return n.tensors["output.y"];
}

bool is_unsigned(const node& n, std::size_t i) { return n.type_of(n.input(i)) == "uint8"; }

/// Element i of an input that may be left out or may be one number for all.
std::int32_t zero_at(const node& n, std::size_t which, index i) {
  if (!has(n, which)) return 0;
  const tensor& t = input(n, which);
  return static_cast<std::int32_t>(integer_at(t, t.size() == 1 ? 0 : i));
}

/// The same of scales, which are floats or halves.
float scale_at(const node& n, std::size_t which, index i) {
  const tensor& t = input(n, which);
  const auto at = static_cast<std::size_t>(t.size() == 1 ? 0 : i);
  return t.type == examples::element::f16 ? from_half(t.as<std::uint16_t>()[at])
                                          : t.as<float>()[at];
}

std::vector<index> integers(const node& n, const char* key, std::vector<index> otherwise) {
  const nlohmann::json& attributes = n.description["attributes"];
  if (!attributes.contains(key)) return otherwise;
  return attributes[key].get<std::vector<index>>();
}

/// y = op(x) with codes of x's type.
template <class F>
void with_type(bool is_unsigned, const F& f) {
  if (is_unsigned) {
    f(std::uint8_t{});
  } else {
    f(std::int8_t{});
  }
}

// ---- convolutions

/// Codes [n][c][pixels] as rows of [pixels][c].
template <class T>
row_matrix<T> channels_last(const tensor& t, index images, index channels) {
  const index pixels = t.size() / images / channels;
  const auto from = t.as<T>();
  row_matrix<T> to(images, pixels * channels);
  for (index i = 0; i < images; ++i) {
    for (index c = 0; c < channels; ++c) {
      for (index p = 0; p < pixels; ++p) {
        to(i, p * channels + c) = from[static_cast<std::size_t>((i * channels + c) * pixels + p)];
      }
    }
  }
  return to;
}

/// The reverse of it.
template <class T>
row_matrix<T> channels_first(const row_matrix<T>& x, index channels) {
  const index pixels = x.cols() / channels;
  row_matrix<T> to(x.rows(), x.cols());
  for (index i = 0; i < x.rows(); ++i) {
    for (index c = 0; c < channels; ++c) {
      for (index p = 0; p < pixels; ++p) to(i, c * pixels + p) = x(i, p * channels + c);
    }
  }
  return to;
}

/// Images and windows of a node; x and w have 3 or 4 dimensions.
struct conv_geometry {
  index images;
  index channels;  // of the output
  image_extents image;
  window2d window;
  index groups;

  conv_geometry(const node& n, const tensor& x, const tensor& w)
      : images(x.shape[0]),
        channels(w.shape[0]),
        image{x.shape.size() == 4 ? x.shape[2] : 1, x.shape.back(), x.shape[1]},
        groups(n.attribute("group", 1)) {
    window.kernel = {w.shape.size() == 4 ? w.shape[2] : 1, w.shape.back()};
    const auto strides = integers(n, "strides", {1, 1});
    const auto dilations = integers(n, "dilations", {1, 1});
    const auto pads = integers(n, "pads", {0, 0, 0, 0});
    const bool is_flat = x.shape.size() == 3;
    window.stride = {is_flat ? 1 : strides[0], strides.back()};
    window.dilation = {is_flat ? 1 : dilations[0], dilations.back()};
    if (is_flat) {
      window.padding = {.left = pads.front(), .right = pads.back()};
    } else {
      window.padding = {.top = pads[0], .bottom = pads[2], .left = pads[1], .right = pads[3]};
    }
    const nlohmann::json& attributes = n.description["attributes"];
    if (attributes.contains("auto_pad")) {
      const std::string name = attributes["auto_pad"];
      if (name == "SAME_UPPER" || name == "SAME_LOWER")
        window.padding = same_padding(image, window);
      if (name == "SAME_LOWER") {
        std::swap(window.padding.top, window.padding.bottom);
        std::swap(window.padding.left, window.padding.right);
      }
    }
  }
};

/// Weights as int8: codes of uint8 and their zero points are moved by 128.
struct signed_codes {
  row_matrix<std::int8_t> codes;
  std::int32_t moved;
};

signed_codes signed_codes_of(const tensor& w) {
  const std::int32_t moved = w.type == examples::element::u8 ? 128 : 0;
  row_matrix<std::int8_t> codes(w.shape[0], w.size() / w.shape[0]);
  for (index i = 0; i < codes.size(); ++i)
    codes.data()[i] = static_cast<std::int8_t>(integer_at(w, i) - moved);
  return {codes, moved};
}

using weight_scheme = scheme<int8, per_row, affine>;

/// A scale and a zero point for each row of codes.
quantized_matrix<weight_scheme> affine_weights(const signed_codes& w,
                                               const std::vector<float>& scales, const node& n,
                                               std::size_t zero_points) {
  std::vector<std::int8_t> zeros;
  for (index c = 0; c < w.codes.rows(); ++c)
    zeros.push_back(static_cast<std::int8_t>(zero_at(n, zero_points, c) - w.moved));
  return {w.codes, scales, zeros};
}

signed_codes conv_weights(const tensor& w, const extent2d& kernel) {
  signed_codes all = signed_codes_of(w);
  all.codes = ohwi_from_oihw<std::int8_t>(all.codes, kernel);
  return all;
}

/// Sums are exact as floats below 2^24.
template <class In>
void expect_conv_integer(const node& n) {
  using inputs = std::conditional_t<std::is_signed_v<In>, static_int8, static_uint8>;
  const tensor& x = input(n, 0);
  const tensor& w = input(n, 1);
  const conv_geometry g(n, x, w);
  const auto weights =
      affine_weights(conv_weights(w, g.window.kernel),
                     std::vector<float>(static_cast<std::size_t>(g.channels), 1.0F), n, 3);
  conv2d<weight_scheme, inputs> layer(weights, g.image, g.window, Eigen::VectorXf(),
                                      quant_params{1.0F, zero_at(n, 2, 0)}, {}, g.groups);
  row_matrix<float> y(g.images, layer.outputs());
  layer(channels_last<In>(x, g.images, g.image.channels), y);
  ASSERT_LT(y.cwiseAbs().maxCoeff(), 0x1p24F);
  expect_equal_codes(channels_first<std::int32_t>(y.cast<std::int32_t>(), g.channels), output(n));
}

/// S_x * S_w / S_y, computed in float.
std::vector<float> factors_of(const node& n, std::size_t x, std::size_t w, std::size_t y,
                              index channels) {
  std::vector<float> factors;
  for (index c = 0; c < channels; ++c)
    factors.push_back(scale_at(n, x, 0) * scale_at(n, w, c) / scale_at(n, y, 0));
  return factors;
}

std::vector<std::int32_t> bias_of(const node& n, std::size_t which) {
  if (!has(n, which)) return {};
  const auto all = input(n, which).as<std::int32_t>();
  return {all.begin(), all.end()};
}

template <class In>
void expect_qlinear_conv(const node& n) {
  const tensor& x = input(n, 0);
  const tensor& w = input(n, 3);
  const conv_geometry g(n, x, w);
  const auto factors = factors_of(n, 1, 4, 6, g.channels);
  const quant_params in{1.0F, zero_at(n, 2, 0)};
  const integer_options options{{1.0F, zero_at(n, 7, 0)}, {}};
  const auto images = channels_last<In>(x, g.images, g.image.channels);
  using inputs = integer_only<In, In, xnn_fp32>;
  row_matrix<In> y(g.images, output(n).size() / g.images);
  if (g.groups == g.image.channels && g.groups > 1) {
    const signed_codes moved = signed_codes_of(w);
    depthwise_weights weights{hwc_from_chw(moved.codes), factors, {}};
    for (index c = 0; c < g.channels; ++c)
      weights.zero_points.push_back(zero_at(n, 5, c) - moved.moved);
    const depthwise_conv2d<inputs> layer(weights, g.image, g.window, bias_of(n, 8), in, options,
                                         g.channels / g.groups);
    layer(images, y);
  } else {
    const auto weights = affine_weights(conv_weights(w, g.window.kernel), factors, n, 5);
    const conv2d<weight_scheme, inputs> layer(weights, g.image, g.window, bias_of(n, 8), in,
                                              options, g.groups);
    layer(images, y);
  }
  expect_equal_codes(channels_first<In>(y, g.channels), output(n));
}

// ---- products of matrices

/// Leading extents of a tensor are a batch of matrices.
struct matrices {
  const tensor& t;
  index rows;
  index cols;
  index count;

  explicit matrices(const tensor& all)
      : t(all),
        rows(all.shape.size() < 2 ? 1 : all.shape[all.shape.size() - 2]),
        cols(all.shape.back()),
        count(all.size() / std::max(rows * cols, index{1})) {}

  /// Matrix i; a single one serves all.
  template <class T>
  [[nodiscard]] Eigen::Map<const row_matrix<T>> at(index i) const {
    return {t.as<T>().data() + (count == 1 ? 0 : i) * rows * cols, rows, cols};
  }
};

/// The columns of matrix i of b, as rows of weights.
signed_codes columns_of(const matrices& b, index i) {
  const std::int32_t moved = b.t.type == examples::element::u8 ? 128 : 0;
  const index first = (b.count == 1 ? 0 : i) * b.rows * b.cols;
  row_matrix<std::int8_t> codes(b.cols, b.rows);
  for (index k = 0; k < b.rows; ++k) {
    for (index j = 0; j < b.cols; ++j)
      codes(j, k) = static_cast<std::int8_t>(integer_at(b.t, first + k * b.cols + j) - moved);
  }
  return {codes, moved};
}

template <class A>
void expect_qlinear_matmul(const node& n) {
  const matrices a(input(n, 0)), b(input(n, 3));
  const index batches = std::max(a.count, b.count);
  const auto factors = factors_of(n, 1, 4, 6, b.cols);
  row_matrix<A> y(batches * a.rows, b.cols);
  for (index i = 0; i < batches; ++i) {
    const auto weights = affine_weights(columns_of(b, i), factors, n, 5);
    const linear<weight_scheme, integer_only<A, A, xnn_fp32>> layer(
        weights, std::vector<std::int32_t>{}, quant_params{1.0F, zero_at(n, 2, 0)},
        integer_options{{1.0F, zero_at(n, 7, 0)}, {}});
    layer(a.at<A>(i), y.middleRows(i * a.rows, a.rows));
  }
  expect_equal_codes(y, output(n));
}

/// Sums are exact as floats below 2^24.
template <class A>
void expect_matmul_integer(const node& n) {
  using inputs = std::conditional_t<std::is_signed_v<A>, static_int8, static_uint8>;
  const matrices a(input(n, 0)), b(input(n, 1));
  const index batches = std::max(a.count, b.count);
  row_matrix<float> y(batches * a.rows, b.cols);
  for (index i = 0; i < batches; ++i) {
    const auto weights = affine_weights(
        columns_of(b, i), std::vector<float>(static_cast<std::size_t>(b.cols), 1.0F), n, 3);
    linear<weight_scheme, inputs> layer(weights, Eigen::VectorXf(),
                                        quant_params{1.0F, zero_at(n, 2, 0)});
    layer(a.at<A>(i), y.middleRows(i * a.rows, a.rows));
  }
  ASSERT_LT(y.cwiseAbs().maxCoeff(), 0x1p24F);
  expect_equal_codes(row_matrix<std::int32_t>(y.cast<std::int32_t>()), output(n));
}

// ---- element-wise

quant_params params_of(const node& n, std::size_t scale, std::size_t zero) {
  return {scale_at(n, scale, 0), zero_at(n, zero, 0)};
}

template <class T>
void expect_sigmoid(const node& n) {
  const code_table<T> sigmoid(params_of(n, 1, 2), params_of(n, 3, 4), functions::sigmoid);
  row_matrix<T> y(1, output(n).size());
  sigmoid(Eigen::Map<const row_matrix<T>>(input(n, 0).as<T>().data(), 1, y.cols()), y);
  expect_equal_codes(y, output(n));
}

/// A tensor repeated along extents of 1 until it has the shape of the output.
template <class T>
row_matrix<T> broadcast(const tensor& t, const tensor& like) {
  const std::size_t rank = like.shape.size();
  row_matrix<T> all(1, like.size());
  for (index i = 0; i < all.cols(); ++i) {
    index rest = i, from = 0, step = 1;
    for (std::size_t d = 0; d < rank; ++d) {  // from the last extent to the first
      const index extent = like.shape[rank - 1 - d];
      const index at = rest % extent;
      rest /= extent;
      if (d >= t.shape.size()) continue;
      const index own = t.shape[t.shape.size() - 1 - d];
      if (own > 1) from += at * step;
      step *= own;
    }
    all(0, i) = t.as<T>()[static_cast<std::size_t>(from)];
  }
  return all;
}

template <class T>
void expect_add(const node& n) {
  const elementwise_add<T, onnxruntime_float> add(params_of(n, 1, 2), params_of(n, 4, 5),
                                                  params_of(n, 6, 7));
  row_matrix<T> y(1, output(n).size());
  add(broadcast<T>(input(n, 0), output(n)), broadcast<T>(input(n, 3), output(n)), y);
  expect_equal_codes(y, output(n));
}

/// Before opset 13, softmax is over all extents from `axis` on; then over the one extent.
template <class T>
void expect_softmax(const node& n) {
  const tensor& x = input(n, 0);
  const auto rank = static_cast<index>(x.shape.size());
  const bool is_old = n.attribute("opset", 13) < 13;
  index axis = n.attribute("axis", is_old ? 1 : -1);
  if (axis < 0) axis += rank;
  index outer = 1, inner = 1;
  for (index d = 0; d < axis; ++d) outer *= x.shape[static_cast<std::size_t>(d)];
  if (!is_old) {
    for (index d = axis + 1; d < rank; ++d) inner *= x.shape[static_cast<std::size_t>(d)];
  }
  const index classes = x.size() / outer / inner;
  const table_softmax<T> softmax(classes, scale_at(n, 1, 0), params_of(n, 3, 4));
  row_matrix<T> rows(outer * inner, classes), results(outer * inner, classes);
  const auto from = x.as<T>();
  const auto at = [&](index o, index i, index c) { return (o * classes + c) * inner + i; };
  for (index o = 0; o < outer; ++o) {
    for (index i = 0; i < inner; ++i) {
      for (index c = 0; c < classes; ++c)
        rows(o * inner + i, c) = from[static_cast<std::size_t>(at(o, i, c))];
    }
  }
  softmax(rows, results);
  row_matrix<T> y(1, x.size());
  for (index o = 0; o < outer; ++o) {
    for (index i = 0; i < inner; ++i) {
      for (index c = 0; c < classes; ++c) y(0, at(o, i, c)) = results(o * inner + i, c);
    }
  }
  expect_equal_codes(y, output(n));
}

// ---- which check a case gets

/// Runs the check of an operator. Returns false if there is none.
bool run(const std::string& op, const node& n) {
  if (op == "ConvInteger") {
    with_type(is_unsigned(n, 0), [&]<class X>(X) { expect_conv_integer<X>(n); });
  } else if (op == "QLinearConv") {
    with_type(is_unsigned(n, 0), [&]<class X>(X) { expect_qlinear_conv<X>(n); });
  } else if (op == "MatMulInteger") {
    with_type(is_unsigned(n, 0), [&]<class X>(X) { expect_matmul_integer<X>(n); });
  } else if (op == "QLinearMatMul") {
    with_type(is_unsigned(n, 0), [&]<class X>(X) { expect_qlinear_matmul<X>(n); });
  } else if (op == "QLinearSigmoid") {
    with_type(is_unsigned(n, 0), [&]<class X>(X) { expect_sigmoid<X>(n); });
  } else if (op == "QLinearAdd") {
    with_type(is_unsigned(n, 0), [&]<class X>(X) { expect_add<X>(n); });
  } else if (op == "QLinearSoftmax") {
    with_type(is_unsigned(n, 0), [&]<class X>(X) { expect_softmax<X>(n); });
  } else if (op == "QuantizeLinear") {
    tests::expect_codes_of_type(n, n.type_of("output.y"));
  } else if (op == "DequantizeLinear") {
    tests::expect_dequantized(n);
  } else if (op == "DynamicQuantizeLinear") {
    tests::expect_dynamic(n);
  } else if (op == "MatMulNBits") {
    tests::expect_nbits_product(n);
  } else {
    return false;
  }
  return true;
}

class onnx_vectors : public testing::TestWithParam<vector_case> {};

TEST_P(onnx_vectors, node) {
  const vector_case& c = GetParam();
  FEWBIT_SKIP_WITHOUT_DATA(c.folder + "/index.json");
  const std::string op = c.description.at("op");
  const node n{c.name, c.description, c.tensors()};
  tests::counted result(c.folder + " " + op);
  if (run(op, n)) return;
  result.skip("no check for this operator");
  GTEST_SKIP() << "no check for " << op;
}

INSTANTIATE_TEST_SUITE_P(onnx_node, onnx_vectors, testing::ValuesIn(tests::vectors_of("onnx_node")),
                         tests::name_of);
INSTANTIATE_TEST_SUITE_P(onnxruntime, onnx_vectors,
                         testing::ValuesIn(tests::vectors_of("onnxruntime_vectors")),
                         tests::name_of);

}}  // namespace fewbit::conformance_onnx_test
