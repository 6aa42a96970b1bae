#pragma once
/// The same products by oneDNN's matmul primitive, one thread, weights reordered ahead into the
/// layout it asks for.

#include <cstdint>
#include <dnnl.hpp>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "fewbit/core/types.hpp"

namespace fewbit::benchmarks {

/// C (m x n, Out) = A (m x k, Lhs) W^T. For Out = std::uint8_t: + bias[n], times factors[n], plus a
/// zero point, clamped.
template <class Lhs, class Out>
class onednn_product {
 public:
  onednn_product(const row_matrix<Lhs>& a, const row_matrix<std::int8_t>& w, row_matrix<Out>& c,
                 const std::vector<std::int32_t>& bias = {}, const std::vector<float>& factors = {},
                 int zero_point = 0)
      : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    using memory = dnnl::memory;
    const memory::dim m = a.rows(), n = w.rows(), k = a.cols();
    const memory::desc lhs({m, k}, type_of<Lhs>(), memory::format_tag::ab);
    const memory::desc any({k, n}, memory::data_type::s8, memory::format_tag::any);
    const memory::desc out({m, n}, type_of<Out>(), memory::format_tag::ab);
    const memory::desc bias_desc({1, n}, memory::data_type::s32, memory::format_tag::ab);

    dnnl::primitive_attr attributes;
    if (!factors.empty()) {
      attributes.set_output_scales(1 << 1, factors);
      attributes.set_zero_points(DNNL_ARG_DST, 0, {zero_point});
    }
    const auto desc = bias.empty() ? dnnl::matmul::desc(lhs, any, out)
                                   : dnnl::matmul::desc(lhs, any, bias_desc, out);
    const dnnl::matmul::primitive_desc chosen(desc, attributes, engine_);

    // W is n x k row-major, which is k x n column-major.
    memory given({{k, n}, memory::data_type::s8, memory::format_tag::ba}, engine_,
                 const_cast<std::int8_t*>(w.data()));
    memory packed(chosen.weights_desc(), engine_);
    dnnl::reorder(given, packed).execute(stream_, given, packed);

    matmul_ = dnnl::matmul(chosen);
    arguments_ = {{DNNL_ARG_SRC, memory(lhs, engine_, const_cast<Lhs*>(a.data()))},
                  {DNNL_ARG_WEIGHTS, packed},
                  {DNNL_ARG_DST, memory(out, engine_, c.data())}};
    if (!bias.empty()) {
      auto* values = const_cast<std::int32_t*>(bias.data());
      arguments_.insert({DNNL_ARG_BIAS, memory(bias_desc, engine_, values)});
    }
    stream_.wait();
  }

  void operator()() {
    matmul_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  template <class T>
  static constexpr dnnl::memory::data_type type_of() {
    if constexpr (std::is_same_v<T, std::uint8_t>) {
      return dnnl::memory::data_type::u8;
    } else if constexpr (std::is_same_v<T, std::int8_t>) {
      return dnnl::memory::data_type::s8;
    } else {
      return dnnl::memory::data_type::s32;
    }
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::matmul matmul_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

}  // namespace fewbit::benchmarks
