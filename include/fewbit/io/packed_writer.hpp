#pragma once
/// Writes packed files, layer by layer.
///
///     packed_writer out("model.fewbit");
///     fc1.save(out, "fc1");
///     fc2.save(out, "fc2");
///     out.close();                        // now the file has its name
///
/// Sections are written as they come, so that a file may be larger than memory. A layer needs a
/// copy of its largest packed weights while it is saved. The file replaces an old one atomically
/// (io/atomic_file.hpp); without close() there is no new file. The same layers in the same order
/// give the same bytes. Read next: io/packed_file.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/arch/arch.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/archive.hpp"
#include "fewbit/io/atomic_file.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/packed_file/table.hpp"
#include "fewbit/ops/parts.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A packed file that is being written, and an ArchiveWriter (core/archive.hpp). One thread at a
/// time may use it.
class packed_writer {
 public:
  /// Creates the temporary file.
  ///
  /// @throws fewbit::error if that fails, or if the processor is big-endian
  explicit packed_writer(const std::string& path, read_back check = read_back::no)
      : file_(path, check, "packed_writer") {
    detail::expect_little_endian_files("packed_writer");
  }

  /// The name that the file will have.
  [[nodiscard]] const std::string& path() const noexcept { return file_.path(); }

  /// Adds a section.
  ///
  /// @throws fewbit::error if there is a section of that name, if the name is empty or longer than
  ///         65535 bytes, or if writing fails
  void write(std::string_view name, section_type type, std::span<const std::byte> bytes) {
    constexpr std::size_t most_name = 65535;
    if (name.empty() || name.size() > most_name)
      fail(name, std::to_string(name.size()) + " bytes long", "1 to 65535 bytes");
    const auto [place, is_new] = names_.emplace(name);
    if (!is_new) fail(name, "there already", "a new one");
    detail::packed_entry entry;
    entry.begin = end_;
    entry.bytes = bytes.size();
    entry.type = static_cast<std::uint32_t>(type);
    entry.name_bytes = static_cast<std::uint32_t>(name.size());
    entry.sums = two_sums(bytes);  // zeros behind the bytes do not change it
    file_.write(end_, bytes);
    const std::uint64_t next = detail::packed_aligned(end_ + bytes.size());
    const std::array<std::byte, 64> zeros = {};
    const auto padding = static_cast<std::size_t>(next - end_ - bytes.size());
    file_.write(end_ + bytes.size(), std::span(zeros).first(padding));
    end_ = next;
    sections_.push_back({&*place, entry});
  }

  /// Writes header and table, and gives the file its name.
  ///
  /// @throws fewbit::error if writing fails
  void close() {
    const std::vector<std::byte> table = table_of_sections();
    detail::packed_header header;
    header.sections = static_cast<std::uint32_t>(sections_.size());
    header.bytes = end_ + table.size();
    header.table = end_;
    const std::string_view arch = arch::native::name;
    std::copy_n(arch.begin(), std::min(arch.size(), header.arch.size()), header.arch.begin());
    header.of_table = two_sums(table);
    header.of_header = detail::sums_of_header(header);
    file_.write(end_, table);
    file_.write(0, std::as_bytes(std::span(&header, 1)));
    file_.commit();
  }

 private:
  struct added_section {
    const std::string* name;  // in names_
    detail::packed_entry entry;
  };

  [[nodiscard]] std::vector<std::byte> table_of_sections() const {
    const std::size_t count = sections_.size();
    std::vector<std::uint32_t> order(count);
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return *sections_[a].name < *sections_[b].name;
    });
    std::string names;
    std::vector<std::byte> table(count * sizeof(detail::packed_entry));
    for (std::size_t i = 0; i < count; ++i) {
      detail::packed_entry entry = sections_[i].entry;
      entry.name = names.size();
      entry.by_name = order[i];
      names += *sections_[i].name;
      std::memcpy(table.data() + i * sizeof(entry), &entry, sizeof(entry));
    }
    const auto as_bytes = std::as_bytes(std::span(names));
    table.insert(table.end(), as_bytes.begin(), as_bytes.end());
    table.resize(static_cast<std::size_t>(detail::packed_aligned(table.size())));
    return table;
  }

  template <class Got, class Want>
  [[noreturn]] void fail(std::string_view name, const Got& got, const Want& want) const {
    detail::fail_in_file("packed_writer", "section " + detail::name_text(name), {path()}, got,
                         want);
  }

  atomic_file file_;
  std::set<std::string, std::less<>> names_;
  std::vector<added_section> sections_;
  std::uint64_t end_ = sizeof(detail::packed_header);
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
