#pragma once
/// Counts the vectors of each operator and prints a table after the last test:
///
///     operator                 passed  all  skipped
///     cmsis_nn conv int8           22   22
///     cmsis_nn lstm                 0    5  5: comes later
///
/// A test counts itself with a `counted` that lives as long as its checks.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>

namespace fewbit::tests {

class conformance_report : public testing::EmptyTestEventListener {
 public:
  struct counts {
    int passed = 0;
    int all = 0;
    std::map<std::string, int> skipped;  // by reason
  };

  /// The report of this program. GoogleTest owns it.
  static conformance_report& instance() {
    static auto* const report = [] {
      auto* made = new conformance_report;
      testing::UnitTest::GetInstance()->listeners().Append(made);
      return made;
    }();
    return *report;
  }

  counts& of(const std::string& op) { return rows_[op]; }

  void OnTestProgramEnd(const testing::UnitTest& /*unit*/) override {
    if (rows_.empty()) return;
    int width = 8;
    for (const auto& [op, n] : rows_) width = std::max(width, static_cast<int>(op.size()));
    std::printf("\n%-*s  passed  all  skipped\n", width, "operator");
    counts total;
    for (const auto& [op, n] : rows_) {
      print(width, op, n);
      total.passed += n.passed;
      total.all += n.all;
    }
    print(width, "all", total);
    std::fflush(stdout);
  }

 private:
  static void print(int width, const std::string& op, const counts& n) {
    std::string reasons;
    for (const auto& [reason, times] : n.skipped) {
      if (!reasons.empty()) reasons += "; ";
      reasons += std::to_string(times) + ": " + reason;
    }
    std::printf("%-*s  %6d  %3d%s%s\n", width, op.c_str(), n.passed, n.all,
                reasons.empty() ? "" : "  ", reasons.c_str());
  }

  std::map<std::string, counts> rows_;
};

/// Listens before the first test runs.
inline const conformance_report& registered_report = conformance_report::instance();

/// One vector. It passed if the test has no failure when the object is destroyed.
class counted {
 public:
  explicit counted(const std::string& op) : counts_(conformance_report::instance().of(op)) {
    ++counts_.all;
  }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() {
    if (!skipped_ && !testing::Test::HasFailure()) ++counts_.passed;
  }

  /// The test calls GTEST_SKIP after it.
  void skip(const std::string& reason) {
    skipped_ = true;
    ++counts_.skipped[reason];
  }

 private:
  conformance_report::counts& counts_;
  bool skipped_ = false;
};

}  // namespace fewbit::tests
