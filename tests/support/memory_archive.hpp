#pragma once
/// A writer and a reader of core/archive.hpp in memory.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/archive.hpp"
#include "fewbit/core/error.hpp"

namespace fewbit::tests {

class memory_archive {
 public:
  struct entry {
    section_type type;
    aligned_buffer<std::byte> bytes;
  };

  void write(std::string_view name, section_type type, std::span<const std::byte> bytes) {
    aligned_buffer<std::byte> copy(static_cast<index>(bytes.size()));
    if (!bytes.empty()) std::memcpy(copy.data(), bytes.data(), bytes.size());
    const bool is_new = entries.emplace(std::string(name), entry{type, std::move(copy)}).second;
    if (!is_new) detail::fail("save", std::string(name), "there already", "a new name");
  }

  [[nodiscard]] section_view section(std::string_view name) const {
    const auto at = entries.find(std::string(name));
    if (at == entries.end()) detail::fail("load", std::string(name), "missing", "a section");
    return {at->second.type, std::span<const std::byte>(at->second.bytes)};
  }
  [[nodiscard]] std::string place(std::string_view name, std::size_t byte) const {
    return "'" + std::string(name) + "' at byte " + std::to_string(byte);
  }
  [[nodiscard]] bool checks_contents() const { return is_checked; }
  void tell_repacked(std::string_view name) { repacked.emplace_back(name); }

  /// Whether a pointer is in one of the sections.
  [[nodiscard]] bool holds(const void* pointer) const {
    const auto* p = static_cast<const std::byte*>(pointer);
    for (const auto& [name, e] : entries) {
      if (p >= e.bytes.begin() && p < e.bytes.end()) return true;
    }
    return false;
  }

  std::map<std::string, entry> entries;
  std::vector<std::string> repacked;
  bool is_checked = true;
};

}  // namespace fewbit::tests
