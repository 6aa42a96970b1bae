#pragma once
/// Products of real networks with real activations: what their layers multiplied for real inputs.
///
/// The networks run in gemm/recorded.cpp and gemm/recorded_llama.cpp. Float weights become int8
/// with one scale per row, float activations u8 codes of the range that the layer sees. Int8
/// activations of a graph become u8 by adding 128. A convolution multiplies its patches.
/// Depthwise filters are left out.

#include <cstdint>
#include <string>
#include <vector>

#include "fewbit/core/types.hpp"
#include "fewbit/quant/range.hpp"

namespace fewbit::benchmarks {

/// One product: activations (m x k) and weights (n x k, one output channel per row).
struct recorded_product {
  row_matrix<std::uint8_t> a;
  row_matrix<std::int8_t> w;
};

inline constexpr const char* recorded_networks[] = {"resnet20", "resnet32", "mobilenetv2", "kws",
                                                    "stories260k"};

/// The products of a network in the order of its layers: ResNet on two images, MobileNetV2 on one,
/// the keyword network on 16 inputs, each one call, stories260K on 128 tokens. Made once. Empty if
/// the files are missing.
const std::vector<recorded_product>& recorded_products(const std::string& network);

namespace recording {

/// The u8 codes of floats under the affine parameters of a range.
row_matrix<std::uint8_t> codes_of(const row_matrix<float>& x, const range& r);

/// Empty without nlohmann-json.
std::vector<recorded_product> llama(const std::string& folder);

}  // namespace recording
}  // namespace fewbit::benchmarks
