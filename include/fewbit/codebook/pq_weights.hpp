#pragma once
/// Weights as codes of a product quantizer, packed for products that do not decode them.
///
///     const pq_weights<4> w(pq, pq.encode(weights));     // once: n rows of pq.dimension() inputs
///
/// Each row of weights is a point. Part p of row j, `width` weights, is the centroid code(j, p) of
/// part p. So a weight takes Bits / width bits. A product with an input row needs only the products
/// of each input part with the 16 or 256 centroids of that part, once for all rows. Read next:
/// codebook/pq_product.hpp.
///
/// Codes are in the order of arch/lookup_unit.hpp: one block of rows after another, and all parts
/// of a block in order. A product reads them from beginning to end. Centroids are floats. With 16
/// centroids per part, 4096 rows and 4 weights per part, centroids take 1/8 of the bytes of the
/// codes. With 256 centroids per part they would take more than the codes. So a codebook that all
/// parts share is stored once.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "fewbit/arch/arch.hpp"
#include "fewbit/codebook/packed_codes.hpp"
#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The order of codes of the lookup unit of any instruction set, as numbers (code_layout).
struct any_code_layout {
  index points;     // of a row
  index parts;      // of a row
  index row_bytes;  // parts / 2 bytes of each point, or one
  index groups;     // rows side by side

  template <class Unit>
  static any_code_layout of() noexcept {
    return {Unit::points, Unit::parts, Unit::row_bytes, Unit::groups};
  }
  friend bool operator==(const any_code_layout&, const any_code_layout&) = default;

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& of_layer) {
    of_layer.number("points of a row of codes", self.points, 1, 256);
    of_layer.number("parts of a row of codes", self.parts, 1, 16);
    of_layer.number("bytes of a row of codes", self.row_bytes, 1, 4096);
    of_layer.number("rows of codes side by side", self.groups, 1, 64);
  }
  void expect_valid(const char* place, int bits) const {
    const bool is_whole = bits == 8 ? parts == 1 : parts % 2 == 0;
    expect(is_whole, place, "parts of a row of codes", parts, bits == 8 ? "1" : "an even number");
    expect_equal(place, "bytes of a row of codes", row_bytes, points * half());
  }

  [[nodiscard]] index half() const noexcept { return parts > 1 ? parts / 2 : 1; }
  [[nodiscard]] index block_bytes(index of_row) const noexcept {
    return (of_row + parts - 1) / parts * groups * row_bytes;
  }
  [[nodiscard]] index bytes(index rows, index of_row) const noexcept {
    const index block = points * groups;
    return (rows + block - 1) / block * block_bytes(of_row);
  }
  /// The code of part p of row j.
  [[nodiscard]] std::uint8_t code(const std::uint8_t* codes, index of_row, index j,
                                  index p) const noexcept {
    const index i = j % (points * groups), point = i % points;
    const index row = p / parts * groups + i / points;
    index byte = point * half();
    if (parts == 2) byte = point < points / 2 ? 2 * point : 2 * (point - points / 2) + 1;
    const std::uint8_t both =
        codes[j / (points * groups) * block_bytes(of_row) + row * row_bytes + byte + p % half()];
    if (parts == 1) return both;
    return static_cast<std::uint8_t>(p % parts >= half() ? both >> 4 : both & 15);
  }
};

}  // namespace detail

/// n x k weights as codes of 4 or 8 bits, for one instruction set.
template <int Bits, class Arch = arch::native>
class pq_weights {
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  static_assert(Bits == 4 || Bits == 8, "fewbit: codes of pq_weights have 4 or 8 bits");

 public:
  using unit = typename arch::lookup_unit<Arch, Bits>::type;
  using layout = detail::code_layout<unit>;
  /// The number of centroids of a part.
  static constexpr index centroids = index{1} << Bits;

  /// Has no rows and no inputs.
  pq_weights() = default;

  /// @param codes  n x pq.parts(), from pq.encode
  /// @throws fewbit::error if pq.bits() is not Bits, pq has so many parts that a sum can overflow
  ///         int32, codes is not pq.parts() wide, or a code is not less than pq.code_count()
  pq_weights(const product_quantizer& pq, const Eigen::Ref<const row_matrix<std::uint8_t>>& codes)
      : pq_weights(pq, codes, pq.dimension()) {}

