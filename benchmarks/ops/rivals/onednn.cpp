// Operators of oneDNN: convolutions of unsigned activations with weights in its preferred layout,
// pools, sums, softmax in float. Without VNNI, convolutions saturate to 16 bits, which the counter
// exact shows.

#include "support/onednn.hpp"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "support/conv_rows.hpp"
#include "support/network_layers.hpp"
#include "support/op_cases.hpp"

namespace fewbit::benchmarks { namespace {

class onednn_conv {
  using memory = dnnl::memory;

 public:
  using operands = conv_operands<std::uint8_t>;

  explicit onednn_conv(operands& data) : onednn_conv(data, data.x.data(), data.y.data()) {}
  /// Reads x and writes y, not the memory of the operands.
  onednn_conv(operands& data, std::uint8_t* x, std::uint8_t* y)
      : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    omp_set_num_threads(1);
    const conv_layer& l = data.layer;
    const window2d& w = l.window;
    const memory::dim in = l.image.channels, out = l.channels;
    const memory::dim kh = w.kernel.height, kw = w.kernel.width;
    const memory::desc src({1, in, l.image.height, l.image.width}, memory::data_type::u8,
                           memory::format_tag::nhwc);
    const memory::desc dst({1, out, data.out_height, data.out_width}, memory::data_type::u8,
                           memory::format_tag::nhwc);
    const memory::desc bias({out}, memory::data_type::s32, memory::format_tag::a);
    const memory::dims weight_dims =
        data.is_depthwise ? memory::dims{out, 1, 1, kh, kw} : memory::dims{out, in, kh, kw};
    const memory::desc any(weight_dims, memory::data_type::s8, memory::format_tag::any);
    const memory::desc plain(weight_dims, memory::data_type::s8,
                             data.is_depthwise ? memory::dims{kh * kw, kh * kw, kh * kw, kw, 1}
                                               : memory::dims{kh * kw * in, 1, kw * in, in});

    dnnl::primitive_attr attributes;
    attributes.set_output_scales(1 << 1, data.factors);
    attributes.set_zero_points(DNNL_ARG_SRC, 0, {operands::input_zero});
    attributes.set_zero_points(DNNL_ARG_DST, 0, {operands::output_zero});
    const dnnl::convolution_forward::desc desc(
        dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, src, any, bias,
        dst, {w.stride.height, w.stride.width}, {w.padding.top, w.padding.left},
        {w.padding.bottom, w.padding.right});
    const dnnl::convolution_forward::primitive_desc chosen(desc, attributes, engine_);

    memory given(plain, engine_, data.w.data());
    memory packed(chosen.weights_desc(), engine_);
    dnnl::reorder(given, packed).execute(stream_, given, packed);
    stream_.wait();
    convolution_ = dnnl::convolution_forward(chosen);
    give(DNNL_ARG_SRC, memory(src, engine_, x));
    give(DNNL_ARG_WEIGHTS, packed);
    give(DNNL_ARG_BIAS, memory(bias, engine_, data.bias.data()));
    give(DNNL_ARG_DST, memory(dst, engine_, y));
  }

  void operator()() {
    dnnl_primitive_execute(convolution_.get(), stream_.get(), static_cast<int>(arguments_.size()),
                           arguments_.data());
    dnnl_stream_wait(stream_.get());
  }

