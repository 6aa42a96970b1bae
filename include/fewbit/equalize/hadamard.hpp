#pragma once
/// Rotations by a Hadamard matrix: they spread a few large inputs of a layer over all inputs, so
/// that codes of few bits lose less.
///
///     const hadamard_rotation turn(k, 1);                   // k = 2^n or 12, 20, 28 times 2^n
///     row_matrix<float> turned = turn.rotate_rows(x);       // x Q for each row
///     x W^T = (x Q) (W Q)^T                                 // so W is turned once, x at each call
///
/// Q = D H^T / sqrt(k): D holds random signs, H is a Hadamard matrix. Q is orthogonal, and x Q
/// takes k log2(k) additions for a row. With k = K * 2^n, a row is seen as K pieces of 2^n numbers.
/// Each piece takes the fast Walsh-Hadamard transform; then the Hadamard matrix of order K combines
/// the pieces. Order 12 and 20: Paley's first construction, from the squares modulo 11 and 19.
/// Order 28: his second, from those modulo 13.
///
/// A rotation can do harm: without large inputs it makes the largest value of a row larger compared
/// with the others. Measure before you rotate (rotation_gain in rotated_linear.hpp).
/// Sources: Ashkboos et al. 2024, "QuaRot", arXiv:2404.00456; Paley 1933, "On orthogonal matrices".

#include "fewbit/begin.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/random.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The factor K of n = K * 2^m that needs a matrix of its own: 1, 12, 20 or 28; 0 if n has no such
/// factor. 12 * 2^m is 3 * 2^(m + 2), and so on.
[[nodiscard]] constexpr index hadamard_base(index n) noexcept {
  if (n < 1) return 0;
  index odd = n;
  while (odd % 2 == 0) odd /= 2;
  if (odd == 1) return 1;
  const index base = 4 * odd;
  return (odd == 3 || odd == 5 || odd == 7) && n % base == 0 ? base : 0;
}

/// 1 if a is a square modulo the prime q, -1 if not, 0 if q divides a.
[[nodiscard]] constexpr int square_character(index a, index q) noexcept {
  a = (a % q + q) % q;
  if (a == 0) return 0;
  for (index x = 1; x < q; ++x) {
    if (x * x % q == a) return 1;
  }
  return -1;
}

/// Element (i, j) of the matrix with 0 on the diagonal and 1 or -1 elsewhere, of order q + 1, from
/// which Paley builds his. `first` is the sign of the first column.
[[nodiscard]] constexpr int conference_element(index i, index j, index q, int first) noexcept {
  if (i == j) return 0;
  if (i == 0) return 1;
  if (j == 0) return first;
  return square_character(i - j, q);
}

/// Element (i, j) of a Hadamard matrix of order 12, 20 or 28.
[[nodiscard]] constexpr int hadamard_element(index order, index i, index j) noexcept {
  if (order != 28) return conference_element(i, j, order - 1, -1) + (i == j ? 1 : 0);
  const int c = conference_element(i / 2, j / 2, 13, 1);
  const bool both = i % 2 == 1 && j % 2 == 1;
  if (c != 0) return both ? -c : c;          // C x [1 1; 1 -1]
  return i % 2 == 0 && j % 2 == 0 ? 1 : -1;  // I x [1 -1; -1 -1]
}

/// The signs of one of these matrices, row after row.
template <index Order>
[[nodiscard]] constexpr auto hadamard_signs() noexcept {
  std::array<std::int8_t, Order * Order> signs{};
  for (index i = 0; i < Order; ++i) {
    for (index j = 0; j < Order; ++j) {
      signs[static_cast<std::size_t>(i * Order + j)] =
          static_cast<std::int8_t>(hadamard_element(Order, i, j));
    }
  }
  return signs;
}
template <index Order>
inline constexpr auto hadamard_table = hadamard_signs<Order>();

[[nodiscard]] inline const std::int8_t* hadamard_signs_of(index base) noexcept {
  return base == 12   ? hadamard_table<12>.data()
         : base == 20 ? hadamard_table<20>.data()
                      : hadamard_table<28>.data();
}

/// x = H x for n = 2^m numbers, in natural order.
template <class T>
void walsh_hadamard(T* x, index n) noexcept {
  for (index half = 1; half < n; half *= 2) {
    for (index first = 0; first < n; first += 2 * half) {
      for (index i = first; i < first + half; ++i) {
        const T a = x[i], b = x[i + half];
        x[i] = a + b;
        x[i + half] = a - b;
      }
    }
  }
}

/// Combines the pieces of `width` numbers by the matrix of order `base`, or by its transpose.
template <class T>
void combine_pieces(T* x, index base, index width, bool transposed) noexcept {
  const std::int8_t* signs = hadamard_signs_of(base);
  for (index c = 0; c < width; ++c) {
    std::array<T, 28> column;
    for (index i = 0; i < base; ++i) column[static_cast<std::size_t>(i)] = x[i * width + c];
    for (index i = 0; i < base; ++i) {
      T sum = 0;
      for (index j = 0; j < base; ++j) {
        const bool is_positive = signs[transposed ? j * base + i : i * base + j] > 0;
        const T value = column[static_cast<std::size_t>(j)];
        sum += is_positive ? value : -value;
      }
      x[i * width + c] = sum;
    }
  }
}

}  // namespace detail