  /// The same for k inputs. The last pq.dimension() - k coordinates of the last part are not used.
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
    pack(pq, codes);
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
  /// The largest magnitude of a coordinate of any centroid.
  [[nodiscard]] float largest_magnitude() const noexcept { return largest_magnitude_; }

  /// The codes of the block that begins with row block * layout::points_per_block.
  [[nodiscard]] const std::uint8_t* block(index block) const noexcept {
    return memory_.data() + centroid_bytes() + block * layout::block_bytes(parts_);
  }
  /// The number of the centroid for part p of row j.
  [[nodiscard]] int code(index j, index p) const noexcept {
    return layout::code(block(j / layout::points_per_block), j % layout::points_per_block, p);
  }

  /// Bytes of codes and centroids.
  [[nodiscard]] index bytes() const noexcept { return memory_.bytes(); }

  /// Lists what the weights are made of (ops/parts.hpp). Codes in the order of another instruction
  /// set are packed anew.
  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    parts.number("n", self.n_, 1, most_extent);
    parts.number("k", self.k_, 1, most_extent);
    parts.number("width", self.width_, 1, most_extent);
    parts.number("flag of shared centroids", self.shared_);
    detail::any_code_layout order = detail::any_code_layout::of<unit>();
    order.visit_parts(order, parts);
    if constexpr (Parts::loads) {
      self.parts_ = (self.k_ + self.width_ - 1) / self.width_;
      self.take(parts, order);
    } else {
      parts.array("weights", self.memory_, self.memory_.size());
    }
  }

 private:
  /// Counts of bytes then fit an index.
  static constexpr index most_extent = index{1} << 24;

  [[nodiscard]] index centroid_bytes() const noexcept {
    return (shared_ ? 1 : parts_) * width_ * centroids * index{sizeof(float)};
  }

  void pack(const product_quantizer& pq, const Eigen::Ref<const row_matrix<std::uint8_t>>& codes) {
    shared_ = true;
    for (index p = 0; p < parts_; ++p) {
      shared_ = shared_ && pq.centroids(p) == pq.centroids(0);
      largest_magnitude_ = std::max(largest_magnitude_, pq.centroids(p).cwiseAbs().maxCoeff());
    }
    pack(pq.column(0), codes);
  }

  void pack(const float* of_parts, const Eigen::Ref<const row_matrix<std::uint8_t>>& codes) {
    aligned_buffer<std::uint8_t> memory(centroid_bytes() + layout::bytes(n_, parts_));
    std::copy_n(of_parts, centroid_bytes() / index{sizeof(float)},
                reinterpret_cast<float*>(memory.data()));
    layout::pack(codes, memory.data() + centroid_bytes());
    memory_ = std::move(memory);
  }

  /// Reads centroids and codes in any order.
  template <class Parts>
  void take(Parts& parts, const detail::any_code_layout& order) {
    constexpr index most_parts = std::numeric_limits<std::int32_t>::max() / 255;
    detail::expect(parts_ <= most_parts, parts.place(), "number of parts", parts_,
                   "at most " + std::to_string(most_parts));
    order.expect_valid(parts.place(), Bits);
    parts.array("weights", memory_, centroid_bytes() + order.bytes(n_, parts_));
    const auto* of_parts = reinterpret_cast<const float*>(memory_.data());
    largest_magnitude_ = 0.0F;
    for (index i = 0; i < centroid_bytes() / index{sizeof(float)}; ++i) {
      if (!detail::is_finite(of_parts[i]))
        detail::fail(parts.place(), detail::item("centroids", i), of_parts[i], "a finite number");
      largest_magnitude_ = std::max(largest_magnitude_, std::fabs(of_parts[i]));
    }
    if (order == detail::any_code_layout::of<unit>()) return;
    const stored_array<std::uint8_t> other = memory_;
    row_matrix<std::uint8_t> codes(n_, parts_);
    for (index j = 0; j < n_; ++j) {
      for (index p = 0; p < parts_; ++p)
        codes(j, p) = order.code(other.data() + centroid_bytes(), parts_, j, p);
    }
    pack(of_parts, codes);
    parts.tell_repacked("weights");
  }

  index n_ = 0;
  index k_ = 0;
  index parts_ = 0;
  index width_ = 1;
  bool shared_ = false;
  float largest_magnitude_ = 0.0F;
  stored_array<std::uint8_t> memory_;  // centroids, then codes: the order of reading
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
