// Arbitrary bytes are refused or become blocks. Blocks are refused, or conversion keeps their
// values and converting back gives the same bytes.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "fewbit/core/error.hpp"
#include "fewbit/formats/ggml_convert.hpp"
#include "fewbit/quant/quantize.hpp"

namespace {

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fputs(what, stderr);
  std::abort();
}

template <class B>
void read(fewbit::index rows, fewbit::index cols, std::span<const std::uint8_t> bytes) {
  try {
    const fewbit::block_matrix<B> blocks(rows, cols, bytes);
    const auto values = fewbit::dequantize(blocks);
    expect(values.allFinite(), "accepted an infinite value\n");
    const auto q = fewbit::to_quantized(blocks);
    if constexpr (B::has_minimum) {
      expect(fewbit::to_blocks(q) == blocks, "other blocks came back\n");
    } else {
      expect(fewbit::dequantize(q) == values, "a value changed\n");
      expect(fewbit::to_blocks<B>(q) == blocks, "other blocks came back\n");
    }
  } catch (const fewbit::error&) {
  }
}

}  // namespace

/// The first two bytes give the shape in blocks.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const fewbit::index rows = data[0] % 8, cols = data[1] % 8 * 32 + data[1] / 128;
  const std::span<const std::uint8_t> bytes(data + 2, size - 2);
  read<fewbit::q8_0>(rows, cols, bytes);
  read<fewbit::q5_0>(rows, cols, bytes);
  read<fewbit::q4_0>(rows, cols, bytes);
  read<fewbit::q4_1>(rows, cols, bytes);
  return 0;
}
