// Benchmarks of XNNPACK's convert operators, on one thread. They have no scale per row, and no
// operator computes sums of codes or converts int32 sums.

#include "support/xnnpack.hpp"

#include "support/quant_rows.hpp"

namespace fewbit::benchmarks { namespace {

struct xnnpack_quantize : xnnpack_operator {
  explicit xnnpack_quantize(quantize_case& data) {
    initialize_xnnpack();
    xnn_operator_t created = nullptr;
    expect_success(xnn_create_convert_nc_f32_qs8(row_length, row_length, row_length, data.scale,
                                                 data.zero_point, -128, 127, 0, &created),
                   "xnn_create_convert_nc_f32_qs8");
    own(created);
    expect_success(
        xnn_setup_convert_nc_f32_qs8(created, static_cast<std::size_t>(data.in.size() / row_length),
                                     data.in.data(), data.out.data(), nullptr),
        "xnn_setup_convert_nc_f32_qs8");
  }
};

struct xnnpack_dequantize : xnnpack_operator {
  explicit xnnpack_dequantize(dequantize_case& data) {
    initialize_xnnpack();
    xnn_operator_t created = nullptr;
    expect_success(xnn_create_convert_nc_qs8_f32(row_length, row_length, row_length, data.scale,
                                                 data.zero_point, 0, &created),
                   "xnn_create_convert_nc_qs8_f32");
    own(created);
    expect_success(
        xnn_setup_convert_nc_qs8_f32(created, static_cast<std::size_t>(data.in.size() / row_length),
                                     data.in.data(), data.out.data(), nullptr),
        "xnn_setup_convert_nc_qs8_f32");
  }
};

[[maybe_unused]] const bool added = [] {
  add_number_rows<quantize_case, xnnpack_quantize>("xnnpack");
  add_number_rows<dequantize_case, xnnpack_dequantize>("xnnpack");
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