/// Whether multiply_hadamard and hadamard_rotation take n numbers: n = 2^m or 12, 20 or 28 times
/// 2^m.
[[nodiscard]] constexpr bool has_hadamard(index n) noexcept { return detail::hadamard_base(n) > 0; }

/// x = H x in place, for a Hadamard matrix H of order n, or x = H^T x. Its entries are 1 and -1,
/// and H H^T = n.
///
/// @param n  has_hadamard(n)
template <class T>
void multiply_hadamard(T* x, index n, bool transposed = false) noexcept {
  const index base = detail::hadamard_base(n);
  const index width = n / base;
  for (index i = 0; i < base; ++i) detail::walsh_hadamard(x + i * width, width);
  if (base > 1) detail::combine_pieces(x, base, width, transposed);
}

/// The orthogonal matrix Q = D H^T / sqrt(n) with random signs D.
class hadamard_rotation {
 public:
  /// @param size  n
  /// @param seed  of the signs
  /// @throws fewbit::error unless has_hadamard(size)
  explicit hadamard_rotation(index size, std::uint64_t seed = 0) {
    if (!has_hadamard(size)) {
      detail::fail("hadamard_rotation", "size", size, "2^m, or 12, 20 or 28 times 2^m");
    }
    for (index i = 0; i < size; ++i) {
      signs_.push_back(random_bits(seed, static_cast<std::uint64_t>(i))[0] % 2 == 0 ? 1.0F : -1.0F);
    }
    set_factor();
  }

  /// The same with given signs: each 1 or -1.
  /// @throws fewbit::error unless has_hadamard(signs.size()), or with the first bad sign
  explicit hadamard_rotation(std::vector<float> signs) : signs_(std::move(signs)) {
    const auto size = static_cast<index>(signs_.size());
    if (!has_hadamard(size)) {
      detail::fail("hadamard_rotation", "signs.size()", size, "2^m, or 12, 20 or 28 times 2^m");
    }
    for (index i = 0; i < size; ++i) {
      const float sign = signs_[static_cast<std::size_t>(i)];
      if (sign == 1.0F || sign == -1.0F) continue;
      detail::fail("hadamard_rotation", detail::item("signs", i), sign, "1 or -1");
    }
    set_factor();
  }

  [[nodiscard]] index size() const noexcept { return static_cast<index>(signs_.size()); }
  [[nodiscard]] const std::vector<float>& signs() const noexcept { return signs_; }

  /// x Q for one row x of size() numbers. `turned` may be x.
  void rotate(const float* x, float* turned) const noexcept {
    for (index i = 0; i < size(); ++i) turned[i] = x[i] * signs_[static_cast<std::size_t>(i)];
    multiply_hadamard(turned, size());
    for (index i = 0; i < size(); ++i) turned[i] *= factor_;
  }
  /// y Q^T: rotate undone, up to rounding.
  void rotate_back(const float* y, float* turned) const noexcept {
    for (index i = 0; i < size(); ++i) turned[i] = y[i];
    multiply_hadamard(turned, size(), true);
    for (index i = 0; i < size(); ++i) {
      turned[i] *= signs_[static_cast<std::size_t>(i)] * factor_;
    }
  }

  /// x Q for each row of x, m x size(): inputs, or the weights of the layer that reads them.
  /// @throws fewbit::error if x is empty, has another width, or holds a NaN or an infinity, or if a
  ///         rotated number overflows
  template <Executor E = inline_executor>
  [[nodiscard]] row_matrix<float> rotate_rows(const Eigen::Ref<const row_matrix<float>>& x,
                                              const E& executor = {}) const {
    return turned("rotate_rows", x, executor,
                  [&](const float* from, float* to) { rotate(from, to); });
  }
  /// The same undone.
  /// @throws fewbit::error as rotate_rows
  template <Executor E = inline_executor>
  [[nodiscard]] row_matrix<float> rotate_rows_back(const Eigen::Ref<const row_matrix<float>>& y,
                                                   const E& executor = {}) const {
    return turned("rotate_rows_back", y, executor,
                  [&](const float* from, float* to) { rotate_back(from, to); });
  }

 private:
  void set_factor() noexcept {
    factor_ = static_cast<float>(1.0 / std::sqrt(static_cast<double>(signs_.size())));
  }

  template <class E, class F>
  [[nodiscard]] row_matrix<float> turned(const char* function, const detail::matrix_ref& x,
                                         const E& executor, const F& turn) const {
    detail::expect_finite(function, "x", x);
    detail::expect_equal(function, "x.cols()", x.cols(), size());
    row_matrix<float> y(x.rows(), x.cols());
    executor.for_each(x.rows(),
                      [&](index r) { turn(detail::row_of(x, r), y.data() + r * y.cols()); });
    detail::expect_finite(function, "the rotated x", y);  // sums of large numbers overflow
    return y;
  }

  std::vector<float> signs_;
  float factor_ = 1.0F;  ///< 1 / sqrt(n)
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
