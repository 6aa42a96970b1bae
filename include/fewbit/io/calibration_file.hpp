#pragma once
/// Calibrations in files: a run saves its state, goes on after it was stopped, and joins the states
/// of other processes.
///
///     calibration seen = std::filesystem::exists(path) ? load_calibration(path) : fresh();
///     for (std::uint64_t b = 0; b < batches; ++b) {
///       if (seen.batches().contains(b)) continue;
///       ...
///       seen.end_batch(b);
///       if (b % 100 == 99) save_calibration(seen, path);
///     }
///
/// The file is text. It consists of parts: the batches, then each tensor by its name.
///
///     fewbit calibration_file 1
///     part <bytes>                       decimal, the bytes after the line of the checksum
///     checksum <16 hexadecimal digits>   of these bytes; checksum.hpp
///     fewbit calibration 1
///     batch_ranges 1
///     0 100                              numbers 0 to 99
///     tensors 1
///     part <bytes>
///     checksum <16 hexadecimal digits>
///     tensor conv1
///     observer histogram_observer
///     ...                                as histogram_observer::to_text() writes it
///
/// Any change of a byte is an error that names the file, the tensor and the byte of the line.
/// Read next: calib/calibration.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "fewbit/calib/calibration.hpp"
#include "fewbit/calib/text.hpp"
#include "fewbit/io/atomic_file.hpp"
#include "fewbit/io/checksum.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/mapped_file.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Gives access to the parts of a state: a head, then each tensor.
struct calibration_parts {
  static std::string head(const calibration& c, const char* function) {
    text_writer out;
    c.write_head(out, {function});
    return out.take();
  }
  static std::string tensor(const calibration& c, index i) {
    text_writer out;
    calibration::write_entry(out, c.at(i));
    return out.take();
  }
  static std::uint64_t read_head(text_reader& in, calibration& c) { return c.read_head(in); }
  static void read_tensor(text_reader& in, calibration& c) { c.read_entry(in); }
};

inline constexpr std::string_view calibration_file_line = "fewbit calibration_file 1";

inline std::span<const std::byte> bytes_of_text(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// The name in the first line "tensor <name>" of a part, for errors. It can be damaged.
inline std::string_view tensor_of_part(std::string_view part) noexcept {
  constexpr std::string_view word = "tensor ";
  if (!part.starts_with(word)) return {};
  part.remove_prefix(word.size());
  return part.substr(0, part.find('\n'));
}

/// Reads one part by read(), which must read all of it.
template <class Read>
void read_part(text_reader& in, Read&& read) {
  const auto size = static_cast<std::size_t>(in.field("part", text_reader::largest_index));
  const auto sum = in.word<std::uint64_t>("checksum");
  expect(size <= in.rest().size(), in, "bytes of a part", size,
         "at most " + text(in.rest().size()) + ", the rest of the file");
  const std::string_view part = in.rest().substr(0, size);
  const std::size_t end = in.position() + size;
  if (checksum(bytes_of_text(part)) != sum) {
    const std::string name = name_text(tensor_of_part(part));
    in.enter_tensor(std::string_view(name).substr(1, name.size() - 2));
    fail(in.function(), "checksum of a part", "another one", "that of its bytes");
  }
  read();
  expect(in.position() == end, in, "end of a part", in.position(), text(end));
}

}  // namespace detail

/// Writes the state to a file, which replaces the old one wholly or not at all; atomic_file.hpp.
/// The text of one tensor is in memory at a time.
///
/// @throws fewbit::error if a batch is not ended, or with the reason of the system
inline void save_calibration(const calibration& c, const std::string& path,
                             read_back check = read_back::no) {
  using parts = detail::calibration_parts;
  constexpr const char* function = "save_calibration";
  const std::string head = parts::head(c, function);
  atomic_file file(path, check, function);
  std::uint64_t at = 0;
  const auto write = [&](std::string_view text) {
    file.write(at, detail::bytes_of_text(text));
    at += text.size();
  };
  const auto write_part = [&](const std::string& part) {
    detail::text_writer out;
    out.field("part", part.size());
    out.word("checksum", checksum(detail::bytes_of_text(part)));
    write(out.take());
    write(part);
  };
  write(std::string(detail::calibration_file_line) + '\n');
  write_part(head);
  for (index i = 0; i < c.size(); ++i) write_part(parts::tensor(c, i));
  file.commit();
}

/// Reads the state from the bytes of a file.
///
/// @param file        the name of the file for errors
/// @param most_bytes  how much memory the observers may need
/// @throws fewbit::error with file, tensor and byte if save_calibration() cannot have written the
///         bytes, or if the observers need more memory
[[nodiscard]] inline calibration parse_calibration(
    std::span<const std::byte> bytes, const std::string& file,
    std::uint64_t most_bytes = calibration::usual_limit,
    const char* function = "parse_calibration") {
  using parts = detail::calibration_parts;
  const std::string quoted = detail::path_text(file);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  detail::text_reader in(text, function, {quoted, most_bytes});
  in.line(detail::calibration_file_line);
  calibration made;
  std::uint64_t tensors = 0;
  detail::read_part(in, [&] { tensors = parts::read_head(in, made); });
  for (std::uint64_t i = 0; i < tensors; ++i) {
    detail::read_part(in, [&] { parts::read_tensor(in, made); });
  }
  in.end();
  return made;
}

/// Reads the state from a file. The parameters and errors are those of parse_calibration().
[[nodiscard]] inline calibration load_calibration(
    const std::string& path, std::uint64_t most_bytes = calibration::usual_limit) {
  constexpr const char* function = "load_calibration";
  const mapped_file file(path, function);
  return parse_calibration(file.bytes(), path, most_bytes, function);
}

/// The state of all files together. At most two states are in memory at a time.
///
/// @throws fewbit::error as load_calibration() and calibration::merge(), for example if two files
///         have seen the same batch
[[nodiscard]] inline calibration merge_calibrations(
    std::span<const std::string> paths, std::uint64_t most_bytes = calibration::usual_limit) {
  calibration all;
  for (const std::string& path : paths) {
    const std::string by = "merge_calibrations: " + detail::path_text(path);
    all.merge({by.c_str()}, load_calibration(path, most_bytes));
  }
  return all;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
