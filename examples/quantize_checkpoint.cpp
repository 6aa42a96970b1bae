// Quantizes the tensors of a checkpoint: safetensors or GGUF in, safetensors or GGUF out.
//
//   quantize_checkpoint model.safetensors -o out.safetensors --scheme int4_grouped:32
//       --scheme 'lm_head*=int8_per_row' --calibration acts.safetensors --report out.json
//   quantize_checkpoint model.safetensors -o model.hpp --emit header --scheme int8_per_row
//   quantize_checkpoint inspect FILE
//   quantize_checkpoint compare A B
//
// Read run_conversion() first, then quantize_checkpoint/plan.hpp (what happens to each tensor) and
// quantize_checkpoint/convert.hpp (how it is done in little memory). failure.hpp has the exit
// codes, report.hpp the schema of the JSON report.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "fewbit/io/emit_header.hpp"
#include "fewbit/io/packed_file.hpp"
#include "quantize_checkpoint/compare.hpp"
#include "quantize_checkpoint/convert.hpp"
#include "quantize_checkpoint/failure.hpp"
#include "quantize_checkpoint/inspect.hpp"
#include "quantize_checkpoint/plan.hpp"
#include "quantize_checkpoint/report.hpp"
#include "quantize_checkpoint/verify.hpp"

namespace fewbit::examples::checkpoint {

struct command_line {
  std::string input;
  std::string out;
  std::vector<std::string> schemes;
  std::string calibration;
  std::string report;
  std::string emit;
  std::string space = "model";
  int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  bool dry_run = false;
  bool verify = false;
  bool force = false;
  bool requantize = false;
  bool quiet = false;
  std::string inspected;
  std::string compared_a, compared_b;
  std::optional<double> least_sqnr;
};

void expect_new(const std::string& path, const char* option, bool force) {
  if (force || !std::filesystem::exists(path)) return;
  throw failure(exit_output, std::string(option) + " is '" + path +
                                 "', which exists, expected a new name or --force");
}

/// Resident memory of this program, in bytes; 0 if the system does not tell.
std::uint64_t resident_memory() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void announce(const plan& todo, bool verifies) {
  std::fprintf(stderr, "%s: %zu tensors, %s, the largest %s; memory at most %s\n",
               todo.in->path().c_str(), todo.tensors.size(), size_text(todo.in->bytes()).c_str(),
               size_text(todo.largest_tensor()).c_str(),
               size_text(resident_memory() + added_memory(todo, verifies)).c_str());
}

/// Whether a file is one of packed layers (io/packed_file.hpp).
bool is_packed_file(const std::string& path) {
  constexpr auto magic = detail::packed_header{}.magic;
  auto found = magic;
  std::ifstream file(path, std::ios::binary);
  found.fill('\0');
  return file.read(found.data(), found.size()) && found == magic;
}

/// A packed file becomes a header.
exit_code emit_packed_file(const command_line& given) {
  if (given.emit != "header") {
    throw failure(exit_plan, "'" + given.input + "' is a packed file, expected --emit header");
  }
  if (!given.schemes.empty() || !given.calibration.empty() || !given.report.empty()) {
    throw failure(exit_plan, "'" + given.input +
                                 "' is a packed file, expected no --scheme, --calibration and "
                                 "--report: its layers are quantized");
  }
  const auto file =
      or_exit(exit_input, [&] { return packed_file(given.input, packed_check::contents); });
  const std::string text = or_exit(exit_plan, [&] { return header_text(file, given.space); });
  if (given.dry_run) return exit_done;
  or_exit(exit_output, [&] {
    atomic_file out(given.out, read_back::no, "emit_header");
    out.write(0, std::as_bytes(std::span(text)));
    out.commit();
  });
  return exit_done;
}

void expect_consistent(const command_line& given) {
  const bool is_header = given.emit == "header";
  if (is_header && given.verify) {
    throw failure(exit_command, "--verify needs a file of tensors, expected no --emit header");
  }
  if (is_header && given.space != detail::identifier_of(given.space)) {
    throw failure(exit_command, "--namespace is '" + given.space + "', expected an identifier");
  }
}

exit_code run_conversion(const command_line& given) {
  if (given.input.empty()) throw failure(exit_command, "the input is missing");
  const bool is_packed = is_packed_file(given.input);
  if (given.schemes.empty() && !is_packed) throw failure(exit_command, "--scheme is missing");
  expect_consistent(given);
  if (given.out.empty() && !given.dry_run) throw failure(exit_command, "--output is missing");
  if (!given.dry_run) expect_new(given.out, "--output", given.force);
  if (!given.report.empty()) expect_new(given.report, "--report", given.force);

  if (is_packed) return emit_packed_file(given);

  const source in(given.input);
  std::optional<source> calibration;
  if (!given.calibration.empty()) calibration.emplace(given.calibration);
  const file_format format = format_of_output(given.emit, given.out);
  const quantizers known(format);
  plan todo = planner(in, calibration ? &*calibration : nullptr, format, known, given.requantize)
                  .make(parse_rules(given.schemes));
  todo.left_out = lost_metadata(in, format);
  if (!given.quiet) announce(todo, given.verify);

  std::vector<error_sums> sums;
  if (!given.dry_run) {
    const convert_options options{given.out, given.space, given.threads, given.verify, given.quiet};
    sums = conversion(todo, options).run();
    if (given.verify) verify(todo, given.out, sums);
  }
  if (!given.quiet) print_report(todo, sums);
  if (!given.report.empty()) {
    write_report(given.report, todo, given.dry_run ? "" : given.out, given.verify, sums);
  }
  return exit_done;
}

/// The options, and the code that belongs to what was given.
class command {
 public:
  command() {
    app_.footer(
        "Exit codes: 0 done, 1 compare found a difference, 2 wrong command line, 3 bad input,\n"
        "4 schemes and tensors do not fit, 5 output not written, 6 out of memory, 130 interrupted");
    app_.set_version_flag("--version", "fewbit " + std::to_string(FEWBIT_VERSION_MAJOR) + "." +
                                           std::to_string(FEWBIT_VERSION_MINOR) + "." +
                                           std::to_string(FEWBIT_VERSION_PATCH));
    app_.add_option("input", given_.input, "safetensors or GGUF file");
    app_.add_option("-o,--output", given_.out, "file to write; GGUF if its name ends in .gguf");
    app_.add_option("--scheme", given_.schemes,
                    "SCHEME or PATTERN=SCHEME; the first pattern that matches a name counts, a\n"
                    "scheme without a pattern is for all others; keep keeps tensors")
        ->allow_extra_args(false);
    app_.add_option("--calibration", given_.calibration,
                    "file with inputs of tensors under their names: rows of inputs, or a vector "
                    "of mean squares");
    app_.add_option("--report", given_.report, "JSON file to write");
    app_.add_option("--emit", given_.emit,
                    "format of the output: safetensors, gguf, or header for C++ constants; a\n"
                    "header is made of a packed file, too")
        ->check(CLI::IsMember({"safetensors", "gguf", "header"}));
    app_.add_option("--namespace", given_.space, "namespace of a header; model without it");
    app_.add_option("--threads", given_.threads, "threads; the result does not depend on it")
        ->check(CLI::Range(1, 1024));
    app_.add_flag("--dry-run", given_.dry_run, "checks and lists everything, writes no tensors");
    app_.add_flag("--verify", given_.verify, "reads the written file back and compares");
    app_.add_flag("--force", given_.force, "replaces existing files");
    app_.add_flag("--requantize", given_.requantize, "quantizes tensors of ggml blocks, too");
    app_.add_flag("--quiet", given_.quiet, "prints errors alone");
    inspect_ = app_.add_subcommand("inspect", "lists metadata and tensors of a file");
    inspect_->add_option("file", given_.inspected)->required();
    compare_ = app_.add_subcommand("compare", "compares the values of two files");
    compare_->add_option("first", given_.compared_a)->required();
    compare_->add_option("second", given_.compared_b)->required();
    compare_->add_option("--sqnr", given_.least_sqnr, "dB from which on values count as equal");
  }

