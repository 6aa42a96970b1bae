#pragma once
/// Observers of many tensors by name: a whole network is calibrated in one pass over the data.
///
///     calibration seen;
///     seen.add("conv1", histogram_observer{});
///     seen.add("conv2", per_channel<histogram_observer>(64));
///     for (std::uint64_t b = 0; b < batches; ++b) {
///       if (seen.batches().contains(b)) continue;     // seen by a run that was stopped
///       ...
///       seen.observe("conv1", x);                     // as often as the batch has values
///       seen.end_batch(b);
///     }
///     const range r = seen.range("conv1", by_entropy{});
///     const std::vector<range> per_column = seen.ranges("conv2", by_mse{.bits = 4});
///
/// The work can be split between threads, processes or machines in any way: each has its own
/// calibration, and merge() joins them. The result has the same bits as one calibration that has
/// seen all batches, because the state of each observer depends only on the multiset of values.
/// to_text() and from_text() carry a state to another process. io/calibration_file.hpp saves it.
///
/// | memory                                               | bytes                      |
/// |------------------------------------------------------|----------------------------|
/// | a tensor with max_observer                           | at most 900, and its name  |
/// | a tensor with histogram_observer, 2048 bins          | at most 36,000             |
/// | a channel of per_channel<histogram_observer>         | the same                   |
/// | a range of neighbouring numbers of batches           | 16                         |

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "fewbit/calib/batch_set.hpp"
#include "fewbit/calib/calibration/any_observer.hpp"
#include "fewbit/calib/text.hpp"
#include "fewbit/calib/threshold_observer.hpp"
#include "fewbit/core/executor.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The ranges of one tensor: one range, or one for each channel.
struct tensor_ranges {
  std::string name;
  std::vector<fewbit::range> ranges;

  friend bool operator==(const tensor_ranges&, const tensor_ranges&) = default;
};

/// A set of observers by the names of tensors, and the numbers of the batches that they have seen.
///
/// Each name has one of these observers: max_observer, histogram_observer,
/// per_channel<max_observer>, per_channel<histogram_observer>. Errors name the tensor. A call that
/// fails changes nothing.
class calibration {
 public:
  /// from_text() refuses a text whose observers need more memory, unless the caller allows it.
  static constexpr std::uint64_t usual_limit = std::uint64_t{1} << 30;
  static constexpr std::size_t longest_name = 4096;

  /// Adds a tensor.
  /// @param name      1 to 4096 bytes without control characters, not added before
  /// @param observer  one that has seen no values
  template <CalibrationObserver O>
  void add(std::string_view name, O observer) {
    expect_name(caller_of("add").name().c_str(), name);
    const auto at = place_of(name);
    const bool is_new = at == entries_.size() || entries_[at].name != name;
    detail::expect(is_new, caller_of("add"), "tensor", quoted(name), "a name without observer");
    const std::uint64_t count = detail::values_of(observer);
    detail::expect(count == 0, caller_of("add"), "count of values of the observer", count, "0");
    entries_.insert(entries_.begin() + static_cast<std::ptrdiff_t>(at),
                    entry{std::string(name), std::move(observer)});
  }

  /// Shows values to the observer of a tensor. A batch can consist of several calls.
  ///
  /// @param x  any shape for an observer of the tensor, samples x channels for one per channel
  /// @throws fewbit::error if no tensor has this name, and as observe() of its observer
  void observe(std::string_view name, const Eigen::Ref<const row_matrix<float>>& x) {
    entry& e = entries_[found(caller_of("observe"), name)];
    const std::string by = of_tensor(caller_of("observe"), name);
    std::visit([&](auto& o) { o.observe(detail::caller{by.c_str()}, x); }, e.observer);
    batch_is_open_ = true;
  }

  /// Ends the batch with this number. Its values then belong to the state.
  ///
  /// @param number  any number that this calibration has not seen, up to 2^62 - 2. Processes that
  ///                share one data set use its numbering, so that merge() finds a batch that two of
  ///                them have seen.
  void end_batch(std::uint64_t number) {
    batches_.add(caller_of("end_batch"), number);
    batch_is_open_ = false;
  }

  [[nodiscard]] const batch_set& batches() const noexcept { return batches_; }

  /// Adds all that `other` has seen. The result is the same in either order, bit for bit.
  ///
  /// @throws fewbit::error if an observer of the same name has other settings, if both have seen a
  ///         batch, if a batch is not ended, or if counts would exceed 2^62 - 1
  void merge(const calibration& other) { merge(caller_of("merge"), other); }

  /// The same for a function that calls this one. Errors name `by`.
  void merge(const detail::caller& by, const calibration& other) {
    expect_ended(by, "batch", *this);
    expect_ended(by, "batch of other", other);
    batch_set both = batches_.merged(by, other.batches_);
    std::size_t added = 0;
    for (const entry& theirs : other.entries_) {
      const entry* const mine = find(theirs.name);
      const std::string of = of_tensor(by, theirs.name);
      if (mine != nullptr) {
        detail::expect_mergeable({of.c_str()}, mine->observer, theirs.observer);
      }
      added += mine == nullptr ? 1 : 0;
    }
    entries_.reserve(entries_.size() + added);
    for (const entry& theirs : other.entries_) merge_entry(theirs);
    batches_ = std::move(both);
  }

