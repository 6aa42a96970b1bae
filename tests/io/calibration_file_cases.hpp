#pragma once
/// Files for the tests and the fuzz target of calibrations, and what must hold for each file.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "calib/calibration_cases.hpp"
#include "fewbit/io/calibration_file.hpp"

namespace fewbit::tests {

/// A part of a file with the checksum of its bytes.
inline std::string calibration_part(std::string_view text) {
  detail::text_writer out;
  out.field("part", text.size());
  out.word("checksum", checksum(std::as_bytes(std::span(text.data(), text.size()))));
  return out.take().append(text);
}

/// The file of a state: a new part begins with each line "tensor ...".
inline std::string calibration_file_of(std::string_view state) {
  std::string file = "fewbit calibration_file 1\n";
  while (!state.empty()) {
    const std::size_t end = std::min(state.find("\ntensor "), state.size() - 1) + 1;
    file += calibration_part(state.substr(0, end));
    state.remove_prefix(end);
  }
  return file;
}

/// Inputs of the fuzz target that begin with this letter are states, for which parts and checksums
/// are computed. Other inputs are whole files.
inline constexpr std::string_view state_mark = "s";

inline std::string calibration_input_file(std::string_view input) {
  return input.starts_with(state_mark) ? calibration_file_of(input.substr(1)) : std::string(input);
}

inline const std::string small_state =
    "fewbit calibration 1\nbatch_ranges 2\n0 3\n7 1\ntensors 2\ntensor a\nobserver "
    "max_observer\nfewbit max_observer 1\npolicy 0\ncount 2\nskipped 0\nlo bfc00000\nhi "
    "3e800000\ntensor b\nobserver histogram_observer\nfewbit histogram_observer 2\npolicy 0\nbins "
    "16\ncount 4\nskipped 0\nlo bfc00000\nhi 41780000\nfilled 3\n-2 1\n0 2\n15 1\noctave_bins "
    "2\n-9569 1\n9788 1\n";

inline const std::array<std::string, 8> calibration_seeds = {
    calibration_file_of(small_state),
    std::string(state_mark) + small_state,
    std::string(state_mark) + calibration{}.to_text(),
    std::string(state_mark) + empty_calibration().to_text(),
    std::string(state_mark) + seen({0, 1, 9}).to_text(),
    std::string(state_mark) +
        "fewbit calibration 1\nbatch_ranges 1\n0 4611686018427387903\ntensors 1\ntensor "
        "c\nobserver per_channel<max_observer>\nfewbit per_channel 1\nchannels 2\nfewbit "
        "max_observer 1\npolicy 1\ncount 1\nskipped 2\nlo 80000001\nhi 80000001\nfewbit "
        "max_observer 1\npolicy 1\ncount 3\nskipped 0\nlo 00000000\nhi 7f7fffff\n",
    std::string(state_mark) +
        "fewbit calibration 1\nbatch_ranges 1\n0 1\ntensors 1\ntensor h\nobserver "
        "histogram_observer\nfewbit histogram_observer 2\npolicy 0\nbins 16\ncount "
        "4611686018427387903\nskipped 0\nlo 00000000\nhi 3f800000\nfilled 2\n0 "
        "4611686018427387902\n8 1\noctave_bins 1\n9536 1\n",
    "fewbit calibration_file 1\npart 4611686018427387903\nchecksum 0000000000000000\n",
};

/// Reads hostile bytes: they are refused by a fewbit::error, or the state is that of the bytes.
/// Returns the broken rule, or "". The bytes are in memory of exact size, so that a sanitizer finds
/// reads outside.
inline std::string read_hostile_calibration(std::string_view content, bool& is_accepted) {
  const auto memory = std::make_unique<std::byte[]>(content.size());
  std::memcpy(memory.get(), content.data(), content.size());
  is_accepted = false;
  try {
    calibration c = parse_calibration({memory.get(), content.size()}, "x", 1 << 18);
    is_accepted = true;
    const std::string text = c.to_text();
    if (calibration_file_of(text) != content) return "another file has the same state";
    if (!(calibration::from_text(text) == c)) return "the text has another state";
    for (index i = 0; i < c.size(); ++i) {
      if (!c.contains(c.name(i))) return "a tensor is not found by name";
    }
    calibration other = calibration::from_text(text);
    (void)c.all_ranges(by_percentile{99.0});
    c.merge(other);  // fails if there are batches or too many values
    if (!c.batches().empty()) return "a batch is counted twice";
  } catch (const error&) {
  }
  return "";
}

}  // namespace fewbit::tests
