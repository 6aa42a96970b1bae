#pragma once
/// The observers of one tensor in a calibration: one of four types. Private to calibration.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "fewbit/calib/batch.hpp"
#include "fewbit/calib/histogram_observer.hpp"
#include "fewbit/calib/max_observer.hpp"
#include "fewbit/calib/per_channel.hpp"
#include "fewbit/calib/text.hpp"
#include "fewbit/calib/threshold.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The observers that a calibration can hold.
template <class O>
concept CalibrationObserver =
    std::same_as<O, max_observer> || std::same_as<O, histogram_observer> ||
    std::same_as<O, per_channel<max_observer>> || std::same_as<O, per_channel<histogram_observer>>;

namespace detail {

struct calibration_parts;  // io/calibration_file.hpp

using any_observer = std::variant<max_observer, histogram_observer, per_channel<max_observer>,
                                  per_channel<histogram_observer>>;

template <class O>
inline constexpr const char* type_name_of = nullptr;
template <>
inline constexpr const char* type_name_of<max_observer> = "max_observer";
template <>
inline constexpr const char* type_name_of<histogram_observer> = "histogram_observer";
template <>
inline constexpr const char* type_name_of<per_channel<max_observer>> = "per_channel<max_observer>";
template <>
inline constexpr const char* type_name_of<per_channel<histogram_observer>> =
    "per_channel<histogram_observer>";

template <class O>
inline constexpr bool has_channels = false;
template <class O>
inline constexpr bool has_channels<per_channel<O>> = true;

inline const char* observer_type_name(const any_observer& any) {
  return std::visit([]<class O>(const O&) { return type_name_of<O>; }, any);
}

inline bool is_per_channel(const any_observer& any) {
  return std::visit([]<class O>(const O&) { return has_channels<O>; }, any);
}

/// Calls f for the observer, or for the observer of each channel.
template <class O, class F>
  requires(!std::same_as<O, any_observer>)
void for_each_channel(const O& observer, F&& f) {
  if constexpr (has_channels<O>) {
    for (index c = 0; c < observer.channels(); ++c) f(observer[c]);
  } else {
    f(observer);
  }
}

template <class F>
void for_each_channel(const any_observer& any, F&& f) {
  std::visit([&](const auto& o) { for_each_channel(o, f); }, any);
}

inline index channels_of(const any_observer& any) {
  index n = 0;
  for_each_channel(any, [&](const auto&) { ++n; });
  return n;
}

/// The number of values that the observer has counted or skipped, in its fullest channel.
template <class O>
[[nodiscard]] std::uint64_t values_of(const O& observer) {
  std::uint64_t most = 0;
  for_each_channel(observer,
                   [&](const auto& o) { most = std::max(most, o.count() + o.skipped()); });
  return most;
}

inline void expect_values(const caller& by, const any_observer& any) {
  for_each_channel(any, [&](const auto& o) { expect_data(by, o.count()); });
}

/// The range by a method: needs a histogram.
template <class O, class Method>
[[nodiscard]] range range_by(const O& observer, const caller& by, const Method& method, clip ends) {
  if constexpr (std::same_as<O, histogram_observer>) {
    return observer.range(by, method, ends);
  } else {
    fail(by.name().c_str(), "observer", type_name_of<O>, "one with histograms");
  }
}

/// The range of one channel: by the method if it has a histogram, else from the extremes.
template <class Method>
[[nodiscard]] range any_range(const any_observer& any, index channel, const Method& method,
                              clip ends) {
  const auto of = [&]<class O>(const O& o) {
    if constexpr (std::same_as<O, histogram_observer>) {
      return o.range(method, ends);
    } else {
      const range r = o.range();
      return ends == clip::symmetric ? range{-r.amax(), r.amax()} : r;
    }
  };
  return std::visit(
      [&]<class O>(const O& o) {
        if constexpr (has_channels<O>) {
          return of(o[channel]);
        } else {
          return of(o);
        }
      },
      any);
}

/// Fails if `mine` cannot take the values of `theirs`.
inline void expect_mergeable(const caller& by, const any_observer& mine,
                             const any_observer& theirs) {
  expect(mine.index() == theirs.index(), by, "observer of other", observer_type_name(theirs),
         observer_type_name(mine));
  std::visit(
      [&]<class O>(const O& a) {
        const O& b = *std::get_if<O>(&theirs);
        const auto check = [&](const auto& x, const auto& y) {
          text_form::expect_same_settings(by, " of other", x, y);
          expect_countable(by, "count of observed values",
                           x.count() + x.skipped() + y.count() + y.skipped());
        };
        if constexpr (has_channels<O>) {
          expect_same(by, "channels of other", b.channels(), a.channels());
          for (index c = 0; c < a.channels(); ++c) check(a[c], b[c]);
        } else {
          check(a, b);
        }
      },
      mine);
}

/// Both have the same type and settings.
inline void merge_observer(any_observer& mine, const any_observer& theirs) {
  std::visit([&]<class O>(O& o) { o.merge(*std::get_if<O>(&theirs)); }, mine);
}

/// The heap memory of the observer.
inline std::size_t bytes_behind(const any_observer& any) {
  std::size_t sum = 0;
  std::visit(
      [&]<class O>(const O& o) {
        for_each_channel(o, [&]<class C>(const C& channel) {
          if constexpr (std::same_as<C, histogram_observer>) sum += channel.bytes() - sizeof(C);
          if constexpr (has_channels<O>) sum += sizeof(C);
        });
      },
      any);
  return sum;
}

inline void write(text_writer& out, const any_observer& any) {
  out.words("observer", observer_type_name(any));
  std::visit([&](const auto& o) { text_form::write(out, o); }, any);
}

template <std::size_t I = 0>
[[nodiscard]] any_observer read_observer(text_reader& in, std::string_view type) {
  if constexpr (I == std::variant_size_v<any_observer>) {
    fail(in.function(), "observer", std::string(type.substr(0, 40)),
         "max_observer, histogram_observer or per_channel of one of them");
  } else {
    using observer = std::variant_alternative_t<I, any_observer>;
    if (type == type_name_of<observer>) return text_form::read<observer>(in);
    return read_observer<I + 1>(in, type);
  }
}

[[nodiscard]] inline any_observer read_observer(text_reader& in) {
  return read_observer<0>(in, in.words("observer"));
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
