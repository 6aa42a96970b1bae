#pragma once
/// Reads GGUF files, versions 2 and 3: mapped, without a copy, each tensor at its first use.
///
///     const gguf_file file("model-Q4_K_M.gguf");
///     file.value("general.architecture").get<std::string_view>();
///     const row_matrix<float> w = file.at("token_embd.weight").to_floats();
///     for (const gguf_tensor t : file) std::cout << t.name << ' ' << name_of(t.type) << '\n';
///
/// Opening reads the index alone and checks all of it; gguf/table.hpp has the layout and the rules.
/// Data are read from the disk when they are first used, so a file may be larger than memory;
/// forget() bounds what stays in memory. Files of version 1 and big-endian files are refused.
/// Read next: gguf/tensor.hpp (what a tensor can be read as), gguf/value.hpp (metadata).

#include "fewbit/begin.hpp"

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
#include "fewbit/io/gguf/cursor.hpp"
#include "fewbit/io/gguf/table.hpp"
#include "fewbit/io/gguf/tensor.hpp"
#include "fewbit/io/gguf/value.hpp"
#include "fewbit/io/mapped_file.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The tensors and the metadata of a file. Can be moved; what it returned before stays valid.
class gguf_file {
 public:
  /// Maps the file and reads its index.
  ///
  /// @throws fewbit::error if the file cannot be read or breaks a rule of the format
  explicit gguf_file(std::string path)
      : file_(std::move(path), "gguf_file"),
        bytes_(file_.bytes()),
        table_(detail::read_gguf_table(file_.path(), bytes_)) {}

  /// Reads a whole file in memory of the caller, which must outlive this object.
  ///
  /// @param name  the name of the file in errors
  /// @throws fewbit::error as above
  gguf_file(std::span<const std::byte> bytes, std::string_view name)
      : bytes_(bytes), table_(detail::read_gguf_table(name, bytes)) {}

  /// Its path, or the name of the bytes.
  [[nodiscard]] std::string_view name() const noexcept { return table_.file_name(); }
  /// 2 or 3.
  [[nodiscard]] int version() const noexcept { return static_cast<int>(table_.version); }
  /// Each tensor begins at a multiple of it.
  [[nodiscard]] index alignment() const noexcept { return index{table_.alignment}; }

  /// The number of tensors.
  [[nodiscard]] index size() const noexcept { return static_cast<index>(table_.tensors.at.size()); }

  /// Tensor i, 0 <= i < size(), in the order of the file.
  ///
  /// @throws fewbit::error if the file has been changed meanwhile and breaks a rule now
  [[nodiscard]] gguf_tensor operator[](index i) const {
    detail::gguf_cursor in("gguf_file", name(), bytes_, at(table_.tensors, i));
    detail::gguf_record record = detail::read_gguf_record(in);
    if (record.size == 0) return record.tensor;
    const std::uint64_t data = bytes_.size() - table_.data_at;
    if (record.size > data || record.offset > data - record.size) {
      in.fail("data", "outside of the file", "within it, as when it was opened");
    }
    record.tensor.byte = table_.data_at + record.offset;
    record.tensor.bytes = bytes_.subspan(static_cast<std::size_t>(record.tensor.byte),
                                         static_cast<std::size_t>(record.size));
    return record.tensor;
  }

  /// The tensor of that name, if there is one. Costs log2(size()) comparisons.
  [[nodiscard]] std::optional<gguf_tensor> find(std::string_view name) const {
    const index i = position(table_.tensors, name);
    if (i < 0) return std::nullopt;
    return (*this)[i];
  }

  /// The tensor of that name.
  ///
  /// @throws fewbit::error if there is none
  [[nodiscard]] gguf_tensor at(std::string_view name) const {
    const index i = position(table_.tensors, name);
    if (i < 0) fail_missing("gguf_file::at", name, size(), " tensors");
    return (*this)[i];
  }

  [[nodiscard]] bool contains(std::string_view name) const {
    return position(table_.tensors, name) >= 0;
  }

  /// The number of values of the metadata.
  [[nodiscard]] index values() const noexcept {
    return static_cast<index>(table_.values.at.size());
  }

  /// Value i, 0 <= i < values(), in the order of the file.
  [[nodiscard]] gguf_value value(index i) const {
    detail::gguf_cursor in("gguf_file", name(), bytes_, at(table_.values, i));
    return detail::read_gguf_value(in, bytes_);
  }

  /// The value of that key, if there is one.
  [[nodiscard]] std::optional<gguf_value> find_value(std::string_view key) const {
    const index i = position(table_.values, key);
    if (i < 0) return std::nullopt;
    return value(i);
  }

  /// The value of that key.
  ///
  /// @throws fewbit::error if there is none
  [[nodiscard]] gguf_value value(std::string_view key) const {
    const index i = position(table_.values, key);
    if (i < 0) fail_missing("gguf_file::value", key, values(), " keys");
    return value(i);
  }

  /// Removes the pages of a tensor from memory; they are read again when they are used again.
  void forget(const gguf_tensor& tensor) const noexcept {
    if (!file_.bytes().empty()) mapped_file::forget(tensor.bytes);
  }

  /// Iterates over all tensors in the order of the file.
  using iterator = detail::file_iterator<gguf_file, gguf_tensor>;
  [[nodiscard]] iterator begin() const noexcept { return {*this, 0}; }
  [[nodiscard]] iterator end() const noexcept { return {*this, size()}; }

 private:
  [[nodiscard]] static std::uint64_t at(const detail::gguf_positions& records, index i) noexcept {
    return records.at[static_cast<std::size_t>(i)];
  }

  /// The record of that name, or -1.
  [[nodiscard]] index position(const detail::gguf_positions& records, std::string_view name) const {
    return detail::find_by_name(records.by_name, name, [&](std::uint32_t i) {
      return detail::gguf_name_at(this->name(), bytes_, records.at[i]);
    });
  }

  [[noreturn]] void fail_missing(const char* function, std::string_view name, index count,
                                 const char* what) const {
    detail::fail_in_file(function, detail::name_text(name), {this->name()}, "missing",
                         "one of its " + std::to_string(count) + what);
  }

  mapped_file file_;  // without bytes if the caller has them
  std::span<const std::byte> bytes_;
  detail::gguf_table table_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
