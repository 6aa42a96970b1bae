#pragma once
/// The same products by oneDNN, on one thread. The matmul primitive gets weights that were
/// reordered into its preferred layout before the timed calls. The gemm function packs both
/// operands in each call.
///
/// On processors without VNNI, oneDNN adds pairs of products in 16 bits with saturation. The label
/// is the instruction set that oneDNN is limited to.

#include <omp.h>

#include <cstdint>
#include <cstdlib>
#include <dnnl.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::benchmarks {

/// Limits oneDNN to the instruction set of our native arch, so that the comparison is between
/// kernels and not between instruction sets (oneDNN also has AMX kernels). The environment can
/// override it.
inline void hold_to_native_arch() {
  if (std::getenv("ONEDNN_MAX_CPU_ISA") != nullptr) return;
  dnnl::set_max_cpu_isa(FEWBIT_HAS_AVX512_VNNI ? dnnl::cpu_isa::avx512_core_vnni
                        : FEWBIT_HAS_AVX_VNNI  ? dnnl::cpu_isa::avx2_vnni
                                               : dnnl::cpu_isa::avx2);
}

inline std::string onednn_isa() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::avx2:
      return "avx2";
    case dnnl::cpu_isa::avx2_vnni:
      return "avx2_vnni";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_amx:
      return "avx512_core_amx";
    default:
      return "another instruction set";
  }
}

/// Copies W (n x k) into another layout.
inline dnnl::memory onednn_pack(const row_matrix<std::int8_t>& w, const dnnl::memory::desc& layout,
                                const dnnl::engine& engine, dnnl::stream& stream) {
  // A row-major n x k matrix is a column-major k x n matrix.
  const dnnl::memory::desc plain({w.cols(), w.rows()}, dnnl::memory::data_type::s8,
                                 dnnl::memory::format_tag::ba);
  dnnl::memory given(plain, engine, const_cast<std::int8_t*>(w.data()));
  dnnl::memory packed(layout, engine);
  dnnl::reorder(given, packed).execute(stream, given, packed);
  stream.wait();
  return packed;
}

/// Packs W for 128 rows of u8. Returns the bytes of the packed weights.
inline index onednn_pack_anew(const row_matrix<std::int8_t>& w) {
  using memory = dnnl::memory;
  omp_set_num_threads(1);
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const memory::dim m = 128, n = w.rows(), k = w.cols();
  const memory::desc lhs({m, k}, memory::data_type::u8, memory::format_tag::ab);
  const memory::desc any({k, n}, memory::data_type::s8, memory::format_tag::any);
  const memory::desc out({m, n}, memory::data_type::s32, memory::format_tag::ab);
  const dnnl::matmul::primitive_desc chosen({lhs, any, out}, engine);
  const memory packed = onednn_pack(w, chosen.weights_desc(), engine, stream);
  return static_cast<index>(packed.get_desc().get_size());
}

/// C (m x n) = A (m x k) W^T. For 8-bit results: (sum + bias[n]) * factors[n] + zero point,
/// clamped.
template <class Operands>
class onednn_product {
 public:
  using operands = Operands;

  explicit onednn_product(operands& data) : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    omp_set_num_threads(1);
    const memory::dim m = data.a.rows(), n = data.w.rows(), k = data.a.cols();
    const memory::desc lhs({m, k}, type_of<typename operands::lhs>(), memory::format_tag::ab);
    const memory::desc any({k, n}, memory::data_type::s8, memory::format_tag::any);
    const memory::desc out({m, n}, type_of<typename operands::out>(), memory::format_tag::ab);
    const memory::desc bias({1, n}, memory::data_type::s32, memory::format_tag::ab);

    dnnl::primitive_attr attributes;
    if constexpr (requantizes) {
      attributes.set_output_scales(1 << 1, data.factors);
      attributes.set_zero_points(DNNL_ARG_DST, 0, {operands::zero_point});
    }
    const auto desc =
        requantizes ? dnnl::matmul::desc(lhs, any, bias, out) : dnnl::matmul::desc(lhs, any, out);
    const dnnl::matmul::primitive_desc chosen(desc, attributes, engine_);

    // The row-major n x k matrix W is a column-major k x n matrix.
    const memory::desc plain({k, n}, memory::data_type::s8, memory::format_tag::ba);
    memory given(plain, engine_, const_cast<std::int8_t*>(data.w.data()));
    memory packed(chosen.weights_desc(), engine_);
    dnnl::reorder(given, packed).execute(stream_, given, packed);

    stream_.wait();

    matmul_ = dnnl::matmul(chosen);
    auto* codes = const_cast<typename operands::lhs*>(data.a.data());
    give(DNNL_ARG_SRC, memory(lhs, engine_, codes));
    give(DNNL_ARG_WEIGHTS, packed);
    give(DNNL_ARG_DST, memory(out, engine_, data.c.data()));
    if constexpr (requantizes) give(DNNL_ARG_BIAS, memory(bias, engine_, data.bias.data()));
  }

  static std::string label() { return onednn_isa(); }

  /// Uses the C functions, because the C++ functions allocate a list of arguments in each call.
  void operator()() {
    dnnl_primitive_execute(matmul_.get(), stream_.get(), static_cast<int>(arguments_.size()),
                           arguments_.data());
    dnnl_stream_wait(stream_.get());
  }

 private:
  using memory = dnnl::memory;
  static constexpr bool requantizes = !std::is_same_v<typename operands::out, std::int32_t>;

  template <class T>
  static constexpr memory::data_type type_of() {
    if constexpr (std::is_same_v<T, std::uint8_t>) {
      return memory::data_type::u8;
    } else if constexpr (std::is_same_v<T, std::int8_t>) {
      return memory::data_type::s8;
    } else {
      return memory::data_type::s32;
    }
  }

  void give(int name, const memory& value) {
    kept_.push_back(value);
    arguments_.push_back({name, value.get()});
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::matmul matmul_;
  std::vector<memory> kept_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

/// The gemm function, for int32 results only. It packs both operands in each call.
template <class Operands>
class onednn_gemm_product {
 public:
  using operands = Operands;

  explicit onednn_gemm_product(operands& data) : data_(data) { omp_set_num_threads(1); }

  void operator()() {
    const index m = data_.a.rows(), n = data_.w.rows(), k = data_.a.cols();
    constexpr std::int32_t no_offset = 0;
    const auto gemm = [&](auto function) {
      function('N', 'T', 'F', m, n, k, 1.0F, data_.a.data(), k, 0, data_.w.data(), k, 0, 0.0F,
               data_.c.data(), n, &no_offset);
    };
    if constexpr (std::is_same_v<typename operands::lhs, std::uint8_t>) {
      gemm(&dnnl::gemm_u8s8s32);
    } else {
      gemm(&dnnl::gemm_s8s8s32);
    }
  }

 private:
  operands& data_;
};

}  // namespace fewbit::benchmarks