  exit_code run(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::Success& help) {
      app_.exit(help);
      return exit_done;
    } catch (const CLI::ParseError& e) {
      throw failure(exit_command, std::string(e.what()) + "; --help names the options");
    }
    if (inspect_->parsed()) {
      inspect(source(given_.inspected));
      return exit_done;
    }
    if (compare_->parsed()) {
      return compare(source(given_.compared_a), source(given_.compared_b), given_.least_sqnr);
    }
    return run_conversion(given_);
  }

 private:
  command_line given_;
  CLI::App app_{"Quantizes the tensors of a checkpoint. Files are safetensors or GGUF."};
  CLI::App* inspect_ = nullptr;
  CLI::App* compare_ = nullptr;
};

}  // namespace fewbit::examples::checkpoint

int main(int argc, char** argv) {
  using namespace fewbit::examples::checkpoint;
  watch_signals();
  const auto end = [](exit_code code, const char* sentence) {
    std::fprintf(stderr, "quantize_checkpoint: %s\n", sentence);
    return int{code};
  };
  try {
    return command().run(argc, argv);
  } catch (const failure& f) {
    return end(f.code(), f.what());
  } catch (const std::bad_alloc&) {
    return end(exit_memory, "out of memory");
  } catch (const std::exception& e) {
    return end(exit_input, e.what());
  }
}
