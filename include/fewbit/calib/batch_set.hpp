#pragma once
/// The numbers of the batches that a calibration has seen. With them a stopped run goes on where it
/// was, and no batch counts twice. Read next: calibration.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/calib/batch.hpp"
#include "fewbit/calib/text.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A set of numbers from 0 to 2^62 - 2, stored as ranges of neighbouring numbers. A range takes 16
/// bytes, and there are at most 65,536 ranges.
class batch_set {
 public:
  static constexpr std::size_t most_ranges = 65536;
  static constexpr std::uint64_t largest = detail::text_reader::largest_count - 1;

  [[nodiscard]] bool contains(std::uint64_t number) const noexcept {
    const std::size_t i = place_of(number);
    return i != 0 && number < ranges_[i - 1].end;
  }

  /// How many numbers the set contains.
  [[nodiscard]] std::uint64_t count() const noexcept {
    std::uint64_t sum = 0;
    for (const numbers& r : ranges_) sum += r.end - r.first;
    return sum;
  }

  [[nodiscard]] bool empty() const noexcept { return ranges_.empty(); }

  /// Memory in bytes, with the object itself.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return sizeof(*this) + ranges_.capacity() * sizeof(numbers);
  }

  /// @throws fewbit::error if the set contains the number, if the number is too large, or if there
  ///         would be too many ranges
  void add(std::uint64_t number) { add({"batch_set", "add"}, number); }

  /// The overloads with `by` are for an object that contains this one. Errors name `by`.
  void add(const detail::caller& by, std::uint64_t number) {
    detail::expect(number <= largest, by, "number of a batch", number,
                   "at most " + detail::text(largest));
    detail::expect(!contains(number), by, "number of a batch", number,
                   "a batch that was not seen before");
    const std::size_t i = place_of(number);
    const bool follows = i != 0 && ranges_[i - 1].end == number;
    const bool precedes = i != ranges_.size() && ranges_[i].first == number + 1;
    if (follows && precedes) {
      ranges_[i - 1].end = ranges_[i].end;
      ranges_.erase(ranges_.begin() + static_cast<std::ptrdiff_t>(i));
    } else if (follows) {
      ++ranges_[i - 1].end;
    } else if (precedes) {
      --ranges_[i].first;
    } else {
      expect_few(by, ranges_.size() + 1);
      ranges_.insert(ranges_.begin() + static_cast<std::ptrdiff_t>(i), {number, number + 1});
    }
  }

  /// @throws fewbit::error if both sets contain a number, or if there would be too many ranges
  void merge(const batch_set& other) { *this = merged({"batch_set", "merge"}, other); }

  [[nodiscard]] batch_set merged(const detail::caller& by, const batch_set& other) const {
    std::vector<numbers> all(ranges_.size() + other.ranges_.size());
    std::merge(ranges_.begin(), ranges_.end(), other.ranges_.begin(), other.ranges_.end(),
               all.begin(), [](const numbers& a, const numbers& b) { return a.first < b.first; });
    batch_set both;
    for (const numbers& r : all) {
      const bool is_new = both.ranges_.empty() || both.ranges_.back().end <= r.first;
      detail::expect(is_new, by, "number of a batch of other", r.first,
                     "a batch that was not seen before");
      if (!both.ranges_.empty() && both.ranges_.back().end == r.first) {
        both.ranges_.back().end = r.end;
      } else {
        both.ranges_.push_back(r);
      }
    }
    expect_few(by, both.ranges_.size());
    return both;
  }

  friend bool operator==(const batch_set&, const batch_set&) = default;

 private:
  friend detail::text_form;

  struct numbers {
    std::uint64_t first;
    std::uint64_t end;  // one after the last

    friend bool operator==(const numbers&, const numbers&) = default;
  };

  /// The first range that begins above `number`.
  [[nodiscard]] std::size_t place_of(std::uint64_t number) const noexcept {
    const auto at =
        std::upper_bound(ranges_.begin(), ranges_.end(), number,
                         [](std::uint64_t n, const numbers& range) { return n < range.first; });
    return static_cast<std::size_t>(at - ranges_.begin());
  }

  static void expect_few(const detail::caller& by, std::size_t ranges) {
    detail::expect(ranges <= most_ranges, by, "ranges of batches", ranges,
                   "at most 65536: neighbouring numbers form one range");
  }

  /// Writes the number of ranges, and a line "first count" for each.
  void write(detail::text_writer& out) const {
    out.field("batch_ranges", ranges_.size());
    for (const numbers& r : ranges_) {
      out.entry(static_cast<std::int64_t>(r.first), r.end - r.first);
    }
  }

  static batch_set read(detail::text_reader& in) {
    batch_set made;
    const std::uint64_t n = in.field("batch_ranges", most_ranges);
    for (std::uint64_t i = 0; i < n; ++i) {
      const auto [key, count] = in.entry();
      const bool ascends =
          key >= 0 && (i == 0 || static_cast<std::uint64_t>(key) > made.ranges_.back().end);
      detail::expect(ascends, in, "first batch of a range", key,
                     "at least 0 and behind the end of the range before");
      const auto first = static_cast<std::uint64_t>(key);
      const bool fits = count != 0 && count <= largest + 1 - std::min(first, largest + 1);
      detail::expect(fits, in, "count of batches of a range", count,
                     "at least 1, and no number above " + detail::text(largest));
      made.ranges_.push_back({first, first + count});
    }
    return made;
  }

  std::vector<numbers> ranges_;  // ascending; a number lies between two of them
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
