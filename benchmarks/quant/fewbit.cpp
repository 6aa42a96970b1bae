// Benchmarks of this library.

#include <string>

#include "fewbit/fewbit.hpp"
#include "support/quant_rows.hpp"

namespace fewbit::benchmarks { namespace {

struct fewbit_quantize {
  quantize_case& data;
  void operator()() {
    quantize_array(data.in.data(), data.in.size(), {data.scale, data.zero_point}, data.out.data());
  }
};

struct fewbit_quantize_rows {
  quantize_rows_case& data;
  void operator()() {
    quantize_rows(data.in.data(), data.in.size() / row_length, row_length, data.out.data(),
                  data.scales.data(), data.sums.data());
  }
};

struct fewbit_dequantize {
  dequantize_case& data;
  void operator()() {
    dequantize_array(data.in.data(), data.in.size(), {data.scale, data.zero_point},
                     data.out.data());
  }
};

class fewbit_requantize {
 public:
  explicit fewbit_requantize(requantize_case& data)
      : sums_(data.in.data(), data.in.size() / row_length, row_length),
        codes_(data.out.data(), data.in.size() / row_length, row_length),
        epilogue_(gemm::add_bias(data.bias.data()) | gemm::requantize<xnn_fp32>(data.factors) |
                  gemm::to_int8(data.zero_point)) {}

  void operator()() { gemm::apply_epilogue(sums_, codes_, epilogue_); }

 private:
  using first_stages = gemm::chain<gemm::add_bias, gemm::requantize<xnn_fp32>>;

  Eigen::Map<const row_matrix<std::int32_t>> sums_;
  Eigen::Map<row_matrix<std::int8_t>> codes_;
  gemm::chain<first_stages, gemm::to_int8> epilogue_;
};

[[maybe_unused]] const bool added = [] {
  const std::string who = std::string("fewbit_") + arch::native::name;
  add_number_rows<quantize_case, fewbit_quantize>(who);
  add_number_rows<quantize_rows_case, fewbit_quantize_rows>(who);
  add_number_rows<dequantize_case, fewbit_dequantize>(who);
  add_number_rows<requantize_case, fewbit_requantize>(who);
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
