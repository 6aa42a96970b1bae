#pragma once
/// How the parts of a layer become sections, and sections become the parts of a layer.
///
/// A layer lists its parts once:
///
///     template <class Self, class Parts>
///     static void visit_parts(Self& self, Parts& parts) {
///       parts.number("channels", self.channels_);
///       parts.weights("weights", self.weights_);
///       parts.array("scales", self.scales_, self.outputs(), scale_number);
///       if constexpr (Parts::loads) self.check(parts.place());
///     }
///
/// part_writer and part_reader have the same calls. Arrays are sections of their own; all numbers
/// are in the record of the layer:
///
/// | bytes        | record                                                      |
/// |--------------|-------------------------------------------------------------|
/// | 0 .. 7       | int64: number of numbers, N                                 |
/// | 8 .. 15      | int64: bytes of the text                                    |
/// | 16 .. 16+8N  | int64 each: integers, or the bits of a float                |
/// | the rest     | the text: class of the layer, scheme, kind of inputs        |
///
/// Read before: core/archive.hpp, ops/saved_layer.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/core/archive.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/fixed_point.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/weights_image/load.hpp"
#include "fewbit/ops/parts/checks.hpp"
#include "fewbit/ops/parts/layer_text.hpp"
#include "fewbit/ops/saved_layer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The numbers that an element of a section is made of.
template <class T>
struct part_element {
  using number = T;
};
template <>
struct part_element<fixed_multiplier> {
  using number = std::int32_t;
};
static_assert(sizeof(fixed_multiplier) == 2 * sizeof(std::int32_t));

template <class Array>
using element_of = std::remove_cvref_t<decltype(*std::declval<const Array&>().data())>;

/// Writes the parts of a layer.
template <class Writer>
class part_writer {
  static_assert(ArchiveWriter<Writer>,
                "fewbit: save takes a writer of core/archive.hpp, for example packed_writer");

 public:
  static constexpr bool loads = false;

  part_writer(Writer& to, std::string_view name) : to_(to), name_(name) {
    if constexpr (std::endian::native != std::endian::little)
      fail("save", "byte order of the processor", "big-endian", "little-endian");
  }

  /// A bool, an integer or a float.
  template <class T>
  void number(const char* /*what*/, const T& value) {
    if constexpr (std::is_same_v<T, float>) {
      numbers_.push_back(std::bit_cast<std::uint32_t>(value));
    } else {
      numbers_.push_back(static_cast<std::int64_t>(value));
    }
  }
  template <class T>
  void number(const char* what, const T& value, index /*least*/, index /*most*/) {
    number(what, value);
  }

  /// An array of `size` elements.
  template <class Array>
  void array(std::string_view what, const Array& a, index size, const auto&... /*check*/) {
    using element = element_of<Array>;
    const std::string name = name_of_part(what);
    if (static_cast<index>(a.size()) != size)
      fail("save", "number of elements of " + name, static_cast<index>(a.size()), size);
    const std::span elements(a.data(), static_cast<std::size_t>(size));
    to_.write(name, section_type_of<typename part_element<element>::number>,
              std::as_bytes(elements));
  }

  /// Names of further arrays begin with `prefix`, until the next call.
  void within(std::string prefix) { prefix_ = std::move(prefix); }

  /// Packed weights.
  template <class W>
  void weights(std::string_view what, const W& w, const gemm::image_depth& /*depth*/ = {}) {
    aligned_buffer<std::byte> image(w.image_bytes(), for_overwrite);
    w.write_image(image);
    to_.write(name_of_part(what), section_type::image, image);
  }

  /// Writes the record.
  template <class Layer>
  void finish() {
    const std::string text = layer_text<Layer>::get();
    const std::int64_t head[2] = {static_cast<std::int64_t>(numbers_.size()),
                                  static_cast<std::int64_t>(text.size())};
    std::vector<std::byte> record(sizeof(head) + numbers_.size() * 8 + text.size());
    std::memcpy(record.data(), head, sizeof(head));
    if (!numbers_.empty())
      std::memcpy(record.data() + sizeof(head), numbers_.data(), numbers_.size() * 8);
    std::memcpy(record.data() + record.size() - text.size(), text.data(), text.size());
    to_.write(name_, section_type::record, record);
  }

 private:
  [[nodiscard]] std::string name_of_part(std::string_view what) const {
    return name_ + "/" + prefix_ + std::string(what);
  }

  Writer& to_;
  std::string name_;
  std::string prefix_;
  std::vector<std::int64_t> numbers_;
};

/// Reads the parts of a layer.
template <class Reader>
class part_reader {
  static_assert(ArchiveReader<Reader>,
                "fewbit: load takes a reader of core/archive.hpp, for example packed_file");

 public:
  static constexpr bool loads = true;

  part_reader(Reader& from, std::string_view name) : from_(from), name_(name) {
    if constexpr (std::endian::native != std::endian::little)
      fail("load", "byte order of the processor", "big-endian", "little-endian");
  }

  /// The start of the sentences of errors of this layer: its record.
  [[nodiscard]] const char* place() const noexcept { return place_.c_str(); }

