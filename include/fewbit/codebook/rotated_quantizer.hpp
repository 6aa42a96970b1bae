#pragma once
/// Product quantization after a rotation (OPQ). In a rotated vector the parts depend less on each
/// other and have similar variances.
///
///     const rotated_quantizer rq = train_rotated_quantizer(points, {.pq = {.parts = 16}});
///     const row_matrix<float> near = rq.decode(rq.encode(points));
///     find_nearest(rq.quantizer(), packed_codes(rq.quantizer(), rq.encode(points)),
///                  rq.rotate(queries), 10);              // codebook/find_nearest.hpp
///
/// Use it if coordinates depend on each other or have different variances. If coordinates are
/// independent and alike, it gains nothing.
///
/// With parts of one or two coordinates, the first part may have a much larger range than the
/// others. The byte tables of a search have one scale for all parts, so the search then
/// distinguishes less than the codes do. In that case search for more vectors than you need and
/// rank them again with the floats of distance_tables. Read first: codebook/product_quantizer.hpp.
///
/// Training starts from the principal axes. They are distributed over the parts so that the
/// products of their variances are similar, which is optimal for normally distributed points. The
/// first centroids are those of train_product_quantizer. Then each round has three steps, none of
/// which increases the sum of |R x - y|^2, where y is the decoded point:
///
/// 1. Each point takes the codes of its nearest centroids.
/// 2. Each centroid becomes the mean of its points.
/// 3. R becomes the orthogonal matrix with the least sum: U V', where U S V' is the singular value
///    decomposition of the sum of y x'.
///
/// Source: Ge, He, Ke and Sun 2013, "Optimized product quantization for approximate nearest
/// neighbor search"; the rotation: Schoenemann 1966, "A generalized solution of the orthogonal
/// Procrustes problem".

#include "fewbit/begin.hpp"

#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/fused.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/clustering.hpp"
#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// How a rotated quantizer is trained.
struct rotation_options {
  pq_options pq = {};  ///< for the first quantizer of rotated points
  index rounds = 16;   ///< rounds that improve rotation and centroids; 0: only the start
};

/// Progress of the training.
struct rotation_step {
  index round = 0;  ///< from 1; 0 while the first centroids are trained
  index rounds = 0;
  double squared_error = 0.0;  ///< sum of weight * |x - decode(encode(x))|^2 before the round
  pq_step training = {};       ///< progress of the first training, if round is 0
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// a b. Each sum starts at 0 and adds the products in the order of the inner index by fused
/// multiply-add: the same bits on every processor.
template <Executor E>
row_matrix<float> product_in_order(const matrix_ref& a, const row_matrix<float>& b,
                                   const E& executor) {
  using lanes = arch::vec<float, arch::native_lanes<float>>;
  constexpr index rows_of_piece = 64;
  constexpr int registers = 8;
  const index width = b.cols();
  row_matrix<float> out(a.rows(), width);
  const auto one_row = [&](const float* x, float* to) {
    index j = 0;
    for (; j + registers * lanes::lanes <= width; j += registers * lanes::lanes) {
      lanes sums[registers] = {};
      for (index t = 0; t < b.rows(); ++t) {
        const float* from = b.data() + t * width + j;
#pragma GCC unroll 8
        for (int r = 0; r < registers; ++r) {
          sums[r] =
              arch::fused_multiply_add(lanes(x[t]), lanes::load(from + r * lanes::lanes), sums[r]);
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < registers; ++r) sums[r].store(to + j + r * lanes::lanes);
    }
    for (; j + lanes::lanes <= width; j += lanes::lanes) {
      lanes sum(0.0F);
      for (index t = 0; t < b.rows(); ++t) {
        sum = arch::fused_multiply_add(lanes(x[t]), lanes::load(b.data() + t * width + j), sum);
      }
      sum.store(to + j);
    }
    for (; j < width; ++j) {
      to[j] = 0.0F;
      for (index t = 0; t < b.rows(); ++t) {
        to[j] = arch::fused_multiply_add(x[t], b(t, j), to[j]);
      }
    }
  };
  executor.for_each((a.rows() + rows_of_piece - 1) / rows_of_piece, [&](index i) {
    const index end = std::min((i + 1) * rows_of_piece, a.rows());
    for (index r = i * rows_of_piece; r < end; ++r) one_row(row_of(a, r), out.data() + r * width);
  });
  return out;
}

}  // namespace detail

/// A rotation R and a product quantizer of rotated vectors R x.
class rotated_quantizer {
 public:
  /// @param rotation  d x d and orthogonal: no entry of |R R' - 1| is above 1e-3
  /// @throws fewbit::error if rotation is not orthogonal, or d is not quantizer.dimension()
  rotated_quantizer(row_matrix<float> rotation, product_quantizer quantizer)
      : rotation_(std::move(rotation)), quantizer_(std::move(quantizer)) {
    const char* function = "rotated_quantizer";
    detail::expect_finite(function, "rotation", rotation_);
    detail::expect_equal(function, "rotation.rows()", rotation_.rows(), dimension());
    detail::expect_equal(function, "rotation.cols()", rotation_.cols(), dimension());
    transposed_ = rotation_.transpose();
    row_matrix<float> square = detail::product_in_order(rotation_, transposed_, inline_executor{});
    square.diagonal().array() -= 1.0F;
    const float largest_error = square.cwiseAbs().maxCoeff();
    if (!(largest_error <= 1e-3F)) {
      detail::fail(function, "the largest entry of |rotation * rotation' - 1|", largest_error,
                   "at most 0.001");
    }
  }

