#pragma once
/// Weights as codes of a product quantizer, packed for products that never decode them.
///
///     const pq_weights<4> w(pq, pq.encode(weights));     // once: n rows of pq.dimension() inputs
///
/// A row of weights is a point: part p of it, `width` weights, is centroid code(j, p) of its part,
/// so a weight takes Bits / width bits. What an input has to do with those weights is its product
/// with that centroid, of which there are 16 or 256 for all rows. Read next:
/// codebook/pq_product.hpp.
///
/// Codes stand as arch/lookup_unit.hpp has them, a block of rows after the other, and in a block
/// all parts in order, so that a product reads memory from beginning to end. Centroids stay floats;
/// those of 16 to a part are 1/8 of the codes where a matrix has 4096 rows and 4 weights to a part,
/// those of 256 would be more than the codes, so one codebook for all parts is kept once.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "fewbit/arch/arch.hpp"
#include "fewbit/codebook/packed_codes.hpp"
#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// n x k weights by codes of Bits = 4 or 8 bits, for one instruction set.
template <int Bits, class Arch = arch::native>
class pq_weights {
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  static_assert(Bits == 4 || Bits == 8, "fewbit: codes of pq_weights have 4 or 8 bits");

 public:
  using unit = typename arch::lookup_unit<Arch, Bits>::type;
  using layout = detail::code_layout<unit>;
  /// Centroids of a part.
  static constexpr index centroids = index{1} << Bits;

  /// 0 x 0.
  pq_weights() = default;

  /// @param codes  n x pq.parts(), as pq.encode makes them
  /// @throws fewbit::error if pq has codes of other bits or so many parts that a sum could leave
  ///         int32, codes is not as wide as pq has parts, or a code is not less than pq.code_count()
  pq_weights(const product_quantizer& pq, const Eigen::Ref<const row_matrix<std::uint8_t>>& codes)
      : pq_weights(pq, codes, pq.dimension()) {}

  /// The same for k inputs, where the last part has coordinates that no input meets.
  /// @throws fewbit::error also unless pq.dimension() - pq.width() < k <= pq.dimension()
  pq_weights(const product_quantizer& pq, const Eigen::Ref<const row_matrix<std::uint8_t>>& codes,
             index k)
      : n_(codes.rows()), k_(k), parts_(pq.parts()), width_(pq.width()) {
    constexpr index most_parts = std::numeric_limits<std::int32_t>::max() / 255;
    detail::expect_equal("pq_weights", "pq.bits()", pq.bits(), Bits);
    detail::expect(parts_ <= most_parts, "pq_weights", "pq.parts()", parts_,
                   "at most " + std::to_string(most_parts));
    detail::expect(
        k > pq.dimension() - width_ && k <= pq.dimension(), "pq_weights", "k", k,
        std::to_string(pq.dimension() - width_ + 1) + " to " + std::to_string(pq.dimension()));
    pq.expect_codes("pq_weights", codes);
    keep_centroids(pq);
    layout::pack(codes, memory_.data() + centroid_bytes());
  }

  [[nodiscard]] index n() const noexcept { return n_; }
  [[nodiscard]] index k() const noexcept { return k_; }
  [[nodiscard]] index parts() const noexcept { return parts_; }
  [[nodiscard]] index width() const noexcept { return width_; }
  /// Whether all parts have the same centroids.
  [[nodiscard]] bool is_shared() const noexcept { return shared_; }
  /// The first coordinate of all centroids of a part, then the second, and so on.
  [[nodiscard]] const float* columns(index part) const noexcept {
    return reinterpret_cast<const float*>(memory_.data()) +
           (shared_ ? 0 : part * width_ * centroids);
  }
  /// The largest magnitude in a centroid.
  [[nodiscard]] float largest_magnitude() const noexcept { return largest_magnitude_; }

  /// Codes of rows block * layout::points_per_block and those that follow.
  [[nodiscard]] const std::uint8_t* block(index block) const noexcept {
    return memory_.data() + centroid_bytes() + block * layout::block_bytes(parts_);
  }
  /// Number of the centroid in part p of row j.
  [[nodiscard]] int code(index j, index p) const noexcept {
    return layout::code(block(j / layout::points_per_block), j % layout::points_per_block, p);
  }

  /// Bytes held by codes and centroids.
  [[nodiscard]] index bytes() const noexcept { return memory_.size(); }

 private:
  [[nodiscard]] index centroid_bytes() const noexcept {
    return (shared_ ? 1 : parts_) * width_ * centroids * index{sizeof(float)};
  }

  void keep_centroids(const product_quantizer& pq) {
    shared_ = true;
    for (index p = 0; p < parts_; ++p) {
      shared_ = shared_ && pq.centroids(p) == pq.centroids(0);
      largest_magnitude_ = std::max(largest_magnitude_, pq.centroids(p).cwiseAbs().maxCoeff());
    }
    memory_ = aligned_buffer<std::uint8_t>(centroid_bytes() + layout::bytes(n_, parts_));
    std::copy_n(pq.column(0), centroid_bytes() / index{sizeof(float)},
                reinterpret_cast<float*>(memory_.data()));
  }

  index n_ = 0;
  index k_ = 0;
  index parts_ = 0;
  index width_ = 1;
  bool shared_ = false;
  float largest_magnitude_ = 0.0F;
  aligned_buffer<std::uint8_t> memory_;  // centroids, then codes: read in this order
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
