#pragma once
/// A table with a name and numbers in each row, printed as text or written as JSON.
///
///     table t("digits", "scheme",
///             {{"accuracy %", "accuracy_percent", 2}, {"bytes", "weight_bytes", 0}});
///     t.add("float32", {97.5, 1200128});
///     t.print();
///     t.write_json("digits.json");

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/core/error.hpp"
#include "json_text.hpp"
#include "machine.hpp"

namespace fewbit::examples {

struct column {
  std::string title;  ///< in the printed text
  std::string key;    ///< in JSON
  int decimals;
};

class table {
 public:
  struct row {
    std::string name;
    std::vector<double> values;
  };

  table(std::string name, std::string row_title, std::vector<column> columns)
      : name_(std::move(name)), row_title_(std::move(row_title)), columns_(std::move(columns)) {}

  void add(std::string row_name, std::vector<double> values) {
    rows_.push_back({std::move(row_name), std::move(values)});
  }

  [[nodiscard]] const std::vector<row>& rows() const { return rows_; }

  void print() const {
    std::size_t name_width = row_title_.size();
    for (const row& r : rows_) name_width = std::max(name_width, r.name.size());
    std::printf("%s", padded(row_title_, name_width).c_str());
    for (const column& c : columns_) std::printf("  %*s", width_of(c), c.title.c_str());
    std::printf("\n");
    for (const row& r : rows_) {
      std::printf("%s", padded(r.name, name_width).c_str());
      for (std::size_t i = 0; i < columns_.size(); ++i) {
        std::printf("  %*s", width_of(columns_[i]), cell(r, i).c_str());
      }
      std::printf("\n");
    }
  }

  /// Writes one object: name, machine and rows. A number that is not finite becomes null.
  /// @throws fewbit::error if the file cannot be written.
  void write_json(const std::string& path) const {
    std::ofstream file(path);
    file << "{\n  \"name\": " << json_text(name_) << ",\n  \"machine\": " << machine_as_json()
         << ",\n  \"rows\": [";
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      file << (r == 0 ? "\n" : ",\n") << "    " << row_as_json(rows_[r]);
    }
    file << "\n  ]\n}\n";
    file.close();
    if (!file) detail::fail("write_json", path, "not writable", "a path to write to");
  }

 private:
  static std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(width, text.size()), ' ');
    return text;
  }

  static int width_of(const column& c) {
    return static_cast<int>(std::max<std::size_t>(c.title.size(), 8));
  }

  [[nodiscard]] std::string cell(const row& r, std::size_t i) const {
    if (!std::isfinite(r.values[i])) return "-";
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", columns_[i].decimals, r.values[i]);
    return text;
  }

  [[nodiscard]] std::string row_as_json(const row& r) const {
    std::string text = "{" + json_text(row_title_) + ": " + json_text(r.name);
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string value = std::isfinite(r.values[i]) ? cell(r, i) : "null";
      text += ", " + json_text(columns_[i].key) + ": " + value;
    }
    return text + "}";
  }

  std::string name_;
  std::string row_title_;
  std::vector<column> columns_;
  std::vector<row> rows_;
};

}  // namespace fewbit::examples
