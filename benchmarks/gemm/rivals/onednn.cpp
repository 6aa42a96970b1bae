// Benchmarks of oneDNN.

#include "support/onednn.hpp"

#include "support/gemm_rows.hpp"
#include "support/network_rows.hpp"
#include "support/recorded_rows.hpp"

namespace fewbit::benchmarks { namespace {

[[maybe_unused]] const bool added = [] {
  hold_to_native_arch();
  add_rows<onednn_product<sums_case<std::uint8_t>>>("onednn");
  add_rows<onednn_product<sums_case<std::int8_t>>>("onednn");
  add_rows<onednn_product<codes_case<std::uint8_t>>>("onednn");
  add_rows<onednn_product<codes_case<std::int8_t>>>("onednn");
  add_rows<onednn_product<small_sums_case<7, 7>>>("onednn");
  add_rows<onednn_product<small_sums_case<7, 8>>>("onednn");
  add_rows<onednn_product<small_sums_case<8, 7>>>("onednn");
  add_network_rows<onednn_product<network_case<8>>>("onednn");
  add_network_rows<onednn_product<network_case<7>>>("onednn");
  add_recorded_rows<onednn_product<recorded_case>>("onednn");
  add_cold_row<onednn_product<sums_case<std::uint8_t>>>("onednn");
  add_rows<onednn_gemm_product<sums_case<std::uint8_t>>>("onednn_gemm");
  add_rows<onednn_gemm_product<sums_case<std::int8_t>>>("onednn_gemm");
  add_packing_row("onednn", &onednn_pack_anew);
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
