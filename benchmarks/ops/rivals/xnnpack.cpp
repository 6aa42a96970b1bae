// Operators of XNNPACK: convolutions of int8 codes with a scale for each channel, sums, pools,
// softmax.

#include "support/xnnpack.hpp"

#include <cstring>
#include <memory>
#include <string>

#include "support/conv_rows.hpp"
#include "support/network_layers.hpp"
#include "support/op_cases.hpp"

namespace fewbit::benchmarks { namespace {

class xnnpack_conv : public xnnpack_operator {
 public:
  using operands = conv_operands<std::int8_t>;

  explicit xnnpack_conv(operands& data)
      : input_(data.x.size() + XNN_EXTRA_BYTES / index{sizeof(std::int8_t)}) {
    std::memcpy(input_.data(), data.x.data(), static_cast<std::size_t>(data.x.size()));
    create(data);
    set_up(data, input_.data(), data.y.data());
  }
  /// Reads x and writes y, not the memory of the operands. XNN_EXTRA_BYTES behind x are readable.
  xnnpack_conv(operands& data, const std::int8_t* x, std::int8_t* y) {
    create(data);
    set_up(data, x, y);
  }

 private:
  void create(const operands& data) {
    initialize_xnnpack();
    const conv_layer& l = data.layer;
    const auto u32 = [](index i) { return static_cast<std::uint32_t>(i); };
    const auto channels = static_cast<std::size_t>(l.image.channels);
    const auto out = static_cast<std::size_t>(l.channels);
    const std::size_t groups = data.is_depthwise ? channels : 1;
    const padding2d& p = l.window.padding;
    xnn_operator_t created = nullptr;
    expect_success(
        xnn_create_convolution2d_nhwc_qc8(
            u32(p.top), u32(p.right), u32(p.bottom), u32(p.left), u32(l.window.kernel.height),
            u32(l.window.kernel.width), u32(l.window.stride.height), u32(l.window.stride.width), 1,
            1, static_cast<std::uint32_t>(groups), channels / groups, out / groups, channels, out,
            operands::input_zero, /*input scale*/ 1.0F, data.factors.data(), data.w.data(),
            data.bias.data(), operands::output_zero, /*output scale*/ 1.0F, -128, 127, 0, &created),
        "xnn_create_convolution2d_nhwc_qc8");
    own(created);
  }

  void set_up(const operands& data, const std::int8_t* x, std::int8_t* y) {
    const image_extents& image = data.layer.image;
    expect_success(
        xnn_setup_convolution2d_nhwc_qc8(get(), 1, static_cast<std::size_t>(image.height),
                                         static_cast<std::size_t>(image.width), x, y, nullptr),
        "xnn_setup_convolution2d_nhwc_qc8");
  }

  aligned_buffer<std::int8_t> input_;
};

/// The sum of two tensors of one size.
struct xnnpack_add : xnnpack_operator {
  xnnpack_add(index size, const std::int8_t* a, const std::int8_t* b, std::int8_t* y) {
    initialize_xnnpack();
    xnn_operator_t created = nullptr;
    expect_success(
        xnn_create_add_nd_qs8(3, 0.0571F, 7, 0.0333F, 5, 0.0711F, -128, 127, 0, &created),
        "xnn_create_add_nd_qs8");
    own(created);
    const auto count = static_cast<std::size_t>(size);
    expect_success(xnn_setup_add_nd_qs8(created, 1, &count, 1, &count, a, b, y, nullptr),
                   "xnn_setup_add_nd_qs8");
  }
};

/// The mean of each channel of an image.
struct xnnpack_mean : xnnpack_operator {
  xnnpack_mean(const image_extents& image, const std::int8_t* x, std::int8_t* y) {
    initialize_xnnpack();
    const auto channels = static_cast<std::size_t>(image.channels);
    xnn_operator_t created = nullptr;
    expect_success(
        xnn_create_global_average_pooling_nwc_qs8(channels, channels, channels, 3, 0.0571F, 5,
                                                  0.0333F, -128, 127, 0, &created),
        "xnn_create_global_average_pooling_nwc_qs8");
    own(created);
    expect_success(
        xnn_setup_global_average_pooling_nwc_qs8(
            created, 1, static_cast<std::size_t>(image.height * image.width), x, y, nullptr),
        "xnn_setup_global_average_pooling_nwc_qs8");
  }
};

/// Two equal inputs and an output, with the bytes behind them that XNNPACK reads.
template <class Code>
struct xnnpack_buffers {
  xnnpack_buffers(index in, index out)
      : a(in + XNN_EXTRA_BYTES), b(in + XNN_EXTRA_BYTES), y(out + XNN_EXTRA_BYTES) {
    const row_matrix<Code> codes = random_codes<Code>(1, in);
    std::memcpy(a.data(), codes.data(), static_cast<std::size_t>(in));
    std::memcpy(b.data(), codes.data(), static_cast<std::size_t>(in));
  }

  aligned_buffer<Code> a, b, y;
};

struct xnnpack_added_image {
  void operator()() { sum(); }