  [[nodiscard]] index dimension() const noexcept { return quantizer_.dimension(); }
  /// R, dimension() x dimension()
  [[nodiscard]] const row_matrix<float>& rotation() const noexcept { return rotation_; }
  /// The quantizer of rotated vectors. Pass it to packed_codes and find_nearest.
  [[nodiscard]] const product_quantizer& quantizer() const noexcept { return quantizer_; }

  /// R x for each row x of points: n x dimension(). For the same R, the same bits on every
  /// processor.
  /// @throws fewbit::error if points is empty, holds a NaN or an infinity, or is not dimension()
  ///         wide
  template <Executor E = inline_executor>
  [[nodiscard]] row_matrix<float> rotate(const Eigen::Ref<const row_matrix<float>>& points,
                                         const E& executor = {}) const {
    return rotated("rotate", points, executor);
  }

  /// The codes of the rotated points: n x quantizer().parts().
  /// @throws fewbit::error as rotate, or if a rotated point overflows
  template <class Arch = arch::native, Executor E = inline_executor>
  [[nodiscard]] row_matrix<std::uint8_t> encode(const Eigen::Ref<const row_matrix<float>>& points,
                                                const E& executor = {}) const {
    const row_matrix<float> rotated_points = rotated("encode", points, executor);
    detail::expect_finite("encode", "rotated points", rotated_points);
    return quantizer_.encode_finite<Arch>(rotated_points, executor);
  }

  /// The decoded points, rotated back: n x dimension().
  /// @throws fewbit::error as product_quantizer::decode
  template <Executor E = inline_executor>
  [[nodiscard]] row_matrix<float> decode(const Eigen::Ref<const row_matrix<std::uint8_t>>& codes,
                                         const E& executor = {}) const {
    return detail::product_in_order(quantizer_.decode(codes), rotation_, executor);
  }

 private:
  template <Executor E>
  [[nodiscard]] row_matrix<float> rotated(const char* function, const detail::matrix_ref& points,
                                          const E& executor) const {
    detail::expect_finite(function, "points", points);
    detail::expect_equal(function, "points.cols()", points.cols(), dimension());
    return detail::product_in_order(points, transposed_, executor);
  }

