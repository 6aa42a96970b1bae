#pragma once
/// One observer for each column of the data.
///
/// Use it for weights or activations whose channels have very different ranges. One common range
/// would then cause large quantization errors. If a channel is a row, as in a weight matrix w, pass
/// the transpose: `observer.observe(w.transpose())`. Read next: observer.hpp for the observers.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/calib/batch.hpp"
#include "fewbit/calib/observer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Channel c observes column c of every batch. Its state equals the state of an O that observes
/// only this column.
template <Observer O>
class per_channel {
 public:
  static constexpr index most_channels = index{1} << 24;

  /// Each channel starts as a copy of `prototype`.
  /// @param channels  from 1 to 2^24
  explicit per_channel(index channels, const O& prototype = O{})
      : channels_(static_cast<std::size_t>(checked(name, channels)), prototype) {}

  /// @param x  samples x channels
  /// @throws fewbit::error if x is empty or has a wrong number of columns, and on NaN or infinity
  ///         unless the policy is to skip them. After an error, all channels are unchanged.
  void observe(const Eigen::Ref<const row_matrix<float>>& x) { observe({name, "observe"}, x); }

  /// The overloads with `by` are for an object that contains this one. Errors name `by`.
  void observe(const detail::caller& by, const Eigen::Ref<const row_matrix<float>>& x) {
    detail::expect_not_empty(by, x);
    detail::expect_same(by, "x.cols()", x.cols(), channels());
    if (channels_.front().policy() == nan_policy::fail && !detail::all_finite(x)) {
      detail::fail_at_first_non_finite(by, x);
    }
    expect_room(by, x.rows());
    constexpr index block = 16;  // number of columns that are transposed at once
    row_matrix<float> turned;
    for (index first = 0; first < channels(); first += block) {
      const index width = std::min(block, channels() - first);
      turned = x.middleCols(first, width).transpose();
      for (index c = 0; c < width; ++c) {
        O& channel = channels_[static_cast<std::size_t>(first + c)];
        if constexpr (names_caller) {
          channel.observe(by, turned.row(c));
        } else {
          channel.observe(turned.row(c));
        }
      }
    }
  }

  /// @throws fewbit::error if the number of channels or the settings differ.
  void merge(const per_channel& other)
    requires MergeableObserver<O>
  {
    merge({name, "merge"}, other);
  }

  void merge(const detail::caller& by, const per_channel& other)
    requires MergeableObserver<O>
  {
    detail::expect_same(by, "channels of other", other.channels(), channels());
    std::vector<O> merged = channels_;
    for (std::size_t c = 0; c < merged.size(); ++c) {
      if constexpr (names_caller) {
        merged[c].merge(by, other.channels_[c]);
      } else {
        merged[c].merge(other.channels_[c]);
      }
    }
    channels_ = std::move(merged);
  }

  /// One range for each channel. The arguments are passed to range() of each channel, for example
  /// `ranges(by_mse{.bits = 4})` for a per_channel<histogram_observer>.
  /// @throws fewbit::error if a channel has no value.
  template <class... Arguments>
  [[nodiscard]] std::vector<range> ranges(const Arguments&... arguments) const {
    std::vector<range> out;
    out.reserve(channels_.size());
    for (const O& channel : channels_) {
      if constexpr (names_caller) {
        out.push_back(channel.range(detail::caller{name, "ranges"}, arguments...));
      } else {
        out.push_back(channel.range(arguments...));
      }
    }
    return out;
  }

  [[nodiscard]] index channels() const noexcept { return static_cast<index>(channels_.size()); }
  [[nodiscard]] const O& operator[](index c) const noexcept {
    return channels_[static_cast<std::size_t>(c)];
  }

  [[nodiscard]] std::uint64_t skipped() const noexcept {
    std::uint64_t sum = 0;
    for (const O& channel : channels_) sum += channel.skipped();
    return sum;
  }

  [[nodiscard]] std::string to_text() const { return detail::text_of(*this); }

  /// @throws fewbit::error on a text that to_text() cannot have written.
  [[nodiscard]] static per_channel from_text(std::string_view text) {
    return detail::parse_text<per_channel>(text, "per_channel::from_text");
  }

  friend bool operator==(const per_channel&, const per_channel&) = default;

 private:
  friend detail::text_form;
  static constexpr const char* name = "per_channel";

  void write(detail::text_writer& out) const {
    out.line("fewbit per_channel 1");
    out.field("channels", channels_.size());
    for (const O& channel : channels_) detail::text_form::write(out, channel);
  }

  static per_channel read(detail::text_reader& in) {
    in.line("fewbit per_channel 1");
    const auto n = static_cast<index>(in.field("channels", detail::text_reader::largest_index));
    checked(in.function(), n);
    per_channel made(1, detail::text_form::read<O>(in));
    for (index c = 1; c < n; ++c) {
      made.channels_.push_back(detail::text_form::read<O>(in));
      detail::text_form::expect_neighbours(detail::caller{in.function()},
                                           " of channel " + detail::text(c), made.channels_.front(),
                                           made.channels_.back());
    }
    return made;
  }

  /// Whether O::observe takes a detail::caller, which names the called function in errors.
  static constexpr bool names_caller =
      requires(O& o, const detail::caller& by, const Eigen::Ref<const row_matrix<float>>& x) {
        o.observe(by, x);
      };

  static index checked(const char* function, index channels) {
    detail::expect(channels >= 1, function, "channels", channels, "at least 1");
    detail::expect(channels <= most_channels, function, "channels", channels, "at most 16777216");
    return channels;
  }

  /// Fails if a channel cannot count one more batch of `rows` rows. Without this check, an error in
  /// a later channel would leave the earlier channels changed.
  ///
  /// The numbers of skipped values and of counted batches can differ between channels, so every
  /// channel is checked. The total number of values is equal in all channels. It needs no check,
  /// because the first channel fails before another one changes.
  void expect_room(const detail::caller& by, index rows) const {
    for (const O& channel : channels_) {
      detail::expect_countable(by, "count of skipped values",
                               channel.skipped() + static_cast<std::uint64_t>(rows));
      if constexpr (requires { channel.batches(); }) {
        detail::expect_countable(by, "count of batches", channel.batches() + 1);
      }
    }
  }

  std::vector<O> channels_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
