#pragma once
/// What a conversion did: a table on stdout, and a JSON file.
///
/// The JSON file is one object. Nothing in it depends on the number of threads or on the time.
///
/// | key          | value                                                                        |
/// |--------------|------------------------------------------------------------------------------|
/// | schema       | "fewbit-quantize 1"                                                          |
/// | input        | path, format ("safetensors" or "gguf"), bytes of all tensors                 |
/// | output       | the same; its path is null after --dry-run                                   |
/// | calibration  | path, or null                                                                |
/// | verified     | whether the output was read back and compared                                |
/// | totals       | of the quantized tensors: tensors, weights, bytes_before, bytes_after,       |
/// |              | bits_per_weight, sqnr_db                                                     |
/// | tensors      | one object for each tensor of the input, in its order:                       |
/// |              | name, type, shape, status ("quantized", "unpacked" or "kept"), bytes_before, |
/// |              | bytes_after                                                                  |
/// |              | quantized: scheme, pattern, calibrated, bits_per_weight, sqnr_db, max_error  |
/// |              | unpacked: scheme, bits_per_weight; its values are exact                      |
/// |              | kept: reason                                                                 |
/// | uncalibrated | names of tensors that --calibration lacks                                    |
/// | left_out     | keys of metadata that the output cannot hold                                 |
///
/// sqnr_db is null without an error, and after --dry-run, as is max_error.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "error_sums.hpp"
#include "failure.hpp"
#include "fewbit/io/atomic_file.hpp"
#include "plan.hpp"
#include "progress.hpp"

namespace fewbit::examples::checkpoint {

/// Sums over the quantized tensors.
struct quantized_totals {
  index tensors = 0;
  index weights = 0;
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes_after = 0;
  error_sums sums;

