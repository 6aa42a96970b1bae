// Benchmarks of oneDNN's reorder, on one thread. It does not compute scales, sums of codes or
// biases. In the requantize row the bias is already part of the sums.

#include "support/onednn.hpp"

#include "support/quant_rows.hpp"

namespace fewbit::benchmarks { namespace {

/// out = factor[column] * in + zero point, rounded and clamped if `out` holds codes.
class onednn_reorder {
 public:
  onednn_reorder(quantize_case& data)
      : onednn_reorder(data, type::f32, type::s8, {1.0F / data.scale}, data.zero_point) {}
  onednn_reorder(dequantize_case& data)
      : onednn_reorder(data, type::s8, type::f32, {data.scale}, 0) {}
  onednn_reorder(requantize_case& data)
      : onednn_reorder(data, type::s32, type::s8, data.factors, data.zero_point) {
    for (index i = 0; i < data.in.size(); ++i) biased_[i] = data.in[i] + data.bias.front();
  }

  void operator()() {
    dnnl_primitive_execute(reorder_.get(), stream_.get(), 2, arguments_);
    dnnl_stream_wait(stream_.get());
  }

 private:
  using type = dnnl::memory::data_type;

  template <class Case>
  onednn_reorder(Case& data, type from, type to, const std::vector<float>& factors,
                 std::int32_t zero_point)
      : engine_(dnnl::engine::kind::cpu, 0),
        stream_(engine_),
        biased_(from == type::s32 ? data.in.size() : 0) {
    omp_set_num_threads(1);
    hold_to_native_arch();
    const dnnl::memory::dims dims = {data.in.size() / row_length, row_length};
    const dnnl::memory::desc in(dims, from, dnnl::memory::format_tag::ab);
    const dnnl::memory::desc out(dims, to, dnnl::memory::format_tag::ab);
    void* source = data.in.data();
    if (from == type::s32) source = biased_.data();
    in_ = dnnl::memory(in, engine_, source);
    out_ = dnnl::memory(out, engine_, data.out.data());
    dnnl::primitive_attr attributes;
    attributes.set_output_scales(factors.size() > 1 ? 1 << 1 : 0, factors);
    if (zero_point != 0) attributes.set_zero_points(DNNL_ARG_DST, 0, {zero_point});
    reorder_ = dnnl::reorder(dnnl::reorder::primitive_desc(engine_, in, engine_, out, attributes));
    arguments_[0] = {DNNL_ARG_FROM, in_.get()};
    arguments_[1] = {DNNL_ARG_TO, out_.get()};
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  aligned_buffer<std::int32_t> biased_;
  dnnl::memory in_;
  dnnl::memory out_;
  dnnl::reorder reorder_;
  dnnl_exec_arg_t arguments_[2];
};

[[maybe_unused]] const bool added = [] {
  add_number_rows<quantize_case, onednn_reorder>("onednn");
  add_number_rows<dequantize_case, onednn_reorder>("onednn");
  add_number_rows<requantize_case, onednn_reorder>("onednn");
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