  row_matrix<float> rotation_;
  row_matrix<float> transposed_;
  product_quantizer quantizer_;
};

namespace detail {

/// The decomposition of Eigen that compiles fastest by far.
using jacobi_svd = Eigen::JacobiSVD<Eigen::MatrixXd, Eigen::NoQRPreconditioner>;

/// The orthogonal R with the least sum of |R x - y|^2, from the sum of y x'.
inline row_matrix<float> nearest_rotation(const Eigen::MatrixXd& products) {
  const jacobi_svd decomposition(products, Eigen::ComputeFullU | Eigen::ComputeFullV);
  return (decomposition.matrixU() * decomposition.matrixV().transpose()).cast<float>();
}

/// Sum of weight * (x - mean) (x - mean)'.
inline Eigen::MatrixXd scatter_of(const matrix_ref& points, std::span<const float> weights) {
  constexpr index rows_of_piece = 1024;
  const index d = points.cols();
  Eigen::RowVectorXd mean = Eigen::RowVectorXd::Zero(d);
  double weight = 0.0;
  for (index i = 0; i < points.rows(); ++i) {
    mean += weight_of(weights, i) * points.row(i).cast<double>();
    weight += weight_of(weights, i);
  }
  mean /= weight;
  Eigen::MatrixXd scatter = Eigen::MatrixXd::Zero(d, d);
  for (index first = 0; first < points.rows(); first += rows_of_piece) {
    const index count = std::min(rows_of_piece, points.rows() - first);
    row_matrix<double> some = points.middleRows(first, count).cast<double>();
    some.rowwise() -= mean;
    for (index i = 0; i < count; ++i) some.row(i) *= std::sqrt(weight_of(weights, first + i));
    scatter.noalias() += some.transpose() * some;
  }
  return scatter;
}

/// The principal axes as rows, in descending order of variance. Each axis goes to the part that is
/// not full and has the least product of variances so far. Variances are measured in units of the
/// least one, or of 1e-10 of the largest if that is larger.
inline row_matrix<float> balanced_axes(const Eigen::MatrixXd& scatter, index parts) {
  const index d = scatter.rows();
  const index width = d / parts;
  const jacobi_svd axes(scatter, Eigen::ComputeFullU | Eigen::ComputeFullV);
  const Eigen::VectorXd& variances = axes.singularValues();  // descending
  const double unit =
      std::max({variances[d - 1], 1e-10 * variances[0], std::numeric_limits<double>::min()});
  std::vector<double> logs(static_cast<std::size_t>(parts), 0.0);  // of the products
  std::vector<index> filled(static_cast<std::size_t>(parts), 0);
  row_matrix<float> rotation(d, d);
  for (index axis = 0; axis < d; ++axis) {
    std::size_t to = 0;
    while (filled[to] == width) ++to;
    for (std::size_t p = to + 1; p < logs.size(); ++p) {
      if (filled[p] < width && logs[p] < logs[to]) to = p;
    }
    logs[to] += std::log(std::max(variances[axis], unit) / unit);
    rotation.row(static_cast<index>(to) * width + filled[to]++) =
        axes.matrixU().col(axis).transpose().cast<float>();
  }
  return rotation;
}

/// For each code of a part: the weighted sum of the points with this code, and the sum of their
/// weights.
struct coded_sums {
  row_matrix<double> points;  // codes x d
  Eigen::VectorXd weights;
};

/// The coded_sums of each part.
template <Executor E>
std::vector<coded_sums> sums_by_code(const matrix_ref& points, std::span<const float> weights,
                                     const row_matrix<std::uint8_t>& codes, index different,
                                     const E& executor) {
  const coded_sums none{row_matrix<double>::Zero(different, points.cols()),
                        Eigen::VectorXd::Zero(different)};
  std::vector<coded_sums> all(static_cast<std::size_t>(codes.cols()), none);
  executor.for_each(codes.cols(), [&](index p) {
    coded_sums& sums = all[static_cast<std::size_t>(p)];
    for (index i = 0; i < points.rows(); ++i) {
      const double weight = weight_of(weights, i);
      sums.points.row(codes(i, p)) += weight * points.row(i).cast<double>();
      sums.weights[codes(i, p)] += weight;
    }
  });
  return all;
}

/// A rotation and centroids that improve each other in rounds.
struct rotation_search {
  row_matrix<float> rotation;
  product_quantizer quantizer;