  /// Fails unless the record is one of this class of layers.
  template <class Layer>
  void start() {
    place_ = sentence(name_, 0);
    const section_view record = find(name_, section_type::record);
    constexpr std::size_t head = 16;
    std::int64_t counts[2] = {};
    if (record.bytes.size() >= head) std::memcpy(counts, record.bytes.data(), head);
    const auto room = static_cast<std::int64_t>(record.bytes.size()) - std::int64_t{head};
    const bool is_whole = counts[0] >= 0 && counts[1] >= 0 && counts[0] <= room / 8 &&
                          room == counts[0] * 8 + counts[1];
    if (!is_whole) fail(place(), "size of the record", record.bytes.size(), "that of its parts");
    next_ = record.bytes.data() + head;
    left_ = counts[0];
    const std::string_view got(reinterpret_cast<const char*>(next_ + counts[0] * 8),
                               static_cast<std::size_t>(counts[1]));
    const std::string want = layer_text<Layer>::get();
    if (got != want) fail(place(), "type of the layer", quoted(got), quoted(want));
  }

  template <class T>
  void number(const char* what, T& value) {
    if (left_ == 0) fail(place(), "number of numbers", "too small", std::string("one for ") + what);
    std::int64_t bits;
    std::memcpy(&bits, next_, sizeof(bits));
    next_ += sizeof(bits);
    --left_;
    if constexpr (std::is_same_v<T, float>) {
      expect_number(what, bits, 0, std::numeric_limits<std::uint32_t>::max());
      value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    } else {
      static_assert(std::is_integral_v<T> && sizeof(T) <= 8);
      expect_number(what, bits, std::int64_t{std::numeric_limits<T>::min()},
                    std::int64_t{std::numeric_limits<T>::max()});
      value = static_cast<T>(bits);
    }
  }
  /// The same for an integer that is least .. most.
  template <class T>
  void number(const char* what, T& value, index least, index most) {
    T read{};
    number(what, read);
    expect_number(what, static_cast<std::int64_t>(read), least, most);
    value = read;
  }

  /// An array of `size` elements: a stored_array or a span views them, a vector copies them.
  ///
  /// @param check  what each number must be (ops/parts/checks.hpp)
  template <class Array, class Check = any_number>
  void array(std::string_view what, Array& a, index size, const Check& check = {}) {
    using element = element_of<Array>;
    using number_type = typename part_element<element>::number;
    const std::string name = name_of_part(what);
    const section_view section = find(name, section_type_of<number_type>);
    const std::size_t count = section.bytes.size() / sizeof(element);
    if (section.bytes.size() % sizeof(element) != 0 || static_cast<index>(count) != size) {
      fail(sentence(name, 0).c_str(), "number of bytes", section.bytes.size(),
           std::to_string(size) + " elements of " + std::to_string(sizeof(element)) + " bytes");
    }
    const auto* from = reinterpret_cast<const element*>(section.bytes.data());
    if constexpr (!std::is_same_v<Check, any_number>) {
      for (std::size_t i = 0; i < count; ++i) {
        if (check(from[i])) continue;
        fail(sentence(name, i * sizeof(element)).c_str(), item(std::string(what), index(i)),
             from[i], check.want());
      }
    }
    take(a, std::span(from, count));
  }

  void within(std::string prefix) { prefix_ = std::move(prefix); }

  /// Packed weights: a view of the section, or packed anew.
  template <class W>
  void weights(std::string_view what, W& w, const gemm::image_depth& depth = {}) {
    const std::string name = name_of_part(what);
    const section_view section = find(name, section_type::image);
    const auto check =
        from_.checks_contents() ? gemm::image_check::contents : gemm::image_check::header;
    auto loaded = gemm::load_weights<W>(section.bytes, check, sentence(name, 0).c_str(), depth);
    if (loaded.is_repacked) from_.tell_repacked(name);
    w = std::move(loaded.weights);
  }

  /// The codes of 8-bit weights, for what is made from them.
  template <class W>
  [[nodiscard]] static row_matrix<std::int8_t> codes_of(const W& w) {
    aligned_buffer<std::byte> image(w.image_bytes(), for_overwrite);
    w.write_image(image);
    return gemm::unpacked_codes(image);
  }

  /// Tells the reader that other parts were packed anew.
  void tell_repacked(std::string_view what) { from_.tell_repacked(name_of_part(what)); }

  /// Fails unless all numbers were read.
  void finish() const {
    if (left_ != 0) fail(place(), "number of further numbers", left_, "0");
  }

 private:
  [[nodiscard]] static std::string quoted(std::string_view text) {
    std::string safe = "'";
    for (const char c : text.substr(0, 120)) safe += c >= ' ' && c <= '~' ? c : '?';
    return safe + (text.size() > 120 ? "...'" : "'");
  }
  [[nodiscard]] std::string name_of_part(std::string_view what) const {
    return name_ + "/" + prefix_ + std::string(what);
  }
  [[nodiscard]] std::string sentence(std::string_view name, std::size_t byte) const {
    return "load: " + std::string(from_.place(name, byte));
  }

  [[nodiscard]] section_view find(const std::string& name, section_type type) {
    const section_view section = from_.section(name);
    if (section.type != type)
      fail(sentence(name, 0).c_str(), "type", name_of(section.type), name_of(type));
    return section;
  }

  void expect_number(const char* what, std::int64_t got, std::int64_t least,
                     std::int64_t most) const {
    if (got >= least && got <= most) return;
    fail(place(), what, got, std::to_string(least) + " to " + std::to_string(most));
  }

  template <class T>
  static void take(stored_array<T>& to, std::span<const T> elements) noexcept {
    to = stored_array<T>::view(elements);
  }
  template <class T>
  static void take(std::span<const T>& to, std::span<const T> elements) noexcept {
    to = elements;
  }
  template <class T>
  static void take(std::vector<T>& to, std::span<const T> elements) {
    to.assign(elements.begin(), elements.end());
  }

  Reader& from_;
  std::string name_;
  std::string prefix_;
  std::string place_;
  const std::byte* next_ = nullptr;  // the next number of the record
  std::int64_t left_ = 0;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