  /// The number of tensors.
  [[nodiscard]] index size() const noexcept { return static_cast<index>(entries_.size()); }
  /// The name of tensor i, 0 <= i < size(). Names ascend.
  [[nodiscard]] const std::string& name(index i) const noexcept { return at(i).name; }
  [[nodiscard]] bool contains(std::string_view name) const noexcept {
    return find(name) != nullptr;
  }

  /// The observer of a tensor.
  /// @throws fewbit::error if no tensor has this name, or if its observer has another type
  template <CalibrationObserver O>
  [[nodiscard]] const O& observer(std::string_view name) const {
    const entry& e = entries_[found(caller_of("observer"), name)];
    const O* const o = std::get_if<O>(&e.observer);
    if (o == nullptr) {
      detail::fail(of_tensor(caller_of("observer"), name).c_str(), "observer",
                   detail::observer_type_name(e.observer), detail::type_name_of<O>);
    }
    return *o;
  }

  /// The exact extremes of a tensor: one range, or one for each channel.
  /// @throws fewbit::error before the first value, or if no tensor has this name
  [[nodiscard]] std::vector<fewbit::range> ranges(std::string_view name) const {
    return ranges_of(name, [](const auto& o, const detail::caller& by) { return o.range(by); });
  }

  /// The ranges that `method` chooses from histograms, e.g. `ranges("conv1", by_percentile{99.9})`.
  /// @throws fewbit::error before the first value, or unless the tensor has histograms
  template <ThresholdMethod Method>
  [[nodiscard]] std::vector<fewbit::range> ranges(std::string_view name, const Method& method,
                                                  clip ends = clip::symmetric) const {
    return ranges_of(name, [&](const auto& o, const detail::caller& by) {
      return detail::range_by(o, by, method, ends);
    });
  }

  /// The same for a tensor with a single range. The arguments are those of ranges().
  /// @throws fewbit::error also if the tensor has an observer for each channel
  template <class... Arguments>
  [[nodiscard]] fewbit::range range(std::string_view name, const Arguments&... arguments) const {
    const entry& e = entries_[found(caller_of("range"), name)];
    if (detail::is_per_channel(e.observer)) {
      detail::fail(of_tensor(caller_of("range"), name).c_str(), "observer",
                   detail::observer_type_name(e.observer), "one without channels; use ranges()");
    }
    return ranges(name, arguments...).front();
  }

  /// The ranges of all tensors in the order of names: by `method` from histograms, else the
  /// extremes, which are [-max|x|, max|x|] if `ends` is symmetric. The channels are the pieces of
  /// the executor.
  /// @throws fewbit::error if a tensor or a channel has no value
  template <ThresholdMethod Method, Executor E = inline_executor>
  [[nodiscard]] std::vector<tensor_ranges> all_ranges(const Method& method,
                                                      clip ends = clip::symmetric,
                                                      const E& executor = {}) const {
    detail::expect_valid_method(caller_of("all_ranges").name().c_str(), method);
    std::vector<tensor_ranges> all;
    std::vector<std::pair<std::size_t, index>> pieces;  // tensor, channel
    for (const entry& e : entries_) {
      const std::string by = of_tensor(caller_of("all_ranges"), e.name);
      detail::expect_values({by.c_str()}, e.observer);
      const index n = detail::channels_of(e.observer);
      for (index c = 0; c < n; ++c) pieces.emplace_back(all.size(), c);
      all.push_back({e.name, std::vector<fewbit::range>(static_cast<std::size_t>(n))});
    }
    executor.for_each(static_cast<index>(pieces.size()), [&](index i) {
      const auto [tensor, channel] = pieces[static_cast<std::size_t>(i)];
      all[tensor].ranges[static_cast<std::size_t>(channel)] =
          detail::any_range(entries_[tensor].observer, channel, method, ends);
    });
    return all;
  }

  /// Memory in bytes, with the object itself and all that it owns.
  [[nodiscard]] std::size_t bytes() const {
    std::size_t sum = sizeof(*this) - sizeof(batches_) + batches_.bytes();
    sum += entries_.capacity() * sizeof(entry);
    for (const entry& e : entries_) {
      sum += e.name.capacity() + 1 + detail::bytes_behind(e.observer);
    }
    return sum;
  }

  /// The whole state.
  /// @throws fewbit::error if a batch is not ended
  [[nodiscard]] std::string to_text() const {
    detail::text_writer out;
    write_head(out, caller_of("to_text"));
    for (const entry& e : entries_) write_entry(out, e);
    return out.take();
  }