  /// Steps 2 and 3 of a round. The new centroids are means of rotated points, so both they and the
  /// sum of y x' follow from the sums of unrotated points, with one product per code instead of one
  /// per point.
  void improve(const std::vector<coded_sums>& sums) {
    const index width = quantizer.width();
    const Eigen::MatrixXd rotation_in_double = rotation.cast<double>();
    Eigen::MatrixXd products(rotation_in_double.rows(), rotation_in_double.cols());
    std::vector<row_matrix<float>> centroids;
    for (index p = 0; p < quantizer.parts(); ++p) {
      const coded_sums& s = sums[static_cast<std::size_t>(p)];
      row_matrix<double> means =
          s.points * rotation_in_double.middleRows(p * width, width).transpose();
      for (index j = 0; j < means.rows(); ++j) {
        if (s.weights[j] > 0.0) {
          means.row(j) /= s.weights[j];
        } else {
          means.row(j) = quantizer.centroids(p).row(j).cast<double>();
        }
      }
      products.middleRows(p * width, width).noalias() = means.transpose() * s.points;
      centroids.emplace_back(means.cast<float>());
    }
    quantizer = product_quantizer(std::move(centroids));
    rotation = nearest_rotation(products);
  }
};

}  // namespace detail

/// Finds a rotation and centroids with a small sum of |x - decode(encode(x))|^2.
///
/// @param points    n x d; in practice n is at least 40 * 2^bits and several times d
/// @param progress  called in each iteration of the first training, then after each round. After it
///                  returns false, no further round starts.
/// @throws fewbit::error if rounds is less than 0, or as train_product_quantizer
///
/// The executor does not change the result. The instruction set and the compiler may: the last bits
/// of the rotation depend on Eigen's decompositions. If you need the same codes everywhere, store
/// the rotation and the centroids: everything computed from them is the same bit for bit. The time
/// of a decomposition grows with d^3.
template <class Arch = arch::native, Progress<rotation_step> P, Executor E = inline_executor>
[[nodiscard]] rotated_quantizer train_rotated_quantizer(
    const Eigen::Ref<const row_matrix<float>>& points, const rotation_options& options,
    P&& progress, const E& executor = {}) {
  const char* function = "train_rotated_quantizer";
  const std::span<const float> weights = options.pq.clustering.weights;
  detail::expect_finite(function, "points", points);
  detail::expect_pq_options(function, "pq.", options.pq, points.rows(), points.cols());
  detail::expect(options.rounds >= 0, function, "rounds", options.rounds, "at least 0");
  detail::expect_trainable(function, "points.rows()", points.rows(), options.pq.bits);
  bool go_on = true;
  const auto report = [&](const pq_step& step) {
    return go_on = go_on && progress(rotation_step{0, options.rounds, 0.0, step});
  };
  row_matrix<float> axes =
      detail::balanced_axes(detail::scatter_of(points, weights), options.pq.parts);
  row_matrix<float> rotated = detail::product_in_order(points, axes.transpose(), executor);
  detail::expect_finite(function, "rotated points", rotated);
  detail::rotation_search found{std::move(axes),
                                detail::train_parts<Arch>(rotated, options.pq, report, executor)};
  for (index round = 1; go_on && round <= options.rounds; ++round) {
    const auto codes = found.quantizer.template encode_finite<Arch>(rotated, executor);
    const row_matrix<float> decoded = found.quantizer.decode(codes);
    const double squared_error = detail::weighted_squared_error(
        rotated, weights, 0, rotated.rows(), [&](index i) { return detail::row_of(decoded, i); });
    found.improve(
        detail::sums_by_code(points, weights, codes, found.quantizer.code_count(), executor));
    rotated = detail::product_in_order(points, found.rotation.transpose(), executor);
    detail::expect_finite(function, "rotated points", rotated);
    go_on = progress(rotation_step{round, options.rounds, squared_error, {}});
  }
  return {std::move(found.rotation), std::move(found.quantizer)};
}

/// The same without progress reports.
template <class Arch = arch::native, Executor E = inline_executor>
[[nodiscard]] rotated_quantizer train_rotated_quantizer(
    const Eigen::Ref<const row_matrix<float>>& points, const rotation_options& options = {},
    const E& executor = {}) {
  return train_rotated_quantizer<Arch>(points, options, no_progress{}, executor);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
