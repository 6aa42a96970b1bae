#pragma once
/// Packed files that were changed: they are refused, or their layers read nothing outside of them.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/core/error.hpp"
#include "fewbit/io/packed_file.hpp"
#include "fewbit/io/packed_writer.hpp"
#include "fewbit/ops/conv1d.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/depthwise_conv2d.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/ops/linear/pq.hpp"
#include "fewbit/ops/qmn.hpp"
#include "fewbit/ops/transpose_conv2d.hpp"
#include "io/support.hpp"

namespace fewbit::tests {

/// Memory of exactly `size` bytes, so that a sanitizer reports each read behind it.
class exact_bytes {
 public:
  explicit exact_bytes(std::span<const std::byte> from)
      : size_(from.size()),
        data_(static_cast<std::byte*>(::operator new(size_ + 1, std::align_val_t{64}))) {
    if (size_ > 0) std::memcpy(data_, from.data(), size_);
  }
  exact_bytes(const exact_bytes&) = delete;
  exact_bytes& operator=(const exact_bytes&) = delete;
  ~exact_bytes() { ::operator delete(data_, std::align_val_t{64}); }
  [[nodiscard]] std::span<const std::byte> get() const { return {data_, size_}; }

 private:
  std::size_t size_;
  std::byte* data_;
};

using hostile_bytes = integer_only<std::int8_t>;
using hostile_int8 = linear<int8_per_row>;
using hostile_grouped = linear<int4_grouped<32>>;
using hostile_codebook = linear<codebook_per_row<3>, float_inputs>;
using hostile_bits = linear<int2_per_row, unsigned_inputs<2>>;
using hostile_integer = linear<uint4_grouped<32>, static_int8>;
using hostile_pq = linear<pq<4, 4>>;
using hostile_conv2d = conv2d<int8_per_row, hostile_bytes>;
using hostile_conv1d = conv1d<int4_per_row, hostile_bytes>;
using hostile_depthwise = depthwise_conv2d<hostile_bytes>;
using hostile_transposed = transpose_conv2d<int8_per_row, hostile_bytes>;

/// Numbers of -1 to 1.
inline row_matrix<float> hostile_floats(index rows, index cols) {
  row_matrix<float> m(rows, cols);
  for (index i = 0; i < m.size(); ++i)
    m.data()[i] = static_cast<float>(i * 37 % 101) / 50.0F - 1.0F;
  return m;
}

/// A file with a layer of each of these kinds.
inline std::vector<std::byte> hostile_seed() {
  const temporary_folder folder;
  const std::string path = folder / "seed.fewbit";
  packed_writer out(path);
  const row_matrix<float> w = hostile_floats(5, 36);
  const Eigen::VectorXf b = hostile_floats(5, 1);
  const quant_params in{0.02F, 3};
  const integer_options options{{0.05F, -4}, {}};
  const std::span<const std::int32_t> none;
  const image_extents image{3, 3, 4};
  const window2d window{.kernel = {3, 3}, .padding = {1, 1, 1, 1}};
  const auto q = quantize<int8_per_row>(w);
  hostile_int8(w, b).save(out, "int8");
  hostile_grouped(w, b).save(out, "grouped");
  hostile_codebook(quantize<codebook_per_row<3>>(
                       w, std::vector<float>{-1, -0.6F, -0.3F, -0.1F, 0, 0.2F, 0.5F, 1}))
      .save(out, "codebook");
  hostile_bits(w, b).save(out, "bits");
  hostile_integer(w, b, in).save(out, "static");
  hostile_pq(w, b).save(out, "pq");
  hostile_conv2d(q, image, window, b, in, options).save(out, "conv2d");
  hostile_conv1d(quantize<int4_per_row>(w), {.kernel = 3, .before = 2}, none, in, options)
      .save(out, "conv1d");
  hostile_depthwise(depthwise_weights_of(quantize<int8_per_row>(hostile_floats(4, 9))), image,
                    window, none, in, options)
      .save(out, "depthwise");
  hostile_transposed(q, image, {.kernel = {3, 3}, .stride = {2, 2}}, {7, 7}, none, in, options)
      .save(out, "transposed");
  static const std::int8_t codes[12] = {1, -2, 3, -4, 5, -6, 7, -8, 9, 10, -128, 127};
  static const std::int8_t bias[2] = {3, -4};
  q7_linear(6, {codes, bias, {5, 7}}).save(out, "q7_linear");
  q7_conv2d({4, 4, 1}, {.kernel = {3, 2}}, {codes, bias, {5, 7}, true}).save(out, "q7_conv2d");
  out.close();
  const std::string content = content_of(path);
  const auto bytes = bytes_of(content);
  return {bytes.begin(), bytes.end()};
}

/// Gives all checksums of a file their right values, as far as its table can be read.
inline void repair(std::vector<std::byte>& file) {
  using detail::packed_entry, detail::packed_header;
  packed_header header;
  if (file.size() < sizeof(header)) return;
  std::memcpy(&header, file.data(), sizeof(header));
  if (header.table <= file.size() && header.table % 64 == 0) {
    const std::uint64_t room = (file.size() - header.table) / sizeof(packed_entry);
    for (std::uint64_t i = 0; i < std::min<std::uint64_t>(header.sections, room); ++i) {
      std::byte* const at = file.data() + header.table + i * sizeof(packed_entry);
      packed_entry entry;
      std::memcpy(&entry, at, sizeof(entry));
      if (entry.begin > file.size() || entry.bytes > file.size() - entry.begin) continue;
      const std::span<std::byte> bytes(file.data() + entry.begin, entry.bytes);
      gemm::detail::image_header image;
      if (entry.type == 1 && bytes.size() >= sizeof(image)) {
        std::memcpy(&image, bytes.data(), sizeof(image));
        image.header_checksum = gemm::detail::checksum_of_header(image);
        std::memcpy(bytes.data(), &image, sizeof(image));
      }
      entry.sums = two_sums(bytes);
      std::memcpy(at, &entry, sizeof(entry));
    }
    header.of_table = two_sums(std::span<const std::byte>(file).subspan(header.table));
  }
  header.of_header = detail::sums_of_header(header);
  std::memcpy(file.data(), &header, sizeof(header));
}

/// Loads a layer and calls it, if its images are small. Returns whether it was accepted.
template <class Layer, class In, class Out>
bool load_and_call(packed_file& file, const char* name) {
  constexpr index most = 1 << 12;
  try {
    const Layer layer = Layer::load(file, name);
    if constexpr (requires { layer.make_state(); }) {
      const index frames = std::min(layer.output_frames(5), most);
      if (layer.channels() * 5 > most || layer.outputs() * frames > most) return true;
      if (layer.output_frames(5) > most) return true;
      const row_matrix<In> x = row_matrix<In>::Ones(5, layer.channels());
      row_matrix<Out> y(frames, layer.outputs());
      layer(x, y);
    } else {
      if (layer.inputs() > most || layer.outputs() > most) return true;
      const row_matrix<In> x = row_matrix<In>::Ones(2, layer.inputs());
      row_matrix<Out> y(2, layer.outputs());
      layer(x, y);
    }
  } catch (const error&) {
    return false;
  }
  return true;
}

template <class Layer>
bool load_and_call_q7(packed_file& file, const char* name) {
  try {
    const Layer layer = Layer::load(file, name);
    const auto extent = [](const auto& e) {
      if constexpr (requires { e.size(); }) {
        return e.size();
      } else {
        return e;
      }
    };
    index inputs = 0, outputs = 0;
    if constexpr (requires { layer.inputs(); }) {
      inputs = layer.inputs();
      outputs = layer.outputs();
    } else {
      inputs = extent(layer.input());
      outputs = extent(layer.output());
    }
    if (inputs > 1 << 12 || outputs > 1 << 12) return true;
    const std::vector<std::int8_t> x(static_cast<std::size_t>(inputs), 1);
    std::vector<std::int8_t> y(static_cast<std::size_t>(outputs));
    layer(x, y);
  } catch (const error&) {
    return false;
  }
  return true;
}

/// Loads one of the 12 layers of a file, or all of them. Returns how many were accepted; -1 if the
/// file was not.
inline int load_hostile(std::span<const std::byte> bytes, packed_check check, int which = -1) {
  const exact_bytes memory(bytes);
  try {
    packed_file file(memory.get(), "x", check);
    using s8 = std::int8_t;
    int number = 0, count = 0;
    const auto add = [&](bool (*load)(packed_file&, const char*), const char* name) {
      if (which < 0 || which == number) count += load(file, name);
      ++number;
    };
    add(load_and_call<hostile_int8, float, float>, "int8");
    add(load_and_call<hostile_grouped, float, float>, "grouped");
    add(load_and_call<hostile_codebook, float, float>, "codebook");
    add(load_and_call<hostile_bits, float, float>, "bits");
    add(load_and_call<hostile_integer, float, float>, "static");
    add(load_and_call<hostile_pq, float, float>, "pq");
    add(load_and_call<hostile_conv2d, s8, s8>, "conv2d");
    add(load_and_call<hostile_conv1d, s8, s8>, "conv1d");
    add(load_and_call<hostile_depthwise, s8, s8>, "depthwise");
    add(load_and_call<hostile_transposed, s8, s8>, "transposed");
    add(load_and_call_q7<q7_linear>, "q7_linear");
    add(load_and_call_q7<q7_conv2d>, "q7_conv2d");
    return count;
  } catch (const error&) {
    return -1;
  }
}

/// Changes a seed and loads a layer of it. The first byte says which layer, whether checksums are
/// repaired, and how many bytes are missing at the end. Then three bytes each change one byte of
/// the file: two of position, one that is added.
inline int load_changed(const std::vector<std::byte>& seed, std::span<const std::uint8_t> changes) {
  std::vector<std::byte> file = seed;
  if (changes.empty()) return load_hostile(file, packed_check::header);
  const int first = changes[0], low = first % 16;
  if (first >= 0xF0) file.resize(file.size() - static_cast<std::size_t>(low));
  for (std::size_t i = 1; i + 2 < changes.size(); i += 3) {
    const std::size_t at = (changes[i] * std::size_t{256} + changes[i + 1]) % file.size();
    file[at] = static_cast<std::byte>(static_cast<std::uint8_t>(file[at]) + changes[i + 2]);
  }
  if (first >= 0x10) repair(file);
  return load_hostile(file, packed_check::header, low < 12 ? low : -1);
}

}  // namespace fewbit::tests