  /// @param most_bytes  how much memory the observers may need
  /// @throws fewbit::error on a text that to_text() cannot have written, or above the limit
  [[nodiscard]] static calibration from_text(std::string_view text,
                                             std::uint64_t most_bytes = usual_limit) {
    detail::text_reader in(text, "calibration::from_text", {{}, most_bytes});
    calibration made;
    const std::uint64_t n = made.read_head(in);
    for (std::uint64_t i = 0; i < n; ++i) made.read_entry(in);
    in.end();
    return made;
  }

  friend bool operator==(const calibration&, const calibration&) = default;

 private:
  friend detail::calibration_parts;

  struct entry {
    std::string name;
    detail::any_observer observer;

    friend bool operator==(const entry&, const entry&) = default;
  };

  static constexpr detail::caller caller_of(const char* member) { return {"calibration", member}; }
  static std::string quoted(std::string_view name) { return "'" + std::string(name) + "'"; }
  static std::string of_tensor(const detail::caller& by, std::string_view name) {
    return by.name() + ": tensor " + quoted(name);
  }

  static void expect_name(const char* function, std::string_view name) {
    const bool is_short = !name.empty() && name.size() <= longest_name;
    detail::expect(is_short, function, "length of the name of a tensor", name.size(),
                   "from 1 to 4096");
    for (const char c : name) {
      const auto byte = static_cast<unsigned char>(c);
      detail::expect(byte >= 0x20 && byte != 0x7F, function, "a byte in the name of a tensor",
                     int{byte}, "no control character");
    }
  }

  static void expect_ended(const detail::caller& by, const char* argument, const calibration& c) {
    detail::expect(!c.batch_is_open_, by, argument, "not ended", "end_batch() after its values");
  }

  [[nodiscard]] const entry& at(index i) const noexcept {
    return entries_[static_cast<std::size_t>(i)];
  }

  /// The position of the first name that is not below `name`.
  [[nodiscard]] std::size_t place_of(std::string_view name) const noexcept {
    const auto at = std::lower_bound(
        entries_.begin(), entries_.end(), name,
        [](const entry& e, std::string_view n) { return std::string_view(e.name) < n; });
    return static_cast<std::size_t>(at - entries_.begin());
  }

  [[nodiscard]] const entry* find(std::string_view name) const noexcept {
    const std::size_t at = place_of(name);
    return at < entries_.size() && entries_[at].name == name ? &entries_[at] : nullptr;
  }

  [[nodiscard]] std::size_t found(const detail::caller& by, std::string_view name) const {
    const entry* const e = find(name);
    detail::expect(e != nullptr, by, "tensor", quoted(name), "a name of add()");
    return static_cast<std::size_t>(e - entries_.data());
  }

  template <class RangeOf>
  [[nodiscard]] std::vector<fewbit::range> ranges_of(std::string_view name,
                                                     RangeOf&& range_of) const {
    const entry& e = entries_[found(caller_of("ranges"), name)];
    const std::string by = of_tensor(caller_of("ranges"), name);
    std::vector<fewbit::range> all;
    detail::for_each_channel(
        e.observer, [&](const auto& o) { all.push_back(range_of(o, detail::caller{by.c_str()})); });
    return all;
  }

  /// All checks came before.
  void merge_entry(const entry& theirs) {
    const std::size_t at = place_of(theirs.name);
    if (at < entries_.size() && entries_[at].name == theirs.name) {
      detail::merge_observer(entries_[at].observer, theirs.observer);
    } else {
      entries_.insert(entries_.begin() + static_cast<std::ptrdiff_t>(at), theirs);
    }
  }

  void write_head(detail::text_writer& out, const detail::caller& by) const {
    expect_ended(by, "batch", *this);
    out.line("fewbit calibration 1");
    detail::text_form::write(out, batches_);
    out.field("tensors", entries_.size());
  }

  static void write_entry(detail::text_writer& out, const entry& e) {
    out.words("tensor", e.name);
    detail::write(out, e.observer);
  }

  /// Fills an empty object. Returns the number of tensors that follow.
  std::uint64_t read_head(detail::text_reader& in) {
    in.line("fewbit calibration 1");
    batches_ = detail::text_form::read<batch_set>(in);
    return in.field("tensors", detail::text_reader::largest_index);
  }

  void read_entry(detail::text_reader& in) {
    in.enter_tensor({});
    const std::string_view name = in.words("tensor");
    expect_name(in.function(), name);
    detail::expect(entries_.empty() || entries_.back().name < name, in, "tensor", quoted(name),
                   "a name above the one before");
    in.enter_tensor(name);
    in.claim_memory(2 * sizeof(entry) + name.size());
    entries_.push_back({std::string(name), detail::read_observer(in)});
    const bool is_seen = !batches_.empty() || detail::values_of(entries_.back().observer) == 0;
    detail::expect(is_seen, in, "count of values", "above 0", "0, because no batch was seen");
    in.enter_tensor({});
  }

  std::vector<entry> entries_;  // by ascending names
  batch_set batches_;
  bool batch_is_open_ = false;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
