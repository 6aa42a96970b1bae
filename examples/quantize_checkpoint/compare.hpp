#pragma once
/// `compare A B`: how far the values of two files are from each other.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "convert.hpp"
#include "error_sums.hpp"
#include "failure.hpp"
#include "plan.hpp"
#include "report.hpp"
#include "source.hpp"
#include "values.hpp"
#include "verify.hpp"

namespace fewbit::examples::checkpoint {

namespace compare_detail {

/// One tensor or quantized matrix of both files.
struct pair_of_values {
  std::string name;
  std::string type_a, type_b;
  error_sums sums;       // of b against a
  std::string mismatch;  // why there are no sums

  /// For sorting: a pair without sums is the worst.
  [[nodiscard]] double sqnr_db() const {
    if (!mismatch.empty()) return -INFINITY;
    const double db = sums.sqnr_db();
    return std::isnan(db) ? -INFINITY : db;
  }
};

/// Parts of matrices have no row of their own.
inline std::vector<const source_tensor*> rows_to_compare(const source& file) {
  std::vector<const source_tensor*> result;
  for (const source_tensor& t : file.tensors()) {
    if (t.kind != content::part || t.owner == t.name) result.push_back(&t);
  }
  return result;
}

inline std::string type_of(const source& file, const source_tensor& t) {
  if (t.kind != content::part) return t.type;
  return short_scheme(file.matrices().at(t.owner).scheme);
}

inline matrix_shape shape_of(const source& file, const source_tensor& t, bool is_gguf) {
  if (t.kind == content::part) return file.matrices().at(t.owner).shape;
  return plan_detail::shape_of(t, is_gguf);
}

inline value_reader reader_of(const source& file, const source_tensor& t,
                              const matrix_shape& shape) {
  return t.kind == content::part ? values_of_matrix(file, t.owner)
                                 : values_of_tensor(file, t, shape);
}

inline pair_of_values compare_pair(const source& a, const source_tensor& ta, const source& b,
                                   const source_tensor& tb) {
  pair_of_values result{ta.name, type_of(a, ta), type_of(b, tb), {}, {}};
  const bool is_gguf = a.format() == file_format::gguf || b.format() == file_format::gguf;
  if (ta.kind == content::numbers || tb.kind == content::numbers) {
    if (ta.type != tb.type || ta.shape != tb.shape || !verify_detail::are_equal(a, ta, b, tb)) {
      result.mismatch = "other bytes";
    }
    return result;
  }
  matrix_shape shape_a = shape_of(a, ta, is_gguf);
  matrix_shape shape_b = shape_of(b, tb, is_gguf);
  if (shape_a.size() != shape_b.size()) {
    result.mismatch = "other shape";
    return result;
  }
  if (shape_a.size() == 0) return result;
  // Floats can be read in any shape; blocks and matrices have one.
  if (ta.kind == content::floats) shape_a = shape_b;
  if (tb.kind == content::floats) shape_b = shape_a;
  if (shape_a.rows != shape_b.rows) {
    result.mismatch = "other shape";
    return result;
  }
  const value_reader from = reader_of(a, ta, shape_a), to = reader_of(b, tb, shape_b);
  const chunking cut(shape_a);
  for (index chunk = 0; chunk < cut.chunks; ++chunk) {
    expect_no_signal();
    const index first = cut.first(chunk), rows = cut.rows(chunk, shape_a);
    result.sums.add(sums_of(from.rows(first, rows), to.rows(first, rows)));
  }
  return result;
}

}  // namespace compare_detail

/// Prints a row for each tensor of both files, the largest relative error first.
///
/// @param least_sqnr  a tensor with at least this SQNR in dB counts as equal; without it, values
///                    must be equal
/// @return exit_done, or exit_differ if a tensor differs or is in one file alone
inline exit_code compare(const source& a, const source& b, std::optional<double> least_sqnr) {
  using namespace compare_detail;
  std::vector<pair_of_values> pairs;
  std::vector<std::string> only_a, only_b;
  for (const source_tensor* t : rows_to_compare(a)) {
    const source_tensor* const other = b.find(t->name);
    if (other == nullptr) {
      only_a.push_back(t->name);
    } else {
      pairs.push_back(compare_pair(a, *t, b, *other));
    }
  }
  for (const source_tensor* t : rows_to_compare(b)) {
    if (a.find(t->name) == nullptr) only_b.push_back(t->name);
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const auto& x, const auto& y) { return x.sqnr_db() < y.sqnr_db(); });

  int width = 6;
  for (const auto& p : pairs) width = std::max(width, static_cast<int>(p.name.size()));
  std::printf("%-*s  %-24s  %-24s  %8s  %10s\n", width, "tensor", "first file", "second file",
              "SQNR dB", "max error");
  std::size_t different = only_a.size() + only_b.size();
  for (const auto& p : pairs) {
    const bool is_equal =
        p.mismatch.empty() && (least_sqnr ? p.sqnr_db() >= *least_sqnr : p.sums.noise == 0.0);
    if (!is_equal) ++different;
    std::printf("%-*s  %-24s  %-24s  %8s  %10s\n", width, plain(p.name).c_str(), p.type_a.c_str(),
                p.type_b.c_str(), p.mismatch.empty() ? decibel_text(&p.sums).c_str() : "-",
                p.mismatch.empty() ? detail::text(static_cast<float>(p.sums.largest)).c_str()
                                   : p.mismatch.c_str());
  }
  report_detail::print_names("in the first file alone", only_a);
  report_detail::print_names("in the second file alone", only_b);
  std::printf("%zu tensors compared, %zu differ\n", pairs.size(), different);
  return different == 0 ? exit_done : exit_differ;
}

}  // namespace fewbit::examples::checkpoint
