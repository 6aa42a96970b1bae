#pragma once
/// Product quantization: a vector is cut into parts of equal width. Each part has its own codebook
/// of 16 or 256 centroids. The code of a part is the number of its nearest centroid: 4 or 8 bits.
///
///     const product_quantizer pq = train_product_quantizer(points, {.parts = 16, .bits = 8});
///     const row_matrix<std::uint8_t> codes = pq.encode(points);  // n x 16
///     const row_matrix<float> near = pq.decode(codes);           // n x d
///
/// Example: 8 numbers, 2 parts of width 4, codes of 4 bits (16 centroids for each part).
///
///                               part 0                    part 1
///     vector                    0.9  0.1  -0.2  0.4       2.1  1.9  0.2  -0.1
///     nearest centroid          1.0  0.0   0.0  0.5       2.0  2.0  0.0   0.0
///     its number: the code      3                         12
///     squared distance          0.07                      0.07
///
/// encode returns the codes 3 and 12, one byte each: 2 bytes instead of 32. packed_codes stores 4
/// bits for each. decode returns 1.0 0.0 0.0 0.5 2.0 2.0 0.0 0.0, with a squared error of 0.14.
///
/// Use it to store many vectors in few bytes. Read next: codebook/packed_codes.hpp (codes in
/// memory), codebook/residual_quantizer.hpp (a second quantizer codes the error of the first),
/// codebook/kmeans.hpp (how centroids are found).
///
/// Source: Jegou, Douze and Schmid 2011, "Product quantization for nearest neighbor search".

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/arch/arch.hpp"
#include "fewbit/codebook/clustering.hpp"
#include "fewbit/codebook/kmeans.hpp"
#include "fewbit/codebook/nearest.hpp"
#include "fewbit/codebook/point_panel.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// How a product quantizer is trained.
struct pq_options {
  index parts = 8;                 ///< number of codes per vector; must divide its width
  int bits = 8;                    ///< bits of a code: 4 or 8
  kmeans_options clustering = {};  ///< for each part; part p uses seed + p
  /// train_product_quantizer and train_shared_quantizer then accept fewer points than 2^bits, and
  /// some centroids are equal. The other quantizers ignore this option.
  bool allow_fewer_points = false;
};

/// Progress of the training after one iteration of k-means.
struct pq_step {
  index part = 0;  ///< the part in training, from 0
  index parts = 0;
  kmeans_step clustering = {};
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The centroids of all parts, with copies in the layouts that encoding and tables need.
class product_quantizer {
 public:
  /// @param centroids  one matrix per part, all 16 x w or all 256 x w
  /// @throws fewbit::error if there is no matrix, the shapes differ, or a value is not finite
  explicit product_quantizer(std::vector<row_matrix<float>> centroids)
      : centroids_(std::move(centroids)) {
    const char* function = "product_quantizer";
    detail::expect(!centroids_.empty(), function, "centroids.size()", 0, "at least 1");
    for (index p = 0; p < parts(); ++p) {
      const row_matrix<float>& c = centroids_[static_cast<std::size_t>(p)];
      const std::string name = detail::item("centroids", p);
      if (c.rows() != 16 && c.rows() != 256) {
        detail::fail(function, name + ".rows()", c.rows(), "16 or 256");
      }
      detail::expect_equal(function, (name + ".rows()").c_str(), c.rows(), code_count());
      detail::expect_finite(function, name.c_str(), c);
      detail::expect_equal(function, (name + ".cols()").c_str(), c.cols(), width());
      packed_.emplace_back(c);
    }
    columns_ = aligned_buffer<float>(dimension() * code_count(), for_overwrite);
    for (index t = 0; t < dimension(); ++t) {
      const row_matrix<float>& c = this->centroids(t / width());
      for (index j = 0; j < code_count(); ++j) columns_[t * code_count() + j] = c(j, t % width());
      largest_magnitude_.push_back(c.col(t % width()).cwiseAbs().maxCoeff());
    }
  }

  [[nodiscard]] index parts() const noexcept { return static_cast<index>(centroids_.size()); }
  /// Number of coordinates of a part.
  [[nodiscard]] index width() const noexcept { return centroids_.front().cols(); }
  /// Number of coordinates of a vector: parts() * width().
  [[nodiscard]] index dimension() const noexcept { return parts() * width(); }
  /// Number of different codes of a part: 16 or 256.
  [[nodiscard]] index code_count() const noexcept { return centroids_.front().rows(); }
  [[nodiscard]] int bits() const noexcept { return code_count() == 16 ? 4 : 8; }
  /// code_count() x width()
  [[nodiscard]] const row_matrix<float>& centroids(index part) const noexcept {
    return centroids_[static_cast<std::size_t>(part)];
  }

