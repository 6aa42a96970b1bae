#pragma once
/// The text form of observers. Each line is `name value`. A float is written as its bits, so that
/// reading restores every bit in every locale. Private to the observers.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

template <class Float>
using bits_of_float = std::conditional_t<sizeof(Float) == 4, std::uint32_t, std::uint64_t>;

class text_writer {
 public:
  void line(std::string_view words) { (text_ += words) += '\n'; }

  void field(std::string_view name, std::uint64_t value) {
    (((text_ += name) += ' ') += std::to_string(value)) += '\n';
  }

  /// Writes for example "name 3f800000", with two hexadecimal digits for each byte.
  template <class Float>
  void bits(std::string_view name, Float value) {
    word(name, std::bit_cast<bits_of_float<Float>>(value));
  }

  /// The same for an unsigned integer.
  template <class Word>
  void word(std::string_view name, Word value) {
    (text_ += name) += ' ';
    for (int shift = int{sizeof(Word)} * 8 - 4; shift >= 0; shift -= 4) {
      text_ += "0123456789abcdef"[(value >> shift) & 15U];
    }
    text_ += '\n';
  }

  /// Writes "name value" for a value without control characters.
  void words(std::string_view name, std::string_view value) {
    (((text_ += name) += ' ') += value) += '\n';
  }

  /// Writes for example "-12 5".
  void entry(std::int64_t key, std::uint64_t value) { field(std::to_string(key), value); }

  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// What a text belongs to, for the sentences of errors, and how much memory its objects may take.
struct text_source {
  std::string_view file = {};  ///< the name of the file in quotes; empty if there is none
  std::uint64_t most_bytes = std::numeric_limits<std::uint64_t>::max();
};

/// Reads a text line by line and checks every line. Each error names its line.
class text_reader {
 public:
  /// Counts in a text are below 2^62, so that their sums cannot wrap.
  static constexpr std::uint64_t largest_count = (std::uint64_t{1} << 62) - 1;
  /// The largest number that is read as an index.
  static constexpr std::uint64_t largest_index =
      std::min(largest_count, std::uint64_t{std::numeric_limits<index>::max()});

  text_reader(std::string_view text, const char* function, const text_source& source = {})
      : rest_(text), size_(text.size()), function_(function), source_(source) {}

  /// The name of the function for the sentence of an error, followed by the tensor, the byte of the
  /// last line and the file, as far as they are known.
  [[nodiscard]] const char* function() const {
    if (tensor_.empty() && source_.file.empty()) return function_;
    place_ = std::string(function_) + ": ";
    if (!tensor_.empty()) ((place_ += "tensor '") += tensor_) += '\'';
    if (!source_.file.empty()) {
      place_ += (tensor_.empty() ? "byte " : " at byte ") + std::to_string(line_begin_) + " of ";
      place_ += source_.file;
    }
    return place_.c_str();
  }

  /// Errors name this tensor from now on; none if the name is empty.
  void enter_tensor(std::string_view name) { tensor_ = name; }

  /// Fails if the objects of the text need more memory than its source allows.
  void claim_memory(std::uint64_t bytes) {
    claimed_ += std::min(bytes, largest_count - claimed_);
    if (claimed_ <= source_.most_bytes) return;
    fail(function(), "memory of the observers", text(claimed_) + " bytes or more",
         "at most " + text(source_.most_bytes) + ", the limit of this call");
  }

  /// The number of bytes that were read.
  [[nodiscard]] std::size_t position() const noexcept { return size_ - rest_.size(); }
  /// The bytes that follow.
  [[nodiscard]] std::string_view rest() const noexcept { return rest_; }

  void line(std::string_view words) {
    if (!next() || line_ != words) reject(std::string(1, '\'').append(words) + "'");
  }

  /// Reads a line "name value" with value <= most. `most` must be at most largest_count.
  std::uint64_t field(std::string_view name, std::uint64_t most) {
    const bool whole = next();
    std::uint64_t value = 0;
    if (!whole || !parse(after(name), value) || value > most) {
      reject(std::string(1, '\'').append(name) + " <integer from 0 to " + std::to_string(most) +
             ">'");
    }
    return value;
  }

  template <class Float>
  Float bits(std::string_view name) {
    return std::bit_cast<Float>(word<bits_of_float<Float>>(name));
  }

  template <class Word>
  Word word(std::string_view name) {
    const bool whole = next();
    const std::string_view digits = after(name);
    Word result = 0;
    bool good = whole && digits.size() == 2 * sizeof(Word);
    for (const char c : digits) {
      const std::size_t value = std::string_view("0123456789abcdef").find(c);
      good = good && value < 16;
      result = static_cast<Word>((result << 4U) | (value & 15U));
    }
    if (!good) {
      reject(std::string(1, '\'').append(name) + " <" + std::to_string(2 * sizeof(Word)) +
             " hexadecimal digits>'");
    }
    return result;
  }

