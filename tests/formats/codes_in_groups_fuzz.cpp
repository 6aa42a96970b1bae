// Arbitrary tensors of GPTQ, AWQ and compressed-tensors are refused, or they are the same when they
// are packed again, and quantized matrices have their values.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "fewbit/formats/awq.hpp"
#include "fewbit/formats/compressed_tensors.hpp"
#include "fewbit/formats/gptq.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "formats/checkpoint_cases.hpp"

namespace fewbit {
namespace {

void expect(bool holds, const char* rule) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", rule);
  std::abort();
}

/// Scales are compared by their bits, because they may be NaN.
bool are_same(const codes_in_groups& a, const codes_in_groups& b) {
  return a.codes == b.codes && a.zeros == b.zeros && a.order == b.order && a.bits == b.bits &&
         a.group == b.group && a.scales.size() == b.scales.size() &&
         std::memcmp(a.scales.data(), b.scales.data(),
                     static_cast<std::size_t>(a.scales.size()) * sizeof(float)) == 0;
}

template <class S>
void convert(const codes_in_groups& w) {
  if (!fits<S>(w)) return;
  const auto q = to_quantized<S>(w);
  const row_matrix<float> values = dequantize(q);
  for (index r = 0; r < values.rows(); ++r) {
    for (index c = 0; c < values.cols(); ++c) {
      const auto want = static_cast<float>(tests::weight_of(w, r, c));
      expect(!std::isfinite(want) || values(r, c) == want, "a value changed");
    }
  }
}

void convert_all(const codes_in_groups& w) {
  convert<uint4_grouped<4>>(w);
  convert<scheme<int3, grouped<8>, symmetric_full>>(w);
  convert<scheme<uint2, per_row, real_minimum>>(w);
  convert<scheme<int8, grouped<8>, affine>>(w);
}

template <class From, class To, class Weights>
void read(const From& from, const To& to, const Weights& weights) {
  codes_in_groups w;
  try {
    w = from(weights);
  } catch (const error&) {
    return;
  }
  expect(are_same(from(to(w)), w), "packing changes weights");
  convert_all(w);
}

/// The next `count` numbers of the input, or fewer if it ends.
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

/// Byte 0: layout, bits and version; 1 to 3: n, k and group; 4: whether sizes are right. Numbers of
/// the tensors follow; missing ones are 17 in each byte.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 5) return 0;
  constexpr int widths[4] = {4, 3, 2, 8};
  const int bits = widths[data[0] / 4 % 4];
  const index n = data[1] % 40, k = data[2] % 40, group = data[3] % 40;
  const bool is_sized = data[4] % 8 != 0, has_groups = data[4] % 16 >= 8, has_zeros = data[4] < 128;
  const int layout = data[0] % 4, version = data[0] / 16 % 2;
  data += 5;
  size -= 5;
  const auto fill = [&]<class T>(std::vector<T>& to, index count) {
    to = take<T>(data, size, static_cast<std::size_t>(count));
    T other;
    std::memset(&other, 17, sizeof(T));
    if (is_sized) to.resize(static_cast<std::size_t>(count), other);
  };
  const index groups = group == 0 ? 0 : (k + group - 1) / group, per_word = 32 / bits;
  const auto groups_of_inputs = [&](std::vector<std::int32_t>& to) {
    const std::size_t count = has_groups ? static_cast<std::size_t>(k) : 0;
    for (const std::uint8_t g : take<std::uint8_t>(data, size, count))
      to.push_back(static_cast<std::int8_t>(g));
  };
  if (layout < 2) {
    gptq_weights w{n, k, bits, group, gptq_version(1 + version), {}, {}, {}, {}};
    groups_of_inputs(w.g_idx);
    fill(w.qzeros, groups * (n * bits / 32));
    fill(w.scales, groups * n);
    fill(w.qweight, k * bits / 32 * n);
    (void)choose_gptq_version(w.qzeros, bits);
    read(
        from_gptq, [&](const codes_in_groups& c) { return to_gptq(c, w.version); }, w);
  } else if (layout == 2) {
    awq_weights w{n, k, group, {}, {}, {}};
    fill(w.qzeros, groups * (n / 8));
    fill(w.scales, groups * n);
    fill(w.qweight, k * (n / 8));
    read(from_awq, to_awq, w);
  } else {
    pack_quantized_weights w{n, k, bits, group, {}, {}, {}, {}};
    groups_of_inputs(w.weight_g_idx);
    if (has_zeros) fill(w.weight_zero_point, (n + per_word - 1) / per_word * groups);
    fill(w.weight_scale, groups * n);
    fill(w.weight_packed, n * ((k + per_word - 1) / per_word));
    read(from_pack_quantized, to_pack_quantized, w);
  }
  return 0;
}

}  // namespace fewbit