  xnnpack_buffers<std::int8_t> codes{added_image.size(), added_image.size()};
  xnnpack_add sum{added_image.size(), codes.a.data(), codes.b.data(), codes.y.data()};
};

/// An operator of one input.
template <class Code>
class xnnpack_unary : public xnnpack_operator, protected xnnpack_buffers<Code> {
 public:
  xnnpack_unary(index in, index out) : xnnpack_buffers<Code>(in, out) { initialize_xnnpack(); }
};

struct xnnpack_average : xnnpack_unary<std::uint8_t> {
  xnnpack_average() : xnnpack_unary(averaged_image.size(), averaged_image.size() / 4) {
    const auto channels = static_cast<std::size_t>(averaged_image.channels);
    xnn_operator_t created = nullptr;
    expect_success(
        xnn_create_average_pooling2d_nhwc_qu8(0, 0, 0, 0, 2, 2, 2, 2, channels, channels, channels,
                                              3, 1.0F, 3, 1.0F, 0, 255, 0, &created),
        "xnn_create_average_pooling2d_nhwc_qu8");
    own(created);
    expect_success(xnn_setup_average_pooling2d_nhwc_qu8(
                       created, 1, static_cast<std::size_t>(averaged_image.height),
                       static_cast<std::size_t>(averaged_image.width), a.data(), y.data(), nullptr),
                   "xnn_setup_average_pooling2d_nhwc_qu8");
  }
};

struct xnnpack_maximum : xnnpack_unary<std::int8_t> {
  xnnpack_maximum() : xnnpack_unary(maximum_image.size(), maximum_image.size() / 4) {
    const auto channels = static_cast<std::size_t>(maximum_image.channels);
    xnn_operator_t created = nullptr;
    expect_success(xnn_create_max_pooling2d_nhwc_s8(0, 1, 1, 0, 3, 3, 2, 2, 1, 1, channels,
                                                    channels, channels, -128, 127, 0, &created),
                   "xnn_create_max_pooling2d_nhwc_s8");
    own(created);
    expect_success(xnn_setup_max_pooling2d_nhwc_s8(
                       created, 1, static_cast<std::size_t>(maximum_image.height),
                       static_cast<std::size_t>(maximum_image.width), a.data(), y.data(), nullptr),
                   "xnn_setup_max_pooling2d_nhwc_s8");
  }
};

struct xnnpack_softmax : xnnpack_unary<std::uint8_t> {
  xnnpack_softmax()
      : xnnpack_unary(softmax_rows * softmax_classes, softmax_rows * softmax_classes) {
    const auto classes = static_cast<std::size_t>(softmax_classes);
    xnn_operator_t created = nullptr;
    expect_success(
        xnn_create_softmax_nc_qu8(classes, classes, classes, 0.05F, 0, 1.0F / 256.0F, 0, &created),
        "xnn_create_softmax_nc_qu8");
    own(created);
    expect_success(xnn_setup_softmax_nc_qu8(created, static_cast<std::size_t>(softmax_rows),
                                            a.data(), y.data(), nullptr),
                   "xnn_setup_softmax_nc_qu8");
  }
};

template <class Op>
void add_xnnpack_row(const std::string& op, const std::string& size, index outputs) {
  add_op_row(op, "xnnpack/" + size, static_cast<double>(outputs), [] {
    auto data = std::make_shared<Op>();
    return [data] { (*data)(); };
  });
}

/// A layer of a network. The transposition is left out: XNNPACK has none of bytes.
timed_layer xnnpack_layer(const network_layer& layer, const layer_memory& at) {
  const auto* a = reinterpret_cast<const std::int8_t*>(at.a);
  const auto* b = reinterpret_cast<const std::int8_t*>(at.b);
  auto* y = reinterpret_cast<std::int8_t*>(at.y);
  switch (layer.kind) {
    case layer_kind::transpose:
      return {};
    case layer_kind::conv:
    case layer_kind::depthwise:
      return timed_conv<xnnpack_conv>(layer, a, y);
    case layer_kind::add:
      return timed<xnnpack_add>(layer.conv.image.size(), a, b, y);
    case layer_kind::mean:
      return timed<xnnpack_mean>(layer.conv.image, a, y);
  }
  return {};
}

[[maybe_unused]] const bool added = [] {
  add_xnnpack_row<xnnpack_added_image>("add_s8", "56x56x256", added_image.size());
  add_xnnpack_row<xnnpack_average>("average_pool_2x2_u8", "56x56x128", averaged_image.size() / 4);
  add_xnnpack_row<xnnpack_maximum>("max_pool_3x3_s8", "112x112x64", maximum_image.size() / 4);
  add_xnnpack_row<xnnpack_softmax>("softmax_u8", "128x1024", softmax_rows * softmax_classes);
  add_conv_rows<xnnpack_conv>("conv", "xnnpack");
  add_conv_rows<xnnpack_conv>("depthwise", "xnnpack");
  add_network_sum("xnnpack_sum", xnnpack_layer);
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
