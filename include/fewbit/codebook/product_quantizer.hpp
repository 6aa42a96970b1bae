#pragma once
/// Product quantization: a vector is cut into parts of equal width, and each part is replaced by
/// the number of the nearest of 16 or 256 centroids of its own, a code of 4 or 8 bits.
///
///     const product_quantizer pq = train_product_quantizer(points, {.parts = 16, .bits = 8});
///     const row_matrix<std::uint8_t> codes = pq.encode(points);  // n x 16
///     const row_matrix<float> near = pq.decode(codes);           // n x d
///
/// Use it to store many vectors in few bytes. Read next: codebook/residual_quantizer.hpp (what the
/// first codes miss is coded again), codebook/kmeans.hpp (where the centroids come from).
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
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// How a product quantizer is trained.
struct pq_options {
  index parts = 8;                  ///< as many codes for each vector; divides its width
  int bits = 8;                     ///< of a code: 4 or 8
  kmeans_options clustering = {};   ///< of each part; part p takes the seed plus p
  bool allow_fewer_points = false;  ///< than centroids: some centroids are then equal
};

/// What an iteration of the training did.
struct pq_step {
  index part = 0;  ///< from 0
  index parts = 0;
  kmeans_step clustering = {};
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Called after each iteration with a `pq_step`; answers whether to go on.
template <class P>
concept PqProgress = requires(P&& progress, const pq_step& step) {
  { progress(step) } -> std::convertible_to<bool>;
};

/// Centroids of all parts, ready for the search for the nearest.
class product_quantizer {
 public:
  /// Takes the centroids of each part: as many matrices as parts, all 16 x w or all 256 x w.
  /// @throws fewbit::error if there are none, the shapes differ, or a value is not finite
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
  /// Coordinates of a part, and of a whole vector.
  [[nodiscard]] index width() const noexcept { return centroids_.front().cols(); }
  [[nodiscard]] index dimension() const noexcept { return parts() * width(); }
  /// Different codes of a part: 16 or 256.
  [[nodiscard]] index code_count() const noexcept { return centroids_.front().rows(); }
  [[nodiscard]] int bits() const noexcept { return code_count() == 16 ? 4 : 8; }
  /// code_count() x width()
  [[nodiscard]] const row_matrix<float>& centroids(index part) const noexcept {
    return centroids_[static_cast<std::size_t>(part)];
  }

  /// Coordinate t, of 0 to dimension() - 1, of all centroids of its part, side by side.
  [[nodiscard]] const float* column(index t) const noexcept {
    return columns_.data() + t * code_count();
  }
  /// The largest magnitude in that column.
  [[nodiscard]] float largest_magnitude(index t) const noexcept {
    return largest_magnitude_[static_cast<std::size_t>(t)];
  }

  /// The codes of some points, each of 0 to code_count() - 1 in a byte of its own: n x parts(). Which
  /// centroid is nearest is decided as by nearest_centroids: the same codes on every processor.
  /// @throws fewbit::error if points is empty or holds a NaN or an infinity, or is not dimension()
  ///         wide
  template <class Arch = arch::native, Executor E = inline_executor>
  [[nodiscard]] row_matrix<std::uint8_t> encode(const Eigen::Ref<const row_matrix<float>>& points,
                                                const E& executor = {}) const {
    detail::expect_finite("encode", "points", points);
    detail::expect_equal("encode", "points.cols()", points.cols(), dimension());
    return encode_finite<Arch>(points, executor);
  }

  /// The same of what was checked before.
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

  /// The centroids that codes name, side by side: n x dimension().
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

  /// Fails as `function` unless codes are parts() wide and each is less than code_count(). They may be
  /// columns `first` and following of those that the caller of `function` gave.
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

/// `prefix` is what the caller of `function` writes before the name of an option, `rows` the points
/// that have weights, of which one for all parts or, if Shared, one for each.
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

/// Fails unless there is a point for each centroid of a part.
inline void expect_trainable(const char* function, const char* argument, index points, int bits) {
  expect_points(function, argument, points, index{1} << bits,
                "centroids of " + std::to_string(bits) + " bits");
}

/// train_product_quantizer of what its callers have checked, of any number of points.
template <class Arch, PqProgress P, Executor E>
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

/// train_shared_quantizer of what its callers have checked, of any number of points.
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

/// Looks for the centroids of each part by k-means, so that the sum of |x - decode(encode(x))|^2
/// becomes small.
///
/// @param points    n x d, at least 2^bits and in practice 40 for each of the 2^bits centroids;
///                  with fewer different points than centroids some centroids are alike
/// @param progress  is called after each iteration; once it answers false, one iteration for each
///                  part that is left completes the training
/// @throws fewbit::error if points are fewer than 2^bits or hold a NaN or an infinity, bits is not
///         4 or 8, parts does not divide d, or kmeans does not accept the other options
///
/// The result is a function of points and options alone, to the bit.
template <class Arch = arch::native, PqProgress P, Executor E = inline_executor>
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

/// The same without looking on.
template <class Arch = arch::native, Executor E = inline_executor>
[[nodiscard]] product_quantizer train_product_quantizer(
    const Eigen::Ref<const row_matrix<float>>& points, const pq_options& options = {},
    const E& executor = {}) {
  const auto always = [](const pq_step&) { return true; };
  return train_product_quantizer<Arch>(points, options, always, executor);
}

/// One codebook for all parts, from all parts of all points: for weights, whose columns are alike,
/// with so many codes that a codebook for each part would take more memory than they do.
///
/// @throws fewbit::error as train_product_quantizer; of points, however, there are
///         `parts` for each row, and as many weights
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