  /// Reads a line "name value" and returns the value, which can be empty.
  std::string_view words(std::string_view name) {
    const bool whole = next();
    const std::string_view value = after(name);
    if (!whole || value.data() == nullptr) reject(std::string(1, '\'').append(name) + " <words>'");
    return value;
  }

  struct key_and_value {
    std::int64_t key;
    std::uint64_t value;
  };

  key_and_value entry() {
    const bool whole = next();
    const std::size_t space = line_.find(' ');
    std::uint64_t key = 0;
    std::uint64_t value = 0;
    const bool negative = line_.starts_with('-');
    const std::string_view first = line_.substr(0, space).substr(negative ? 1 : 0);
    const bool good = whole && space != std::string_view::npos && parse(first, key) &&
                      !(negative && key == 0) && parse(line_.substr(space + 1), value);
    if (!good) reject("'<integer> <count>'");
    const auto magnitude = static_cast<std::int64_t>(key);
    return {negative ? -magnitude : magnitude, value};
  }

  void end() {
    if (rest_.empty()) return;
    next();
    reject("the end");
  }

 private:
  /// Reads the next line. Returns whether it exists and ends with a newline.
  bool next() {
    ++number_;
    line_begin_ = position();
    const std::size_t end = rest_.find('\n');
    is_missing_ = rest_.empty();
    is_cut_ = end == std::string_view::npos && !is_missing_;
    line_ = rest_.substr(0, end);
    rest_.remove_prefix(is_missing_ || is_cut_ ? rest_.size() : end + 1);
    return !is_missing_ && !is_cut_;
  }

  [[nodiscard]] std::string_view after(std::string_view name) const {
    const bool named = line_.starts_with(name) && line_.substr(name.size()).starts_with(' ');
    return named ? line_.substr(name.size() + 1) : std::string_view{};
  }

  /// Reads a decimal number without leading zeros, at most largest_count.
  static bool parse(std::string_view digits, std::uint64_t& value) {
    if (digits.empty() || digits.size() > 19 || (digits.size() > 1 && digits.front() == '0')) {
      return false;
    }
    value = 0;
    for (const char c : digits) {
      if (c < '0' || c > '9') return false;
      value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return value <= largest_count;
  }

  [[noreturn]] void reject(const std::string& want) const {
    constexpr std::size_t shown = 40;
    std::string got = "'";
    for (const char c : line_.substr(0, shown)) got += c >= ' ' && c <= '~' ? c : '?';
    got += line_.size() > shown ? "...'" : "'";
    if (is_cut_) got += " without a newline";
    if (is_missing_) got = "missing";
    fail(function(), "line " + std::to_string(number_), got, want);
  }

  std::string_view rest_;
  std::string_view line_;
  std::string_view tensor_;
  std::size_t size_;
  std::size_t line_begin_ = 0;
  const char* function_;
  text_source source_;
  std::uint64_t claimed_ = 0;
  mutable std::string place_;  // the result of function(), which names the place of the last line
  int number_ = 0;
  bool is_missing_ = false;
  bool is_cut_ = false;
};

/// The name of the function is computed only for an error.
template <class Argument, class Got, class Want>
void expect(bool condition, const text_reader& in, const Argument& argument, const Got& got,
            const Want& want) {
  if (!condition) fail(in.function(), argument, got, want);
}

/// Gives access to the private members write() and read() of an observer, which define its text
/// form. Each observer declares text_form as a friend.
struct text_form {
  template <class O>
  static void write(text_writer& out, const O& observer) {
    observer.write(out);
  }

  template <class O>
  [[nodiscard]] static O read(text_reader& in) {
    return O::read(in);
  }

  template <class O, class Caller>
  static void expect_same_settings(const Caller& by, const std::string& of, const O& first,
                                   const O& next) {
    first.expect_same_settings(by, of, next);
  }

  /// Fails unless `first` and `next` can be channels of the same per_channel. `of` names `next` in
  /// the error sentence.
  template <class O, class Caller>
  static void expect_neighbours(const Caller& by, const std::string& of, const O& first,
                                const O& next) {
    expect_same_settings(by, of, first, next);
    if (first.rows_seen() != next.rows_seen()) {
      fail(by.name().c_str(), "count" + of, next.rows_seen(), first.rows_seen());
    }
  }
};

/// The whole text form of an observer.
template <class O>
[[nodiscard]] std::string text_of(const O& observer) {
  text_writer out;
  text_form::write(out, observer);
  return out.take();
}

/// The observer that `text` describes. Errors name `function`.
template <class O>
[[nodiscard]] O parse_text(std::string_view text, const char* function) {
  text_reader in(text, function);
  O made = text_form::read<O>(in);
  in.end();
  return made;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
