// Operators of XNNPACK: convolutions of int8 codes with a scale for each channel, sums, pools,
// softmax.

#include "support/xnnpack.hpp"

#include <cstring>
#include <memory>
#include <string>

#include "support/conv_rows.hpp"
#include "support/op_cases.hpp"

namespace fewbit::benchmarks { namespace {

class xnnpack_conv : public xnnpack_operator {
 public:
  using operands = conv_operands<std::int8_t>;

  explicit xnnpack_conv(operands& data)
      : input_(data.x.size() + XNN_EXTRA_BYTES / index{sizeof(std::int8_t)}) {
    initialize_xnnpack();
    const conv_layer& l = data.layer;
    const auto u32 = [](index i) { return static_cast<std::uint32_t>(i); };
    const auto channels = static_cast<std::size_t>(l.image.channels);
    const auto out = static_cast<std::size_t>(l.channels);
    const std::size_t groups = data.is_depthwise ? channels : 1;
    std::memcpy(input_.data(), data.x.data(), static_cast<std::size_t>(data.x.size()));
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
    expect_success(
        xnn_setup_convolution2d_nhwc_qc8(created, 1, static_cast<std::size_t>(l.image.height),
                                         static_cast<std::size_t>(l.image.width), input_.data(),
                                         data.y.data(), nullptr),
        "xnn_setup_convolution2d_nhwc_qc8");
  }

 private:
  aligned_buffer<std::int8_t> input_;
};

/// An operator of one or two inputs with the bytes behind them that XNNPACK reads.
template <class Code>
class xnnpack_unary : public xnnpack_operator {
 public:
  xnnpack_unary(index in, index out)
      : a(in + XNN_EXTRA_BYTES), b(in + XNN_EXTRA_BYTES), y(out + XNN_EXTRA_BYTES) {
    initialize_xnnpack();
    const row_matrix<Code> codes = random_codes<Code>(1, in);
    std::memcpy(a.data(), codes.data(), static_cast<std::size_t>(in));
    std::memcpy(b.data(), codes.data(), static_cast<std::size_t>(in));
  }

 protected:
  aligned_buffer<Code> a, b, y;
};

struct xnnpack_add : xnnpack_unary<std::int8_t> {
  xnnpack_add() : xnnpack_unary(added_image.size(), added_image.size()) {
    xnn_operator_t created = nullptr;
    expect_success(
        xnn_create_add_nd_qs8(3, 0.0571F, 7, 0.0333F, 5, 0.0711F, -128, 127, 0, &created),
        "xnn_create_add_nd_qs8");
    own(created);
    const auto size = static_cast<std::size_t>(added_image.size());
    expect_success(
        xnn_setup_add_nd_qs8(created, 1, &size, 1, &size, a.data(), b.data(), y.data(), nullptr),
        "xnn_setup_add_nd_qs8");
  }
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

[[maybe_unused]] const bool added = [] {
  add_xnnpack_row<xnnpack_add>("add_s8", "56x56x256", added_image.size());
  add_xnnpack_row<xnnpack_average>("average_pool_2x2_u8", "56x56x128", averaged_image.size() / 4);
  add_xnnpack_row<xnnpack_maximum>("max_pool_3x3_s8", "112x112x64", maximum_image.size() / 4);
  add_xnnpack_row<xnnpack_softmax>("softmax_u8", "128x1024", softmax_rows * softmax_classes);
  add_conv_rows<xnnpack_conv>("conv", "xnnpack");
  add_conv_rows<xnnpack_conv>("depthwise", "xnnpack");
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
