// Rows of this library.

#include <string>

#include "fewbit/fewbit.hpp"
#include "support/quant_rows.hpp"

namespace fewbit::benchmarks {
namespace {

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

[[maybe_unused]] const bool added = [] {
  const std::string who = std::string("fewbit_") + arch::native::name;
  add_number_rows<quantize_case, fewbit_quantize>(who);
  add_number_rows<quantize_rows_case, fewbit_quantize_rows>(who);
  add_number_rows<dequantize_case, fewbit_dequantize>(who);
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