  /// Coordinate t (0 to dimension() - 1) of all centroids of its part, contiguous: code_count()
  /// floats.
  [[nodiscard]] const float* column(index t) const noexcept {
    return columns_.data() + t * code_count();
  }
  /// max |coordinate t| over the centroids of its part.
  [[nodiscard]] float largest_magnitude(index t) const noexcept {
    return largest_magnitude_[static_cast<std::size_t>(t)];
  }

  /// The codes of n points: n x parts(), one byte each, 0 to code_count() - 1. The nearest centroid
  /// is chosen as in nearest_centroids, so the codes are the same on every processor.
  /// @throws fewbit::error if points is empty, holds a NaN or an infinity, or is not dimension()
  ///         wide
  template <class Arch = arch::native, Executor E = inline_executor>
  [[nodiscard]] row_matrix<std::uint8_t> encode(const Eigen::Ref<const row_matrix<float>>& points,
                                                const E& executor = {}) const {
    detail::expect_finite("encode", "points", points);
    detail::expect_equal("encode", "points.cols()", points.cols(), dimension());
    return encode_finite<Arch>(points, executor);
  }

  /// As encode, without checking points.
  template <class Arch, Executor E>
  [[nodiscard]] row_matrix<std::uint8_t> encode_finite(const detail::matrix_ref& points,
                                                       const E& executor) const {
    constexpr index piece = 16 * panel_points;
    row_matrix<std::uint8_t> codes(points.rows(), parts());
    executor.for_each((points.rows() + piece - 1) / piece, [&](index i) {
      aligned_buffer<float> panel(panel_floats(width()), for_overwrite);
      const index end = std::min((i + 1) * piece, points.rows());
      for (index first = i * piece; first < end; first += panel_points) {
        const index count = std::min(panel_points, end - first);
        for (index p = 0; p < parts(); ++p) {
          encode_panel<Arch>(points, first, count, p, panel.data(), codes);
        }
      }
    });
    return codes;
  }

  /// The centroids of the codes, side by side: n x dimension().
  /// @throws fewbit::error if codes is not parts() wide or a code is not less than code_count()
  [[nodiscard]] row_matrix<float> decode(
      const Eigen::Ref<const row_matrix<std::uint8_t>>& codes) const {
    expect_codes("decode", codes);
    row_matrix<float> points(codes.rows(), dimension());
    for (index i = 0; i < codes.rows(); ++i) {
      for (index p = 0; p < parts(); ++p) {
        const float* centroid = centroids(p).data() + codes(i, p) * width();
        std::copy(centroid, centroid + width(), points.data() + i * dimension() + p * width());
      }
    }
    return points;
  }

  /// Fails with the name `function` if the matrix is not parts() wide or a code is not less than
  /// code_count(). `first` is the number of the first column in the matrix that the caller of
  /// `function` passed.
  void expect_codes(const char* function, const Eigen::Ref<const row_matrix<std::uint8_t>>& matrix,
                    index first = 0) const {
    detail::expect_equal(function, "codes.cols()", matrix.cols(), parts());
    for (index i = 0; i < matrix.rows(); ++i) {
      for (index p = 0; p < parts(); ++p) {
        if (matrix(i, p) < code_count()) continue;
        detail::fail(function, detail::element("codes", i, first + p), int{matrix(i, p)},
                     "0 to " + std::to_string(code_count() - 1));
      }
    }
  }

 private:
  template <class Arch>
  void encode_panel(const detail::matrix_ref& points, index first, index count, index part,
                    float* panel, row_matrix<std::uint8_t>& codes) const noexcept {
    const packed_centroids& packed = packed_[static_cast<std::size_t>(part)];
    const float* rows = detail::row_of(points, first) + part * width();
    detail::load_panel(rows, points.outerStride(), count, width(), packed.map(), panel);
    std::int32_t nearest[panel_points];
    nearest_in_panel<Arch>(packed, panel, rows, points.outerStride(), count, nearest);
    std::uint8_t* out = codes.data() + first * parts() + part;
    for (index i = 0; i < count; ++i) out[i * parts()] = static_cast<std::uint8_t>(nearest[i]);
  }

