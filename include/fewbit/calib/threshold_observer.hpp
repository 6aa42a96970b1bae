#pragma once
/// A histogram observer with one fixed method: percentile_observer, entropy_observer, mse_observer.
///
/// Use it for templates that need a type with observe(), merge() and range() without arguments. To
/// compare methods, use one histogram_observer (histogram_observer.hpp) and call range(method) for
/// each of them.

#include "fewbit/begin.hpp"

#include <string>
#include <string_view>
#include <utility>

#include "fewbit/calib/histogram_observer.hpp"
#include "fewbit/calib/threshold.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

inline void write(text_writer& out, const by_percentile& method) {
  out.line("fewbit percentile_observer 1");
  out.bits("p", method.p);
}

inline void read(text_reader& in, by_percentile& method) {
  in.line("fewbit percentile_observer 1");
  method.p = in.bits<double>("p");
  expect_percentile(in.function(), method.p);
}

/// The public name of the observer with this method, for errors.
template <class Method>
inline constexpr const char* observer_name = "threshold_observer";
template <>
inline constexpr const char* observer_name<by_percentile> = "percentile_observer";
template <>
inline constexpr const char* observer_name<by_entropy> = "entropy_observer";
template <>
inline constexpr const char* observer_name<by_mse> = "mse_observer";

/// Fails if a parameter of the method is out of its range. Other methods have no check.
template <class Method>
void expect_valid_method(const char*, const Method&) {}
inline void expect_valid_method(const char* function, const by_percentile& method) {
  expect_percentile(function, method.p);
}
inline void expect_valid_method(const char* function, const by_entropy& method) {
  expect_bits_and_first_bin(function, method.bits, method.first_bin);
}
inline void expect_valid_method(const char* function, const by_mse& method) {
  expect_bits_and_first_bin(function, method.bits, method.first_bin);
}

/// Writes the members of by_entropy or by_mse, which have the same names.
template <class Method>
void write_bits(text_writer& out, const Method& method) {
  out.field("bits", static_cast<std::uint64_t>(method.bits));
  out.field("unsigned_codes", method.unsigned_codes ? 1U : 0U);
  out.field("first_bin", static_cast<std::uint64_t>(method.first_bin));
}

template <class Method>
void read_bits(text_reader& in, Method& method) {
  method.bits = static_cast<int>(in.field("bits", 16));
  method.unsigned_codes = in.field("unsigned_codes", 1) == 1;
  method.first_bin = static_cast<index>(in.field("first_bin", text_reader::largest_index));
  expect_bits_and_first_bin(in.function(), method.bits, method.first_bin);
}

inline void write(text_writer& out, const by_entropy& method) {
  out.line("fewbit entropy_observer 1");
  write_bits(out, method);
}

inline void read(text_reader& in, by_entropy& method) {
  in.line("fewbit entropy_observer 1");
  read_bits(in, method);
}

inline void write(text_writer& out, const by_mse& method) {
  out.line("fewbit mse_observer 1");
  write_bits(out, method);
}

inline void read(text_reader& in, by_mse& method) {
  in.line("fewbit mse_observer 1");
  read_bits(in, method);
}

}  // namespace detail

/// Chooses its range with a fixed method from a histogram_observer.
///
/// @tparam Method  by_percentile, by_entropy, by_mse, or a method of the program. The observer has
///                 no text form with a method of the program.
template <ThresholdMethod Method>
class threshold_observer {
 public:
  /// @throws fewbit::error if a parameter of the method or `bins` is out of its range
  explicit threshold_observer(Method method = {}, clip ends = clip::symmetric,
                              index bins = histogram_observer::default_bins,
                              nan_policy policy = nan_policy::fail)
      : method_(std::move(method)), ends_(ends), histogram_(detail::caller{name}, bins, policy) {
    detail::expect_valid_method(name, method_);
  }

  /// @throws fewbit::error if x is empty, and on NaN or infinity unless the policy is to skip them
  void observe(const Eigen::Ref<const row_matrix<float>>& x) { observe({name, "observe"}, x); }

  /// The overloads with `by` are for an observer that contains this one. Errors name `by`.
  void observe(const detail::caller& by, const Eigen::Ref<const row_matrix<float>>& x) {
    histogram_.observe(by, x);
  }

  /// @throws fewbit::error if method, clip, bins or policy differ.
  void merge(const threshold_observer& other) { merge({name, "merge"}, other); }

  void merge(const detail::caller& by, const threshold_observer& other) {
    expect_same_method(by, " of other", other);
    histogram_.merge(by, other.histogram_);
  }

  /// @throws fewbit::error before the first value.
  [[nodiscard]] fewbit::range range() const { return range({name, "range"}); }

  [[nodiscard]] fewbit::range range(const detail::caller& by) const {
    return histogram_.range(by, method_, ends_);
  }

  [[nodiscard]] const Method& method() const noexcept { return method_; }
  [[nodiscard]] clip ends() const noexcept { return ends_; }
  [[nodiscard]] const histogram_observer& values() const noexcept { return histogram_; }
  [[nodiscard]] std::uint64_t count() const noexcept { return histogram_.count(); }
  [[nodiscard]] std::uint64_t skipped() const noexcept { return histogram_.skipped(); }
  [[nodiscard]] nan_policy policy() const noexcept { return histogram_.policy(); }

  [[nodiscard]] std::string to_text() const { return detail::text_of(*this); }

  /// @throws fewbit::error on a text that to_text() cannot have written.
  [[nodiscard]] static threshold_observer from_text(std::string_view text) {
    const std::string function = detail::caller{name, "from_text"}.name();
    return detail::parse_text<threshold_observer>(text, function.c_str());
  }

  friend bool operator==(const threshold_observer&, const threshold_observer&) = default;

 private:
  friend detail::text_form;
  static constexpr const char* name = detail::observer_name<Method>;

  void write(detail::text_writer& out) const {
    detail::write(out, method_);
    out.field("affine", ends_ == clip::affine ? 1U : 0U);
    detail::text_form::write(out, histogram_);
  }

  static threshold_observer read(detail::text_reader& in) {
    Method method{};
    detail::read(in, method);
    threshold_observer made(method, in.field("affine", 1) == 1 ? clip::affine : clip::symmetric);
    made.histogram_ = detail::text_form::read<histogram_observer>(in);
    return made;
  }

  void expect_same_method(const detail::caller& by, const std::string& of,
                          const threshold_observer& other) const {
    const bool same = method_ == other.method_ && ends_ == other.ends_;
    detail::expect(same, by, "method" + of, "another one", "that of this observer");
  }

  void expect_same_settings(const detail::caller& by, const std::string& of,
                            const threshold_observer& other) const {
    expect_same_method(by, of, other);
    detail::text_form::expect_same_settings(by, of, histogram_, other.histogram_);
  }

  [[nodiscard]] std::uint64_t rows_seen() const noexcept {
    return histogram_.count() + histogram_.skipped();
  }

  Method method_;
  clip ends_;
  histogram_observer histogram_;
};

/// Clips a given share of the values.
using percentile_observer = threshold_observer<by_percentile>;
/// Chooses the threshold with the least Kullback-Leibler divergence.
using entropy_observer = threshold_observer<by_entropy>;
/// Chooses the range with the least mean squared error.
using mse_observer = threshold_observer<by_mse>;

}}  // namespace fewbit

#include "fewbit/end.hpp"
