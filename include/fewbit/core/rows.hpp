#pragma once
/// Row access and checks for matrices of floats that preparing functions read.
///
/// Functions that prepare take `const matrix_ref&`. An expression or a column-major matrix is then
/// evaluated once into a temporary, and one instantiation serves all. Functions on the hot path
/// take core/operands.hpp. Read before: core/types.hpp, core/finite.hpp.

#include "fewbit/begin.hpp"

#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

using matrix_ref = Eigen::Ref<const row_matrix<float>>;

/// The first element of row r.
inline const float* row_of(const matrix_ref& w, index r) noexcept {
  return w.data() + r * w.outerStride();
}

/// Calls f(pointer, length) for each contiguous run of x: the whole matrix, or each row.
template <class F>
void for_each_run(const matrix_ref& x, F&& f) {
  if (x.outerStride() == x.cols()) {
    if (x.size() != 0) f(x.data(), x.size());
    return;
  }
  for (index r = 0; r < x.rows(); ++r) f(row_of(x, r), x.cols());
}

/// The same for the finite values alone. Unless all are finite, they are copied in pieces.
template <class F>
void for_each_finite_run(const matrix_ref& x, bool all_finite, F&& f) {
  if (all_finite) {
    for_each_run(x, f);
    return;
  }
  std::vector<float> kept;
  for_each_run(x, [&](const float* p, index n) {
    constexpr index piece = 4096;
    for (index begin = 0; begin < n; begin += piece) {
      kept.clear();
      for (index i = begin; i < n && i < begin + piece; ++i) {
        if (is_finite(p[i])) kept.push_back(p[i]);
      }
      f(static_cast<const float*>(kept.data()), static_cast<index>(kept.size()));
    }
  });
}

/// Fails with the position of the first value that is not finite. There must be one.
[[noreturn]] inline void fail_at_first_non_finite(const char* function, const char* argument,
                                                  const matrix_ref& w) {
  index r = 0;
  index c = 0;
  while (is_finite(w(r, c))) {
    c = c + 1 == w.cols() ? 0 : c + 1;
    r = c == 0 ? r + 1 : r;
  }
  fail(function, element(argument, r, c), w(r, c), "a finite number");
}

/// Fails unless w has elements and all are finite.
inline void expect_finite(const char* function, const char* argument, const matrix_ref& w) {
  expect_elements(function, argument, w);
  for (index r = 0; r < w.rows(); ++r) {
    if (!largest_of(row_of(w, r), w.cols()).is_finite) {
      fail_at_first_non_finite(function, argument, w);
    }
  }
}

/// Fails unless a matrix has rows x cols elements.
inline void expect_same_shape(const char* function, const char* argument, index rows, index cols,
                              index got_rows, index got_cols) {
  if (rows == got_rows && cols == got_cols) return;
  fail(function, argument, shape_text(got_rows, got_cols), shape_text(rows, cols));
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
