#pragma once
/// Packed files: whole layers and packed weights, mapped and read where they are.
///
///     packed_writer out("model.fewbit");                  // io/packed_writer.hpp
///     fc1.save(out, "fc1");                               // bias, scales, options, weights
///     fc2.save(out, "fc2");
///     out.close();
///
///     packed_file file("model.fewbit");                   // reads header and table
///     const auto fc1 = linear<int8_per_row>::load(file, "fc1");    // copies no weights
///     const auto fc2 = linear<int4_grouped<32>>::load(file, "fc2");
///     if (file.repacked() > 0) ...                        // weights of another instruction set
///
/// | check                  | reads                       | finds                                 |
/// |------------------------|-----------------------------|---------------------------------------|
/// | packed_check::header   | header, table; of a layer   | every change of header and table,     |
/// |                        | its numbers and its tables  | files of another size, numbers,       |
/// |                        | of scales                   | scales, extents out of their range    |
/// | packed_check::contents | the whole file, once        | every change of one or two bits, and  |
/// | verify()               | the same                    | almost every other                    |
///
/// Weights depend on the instruction set. load() compares their layout with that of the program: if
/// they differ, it packs the codes anew, which allocates memory and takes longer. No float weights
/// are needed. To make a file for an instruction set, run packed_writer in a program for it, for
/// example on the machine that uses the file.
///
/// The file must outlive its layers. Layers of a damaged file that was opened with
/// packed_check::header can give wrong numbers, but read nothing outside of the file. Read next:
/// io/packed_file/table.hpp (the bytes of the file), ops/saved_layer.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "fewbit/config.hpp"
#include "fewbit/core/archive.hpp"
#include "fewbit/core/index.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/file_iterator.hpp"
#include "fewbit/io/mapped_file.hpp"
#include "fewbit/io/packed_file/table.hpp"
#include "fewbit/ops/parts.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// What opening a packed file checks.
enum class packed_check : std::uint8_t {
  header,   ///< header and table
  contents  ///< the checksums of all sections as well
};

/// A section of a packed file, in place.
struct packed_section {
  std::string_view name;
  section_type type = section_type::record;
  std::span<const std::byte> bytes = {};
  std::uint64_t byte = 0;  ///< where it begins in the file
};

/// The sections of a file, and an ArchiveReader (core/archive.hpp). One thread at a time may load
/// layers. It can be moved; layers that were loaded stay valid.
class packed_file {
 public:
  /// Maps the file and checks header and table. Allocates no memory for the sections.
  ///
  /// @throws fewbit::error if the file cannot be read, or if a number of header or table is wrong
  explicit packed_file(std::string path, packed_check check = packed_check::header)
      : file_(std::move(path), "packed_file"),
        table_("packed_file", file_.path(), file_.bytes()),
        checks_contents_(check == packed_check::contents) {
    if (checks_contents_) verify();
  }

  /// Reads a whole file in memory of the caller, aligned to 64 bytes, which must outlive this
  /// object and its layers. So must `name`, the name of the file in errors.
  packed_file(std::span<const std::byte> bytes, std::string_view name,
              packed_check check = packed_check::header)
      : name_(name),
        table_("packed_file", name, bytes),
        checks_contents_(check == packed_check::contents) {
    if (checks_contents_) verify();
  }

  packed_file(packed_file&&) = default;
  packed_file& operator=(packed_file&&) = default;

  /// Its path, or the name of the bytes.
  [[nodiscard]] std::string_view name() const noexcept {
    return name_.data() == nullptr ? std::string_view(file_.path()) : name_;
  }
  /// The instruction set of the program that wrote the file: "avx512_vnni" ...
  [[nodiscard]] std::string_view arch() const noexcept { return table_.arch(); }
  /// How many sections were packed anew for the layers that were loaded.
  [[nodiscard]] index repacked() const noexcept { return repacked_; }

  /// Compares the checksums of all sections.
  ///
  /// @throws fewbit::error with the name and the first byte of a section that has changed
  void verify() const {
    for (index i = 0; i < size(); ++i) table_.expect_sums(i);
  }

  /// The number of sections.
  [[nodiscard]] index size() const noexcept { return table_.size(); }
  /// Section i, 0 <= i < size(), in the order of their bytes.
  [[nodiscard]] packed_section operator[](index i) const noexcept {
    const detail::packed_entry e = table_.entry(i);
    return {table_.name(e), static_cast<section_type>(e.type), table_.bytes(e), e.begin};
  }
  /// Whether there is a section, or a layer, of that name.
  [[nodiscard]] bool contains(std::string_view section_name) const noexcept {
    return table_.find(section_name) >= 0;
  }
  /// The section of that name.
  ///
  /// @throws fewbit::error if there is none
  [[nodiscard]] packed_section at(std::string_view section_name) const {
    const index i = table_.find(section_name);
    if (i < 0) {
      detail::fail_in_file("packed_file", "section " + detail::name_text(section_name), {name()},
                           "missing", "one of its " + std::to_string(size()) + " sections");
    }
    return (*this)[i];
  }
  using iterator = detail::file_iterator<packed_file, packed_section>;
  [[nodiscard]] iterator begin() const noexcept { return {*this, 0}; }
  [[nodiscard]] iterator end() const noexcept { return {*this, size()}; }

  // The calls of an ArchiveReader:

  [[nodiscard]] section_view section(std::string_view section_name) const {
    const packed_section found = at(section_name);
    return {found.type, found.bytes};
  }
  [[nodiscard]] std::string place(std::string_view section_name, std::size_t byte) const {
    const index i = table_.find(section_name);
    const std::uint64_t begin = i < 0 ? 0 : (*this)[i].byte;
    return "section " + detail::name_text(section_name) + " at byte " +
           std::to_string(begin + byte) + " of " + detail::path_text(name());
  }
  /// false: weights of layers are covered by the checksums of the sections.
  [[nodiscard]] static constexpr bool checks_contents() noexcept { return false; }
  void tell_repacked(std::string_view /*section_name*/) noexcept { ++repacked_; }

 private:
  mapped_file file_;  // without bytes if the caller has them
  std::string_view name_;
  detail::packed_table table_;
  bool checks_contents_;
  index repacked_ = 0;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
