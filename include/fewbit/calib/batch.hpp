#pragma once
/// Computes the extremes of a batch, counts its values and finds NaN and infinity. Private to the
/// observers.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/calib/observer.hpp"
#include "fewbit/calib/text.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/rows.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

using batch_ref = matrix_ref;

/// The function that the user called, for error sentences. An observer that contains other
/// observers passes its own name to them.
struct caller {
  const char* type;
  const char* member = nullptr;

  [[nodiscard]] std::string name() const {
    return member == nullptr ? std::string(type) : std::string(type) + "::" + member;
  }
};

template <class Argument, class Got, class Want>
void expect(bool condition, const caller& by, const Argument& argument, const Got& got,
            const Want& want) {
  if (!condition) fail(by.name().c_str(), argument, got, want);
}

template <class Argument, class T>
void expect_same(const caller& by, const Argument& argument, const T& got, const T& want) {
  expect(got == want, by, argument, got, want);
}

/// Exact statistics of the observed values.
///
/// A zero is stored as +0. -0 and +0 compare equal, so keeping both would make the result depend on
/// the order of the values.
struct data_summary {
  float lo = 0.0F;
  float hi = 0.0F;
  std::uint64_t count = 0;
  std::uint64_t skipped = 0;

  [[nodiscard]] float amax() const noexcept { return range{lo, hi}.amax(); }

  void add(const data_summary& other) noexcept {
    if (count == 0) {
      lo = other.lo;
      hi = other.hi;
    } else if (other.count != 0) {
      lo = other.lo < lo ? other.lo : lo;
      hi = other.hi > hi ? other.hi : hi;
    }
    count += other.count;
    skipped += other.skipped;
  }

  friend bool operator==(const data_summary&, const data_summary&) = default;
};

inline constexpr std::int32_t without_sign = 0x7FFFFFFF;

struct run_extremes {
  float lo;
  float hi;
  std::int32_t amax_bits;  // bits of max|x|; at least infinity_bits if a value is NaN or infinite
  std::int32_t least_bits = without_sign;  // bits of the smallest |x| > 0, if WithLeast
};

/// The extremes of the values that each lane has seen.
///
/// The bits of |x|, compared as integers, order magnitudes; infinity and NaN are the largest.
/// (bits - 1), with the sign bit cleared, makes 0 the largest, so that the minimum ignores zeros.
template <bool WithLeast>
struct lane_extremes {
  using floats = arch::vec<float, arch::native_lanes<float>>;
  using ints = arch::rebind<floats, std::int32_t>;

  floats lo{std::bit_cast<float>(infinity_bits - 1)};
  floats hi{-std::bit_cast<float>(infinity_bits - 1)};
  ints top{0};
  ints least{without_sign};

  FEWBIT_ALWAYS_INLINE void add(const float* p) noexcept {
    const floats x = floats::load(p);
    lo = arch::min(lo, x);
    hi = arch::max(hi, x);
    const ints magnitude = arch::bits_as<std::int32_t>(x) & ints(without_sign);
    top = arch::max(top, magnitude);
    if constexpr (WithLeast) {
      least = arch::min(least, ints(ints(magnitude - ints(1)) & ints(without_sign)));
    }
  }

  [[nodiscard]] run_extremes all() const noexcept {
    return {-arch::max_of_lanes(floats(floats(0.0F) - lo)), arch::max_of_lanes(hi),
            arch::max_of_lanes(top), -arch::max_of_lanes(ints(ints(0) - least))};
  }
};

/// Adds values from the front of a long run, and returns their number. It reads four parts of the
/// run side by side and prefetches them, because memory is read faster in several streams than in
/// one.
template <bool WithLeast>
index add_streams(const float* p, index n, lane_extremes<WithLeast>& extremes) noexcept {
  constexpr index streams = 4, ahead = 1024, shortest = 16384;
  constexpr index step = std::max(index{lane_extremes<WithLeast>::floats::lanes},
                                  index{arch::cache_line / int{sizeof(float)}});
  if (n < shortest) return 0;
  const index length = n / streams / step * step;
  for (index i = 0; i < length; i += step) {
    for (index s = 0; s < streams; ++s) {
      const float* const at = p + s * length + i;
      arch::prefetch_to_l1(arch::beyond(at, ahead));
      for (index j = 0; j < step; j += lane_extremes<WithLeast>::floats::lanes)
        extremes.add(at + j);
    }
  }
  return streams * length;
}

template <bool WithLeast>
run_extremes extremes_of(const float* p, index n) noexcept {
  constexpr index lanes = lane_extremes<WithLeast>::floats::lanes;
  lane_extremes<WithLeast> in_lanes;
  index i = add_streams(p, n, in_lanes);
  for (; i + lanes <= n; i += lanes) in_lanes.add(p + i);
  run_extremes all = in_lanes.all();
  for (; i < n; ++i) {
    all.lo = p[i] < all.lo ? p[i] : all.lo;
    all.hi = p[i] > all.hi ? p[i] : all.hi;
    const std::int32_t magnitude = std::bit_cast<std::int32_t>(p[i]) & without_sign;
    all.amax_bits = arch::max(all.amax_bits, magnitude);
    all.least_bits = arch::min(all.least_bits, (magnitude - 1) & without_sign);
  }
  all.least_bits = (all.least_bits + (all.least_bits != without_sign ? 1 : 0));
  return all;
}

