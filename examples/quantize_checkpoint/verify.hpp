#pragma once
/// --verify: opens the file that was written and decodes every tensor of it again.

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "convert.hpp"
#include "error_sums.hpp"
#include "failure.hpp"
#include "plan.hpp"
#include "source.hpp"
#include "values.hpp"

namespace fewbit::examples::checkpoint {

namespace verify_detail {

/// Whether two tensors have the same bytes.
inline bool are_equal(const source& a, const source_tensor& ta, const source& b,
                      const source_tensor& tb) {
  const std::uint64_t size = ta.bytes().size();
  if (tb.bytes().size() != size) return false;
  constexpr std::uint64_t most = std::uint64_t{1} << 20;
  std::vector<std::byte> bytes_a, bytes_b;
  for (std::uint64_t at = 0; at < size; at += most) {
    expect_no_signal();
    bytes_a.resize(static_cast<std::size_t>(std::min(most, size - at)));
    bytes_b.resize(bytes_a.size());
    a.read(ta, at, bytes_a);
    b.read(tb, at, bytes_b);
    if (bytes_a != bytes_b) return false;
  }
  return true;
}

/// The values of the result of a tensor.
inline value_reader result_of(const planned_tensor& t, const source& out) {
  if (out.format() == file_format::safetensors) return values_of_matrix(out, t.tensor->name);
  return values_of_tensor(out, *out.find(t.tensor->name), t.shape);
}

/// The error sums of the result, in the order in which the conversion added them.
inline error_sums sums_of_result(const source& in, const planned_tensor& t, const source& out) {
  const value_reader before = values_of_tensor(in, *t.tensor, t.shape);
  const value_reader after = result_of(t, out);
  const chunking cut(t.shape);
  error_sums sums;
  for (index chunk = 0; chunk < cut.chunks; ++chunk) {
    expect_no_signal();
    const index first = cut.first(chunk), rows = cut.rows(chunk, t.shape);
    sums.add(sums_of(before.rows(first, rows), after.rows(first, rows)));
  }
  return sums;
}

}  // namespace verify_detail

/// Compares the file with the plan and with the errors that were found while it was written.
///
/// @throws failure if a tensor has other bytes or another error
inline void verify(const plan& done, const std::string& path, const std::vector<error_sums>& sums) {
  using namespace verify_detail;
  const source out(path);
  for (std::size_t i = 0; i < done.tensors.size(); ++i) {
    const planned_tensor& t = done.tensors[i];
    bool is_good = false;
    if (t.what == action::keep) {
      const source_tensor* const copy = out.find(t.tensor->name);
      is_good = copy != nullptr && are_equal(*done.in, *t.tensor, out, *copy);
    } else {
      const error_sums again = sums_of_result(*done.in, t, out);
      is_good = t.what == action::quantize ? again == sums[i] : again.noise == 0.0;
    }
    if (is_good) continue;
    throw failure(exit_output, "tensor " + plan_detail::quoted(t.tensor->name) + " of '" + path +
                                   "' differs from what was written, expected the same values");
  }
}

}  // namespace fewbit::examples::checkpoint
