// Arbitrary inputs are refused, or they keep their values when they are written back.

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

/// The next `count` values of the input, or fewer if the input ends.
template <class T>
std::vector<T> take(const std::uint8_t*& data, std::size_t& size, std::size_t count) {
  count = count < size / sizeof(T) ? count : size / sizeof(T);
  std::vector<T> values(count);
  if (count > 0) std::memcpy(values.data(), data, count * sizeof(T));
  data += count * sizeof(T);
  size -= count * sizeof(T);
  return values;
}

}  // namespace

/// Bytes 0 and 1 give the shape, byte 2 the number of scales, byte 3 the number of zero points. The
/// scales, the zero points and the codes follow.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  fewbit::matmul_nbits w{data[0] % 8, data[1], {}, {}, {}};
  const std::size_t scales = data[2], zeros = data[3];
  data += 4;
  size -= 4;
  w.scales = take<float>(data, size, scales);
  w.zero_points = take<std::uint8_t>(data, size, zeros);
  w.codes = take<std::uint8_t>(data, size, size);
  read<16>(w);
  read<64>(w);
  return 0;
}