[[nodiscard]] inline bool all_finite(const batch_ref& x) noexcept {
  bool finite = true;
  for_each_run(x, [&](const float* p, index n) {
    finite = finite && extremes_of<false>(p, n).amax_bits < infinity_bits;
  });
  return finite;
}

[[noreturn]] inline void fail_at_first_non_finite(const caller& by, const batch_ref& x) {
  fail_at_first_non_finite(by.name().c_str(), "x", x);
}

inline void expect_not_empty(const caller& by, const batch_ref& x) {
  if (x.size() != 0) return;
  fail(by.name().c_str(), "x", shape_text(x.rows(), x.cols()), "at least one row and one column");
}

/// The summary of a batch, and the bits of its smallest |x| > 0.
struct batch_summary {
  data_summary seen;
  std::int32_t least_bits = without_sign;
};

/// Summarizes one batch. With nan_policy::fail, the error names the first NaN or infinity.
template <bool WithLeast>
batch_summary summarize(const caller& by, const batch_ref& x, nan_policy policy) {
  expect_not_empty(by, x);
  batch_summary all;
  bool clean = true;
  const auto add = [&](const float* p, index n) {
    if (n == 0) return;
    const run_extremes run = extremes_of<WithLeast>(p, n);
    clean = clean && run.amax_bits < infinity_bits;
    all.seen.add(
        {without_minus_zero(run.lo), without_minus_zero(run.hi), static_cast<std::uint64_t>(n), 0});
    all.least_bits = arch::min(all.least_bits, run.least_bits);
  };
  for_each_run(x, add);
  if (clean) return all;
  if (policy == nan_policy::fail) fail_at_first_non_finite(by, x);
  all = {};
  for_each_finite_run(x, false, add);
  all.seen.skipped = static_cast<std::uint64_t>(x.size()) - all.seen.count;
  return all;
}

inline void expect_data(const caller& by, std::uint64_t count) {
  expect(count != 0, by, "count of observed values", count, "at least 1");
}

inline void expect_countable(const caller& by, const char* argument, std::uint64_t count) {
  if (count <= text_reader::largest_count) return;
  fail(by.name().c_str(), argument, count, "at most " + text(text_reader::largest_count));
}

/// Fails if the sum of both counts exceeds text_reader::largest_count. So no sum can wrap.
inline void expect_room(const caller& by, const data_summary& seen, const data_summary& more) {
  const std::uint64_t all = seen.count + seen.skipped + more.count + more.skipped;
  expect_countable(by, "count of observed values", all);
}

/// @param of  follows the argument in the error sentence, e.g. " of other"
inline void expect_same_policy(const caller& by, const std::string& of, nan_policy mine,
                               nan_policy other) {
  const auto name = [](nan_policy p) { return p == nan_policy::fail ? "fail" : "skip"; };
  expect(mine == other, by, "nan_policy" + of, name(other), name(mine));
}

inline void write(text_writer& out, nan_policy policy) {
  out.field("policy", policy == nan_policy::skip ? 1U : 0U);
}

inline void read(text_reader& in, nan_policy& policy) {
  policy = in.field("policy", 1) == 1 ? nan_policy::skip : nan_policy::fail;
}

inline void write(text_writer& out, const data_summary& seen) {
  out.field("count", seen.count);
  out.field("skipped", seen.skipped);
  out.bits("lo", seen.lo);
  out.bits("hi", seen.hi);
}

/// The largest number of values that an observer with this policy can skip when it counts `count`.
inline std::uint64_t most_skipped(nan_policy policy, std::uint64_t count) noexcept {
  return policy == nan_policy::fail ? 0 : text_reader::largest_count - count;
}

/// Fails on a state that no observed values can produce.
inline void read(text_reader& in, nan_policy policy, data_summary& seen) {
  seen.count = in.field("count", text_reader::largest_count);
  seen.skipped = in.field("skipped", most_skipped(policy, seen.count));
  const auto bound = [&](const char* name) {
    const float value = in.bits<float>(name);
    const bool minus_zero = std::bit_cast<std::uint32_t>(value) == 0x80000000U;
    if (!is_finite(value) || minus_zero) fail(in.function(), name, value, "finite and not -0");
    return value;
  };
  seen.lo = bound("lo");
  seen.hi = bound("hi");
  expect(seen.lo <= seen.hi, in, "lo", seen.lo, "at most hi, " + text(seen.hi));
  const bool named = seen.count != 0 || (seen.lo == 0.0F && seen.hi == 0.0F);
  expect(named, in, "count", seen.count, "at least 1 where lo and hi are not 0");
  const bool spread = seen.count != 1 || seen.lo == seen.hi;
  expect(spread, in, "count", seen.count, "at least 2 where lo and hi differ");
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
