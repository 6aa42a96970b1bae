// Arbitrary inputs must be refused, or keep their values when they are converted and converted
// back.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fewbit/core/error.hpp"
#include "fewbit/formats/onnx_blocks.hpp"
#include "fewbit/quant/quantize.hpp"

namespace {

template <fewbit::index G>
void read(const fewbit::matmul_nbits& w) {
  try {
    const auto q = fewbit::from_matmul_nbits<G>(w);
    const auto again = fewbit::from_matmul_nbits<G>(fewbit::to_matmul_nbits<G>(q));
    if (fewbit::dequantize(again) != fewbit::dequantize(q)) {
      std::fputs("a value changed\n", stderr);
      std::abort();
    }
  } catch (const fewbit::error&) {
  }
}

/// The next `count` values, or all that remain.
template <class T>
std::vector<T> read_values(const std::uint8_t*& data, std::size_t& size, std::size_t count) {
  count = count < size / sizeof(T) ? count : size / sizeof(T);
  std::vector<T> values(count);
  if (count > 0) std::memcpy(values.data(), data, count * sizeof(T));
  data += count * sizeof(T);
  size -= count * sizeof(T);
  return values;
}

}  // namespace

/// The input has two bytes of shape, one byte for the number of scales, one byte for the number of
/// zero points, then their data. The remaining bytes are codes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  fewbit::matmul_nbits w{data[0] % 8, data[1], {}, {}, {}};
  const std::size_t scales = data[2], zeros = data[3];
  data += 4;
  size -= 4;
  w.scales = read_values<float>(data, size, scales);
  w.zero_points = read_values<std::uint8_t>(data, size, zeros);
  w.codes = read_values<std::uint8_t>(data, size, size);
  read<16>(w);
  read<64>(w);
  return 0;
}
