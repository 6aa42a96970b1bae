#pragma once
/// The JSON text of a safetensors header, written byte for byte as the reference program does.
///
///     {"__metadata__":{"format":"pt"},"w":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]}}
///
/// Read next: safetensors_writer.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "fewbit/config.hpp"
#include "fewbit/core/index.hpp"
#include "fewbit/core/json_text.hpp"
#include "fewbit/io/dtype.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The key of the strings that belong to the file.
inline constexpr std::string_view metadata_key = "__metadata__";

/// The largest header that readers accept. The reference program has the same limit.
inline constexpr std::uint64_t largest_header = 100'000'000;

/// Appends one entry of the header and no comma.
inline void append_header_entry(std::string& to, std::string_view name, dtype type,
                                std::span<const index> shape, std::uint64_t begin,
                                std::uint64_t end) {
  append_json_string(to, name);
  to += R"(:{"dtype":")";
  to += name_of(type);
  to += R"(","shape":[)";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) to += ',';
    to += std::to_string(shape[i]);
  }
  to += R"(],"data_offsets":[)";
  to += std::to_string(begin);
  to += ',';
  to += std::to_string(end);
  to += "]}";
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