  quantized_totals(const plan& done, const std::vector<error_sums>& all) {
    for (std::size_t i = 0; i < done.tensors.size(); ++i) {
      const planned_tensor& t = done.tensors[i];
      if (t.what != action::quantize) continue;
      ++tensors;
      weights += t.shape.size();
      bytes_before += t.bytes_before();
      bytes_after += t.bytes_after;
      if (!all.empty()) sums.add(all[i]);
    }
  }
};

[[nodiscard]] inline double bits_per_weight(std::uint64_t bytes, index weights) {
  return weights == 0 ? 0.0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

/// "12.34", "exact" without an error, "-" if it is not known.
[[nodiscard]] inline std::string decibel_text(const error_sums* sums) {
  if (sums == nullptr) return "-";
  const double db = sums->sqnr_db();
  if (std::isinf(db) && db > 0) return "exact";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", db);
  return text;
}

namespace report_detail {

inline std::size_t widest_name(const plan& done) {
  std::size_t width = 6;
  for (const planned_tensor& t : done.tensors) width = std::max(width, t.tensor->name.size());
  return std::min<std::size_t>(width, 48);
}

inline void print_row(int width, const std::string& name, const std::string& scheme,
                      std::uint64_t before, std::uint64_t after, index weights,
                      const std::string& sqnr) {
  std::printf("%-*s  %-20s  %12s  %12s  %11.2f  %7s\n", width, plain(name).c_str(), scheme.c_str(),
              size_text(before).c_str(), size_text(after).c_str(), bits_per_weight(after, weights),
              sqnr.c_str());
}

inline void print_names(const char* title, const std::vector<std::string>& names) {
  if (names.empty()) return;
  std::printf("%s: %s\n", title, plan_detail::listed(names, 20).c_str());
}

}  // namespace report_detail

/// Prints the quantized tensors, the others with the reason, and totals.
///
/// @param sums  of each tensor; empty if nothing was converted
inline void print_report(const plan& done, const std::vector<error_sums>& sums) {
  const auto width = static_cast<int>(report_detail::widest_name(done));
  std::printf("%-*s  %-20s  %12s  %12s  %11s  %7s\n", width, "tensor", "scheme", "before", "after",
              "bits/weight", "SQNR dB");
  for (std::size_t i = 0; i < done.tensors.size(); ++i) {
    const planned_tensor& t = done.tensors[i];
    if (t.what == action::keep) continue;
    const bool is_exact = t.what == action::unpack;
    report_detail::print_row(width, t.tensor->name, is_exact ? "as " + t.tensor->type : t.scheme,
                             t.bytes_before(), t.bytes_after, t.shape.size(),
                             is_exact ? "exact" : decibel_text(sums.empty() ? nullptr : &sums[i]));
  }
  const quantized_totals totals(done, sums);
  report_detail::print_row(width, std::to_string(totals.tensors) + " quantized", "",
                           totals.bytes_before, totals.bytes_after, totals.weights,
                           decibel_text(sums.empty() ? nullptr : &totals.sums));
  for (const planned_tensor& t : done.tensors) {
    if (t.what != action::keep) continue;
    std::printf("%-*s  kept: %s, %s\n", width, plain(t.tensor->name).c_str(), t.reason.c_str(),
                size_text(t.bytes_after).c_str());
  }
  report_detail::print_names("without calibration data", done.uncalibrated);
  report_detail::print_names("metadata left out, no UTF-8", done.left_out);
  std::printf("all tensors: %s before, %s after\n", size_text(done.in->bytes()).c_str(),
              size_text(done.bytes_after()).c_str());
}

namespace report_detail {

using json = nlohmann::ordered_json;

inline json finite(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

inline json tensor_as_json(const plan& done, std::size_t i, const std::vector<error_sums>& sums) {
  const planned_tensor& t = done.tensors[i];
  constexpr const char* names[] = {"kept", "unpacked", "quantized"};
  json entry = {{"name", t.tensor->name},           {"type", t.tensor->type},
                {"shape", t.tensor->shape},         {"status", names[static_cast<int>(t.what)]},
                {"bytes_before", t.bytes_before()}, {"bytes_after", t.bytes_after}};
  if (t.what == action::keep) {
    entry["reason"] = t.reason;
    return entry;
  }
  entry["scheme"] = t.scheme;
  entry["bits_per_weight"] = bits_per_weight(t.bytes_after, t.shape.size());
  if (t.what == action::unpack) return entry;
  entry["pattern"] = done.rules[static_cast<std::size_t>(t.rule)].pattern;
  entry["calibrated"] = t.inputs != nullptr;
  entry["sqnr_db"] = sums.empty() ? json(nullptr) : finite(sums[i].sqnr_db());
  entry["max_error"] = sums.empty() ? json(nullptr) : finite(sums[i].largest);
  return entry;
}

}  // namespace report_detail

/// Writes the JSON file.
///
/// @param out  path of the output, or empty if there is none
/// @throws failure if the file cannot be written
inline void write_report(const std::string& path, const plan& done, const std::string& out,
                         bool is_verified, const std::vector<error_sums>& sums) {
  using report_detail::json;
  const quantized_totals totals(done, sums);
  json report = {
      {"schema", "fewbit-quantize 1"},
      {"input",
       {{"path", done.in->path()},
        {"format", name_of(done.in->format())},
        {"bytes", done.in->bytes()}}},
      {"output",
       {{"path", out.empty() ? json(nullptr) : json(out)},
        {"format", name_of(done.out_format)},
        {"bytes", done.bytes_after()}}},
      {"calibration", done.calibration == nullptr ? json(nullptr) : json(done.calibration->path())},
      {"verified", is_verified},
      {"totals",
       {{"tensors", totals.tensors},
        {"weights", totals.weights},
        {"bytes_before", totals.bytes_before},
        {"bytes_after", totals.bytes_after},
        {"bits_per_weight", bits_per_weight(totals.bytes_after, totals.weights)},
        {"sqnr_db", sums.empty() ? json(nullptr) : report_detail::finite(totals.sums.sqnr_db())}}},
      {"tensors", json::array()},
      {"uncalibrated", done.uncalibrated},
      {"left_out", done.left_out}};
  for (std::size_t i = 0; i < done.tensors.size(); ++i) {
    report["tensors"].push_back(report_detail::tensor_as_json(done, i, sums));
  }
  // A name that is no UTF-8 shows replacement characters.
  const std::string text = report.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  or_exit(exit_output, [&] {
    atomic_file file(path, read_back::no, "write_report");
    file.write(0, std::as_bytes(std::span(text)));
    file.commit();
  });
}

}  // namespace fewbit::examples::checkpoint