  std::vector<row_matrix<float>> centroids_;
  std::vector<packed_centroids> packed_;
  aligned_buffer<float> columns_;
  std::vector<float> largest_magnitude_;
};

namespace detail {

/// @param prefix  text that precedes the names of the options in an error sentence
/// @param rows    number of points. Weights: one per point or, if Shared, one per point and part
template <bool Shared = false>
void expect_pq_options(const char* function, const std::string& prefix, const pq_options& o,
                       index rows, index dimension) {
  if (o.bits != 4 && o.bits != 8) fail(function, prefix + "bits", o.bits, "4 or 8");
  if (o.parts < 1 || dimension % o.parts != 0) {
    fail(function, prefix + "parts", o.parts, "a divisor of " + std::to_string(dimension));
  }
  const index clustered = Shared ? rows * o.parts : rows;
  if (dimension == o.parts) expect_sortable(function, "the number of points", clustered);
  expect_options(function, prefix + "clustering.", o.clustering, clustered);
}

/// Fails if there are fewer points than centroids of a part.
inline void expect_trainable(const char* function, const char* argument, index points, int bits) {
  expect_points(function, argument, points, index{1} << bits,
                "centroids of " + std::to_string(bits) + " bits");
}

/// train_product_quantizer without checks, for any number of points.
template <class Arch, Progress<pq_step> P, Executor E>
product_quantizer train_parts(const matrix_ref& points, const pq_options& options, P& progress,
                              const E& executor) {
  const index width = points.cols() / options.parts;
  std::vector<row_matrix<float>> centroids;
  bool go_on = true;
  for (index p = 0; p < options.parts; ++p) {
    kmeans_options clustering = options.clustering;
    clustering.seed += static_cast<std::uint64_t>(p);
    const auto report = [&](const kmeans_step& step) {
      go_on = go_on && progress(pq_step{p, options.parts, step});
      return go_on;
    };
    centroids.push_back(find_clusters<Arch>(points.middleCols(p * width, width),
                                            index{1} << options.bits, clustering, report, executor)
                            .centroids);
  }
  return product_quantizer(std::move(centroids));
}

/// train_shared_quantizer without checks, for any number of points.
template <class Arch, Executor E>
product_quantizer train_shared_parts(const matrix_ref& points, const pq_options& options,
                                     const E& executor) {
  const row_matrix<float> together = points;
  const index width = points.cols() / options.parts;
  const Eigen::Map<const row_matrix<float>> all(together.data(), points.rows() * options.parts,
                                                width);
  no_progress none;
  const auto found =
      find_clusters<Arch>(all, index{1} << options.bits, options.clustering, none, executor);
  return product_quantizer(
      std::vector<row_matrix<float>>(static_cast<std::size_t>(options.parts), found.centroids));
}

}  // namespace detail

/// Finds the centroids of each part by k-means, to make the sum of |x - decode(encode(x))|^2 small.
///
/// @param points    n x d, n >= 2^bits unless allow_fewer_points; in practice n >= 40 * 2^bits. If
///                  the points have fewer different values than centroids, some centroids are
///                  equal.
/// @param progress  called after each iteration. After it returns false, each remaining part is
///                  trained with one iteration.
/// @throws fewbit::error if there are too few points, points holds a NaN or an infinity, bits is
///         not 4 or 8, parts does not divide d, or kmeans rejects the other options
///
/// The result depends on points and options only, bit for bit.
template <class Arch = arch::native, Progress<pq_step> P, Executor E = inline_executor>
[[nodiscard]] product_quantizer train_product_quantizer(
    const Eigen::Ref<const row_matrix<float>>& points, const pq_options& options, P&& progress,
    const E& executor = {}) {
  const char* function = "train_product_quantizer";
  detail::expect_finite(function, "points", points);
  detail::expect_pq_options(function, "", options, points.rows(), points.cols());
  if (!options.allow_fewer_points) {
    detail::expect_trainable(function, "points.rows()", points.rows(), options.bits);
  }
  return detail::train_parts<Arch>(points, options, progress, executor);
}

/// The same without progress reports.
template <class Arch = arch::native, Executor E = inline_executor>
[[nodiscard]] product_quantizer train_product_quantizer(
    const Eigen::Ref<const row_matrix<float>>& points, const pq_options& options = {},
    const E& executor = {}) {
  return train_product_quantizer<Arch>(points, options, no_progress{}, executor);
}

/// Trains one codebook for all parts, on all parts of all points. Use it for weights: their columns
/// have similar values, and separate codebooks would need more memory than the codes.
///
/// @throws fewbit::error as train_product_quantizer, where the number of points (and of weights) is
///         points.rows() * parts
template <class Arch = arch::native, Executor E = inline_executor>
[[nodiscard]] product_quantizer train_shared_quantizer(
    const Eigen::Ref<const row_matrix<float>>& points, const pq_options& options = {},
    const E& executor = {}) {
  const char* function = "train_shared_quantizer";
  detail::expect_finite(function, "points", points);
  detail::expect_pq_options<true>(function, "", options, points.rows(), points.cols());
  if (!options.allow_fewer_points) {
    detail::expect_trainable(function, "points.rows() * parts", points.rows() * options.parts,
                             options.bits);
  }
  return detail::train_shared_parts<Arch>(points, options, executor);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
