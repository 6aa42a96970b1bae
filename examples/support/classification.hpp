#pragma once
/// A table of classifiers: right answers, agreement with the first one, images per second.

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/core/types.hpp"
#include "progress.hpp"
#include "table.hpp"

namespace fewbit::examples {

/// The position of the largest score, the first of several.
template <class Scores>
index best_of(const Scores& scores) {
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

class classification {
 public:
  /// @param labels  the right answer for each image
  classification(const std::string& program, std::vector<index> labels)
      : labels_(std::move(labels)), results_(columns_for(program)) {}

  /// Adds a row. @param answer  answer(i) returns the answer for image i
  template <class Answer>
  void add(const std::string& name, double weight_bytes, const Answer& answer) {
    const auto count = static_cast<index>(labels_.size());
    std::vector<index> found;
    const std::clock_t start = std::clock();
    progress bar(name, count);
    for (index i = 0; i < count; ++i) {
      found.push_back(answer(i));
      bar.update(i + 1);
    }
    const auto ticks = static_cast<double>(std::clock() - start);
    add_row(name, found, weight_bytes, static_cast<double>(count) * CLOCKS_PER_SEC / ticks);
  }

  /// Adds a row of answers that were computed elsewhere.
  template <class Answer>
  void add_given(const std::string& name, const Answer& answer) {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    std::vector<index> found;
    for (index i = 0; i < static_cast<index>(labels_.size()); ++i) found.push_back(answer(i));
    add_row(name, found, none, none);
  }

  [[nodiscard]] const table& results() const { return results_; }

 private:
  static table columns_for(const std::string& program) {
    return {program,
            "scheme",
            {{"right", "right", 0},
             {"top-1 %", "top1_percent", 2},
             {"as float %", "agrees_with_float_percent", 2},
             {"weight bytes", "weight_bytes", 0},
             {"images/s", "images_per_cpu_second", 1}}};
  }

  static index count_equal(const std::vector<index>& a, const std::vector<index>& b) {
    index equal = 0;
    for (std::size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i] ? 1 : 0;
    return equal;
  }

  void add_row(const std::string& name, const std::vector<index>& found, double weight_bytes,
               double rate) {
    if (reference_.empty()) reference_ = found;
    const double share = 100.0 / static_cast<double>(labels_.size());
    const auto right = static_cast<double>(count_equal(found, labels_));
    const auto same = static_cast<double>(count_equal(found, reference_));
    results_.add(name, {right, right * share, same * share, weight_bytes, rate});
  }

  std::vector<index> labels_;
  std::vector<index> reference_;
  table results_;
};

}  // namespace fewbit::examples
