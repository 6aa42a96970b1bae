#pragma once
/// Reads safetensors files: mapped, without a copy, each tensor at its first use.
///
///     const safetensors_file file("model.safetensors");
///     const auto w = file.at("model.norm.weight").matrix<float>();   // an Eigen::Map of the file
///     for (const tensor_view t : file) std::cout << t.name << '\n';
///
/// Opening reads the header alone and checks all of it. Data are read from the disk when they are
/// first used, so a file may be larger than memory; forget() bounds what stays in memory. Needs
/// nlohmann-json.
/// Read next: tensor_view.hpp, safetensors_writer.hpp, quantized.hpp (quantized matrices in files).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "fewbit/config.hpp"
#include "fewbit/core/index.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/file_iterator.hpp"
#include "fewbit/io/mapped_file.hpp"
#include "fewbit/io/safetensors/table.hpp"
#include "fewbit/io/tensor_view.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The tensors of a file. Can be moved; what it returned before stays valid.
class safetensors_file {
 public:
  /// Maps the file and reads its header.
  ///
  /// @throws fewbit::error if the file cannot be read or breaks a rule of the format
  explicit safetensors_file(std::string path)
      : file_(std::move(path), "safetensors_file"),
        bytes_(file_.bytes()),
        table_(detail::read_safetensors_table("safetensors_file", file_.path(), bytes_)) {}

  /// Reads a whole file in memory of the caller, which must outlive this object.
  ///
  /// @param name  the name of the file in errors
  /// @throws fewbit::error as above
  safetensors_file(std::span<const std::byte> bytes, std::string_view name)
      : bytes_(bytes), table_(detail::read_safetensors_table("safetensors_file", name, bytes)) {}

  /// Its path, or the name of the bytes.
  [[nodiscard]] std::string_view name() const noexcept { return table_.text(table_.file); }

  /// The number of tensors.
  [[nodiscard]] index size() const noexcept { return static_cast<index>(table_.entries.size()); }

  /// Tensor i, 0 <= i < size(), in the order of their data.
  [[nodiscard]] tensor_view operator[](index i) const noexcept {
    const auto& entry = table_.entries[static_cast<std::size_t>(i)];
    const std::uint64_t at = table_.data_at + entry.begin;
    return {.name = table_.text(entry.name),
            .type = entry.type,
            .shape = table_.shape(entry),
            .bytes = bytes_.subspan(static_cast<std::size_t>(at),
                                    static_cast<std::size_t>(entry.end - entry.begin)),
            .file = name(),
            .byte = at};
  }

  /// The tensor of that name, if there is one. Costs log2(size()) comparisons.
  [[nodiscard]] std::optional<tensor_view> find(std::string_view name) const noexcept {
    const index i = detail::find_by_name(table_.by_name, name, [&](std::uint32_t entry) {
      return table_.text(table_.entries[entry].name);
    });
    if (i < 0) return std::nullopt;
    return (*this)[i];
  }

  /// The tensor of that name.
  ///
  /// @throws fewbit::error if there is none
  [[nodiscard]] tensor_view at(std::string_view name) const {
    const auto found = find(name);
    if (!found) {
      detail::fail_in_file("safetensors_file::at", detail::name_text(name), {this->name()},
                           "missing", "one of its " + std::to_string(size()) + " tensors");
    }
    return *found;
  }

  [[nodiscard]] bool contains(std::string_view name) const noexcept {
    return find(name).has_value();
  }

  /// The string of __metadata__ with that key, if there is one.
  [[nodiscard]] std::optional<std::string_view> metadata(std::string_view key) const noexcept {
    const auto found =
        std::partition_point(table_.metadata.begin(), table_.metadata.end(),
                             [&](const auto& s) { return table_.text(s.key) < key; });
    if (found == table_.metadata.end() || table_.text(found->key) != key) return std::nullopt;
    return table_.text(found->value);
  }

  /// The number of strings of __metadata__.
  [[nodiscard]] index metadata_size() const noexcept {
    return static_cast<index>(table_.metadata.size());
  }
  /// Key and value of string i, 0 <= i < metadata_size(), in the order of the keys.
  [[nodiscard]] std::pair<std::string_view, std::string_view> metadata_at(index i) const noexcept {
    const auto& string = table_.metadata[static_cast<std::size_t>(i)];
    return {table_.text(string.key), table_.text(string.value)};
  }

  /// Removes the pages of a tensor from memory; they are read again when they are used again.
  void forget(const tensor_view& tensor) const noexcept {
    if (!file_.bytes().empty()) mapped_file::forget(tensor.bytes);
  }

  /// Iterates over all tensors in the order of their data.
  using iterator = detail::file_iterator<safetensors_file, tensor_view>;
  [[nodiscard]] iterator begin() const noexcept { return {*this, 0}; }
  [[nodiscard]] iterator end() const noexcept { return {*this, size()}; }

 private:
  mapped_file file_;  // without bytes if the caller has them
  std::span<const std::byte> bytes_;
  detail::safetensors_table table_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