 private:
  void give(int name, const memory& value) {
    kept_.push_back(value);
    arguments_.push_back({name, value.get()});
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::convolution_forward convolution_;
  std::vector<memory> kept_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

/// A primitive of inputs and one output, all of one plain layout.
class onednn_primitive {
 public:
  onednn_primitive() : engine(dnnl::engine::kind::cpu, 0), stream(engine) {
    omp_set_num_threads(1);
  }
  void operator()() {
    dnnl_primitive_execute(primitive.get(), stream.get(), static_cast<int>(arguments.size()),
                           arguments.data());
    dnnl_stream_wait(stream.get());
  }

 protected:
  /// Adds an operand in the given memory, or in new memory full of ones.
  void give(int name, const dnnl::memory::desc& desc, std::uint8_t* at = nullptr) {
    if (at != nullptr) {
      kept.emplace_back(desc, engine, at);
    } else {
      kept.emplace_back(desc, engine);
      std::memset(kept.back().get_data_handle(), 1, desc.get_size());
    }
    arguments.push_back({name, kept.back().get()});
  }

  dnnl::engine engine;
  dnnl::stream stream;
  dnnl::primitive primitive;
  std::vector<dnnl::memory> kept;
  std::vector<dnnl_exec_arg_t> arguments;
};

inline dnnl::memory::desc image_desc(const image_extents& i, dnnl::memory::data_type type) {
  return {{1, i.channels, i.height, i.width}, type, dnnl::memory::format_tag::nhwc};
}

/// A pool without padding before the image.
struct onednn_pool : onednn_primitive {
  onednn_pool(dnnl::algorithm algorithm, const image_extents& in, const image_extents& out,
              index kernel, index stride, index after, const layer_memory& at = {}) {
    const auto src = image_desc(in, dnnl::memory::data_type::u8);
    const auto dst = image_desc(out, dnnl::memory::data_type::u8);
    const dnnl::pooling_forward::desc desc(dnnl::prop_kind::forward_inference, algorithm, src, dst,
                                           {stride, stride}, {kernel, kernel}, {0, 0},
                                           {after, after});
    primitive = dnnl::pooling_forward({desc, engine});
    give(DNNL_ARG_SRC, src, at.a);
    give(DNNL_ARG_DST, dst, at.y);
  }
};

/// A pool whose outputs are half as high and half as wide as its inputs.
struct onednn_halving_pool : onednn_pool {
  onednn_halving_pool(dnnl::algorithm algorithm, const image_extents& in, index kernel, index after)
      : onednn_pool(algorithm, in, {in.height / 2, in.width / 2, in.channels}, kernel, 2, after) {}
};

struct onednn_add : onednn_primitive {
  explicit onednn_add(const image_extents& image, const layer_memory& at = {}) {
    const auto codes = image_desc(image, dnnl::memory::data_type::u8);
    dnnl::primitive_attr attributes;
    attributes.set_scales(DNNL_ARG_SRC_0, 0, {0.5F});
    attributes.set_scales(DNNL_ARG_SRC_1, 0, {0.75F});
    const dnnl::binary::desc desc(dnnl::algorithm::binary_add, codes, codes, codes);
    primitive = dnnl::binary({desc, attributes, engine});
    give(DNNL_ARG_SRC_0, codes, at.a);
    give(DNNL_ARG_SRC_1, codes, at.b);
    give(DNNL_ARG_DST, codes, at.y);
  }
};

/// Channels first to channels last.
struct onednn_transpose : onednn_primitive {
  onednn_transpose(const image_extents& image, const layer_memory& at) {
    const dnnl::memory::desc from({1, image.channels, image.height, image.width},
                                  dnnl::memory::data_type::u8, dnnl::memory::format_tag::nchw);
    const auto to = image_desc(image, dnnl::memory::data_type::u8);
    primitive = dnnl::reorder({engine, from, engine, to});
    give(DNNL_ARG_FROM, from, at.a);
    give(DNNL_ARG_TO, to, at.y);
  }
};

/// In float, because oneDNN has none of codes.
struct onednn_softmax : onednn_primitive {
  onednn_softmax() {
    const dnnl::memory::desc rows({softmax_rows, softmax_classes}, dnnl::memory::data_type::f32,
                                  dnnl::memory::format_tag::ab);
    const dnnl::softmax_forward::desc desc(dnnl::prop_kind::forward_inference, rows, 1);
    primitive = dnnl::softmax_forward({desc, engine});
    give(DNNL_ARG_SRC, rows);
    give(DNNL_ARG_DST, rows);
  }
};

template <class Op, class... Arguments>
void add_onednn_row(const std::string& op, const std::string& size, index outputs,
                    const Arguments&... arguments) {
  add_op_row(op, "onednn/" + size, static_cast<double>(outputs), [=] {
    auto data = std::make_shared<Op>(arguments...);
    return [data] { (*data)(); };
  });
}

/// A layer of a network. No operator is left out. The mean keeps the scale of its inputs.
timed_layer onednn_layer(const network_layer& layer, const layer_memory& at) {
  const image_extents& image = layer.conv.image;
  switch (layer.kind) {
    case layer_kind::transpose:
      return timed<onednn_transpose>(image, at);
    case layer_kind::conv:
    case layer_kind::depthwise:
      return timed_conv<onednn_conv>(layer, at.a, at.y);
    case layer_kind::add:
      return timed<onednn_add>(image, at);
    case layer_kind::mean:
      return timed<onednn_pool>(dnnl::algorithm::pooling_avg_exclude_padding, image,
                                image_extents{1, 1, image.channels}, image.height, index{1},
                                index{0}, at);
  }
  return {};
}

[[maybe_unused]] const bool added = [] {
  hold_to_native_arch();
  add_onednn_row<onednn_add>("add_u8", "56x56x256", added_image.size(), added_image);
  add_onednn_row<onednn_halving_pool>("average_pool_2x2_u8", "56x56x128", averaged_image.size() / 4,
                                      dnnl::algorithm::pooling_avg_exclude_padding, averaged_image,
                                      index{2}, index{0});
  add_onednn_row<onednn_halving_pool>("max_pool_3x3_u8", "112x112x64", maximum_image.size() / 4,
                                      dnnl::algorithm::pooling_max, maximum_image, index{3},
                                      index{1});
  add_onednn_row<onednn_softmax>("softmax_f32", "128x1024", softmax_rows * softmax_classes);
  add_conv_rows<onednn_conv>("conv", "onednn_u8s8");
  add_conv_rows<onednn_conv>("depthwise", "onednn_u8s8");
  add_network_sum("onednn_sum", onednn_layer);
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
